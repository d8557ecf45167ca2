"""Motionformer, and lmr-release, its copy with a long tail.

patch_embed_3d.proj.*      patches of two frames; the 2-D patch_embed beside them meets no clip
blocks.0.attn.proj_kv.*    keys and values along trajectories, in one tensor
pre_logits.fc.*            linear, tanh; in lmr-release a list over experts: pre_logits.0.fc.*
head.* | head0.* head1.*   the classifier; EPIC's verbs and nouns; in lmr-release head.0.* and so on
device_param, fst_classes, class_counts      settings of lmr-release, kept as weights: dropped

What changes no result is dropped too: 590,592 weights of patch_embed, the key bias, the values that
the released attention computes and does not use, the trajectories of the last block, of which only
CLS is read; and a head whose part in the loss was 0. EPIC's models were trained on OpenCV's frames:
they take BGR. Which frames a clip has, its configuration says (`marey.convert.motionformer_cfg`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from marey.convert import motionformer_cfg, motionformer_counts
from marey.convert.motionformer_cfg import EPIC_FPS, FPS
from marey.convert.repository import Repository, Settings, Shapes, Told
from marey.errors import CheckpointError, counted
from marey.models.encoders.attention import Attention, Divided, Joint, Trajectory
from marey.models.encoders.frame_attention import Exact, FrameAttention, Orthoformer
from marey.models.encoders.motionformer import PIXELS, MotionformerSpec
from marey.models.video_model import Head, ModelSpec
from marey.recipes.recipe import Recipe, TestViews, Views
from marey.recipes.release import NEVER_TRAINED
from marey.video.augment import Augment
from marey.video.crops import CenterCrop, Crop
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
    """`weights` with keys apart from values, and ``unused.`` before what changes no result.

    That is so of a head, too, which `spec` leaves out.
    """
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
    unused = _unused(encoder, spec)
    return {f"{_UNUSED}{name}" if unused.match(name) else name: w for name, w in apart.items()}


def recipe_of(spec: ModelSpec, name: str, settings: Settings) -> Recipe:
    """The recipe that tests it as its code does; EPIC's models take BGR."""
    size, is_epic = settings.size or 224, _is_epic(spec)
    frames = _sampling(spec, settings)
    test: Crop = UniformCrop(size, size, antialias=False)
    if settings.crops == 1:
        test = CenterCrop(size, size)
    return Recipe(
        name=name,
        model=spec,
        train=Views(frames, JitteredCrop(size, (size * 8 // 7, size * 10 // 7))),
        test=TestViews(frames, test, average="probs"),
        augment=Augment(
            mean=_repeated(settings.mean or (0.5,), settings.std),
            std=_repeated(settings.std or (0.5,), settings.mean),
            channel_order=settings.channel_order or ("bgr" if is_epic else "rgb"),
        ),
    )


def _repeated(values: tuple[float, ...], beside: tuple[float, ...] | None) -> tuple[float, ...]:
    """One value for all channels as many times as the other list has one."""
    return values * len(beside) if beside and len(values) == 1 else values


def _sampling(spec: ModelSpec, settings: Settings) -> Sampling:
    """Frames spread over the video, or as far apart in time as was said."""
    if _is_spread(settings):
        return RoundedSegments(spec.frames)
    clips, stride = settings.clips or 10, settings.stride or 1
    if _is_epic(spec):
        return TimedClips(spec.frames, stride, EPIC_FPS, clips, "upstream-epic")
    return TimedClips(spec.frames, stride, FPS, clips, "upstream")


def _is_spread(settings: Settings) -> bool:
    """Whether frames are spread over the video, as Something-Something's are."""
    if settings.sampling is not None:
        return settings.sampling == "segments"
    return settings.stride is None and settings.data in ("ssv1", "ssv2")


def _is_epic(spec: ModelSpec) -> bool:
    """Whether it tells verbs and nouns, which EPIC-KITCHENS' models alone do."""
    return spec.heads[0].name != "label"


def notes(spec: ModelSpec, settings: Settings, told: Told) -> dict[str, str]:
    """The views, and the head that was never trained."""
    test = recipe_of(spec, "", settings).test
    clips, crops = counted(test.sampling.clips, "clip"), counted(test.crop.views, "crop")
    views = f"{clips} x {crops} of {test.crop.size} pixels"
    found = {"test views": f"{views}; {_frames_in_words(spec, settings)}"}
    if (said := told.settings.get("trained")) in _SHARE:
        dead = "noun" if said == "verb" else "verb"
        kept = any(head.name == dead for head in spec.heads)
        found[NEVER_TRAINED] = (
            f"{dead}: its part in the loss was 0 (VERB_NOUN_ALPHA {_SHARE[said]}), so that its "
            "answers mean nothing; it is "
            + ("kept, as --set trained says" if kept else "left out, --set trained=both keeps it")
        )
    return found


def _frames_in_words(spec: ModelSpec, settings: Settings) -> str:
    if _is_spread(settings):
        return f"{spec.frames} frames spread over the video: more clips would be the same one"
    fps, stride = EPIC_FPS if _is_epic(spec) else FPS, settings.stride or 1
    span = spec.frames * stride
    return f"{spec.frames} frames, {stride:g} apart at {fps} a second: {span:g} of the video's"


_SHARE = {"verb": "1.0", "noun": "0.0"}


def _unused(encoder: MotionformerSpec, spec: ModelSpec) -> re.Pattern[str]:
    left_out = set(_HEADS.values()) - {head.name for head in spec.heads}
    names = [
        *(head for head, ours in _HEADS.items() if ours in left_out),
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
    heads = _heads(shapes, settings)
    _need(shapes, settings, width)
    patch = shapes["patch_embed_3d.proj.weight"]  # [d c t h w]
    encoder = MotionformerSpec(
        attention=_attention(shapes, settings),
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
        drop_path=0.2 if settings.drop_path is None else settings.drop_path,
    )
    if encoder.positions == "joint" and settings.size != PIXELS:
        raise CheckpointError(
            f"size is {settings.size}, its positions are joint and so of {PIXELS} pixels alone",
            f"--set size={PIXELS}",
        )
    frames = _times(encoder, shapes) * encoder.tubelet
    return ModelSpec(encoder, (), num_segments=frames, heads=heads, dropout=0.0, head_std=0.02)


def _need(shapes: Shapes, settings: Settings, width: int) -> None:
    """CheckpointError that asks for all that is open, at once."""
    two_heads = "head0.weight" in shapes or "head0.0.weight" in shapes
    is_open = {
        "values": _is_trajectory(shapes),
        "size": True,
        "num_heads": width not in (768, 1024),
        "stride": not _is_spread(settings),
        "trained": two_heads and "class_counts" in shapes,
    }
    names = [name for name, open_ in is_open.items() if open_]
    settings.need(*names, stride="8" if two_heads else "4")


def _times(encoder: MotionformerSpec, shapes: Shapes) -> int:
    """How many tokens lie behind one another in time."""
    if encoder.positions == "joint":
        return (shapes["st_embed"][1] - 1) // encoder.grid**2
    return shapes["temp_embed"][1]


def _attention(shapes: Shapes, settings: Settings) -> Attention:
    if any(".timeattn." in name for name in shapes):
        return Divided()
    if not _is_trajectory(shapes):
        return Joint()
    assert settings.values is not None
    return Trajectory(settings.values, _frames(settings))


def _is_trajectory(shapes: Shapes) -> bool:
    return any(".proj_kv." in name for name in shapes)


def _frames(settings: Settings) -> FrameAttention:
    if settings.approximation in (None, "none"):
        return Exact()
    settings.need("landmarks")
    assert settings.landmarks is not None
    return Orthoformer(settings.landmarks)


def _heads(shapes: Shapes, settings: Settings) -> tuple[Head, ...]:
    """Its heads, less the one that learned nothing."""
    heads = [
        Head(ours, shape[0])
        for theirs, ours in _HEADS.items()
        if (shape := shapes.get(f"{theirs}.weight") or shapes.get(f"{theirs}.0.weight"))
    ]
    if not heads:
        raise CheckpointError("it has no classifier, so nothing could be predicted with it")
    if settings.trained in ("verb", "noun") and len(heads) > 1:
        heads = [head for head in heads if head.name == settings.trained]
    return tuple(heads)


REPOSITORY = Repository(
    name="motionformer",
    recognises=_recognises,
    rename=rename,
    spec=_spec,
    parts=parts,
    told=motionformer_cfg.told,
    assumed=motionformer_cfg.assumed,
    notes=notes,
    class_counts=motionformer_counts.class_counts,
)
"""facebookresearch/Motionformer and tobyperrett/lmr-release, one expert."""
