"""Motionformer, and lmr-release, its copy with a long tail.

patch_embed_3d.proj.*      patches of two frames; the 2-D patch_embed beside them meets no clip
blocks.0.attn.proj_kv.*    keys and values along trajectories, in one tensor
pre_logits.fc.*            linear, tanh; in lmr-release a list over experts: pre_logits.0.fc.*
head.* | head0.* head1.*   the classifier; EPIC's verbs and nouns; in lmr-release head.0.* and so on
device_param, fst_classes, class_counts      settings of lmr-release, kept as weights: dropped

What changes no result is dropped too: 590,592 weights of patch_embed, the key bias, the values that
the released attention computes and does not use, the trajectories of the last block, of which only
CLS is read. EPIC's models were trained on OpenCV's frames: they take BGR.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from marey.convert import motionformer_cfg
from marey.convert.repository import Repository, Settings, Shapes
from marey.errors import CheckpointError
from marey.models.encoders.attention import Attention, Divided, Joint, Trajectory
from marey.models.encoders.frame_attention import Exact, FrameAttention, Orthoformer
from marey.models.encoders.motionformer import MotionformerSpec
from marey.models.video_model import Head, ModelSpec
from marey.recipes.recipe import Recipe, TestViews, Views
from marey.video.augment import Augment
from marey.video.motionformer_crops import JitteredCrop, UniformCrop
from marey.video.sampling.motionformer import RoundedSegments, TimedClips
from marey.video.sampling.segments import Sampling

_HEADS = {"head": "label", "head0": "verb", "head1": "noun"}
_EXTRAS = ("device_param", "fst_classes", "class_counts")
_UNUSED = "unused."


def rename(name: str) -> str | None:
    """Our name of one of its tensors or modules, taken apart by `parts`; None if it is dropped."""
    if name in _EXTRAS or name.startswith(_UNUSED):
        return None
    name = re.sub(r"^(pre_logits|head[01]?)\.0(?=\.|$)", r"\1", name)
    if match := re.match(r"(head[01]?)(?=\.|$)", name):
        return f"heads.{_HEADS[match[1]]}{name.removeprefix(match[1])}"
    return "encoder." + re.sub(r"^patch_embed(_3d)?\.proj(?=\.|$)", "patch_embed", name)


def parts(weights: Mapping[str, Tensor], spec: ModelSpec) -> dict[str, Tensor]:
    """`weights` with keys apart from values, and ``unused.`` before what changes no result."""
    encoder = spec.encoder
    assert isinstance(encoder, MotionformerSpec)
    apart: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if ".attn.proj_kv." in name and weight.ndim:
            apart[name.replace("proj_kv", "proj_k")] = weight[: encoder.width]
            apart[name.replace("proj_kv", "proj_v")] = weight[encoder.width :]
        elif name == "patch_embed.proj.weight" and weight.ndim == 4:
            apart[name] = weight.unsqueeze(2)  # patches of one frame, as ours are of `tubelet`
        else:
            apart[name] = weight
    unused = _unused(encoder)
    return {f"{_UNUSED}{name}" if unused.match(name) else name: w for name, w in apart.items()}


def recipe_of(spec: ModelSpec, name: str, settings: Settings) -> Recipe:
    """Clips at ten times and three places, just as it was tested; EPIC's models take BGR."""
    size, is_epic = settings.size or 224, len(spec.heads) > 1
    frames: Sampling = RoundedSegments(spec.frames)
    if settings.stride and is_epic:  # its frames are handed out at 60 a second
        frames = TimedClips(spec.frames, settings.stride, 60, 10, "upstream-epic")
    elif settings.stride:
        frames = TimedClips(spec.frames, settings.stride, 30, 10, "upstream")
    return Recipe(
        name=name,
        model=spec,
        train=Views(frames, JitteredCrop(size, (size * 8 // 7, size * 10 // 7))),
        test=TestViews(frames, UniformCrop(size, size, antialias=False), average="probs"),
        augment=Augment(mean=(0.5,), std=(0.5,), channel_order="bgr" if is_epic else "rgb"),
    )


def _unused(encoder: MotionformerSpec) -> re.Pattern[str]:
    names = [
        "patch_embed.proj" if encoder.tubelet > 1 else "patch_embed_3d",
        *(["pos_embed"] if encoder.positions == "joint" else []),
        rf"blocks.{encoder.depth - 1}.attn.proj_[qkv]",
        r"blocks.\d+.attn.proj_k.bias",
    ]
    if isinstance(encoder.attention, Trajectory) and encoder.attention.values == "released":
        names.append(r"blocks.\d+.attn.proj_v")
    return re.compile("|".join(rf"{name.replace('.', '[.]')}(?=[.]|$)" for name in names))


def _recognises(shapes: Shapes) -> bool:
    return "patch_embed_3d.proj.weight" in shapes and "blocks.0.attn.qkv.weight" in shapes


def _spec(_: Shapes, shapes: Shapes, settings: Settings) -> ModelSpec:
    width = shapes["blocks.0.attn.proj.weight"][0]
    attention = _attention(shapes, settings)
    settings.need("size", *([] if width in (768, 1024) else ["num_heads"]))
    patch = shapes["patch_embed_3d.proj.weight"]  # [d c t h w]
    encoder = MotionformerSpec(
        attention=attention,
        depth=sum(name.endswith(".norm1.weight") for name in shapes),
        width=width,
        num_heads=settings.num_heads or width // 64,
        tubelet=patch[2],
        pre_logits=any(name.startswith("pre_logits.") for name in shapes),
        in_channels=patch[1],
        activation=settings.activation or "tanh",
        positions="joint" if "st_embed" in shapes else "separate",
        patch=patch[3],
        mlp_ratio=shapes["blocks.0.mlp.fc1.weight"][0] / width,
        qkv_bias="blocks.0.attn.qkv.bias" in shapes,
    )
    frames, heads = _times(encoder, shapes) * encoder.tubelet, _heads(shapes)
    return ModelSpec(encoder, (), num_segments=frames, heads=heads, dropout=0.0, head_std=0.02)


def _times(encoder: MotionformerSpec, shapes: Shapes) -> int:
    """How many tokens lie behind one another in time."""
    if encoder.positions == "joint":
        return (shapes["st_embed"][1] - 1) // encoder.grid**2
    return shapes["temp_embed"][1]


def _attention(shapes: Shapes, settings: Settings) -> Attention:
    if any(".timeattn." in name for name in shapes):
        return Divided()
    if not any(".proj_kv." in name for name in shapes):
        return Joint()
    settings.need("values", "size")
    assert settings.values is not None
    return Trajectory(settings.values, _frames(settings))


def _frames(settings: Settings) -> FrameAttention:
    if settings.approximation in (None, "none"):
        return Exact()
    settings.need("landmarks")
    assert settings.landmarks is not None
    return Orthoformer(settings.landmarks)


def _heads(shapes: Shapes) -> tuple[Head, ...]:
    heads = [
        Head(ours, shape[0])
        for theirs, ours in _HEADS.items()
        if (shape := shapes.get(f"{theirs}.weight") or shapes.get(f"{theirs}.0.weight"))
    ]
    if not heads:
        raise CheckpointError("it has no classifier, so nothing could be predicted with it")
    return tuple(heads)


REPOSITORY = Repository(
    name="motionformer",
    recognises=_recognises,
    rename=rename,
    spec=_spec,
    parts=parts,
    told=motionformer_cfg.told,
    assumed=motionformer_cfg.assumed,
)
"""facebookresearch/Motionformer and tobyperrett/lmr-release, one expert."""
