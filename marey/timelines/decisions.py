"""What is said of a stream: one class after each answer of a model, steadier than its best class.

A rule is a pure function of what it decided last and of the newest logits:

    what was decided, logits [k], seconds -> what is decided

so that a stream needs to keep one value, and `decided` gives the same for logits [t k] at once.

| rule            | what it looks at              | when another class is said                     |
|-----------------|-------------------------------|------------------------------------------------|
| `MeanOfLast`    | the mean of the last n logits | it is likelier by a factor, for some seconds   |
| `HighestOfLast` | the mean of each class's k   | as `MeanOfLast`                                |
|                 | highest of the last n         |                                                |
| `PublishedDemo` | the sum of the last 12 logits | the last two said are equal; some never are    |

`PublishedDemo` is the rule of the online demo of temporal-shift-module (arXiv 1811.08383), which
was made for Jester.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from marey.errors import first_few
from marey.types import check_counts, check_numbers

Logits: TypeAlias = npt.NDArray[np.floating]
"""[k], of one head."""


@dataclass(frozen=True, eq=False)
class Decided:
    """What is said now, and all that a rule keeps for the next answer."""

    said: int
    """The number of the class."""
    logits: Logits
    """[k] after smoothing, float64: how sure the answer is."""
    recent: tuple[Logits, ...]
    """The last logits as they came, the newest last."""
    before: int
    """What was said before this answer."""
    rival: int
    """The class that is about to be said; that which is said, if there is none."""
    rival_since: float
    """Its first second."""


class Decision(Protocol):
    """A frozen dataclass that says which class is said."""

    def for_labels(self, labels: Sequence[str]) -> Decision:
        """The rule for a head of these classes; ValueError if it is none for them."""
        ...

    def step(self, last: Decided | None, logits: Logits, seconds: float) -> Decided:
        """What is said after the newest logits.

        Args:
            last: what the step before gave; None at the beginning of a stream.
            logits: [k], finite.
            seconds: the time of the frame they speak of, not before that of `last`.
        """
        ...


def decided(rule: Decision, logits: Iterable[Logits], seconds: Iterable[float]) -> list[Decided]:
    """What is said after each of the logits [t k], at these seconds [t].

    >>> flicker = np.log([[0.8, 0.2], [0.4, 0.6], [0.8, 0.2]])
    >>> [each.said for each in decided(MeanOfLast(1), flicker, [0.0, 0.1, 0.2])]
    [0, 1, 0]
    >>> [each.said for each in decided(MeanOfLast(2), flicker, [0.0, 0.1, 0.2])]
    [0, 0, 0]
    """
    all_of_them: list[Decided] = []
    last = None
    for newest, when in zip(logits, seconds, strict=True):
        last = rule.step(last, newest, when)
        all_of_them.append(last)
    return all_of_them


@dataclass(frozen=True)
class MeanOfLast:
    """The best class by the mean of the last `answers` logits, held until another one is sure.

    Args:
        answers: how many are averaged; fewer at the beginning. 1 takes them as they come.
        times: another class is said once it is more than so many times as probable as what is said
            (hysteresis). 1 asks for no more than that it is the best.
        least_seconds: it must be so for at least so long without a break. So whatever is said is
            said for at least so long, and said so much later.
    """

    answers: int = 8
    times: float = 1.0
    least_seconds: float = 0.0

    def __post_init__(self) -> None:
        check_counts(answers=self.answers)
        check_numbers(at_least=1, times=self.times)
        check_numbers(at_least=0, least_seconds=self.least_seconds)

    def for_labels(self, labels: Sequence[str]) -> MeanOfLast:  # noqa: ARG002
        """The same rule: it looks at no class by its name."""
        return self

    def step(self, last: Decided | None, logits: Logits, seconds: float) -> Decided:
        """What is said after the newest logits [k]."""
        recent = _with_newest(last, logits, self.answers)
        mean = self._smooth(recent)
        best = int(mean.argmax())
        if last is None:
            return Decided(best, mean, recent, before=best, rival=best, rival_since=seconds)
        now = replace(last, logits=mean, recent=recent, before=last.said)
        if not mean[best] - mean[last.said] > math.log(self.times):  # logits are logarithms
            return replace(now, rival=last.said, rival_since=seconds)
        since = last.rival_since if last.rival == best else seconds
        if seconds - since < self.least_seconds - _ROUNDING:
            return replace(now, rival=best, rival_since=since)
        return replace(now, said=best, rival=best, rival_since=seconds)

    def _smooth(self, recent: Sequence[Logits]) -> Logits:
        mean: Logits = np.mean(recent, axis=0, dtype=np.float64)
        return mean


@dataclass(frozen=True)
class HighestOfLast(MeanOfLast):
    """`MeanOfLast`, of each class by the mean of its `highest` highest logits among the last.

    It is the rule of a model whose consensus is that of its frames: 1 is the consensus "max".
    """

    highest: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(highest=self.highest)

    def _smooth(self, recent: Sequence[Logits]) -> Logits:
        highest = np.sort(np.asarray(recent, np.float64), axis=0)[-self.highest :]
        mean: Logits = highest.mean(axis=0)
        return mean


JESTER = (
    *("Doing other things", "Drumming Fingers", "No gesture", "Pulling Hand In"),
    *("Pulling Two Fingers In", "Pushing Hand Away", "Pushing Two Fingers Away"),
    *("Rolling Hand Backward", "Rolling Hand Forward", "Shaking Hand"),
    *("Sliding Two Fingers Down", "Sliding Two Fingers Left", "Sliding Two Fingers Right"),
    *("Sliding Two Fingers Up", "Stop Sign", "Swiping Down", "Swiping Left", "Swiping Right"),
    *("Swiping Up", "Thumb Down", "Thumb Up", "Turning Hand Clockwise"),
    *("Turning Hand Counterclockwise", "Zooming In With Full Hand", "Zooming In With Two Fingers"),
    *("Zooming Out With Full Hand", "Zooming Out With Two Fingers"),
)
"""Its classes in the order of the published network, which is not that of Jester's own list."""


@dataclass(frozen=True)
class PublishedDemo:
    """The rule of temporal-shift-module's online demo, for the 27 classes of Jester.

    The best class by the sum of the last `answers` logits, and then, in this order:

    | if it is                           | it becomes                              |
    |------------------------------------|-----------------------------------------|
    | one of `unsaid`                    | what was said last                      |
    | one of `nothing_too`               | `nothing`                               |
    | other than what was said last, and | what was said last: a change needs two  |
    | the last two said are not equal    | that are equal                          |

    Numbers are those of `JESTER`: never said are Rolling Hand Backward and Forward, Turning Hand
    Clockwise and Counterclockwise, and Pulling Hand In; Doing other things is said as No gesture.
    A head with another order has the same classes by their names (`for_labels`).

    **Deviates**: a stream begins with two times No gesture. Upstream it begins with one, and ends
    with an IndexError if the first class is another. What is shown as its score is the mean's, of
    which the best class is the sum's.
    """

    answers: int = 12
    unsaid: tuple[int, ...] = (7, 8, 21, 22, 3)
    nothing: int = 2
    nothing_too: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        check_counts(answers=self.answers)
        for name in ("unsaid", "nothing_too"):
            for number in getattr(self, name):
                check_numbers(at_least=0, at_most=len(JESTER) - 1, **{name: number})
        check_numbers(at_least=0, at_most=len(JESTER) - 1, nothing=self.nothing)

    def for_labels(self, labels: Sequence[str]) -> PublishedDemo:
        """The rule with the numbers that these classes have; as it is where they have no names.

        ValueError unless they are those of Jester.
        """
        if list(labels) == [str(number) for number in range(len(JESTER))]:
            return self
        places = {_plain(label): number for number, label in enumerate(labels)}
        if missing := [name for name in JESTER if _plain(name) not in places]:
            raise ValueError(
                f"PublishedDemo is a rule for the {len(JESTER)} classes of Jester; the "
                f"{len(labels)} here lack {first_few(missing, 3)}. hint: MeanOfLast is for any"
            )
        there = [places[_plain(name)] for name in JESTER]
        return replace(
            self,
            unsaid=tuple(there[number] for number in self.unsaid),
            nothing=there[self.nothing],
            nothing_too=tuple(there[number] for number in self.nothing_too),
        )

    def step(self, last: Decided | None, logits: Logits, seconds: float) -> Decided:
        """What is said after the newest logits [27]."""
        recent = _with_newest(last, logits, self.answers)
        mean: Logits = np.mean(recent, axis=0, dtype=np.float64)
        said, before = (last.said, last.before) if last else (self.nothing, self.nothing)
        new = int(mean.argmax())
        if new in self.unsaid:
            new = said
        if new in self.nothing_too:
            new = self.nothing
        if new != said and said != before:
            new = said
        return Decided(new, mean, recent, before=said, rival=new, rival_since=seconds)


_ROUNDING = 1e-9
"""Seconds; 0.3 - 0.1 is less than 0.2."""


def _with_newest(last: Decided | None, logits: Logits, answers: int) -> tuple[Logits, ...]:
    """The last logits with the newest, at most so many."""
    return (*(last.recent if last else ()), logits)[-answers:]


def _plain(label: str) -> str:
    return "".join(label.lower().split())
