"""Models to use: the folder of a run, or a release made from it.

RELEASE/model.safetensors  config.json (the recipe)  labels.txt  class_counts.json (of training)
RELEASE/README.md (model card)  calibration.json (of a run that has one)
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from marey.data.features.feature_file import About
from marey.data.manifest.classes import classes_file, write_classes
from marey.engine.environment import usable_device
from marey.engine.results_file import FILE as RESULTS
from marey.engine.results_file import Chosen, read_results
from marey.engine.weights.calibration import FILE as TEMPERATURES
from marey.engine.weights.calibration import (
    Calibration,
    calibration_in,
    check_calibration,
    plain_views,
    write_calibration,
)
from marey.engine.weights.checkpoint import load_strictly, weights_digest
from marey.engine.weights.class_counts import FILE as COUNTS
from marey.engine.weights.class_counts import Counts, read_class_counts, write_class_counts
from marey.engine.weights.origin import no_model, origin_of
from marey.errors import CheckpointError, RecipeError, RunError, counted
from marey.jobs.allocator import keep_freed_memory
from marey.metrics.catalog import headlines
from marey.models.layout import channels_last
from marey.models.shapes import nothing_drawn
from marey.models.video_model import VideoModel
from marey.recipes.compatible import built
from marey.recipes.recipe import Recipe, TestViews
from marey.recipes.release import (
    CARD,
    CHOSEN,
    CONFIG,
    CONVERTED,
    FEATURES,
    WEIGHTS,
    never_trained,
)
from marey.recipes.schema import to_plain
from marey.storage.atomic import make_folder, replacing, run_error, write_text, writing

log = logging.getLogger("marey")


@dataclass(frozen=True, eq=False)
class Trained:
    """A recipe, its model in evaluation mode with trained weights, and its class names a head."""

    recipe: Recipe
    model: VideoModel
    classes: dict[str, tuple[str, ...]]
    class_counts: dict[str, Counts] = field(default_factory=dict)
    """Head -> training clips of every class; empty where nobody knows."""
    chosen: Chosen = field(default_factory=Chosen)
    """Which weights of a run they are, and by what."""
    folder: Path | None = None
    """The run or release that they lie in."""
    features: About = field(default_factory=dict)
    """Of a model of features, what made these; empty where nobody knows."""
    of_features: OfFeatures | None = None
    """The model of features that it is, behind their encoder; None of any other."""


@dataclass(frozen=True, eq=False)
class OfFeatures:
    """A model of features that is behind the encoder of these, in a model of videos."""

    trained: Trained
    views: TestViews
    """The test views of a video in which the whole gives what this gives of its features."""


def load_trained(folder: str | Path, device: str | torch.device = "cpu") -> Trained:
    """The trained model in `folder`, in evaluation mode, with its recipe and class names.

    Args:
        folder: of a run, of which the epoch that validation chose is taken, if it was to choose
            one, else the last; or of a release; or a file of weights in one of them.
        device: where the model goes.

    Raises:
        CheckpointError: the folder is neither, has no checkpoint, or one of another model.
        RunError: there is no such device.
    """
    folder, device = Path(folder), usable_device(device)
    if device.type == "cpu":
        keep_freed_memory()  # else a third of the time of long clips goes into page faults
    origin = origin_of(folder)
    recipe = origin.recipe
    if recipe is None:
        raise no_model(folder)
    if (origin.folder / CONFIG).is_file() and (head := never_trained(origin.folder)):
        log.warning("%s has a head that was never trained: %s", folder, head)
    with nothing_drawn():
        model = channels_last(built(recipe.model))
    load_strictly(model, origin.weights(), source=origin.file)
    counts = read_class_counts(
        origin.folder, {head.name: head.num_classes for head in recipe.model.heads}
    )
    return Trained(
        recipe,
        model.to(device).eval(),
        dict(origin.classes),
        counts,
        origin.chosen,
        origin.folder,
        origin.features,
    )


def export_release(run: Path, out: Path) -> Path:
    """Write the release of the run in the folder `run` to the new folder `out`; returns `out`.

    Raises:
        RunError: `out` is not empty, or cannot be written.
    """
    refuse_occupied(out)
    trained = load_trained(run)
    return save_release(trained, out, model_card(trained, run))


def save_release(trained: Trained, out: Path, card: str) -> Path:
    """Write a model that is loaded as a release to the new folder `out`; returns `out`.

    Raises:
        RunError: as `export_release`.
    """
    weights = trained.model.state_dict()
    write_release(
        out,
        trained.recipe,
        weights,
        trained.classes,
        card,
        chosen=trained.chosen,
        features=trained.features,
    )
    if trained.class_counts:
        write_class_counts(trained.class_counts, out)
    if calibration := calibration_if_any(trained):
        write_calibration(calibration, out)
    return out


def calibration_of(trained: Trained) -> Calibration:
    """The temperatures in the folder of a model, of its weights and the test views of its recipe.

    Of a model of features they hold for it behind its encoder too, as the logits are the same.

    Raises:
        CheckpointError: there are none, or they are of other weights.
        RecipeError: they are of other test views.
    """
    if trained.folder is None:
        raise CheckpointError(f"'{trained.recipe.name}' lies in no folder, and has no temperatures")
    found, weights = calibration_in(trained.folder), weights_digest(trained.model)
    if (own := trained.of_features) and _is_of(found, own.trained):
        found = replace(found, weights=weights, views=plain_views(own.views))
    check_calibration(found, trained.folder, weights, trained.recipe.test, trained.classes)
    return found


def calibration_if_any(trained: Trained) -> Calibration | None:
    """The same, None where there is none of this model."""
    try:
        return calibration_of(trained)
    except (CheckpointError, RecipeError):
        return None


def keep_calibration(calibration: Calibration, trained: Trained) -> None:
    """Write what was measured of `trained` into its folder, for all that `calibration_of` gives.

    Of a model of features that is behind its encoder it is kept as that of the model of features,
    if it was measured in the views that these are of.
    """
    assert trained.folder is not None, "it was loaded from one"
    own = trained.of_features
    if own and calibration.views == plain_views(own.views):
        digest, views = weights_digest(own.trained.model), plain_views(own.trained.recipe.test)
        calibration = replace(calibration, weights=digest, views=views)
    write_calibration(calibration, trained.folder)


def _is_of(found: Calibration, trained: Trained) -> bool:
    return found.weights == weights_digest(trained.model) and found.views == plain_views(
        trained.recipe.test
    )


def as_release(folder: Path, out: Path) -> Path:
    """Write the release of what lies in `folder` to the new folder `out`; returns `out`.

    Of a run it is made, of a release it is copied, whatever else lies beside it.

    Raises:
        RunError: as `export_release`.
    """
    origin = origin_of(folder)
    if not (origin.folder / CONFIG).is_file():
        return export_release(folder, out)
    refuse_occupied(out)
    make_folder(out, run_error)
    labels = [classes_file(origin.folder, head).name for head in origin.classes]
    with writing(out, run_error):
        for name in (CONFIG, *labels, COUNTS, TEMPERATURES, CARD, WEIGHTS):
            if (origin.folder / name).is_file():
                shutil.copyfile(origin.folder / name, out / name)
    return out


def refuse_occupied(out: Path) -> None:
    """RunError if something lies at `out` already, or nothing can be written there."""
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file that is there already", "give a new folder")
    if out.exists() and any(out.iterdir()):
        raise RunError(f"{out} is not empty", "give a new folder")
    there = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not there.is_dir():
        raise run_error(out, f"{there} is no folder", "give another folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise run_error(out, f"nothing may be written in {there}", "give another folder")


def write_release(
    out: Path,
    recipe: Recipe,
    weights: Mapping[str, Tensor],
    classes: Mapping[str, Sequence[str]],
    card: str,
    *,
    made_by: Mapping[str, str] | None = None,
    chosen: Chosen | None = None,
    features: About | None = None,
) -> Path:
    """Write a release to the folder `out`, the weights last; returns the folder.

    `made_by`, `chosen` and `features` stand in its config.json beside the recipe, as the entries
    "converted", "chosen" and "features".
    """
    refuse_occupied(out)
    own = {name: value.contiguous().clone() for name, value in weights.items()}
    facts = to_plain(recipe) | ({CONVERTED: dict(made_by)} if made_by else {})
    facts |= {CHOSEN: asdict(chosen)} if chosen else {}
    facts |= {FEATURES: dict(features)} if features else {}
    make_folder(out, run_error)
    write_text(out / CONFIG, json.dumps(facts, indent=1), run_error)
    write_classes(classes, out, run_error)
    write_text(out / CARD, card, run_error)
    with replacing(out / WEIGHTS, run_error) as file:
        file.write(safetensors.torch.save(own))
    return out


def model_card(trained: Trained, run: Path | None) -> str:
    """What a person should know before using the model, as Markdown; `run` has its results."""
    recipe = trained.recipe
    found = sorted(run.glob(f"results/*/{RESULTS}")) if run else []
    results = "\n".join(map(_card_row, found))
    classes = "\n".join(
        f"- **{head}**: {', '.join(names)}" for head, names in trained.classes.items()
    )
    model = recipe.tested_model
    size = recipe.test.crop.size
    pixels = f"{counted(model.frames, 'frame')} of {size} x {size} pixels"
    features = f"features of another network, {model.encoder.in_channels} numbers a frame"
    example = "features.npy" if model.takes_features else "clip.mp4"
    header = "| set | measured | clips | views | note |\n|---|---|---|---|---|"
    table = f"{header}\n{results}" if results else "None."
    weights = trained.chosen.in_words()
    chosen = f"The {weights}.\n\n" if weights else ""
    return f"""# {recipe.name}

An action recogniser trained with marey. `marey.load("this folder").predict("{example}")`.

Takes {features if model.takes_features else pixels}.

## Measured

{chosen}{table}
{_calibration_section(trained)}
## Classes

{classes}
"""


def _calibration_section(trained: Trained) -> str:
    found = calibration_if_any(trained)
    if not found:
        return ""
    return f"""
## Calibration

Scores are those that the model was trained to give. Where `calibrated=True` or `--calibrated` asks
for it, logits are divided by a {found.in_words()}.
"""


def _card_row(path: Path) -> str:
    """The headlines of an evaluation, its clips, views and cautions, as a row of a table."""
    results = read_results(path)
    numbers = [
        f"{named.title} {named.metric.text(results.metric(key), 2)}"
        for key, named in headlines(results.metrics).items()
    ]
    views = f"{results.views.clips} x {results.views.crops}"
    name, clips = path.parent.name, results.num_clips
    return f"| {name} | {', '.join(numbers)} | {clips} | {views} | {results.caution} |"
