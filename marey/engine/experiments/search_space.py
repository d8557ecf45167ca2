"""What a sweep tries of each key: values that are listed, or a range.

lr=0.001,0.01,0.1          each of these
lr=1e-4..1e-2              any rate between, as many in each power of ten; from 0 or below: evenly
frames=4..16               any whole number between, both ends too
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, TypeAlias

from torch.quasirandom import SobolEngine

from marey.errors import RecipeError


@dataclass(frozen=True)
class Values:
    """The values of a key, as they are written."""

    key: str
    values: tuple[str, ...]

    def at(self, share: float) -> str:
        """That at a share from 0 to below 1 of the way."""
        return self.values[int(share * len(self.values))]

    def __str__(self) -> str:
        return f"{self.key}: {', '.join(self.values)}"


@dataclass(frozen=True)
class Range:
    """The numbers of a key from `low` to `high`."""

    key: str
    low: float
    high: float
    scale: Literal["log", "linear", "whole"]

    def at(self, share: float) -> str:
        """That at a share from 0 to below 1 of the way, of three digits if it is not whole."""
        if self.scale == "whole":
            return str(int(self.low + math.floor(share * (self.high - self.low + 1))))
        if self.scale == "log":
            return f"{self.low * (self.high / self.low) ** share:.3g}"
        return f"{self.low + share * (self.high - self.low):.3g}"

    def __str__(self) -> str:
        how = {"log": "alike in each power of ten", "linear": "evenly", "whole": "whole numbers"}
        return f"{self.key}: {self.low:g} to {self.high:g}, {how[self.scale]}"


MOST_DRAWS = 50
"""Times as many points as wanted that are looked at for others."""
Axis: TypeAlias = Values | Range
Point: TypeAlias = tuple[str, ...]
"""``KEY=VALUE`` of every axis."""


def read_axes(words: Iterable[str]) -> tuple[tuple[Axis, ...], list[str]]:
    """The axes among the words of a command, and the words that leave nothing to choose.

    RecipeError for a range that has no numbers between, or a key or a value that is given twice.

    >>> axes, fixed = read_axes(["lr=1e-4..1e-2", "batch_size=8,16", "size=64"])
    >>> [str(axis) for axis in axes], fixed
    (['lr: 0.0001 to 0.01, alike in each power of ten', 'batch_size: 8, 16'], ['size=64'])
    """
    axes: list[Axis] = []
    fixed = []
    for word in words:
        key, equals, text = word.partition("=")
        axis = _axis(key, text) if equals else None
        if axis is None:
            fixed.append(word)
        elif key in {each.key for each in axes}:
            raise RecipeError(f"{key} is given twice", "give all its values at once")
        else:
            axes.append(axis)
    return tuple(axes), fixed


def grid(axes: Sequence[Axis]) -> list[Point]:
    """All values together; RecipeError of a range, which has no end of them."""
    if ranges := [axis for axis in axes if isinstance(axis, Range)]:
        raise RecipeError(
            f"a grid has no end of values between {ranges[0].low:g} and {ranges[0].high:g}",
            f"list those of {ranges[0].key}, or say how many trials: --trials 20",
        )
    lists = [[f"{axis.key}={v}" for v in axis.values] for axis in axes if isinstance(axis, Values)]
    return list(product(*lists))


def drawn(axes: Sequence[Axis], number: int, seed: int) -> list[Point]:
    """So many points, spread better than by chance (a scrambled Sobol sequence).

    The first of more points are those of fewer. None comes twice, so that they are fewer where the
    axes have no more.
    """
    engine = SobolEngine(len(axes), scramble=True, seed=seed)  # type: ignore[no-untyped-call]
    points: dict[Point, None] = {}
    for _ in range(MOST_DRAWS):
        for shares in engine.draw(number).tolist():
            at = (axis.at(min(share, 1 - 1e-6)) for axis, share in zip(axes, shares, strict=True))
            points[tuple(f"{a.key}={text}" for a, text in zip(axes, at, strict=True))] = None
        if len(points) >= number:
            break
    return [*points][:number]


def _axis(key: str, text: str) -> Axis | None:
    low, dots, high = text.partition("..")
    if dots and isinstance(_number(low), float) and isinstance(_number(high), float):
        return _range(key, low, high)
    values = _parts(text)
    known: dict[str | float, str] = {}
    for value in values:
        if (same := known.setdefault(_number(value), value)) is not value:
            raise RecipeError(f"{key} is {same} and {value}, which are one value", "give it once")
    return Values(key, values) if len(values) > 1 else None


def _range(key: str, low: str, high: str) -> Range:
    ends = float(low), float(high)
    if not ends[0] < ends[1] or not all(map(math.isfinite, ends)):
        raise RecipeError(f"{key}={low}..{high} has nothing between", "the smaller end comes first")
    if re.fullmatch(r"-?\d+", low) and re.fullmatch(r"-?\d+", high):
        return Range(key, *ends, "whole")
    return Range(key, *ends, "log" if ends[0] > 0 else "linear")


def _number(text: str) -> float | str:
    """What a text says, if that is a number; else the text."""
    try:
        return float(text)
    except ValueError:
        return text.strip()


def _parts(text: str) -> tuple[str, ...]:
    """What stands between the commas that are in no brackets or quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        quote = "" if letter == quote else quote or (letter if letter in "'\"" else "")
        depth += 0 if quote else (letter in "[{(") - (letter in "]})")
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return tuple(parts)
