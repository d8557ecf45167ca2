"""TDN and GC-TDN: ResNets of five frames a segment.

layer2_bak.0.*                 the stages of the network on the middle frames
resnext_layer1.*  conv1_5.*    the first stage and the stem of the short-term branch
layer2_bak.0.mse.*  .shift.*   the long-term module before the second convolution
layer1_bak.0.eft1.*            GC-TDN: calibrators after bn2, from layer2 on after bn1
conv1_temp.*                   never called: dropped
new_fc | base_model.fc         the classifier, by whether there is dropout
"""

from __future__ import annotations

import re

from marey.convert.gc import marks
from marey.convert.repository import Repository, Rules, Settings, Shapes, by_rules
from marey.convert.shapes import dropout_of, model_of, resnet_of
from marey.convert.tsm import encoder_or_head
from marey.models.encoders.tdn import TDNSpec
from marey.models.sites import Site, TemporalOp
from marey.models.temporal.group_context import GroupContext
from marey.models.temporal.tdn import LongTermDifference
from marey.models.video_model import ModelSpec

GC_SITES: tuple[Site, ...] = ("after_bn2", "after_bn1", "after_bn1", "after_bn1")
"""Where GC-TDN has its calibrators, a stage each."""

_ATTENTION = {
    "conv1": "reduce",
    "bn1": "reduce_bn",
    "conv2": "smooth",
    "conv3_smallscale2": "coarse",
    "bn3_smallscale2": "coarse_bn",
    "conv3_smallscale4": "fine",
    "bn3_smallscale4": "fine_bn",
    "conv3": "expand",
    "bn3": "expand_bn",
}


def _calibrator(match: re.Match[str]) -> str:
    stage, index, number = match.groups()
    return f"layer{stage}.{index}.{GC_SITES[int(stage) - 1]}.{int(number) - 1}"


_RULES: Rules = {
    "conv1_5": "short_term.stem",
    "maxpool_diff": "short_term.maxpool",
    "resnext_layer1": "short_term.layer1",
    r"(layer\d)_bak": r"\1",
    r"mse\.(\w+)": lambda match: f"mse.{_ATTENTION[match[1]]}",
    "mse": "after_relu1.attention",
    r"shift(\.conv)?": "after_relu1.shift",
    r"layer(\d)\.(\d+)\.eft(\d)": _calibrator,
    r"(after_bn[12]\.\d)\.bn1": r"\1.bn",
}


def rename(name: str) -> str | None:
    """Our name of one of its tensors or modules; None for the convolution that is never called."""
    name = name.removeprefix("base_model.")
    return None if name.startswith("conv1_temp") else encoder_or_head(by_rules(name, _RULES))


def _recognises(shapes: Shapes) -> bool:
    return any(name.endswith("layer2_bak.0.mse.conv1.weight") for name in shapes)


def _spec(ours: Shapes, shapes: Shapes, settings: Settings) -> ModelSpec:
    settings.need("num_segments")
    resnet = resnet_of(ours)
    ops: tuple[TemporalOp, ...] = (LongTermDifference(),)
    if any(".eft1." in name for name in shapes):
        ops += (GroupContext(site=GC_SITES),)
    encoder = TDNSpec(resnet.depth, in_channels=resnet.in_channels)
    return model_of(encoder, ops, ours, settings, dropout_of(shapes))


REPOSITORY = Repository(name="tdn", recognises=_recognises, rename=rename, spec=_spec, marks=marks)
"""MCG-NJU's TDN and its copy in Group-Contextualization, which always has 4 groups of channels."""
