"""GST-video, and GC-GST of Group-Contextualization: a 3-D ResNet.

layer1.0.conv2  .Tconv                 the spatial and the temporal half of the middle convolution
layer1.0.eft1 .. eft4.conv             GC-GST: calibrators without norms, before bn2
conv1.weight [64, 3, 1, 7, 7]          convolutions over one frame: ours are 2-D
new_fc | base_model.fc                 the classifier, by whether there is dropout
"""

from __future__ import annotations

from typing import Literal

from marey.convert.gc import calibrators, groups_of, marks, variant_of
from marey.convert.repository import Repository, Settings, Shapes, by_rules
from marey.convert.shapes import dropout_of, model_of, resnet_of
from marey.convert.tsm import encoder_or_head
from marey.models.encoders.resnet import ResNetSpec
from marey.models.sites import TemporalOp
from marey.models.temporal.group_context import GroupContext
from marey.models.temporal.gst import GST
from marey.models.video_model import ModelSpec


def rename(name: str) -> str | None:
    """Our name of one of its tensors or modules."""
    rules = {r"(layer\d\.\d+)\.conv2": r"\1.conv2.spatial", "Tconv": "conv2.temporal"}
    name = by_rules(name.removeprefix("base_model."), rules)
    return encoder_or_head(calibrators(name, "after_conv2"))


def _recognises(shapes: Shapes) -> bool:
    return any(".Tconv." in name for name in shapes)


def _spec(ours: Shapes, shapes: Shapes, settings: Settings) -> ModelSpec:
    calibrated = any(".eft1." in name for name in shapes)
    settings.need("num_segments", *(["loop"] if calibrated else []), loop="true")
    ops: tuple[TemporalOp, ...] = (_gst_of(ours),)
    if calibrated:
        _, cdiv = groups_of(ours, "after_conv2")
        ops += (groups(cdiv, loop=bool(settings.loop)),)
    return model_of(ResNetSpec(resnet_of(ours).depth), ops, ours, settings, dropout_of(shapes))


def groups(cdiv: int, *, loop: bool) -> GroupContext:
    """The calibrated groups of GC-GST."""
    variant = variant_of(cdiv)
    return GroupContext(cdiv=cdiv, loop=loop, site="after_conv2", norm=False, variant=variant)


def _gst_of(ours: Shapes) -> GST:
    at = "encoder.layer4.0"
    channels = ours[f"{at}.conv1.weight"][0]
    out, seen = ours[f"{at}.conv2.temporal.weight"][:2]
    beta: Literal[1, 2] = 2 if channels // seen == 2 else 1
    return GST(channels // out, beta)


REPOSITORY = Repository(name="gst", recognises=_recognises, rename=rename, spec=_spec, marks=marks)
"""chenxuluo's GST-video, and its copy in Group-Contextualization."""
