"""From the constructor arguments of the originals to a `ModelSpec`, by general rules."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from marey.convert import arp, biglittle, blvnet, gc, gst, motionformer, tdn, tsm
from marey.models import TSM, Head, MobileNetV2Spec, ModelSpec, NonLocal, ResNetSpec, TemporalPool
from marey.models.encoder import Encoder
from marey.models.sites import TemporalOp
from tests.parity import specs_blvnet, specs_gc, specs_motionformer, specs_tdn
from tests.parity.golden import Golden

KNOWN = {
    *("T", "num_class", "arch", "modality", "new_length", "dropout", "partial_bn", "fc_lr5"),
    *("shift", "shift_div", "place", "tpool", "nl", "n_class", "width_mult"),
}


def not_built_yet(golden: Golden) -> str:
    """The name of what this file needs and we have not; empty if we can build its model."""
    return "" if golden.builder in RULES else golden.builder


def differs_on_purpose(golden: Golden) -> str:
    """The fault of upstream, mended here, that this file has in its numbers; mostly none."""
    if golden.config.get("nl") and golden.config.get("tpool"):
        return "upstream's non-local block mixes clips once time is pooled"
    if golden.config.get("nl") and golden.config.get("partial_bn"):
        return "upstream never trains the non-local norm under partial batch norm"
    if golden.builder in ("tdn", "gc_tdn") and golden.config.get("partial_bn"):
        return "upstream freezes the norms of the long-term module, which ImageNet does not know"
    if golden.is_training and golden.builder.startswith("gc_") and golden.config.get("fc_lr5"):
        return "upstream's group lr10_bias has five times the rate"
    if golden.builder == "arp.resnet" and not golden.config["without_t_stride"]:
        halvings = 3 if golden.config["temporal_module_name"] == "TAM" else 2
        if golden.config["groups"] % 2**halvings:
            return "upstream tells what follows an odd number of pooled frames one too few"
    is_spatial = golden.builder == "v0" and str(golden.config.get("net")).startswith("S")
    if golden.is_training and is_spatial and golden.config.get("partial_bn"):
        return "upstream freezes the 2-D norms of calibrators, which ImageNet does not know"
    return ""


def calibrator_lr_of(golden: Golden) -> Literal[1, 2, 5]:
    """How fast calibrators learn (upstream's `ef_lr5`), which files of GC do not always say."""
    multiples: dict[str, Literal[2, 5]]
    multiples = {"v0": 2, "gc_tsn": 5, "gc_tsm": 5, "gc_gst": 5, "gc_tdn": 5}
    asked = golden.config.get("ef_lr5", golden.builder != "v0")
    return multiples.get(golden.builder, 1) if asked else 1


def spec_of(golden: Golden) -> ModelSpec:
    """Our spec of the model in a golden file."""
    return RULES[golden.builder].spec(golden)


def rename_of(golden: Golden) -> Callable[[str], str | None]:
    """From upstream's names of tensors and modules to ours."""
    return RULES[golden.builder].rename


def _tsm(golden: Golden) -> ModelSpec:
    config = golden.config
    unknown = set(config) - KNOWN
    assert not unknown, f"{golden.path.name}: no rule for config {sorted(unknown)}"
    is_flow = config.get("modality", "RGB") == "Flow"
    channels = 2 * config.get("new_length", 5) if is_flow else 3  # (x, y) of each field
    return ModelSpec(
        encoder=_encoder(config.get("arch", "resnet50"), channels),
        temporal=_tsm_ops(config),
        num_segments=config.get("T", 8),
        heads=(Head("label", config.get("num_class", 174)),),
        dropout=config.get("dropout", 0.5),
        partial_bn=config.get("partial_bn", False),
    )


def _encoder(arch: str, channels: int) -> Encoder:
    if arch == "mobilenetv2":
        return MobileNetV2Spec(in_channels=channels, rounding="up")
    arch = re.sub(r"^wide_resnet(\d+)_2$", r"resnet\1_1x128d", arch)
    match = re.fullmatch(r"resne(?:t|xt|t_x)(\d+)(?:_(\d+)x(\d+)d)?", arch)
    assert match, f"no rule for arch '{arch}'"
    depth, groups, width = match.groups()
    return ResNetSpec(int(depth), int(groups or 1), int(width or 64), in_channels=channels)


def _tsm_ops(config: dict[str, Any]) -> tuple[TemporalOp, ...]:
    """temporal-shift-module: MobileNetV2 knows one place; only "blockres" is ever thinned out."""
    ops: list[TemporalOp] = []
    shift_div, place = config.get("shift_div", 8), config.get("place", "blockres")
    if config.get("shift", True):
        if "blockres" in place or config.get("arch") == "mobilenetv2":
            ops.append(TSM(shift_div, place="residual_in", alternate="network"))
        elif place == "block":
            ops.append(TSM(shift_div, place="block_in", alternate="none"))
    if config.get("tpool"):
        ops.append(TemporalPool(stage=1))
    if config.get("nl"):
        ops.append(NonLocal(stages=(1, 2)))
    return tuple(ops)


def _online(golden: Golden) -> ModelSpec:
    """The streaming MobileNetV2 equals the clip form that shifts from the past only."""
    config = golden.config
    return ModelSpec(
        encoder=MobileNetV2Spec(config.get("width_mult", 1.0), rounding="up"),
        temporal=(TSM(direction="past"),),
        num_segments=golden.values["input_shape"][0],
        heads=(Head("label", config["n_class"]),),
    )


@dataclass(frozen=True)
class Rule:
    """How the files of one builder are read."""

    spec: Callable[[Golden], ModelSpec]
    rename: Callable[[str], str | None]


RULES = {
    "tsm": Rule(_tsm, tsm.rename),
    "gc_tsn": Rule(specs_gc.gc_tsn, gc.rename),
    "gc_tsm": Rule(specs_gc.gc_tsm, gc.rename),
    "gc_gst": Rule(specs_gc.gc_gst, gst.rename),
    "gst": Rule(specs_gc.gst, gst.rename),
    "v0": Rule(specs_gc.earlier, gc.rename_earlier),
    "online": Rule(_online, tsm.rename),
    "tdn": Rule(specs_tdn.spec, tdn.rename),
    "gc_tdn": Rule(specs_tdn.spec, tdn.rename),
    "arp.resnet": Rule(specs_blvnet.arp_resnet, arp.rename),
    "arp.i3d_resnet": Rule(specs_blvnet.arp_i3d_resnet, arp.rename),
    "bLVNet_TAM": Rule(specs_blvnet.blvnet, blvnet.rename),
    "blresnet_model": Rule(specs_blvnet.blresnet, biglittle.rename),
    "blresnext_model": Rule(specs_blvnet.blresnet, biglittle.rename),
    "motionformer": Rule(specs_motionformer.spec, motionformer.rename),
    "lmr-motionformer": Rule(specs_motionformer.spec, motionformer.rename),
}
"""Builder -> rule; a builder that is not here is not built yet."""
