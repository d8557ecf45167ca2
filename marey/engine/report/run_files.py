"""What a run has left in its folder, read back for reports and comparisons.

A run may have stopped at any point: what is not there yet is None or empty, never an error. What is
there and cannot be understood is a `RunError` that names the file.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import torch
import yaml

from marey.data.manifest.classes import classes_file, read_classes
from marey.engine.weights.class_counts import FILE as CLASS_COUNTS
from marey.errors import RunError
from marey.metrics.groups import Groups

Facts: TypeAlias = Mapping[str, Any]
"""Plain data of a JSON or YAML file."""


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
    def confidences(self) -> np.ndarray:
        """The probability of the predicted class, float32 [n]."""
        return np.asarray(self.probabilities.max(axis=1))


@dataclass(frozen=True, eq=False)
class Result:
    """One evaluation: results.json, and the clips of predictions.parquet in columns."""

    name: str
    facts: Facts
    ids: list[str]
    paths: list[str]
    spans: list[tuple[float | None, float | None]]
    heads: tuple[HeadResult, ...]

    def estimates(self, head: str) -> dict[str, Facts]:
        """Number -> value, low, high, num_classes, num_clips; empty in results of old."""
        return dict((self.facts.get("estimates") or {}).get(head) or {})

    @property
    def numbers_only(self) -> list[str]:
        """The heads that have numbers but no answers: those of clips of several classes."""
        answered = [head.name for head in self.heads]
        return [name for name in self.facts.get("estimates") or {} if name not in answered]

    def groups(self, head: str) -> Groups | None:
        """The groups of a head's classes by their training clips, if they were known."""
        found = (self.facts.get("groups") or {}).get(head)
        if not found:
            return None
        (one, most), (two, tail), (three, few) = found["classes"].items()
        classes = [np.array(of, dtype=np.int64) for of in (most, tail, few)]
        return Groups(classes[0], classes[1], classes[2], found["rule"], (one, two, three))

    @property
    def missing(self) -> list[Facts]:
        """The clips that could not be read: row, path, reason."""
        return list(self.facts.get("missing") or [])

    def metric(self, name: str, *, of: str = "metrics") -> float | None:
        """A metric in percent, with or without its "acc/" prefix."""
        metrics = self.facts.get(of) or {}
        value = metrics.get(f"acc/{name}", metrics.get(name))
        return None if value is None else float(value)


@dataclass(frozen=True, eq=False)
class RunFiles:
    """A run as it lies on disk; the newest result comes first."""

    folder: Path
    recipe_text: str
    recipe: Facts
    epochs: list[dict[str, float]]
    """The rows of metrics.csv by column; an empty cell is NaN."""
    environment: Facts
    bad_clips: list[dict[str, str]]
    results: tuple[Result, ...] = field(default_factory=tuple)
    class_counts: Mapping[str, list[int]] = field(default_factory=dict)
    """Head -> training clips of every class; empty in runs of old."""
    reconstruction: Facts = field(default_factory=dict)
    """What LMR rebuilds rare classes from, if that was asked for."""

    @property
    def name(self) -> str:
        """The recipe's name, else the folder's."""
        return str(self.recipe.get("name") or self.folder.resolve().name)

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
    recipe_text = _text(folder / "recipe.yaml")
    run = RunFiles(
        folder=folder,
        recipe_text=recipe_text,
        recipe=_recipe(folder / "recipe.yaml", recipe_text),
        epochs=_epochs(folder / "metrics.csv"),
        environment=_json(folder / "env.json"),
        bad_clips=_rows(folder / "bad_clips.csv"),
        results=_results(folder),
        class_counts=_json(folder / CLASS_COUNTS),
        reconstruction=_json(folder / "reconstruction.json"),
    )
    if not (recipe_text or run.epochs or run.results):
        raise RunError(
            f"{folder} is not the folder of a run: it has no recipe.yaml, metrics.csv or results",
            "give the folder that `marey train` wrote",
        )
    return run


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def _json(path: Path) -> Facts:
    try:
        facts = json.loads(_text(path) or "{}")
    except json.JSONDecodeError as error:
        raise RunError(f"{path} is not JSON: {error}", "delete it and write it again") from error
    return _mapping(path, facts)


def _recipe(path: Path, content: str) -> Facts:
    # read as plain data: a report needs a few names, not the classes of someone's own modules
    try:
        facts = yaml.safe_load(content) or {}
    except yaml.YAMLError as error:
        raise RunError(f"{path} is not YAML: {error}") from error
    return _mapping(path, facts)


def _mapping(path: Path, facts: object) -> Facts:
    if not isinstance(facts, dict):
        raise RunError(f"{path} holds a {type(facts).__name__}, expected names with values")
    return facts


def _rows(path: Path) -> list[dict[str, str]]:
    lines = _text(path).splitlines()
    return [{k: v or "" for k, v in row.items() if k} for row in csv.DictReader(lines)]


def _epochs(path: Path) -> list[dict[str, float]]:
    numbers = []
    for line, row in enumerate(_rows(path), start=2):
        try:
            numbers.append({k: float(v) if v else math.nan for k, v in row.items()})
        except ValueError as error:
            raise RunError(f"{path}:{line}: {error}") from error
    return numbers


def _results(folder: Path) -> tuple[Result, ...]:
    files = sorted(folder.glob("results/*/results.json"))
    newest_first = sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)
    return tuple(_result(folder, file) for file in newest_first)


def _result(folder: Path, file: Path) -> Result:
    facts = _json(file)
    path = file.with_name("predictions.parquet")
    if not path.is_file():
        return Result(file.parent.name, facts, [], [], [], ())
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise RunError(f"{path} is not Parquet: {error}", "evaluate again") from error
    columns = [name for name in table.column_names if name.split(".")[0] == "scores"]
    paths = _column(table, "path")
    return Result(
        name=file.parent.name,
        facts=facts,
        ids=[str(i) for i in _column(table, "id")] or paths or list(map(str, range(len(table)))),
        paths=paths,
        spans=list(zip(_column(table, "start"), _column(table, "end"), strict=True)),
        heads=tuple(
            _head(path, table, name, facts, folder)
            for name in columns
            if not _has_several(table, name)
        ),
    )


def _has_several(table: pa.Table, scores: str) -> bool:
    """Whether clips have several classes of a head, which no confusion or rank can show."""
    name = scores.partition(".")[2] or "label"
    return name in table.column_names and pa.types.is_large_list(table.schema.field(name).type)


def _head(path: Path, table: pa.Table, scores: str, facts: Facts, folder: Path) -> HeadResult:
    name = scores.partition(".")[2] or "label"
    column = next((c for c in (f"label.{name}", name) if c in table.column_names), None)
    if column is None:
        raise RunError(f"{path} has '{scores}' but no labels for it", f"it needs '{name}'")
    rows = [row for row in table.column(scores).to_pylist() if row is not None]
    if len(rows) != len(table) or len({len(row) for row in rows}) > 1:
        raise RunError(f"{path}: the rows of '{scores}' differ in length", "evaluate again")
    values = np.array(rows, dtype=np.float32).reshape(len(rows), -1)
    if facts.get("average", "logits") != "probs":
        values = torch.from_numpy(values).softmax(dim=1).numpy()
    classes = _classes(facts, folder, name) or tuple(f"class {i}" for i in range(values.shape[1]))
    labels = np.array(table.column(column).to_pylist(), dtype=np.int64)
    if len(values) == 0:
        values = values.reshape(0, len(classes))
    if values.shape[1] != len(classes) or not np.isin(labels, np.arange(len(classes))).all():
        raise RunError(
            f"{path}: {values.shape[1]} scores a clip and labels up to "
            f"{labels.max(initial=-1)}, but head '{name}' has {len(classes)} class names",
            "evaluate again",
        )
    return HeadResult(name, classes, labels, values)


def _classes(facts: Facts, folder: Path, head: str) -> tuple[str, ...]:
    named = (facts.get("classes") or {}).get(head)
    if named:
        return tuple(map(str, named))
    file = classes_file(folder, head)
    return read_classes(file) if file.is_file() else ()


def _column(table: pa.Table, name: str) -> list[Any]:
    if name in table.column_names:
        return list(table.column(name).to_pylist())
    return [None] * len(table) if name in ("start", "end") else []
