"""Which classes are head, tail and few-shot, by their number of training clips.

The paper of Long-Tail Mixed Reconstruction (arXiv 2304.01143) describes a long-tailed set by

    H% = 100 * head classes / classes      head: the most frequent ones, with half of the data
    F% = 100 * few-shot classes / classes  few-shot: at most 20 training clips
    I  = largest class / smallest class    in training clips

and calls the rest tail. "Half" is the cut whose share of the data is closest to 50 %: of the rules
one may read there it is the only one that gives all of the paper's pie charts.

**Deviates**: the published lists of classes are not these. EPIC's head holds 90 % of the data, the
last class of the order is in no group, and the lists of nouns overlap. `release_groups` gives them,
to compare with numbers that were measured so: it knows the three data sets of the release by their
counts. VideoLT (arXiv 2105.02668) has borders of its own, `videolt_groups`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Classes = npt.NDArray[np.int64]

FEW = 20
"""Training clips a few-shot class has at most."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Class numbers of three groups, each from the most to the least frequent, and their rule."""

    head: Classes
    tail: Classes
    few: Classes
    rule: str
    """The rule in words."""
    names: tuple[str, str, str] = ("head", "tail", "few")
    """What the three are called; VideoLT says head, medium, tail."""

    def __iter__(self) -> Iterator[tuple[str, Classes]]:
        """Name and classes of each group, from the most frequent."""
        return iter(zip(self.names, (self.head, self.tail, self.few), strict=True))


@dataclass(frozen=True)
class Profile:
    """A set of training clips in the paper's terms; H and F are in percent of the classes."""

    num_classes: int
    num_clips: int
    head_percent: float
    few_percent: float
    imbalance: float
    """Clips of the largest class to those of the smallest that has any."""


def paper_groups(counts: Counts, few: int = FEW) -> Groups:
    """The groups as the paper defines them, of training clips a class, int64 [k].

    Equal counts are ordered by class number. Of two cuts equally close to one half the one with
    fewer classes is taken. A class with few clips is few-shot even if it is among the first.

    >>> groups = paper_groups(np.array([5, 100, 60, 40, 21]))
    >>> [(name, classes.tolist()) for name, classes in groups]
    [('head', [1]), ('tail', [2, 3, 4]), ('few', [0])]
    """
    order, running = _ranked(counts)
    cut = int(np.abs(2 * running - running[-1]).argmin()) + 1
    is_few = counts[order] <= few
    is_head = (np.arange(len(order)) < cut) & ~is_few
    rule = f"paper: head is the classes that hold closest to 50 % of the data, few <= {few} clips"
    return Groups(order[is_head], order[~is_head & ~is_few], order[is_few], rule)


def release_groups(counts: Counts) -> Groups:
    """The groups that LMR's release has for these training clips, int64 [k]; its lists, if it has.

    It lists those of SSv2-LT (14, 103 and 56 classes), of EPIC's nouns (97, 111, 97) and verbs (19,
    60, 17). The first two are known by their counts, of which a few clips may be missing. The rule
    that makes the verbs' is for all other sets.
    """
    if _is_ssv2_lt(counts):
        return release_rule(counts, 0.5, of="SSv2-LT, ")
    if _is_epic_nouns(counts):
        return release_noun_groups(counts)
    return release_rule(counts)


def release_rule(counts: Counts, head_share: float = 0.9, few: int = FEW, of: str = "") -> Groups:
    """Groups by the rule of LMR's lists: the head is the longest start within `head_share`.

    With 0.9 these are the lists of EPIC's verbs, with 0.5 those of SSv2-LT. The least frequent
    class (of equals the one of highest number) is in no group. `of` is said before the rule.
    """
    order, running = _ranked(counts)
    cut = int((running <= head_share * running[-1]).sum())
    first_few = max(cut, int((counts > few).sum()))
    rule = f"head holds at most {head_share:.0%} of the data, few <= {few} but the last"
    return Groups(order[:cut], order[cut:first_few], order[first_few:-1], f"release: {of}{rule}")


def release_noun_groups(counts: Counts) -> Groups:
    """The groups of LMR's published lists of EPIC's 300 nouns, which no rule explains.

    Of the nouns by falling count the tail is places 91 to 201, although the head ends at 96.
    """
    order, _ = _ranked(counts)
    if len(order) != 300:
        raise ValueError(f"there are {len(order)} classes, expected EPIC-KITCHENS-100's 300 nouns")
    rule = "release: EPIC's nouns as listed; the 6 least frequent of the head are in the tail too"
    return Groups(order[:97], order[91:202], order[202:299], rule)


def _is_ssv2_lt(counts: Counts) -> bool:
    """Whether these are SSv2-LT's: those of rank r are 2500 (1 + 1.46 r / 173) ** -7, rounded."""
    if len(counts) != 174:
        return False
    wanted = np.round(2500 * np.linspace(1, 2.46, 174) ** -7)
    return bool(np.allclose(np.sort(counts)[::-1], wanted, rtol=0.02, atol=1))


def _is_epic_nouns(counts: Counts) -> bool:
    """Whether these are EPIC-KITCHENS-100's nouns: 67,217 clips of 300, 3,617 of the commonest."""
    sizes = np.array([counts.sum(), counts.max(initial=0)])
    return len(counts) == 300 and bool(np.allclose(sizes, [67217, 3617], rtol=0.01))


def videolt_groups(counts: Counts, head: int = 500, tail: int = 100) -> Groups:
    """VideoLT's groups by number alone: more than `head`, between, at most `tail` clips.

    The table of its model zoo prints the borders the other way round ([500, inf), [100, 500),
    [0, 100)); its numbers are of these.
    """
    order, _ = _ranked(counts)
    ranked = counts[order]
    is_head, is_tail = ranked > head, ranked <= tail
    rule = f"VideoLT: head > {head} clips, tail <= {tail}"
    medium = order[~is_head & ~is_tail]
    return Groups(order[is_head], medium, order[is_tail], rule, ("head", "medium", "tail"))


RuleName = Literal["paper", "release", "videolt"]
RULES: dict[RuleName, Callable[[Counts], Groups]] = {
    "paper": paper_groups,
    "release": release_groups,
    "videolt": videolt_groups,
}
"""The rules that hold for any data set."""


def profile(counts: Counts, few: int = FEW) -> Profile:
    """H%, F% and imbalance of training clips a class, int64 [k]."""
    groups, filled = paper_groups(counts, few), counts[counts > 0]
    return Profile(
        num_classes=len(counts),
        num_clips=int(counts.sum()),
        head_percent=100 * len(groups.head) / len(counts),
        few_percent=100 * len(groups.few) / len(counts),
        imbalance=float(filled.max() / filled.min()),
    )


def _ranked(counts: Counts) -> tuple[Classes, Counts]:
    """The classes by falling count, equal ones by their number, and the running sum of clips."""
    if counts.ndim != 1 or not counts.sum() > 0 or (counts < 0).any():
        raise ValueError(f"counts are {counts.tolist()}, expected a number of clips for each class")
    order = np.argsort(-counts, kind="stable")
    return order, np.cumsum(counts[order])
