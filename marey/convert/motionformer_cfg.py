"""What Motionformer's configuration says, which lies beside the weights as YAML (`cfg`).

VIT.NUM_HEADS, HEAD_ACT, APPROX_ATTN_TYPE and _DIM, USE_ORIGINAL_TRAJ_ATTN_CODE   the model
DATA.TRAIN_CROP_SIZE, SAMPLING_RATE, TRAIN.DATASET                                its clips
VIT.DEPTH, EMBED_DIM, PATCH_SIZE_TEMP, ATTN_LAYER, DATA.NUM_FRAMES                as the tensors do
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import yaml

from marey.convert.repository import Settings, Told
from marey.errors import CheckpointError
from marey.models.encoders.attention import Trajectory
from marey.models.encoders.frame_attention import Orthoformer
from marey.models.encoders.motionformer import MotionformerSpec
from marey.models.video_model import ModelSpec


def told(beside: Mapping[str, Any]) -> Told:
    """What the entry `cfg` of the checkpoint says; CheckpointError for a net that is not built."""
    cfg = _parsed(beside.get("cfg"))
    vit, data, train = (_part(cfg, name) for name in ("VIT", "DATA", "TRAIN"))
    if not vit:
        return Told()
    _refuse(vit, data)
    approximation = vit.get("APPROX_ATTN_TYPE", "none")
    original = vit.get("USE_ORIGINAL_TRAJ_ATTN_CODE", True)
    is_trajectory = vit.get("ATTN_LAYER", "trajectory") == "trajectory"
    settings = {
        "num_heads": vit.get("NUM_HEADS"),
        "activation": activation(vit.get("HEAD_ACT", "tanh")) if vit.get("USE_MLP") else None,
        "values": ("released" if original else "corrected") if is_trajectory else None,
        "approximation": approximation if is_trajectory else None,
        "landmarks": vit.get("APPROX_ATTN_DIM") if approximation != "none" else None,
        "size": data.get("TRAIN_CROP_SIZE"),
        "stride": _stride(str(train.get("DATASET", "")).lower(), data.get("SAMPLING_RATE")),
    }
    tensors = {
        "depth": vit.get("DEPTH"),
        "width": vit.get("EMBED_DIM"),
        "tubelet": vit.get("PATCH_SIZE_TEMP"),
        "attention": vit.get("ATTN_LAYER"),
        "frames": data.get("NUM_FRAMES"),
    }
    return Told(*({k: v for k, v in said.items() if v is not None} for said in (settings, tensors)))


def assumed(spec: ModelSpec, settings: Settings, told: Told) -> tuple[str, ...]:
    """What is as in the published models, where nothing says so."""
    encoder = spec.encoder
    assert isinstance(encoder, MotionformerSpec)
    said = settings.given()
    words = []
    if encoder.pre_logits and "activation" not in said:
        words.append("tanh before the classifier (activation)")
    if isinstance(encoder.attention, Trajectory) and "approximation" not in said:
        words.append("exact attention (approximation=none)")
    if isinstance(encoder.attention, Trajectory) and isinstance(
        encoder.attention.frames, Orthoformer
    ):
        words.append("the Orthoformer's first landmark is the first token; theirs is drawn")
    if "num_heads" not in said:
        words.append(f"{encoder.num_heads} heads of attention, 64 channels each (num_heads)")
    if not told.by_tensors:
        words.append("frames with mean 0.5 and deviation 0.5")
    return tuple(words)


def _parsed(cfg: object) -> Mapping[str, Any]:
    """The configuration as plain values; empty where it is no YAML of a mapping."""
    if isinstance(cfg, str):
        try:
            cfg = yaml.safe_load(cfg)
        except (yaml.YAMLError, ValueError, RecursionError):
            return {}
    return cfg if isinstance(cfg, dict) else {}


def _part(cfg: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = cfg.get(name)
    return part if isinstance(part, dict) else {}


def _refuse(vit: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """CheckpointError for what no Motionformer here has."""
    known: dict[str, tuple[object, ...]] = {
        "PATCH_SIZE": (16,),
        "MLP_RATIO": (4,),
        "QKV_BIAS": (True,),
        "POS_EMBED": ("separate",),
        "APPROX_ATTN_TYPE": ("none", "orthoformer"),
        "ATTN_LAYER": ("trajectory", "divided", "joint"),
    }
    for name, values in known.items():
        if (value := vit.get(name, values[0])) not in values:
            raise CheckpointError(
                f"its cfg says VIT.{name} {value!r}; known here: {', '.join(map(repr, values))}"
            )
    for name in ("MEAN", "STD"):
        value = data.get(name, [0.5])
        if not isinstance(value, list) or any(number != 0.5 for number in value):
            raise CheckpointError(f"its cfg says DATA.{name} {value!r}; known here: 0.5")


def activation(said: object) -> Literal["tanh", "gelu", "relu"]:
    """What VIT.HEAD_ACT means: of any other word than two it makes a ReLU."""
    match said:
        case "tanh" | "gelu":
            return said
    return "relu"


def _stride(dataset: str, rate: object) -> int | None:
    """Frames from one to the next; EPIC's are 60 a second, counted as if they were 30."""
    if not isinstance(rate, int) or dataset.startswith("ssv2"):
        return None
    return rate * (2 if dataset.startswith("epic") else 1)
