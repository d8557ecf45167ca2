"""Charts as inline SVG: lines, points, bars, intervals, reliability.

Each function returns one `<svg>` element that takes its colours from the page, so it reads in light
and dark, and whose marks have tooltips. Values that are not finite are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from markupsafe import Markup

from marey.engine.report.charts import svg
from marey.engine.report.charts.axes import (
    BOTTOM,
    HEIGHT,
    Axis,
    Plane,
    legend,
    log_ticks,
    round_ticks,
    x_grid,
)
from marey.errors import counted
from marey.metrics.calibration import Reliability
from marey.metrics.intervals import share_interval

TREND_MARKS = 8
MAX_POINTS = 400
"""A longer curve is thinned: more points than pixels only make the page heavy."""
LONGEST = 24
"""Characters of a name beside a row."""
ROW, TOP, VALUES = 18, 32, 54
"""Of charts with a row a value: height of a row, of the title, and width of the written values."""
Range = tuple[float, float]
T = TypeVar("T")


@dataclass(frozen=True)
class Series:
    """One curve: y over x, under a name for the legend."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Point:
    """A mark at (x, y) with its tooltip; `label` is written beside it."""

    x: float
    y: float
    tip: str
    label: str = ""


@dataclass(frozen=True)
class Bar:
    """A named value with its tooltip."""

    name: str
    value: float
    tip: str = ""


@dataclass(frozen=True)
class Spread:
    """A named value with the ends of its interval."""

    name: str
    value: float
    low: float
    high: float


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    y_label: str = "",
    y_range: Range | None = None,
) -> Markup:
    """Curves over a shared x axis of whole numbers (epochs, steps)."""
    curves = [_finite(s) for s in series]
    xs, ys = [x for s in curves for x in s.x], [y for s in curves for y in s.y]
    if not xs:
        return svg.empty(title)
    names, top = legend([s.name for s in series]) if len(series) > 1 else (Markup(), 30.0)
    ticks = round_ticks(min(xs), max(xs), 6, whole=True)
    plane = Plane.of(ticks, round_ticks(*(y_range or (min(ys), max(ys)))), top)
    marks = [_curve(s, i, plane) for i, s in enumerate(curves) if s.x]
    return svg.drawing(title, HEIGHT, names, plane.frame(x_label, y_label), *marks)


def scatter(
    points: Sequence[Point],
    *,
    title: str,
    x_label: str,
    y_label: str = "",
    y_range: Range | None = None,
) -> Markup:
    """Marks in the plane; the x axis is logarithmic where x spans more than a factor of 20."""
    points = _visible(points)
    if not points:
        return svg.empty(title)
    plane = _plane_of(points, y_range, 30)
    marks = [
        _mark(point, plane, 5.0 if point.label else 4.0, index if point.label else 0, 0.75)
        for index, point in enumerate(points)
    ]
    frame, names = plane.frame(x_label, y_label), _labels(points, plane)
    return svg.drawing(title, HEIGHT, frame, *marks, *names)


def scatters(
    series: Mapping[str, Sequence[Point]],
    *,
    title: str,
    x_label: str,
    y_range: Range | None = None,
) -> Markup:
    """Marks of several series, each with a line through the means of some of its marks by x."""
    visible = {name: _visible(points) for name, points in series.items()}
    together = [point for points in visible.values() for point in points]
    if not together:
        return svg.empty(title)
    names, top = legend(list(visible))
    plane = _plane_of(together, y_range, top)
    marks, lines = [], []
    for index, (name, points) in enumerate(visible.items()):
        marks += [_mark(point, plane, 2.4, index, 0.5) for point in points]
        lines += [_curve(_trend(name, points), index, plane)] if points else []
    return svg.drawing(title, HEIGHT, names, plane.frame(x_label), *marks, *lines)


def intervals(values: Sequence[Spread], *, title: str, x_label: str = "") -> Markup:
    """A mark and the line from `low` to `high` of each value, one below the other, zero marked."""
    values = [v for v in values if all(map(math.isfinite, (v.value, v.low, v.high)))]

    def marks(v: Spread, y: float, axis: Axis) -> Markup:
        fill = "var(--good)" if v.low > 0 else "var(--bad)" if v.high < 0 else "var(--soft)"
        return svg.with_tip(
            f"{v.name}: {v.value:+.1f} ({v.low:+.1f} to {v.high:+.1f})",
            svg.line(axis.at(v.low), y, axis.at(v.high), y, "line", stroke=fill),
            svg.dot(axis.at(v.value), y, 3.6, fill),
            svg.label(axis.start - 8, y + 4, svg.short(v.name, LONGEST), "end", "strong"),
            svg.label(axis.end + 6, y + 4, f"{v.value:+.1f}"),
        )

    ends, names = [end for v in values for end in (v.low, v.high)], _room([v.name for v in values])
    return _rows(values, ends, marks, title=title, x_label=x_label, names=names)


def bars(values: Sequence[Bar], *, title: str, x_label: str = "", signed: bool = False) -> Markup:
    """Horizontal bars in the order given; `signed` colours what lies below zero differently."""
    values = [bar for bar in values if math.isfinite(bar.value)]

    def marks(bar: Bar, y: float, axis: Axis) -> Markup:
        low, high = sorted((axis.at(0), axis.at(bar.value)))
        fill = ("var(--good)" if bar.value >= 0 else "var(--bad)") if signed else svg.color(0)
        return svg.with_tip(
            bar.tip or f"{bar.name}: {bar.value:g}",
            svg.rect(low, y - 6, high - low, ROW - 6, fill),
            svg.label(axis.start - 8, y + 4, svg.short(bar.name, LONGEST), "end", "strong"),
            svg.label(high + 5, y + 4, f"{bar.value:+.1f}" if signed else f"{bar.value:.1f}"),
        )

    ends, names = [bar.value for bar in values], _room([bar.name for bar in values])
    return _rows(values, ends, marks, title=title, x_label=x_label, names=names)


def reliability_chart(bins: Reliability, *, title: str) -> Markup:
    """Accuracy over confidence in percent with its interval, and below it the clips of each bin.

    On the diagonal the two agree. A bar whose interval is long rests on few clips.
    """
    if not bins.counts.sum():
        return svg.empty(title)
    plane = Plane.of(round_ticks(0, 100), round_ticks(0, 100), 30)
    edges = np.linspace(0, 100, len(bins.counts) + 1)
    parts = [plane.frame("", "clips that are right (%)")]
    below = Axis((0, int(bins.counts.max())), HEIGHT + 44, HEIGHT - 8)
    for i in np.flatnonzero(bins.counts):
        count, accuracy = int(bins.counts[i]), 100 * float(bins.accuracy[i])
        (left, top), (right, base) = plane.at(edges[i], accuracy), plane.at(edges[i + 1], 0)
        low, high = share_interval(accuracy, count)
        tip = (
            f"confidence {edges[i]:.0f} to {edges[i + 1]:.0f} %: {counted(count, 'clip')}, "
            f"{accuracy:.1f} % right ({low:.1f} to {high:.1f}), "
            f"{100 * bins.confidence[i]:.1f} % sure"
        )
        middle, height = (left + right) / 2, below.start - below.at(count)
        marks = [
            svg.rect(left + 1, top, right - left - 2, base - top, svg.color(0), fill_opacity=0.6),
            svg.line(middle, plane.y.at(low), middle, plane.y.at(high), "whisker"),
            svg.rect(left + 1, below.at(count), right - left - 2, height, "var(--soft)"),
            svg.label(middle, below.start + 13, str(count), "middle"),
        ]
        parts.append(svg.with_tip(tip, *marks))
    bottom = below.start
    parts += [
        svg.line(plane.x.start, bottom, plane.x.end, bottom, "axis"),
        svg.label(plane.x.start - 6, bottom + 13, "clips", "end"),
        svg.label((plane.x.start + plane.x.end) / 2, bottom + 31, "confidence (%)", "middle"),
        svg.line(*plane.at(0, 0), *plane.at(100, 100), "dashed"),
    ]
    return svg.drawing(title, bottom + 38, *parts)


def _room(names: Sequence[str]) -> int:
    """The width that names take, also in the larger letters of a narrow window."""
    return 14 + round(7.2 * min(max(map(len, names), default=0), LONGEST))


def _rows(
    values: Sequence[T],
    ends: Sequence[float],
    marks: Callable[[T, float, Axis], Markup],
    *,
    title: str,
    x_label: str,
    names: int,
) -> Markup:
    """A row a value, marked at the height y; `names` is the width of their names."""
    if not values:
        return svg.empty(title)
    bottom = TOP + ROW * len(values)
    axis = Axis(round_ticks(min(0.0, *ends, 0.0), max(0.0, *ends, 0.0)), names, svg.WIDTH - VALUES)
    return svg.drawing(
        title,
        bottom + BOTTOM,
        x_grid(axis, TOP, bottom, x_label),
        svg.line(axis.at(0), TOP, axis.at(0), bottom, "axis"),
        *[marks(value, TOP + ROW * (i + 0.5), axis) for i, value in enumerate(values)],
    )


def _curve(series: Series, index: int, plane: Plane) -> Markup:
    points = [plane.at(x, y) for x, y in zip(series.x, series.y, strict=True)]
    path = svg.tag(
        "polyline",
        class_="line",
        stroke=svg.color(index),
        stroke_dasharray=svg.dashes(index),
        points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points),
    )
    if len(points) > 60:
        return path
    tips = [f"{series.name} at {x:g}: {y:.4g}" for x, y in zip(series.x, series.y, strict=True)]
    color, is_first = svg.color(index), index == 0
    fill, radius = (color, 2.4) if is_first else ("transparent", 3.4)  # rings, which hide no dot
    return path + Markup().join(
        svg.dot(*at, radius, fill, tip, stroke=color) for at, tip in zip(points, tips, strict=True)
    )


def _mark(point: Point, plane: Plane, radius: float, index: int, opacity: float) -> Markup:
    dot = svg.dot(*plane.at(point.x, point.y), radius, svg.color(index), fill_opacity=opacity)
    return svg.with_tip(point.tip, dot)


def _trend(name: str, points: Sequence[Point]) -> Series:
    """The means of up to `TREND_MARKS` parts of the points, of equal numbers, by rising x."""
    ordered = sorted(points, key=lambda p: p.x)
    parts = np.array_split(np.array([(p.x, p.y) for p in ordered]), min(TREND_MARKS, len(ordered)))
    x, y = np.array([part.mean(axis=0) for part in parts]).T.tolist()
    return Series(name, x, y)


def _visible(points: Sequence[Point]) -> list[Point]:
    return [p for p in points if math.isfinite(p.x) and math.isfinite(p.y)]


def _plane_of(points: Sequence[Point], y_range: Range | None, top: float) -> Plane:
    """The plane of points, x logarithmic where it spans more than a factor of 20."""
    xs, ys = [p.x for p in points], [p.y for p in points]
    low, high = min(xs), max(xs)
    y_ticks = round_ticks(*(y_range or (min(ys), max(ys))))
    if low > 0 and high / low > 20:
        return Plane.of(log_ticks(low, high), y_ticks, top, log=True)
    return Plane.of(round_ticks(min(low, 0) if low >= 0 else low, high), y_ticks, top)


def _labels(points: Sequence[Point], plane: Plane) -> list[Markup]:
    """The words beside the points, moved down where they would lie on one another."""
    labels, free = [], -math.inf
    named = [(*plane.at(p.x, p.y)[::-1], p.label) for p in points if p.label]
    for y, x, words in sorted(named):
        free = max(y, free + 13)
        left_of = x > (plane.x.start + plane.x.end) / 2
        anchor, x = ("end", x - 9) if left_of else ("start", x + 9)
        labels.append(svg.label(x, free + 4, svg.short(words, 30), anchor, "strong"))
    return labels


def _finite(series: Series) -> Series:
    pairs = [(x, y) for x, y in zip(series.x, series.y, strict=True) if math.isfinite(x + y)]
    if len(pairs) > MAX_POINTS:
        pairs = [pairs[i * (len(pairs) - 1) // (MAX_POINTS - 1)] for i in range(MAX_POINTS)]
    return Series(series.name, [x for x, _ in pairs], [y for _, y in pairs])
