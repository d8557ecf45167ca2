"""The constructor arguments of Group Contextualization, on TSN, TSM and GST, and of GST itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from marey.convert import gst as gst_names
from marey.convert.gc import variant_of
from marey.models import GST, TSM, ECal, GroupContext, Head, ModelSpec, ResNetSpec
from marey.models.sites import TemporalOp
from tests.parity.golden import Golden
from tests.parity.options import NotBuiltYet, options

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
    return _spec(golden, _groups(options(golden.config)))


def gc_tsm(golden: Golden) -> ModelSpec:
    """GC-TSM: it always shifts, unless the place is a word it does not know."""
    config = options(golden.config)
    return _spec(golden, *_shift(config), _groups(config))


def gst(golden: Golden) -> ModelSpec:
    """GST and GST-Large."""
    if golden.config.get("type", "GST") != "GST":
        raise NotBuiltYet(f"GST-video's {golden.config['type']}")
    return _spec(golden, _gst(options(golden.config)))


def gc_gst(golden: Golden) -> ModelSpec:
    """GC-GST, whose script rotates the groups."""
    config = options(golden.config)
    if config.get("net", "M4") != "M4":
        raise NotBuiltYet(f"GC-GST with the single calibrator {config['net']}")
    groups = gst_names.groups(config.get("cdiv", 4), loop=config.get("loop", True))
    return _spec(golden, _gst(config), groups)


def earlier(golden: Golden) -> ModelSpec:
    """The earlier generation; its reduction is called r, or cdiv as the option is."""
    config = options(golden.config)
    ops: tuple[TemporalOp, ...] = _shift(config) if config.get("base", "TSN") == "TSM" else ()
    if config.get("net"):
        gate, kernels = EARLIER[config["net"]]
        ops += (ECal(gate, config.get("r", config.get("cdiv", 16)), kernels),)
    return _spec(golden, *ops)


def _spec(golden: Golden, *ops: TemporalOp) -> ModelSpec:
    config = options(golden.config)
    if config.get("modality", "RGB").lower() != "rgb":
        raise NotBuiltYet(f"{golden.builder} on {config['modality']}")
    match = re.fullmatch(r"resnet(\d+)", config.get("arch", "resnet50"))
    if not match:
        raise NotBuiltYet(f"{golden.builder} on {config['arch']}")
    return ModelSpec(
        encoder=ResNetSpec(int(match[1])),
        temporal=ops,
        num_segments=config.get("T", 8),
        heads=(Head("label", config.get("num_class", 174)),),
        dropout=config.get("dropout", 0.5),
        partial_bn=config.get("partial_bn", False),
    )


def _groups(config: Mapping[str, Any]) -> GroupContext:
    gates, cdiv = GATES[config.get("net", "M4")], config.get("cdiv", 4)
    return GroupContext(gates, cdiv=cdiv, loop=config.get("loop", False), variant=variant_of(cdiv))


def _shift(config: Mapping[str, Any]) -> tuple[TSM, ...]:
    places: dict[str, Literal["residual_in", "block_out"]]
    places = {"blockres": "residual_in", "block": "block_out"}
    place = places.get(config.get("place", "blockres"))
    return (TSM(config.get("shift_div", 8), place, alternate="stage"),) if place else ()


def _gst(config: Mapping[str, Any]) -> GST:
    return GST(config.get("alpha", 4), config.get("beta", 2))
