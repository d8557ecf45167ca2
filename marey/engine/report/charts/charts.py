"""Charts as inline SVG: lines, points, bars, intervals, reliability.

Each function returns one `<svg>` element that takes its colours from the page, so it reads in light
and dark, and whose marks have tooltips. Values that are not finite are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from marey.engine.report.charts.axes import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    Axis,
    frame,
    legend,
    log_ticks,
    round_ticks,
    x_grid,
)
from marey.engine.report.charts.svg import (
    WIDTH,
    color,
    dashes,
    dot,
    drawing,
    empty,
    label,
    line,
    rect,
    short,
    tag,
    with_tip,
)
from marey.metrics.calibration import Reliability

TREND_MARKS = 8
MAX_POINTS = 400
"""A longer curve is thinned: more points than pixels only make the page heavy."""


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
    y_range: tuple[float, float] | None = None,
) -> Markup:
    """Curves over a shared x axis of whole numbers (epochs, steps)."""
    curves = [_finite(s) for s in series]
    xs = [x for s in curves for x in s.x]
    ys = [y for s in curves for y in s.y]
    if not xs:
        return empty(title)
    names, top = legend([s.name for s in series]) if len(series) > 1 else (Markup(), 30.0)
    x_axis = Axis(round_ticks(min(xs), max(xs), 6, whole=True), LEFT, WIDTH - RIGHT)
    y_axis = Axis(round_ticks(*(y_range or (min(ys), max(ys)))), HEIGHT - BOTTOM, top)
    marks = [_curve(s, i, x_axis, y_axis) for i, s in enumerate(curves) if s.x]
    around = frame(x_axis, y_axis, top, x_label, y_label)
    return drawing(title, HEIGHT, names, around, *marks)


def scatter(
    points: Sequence[Point],
    *,
    title: str,
    x_label: str,
    y_label: str = "",
    y_range: tuple[float, float] | None = None,
) -> Markup:
    """Marks in the plane; the x axis is logarithmic where x spans more than a factor of 20."""
    points = _visible(points)
    if not points:
        return empty(title)
    axes = _axes_of(points, y_range, 30)
    marks = [
        _mark(p, 5.0, color(i), 0.75, axes) if p.label else _mark(p, 4.0, color(0), 0.75, axes)
        for i, p in enumerate(points)
    ]
    names = _labels(points, *axes)
    return drawing(title, HEIGHT, frame(*axes, 30, x_label, y_label), *marks, *names)


def scatters(
    series: Mapping[str, Sequence[Point]],
    *,
    title: str,
    x_label: str,
    y_label: str = "",
    y_range: tuple[float, float] | None = None,
) -> Markup:
    """Marks of several series, each with a line through the means of some of its marks by x."""
    shown = {name: _visible(points) for name, points in series.items()}
    together = [point for points in shown.values() for point in points]
    if not together:
        return empty(title)
    names, top = legend(list(shown))
    axes = _axes_of(together, y_range, top)
    marks = [
        _mark(point, 2.4, color(index), 0.5, axes)
        for index, points in enumerate(shown.values())
        for point in points
    ]
    lines = [
        _curve(_trend(name, points), index, *axes)
        for index, (name, points) in enumerate(shown.items())
        if points
    ]
    return drawing(title, HEIGHT, names, frame(*axes, top, x_label, y_label), *marks, *lines)


def intervals(values: Sequence[Spread], *, title: str, x_label: str = "") -> Markup:
    """A mark and the line from `low` to `high` of each value, one below the other, zero marked."""
    values = [v for v in values if all(map(math.isfinite, (v.value, v.low, v.high)))]
    if not values:
        return empty(title)
    row, top, left = 18, 32, 190
    height = top + row * len(values) + BOTTOM
    ends = [0.0, *(v.low for v in values), *(v.high for v in values)]
    axis = Axis(round_ticks(min(ends), max(ends)), left, WIDTH - 54)
    parts = [
        x_grid(axis, top, height - BOTTOM, x_label, (left + WIDTH - 54) / 2),
        line(axis.at(0), top, axis.at(0), height - BOTTOM, "axis"),
    ]
    for i, v in enumerate(values):
        y = top + row * (i + 0.5)
        fill = "var(--good)" if v.low > 0 else "var(--bad)" if v.high < 0 else "var(--soft)"
        marks = (
            line(axis.at(v.low), y, axis.at(v.high), y, "line", stroke=fill),
            dot(axis.at(v.value), y, 3.6, fill),
            label(left - 8, y + 4, short(v.name, 30), "end", "strong"),
            label(WIDTH - 48, y + 4, f"{v.value:+.1f}"),
        )
        parts.append(with_tip(f"{v.name}: {v.value:+.1f} ({v.low:+.1f} to {v.high:+.1f})", *marks))
    return drawing(title, height, *parts)


def bars(values: Sequence[Bar], *, title: str, x_label: str = "", signed: bool = False) -> Markup:
    """Horizontal bars in the order given; `signed` colours what lies below zero differently."""
    values = [bar for bar in values if math.isfinite(bar.value)]
    if not values:
        return empty(title)
    row, top, left = 18, 32, 150
    height = top + row * len(values) + BOTTOM
    low, high = min(0.0, *(b.value for b in values), 0.0), max(b.value for b in values)
    axis = Axis(round_ticks(low, max(high, 0.0)), left, WIDTH - 54)
    zero = axis.at(0)
    parts = [x_grid(axis, top, height - BOTTOM, x_label, (left + WIDTH - 54) / 2)]
    for i, bar in enumerate(values):
        y, end = top + row * i, axis.at(bar.value)
        fill = ("var(--good)" if bar.value >= 0 else "var(--bad)") if signed else "var(--s0)"
        number = f"{bar.value:+.1f}" if signed else f"{bar.value:.1f}"
        marks = (
            rect(min(zero, end), y + 3, abs(end - zero), row - 6, fill),
            label(left - 8, y + 13, short(bar.name, 24), "end", "strong"),
            label(max(zero, end) + 5, y + 13, number),
        )
        parts.append(with_tip(bar.tip or f"{bar.name}: {bar.value:g}", *marks))
    parts.append(line(zero, top, zero, height - BOTTOM, "axis"))
    return drawing(title, height, *parts)


def reliability_chart(bins: Reliability, *, title: str) -> Markup:
    """Accuracy over confidence in percent, a bar a bin; on the diagonal the two agree."""
    num_bins = len(bins.counts)
    if not bins.counts.sum():
        return empty(title)
    x_axis = Axis(round_ticks(0, 100), LEFT, WIDTH - RIGHT)
    y_axis = Axis(round_ticks(0, 100), HEIGHT - BOTTOM, 30)
    parts = [frame(x_axis, y_axis, 30, "confidence (%)", "clips that are right (%)")]
    for i in np.flatnonzero(bins.counts):
        low, high = 100 * i / num_bins, 100 * (i + 1) / num_bins
        left, right = x_axis.at(low), x_axis.at(high)
        count, accuracy = int(bins.counts[i]), 100 * bins.accuracy[i]
        tip = (
            f"confidence {low:.0f} to {high:.0f} %: {count} clips, {accuracy:.1f} % right, "
            f"{100 * bins.confidence[i]:.1f} % sure"
        )
        top = y_axis.at(accuracy)
        bar = rect(
            left + 1, top, right - left - 2, y_axis.at(0) - top, "var(--s0)", fill_opacity=0.75
        )
        number = label((left + right) / 2, max(top - 4, 26), str(count), "middle")
        parts.append(with_tip(tip, bar, number))
    ends = (x_axis.at(0), y_axis.at(0), x_axis.at(100), y_axis.at(100))
    return drawing(title, HEIGHT, *parts, line(*ends, "dashed"))


def _curve(series: Series, index: int, x_axis: Axis, y_axis: Axis) -> Markup:
    points = [(x_axis.at(x), y_axis.at(y)) for x, y in zip(series.x, series.y, strict=True)]
    path = tag(
        "polyline",
        class_="line",
        stroke=color(index),
        stroke_dasharray=dashes(index),
        points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points),
    )
    if len(points) > 60:
        return path
    tips = [f"{series.name} at {x:g}: {y:.4g}" for x, y in zip(series.x, series.y, strict=True)]
    marks = [dot(*at, 2.6, color(index), tip) for at, tip in zip(points, tips, strict=True)]
    return Markup().join([path, *marks])


def _mark(
    point: Point, radius: float, fill: str, opacity: float, axes: tuple[Axis, Axis]
) -> Markup:
    x, y = axes[0].at(point.x), axes[1].at(point.y)
    return with_tip(point.tip, dot(x, y, radius, fill, fill_opacity=opacity))


def _trend(name: str, points: Sequence[Point]) -> Series:
    """The means of up to `TREND_MARKS` parts of the points, of equal numbers, by rising x."""
    ordered = sorted(points, key=lambda p: p.x)
    parts = np.array_split(np.array([(p.x, p.y) for p in ordered]), min(TREND_MARKS, len(ordered)))
    means = [part.mean(axis=0) for part in parts]
    return Series(name, [float(x) for x, _ in means], [float(y) for _, y in means])


def _visible(points: Sequence[Point]) -> list[Point]:
    return [p for p in points if math.isfinite(p.x) and math.isfinite(p.y)]


def _axes_of(
    points: Sequence[Point], y_range: tuple[float, float] | None, top: float
) -> tuple[Axis, Axis]:
    """The axes of points, x logarithmic where it spans more than a factor of 20."""
    low, high = min(p.x for p in points), max(p.x for p in points)
    log = low > 0 and high / low > 20
    x_ticks = log_ticks(low, high) if log else round_ticks(min(low, 0) if low >= 0 else low, high)
    ys = [p.y for p in points]
    y_ticks = round_ticks(*(y_range or (min(ys), max(ys))))
    return Axis(x_ticks, LEFT, WIDTH - RIGHT, log=log), Axis(y_ticks, HEIGHT - BOTTOM, top)


def _labels(points: Sequence[Point], x_axis: Axis, y_axis: Axis) -> list[Markup]:
    """The words beside the points, moved down where they would lie on one another."""
    labels, free = [], -math.inf
    named = [(y_axis.at(p.y), x_axis.at(p.x), p.label) for p in points if p.label]
    for y, x, words in sorted(named):
        free = max(y, free + 13)
        flip = x > (x_axis.start + x_axis.end) / 2
        anchor = "end" if flip else "start"
        labels.append(label(x + (-9 if flip else 9), free + 4, short(words, 30), anchor, "strong"))
    return labels


def _finite(series: Series) -> Series:
    pairs = [(x, y) for x, y in zip(series.x, series.y, strict=True) if math.isfinite(x + y)]
    if len(pairs) > MAX_POINTS:
        pairs = [pairs[i * (len(pairs) - 1) // (MAX_POINTS - 1)] for i in range(MAX_POINTS)]
    return Series(series.name, [x for x, _ in pairs], [y for _, y in pairs])
