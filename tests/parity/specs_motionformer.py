"""The configurations of Motionformer and of lmr-release, which differ in names only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marey.convert.motionformer_cfg import activation
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
from tests.parity.options import NotBuiltYet, check_known, only

MODEL = {
    *("VIT.DEPTH", "VIT.EMBED_DIM", "VIT.NUM_HEADS", "VIT.ATTN_LAYER", "VIT.PATCH_SIZE_TEMP"),
    *("VIT.USE_ORIGINAL_TRAJ_ATTN_CODE", "VIT.APPROX_ATTN_TYPE", "VIT.APPROX_ATTN_DIM"),
    *("VIT.USE_MLP", "VIT.HEAD_ACT", "VIT.POS_EMBED", "VIT.TEMPORAL_RESOLUTION", "VIT.PATCH_SIZE"),
    *("VIT.MLP_RATIO", "VIT.QKV_BIAS", "VIT.CHANNELS", "VIT.DROP_PATH", "VIT.HEAD_DROPOUT"),
    *("DATA.NUM_FRAMES", "DATA.TRAIN_CROP_SIZE", "DATA.INPUT_CHANNEL_NUM"),
    *("MODEL.NUM_CLASSES", "TRAIN.DATASET"),
}
"""What decides the network; its clips have the size of the file's input."""
INERT_PARTS = (
    *("TRAIN", "TEST", "SOLVER", "AUG", "MIXUP", "EPICKITCHENS", "SSV2", "BN", "DETECTION"),
    *("DATA", "DATA_LOADER", "MULTIGRID", "TENSORBOARD", "BENCHMARK", "DEMO", "AVA"),
    *("RESNET", "SLOWFAST", "NONLOCAL"),
)
"""Parts of a configuration that speak of training and data, or of PySlowFast's other networks."""
INERT = {
    *("NUM_GPUS", "NUM_SHARDS", "SHARD_ID", "OUTPUT_DIR", "RNG_SEED", "LOG_PERIOD", "DESCRIPTION"),
    *("VIT.IM_PRETRAINED", "VIT.PRETRAINED_WEIGHTS", "VIT.DROP", "VIT.POS_DROPOUT"),
    *("VIT.ATTN_DROPOUT", "VIT.NUM_EXPERT_BLOCKS", "MODEL.MODEL_NAME", "MODEL.ARCH"),
    *("MODEL.LOSS_FUNC", "MODEL.DROPOUT_RATE", "MODEL.HEAD_ACT", "MODEL.SINGLE_PATHWAY_ARCH"),
    *("MODEL.MULTI_PATHWAY_ARCH", "DIST_BACKEND", "LOG_MODEL_INFO"),
}
ONLY: Mapping[str, tuple[object, ...]] = {
    "VIT.VIDEO_INPUT": (True,),
    "VIT.NUM_EXPERTS": (1,),
    "VIT.POS_EMBED": ("separate", "joint"),
}


def spec(golden: Golden) -> ModelSpec:
    """Our spec; a clip's size is that of the input."""
    config = golden.config
    used = {name for name in config if name.partition(".")[0] not in INERT_PARTS or name in MODEL}
    check_known(used, {*MODEL, *INERT, *ONLY})
    only(config, ONLY)
    tubelet = config.get("VIT.PATCH_SIZE_TEMP", 2)
    frames = config.get("DATA.NUM_FRAMES", golden.values["input_shape"][2])
    times = config.get("VIT.TEMPORAL_RESOLUTION", frames // tubelet)
    assert times == frames // tubelet, f"{frames} frames have no {times} times"
    is_epic = config.get("TRAIN.DATASET") == "Epickitchens"
    return ModelSpec(
        encoder=MotionformerSpec(
            attention=_attention(config),
            depth=config.get("VIT.DEPTH", 12),
            width=config.get("VIT.EMBED_DIM", 768),
            num_heads=config.get("VIT.NUM_HEADS", 12),
            tubelet=tubelet,
            pre_logits=config.get("VIT.USE_MLP", True),
            drop_path=config.get("VIT.DROP_PATH", 0.2),
            in_channels=config.get("VIT.CHANNELS", 3),
            activation=activation(config.get("VIT.HEAD_ACT", "tanh")),
            positions=config.get("VIT.POS_EMBED", "separate"),
            patch=config.get("VIT.PATCH_SIZE", 16),
            mlp_ratio=config.get("VIT.MLP_RATIO", 4),
            qkv_bias=config.get("VIT.QKV_BIAS", True),
        ),
        num_segments=frames,
        heads=(Head("verb", 97), Head("noun", 300))
        if is_epic
        else (Head("label", config.get("MODEL.NUM_CLASSES", 400)),),
        dropout=config.get("VIT.HEAD_DROPOUT", 0.0),
    )


def _attention(config: dict[str, Any]) -> Attention:
    layer = config.get("VIT.ATTN_LAYER", "trajectory")
    if layer != "trajectory":
        return {"divided": Divided(), "joint": Joint()}[layer]
    released = config.get("VIT.USE_ORIGINAL_TRAJ_ATTN_CODE", True)
    return Trajectory("released" if released else "corrected", _frames(config))


def _frames(config: dict[str, Any]) -> FrameAttention:
    size = config.get("VIT.APPROX_ATTN_DIM", 128)
    match config.get("VIT.APPROX_ATTN_TYPE", "none"):
        case "orthoformer":
            return Orthoformer(size, start="random")
        case "nystrom":
            return Nystrom(size)
        case "performer":
            return Performer(size)
        case "none":
            return Exact()
        case unknown:
            raise NotBuiltYet(f"VIT.APPROX_ATTN_TYPE {unknown!r}")
