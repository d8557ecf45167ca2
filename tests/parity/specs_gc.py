"""The constructor arguments of Group Contextualization, on TSN, TSM and GST, and of GST itself."""

from __future__ import annotations

import re
from typing import Any, Literal

from marey.convert import gst as gst_names
from marey.convert.gc import variant_of
from marey.models import GST, TSM, ECal, GroupContext, Head, ModelSpec, ResNetSpec
from marey.models.sites import TemporalOp
from tests.parity.golden import Golden

COMMON = {"T", "num_class", "arch", "modality", "dropout", "partial_bn", "fc_lr5", "ef_lr5"}
SHIFT = {"shift_div", "place"}
GATES = {"M4": "LTSG", "L33D": "L", "T13D": "T", "S23DD": "S", "CLLD": "G"}
EARLIER: dict[str, tuple[Literal["L", "T", "S", "G"], Literal["33", "31"]]] = {
    "E33D": ("L", "33"),
    "E31D": ("L", "31"),
    "T33D": ("T", "33"),
    "T31D": ("T", "31"),
    "S33D": ("S", "33"),
    "S31D": ("S", "31"),
    "CLLD": ("G", "33"),
}


def gc_tsn(golden: Golden) -> ModelSpec:
    """GC-TSN, or one calibrator alone."""
    return _spec(golden, {"net", "cdiv", "loop"}, _groups(golden.config))


def gc_tsm(golden: Golden) -> ModelSpec:
    """GC-TSM: it always shifts, unless the place is a word it does not know."""
    config = golden.config
    return _spec(golden, {"net", "cdiv", "loop"} | SHIFT, *_shift(config), _groups(config))


def gst(golden: Golden) -> ModelSpec:
    """GST and GST-Large."""
    return _spec(golden, {"alpha", "beta"}, _gst(golden.config))


def gc_gst(golden: Golden) -> ModelSpec:
    """GC-GST, whose script rotates the groups."""
    config = golden.config
    groups = gst_names.groups(config.get("cdiv", 4), loop=config.get("loop", True))
    assert config.get("net", "M4") == "M4", f"GC-GST has no single calibrator {config['net']}"
    return _spec(golden, {"net", "cdiv", "loop", "alpha", "beta"}, _gst(config), groups)


def earlier(golden: Golden) -> ModelSpec:
    """The earlier generation; its reduction is called r, or cdiv as the option is."""
    config = golden.config
    ops: tuple[TemporalOp, ...] = _shift(config) if config.get("base", "TSN") == "TSM" else ()
    if config.get("net"):
        gate, kernels = EARLIER[config["net"]]
        ops += (ECal(gate, config.get("r", config.get("cdiv", 16)), kernels),)
    return _spec(golden, {"base", "net", "r", "cdiv"} | SHIFT, *ops)


def _spec(golden: Golden, options: set[str], *ops: TemporalOp) -> ModelSpec:
    config = golden.config
    unknown = set(config) - COMMON - options
    assert not unknown, f"{golden.path.name}: no rule for config {sorted(unknown)}"
    assert config.get("modality", "RGB") == "RGB", "Group Contextualization takes RGB only"
    match = re.fullmatch(r"resnet(50|101|152)", config.get("arch", "resnet50"))
    assert match, f"no rule for arch '{config['arch']}'"
    return ModelSpec(
        encoder=ResNetSpec(int(match[1])),
        temporal=ops,
        num_segments=config.get("T", 8),
        heads=(Head("label", config.get("num_class", 174)),),
        dropout=config.get("dropout", 0.5),
        partial_bn=config.get("partial_bn", False),
    )


def _groups(config: dict[str, Any]) -> GroupContext:
    gates, cdiv = GATES[config.get("net", "M4")], config.get("cdiv", 4)
    return GroupContext(gates, cdiv=cdiv, loop=config.get("loop", False), variant=variant_of(cdiv))


def _shift(config: dict[str, Any]) -> tuple[TSM, ...]:
    places: dict[str, Literal["residual_in", "block_out"]]
    places = {"blockres": "residual_in", "block": "block_out"}
    place = places.get(config.get("place", "blockres"))
    return (TSM(config.get("shift_div", 8), place, alternate="stage"),) if place else ()


def _gst(config: dict[str, Any]) -> GST:
    return GST(config.get("alpha", 4), config.get("beta", 2))
