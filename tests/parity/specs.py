"""From the constructor arguments of the originals to a `ModelSpec`, by general rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from marey.convert import arp, biglittle, blvnet, gc, gst, motionformer, tdn, tsm
from marey.models import (
    TSM,
    BNInceptionSpec,
    Head,
    MobileNetV2Spec,
    ModelSpec,
    NonLocal,
    ResNetSpec,
    TemporalPool,
)
from marey.models.encoder import Encoder
from marey.models.sites import TemporalOp
from tests.parity import specs_blvnet, specs_gc, specs_motionformer, specs_tdn
from tests.parity.golden import Golden
from tests.parity.options import NotBuiltYet, options


def not_built_yet(golden: Golden) -> str:
    """The name of what this file needs and we have not; empty if we can build its model."""
    if golden.builder not in RULES:
        return golden.builder
    try:
        spec_of(golden)
    except NotBuiltYet as error:
        return str(error)
    return ""


def differs_on_purpose(golden: Golden) -> str:
    """The fault of upstream, mended here, that this file has in its numbers; mostly none."""
    config = said(golden)
    partial_bn = golden.is_training and config.get("partial_bn")
    if config.get("nl") and config.get("tpool"):
        return "upstream's non-local block mixes clips once time is pooled"
    if config.get("nl") and partial_bn:
        return "upstream never trains the non-local norm under partial batch norm"
    if golden.builder in ("tdn", "gc_tdn") and partial_bn:
        return "upstream freezes the norms of the long-term module, which ImageNet does not know"
    if golden.is_training and golden.builder.startswith("gc_") and config.get("fc_lr5"):
        return "upstream's group lr10_bias has five times the rate"
    if golden.builder == "arp.resnet" and not config.get("without_t_stride", False):
        halvings = 3 if config.get("temporal_module_name") == "TAM" else 2
        if config["groups"] % 2**halvings:
            return "upstream tells what follows an odd number of pooled frames one too few"
    if golden.builder == "v0" and str(config.get("net")).startswith("S") and partial_bn:
        return "upstream freezes the 2-D norms of calibrators, which ImageNet does not know"
    return ""


def said(golden: Golden) -> dict[str, Any]:
    """The options of a file, those of Group Contextualization's family by our words."""
    return options(golden.config) if golden.family == "gc" else golden.config


def learns_head_fast(golden: Golden) -> bool:
    """Whether heads learn five times as fast (upstream's `fc_lr5`)."""
    return bool(said(golden).get("fc_lr5", False))


def calibrator_lr_of(golden: Golden) -> Literal[1, 2, 5]:
    """How fast calibrators learn (upstream's `ef_lr5`), which files of GC do not always say."""
    multiples: dict[str, Literal[2, 5]]
    multiples = {"v0": 2, "gc_tsn": 5, "gc_tsm": 5, "gc_gst": 5, "gc_tdn": 5}
    asked = said(golden).get("ef_lr5", golden.builder != "v0")
    return multiples.get(golden.builder, 1) if asked else 1


def spec_of(golden: Golden) -> ModelSpec:
    """Our spec of the model in a golden file."""
    return RULES[golden.builder].spec(golden)


def rename_of(golden: Golden) -> Callable[[str], str | None]:
    """From upstream's names of tensors and modules to ours."""
    return RULES[golden.builder].rename


def _tsm(golden: Golden) -> ModelSpec:
    config = options(golden.config)
    return ModelSpec(
        encoder=_encoder(
            config.get("arch", "resnet50"), _channels(config), config.get("width_mult", 1.0)
        ),
        temporal=_tsm_ops(config),
        num_segments=config.get("T", 8),
        heads=(Head("label", config.get("num_class", 174)),),
        dropout=config.get("dropout", 0.5),
        partial_bn=config.get("partial_bn", False),
    )


def _channels(config: Mapping[str, Any]) -> int:
    """Of a frame: RGB, or (x, y) of each of the flow fields that make one."""
    modality = config.get("modality", "RGB").lower()
    if modality not in ("rgb", "flow"):
        raise NotBuiltYet(f"modality {config['modality']}")
    return 3 if modality == "rgb" else 2 * config.get("new_length", 5)


def _encoder(arch: str, channels: int, width: float = 1.0) -> Encoder:
    if arch in ("mobilenetv2", "mobilenet_v2"):
        return MobileNetV2Spec(width, in_channels=channels, rounding="up")
    if arch == "BNInception":
        return BNInceptionSpec(channels)
    arch = re.sub(r"^wide_resnet(\d+)_2$", r"resnet\1_1x128d", arch)
    match = re.fullmatch(r"resne(?:t|xt|t_x)(\d+)(?:_(\d+)x(\d+)d)?", arch)
    if not match:
        raise NotBuiltYet(f"arch {arch}")
    depth, groups, width = match.groups()
    return ResNetSpec(int(depth), int(groups or 1), int(width or 64), in_channels=channels)


def _tsm_ops(config: Mapping[str, Any]) -> tuple[TemporalOp, ...]:
    """temporal-shift-module: MobileNetV2 knows one place; only "blockres" is ever thinned out."""
    ops: list[TemporalOp] = []
    shift_div, place = config.get("shift_div", 8), config.get("place", "blockres")
    if config.get("shift", True):
        if config.get("arch") == "BNInception":
            if "blockres" in place:
                raise NotBuiltYet("blockres of BNInception")
            ops += [TSM(shift_div, place="block_in")] if place == "block" else []
        elif "blockres" in place or str(config.get("arch")).startswith("mobilenet"):
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
    config = options(golden.config)
    return ModelSpec(
        encoder=MobileNetV2Spec(config.get("width_mult", 1.0), rounding="up"),
        temporal=(TSM(config.get("shift_div", 8), direction="past"),),
        num_segments=golden.values["input_shape"][0],
        heads=(Head("label", config.get("num_class", 1000)),),
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
    "arp.inception_v1": Rule(specs_blvnet.arp_inception, arp.rename),
    **dict.fromkeys(
        ("arp.i3d_resnet", "arp.s3d_resnet", "arp.i3d", "arp.s3d"),
        Rule(specs_blvnet.arp_on_clips, arp.rename),
    ),
    "bLVNet_TAM": Rule(specs_blvnet.blvnet, blvnet.rename),
    "blresnet_model": Rule(specs_blvnet.blresnet, biglittle.rename),
    "blresnext_model": Rule(specs_blvnet.blresnet, biglittle.rename),
    "motionformer": Rule(specs_motionformer.spec, motionformer.rename),
    "lmr-motionformer": Rule(specs_motionformer.spec, motionformer.rename),
}
"""Builder -> rule; a builder that is not here is not built yet."""
