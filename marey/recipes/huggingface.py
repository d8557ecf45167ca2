"""Recipes of what lies in a folder of Hugging Face transformers: ``hf:FOLDER`` or ``hf:ORG/NAME``.

A folder is as `save_pretrained` or a download leaves it: config.json, model.safetensors, and files
of a processor that say how pictures were prepared. ORG/NAME is one in the hub's cache on this
machine; nothing is fetched here.

The encoder stays as it is and linear heads learn on it; `marey.recipes.tuning` has the other
degrees: ``hf:FOLDER+lora``. Clips are frames spread evenly over the video. What a processor does
not state is taken as it is published for the architecture, and is said.

**Deviates**: pictures are scaled bilinearly where a processor says bicubic, and said to be.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marey.errors import CheckpointError, MareyError, RecipeError
from marey.models.encoders.huggingface import HuggingFaceSpec, stated_config
from marey.models.video_model import ModelSpec
from marey.recipes.optim import AdamW, Cosine
from marey.recipes.recipe import Recipe, Stage, TestViews, Views
from marey.recipes.release import CONFIG
from marey.recipes.tuning import EPOCHS
from marey.storage.text_files import read_json
from marey.video.augment import IMAGENET_MEAN, IMAGENET_STD, Augment
from marey.video.crops import CenterCrop
from marey.video.sampling.segments import Segments

log = logging.getLogger("marey")

PREFIX = "hf:"
FRAMES = 8
"""Of a clip whose frames are looked at one by one."""
PROCESSORS = ("processor_config.json", "video_preprocessor_config.json", "preprocessor_config.json")
"""Later ones count where several state the same."""
_HINT = "give a folder that transformers' save_pretrained made, with config.json"


def is_hugging_face(path: Path) -> bool:
    """Whether `path` is the folder of a network of transformers, not of a release of marey."""
    try:
        facts = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(facts, dict) and "model_type" in facts


def hugging_face(name: str) -> Recipe:
    """The recipe of the network that `name`, after ``hf:``, means.

    Raises:
        RecipeError: it is not on this machine, or may be two.
        CheckpointError: what lies there is not to be read, or no architecture that is known here.
    """
    folder = _folder(name)
    facts = read_json(folder / CONFIG, CheckpointError, _HINT)
    if not facts:
        raise CheckpointError(f"cannot read {folder / CONFIG}", _HINT)
    try:
        spec = stated_config(facts)
        seen = read_input(folder, spec)
        clip = spec.architecture.trained_frames or FRAMES
        recipe = _recipe(name, folder, spec, seen, clip)
    except MareyError:
        raise
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}", _HINT) from error
    for note in seen.notes:
        log.warning("%s: %s", folder, note)
    return recipe


def _recipe(name: str, folder: Path, spec: HuggingFaceSpec, seen: Input, clip: int) -> Recipe:
    sampling, crop = Segments(clip), CenterCrop(seen.size, seen.resize)
    return Recipe(
        name=Path(name).name or folder.resolve().name,
        model=ModelSpec(spec, (), num_segments=clip, heads=(), dropout=0.0, head_std=0.02),
        train=Views(sampling, crop),
        test=TestViews(sampling, crop),
        augment=Augment(mean=seen.mean, std=seen.std),
        stages=(
            Stage(
                epochs=EPOCHS,
                optim=AdamW(lr=1e-3, weight_decay=1e-4),
                schedule=Cosine(),
                trainable="neck",
            ),
        ),
        batch_size=4 if spec.architecture.takes_clips else 8,
        lr_batch_size=None,
        weights=str(folder),
    )


def _folder(name: str) -> Path:
    """Where the network lies."""
    if not name:
        raise RecipeError(f"{PREFIX} names no network", "hf:ORG/NAME of the hub, or hf:FOLDER")
    folder, in_cache = Path(name).expanduser(), cached(name)
    if in_cache and folder.is_dir():
        raise RecipeError(
            f"hf:{name} is a folder here, and a network in the hub's cache ({in_cache})",
            f"hf:./{name} is the folder, hf:{in_cache} the other",
        )
    if in_cache or folder.is_dir():
        return in_cache or folder
    get = f"marey weights get hf:{name}" if is_hub_name(name) else ""
    raise RecipeError(
        f"hf:{name} is no folder here, and not in the hub's cache",
        f"{get + '; ' if get else ''}hf:FOLDER, with config.json and model.safetensors in it",
    )


def is_hub_name(name: str) -> bool:
    """Whether this may be the ORG/NAME of a network of the hub."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))


def cached(name: str) -> Path | None:
    """The folder of ORG/NAME in the hub's cache; None if it is not there."""
    if not is_hub_name(name):
        return None
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    try:
        path = try_to_load_from_cache(name, CONFIG)
    except ValueError:  # no name that the hub allows
        return None
    return Path(path).parent if isinstance(path, str) else None


@dataclass(frozen=True, kw_only=True)
class Input:
    """How pictures are prepared for a network."""

    size: int
    """Pixels of a side."""
    resize: int | tuple[int, int]
    """What the short side, or height and width, are scaled to before the middle is cut out."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    notes: tuple[str, ...] = ()
    """What was not stated, or is done otherwise here."""


def read_input(folder: Path, spec: HuggingFaceSpec) -> Input:
    """What the files of the processor in `folder` state, and of the rest what is usual.

    Raises:
        CheckpointError: something there is no size, or no mean of colours.
    """
    paths = [path for name in PROCESSORS if (path := folder / name).is_file()]
    stated = {name: fact for path in paths for name, fact in _processor(path).items()}
    usual = _usual(spec)
    notes = [f"it has no {' or '.join(PROCESSORS)}"] if not paths else []
    if missing := [name for name in usual if name not in stated and name in _SAID]:
        notes.append(
            f"not stated, taken as it is published for {spec.kind}: "
            + ", ".join(f"{name} {usual[name]}" for name in missing)
        )
    if stated.get("resample") == _BICUBIC:
        notes.append("its processor scales pictures bicubically, here they are scaled bilinearly")
    facts = usual | stated
    try:
        size, resize, note = _sizes(facts, spec)
        mean, std = _colours(facts)
    except (TypeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{folder}: its processor cannot be understood: {error}") from error
    return Input(
        size=size, resize=resize, mean=mean, std=std, notes=(*notes, *([note] if note else []))
    )


_BICUBIC = 3
"""As PIL numbers it."""
_SAID = ("size", "image_mean", "image_std", "rescale_factor")


def _processor(path: Path) -> Mapping[str, Any]:
    facts = read_json(path, CheckpointError, _HINT)
    for part in ("image_processor", "video_processor"):  # of a processor_config.json
        if isinstance(facts.get(part), dict):
            facts = facts | facts[part]
    return {name: fact for name, fact in facts.items() if fact is not None}


def _usual(spec: HuggingFaceSpec) -> dict[str, Any]:
    """What the processor of the architecture does, as it is published."""
    half, size = [0.5] * 3, spec.architecture.trained_size
    usual: dict[str, Any] = {
        "do_resize": True,
        "do_center_crop": True,
        "do_rescale": True,
        "do_normalize": True,
        "rescale_factor": 1 / 255,
        "size": {"shortest_edge": size},
        "crop_size": size,
        "image_mean": list(IMAGENET_MEAN),
        "image_std": list(IMAGENET_STD),
    }
    whole = {"do_center_crop": False, "size": {"height": size, "width": size}}
    match spec.kind:
        case "vjepa2":
            usual["size"] = {"shortest_edge": int(size * 256 / 224)}
        case "videomae":
            usual |= {"image_mean": half, "image_std": half}
        case "vivit":
            usual |= {"image_mean": half, "image_std": half, "size": {"shortest_edge": 256}}
            usual |= {"rescale_factor": 1 / 127.5, "offset": True}
        case "vit" | "siglip_vision_model":
            usual |= whole | {"image_mean": half, "image_std": half}
        case "dinov3_vit":
            usual |= whole
        case "dinov2" | "dinov2_with_registers" | "hiera":
            crop = min(size, 224)
            usual |= {"size": {"shortest_edge": crop * 8 // 7}, "crop_size": crop}
        case "clip_vision_model":
            usual |= {
                "image_mean": [0.48145466, 0.4578275, 0.40821073],
                "image_std": [0.26862954, 0.26130258, 0.27577711],
            }
    return usual


def _sizes(
    facts: Mapping[str, Any], spec: HuggingFaceSpec
) -> tuple[int, int | tuple[int, int], str]:
    """Pixels of the square that is cut out, to what it is scaled before, and what is to be said."""
    resize = _size(facts["size"])
    if not facts["do_resize"]:
        size = (
            _side(facts["crop_size"]) if facts["do_center_crop"] else spec.architecture.trained_size
        )
        return size, size, "its processor scales nothing; here the short side is"
    if facts["do_center_crop"]:
        size = _side(facts["crop_size"])
        if size > (min(resize) if isinstance(resize, tuple) else resize):
            return size, size, f"it cuts {size} pixels out of fewer; here they are scaled to that"
        return size, resize, ""
    if not isinstance(facts["size"], dict):  # by which transformers means height and width alike
        size = _side(facts["size"])
        return size, (size, size), ""
    if isinstance(resize, tuple):
        return _side(facts["size"]), resize, ""
    return resize, resize, "its processor cuts nothing out; here it is the middle, a square"


def _size(stated: Any) -> int | tuple[int, int]:
    if isinstance(stated, dict) and "height" in stated:
        return int(stated["height"]), int(stated["width"])
    if isinstance(stated, dict):
        return int(stated["shortest_edge"])
    return int(stated)


def _side(stated: Any) -> int:
    """The side of a square; ValueError for another rectangle."""
    size = _size(stated)
    if isinstance(size, tuple) and size[0] != size[1]:
        raise ValueError(f"{size[0]} x {size[1]} pixels, and clips here are square")
    return size[0] if isinstance(size, tuple) else size


def _colours(facts: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation in units of a range of 0 to 1.

    The processor gives (x f - o - m) / s of a pixel x in 0 ... 255, that is (x / 255 - M) / S with
    S = s / (255 f), M = (m + o) / (255 f).
    """
    none = [0.0] * 3, [1.0] * 3
    means, deviations = (facts["image_mean"], facts["image_std"]) if facts["do_normalize"] else none
    for three in (means, deviations):
        if not isinstance(three, list) or not all(type(x) in (int, float) for x in three):
            raise ValueError(f"{three!r:.80} is no mean or deviation of colours")
    scale = 255 * (float(facts["rescale_factor"]) if facts["do_rescale"] else 1.0)
    offset = 1.0 if facts.get("offset") and facts["do_rescale"] else 0.0
    mean = tuple(round((m + offset) / scale, 9) for m in means)
    return mean, tuple(round(s / scale, 9) for s in deviations)
