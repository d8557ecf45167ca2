"""The evaluations of a run, read back: results/NAME, and which of them a page is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from marey.data.manifest.classes import classes_file, read_classes
from marey.data.manifest.manifest import SPLITS
from marey.engine.inference.clip_identity import ClipNames
from marey.engine.inference.measures import head_estimates, is_of_each, probabilities_of
from marey.engine.inference.predictions import Predictions, read_predictions
from marey.engine.results_file import FILE as RESULTS
from marey.engine.results_file import Results, read_results
from marey.errors import RunError
from marey.metrics.accuracy import class_accuracy, confusion_matrix
from marey.metrics.catalog import Scores
from marey.metrics.detection import targets_of
from marey.terminal import visible
from marey.video.reading.reader import Span


@dataclass(frozen=True, eq=False)
class HeadResult:
    """The answers of one head: labels int64 [n], probabilities float32 [n k], k class names."""

    name: str
    classes: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray

    def in_order(self, classes: tuple[str, ...]) -> HeadResult:
        """The same with its classes in the order of `classes`."""
        old = [self.classes.index(name) for name in classes]
        new = np.argsort(old)
        return HeadResult(self.name, classes, new[self.labels], self.probabilities[:, old])

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
    def targets(self) -> np.ndarray:
        """Whether each class is the label, bool [n k]."""
        return targets_of(self.labels, len(self.classes))

    @cached_property
    def accuracies(self) -> np.ndarray:
        """Top-1 accuracy of each class in percent, float64 [k], NaN without clips."""
        return class_accuracy(self.probabilities, self.labels)

    @cached_property
    def confusions(self) -> np.ndarray:
        """Clips of each class [k] that were taken for each [k]."""
        return confusion_matrix(self.probabilities, self.labels)


@dataclass(frozen=True, eq=False)
class SeveralResult:
    """The answers of a head whose clips show several classes: targets bool [n k]."""

    name: str
    classes: tuple[str, ...]
    targets: np.ndarray
    probabilities: np.ndarray

    def in_order(self, classes: tuple[str, ...]) -> SeveralResult:
        """The same with its classes in the order of `classes`."""
        old = [self.classes.index(name) for name in classes]
        return SeveralResult(self.name, classes, self.targets[:, old], self.probabilities[:, old])


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """One evaluation: results.json, and the clips of predictions.parquet in columns."""

    name: str
    facts: Results
    paths: list[str] = field(default_factory=list)
    spans: list[tuple[float | None, float | None]] = field(default_factory=list)
    clip_ids: list[str | None] | None = None
    heads: tuple[HeadResult, ...] = ()
    several: tuple[SeveralResult, ...] = ()
    """The heads of clips of several classes, which have no ranks nor confusions."""

    @property
    def num_read(self) -> int:
        """Clips that have answers."""
        return len(self.spans)

    @property
    def split(self) -> str:
        """What was tested; of the run's own clips where nobody says, as the folder is called."""
        last = self.name.rpartition("-")[2]
        is_said = bool(self.facts.split or self.facts.other_clips)
        return self.facts.split if is_said or last not in SPLITS else last

    @property
    def all_heads(self) -> Sequence[HeadResult | SeveralResult]:
        """Those of one class a clip, then those of several."""
        return (*self.heads, *self.several)

    @property
    def classes(self) -> list[tuple[str, tuple[str, ...]]]:
        """Names and classes of all heads."""
        return [(head.name, head.classes) for head in self.all_heads]

    def in_order_of(self, first: Result) -> Result:
        """The same with its classes in the order of `first`, where it has the same by name."""
        wanted = {
            head: order
            for head, own in self.classes
            if (order := dict(first.classes).get(head)) and {*own} == {*order}
            if own != order and len({*own}) == len(own) == len(order)
        }
        groups = {
            head: known.renumbered([wanted[head].index(name) for name in dict(self.classes)[head]])
            if head in wanted
            else known
            for head, known in self.facts.groups.items()
        }
        return replace(
            self,
            facts=replace(self.facts, groups=groups, classes={**self.facts.classes, **wanted}),
            heads=tuple(
                each.in_order(wanted[each.name]) if each.name in wanted else each
                for each in self.heads
            ),
            several=tuple(
                each.in_order(wanted[each.name]) if each.name in wanted else each
                for each in self.several
            ),
        )

    def head(self, name: str) -> HeadResult | None:
        """The answers of a head, if there are any."""
        return next((head for head in self.heads if head.name == name), None)

    def span(self, row: int) -> Span | None:
        """Where a clip lies in its file; None for a whole file."""
        start, end = self.spans[row]
        return None if start is end is None else Span(start, end, self.facts.span_unit)

    def clip_names(self) -> ClipNames:
        """What its clips are called, to find them in another evaluation."""
        root = f"{visible(self.facts.root)}/" if self.facts.root else ""
        return ClipNames(
            ids=self.clip_ids,
            places=self.paths,
            texts=[path.removeprefix(root) for path in self.paths],
            spans=[self.span(row) for row in range(self.num_read)],
            root=root.rstrip("/"),
        )


def read_evaluations(folder: Path) -> tuple[Result, ...]:
    """The evaluations of the run in `folder`, the newest first."""
    files = sorted(folder.glob(f"results/*/{RESULTS}"))
    newest_first = sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)
    return tuple(_result(folder, file) for file in newest_first)


def chosen_result(results: Sequence[Result], folder: Path, asked: str | None) -> Result | None:
    """The evaluation that pages look at: the one of the name or split that is asked for.

    By default that of the split val, else of test, else the only one that is not of the training
    clips; of several of a split the one that is called as it. Those of other clips than the run's
    own count where there is none of these. None if there is none.

    Raises:
        RunError: there is none of that name, or several may be meant.
    """
    if asked is not None:
        named = [each for each in results if each.name == asked]
        of_split = _own([each for each in results if each.split == asked])
        found = named or _called_as(asked, of_split)
        if not found:
            has = ", ".join(sorted(each.name for each in results)) or "none"
            raise RunError(
                f"{folder} has no results '{asked}', but {has}", f"marey eval {folder} makes them"
            )
        return _only(found, folder)
    results = _own(results)
    for split in ("val", "test"):
        if found := _called_as(split, [each for each in results if each.split == split]):
            return _only(found, folder)
    others = [each for each in results if each.split != "train"]
    return _only(others, folder) if others else None


def _own(results: Sequence[Result]) -> list[Result]:
    """Those of the run's own clips; all if there are none."""
    return [each for each in results if not each.facts.other_clips] or [*results]


def _called_as(split: str, results: list[Result]) -> list[Result]:
    return [each for each in results if each.name == split] or results


def _only(results: Sequence[Result], folder: Path) -> Result:
    if len(results) > 1:
        names = " and ".join(sorted(each.name for each in results))
        raise RunError(f"{folder} has the results {names}", "say by its name which is meant")
    return results[0]


def _result(folder: Path, file: Path) -> Result:
    name, facts, path = file.parent.name, read_results(file), file.with_name("predictions.parquet")
    if not path.is_file():
        return Result(name=name, facts=facts)
    clips = read_predictions(path)
    heads: list[HeadResult] = []
    several: list[SeveralResult] = []
    for head, (scores, labels) in clips.heads.items():
        classes = _classes(path, head, scores, facts, folder)
        scores = scores.reshape(len(scores), len(classes))
        of_each = is_of_each(head, labels, facts.several)
        sure = probabilities_of(scores, facts.average, several=of_each)
        if labels.ndim == 2:
            several.append(SeveralResult(head, classes, labels, sure))
        else:
            heads.append(HeadResult(head, classes, labels, sure))
    return Result(
        name=name,
        facts=_with_intervals(facts, clips),
        paths=clips.paths,
        spans=clips.spans,
        clip_ids=clips.clip_ids,
        heads=tuple(heads),
        several=tuple(several),
    )


def _with_intervals(facts: Results, clips: Predictions) -> Results:
    """The results with the intervals that an earlier marey left out, or left without a width.

    As they are where clips could not be read whose labels nobody wrote down.
    """
    known = {key: each for of in facts.estimates.values() for key, each in of.items()}
    lost = [each for each in facts.missing if each.labels.keys() == clips.heads.keys()]
    if (known and all(e.low < e.high or not e.num_clips for e in known.values())) or (
        len(lost) != facts.num_missing or len(clips.spans) + len(lost) != facts.num_clips
    ):
        return facts
    estimates = {}
    for head, (scores, labels) in clips.heads.items():
        gaps = np.full((len(lost), scores.shape[1]), np.nan, np.float32)
        more = np.zeros((len(lost), *labels.shape[1:]), labels.dtype)
        for row, each in enumerate(lost):
            if labels.ndim == 2:
                more[row, list(each.labels[head])] = True
            else:
                more[row] = each.labels[head][0]
        groups = facts.groups[head].groups if head in facts.groups else None
        whole = np.concatenate([scores, gaps]), np.concatenate([labels, more])
        estimates[head] = facts.estimates.get(head, {}) | head_estimates(*whole, groups)
    return replace(facts, estimates=facts.estimates | estimates)


def _classes(
    path: Path, head: str, scores: Scores, facts: Results, folder: Path
) -> tuple[str, ...]:
    """The class names of a head, as the results, then the run, then nobody has them."""
    file = classes_file(folder, head)
    classes = facts.classes.get(head) or (read_classes(file) if file.is_file() else ())
    classes = classes or tuple(f"class {i}" for i in range(scores.shape[1]))
    if len(scores) and scores.shape[1] != len(classes):
        raise RunError(
            f"{path}: {scores.shape[1]} scores a clip of head '{head}', which has {len(classes)} "
            "class names",
            "evaluate again",
        )
    return classes
