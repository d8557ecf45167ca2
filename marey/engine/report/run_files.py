"""What a run has left in its folder, read back for reports and comparisons.

A run may have stopped at any point: what is not there yet is None or empty, never an error. What is
there and cannot be understood is a `RunError` that names the file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from marey.data.manifest.classes import classes_file, read_classes
from marey.engine.inference.predictions import read_predictions
from marey.engine.inference.reconstruction import Reconstruction, read_reconstruction
from marey.engine.results_file import FILE as RESULTS
from marey.engine.results_file import MissingClip, Results, read_results
from marey.engine.train.bad_clips import read_bad_clips
from marey.engine.train.epoch_table import read_epochs
from marey.engine.weights.class_counts import FILE as CLASS_COUNTS
from marey.errors import RunError
from marey.metrics.accuracy import class_accuracy, confusion_matrix
from marey.metrics.catalog import Labels, Scores
from marey.recipes.recipe import Claim, DataSpec
from marey.recipes.yaml_text import parse_yaml
from marey.storage.text_files import as_value, read_json, read_text
from marey.video.reading.reader import Span


@dataclass(frozen=True, eq=False)
class HeadResult:
    """The answers of one head: labels int64 [n], probabilities float32 [n k], k class names."""

    name: str
    classes: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray

    @cached_property
    def answers(self) -> np.ndarray:
        """The predicted class of each clip, int64 [n]."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @cached_property
    def right(self) -> np.ndarray:
        """Whether the answer is the label, bool [n]."""
        return np.asarray(self.answers == self.labels)

    @cached_property
    def confidences(self) -> np.ndarray:
        """The probability of the predicted class, float32 [n]."""
        return np.asarray(self.probabilities.max(axis=1))

    @cached_property
    def accuracies(self) -> np.ndarray:
        """Top-1 accuracy of each class in percent, float64 [k], NaN without clips."""
        return class_accuracy(self.probabilities, self.labels)

    @cached_property
    def confusions(self) -> np.ndarray:
        """Clips of each class [k] that were taken for each [k]."""
        return confusion_matrix(self.probabilities, self.labels)


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """One evaluation: results.json, and the clips of predictions.parquet in columns."""

    name: str
    facts: Results
    ids: list[str]
    paths: list[str]
    spans: list[tuple[float | None, float | None]]
    heads: tuple[HeadResult, ...]

    def head(self, name: str) -> HeadResult | None:
        """The answers of a head, if there are any."""
        return next((head for head in self.heads if head.name == name), None)

    @property
    def numbers_only(self) -> list[str]:
        """The heads that have numbers but no answers: those of clips of several classes."""
        return [name for name in self.facts.estimates if self.head(name) is None]

    def span(self, row: int) -> Span | None:
        """Where a clip lies in its file; None for a whole file."""
        start, end = self.spans[row]
        return None if start is end is None else Span(start, end, self.facts.span_unit)

    def right_clips(self, head: str) -> dict[str, tuple[int, bool]]:
        """Clip -> its label, and whether the answer of `head` was right."""
        answers = self.head(head)
        if answers is None:
            return {}
        pairs = zip(answers.labels.tolist(), answers.right.tolist(), strict=True)
        return dict(zip(self.ids, pairs, strict=True))


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
    """A run as it lies on disk; the newest result comes first."""

    folder: Path
    recipe_text: str
    recipe: RunRecipe
    epochs: list[dict[str, float]]
    """The rows of metrics.csv by column; an empty cell is NaN."""
    environment: dict[str, Any]
    bad_clips: list[MissingClip]
    """Training clips that could not be read."""
    results: tuple[Result, ...]
    class_counts: dict[str, list[int]]
    """Head -> training clips of every class; empty in runs of old."""
    reconstruction: Reconstruction | None
    """What LMR rebuilds rare classes from, if that was asked for."""

    @property
    def name(self) -> str:
        """The recipe's name, else the folder's."""
        return self.recipe.name or self.folder.resolve().name

    @property
    def result(self) -> Result | None:
        """The newest result, if the run was evaluated."""
        return self.results[0] if self.results else None

    def column(self, name: str) -> list[float]:
        """A column of metrics.csv, NaN where it has no value."""
        return [row.get(name, math.nan) for row in self.epochs]


def read_run(folder: str | Path) -> RunFiles:
    """The run in `folder`; RunError if there is no trace of one."""
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"there is no run at {folder}", "give the folder that holds recipe.yaml")
    counts = folder / CLASS_COUNTS
    run = RunFiles(
        folder=folder,
        recipe_text=read_text(folder / "recipe.yaml"),
        recipe=_recipe(folder / "recipe.yaml"),
        epochs=read_epochs(folder),
        environment=read_json(folder / "env.json"),
        bad_clips=read_bad_clips(folder),
        results=_results(folder),
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
            number = "" if clips is None else f" ({clips} clip{'s' * (clips != 1)})"
            words.append(name.rpartition(".")[2] + number)
    return ", ".join(words)


def _recipe(path: Path) -> RunRecipe:
    return as_value(RunRecipe, parse_yaml(read_text(path), str(path)) or {}, path)


def _results(folder: Path) -> tuple[Result, ...]:
    files = sorted(folder.glob(f"results/*/{RESULTS}"))
    newest_first = sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)
    return tuple(_result(folder, file) for file in newest_first)


def _result(folder: Path, file: Path) -> Result:
    name, facts, path = file.parent.name, read_results(file), file.with_name("predictions.parquet")
    if not path.is_file():
        return Result(name=name, facts=facts, ids=[], paths=[], spans=[], heads=())
    clips = read_predictions(path)
    return Result(
        name=name,
        facts=facts,
        ids=clips.ids,
        paths=clips.paths,
        spans=clips.spans,
        heads=tuple(
            _head(path, head, scores, labels, facts, folder)
            for head, (scores, labels) in clips.heads.items()
            if labels.ndim == 1  # no confusion or rank can show several classes of a clip
        ),
    )


def _head(
    path: Path, name: str, scores: Scores, labels: Labels, facts: Results, folder: Path
) -> HeadResult:
    if facts.average == "logits":
        scores = torch.from_numpy(scores).softmax(dim=1).numpy()
    classes = facts.classes.get(name) or _classes(folder, name)
    classes = classes or tuple(f"class {i}" for i in range(scores.shape[1]))
    if not len(scores):
        scores = scores.reshape(0, len(classes))
    if scores.shape[1] != len(classes):
        raise RunError(
            f"{path}: {scores.shape[1]} scores a clip of head '{name}', which has {len(classes)} "
            "class names",
            "evaluate again",
        )
    return HeadResult(name, classes, labels, scores)


def _classes(folder: Path, head: str) -> tuple[str, ...]:
    file = classes_file(folder, head)
    return read_classes(file) if file.is_file() else ()
