"""The configurations of Motionformer and of lmr-release, which differ in names only."""

from __future__ import annotations

from typing import Any

from marey.models import (
    Divided,
    Exact,
    Head,
    Joint,
    ModelSpec,
    MotionformerSpec,
    Nystrom,
    Orthoformer,
    Performer,
    Trajectory,
)
from marey.models.encoders.attention import Attention
from marey.models.encoders.frame_attention import FrameAttention
from tests.parity.golden import Golden

KNOWN = {
    *("VIT.DEPTH", "VIT.EMBED_DIM", "VIT.NUM_HEADS", "VIT.ATTN_LAYER", "VIT.PATCH_SIZE_TEMP"),
    *("VIT.USE_ORIGINAL_TRAJ_ATTN_CODE", "VIT.APPROX_ATTN_TYPE", "VIT.APPROX_ATTN_DIM"),
    *("VIT.USE_MLP", "DATA.TRAIN_CROP_SIZE", "DATA.NUM_FRAMES", "TRAIN.DATASET"),
    *("MODEL.NUM_CLASSES", "SSV2.TRAIN_COUNTS"),
}


def spec(golden: Golden) -> ModelSpec:
    """Our spec; a clip's size is that of the input."""
    config = golden.config
    unknown = set(config) - KNOWN
    assert not unknown, f"{golden.path.name}: no rule for config {sorted(unknown)}"
    is_epic = config["TRAIN.DATASET"] == "Epickitchens"
    return ModelSpec(
        encoder=MotionformerSpec(
            attention=_attention(config),
            depth=config["VIT.DEPTH"],
            width=config.get("VIT.EMBED_DIM", 768),
            num_heads=config.get("VIT.NUM_HEADS", 12),
            tubelet=config.get("VIT.PATCH_SIZE_TEMP", 2),
            pre_logits=config.get("VIT.USE_MLP", True),
        ),
        num_segments=config.get("DATA.NUM_FRAMES", 16),
        heads=(Head("verb", 97), Head("noun", 300))
        if is_epic
        else (Head("label", config["MODEL.NUM_CLASSES"]),),
        dropout=0.0,
    )


def _attention(config: dict[str, Any]) -> Attention:
    if config["VIT.ATTN_LAYER"] != "trajectory":
        return {"divided": Divided(), "joint": Joint()}[config["VIT.ATTN_LAYER"]]
    released = config.get("VIT.USE_ORIGINAL_TRAJ_ATTN_CODE", True)
    return Trajectory("released" if released else "corrected", _frames(config))


def _frames(config: dict[str, Any]) -> FrameAttention:
    size = config.get("VIT.APPROX_ATTN_DIM", 128)
    match config.get("VIT.APPROX_ATTN_TYPE"):
        case "orthoformer":
            return Orthoformer(size, start="random")
        case "nystrom":
            return Nystrom(size)
        case "performer":
            return Performer(size)
    return Exact()
