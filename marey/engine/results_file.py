"""results.json as a value: what an evaluation gave. It is written and read here alone.

Every field has a default: what an earlier marey did not write is empty or None. A number of which
nothing was tested is NaN, and null in the file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from marey.errors import RunError, counted
from marey.metrics.groups import Groups, Profile
from marey.metrics.intervals import Estimate
from marey.storage.text_files import as_value, read_json, write_json

FILE = "results.json"
Role: TypeAlias = Literal["", "choice", "training"]
"""Of clips to weights: they chose the epoch, or the weights learned from them; "" if neither, or
nobody knows."""


@dataclass(frozen=True)
class ViewCounts:
    """How many views of a clip were averaged, and of what size; `frames` may be "all"."""

    clips: int | None = None
    crops: int | None = None
    frames: int | str | None = None
    size: int | None = None
    segments: int | None = field(default=None, compare=False)
    """Of a view, as the model counts its frames; None of features, and of an earlier marey."""


def frames_in_words(views: ViewCounts) -> str:
    """How many frames a view has; empty where nobody knows.

    >>> frames_in_words(ViewCounts(frames=1)), frames_in_words(ViewCounts(frames="8 + 16"))
    ('1 frame', '8 + 16 frames')
    """
    frames = views.frames
    if frames is None:
        return ""
    return counted(frames, "frame") if isinstance(frames, int) else f"{frames} frames"


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

    def renumbered(self, new: Sequence[int]) -> ClassGroups:
        """The same where class i is called `new[i]`."""
        classes = {name: [new[label] for label in of] for name, of in self.classes.items()}
        return replace(self, classes=classes)


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
class Chosen:
    """Which weights of a run are meant, and what chose them.

    Args:
        how: those at the "end" of training; of the "best" epoch; where training ended early, out of
            "patience"; of a run that is "underway"; "" where nobody knows.
        epoch: the epochs that they have learned for, of all stages.
        epochs: those that were planned.
        by: the number that chose the epoch, as metrics.csv has it; "" if none did.
        on: the split on which it was measured.
        smooth: the validations whose mean counted.
        averaged: whether they are the moving average of the weights.
        clips: the digest of the clips that chose (`marey.engine.weights.clip_facts`).
        trained_on: that of the clips they learned from.
    """

    how: Literal["", "end", "best", "patience", "underway"] = ""
    epoch: int | None = None
    epochs: int | None = None
    by: str = ""
    on: str = ""
    smooth: int = 1
    averaged: bool = False
    clips: str = ""
    trained_on: str = ""

    def role_of(self, clips: str) -> Role:
        """What the clips with this digest were to the weights."""
        if not clips or clips not in (self.clips, self.trained_on):
            return ""
        return "choice" if clips == self.clips else "training"

    def in_words(self) -> str:
        """A sentence without its full stop; empty where nobody knows.

        >>> Chosen(how="best", epoch=12, epochs=30, by="val/loss", on="val", smooth=3).in_words()
        'weights of epoch 12 of 30, chosen by val/loss (mean of 3 validations) on split val'
        """
        where = f"epoch {self.epoch}" + (f" of {self.epochs}" if self.epochs is not None else "")
        mean = f" (mean of {self.smooth} validations)" if self.smooth > 1 else ""
        words = {
            "": "",
            "end": f"weights at the end of training, {where}: no validation chose them",
            "best": f"weights of {where}, chosen by {self.by}{mean} on split {self.on}",
            "patience": f"weights at the end of training, after {where}: "
            f"{self.by}{mean} on split {self.on} had stopped getting better",
            "underway": f"weights of a training that is not over, after {where}",
        }[self.how]
        return f"averaged {words}" if words and self.averaged else words


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
    chosen: Chosen = Chosen()


@dataclass(frozen=True)
class Spread:
    """A number of several runs: its mean, and Student's 95 % interval of it over the runs."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class RepeatedRun:
    """One of several runs of a recipe, which lies in the folder `name` beside the others."""

    name: str
    num_clips: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    chosen: Chosen = Chosen()


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """The runs that results are of, where they are of several.

    Args:
        kind: each of "folds" was tested on clips that the others learned from, and the results are
            of the clips of all; "seeds" were all tested on the same clips, and numbers, with the
            intervals of these clips, are means of theirs.
        runs: in order.
        spread: key -> how it differs from run to run.
    """

    kind: Literal["folds", "seeds"]
    runs: tuple[RepeatedRun, ...]
    spread: dict[str, Spread]


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """What dividing the logits of a head by a temperature changed on the clips that were tested.

    Args:
        temperature: what they were divided by.
        measured_on: the clips that it suits best, in words; none of those that were tested.
        nll_before, nll_after: the negative log-likelihood without and with it.
        ece_before, ece_after: the expected calibration error, in percent.
    """

    temperature: float
    measured_on: str = ""
    nll_before: float | None = None
    nll_after: float | None = None
    ece_before: float | None = None
    ece_after: float | None = None


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
    several: tuple[str, ...] | None = None
    """Heads whose scores are of each class alone; None of an earlier marey: the clips tell."""
    calibration: dict[str, Calibrated] = field(default_factory=dict)
    """Head -> the temperature in its scores; empty of a model as it was trained."""
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
    repeats: Repeats | None = None
    """The folds or seeds that these results sum up."""
    chosen: Chosen = Chosen()
    """Which weights were tested."""
    scored_by: str = ""
    """The form of the model that scored (`marey.engine.runtimes`)."""
    split: str = ""
    """Of the manifest, which was tested; empty if it has none."""
    other_clips: str = ""
    """What the clips are called; empty of those that the model was validated on, as far as one can
    tell, and of an earlier marey."""
    role: Role = ""
    """What these clips were to the weights."""
    role_clips: int | None = None
    """How many of the clips are meant by that; None for all of them."""
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

    def estimate(self, key: str) -> Estimate | None:
        """A number with its interval, under the name that `metrics` has; None if it has none."""
        if len(self.estimates) == 1:
            return next(iter(self.estimates.values())).get(key)
        head, _, rest = key.partition("/")
        joint = self.estimates.get("", {}).get(key)
        return joint or self.estimates.get(head, {}).get(rest)

    @property
    def tested_in_words(self) -> str:
        """The clips and their split, as far as they are named.

        >>> Results(split="val").tested_in_words
        'split val'
        >>> Results(other_clips="new", split="val").tested_in_words
        'clips of new, split val'
        """
        clips = self.other_clips and f"clips of {self.other_clips}"
        return ", ".join(filter(None, [clips, self.split and f"split {self.split}"]))

    @property
    def caution(self) -> str:
        """Why the numbers are better than those of other clips would be; empty if they are not."""
        by = f" (by {self.chosen.by})" if self.chosen.by else ""
        is_part = self.role_clips is not None and self.role_clips != self.num_clips
        these = f"{self.role_clips:,} of these clips" if is_part else "these clips"
        return {
            "": "",
            "choice": f"{these} chose the epoch{by}: on others the numbers are likely to be lower",
            "training": f"the model learned from {these}: on others the numbers are lower",
        }[self.role]

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
    if repeats := facts.get("repeats"):
        repeats["spread"] = _nan_for_null(repeats.get("spread") or {})
        repeats["runs"] = [_nan_for_null_metrics(each) for each in repeats.get("runs") or ()]
    facts["members"] = [_nan_for_null_metrics(each) for each in facts.get("members") or ()]
    facts["groups"] = {head: of for head, of in (facts.get("groups") or {}).items() if of}
    return as_value(Results, facts, path)


def _nan_for_null_metrics(member: Any) -> Any:
    return member | {"metrics": _nan_for_null(member["metrics"])} if "metrics" in member else member


def _nan_for_null(facts: Any) -> Any:
    if isinstance(facts, dict):
        return {name: _nan_for_null(value) for name, value in facts.items()}
    return math.nan if facts is None else facts
