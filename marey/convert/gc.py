"""Group-Contextualization on TSN and TSM, in its two generations; on GST see `marey.convert.gst`.

layer1.0.eft1 .. eft4.{conv,bn1}       GC: the calibrators L, T, S, G of four groups
layer1.0.eft.{conv,bn1}                one of them alone: an ECal row of the paper
layer1.0.eft.{conv,bn1,deconv,bn2}     the earlier generation, up to March 2022
new_fc | base_model.fc                 the classifier, by whether there is dropout

A shift has no tensors, and neither has the rotation of the groups (`--loop`): both have to be said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from marey.convert.repository import Repository, Rules, Settings, Shapes, by_rules
from marey.convert.shapes import dropout_of, model_of, resnet_of
from marey.convert.tsm import assumed, encoder_or_head, unmarked_shift, with_shift
from marey.models.temporal.ecal import ECal
from marey.models.temporal.group_context import ORDER, GroupContext
from marey.models.video_model import ModelSpec


def rename(name: str) -> str | None:
    """Our name of one of the tensors or modules of GC-TSN and GC-TSM."""
    return encoder_or_head(calibrators(name.removeprefix("base_model."), "after_bn2"))


def rename_earlier(name: str) -> str | None:
    """Our name of one of the tensors or modules of the earlier generation."""
    rules = {r"eft\.conv": "eft.reduce", r"eft\.deconv": "eft.expand", "eft": "residual_out"}
    return encoder_or_head(by_rules(name.removeprefix("base_model."), rules))


def calibrators(name: str, site: str) -> str:
    """The name with its calibrator, eft1 to eft4 or eft alone, at our `site`."""
    rules: Rules = {
        r"(eft\d?)\.bn1": r"\1.bn",
        r"eft(\d?)": lambda match: f"{site}.{int(match[1] or 1) - 1}",
    }
    return by_rules(name, rules)


def groups_of(ours: Shapes, site: str) -> tuple[str, int]:
    """The gates at `site` under our names, and how many groups the channels are divided into."""
    block = "encoder.layer4.0"  # the widest, where division leaves least open
    weight = ours[f"{block}.{site}.0.conv.weight"]
    gates = ORDER if f"{block}.{site}.1.conv.weight" in ours else _GATES[len(weight)]
    return gates, ours[f"{block}.conv1.weight"][0] // weight[0]


def marks(shapes: Shapes) -> dict[str, str]:
    """The calibrators whose tensors are there, in the words of `marey.convert.naming`."""
    if _has(shapes, r"\.eft1\.conv\.weight$"):
        return {"calibrators": ORDER}
    alone = (len(shape) for name, shape in shapes.items() if name.endswith(".eft.conv.weight"))
    return {"calibrators": _GATES.get(next(alone, 0), "")}


def variant_of(cdiv: int) -> Literal["upstream", "repaired"]:
    """Upstream's fault with left-over channels, if a checkpoint was trained with it."""
    return "upstream" if 64 % cdiv else "repaired"


_GATES: Mapping[int, Literal["G", "T", "S", "L"]] = {2: "G", 3: "T", 4: "S", 5: "L"}
"""A calibrator by the axes of its weight: a matrix, or a convolution of 1 to 3 dimensions."""


def _recognises(shapes: Shapes) -> bool:
    return _has(shapes, r"layer1\.0\.eft1?\.conv") and not _has(shapes, r"Tconv|eft\.deconv|_bak")


def _recognises_earlier(shapes: Shapes) -> bool:
    return _has(shapes, r"layer1\.0\.eft\.deconv")


def _has(shapes: Shapes, pattern: str) -> bool:
    return any(re.search(pattern, name) for name in shapes)


def _spec(ours: Shapes, shapes: Shapes, settings: Settings) -> ModelSpec:
    shift = unmarked_shift(settings, "loop")
    gates, cdiv = groups_of(ours, "after_bn2")
    groups = GroupContext(gates, cdiv=cdiv, loop=bool(settings.loop), variant=variant_of(cdiv))
    ops = with_shift(shift, settings, groups)
    return model_of(resnet_of(ours), ops, ours, settings, dropout_of(shapes))


def _spec_earlier(ours: Shapes, shapes: Shapes, settings: Settings) -> ModelSpec:
    shift = unmarked_shift(settings)
    reduce, expand = (
        ours[f"encoder.layer4.0.residual_out.{layer}.weight"] for layer in ("reduce", "expand")
    )
    ecal = ECal(
        gate=_GATES[len(reduce)],
        reduction=reduce[1] // reduce[0],
        kernels="31" if expand[2:3] == (1,) else "33",
    )
    ops = with_shift(shift, settings, ecal)
    return model_of(resnet_of(ours), ops, ours, settings, dropout_of(shapes))


REPOSITORY = Repository(
    name="gc",
    recognises=_recognises,
    rename=rename,
    spec=_spec,
    assumed=assumed,
    marks=marks,
)
"""haoyanbin918's Group-Contextualization, as released with the paper."""

EARLIER = Repository(
    name="ecal",
    recognises=_recognises_earlier,
    rename=rename_earlier,
    spec=_spec_earlier,
    assumed=assumed,
    marks=marks,
)
"""Its earlier generation, which the first README's rows ECal-L-TSN and ECal-T-TSM are."""
