"""What Motionformer's configuration says, which lies beside the weights as `cfg`.

It is YAML, or the CfgNode itself. lmr-release, the copy for long-tailed data, has more keys.

VIT.NUM_HEADS, HEAD_ACT, DROP_PATH, APPROX_ATTN_TYPE and _DIM, USE_ORIGINAL_TRAJ_ATTN_CODE   model
EPICKITCHENS.VERB_NOUN_ALPHA                          the share of verbs in the loss, so its heads
TRAIN.DATASET, DATA.SAMPLING_RATE, TARGET_FPS         which frames, and at how many a second
DATA.TRAIN_CROP_SIZE, MEAN, STD, REVERSE_INPUT_CHANNEL         their pixels
TEST.NUM_ENSEMBLE_VIEWS, NUM_SPATIAL_CROPS            clips and crops of a test
VIT.DEPTH, EMBED_DIM, PATCH_SIZE, POS_EMBED, ...      as the tensors do
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any, Literal

import yaml

from marey.convert.repository import Settings, Told
from marey.errors import CheckpointError
from marey.models.encoders.attention import Trajectory
from marey.models.encoders.frame_attention import Orthoformer
from marey.models.encoders.motionformer import MotionformerSpec
from marey.models.video_model import ModelSpec

FPS, EPIC_FPS = 30, 60
"""Frames a second at which a stride counts; those of EPIC-KITCHENS are handed out at 60 or 50."""


def told(beside: Mapping[str, Any]) -> Told:
    """What the configuration beside the weights says; CheckpointError for a net not built here."""
    cfg = parsed(beside)
    if not part(cfg, "VIT"):
        return Told()
    _refuse(cfg)
    said = (
        {k: v for k, v in of.items() if v is not None} for of in (_settings(cfg), _tensors(cfg))
    )
    return Told(*said, usual=_of_two_sizes(part(cfg, "DATA")))


def parsed(beside: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration as plain values, empty where there is none.

    CheckpointError if it is text but no YAML.
    """
    cfg = beside.get("cfg", beside.get("config"))
    if isinstance(cfg, Namespace):
        cfg = vars(cfg)
    if isinstance(cfg, str):
        try:
            cfg = yaml.load(cfg, _PlainLoader)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise CheckpointError(
                f"its cfg cannot be read as YAML: {str(error).splitlines()[0]}",
                "save the state dict alone, and say what it does not tell by --set",
            ) from error
    return cfg if isinstance(cfg, Mapping) else {}


def part(cfg: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of the configuration, such as DATA; empty if it is not there."""
    found = cfg.get(name)
    return found if isinstance(found, Mapping) else {}


def data_of(cfg: Mapping[str, Any]) -> Literal["epic", "ssv2", "kinetics", ""]:
    """The data set by whose rules frames are taken, TRAIN.DATASET; empty where it says none."""
    name = str(part(cfg, "TRAIN").get("DATASET", "")).lower()
    if name.startswith("epic"):
        return "epic"
    if name.startswith(("ssv2", "something")):
        return "ssv2"
    return "kinetics" if name.startswith("kinetics") else ""


def activation(said: object) -> Literal["tanh", "gelu", "relu"]:
    """What VIT.HEAD_ACT means: of any other word than two it makes a ReLU."""
    match said:
        case "tanh" | "gelu":
            return said
    return "relu"


def assumed(spec: ModelSpec, settings: Settings, told: Told) -> tuple[str, ...]:  # noqa: ARG001
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
    if "mean" not in said:
        words.append("frames with mean 0.5 and deviation 0.5")
    if "channel_order" not in said:
        epic = spec.heads[0].name != "label"
        order = "BGR, as its code reads EPIC-KITCHENS" if epic else "RGB"
        words.append(f"colours in the order {order} (channel_order)")
    return tuple(words)


def _settings(cfg: Mapping[str, Any]) -> dict[str, Any]:
    vit, data, data_set = part(cfg, "VIT"), part(cfg, "DATA"), data_of(cfg)
    approximation = vit.get("APPROX_ATTN_TYPE", "none")
    original = vit.get("USE_ORIGINAL_TRAJ_ATTN_CODE", True)
    is_trajectory = vit.get("ATTN_LAYER", "trajectory") == "trajectory"
    return {
        "num_heads": vit.get("NUM_HEADS"),
        "activation": activation(vit.get("HEAD_ACT", "tanh")) if vit.get("USE_MLP") else None,
        "drop_path": vit.get("DROP_PATH"),
        "values": ("released" if original else "corrected") if is_trajectory else None,
        "approximation": approximation if is_trajectory else None,
        "landmarks": vit.get("APPROX_ATTN_DIM") if approximation != "none" else None,
        "trained": _trained(cfg) if data_set == "epic" else None,
        "size": data.get("TRAIN_CROP_SIZE"),
        "mean": _numbers(data.get("MEAN")),
        "std": _numbers(data.get("STD")),
        "channel_order": _channel_order(data, data_set),
        "crops": part(cfg, "TEST").get("NUM_SPATIAL_CROPS"),
        **_frames(cfg),
    }


def _of_two_sizes(data: Mapping[str, Any]) -> dict[str, str]:
    """Why the size of training is taken, where that of the test is another."""
    trained = data.get("TRAIN_CROP_SIZE")
    if trained is None or (tested := data.get("TEST_CROP_SIZE", trained)) == trained:
        return {}
    return {"size": f"TRAIN_CROP_SIZE, as its positions are; its TEST_CROP_SIZE {tested} is left"}


def _frames(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Something-Something's frames are spread over the video, all others a time apart."""
    data, data_set = part(cfg, "DATA"), data_of(cfg)
    if data_set == "ssv2":
        return {"sampling": "segments"}
    rate, target = data.get("SAMPLING_RATE"), data.get("TARGET_FPS", FPS)
    if not data_set or not isinstance(rate, int | float) or not isinstance(target, int | float):
        return {}
    stride = rate * (EPIC_FPS if data_set == "epic" else FPS) / target if target > 0 else 0
    return {
        "sampling": "dense",
        "stride": int(stride) if stride == int(stride) else stride,
        "clips": part(cfg, "TEST").get("NUM_ENSEMBLE_VIEWS"),
    }


def _trained(cfg: Mapping[str, Any]) -> str | None:
    """The heads whose share in the loss is more than 0; None where the configuration has none."""
    share = part(cfg, "EPICKITCHENS").get("VERB_NOUN_ALPHA")
    if not isinstance(share, int | float):
        return None
    return "verb" if share >= 1 else "both" if share > 0 else "noun"


def _channel_order(data: Mapping[str, Any], data_set: str) -> str | None:
    """OpenCV reads BGR, PyAV, for Kinetics alone, RGB; either may be reversed."""
    if not data_set:
        return None
    is_rgb = (data_set == "kinetics") != bool(data.get("REVERSE_INPUT_CHANNEL", False))
    return "rgb" if is_rgb else "bgr"


def _tensors(cfg: Mapping[str, Any]) -> dict[str, Any]:
    vit, data, data_set = part(cfg, "VIT"), part(cfg, "DATA"), data_of(cfg)
    return {
        "depth": vit.get("DEPTH"),
        "width": vit.get("EMBED_DIM"),
        "tubelet": vit.get("PATCH_SIZE_TEMP"),
        "times": vit.get("TEMPORAL_RESOLUTION"),
        "patch": vit.get("PATCH_SIZE"),
        "positions": vit.get("POS_EMBED"),
        "mlp_ratio": vit.get("MLP_RATIO"),
        "qkv_bias": vit.get("QKV_BIAS"),
        "pre_logits": vit.get("USE_MLP"),
        "attention": vit.get("ATTN_LAYER"),
        "frames": data.get("NUM_FRAMES"),
        "classifies": {"": None, "epic": "verbs and nouns"}.get(data_set, "one label"),
        "classes": part(cfg, "MODEL").get("NUM_CLASSES") if data_set not in ("", "epic") else None,
    }


def _numbers(value: object) -> tuple[float, ...] | None:
    if not isinstance(value, list | tuple):
        return None
    return tuple(value)


def _refuse(cfg: Mapping[str, Any]) -> None:
    """CheckpointError for what no Motionformer here has."""
    known: dict[tuple[str, str], tuple[object, ...]] = {
        ("VIT", "APPROX_ATTN_TYPE"): ("none", "orthoformer"),
        ("VIT", "ATTN_LAYER"): ("trajectory", "divided", "joint"),
        ("VIT", "POS_EMBED"): ("separate", "joint"),
        ("VIT", "NUM_EXPERTS"): (1,),
        ("VIT", "VIDEO_INPUT"): (True,),
        ("TEST", "NUM_SPATIAL_CROPS"): (3, 1),
    }
    for (of, name), values in known.items():
        if (value := part(cfg, of).get(name, values[0])) not in values:
            raise CheckpointError(
                f"its cfg says {of}.{name} {value!r}; known here: {', '.join(map(repr, values))}"
            )


class _PlainLoader(yaml.SafeLoader):
    """YAML without objects: tuples of Python's are lists, everything else of Python's is None."""


def _sequence(loader: yaml.SafeLoader, node: yaml.Node) -> list[Any]:
    assert isinstance(node, yaml.SequenceNode)
    return list(loader.construct_sequence(node))


_PlainLoader.add_constructor("tag:yaml.org,2002:python/tuple", _sequence)
_PlainLoader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
