"""The histogram of classes, a file of SVG of its own: `marey data stats --plot`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from markupsafe import Markup

from marey.data.checks.stats import ClassCounts
from marey.engine.report.charts.svg import label, rect, short, tag

_COLOURS = ("#3b6ea5", "#e0912f", "#4f9d69", "#a05195", "#8a8a8a")
_MOST_NAMED = 60
_LEFT, _TOP, _WIDTH = 190, 58, 720


_STYLE = """text { fill: #333 } path.paper { fill: #fff }
@media (prefers-color-scheme: dark) { text { fill: #ccd } path.paper { fill: #15171a } }"""


def class_histogram_svg(
    counts: ClassCounts, *, title: str = "Clips of each class", about: Sequence[str] = ()
) -> Markup:
    """A file of SVG with the clips of every class, most frequent first, stacked by split.

    Below stand the lines `about` the clips: their lengths, their sizes. Up to 60 classes are rows
    with their names; more are thin columns. The scale is linear, and every bar says its class,
    split and number when pointed at. It is light or dark as the page around it.
    """
    order = np.argsort(-counts.total, kind="stable").tolist()
    parts, height = (_rows if len(order) <= _MOST_NAMED else _columns)(counts, order)
    lines = [label(10, height + 14 + 18 * i, words) for i, words in enumerate(about)]
    height += 18 * len(lines) + (10 if lines else 0)
    return tag(
        "svg",
        tag("style", _STYLE),
        tag("path", d=f"M0 0h{_WIDTH}v{height}h-{_WIDTH}z", fill="none", class_="paper"),
        label(10, 20, title, font_size=15),
        *_legend(counts),
        *parts,
        *lines,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {height}",
        width=_WIDTH,
        height=height,
        font_family="system-ui, sans-serif",
        font_size=12,
        role="img",
    )


def _rows(counts: ClassCounts, order: list[int]) -> tuple[list[Markup], int]:
    """The marks, and the height they take."""
    height, total = 18, counts.total
    scale = (_WIDTH - _LEFT - 60) / max(int(total.max()), 1)
    parts = []
    for number, row in enumerate(order):
        y = _TOP + number * height
        parts.append(label(_LEFT - 6, y + 13, short(counts.classes[row], 28), "end"))
        for start, size, fill, tip in _stack(counts, row):
            parts.append(rect(_LEFT + start * scale, y + 2, size * scale, height - 4, fill, tip))
        parts.append(label(_LEFT + total[row] * scale + 5, y + 13, f"{total[row]:,}"))
    return parts, _TOP + len(order) * height + 10


def _columns(counts: ClassCounts, order: list[int]) -> tuple[list[Markup], int]:
    """The marks, and the height they take."""
    left, height = 56, 260
    base, most = _TOP + height, max(int(counts.total.max()), 1)
    scale, each = height / most, (_WIDTH - left - 10) / len(order)
    parts = [
        label(left - 6, _TOP + 4, f"{most:,}", "end"),
        label(left - 6, base, "0", "end"),
        label(left, base + 18, f"{len(order):,} classes, most frequent first"),
    ]
    for number, row in enumerate(order):
        for start, size, fill, tip in _stack(counts, row):
            top = base - (start + size) * scale
            parts.append(rect(left + number * each, top, each * 0.9, size * scale, fill, tip))
    return parts, base + 30


def _stack(counts: ClassCounts, row: int) -> Iterator[tuple[int, int, str, str]]:
    """Where the bar of each split starts, how long it is, its colour and its tooltip."""
    start = 0
    for number, (split, column) in enumerate(counts.by_split.items()):
        size = int(column[row])
        if size:
            tip = f"{counts.classes[row]}: {size:,} {split}"
            yield start, size, _COLOURS[number % len(_COLOURS)], tip
        start += size


def _legend(counts: ClassCounts) -> Iterator[Markup]:
    for number, (split, column) in enumerate(counts.by_split.items()):
        x = 10 + number * 150
        yield rect(x, 34, 11, 11, _COLOURS[number % len(_COLOURS)], split)
        yield label(x + 16, 44, f"{split} {column.sum():,}")
