"""The histogram of classes, as SVG."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

import numpy as np

from marey.data.checks.stats import ClassCounts

_COLOURS = ("#3b6ea5", "#e0912f", "#4f9d69", "#a05195", "#8a8a8a")


_MOST_NAMED = 60


_LEFT, _TOP, _WIDTH = 190, 58, 720


def class_histogram_svg(counts: ClassCounts, *, title: str = "Clips of each class") -> str:
    """An SVG drawing of the clips of every class, most frequent first, stacked by split.

    Up to 60 classes are rows with their names; more are thin columns. The scale is linear, and
    every bar says its class, split and number when pointed at.
    """
    order = np.argsort(-counts.total, kind="stable")
    draw = _rows if len(order) <= _MOST_NAMED else _columns
    return draw(counts, order, title)


def _rows(counts: ClassCounts, order: np.ndarray, title: str) -> str:
    height, total = 18, counts.total
    scale = (_WIDTH - _LEFT - 60) / max(int(total.max()), 1)
    parts = []
    for line, row in enumerate(order.tolist()):
        y = _TOP + line * height
        name = counts.classes[row]
        short = name if len(name) <= 28 else name[:27] + "…"
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 13}" text-anchor="end">{escape(short)}</text>')
        for start, number, fill, said in _stack(counts, row):
            box = _LEFT + start * scale, y + 2, number * scale, height - 4
            parts.append(_bar(*box, fill, said))
        end = _LEFT + total[row] * scale + 5
        parts.append(f'<text x="{end:.1f}" y="{y + 13}" fill="#666">{total[row]:,}</text>')
    return _svg(_TOP + len(order) * height + 10, title, counts, parts)


def _columns(counts: ClassCounts, order: np.ndarray, title: str) -> str:
    left, height = 56, 260
    base, most = _TOP + height, max(int(counts.total.max()), 1)
    scale, each = height / most, (_WIDTH - left - 10) / len(order)
    parts = [
        f'<text x="{left - 6}" y="{_TOP + 4}" text-anchor="end">{most:,}</text>',
        f'<text x="{left - 6}" y="{base}" text-anchor="end">0</text>',
        f'<text x="{left}" y="{base + 18}">{len(order):,} classes, most frequent first</text>',
    ]
    for place, row in enumerate(order.tolist()):
        for start, number, fill, said in _stack(counts, row):
            top = base - (start + number) * scale
            parts.append(_bar(left + place * each, top, each * 0.9, number * scale, fill, said))
    return _svg(base + 30, title, counts, parts)


def _stack(counts: ClassCounts, row: int) -> Iterator[tuple[int, int, str, str]]:
    """Where the bar of each split starts, how long it is, its colour and what it says."""
    start = 0
    for place, (split, column) in enumerate(counts.by_split.items()):
        number = int(column[row])
        if number:
            said = f"{counts.classes[row]}: {number:,} {split}"
            yield start, number, _COLOURS[place % len(_COLOURS)], said
        start += number


def _bar(x: float, y: float, width: float, height: float, fill: str, said: str) -> str:
    box = f'x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}"'
    return f'<rect {box} fill="{fill}"><title>{escape(said)}</title></rect>'


def _svg(height: int, title: str, counts: ClassCounts, parts: list[str]) -> str:
    legend = []
    for place, (split, column) in enumerate(counts.by_split.items()):
        x = 10 + place * 150
        legend.append(_bar(x, 34, 11, 11, _COLOURS[place % len(_COLOURS)], split))
        legend.append(f'<text x="{x + 16}" y="44">{escape(split)} {column.sum():,}</text>')
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
            f' width="{_WIDTH}" height="{height}" font-family="system-ui, sans-serif"'
            ' font-size="12" role="img">',
            f'<text x="10" y="20" font-size="15">{escape(title)}</text>',
            *legend,
            *parts,
            "</svg>",
        ]
    )
