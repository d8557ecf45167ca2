"""results.json as a value: what an evaluation gave. It is written and read here alone.

Every field has a default: what an earlier marey did not write is empty or None. A number of which
nothing was tested is NaN, and null in the file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from marey.errors import RunError
from marey.metrics.groups import Groups, Profile
from marey.metrics.intervals import Estimate
from marey.storage.text_files import as_value, read_json, write_json

FILE = "results.json"


@dataclass(frozen=True)
class ViewCounts:
    """How many views of a clip were averaged, and of what size; `frames` may be "all"."""

    clips: int | None = None
    crops: int | None = None
    frames: int | str | None = None
    size: int | None = None
    segments: int | None = field(default=None, compare=False)
    """Of a view, as the model counts its frames; None of features, and of an earlier marey."""


@dataclass(frozen=True)
class ClassGroups:
    """Which classes of a head were frequent and rare in training, and by which rule."""

    rule: str
    train: Profile
    classes: dict[str, list[int]]
    """Name of a group -> its classes; three of them, from the most frequent."""

    @property
    def groups(self) -> Groups:
        """The groups, to count by."""
        head, tail, few = (np.array(of, dtype=np.int64) for of in self.classes.values())
        return Groups(head, tail, few, self.rule, tuple(self.classes))  # type: ignore[arg-type]


@dataclass(frozen=True)
class MissingClip:
    """A clip that could not be read: its row in the manifest, its path, and why.

    With what the manifest says of it otherwise, so that an ensemble can count it too.
    """

    row: int | None = None
    path: str = ""
    reason: str = ""
    start: float | None = None
    end: float | None = None
    source: str | None = None
    clip_id: str | None = None
    labels: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Head -> its classes."""


@dataclass(frozen=True, kw_only=True)
class MemberResult:
    """What one model of an ensemble gives alone, on the clips of the ensemble."""

    name: str
    path: str = ""
    weight: float = 1.0
    average: Literal["logits", "probs"] = "logits"
    protocol: str | None = None
    views: ViewCounts = ViewCounts()
    other_segments: str = ""
    """In words, if it was tested on others than it was trained on."""
    num_missing: int = 0
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Results:
    """What results.json says. Keys of metrics and estimates are those of `metrics.catalog`."""

    metrics: dict[str, float] = field(default_factory=dict)
    metrics_readable: dict[str, float] = field(default_factory=dict)
    """Over the clips that could be read alone."""
    metrics_by_source: dict[str, dict[str, float]] = field(default_factory=dict)
    """The same of the clips of each source, with their number as num_clips."""
    estimates: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    """Head -> key -> number with its interval; "" has those of all heads at once."""
    groups: dict[str, ClassGroups] = field(default_factory=dict)
    """Head -> its groups; without the heads that have none."""
    subsets: dict[str, dict[str, int]] = field(default_factory=dict)
    """Parts of the clips with numbers of their own, tail and unseen -> head or action -> clips."""
    num_clips: int | None = None
    num_missing: int = 0
    average: Literal["logits", "probs"] = "logits"
    protocol: str | None = None
    views: ViewCounts = ViewCounts()
    other_segments: str = ""
    """How the test's segments differ from those of training, and the model with them, in words."""
    model: str = ""
    """Encoder and temporal ops in words; empty of an ensemble."""
    row: str = ""
    """The published ensemble that was evaluated, if it was one."""
    members: tuple[MemberResult, ...] = ()
    """The models of an ensemble."""
    parameters: int | None = None
    gmacs_per_view: float | None = None
    gmacs_total: float | None = None
    decoder: str | None = None
    versions: dict[str, Any] = field(default_factory=dict)
    manifest: str | None = None
    root: str | None = None
    """Where the paths start; None if they start in several places."""
    data_hash: str | None = None
    span_unit: Literal["seconds", "frames"] = "seconds"
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    missing: tuple[MissingClip, ...] = ()

    def metric(self, key: str) -> float:
        """A number over all clips, NaN where there is none."""
        return self.metrics.get(key, math.nan)

    def write(self, folder: Path) -> Path:
        """Write results.json into `folder`, and say where."""
        write_json(folder / FILE, self)
        return folder / FILE


def read_results(path: Path) -> Results:
    """The results in the file at `path`; RunError if there is none, or it holds something else."""
    if not path.is_file():
        raise RunError(f"there is no {path}", "marey eval writes it")
    facts = read_json(path)
    for name in ("metrics", "metrics_readable", "metrics_by_source", "estimates"):
        facts[name] = _nan_for_null(facts.get(name) or {})
    facts["members"] = [_nan_for_null_metrics(each) for each in facts.get("members") or ()]
    facts["groups"] = {head: of for head, of in (facts.get("groups") or {}).items() if of}
    return as_value(Results, facts, path)


def _nan_for_null_metrics(member: Any) -> Any:
    return member | {"metrics": _nan_for_null(member["metrics"])} if "metrics" in member else member


def _nan_for_null(facts: Any) -> Any:
    if isinstance(facts, dict):
        return {name: _nan_for_null(value) for name, value in facts.items()}
    return math.nan if facts is None else facts
