"""What a model gains over another on the clips that both read, each number with its interval.

The clips are matched by what they are called (`clip_identity`), so that one data set as videos, as
packs and as features compares with itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from marey.engine.inference.clip_identity import common_keys
from marey.engine.report.evaluations import HeadResult, Result, SeveralResult
from marey.engine.report.pages import Table
from marey.metrics.average_precision import hits, mean_precision_gain
from marey.metrics.catalog import DASH, Named, find_metric
from marey.metrics.groups import Groups
from marey.metrics.intervals import Estimate, difference_interval, mcnemar
from marey.metrics.longtail import ALL, class_gains

Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False, kw_only=True)
class Pairs:
    """The clips that two evaluations have in common: row i of one is row i of the other."""

    by: str = ""
    """What they were matched by, in words."""
    first: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    other: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    matched: int = 0
    """Clips that are in both, those included whose labels differ, which are left out."""

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, kw_only=True)
class Gain:
    """A number of one model less that of another on the same clips, in points of a percent.

    Args:
        key: the number, as results.json has it.
        points: the difference with its interval.
        only_first, only_other: clips that one alone gets right, where the number counts clips.
        p: McNemar's, of these; None of other numbers.
    """

    key: str
    points: Estimate
    only_first: int | None = None
    only_other: int | None = None
    p: float | None = None

    @property
    def named(self) -> Named:
        """The row of the catalog and its head."""
        named = find_metric(self.key)
        assert named is not None, self.key
        return named


def pair(first: Result, other: Result) -> Pairs:
    """The clips that both read and that have one label; none where classes or heads differ."""
    if not first.num_read or not other.num_read:
        return Pairs()
    found = common_keys([first.clip_names(), other.clip_names()])
    if found is None:
        return Pairs()
    by, (ours, theirs) = found
    row_of = {key: row for row, key in enumerate(theirs)}
    both = [(row, row_of[key]) for row, key in enumerate(ours) if key in row_of]
    a, b = (np.array(rows, np.int64) for rows in zip(*both, strict=True))
    if first.classes != other.classes:
        return Pairs(by=by, matched=len(a))
    same = np.ones(len(a), bool)
    for one, two in zip(first.all_heads, other.all_heads, strict=True):
        same &= (one.targets[a] == two.targets[b]).all(axis=1)
    return Pairs(by=by, first=a[same], other=b[same], matched=len(a))


def gains(
    first: Result, other: Result, pairs: Pairs, groups: Mapping[str, Groups] | None = None
) -> list[Gain]:
    """What `other` gains over `first`, number by number; none without clips in common."""
    if not len(pairs):
        return []
    several_heads = len(first.all_heads) > 1
    found: list[Gain] = []
    if several_heads and not first.several:
        right = [
            np.all([head.right[rows] for head in each.heads], axis=0)
            for each, rows in ((first, pairs.first), (other, pairs.other))
        ]
        answers = np.column_stack([head.labels[pairs.first] for head in first.heads])
        found.append(_of_clips("acc/top1", len(np.unique(answers, axis=0)), *right))
    for one, two in zip(first.all_heads, other.all_heads, strict=True):
        before = f"{one.name}/" if several_heads else ""
        found += _of_head(before, one, two, pairs, (groups or {}).get(one.name))
    return found


def gain_table(
    first: str, found: Mapping[str, Sequence[Gain]], pairs: Mapping[str, Pairs]
) -> Table | None:
    """A row for each of the gains of the other runs over the `first`; None if there are none.

    Args:
        first: the name of the run.
        found: name of each other run -> its gains.
        pairs: name of each other run -> the clips that they are of.
    """
    rows = []
    for name, of in found.items():
        for gain in of:
            each, is_tested = gain.points, gain.points.num_clips > 0
            rows.append(
                (
                    name,
                    gain.named.title,
                    f"{each.value:+.1f}" if is_tested else DASH,
                    f"{each.low:+.1f} to {each.high:+.1f}" if is_tested else DASH,
                    f"{each.num_clips:,}",
                    DASH if gain.p is None else f"{gain.only_first} : {gain.only_other}",
                    _p_text(gain.p),
                )
            )
    header = ("run", "number", "points", "95 % interval", "clips", "alone", "p")
    by = "; ".join(f"{name} by {each.by}" for name, each in pairs.items() if each.by)
    note = (
        f"Points over {first} on the clips that both read. Alone: clips that {first} or this run "
        f"alone gets right, with McNemar's p (mid-p). Clips are matched: {by}."
    )
    return Table(header, rows, range(2, 7), note, keys=2) if rows else None


def _p_text(p: float | None) -> str:
    if p is None:
        return DASH
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def _of_head(
    before: str,
    one: HeadResult | SeveralResult,
    two: HeadResult | SeveralResult,
    pairs: Pairs,
    groups: Groups | None,
) -> Iterator[Gain]:
    a, b = pairs.first, pairs.other
    if isinstance(one, SeveralResult) or isinstance(two, SeveralResult):
        targets, scores = one.targets[a], (one.probabilities[a], two.probabilities[b])
        for name, points in mean_precision_gain(*scores, targets, groups).items():
            yield Gain(key=f"{before}mAP" + ("" if name == ALL else f"/{name}"), points=points)
        shown = int(targets.any(axis=0).sum())
        yield _of_clips(f"{before}hit@1", shown, *(hits(of, targets) for of in scores))
        return
    right = one.right[a], two.right[b]
    yield _of_clips(f"{before}acc/top1", len(np.unique(one.labels[a])), *right)
    differences = 100.0 * (right[1].astype(np.float64) - right[0])
    of_classes = class_gains(differences, one.labels[a], len(one.classes), groups)
    for name, points in of_classes.items():
        yield Gain(key=f"{before}acc/{name}", points=points)


def _of_clips(key: str, num_classes: int, first: Bools, other: Bools) -> Gain:
    """The gain of a share of clips that are right, [n] each."""
    n = len(first)
    only_first, only_other = int((first & ~other).sum()), int((other & ~first).sum())
    value = 100 * (only_other - only_first) / n
    variance = (1e4 * (only_first + only_other) / n - value**2) / n
    between = difference_interval(value, variance, n)
    return Gain(
        key=key,
        points=Estimate(value, *between, num_classes, n),
        only_first=only_first,
        only_other=only_other,
        p=mcnemar(only_first, only_other),
    )
