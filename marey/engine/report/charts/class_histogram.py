"""The histogram of classes, of `marey data stats` (`manifest_charts`)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from markupsafe import Markup

from marey.data.checks.stats import ClassCounts
from marey.engine.report.charts.svg import label, rect, short

_COLOURS = ("#3b6ea5", "#e0912f", "#4f9d69", "#a05195", "#8a8a8a")
_MOST_NAMED = 60
WIDTH = 720
_LEFT, _TOP = 190, 58


def class_parts(counts: ClassCounts, title: str) -> tuple[list[Markup], int]:
    """The marks of the clips of every class, most frequent first, stacked by split; their height.

    Up to 60 classes are rows with their names; more are thin columns. The scale is linear, and
    every bar says its class, split and number when pointed at.
    """
    order = np.argsort(-counts.total, kind="stable").tolist()
    parts, height = (_rows if len(order) <= _MOST_NAMED else _columns)(counts, order)
    return [label(10, 20, title, font_size=15), *_legend(counts), *parts], height


def _rows(counts: ClassCounts, order: list[int]) -> tuple[list[Markup], int]:
    """The marks, and the height they take."""
    height, total = 18, counts.total
    scale = (WIDTH - _LEFT - 60) / max(int(total.max()), 1)
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
    scale, each = height / most, (WIDTH - left - 10) / len(order)
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
