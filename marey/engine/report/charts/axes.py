"""Axes with round ticks, the grid and frame around a chart, the legend above it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from marey.engine.report.charts.svg import WIDTH, color, dashes, label, line, short

HEIGHT = 300
LEFT, RIGHT, BOTTOM = 52, 20, 42


@dataclass(frozen=True)
class Axis:
    """Values from the first to the last tick, laid on pixels from `start` to `end`."""

    ticks: Sequence[float]
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value."""
        low, high = self.ticks[0], self.ticks[-1]
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def round_ticks(low: float, high: float, count: int = 5, *, whole: bool = False) -> list[float]:
    """Round numbers that span [low, high], about `count` of them; `whole` keeps to integers.

    >>> round_ticks(0.3, 9.4)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    if high <= low:  # what has no negative values gets none by its margin
        margin = max(abs(low) * 0.1, 1.0 if whole else 0.1)
        low, high = max(low - margin, min(low, 0.0)), high + margin
    raw = (high - low) / count
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= raw * (1 - 1e-9))
    step = max(step, 1.0) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, 1 - math.floor(math.log10(step)))
    return [round(i * step, digits) + 0.0 for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Decades that span [low, high]; with 2s and 5s between where there are few."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    if last - first > 2:
        return [10.0**e for e in range(first, last + 1)]
    ticks = [m * 10.0**e for e in range(first, last + 1) for m in (1, 2, 5)]
    start = max((t for t in ticks if t <= low * (1 + 1e-9)), default=ticks[0])
    end = min((t for t in ticks if t >= high * (1 - 1e-9)), default=ticks[-1])
    return [t for t in ticks if start <= t <= end]


@dataclass(frozen=True)
class Plane:
    """Two axes with the frame around them."""

    x: Axis
    y: Axis

    @classmethod
    def of(
        cls, x_ticks: Sequence[float], y_ticks: Sequence[float], top: float, *, log: bool = False
    ) -> Plane:
        """The plane below `top` of a chart; `log` is of the x axis."""
        x = Axis(x_ticks, LEFT, WIDTH - RIGHT, log=log)
        return cls(x, Axis(y_ticks, HEIGHT - BOTTOM, top))

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The pixel of a point."""
        return self.x.at(x), self.y.at(y)

    def frame(self, x_label: str, y_label: str = "") -> Markup:
        """Both axes with their grid and words."""
        left, right, bottom, top = self.x.start, self.x.end, self.y.start, self.y.end
        parts = [x_grid(self.x, top, bottom, x_label)]
        for tick in self.y.ticks:
            y = self.y.at(tick)
            parts.append(line(left, y, right, y, "rule"))
            parts.append(label(left - 6, y + 4, _tick_text(tick), "end"))
        if y_label:
            parts.append(label(13, (top + bottom) / 2, y_label, "middle", turn=-90))
        return Markup().join([*parts, line(left, bottom, right, bottom, "axis")])


def x_grid(axis: Axis, top: float, bottom: float, words: str) -> Markup:
    """The lines and numbers of the x axis, with words in its middle below."""
    parts = []
    for tick in axis.ticks:
        parts.append(line(axis.at(tick), top, axis.at(tick), bottom, "rule"))
        parts.append(label(axis.at(tick), bottom + 15, _tick_text(tick), "middle"))
    middle = (axis.start + axis.end) / 2
    return Markup().join([*parts, label(middle, bottom + 33, words, "middle") if words else ""])


def legend(names: Sequence[str]) -> tuple[Markup, float]:
    """The legend below the title, and where the chart may begin."""
    x, y, parts = float(LEFT), 36.0, []
    for i, name in enumerate(names):
        words = short(name, 40)
        wide = 27 + 7.4 * len(words)  # in a narrow window the letters are larger
        if x > LEFT and x + wide > WIDTH:
            x, y = float(LEFT), y + 16
        key = line(x, y - 4, x + 17, y - 4, "line", stroke=color(i), stroke_dasharray=dashes(i))
        parts += [key, label(x + 22, y, words)]
        x += wide + 8
    return Markup().join(parts), y + 14


def _tick_text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"
