"""The confusion matrix as inline SVG, legible from two classes to a few hundred.

Rows are the true class, columns the predicted one; a cell is as dark as its share of the row. Up
to `MAX_CELLS_WITH_TIPS` classes every cell has a tooltip; beyond, the cells of one shade are one
path, which keeps a matrix of 200 classes below half a megabyte, and only every n-th class is named.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from marey.engine.report.charts.axes import label, short
from marey.engine.report.charts.html import tag, text

SIZE = 560
MIN_WIDTH = 440
"""What the caption needs, where two classes would need less."""
MAX_CELLS_WITH_TIPS = 40
MAX_CLASSES = 200
SHADES = 10


def confusion_chart(counts: np.ndarray, classes: Sequence[str], *, title: str) -> str:
    """A chart of `counts` (int [k k], true x predicted); k beyond `MAX_CLASSES` is a ValueError."""
    k = len(classes)
    if counts.shape != (k, k) or not 0 < k <= MAX_CLASSES:
        raise ValueError(
            f"counts are {counts.shape} for {k} classes, expected a square of 1 to {MAX_CLASSES}"
        )
    cell = SIZE / k if k > 8 else min(SIZE / k, 70)
    side, margin = cell * k, _margin(classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    top = 44 + 0.75 * margin
    body = [
        tag(
            "rect",
            {
                "x": 0,
                "y": 0,
                "width": side,
                "height": side,
                "fill": "none",
                "stroke": "var(--rule)",
            },
        ),
        _cells(counts, shares, classes, cell)
        if k <= MAX_CELLS_WITH_TIPS
        else _shaded_paths(counts, shares, cell),
        _names(classes, cell),
    ]
    # the names above the columns lean to the right, beyond the matrix by their length
    width, height = max(margin + side + 0.75 * margin, MIN_WIDTH), top + side + 8
    return tag(
        "svg",
        {
            "viewBox": f"0 0 {width:.0f} {height:.0f}",
            "role": "img",
            "aria-label": title,
            "style": f"max-width:{width:.0f}px",
        },
        label(0, 14, title, kind="title"),
        label(0, 31, "rows: true class, columns: predicted; darker is a larger share of the row"),
        tag("g", {"transform": f"translate({margin:.0f} {top:.0f})"}, *body),
    )


def _cells(counts: np.ndarray, shares: np.ndarray, classes: Sequence[str], cell: float) -> str:
    parts = []
    totals = counts.sum(axis=1)
    for row, column in np.argwhere(counts):
        count, share = int(counts[row, column]), float(shares[row, column])
        what = f"taken for {classes[column]}" if row != column else "recognised"
        tip = f"{classes[row]} {what}: {count} of {totals[row]} ({share:.0%})"
        box = {
            "x": column * cell,
            "y": row * cell,
            "width": cell,
            "height": cell,
            "fill": "var(--heat)",
            "fill-opacity": max(share, 0.04),
        }
        inner = [tag("title", None, text(tip)), tag("rect", box)]
        if cell >= 22:
            style = {
                "x": (column + 0.5) * cell,
                "y": (row + 0.5) * cell + 4,
                "text-anchor": "middle",
                "style": f"fill:var(--{'paper' if share > 0.55 else 'ink'})",
            }
            inner.append(tag("text", style, str(count)))
        parts.append(tag("g", None, *inner))
    return "".join(parts)


def _shaded_paths(counts: np.ndarray, shares: np.ndarray, cell: float) -> str:
    shades = np.clip(np.ceil(shares * SHADES), 0, SHADES).astype(int)
    paths = []
    for shade in range(1, SHADES + 1):
        places = np.argwhere((shades == shade) & (counts > 0))
        if len(places):
            path = "".join(f"M{column} {row}h1v1h-1z" for row, column in places)
            paths.append(tag("path", {"d": path, "fill-opacity": shade / SHADES}))
    return tag("g", {"transform": f"scale({cell:.3f})", "fill": "var(--heat)"}, *paths)


def _names(classes: Sequence[str], cell: float) -> str:
    """The class names at both sides, every n-th where they would touch."""
    every = max(1, int(np.ceil(12 / cell)))
    parts = []
    for i in range(0, len(classes), every):
        middle, words = (i + 0.5) * cell, short(classes[i], 22)
        parts.append(label(-6, middle + 4, words, "end"))
        parts.append(label(middle + 3, -6, words, turn=-45))
    return "".join(parts)


def _margin(classes: Sequence[str]) -> float:
    return 20 + 6.2 * max(len(short(name, 22)) for name in classes)
