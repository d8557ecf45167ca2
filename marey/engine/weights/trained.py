"""Models to use: the folder of a run, or a release made from it.

RELEASE/model.safetensors  config.json (the recipe)  labels.txt  class_counts.json (of training)
RELEASE/README.md (model card)
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from marey.data.manifest.classes import classes_file, read_classes, write_classes
from marey.engine.environment import usable_device
from marey.engine.results_file import FILE as RESULTS
from marey.engine.results_file import read_results
from marey.engine.weights.checkpoint import (
    has_trained,
    last_checkpoint,
    load_checkpoint,
    load_strictly,
    load_weights,
)
from marey.engine.weights.class_counts import Counts, read_class_counts, write_class_counts
from marey.errors import CheckpointError, RunError
from marey.metrics.catalog import headlines
from marey.models.layout import channels_last
from marey.models.video_model import VideoModel
from marey.recipes.compatible import built
from marey.recipes.recipe import Recipe
from marey.recipes.schema import from_plain, from_yaml, to_plain
from marey.storage.atomic import make_folder, replacing, run_error, write_text
from marey.storage.text_files import read_json

CONVERTED = "converted"
"""The entry of config.json that says what a conversion found; the rest is the recipe."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A recipe, its model in evaluation mode with trained weights, and its class names a head."""

    recipe: Recipe
    model: VideoModel
    classes: dict[str, tuple[str, ...]]
    class_counts: dict[str, Counts] = field(default_factory=dict)
    """Head -> training clips of every class; empty where nobody knows."""


def load_trained(folder: str | Path, device: str | torch.device = "cpu") -> Trained:
    """The trained model in `folder`, in evaluation mode, with its recipe and class names.

    Args:
        folder: of a run, of which the best checkpoint is taken, else the last; or of a release.
        device: where the model goes.

    Raises:
        CheckpointError: the folder is neither, has no checkpoint, or one of another model.
        RunError: there is no such device.
    """
    folder, device = Path(folder), usable_device(device)
    if (folder / "config.json").is_file():
        recipe, weights = _read_config(folder / "config.json"), folder / "model.safetensors"
    elif (folder / "recipe.yaml").is_file() or last_checkpoint(folder):
        recipe, weights = read_run_recipe(folder), _best(folder / "checkpoints")
    else:
        raise CheckpointError(
            f"{folder} is neither a run nor a release",
            "give a folder with recipe.yaml and checkpoints/, or with config.json",
        )
    model = channels_last(built(recipe.model))
    load_strictly(model, load_weights(weights), source=weights)
    counts = read_class_counts(folder, {head.name: head.num_classes for head in recipe.model.heads})
    return Trained(recipe, model.to(device).eval(), _classes(folder, recipe), counts)


def export_release(run: Path, out: Path) -> Path:
    """Write the release of the run in the folder `run` to the new folder `out`; returns `out`.

    Raises:
        RunError: `out` is not empty, or cannot be written.
    """
    refuse_occupied(out)
    trained = load_trained(run)
    weights = trained.model.state_dict()
    write_release(out, trained.recipe, weights, trained.classes, model_card(trained, run))
    if trained.class_counts:
        write_class_counts(trained.class_counts, out)
    return out


def refuse_occupied(out: Path) -> None:
    """RunError if something lies at `out` already."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} is not empty", "give a new folder")


def write_release(
    out: Path,
    recipe: Recipe,
    weights: Mapping[str, Tensor],
    classes: Mapping[str, Sequence[str]],
    card: str,
    *,
    made_by: Mapping[str, str] | None = None,
) -> Path:
    """Write a release to the folder `out`, the weights last; returns the folder.

    `made_by` stands in its config.json beside the recipe, as the entry "converted".
    """
    refuse_occupied(out)
    own = {name: value.contiguous().clone() for name, value in weights.items()}
    facts = to_plain(recipe) | ({CONVERTED: dict(made_by)} if made_by else {})
    make_folder(out, run_error)
    write_text(out / "config.json", json.dumps(facts, indent=1), run_error)
    write_classes(classes, out, run_error)
    write_text(out / "README.md", card, run_error)
    with replacing(out / "model.safetensors", run_error) as file:
        file.write(safetensors.torch.save(own))
    return out


def model_card(trained: Trained, run: Path) -> str:
    """What a person should know before using the model, as Markdown."""
    recipe = trained.recipe
    results = "\n".join(_card_row(path) for path in sorted(run.glob(f"results/*/{RESULTS}")))
    classes = "\n".join(
        f"- **{head}**: {', '.join(names)}" for head, names in trained.classes.items()
    )
    model = recipe.model
    pixels = f"{model.frames} frames of {recipe.test.crop.size} x {recipe.test.crop.size} pixels"
    features = f"features of another network, {model.encoder.in_channels} numbers a frame"
    example = "features.npy" if model.takes_features else "clip.mp4"
    table = (
        f"| set | measured | clips | views |\n|---|---|---|---|\n{results}" if results else "None."
    )
    return f"""# {recipe.name}

An action recogniser trained with marey. `marey.load("this folder").predict("{example}")`.

Takes {features if model.takes_features else pixels}.

## Measured

{table}

## Classes

{classes}
"""


def _card_row(path: Path) -> str:
    """The headlines of an evaluation, its clips and views, as a row of a table."""
    results = read_results(path)
    numbers = [
        f"{named.title} {named.metric.text(results.metric(key), 2)}"
        for key, named in headlines(results.metrics).items()
    ]
    views = f"{results.views.clips} x {results.views.crops}"
    return f"| {path.parent.name} | {', '.join(numbers)} | {results.num_clips} | {views} |"


def _read_config(path: Path) -> Recipe:
    plain = read_json(path, CheckpointError, "get the release again")
    if isinstance(plain, dict):
        plain.pop(CONVERTED, None)
    return from_plain(Recipe, plain, source=str(path))


def _best(folder: Path) -> Path:
    best, last = folder / "best.pt", folder / "last.pt"
    if best.is_file() or (last.is_file() and has_trained(last)):
        return best if best.is_file() else last
    raise CheckpointError(
        f"{folder.parent} holds no trained model: no step of its run is saved",
        "wait until it is, or train it: marey train",
    )


def _classes(folder: Path, recipe: Recipe) -> dict[str, tuple[str, ...]]:
    classes = {}
    for head in recipe.model.heads:
        path = classes_file(folder, head.name)
        if not path.is_file():
            raise CheckpointError(f"{path} is missing: the names of head '{head.name}'")
        classes[head.name] = tuple(read_classes(path))
        if len(classes[head.name]) != head.num_classes:
            raise CheckpointError(
                f"{path} has {len(classes[head.name])} names, head '{head.name}' has "
                f"{head.num_classes} classes"
            )
    return classes


def read_run_recipe(folder: Path) -> Recipe:
    """The resolved recipe of the run in `folder`.

    Where recipe.yaml is lost, empty or cut off it is that of last.pt, and it is said on stderr.

    Raises:
        RunError: there is neither.
        RecipeError: recipe.yaml, which somebody has edited, cannot be understood.
    """
    path, last, saved = folder / "recipe.yaml", last_checkpoint(folder), ""
    data = path.read_bytes() if path.is_file() else b""
    fault = _damage(data) if path.is_file() else "is missing"
    if last and (fault or _missing(data, [field.name for field in fields(Recipe)])):
        saved = str(load_checkpoint(last).get("recipe", ""))
        if not fault and (missing := _missing(data, _keys(saved))):  # not just of an older marey
            fault = f"is cut off: it lacks {', '.join(missing)}"
    if not fault:
        return from_yaml(Recipe, data.decode(), source=str(path))
    if saved:
        log.warning("%s %s: the recipe in %s is used", path, fault, last)
        return from_yaml(Recipe, saved, source=str(path))
    if path.is_file():
        raise RunError(f"{path} {fault}, and no checkpoint has the recipe", "begin the run again")
    raise RunError(f"{folder} is not the folder of a run: it has no recipe.yaml", "give --work-dir")


def _damage(data: bytes) -> str:
    """What a full disk or a power cut did to a text; empty if nothing."""
    if not data.strip():
        return "is empty"
    if b"\0" in data:
        return "holds NUL bytes"
    try:
        data.decode()
    except UnicodeDecodeError:
        return "is not UTF-8"
    return ""


def _missing(data: bytes, keys: Sequence[str]) -> list[str]:
    """The keys that YAML written by marey does not have."""
    there = _keys(data.decode())
    return [key for key in keys if key not in there]


def _keys(text: str) -> list[str]:
    """The outermost keys of YAML written by marey."""
    return re.findall(r"^(\w+):", text, re.MULTILINE)


log = logging.getLogger("marey")
