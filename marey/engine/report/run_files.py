"""What a run has left in its folder, read back for reports and comparisons.

A run may have stopped at any point: what is not there yet is None or empty, never an error. What is
there and cannot be understood is a `RunError` that names the file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marey.engine.inference.reconstruction import Reconstruction, read_reconstruction
from marey.engine.report.evaluations import Result, chosen_result, read_evaluations
from marey.engine.results_file import FILE as RESULTS
from marey.engine.results_file import MissingClip
from marey.engine.train.bad_clips import read_bad_clips
from marey.engine.train.epoch_table import read_epochs
from marey.engine.weights.class_counts import FILE as CLASS_COUNTS
from marey.errors import RunError, counted
from marey.recipes.recipe import Claim, DataSpec
from marey.recipes.yaml_text import parse_yaml
from marey.storage.text_files import as_value, read_json, read_text


@dataclass(frozen=True)
class RunRecipe:
    """The few names of recipe.yaml that pages need.

    It is not read as a `Recipe`, for which the classes of someone's own modules would be needed.
    """

    name: str = ""
    data: DataSpec = field(default_factory=DataSpec)
    stages: tuple[dict[str, Any], ...] = ()
    claim: Claim | None = None
    test: dict[str, Any] = field(default_factory=dict)
    val: dict[str, Any] | None = None

    @property
    def validated_by(self) -> str:
        """The views of validation within training, which were those of the test before `val`."""
        return _views_in_words(self.test if self.val is None else self.val)

    @property
    def epochs(self) -> int:
        """How many are planned, in all stages."""
        return sum(int(stage.get("epochs", 0)) for stage in self.stages)


@dataclass(frozen=True, eq=False, kw_only=True)
class RunFiles:
    """A run as it lies on disk."""

    folder: Path
    recipe_text: str
    recipe: RunRecipe
    epochs: list[dict[str, float]]
    """The rows of metrics.csv by column; an empty cell is NaN."""
    environment: dict[str, Any]
    bad_clips: list[MissingClip]
    """Training clips that could not be read."""
    results: tuple[Result, ...]
    """All evaluations, the newest first."""
    result: Result | None
    """The one that pages look at, if the run was evaluated; see `chosen_result`."""
    class_counts: dict[str, list[int]]
    """Head -> training clips of every class; empty in runs of old."""
    reconstruction: Reconstruction | None
    """What LMR rebuilds rare classes from, if that was asked for."""

    @property
    def name(self) -> str:
        """That of its folder: of one recipe there may be many runs."""
        return self.folder.resolve().name

    def column(self, name: str) -> list[float]:
        """A column of metrics.csv, NaN where it has no value."""
        return [row.get(name, math.nan) for row in self.epochs]


def read_run(folder: str | Path, results: str | None = None) -> RunFiles:
    """The run in `folder`, which may also be that of one of its evaluations, RUN/results/NAME.

    Args:
        folder: of a run in whatever state, or of a release.
        results: which of its evaluations pages look at, by its name or split; by default that of
            the validation (`chosen_result`).

    Raises:
        RunError: there is no trace of a run, a file of it cannot be understood, or which evaluation
            is meant cannot be told.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"there is no run at {folder}", "give the folder that holds recipe.yaml")
    whole = folder.resolve()
    if (folder / RESULTS).is_file() and whole.parent.name == "results":
        return read_run(whole.parent.parent, results or whole.name)
    counts, evaluations = folder / CLASS_COUNTS, read_evaluations(folder)
    run = RunFiles(
        folder=folder,
        recipe_text=read_text(folder / "recipe.yaml"),
        recipe=_recipe(folder / "recipe.yaml"),
        epochs=read_epochs(folder),
        environment=read_json(folder / "env.json"),
        bad_clips=read_bad_clips(folder),
        results=evaluations,
        result=chosen_result(evaluations, folder, results),
        class_counts=as_value(dict[str, list[int]], read_json(counts), counts),
        reconstruction=read_reconstruction(folder),
    )
    if not (run.recipe_text or run.epochs or run.results):
        raise RunError(
            f"{folder} is not the folder of a run: it has no recipe.yaml, metrics.csv or results",
            "give the folder that `marey train` wrote",
        )
    return run


def _views_in_words(views: Mapping[str, Any]) -> str:
    """Sampling and crop by the names of their classes: ``Dense (1 clip), CenterCrop``.

    >>> _views_in_words({"sampling": {"Dense": {"clips": 10}}, "crop": {"a.My": {}}})
    'Dense (10 clips), My'
    """
    words = []
    for part in ("sampling", "crop"):
        named = views.get(part)
        for name, fields in named.items() if isinstance(named, dict) else ():
            clips = fields.get("clips") if isinstance(fields, dict) else None
            number = f" ({counted(clips, 'clip')})" if isinstance(clips, int) else ""
            words.append(name.rpartition(".")[2] + number)
    return ", ".join(words)


def _recipe(path: Path) -> RunRecipe:
    return as_value(RunRecipe, parse_yaml(read_text(path), str(path)) or {}, path)
