"""The parts that charts share: axes with round ticks, the frame, the legend, words.

Everything is SVG text in the colours of the page (`markup.STYLE`), in pixels from the top left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from marey.engine.report.charts.html import tag, text

WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, BOTTOM = 52, 16, 42
NUM_COLORS = 6


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
    if high <= low:
        margin = max(abs(low) * 0.1, 1.0 if whole else 0.1)
        low, high = low - margin, high + margin
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


def frame(x_axis: Axis, y_axis: Axis, top: float, x_label: str, y_label: str) -> str:
    """Both axes with their grid and words."""
    parts = [x_grid(x_axis, top, y_axis.start, x_label, (x_axis.start + x_axis.end) / 2)]
    for tick in y_axis.ticks:
        y = y_axis.at(tick)
        parts.append(tag("line", segment(x_axis.start, y, x_axis.end, y, "rule")))
        parts.append(label(x_axis.start - 6, y + 4, _tick_text(tick), "end"))
    if y_label:
        parts.append(label(13, (top + y_axis.start) / 2, y_label, "middle", turn=-90))
    parts.append(tag("line", segment(x_axis.start, y_axis.start, x_axis.end, y_axis.start, "axis")))
    return "".join(parts)


def x_grid(axis: Axis, top: float, bottom: float, words: str, middle: float) -> str:
    """The lines and numbers of the x axis, with words at `middle` below."""
    parts = []
    for tick in axis.ticks:
        parts.append(tag("line", segment(axis.at(tick), top, axis.at(tick), bottom, "rule")))
        parts.append(label(axis.at(tick), bottom + 15, _tick_text(tick), "middle"))
    return "".join([*parts, label(middle, bottom + 33, words, "middle") if words else ""])


def legend(names: Sequence[str]) -> tuple[str, float]:
    """The legend below the title, and where the chart may begin."""
    x, y, parts = float(LEFT), 36.0, []
    for i, name in enumerate(names):
        words = short(name, 40)
        wide = 24 + 6.4 * len(words)
        if x > LEFT and x + wide > WIDTH:
            x, y = float(LEFT), y + 16
        stroke = {"stroke": color(i)} | ({"stroke-dasharray": "6 3"} if i >= NUM_COLORS else {})
        parts.append(tag("line", segment(x, y - 4, x + 14, y - 4, "line") | stroke))
        parts.append(label(x + 19, y, words))
        x += wide + 8
    return "".join(parts), y + 14


def svg(title: str, height: float, *parts: str) -> str:
    """A drawing with its title."""
    shape = {"viewBox": f"0 0 {WIDTH} {height:g}", "role": "img", "aria-label": title}
    return tag("svg", shape, label(0, 14, title, kind="title"), *parts)


def empty(title: str) -> str:
    """A drawing that says there is nothing to draw."""
    return svg(title, 60, label(0, 40, "no values to draw"))


def label(
    x: float, y: float, words: str, anchor: str = "start", kind: str = "", *, turn: float = 0
) -> str:
    """A piece of text in a chart, turned by `turn` degrees about its anchor."""
    attributes: dict[str, object] = {"x": x, "y": y, "text-anchor": anchor}
    attributes |= {"class": kind} if kind else {}
    attributes |= {"transform": f"rotate({turn:g} {x:.1f} {y:.1f})"} if turn else {}
    return tag("text", attributes, text(words))


def short(words: str, length: int) -> str:
    """`words`, cut to `length` characters with an ellipsis."""
    return words if len(words) <= length else words[: length - 1] + "…"


def segment(x1: float, y1: float, x2: float, y2: float, kind: str) -> dict[str, object]:
    """The attributes of a line."""
    return {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": kind}


def color(index: int) -> str:
    """The colour of the curve or run of that number."""
    return f"var(--s{index % NUM_COLORS})"


def _tick_text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"
