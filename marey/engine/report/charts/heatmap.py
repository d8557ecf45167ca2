"""The confusion matrix as inline SVG, legible from two classes to a few hundred.

Rows are the true class, columns the predicted one; a cell is as dark as its share of the row. Up
to `MAX_CELLS_WITH_TIPS` classes every cell has a tooltip; beyond, the cells of one shade are one
path, which keeps a matrix of 200 classes below half a megabyte, and only every n-th class is named.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from marey.engine.report.charts.svg import drawing, label, rect, short, tag, with_tip

SIZE = 560
MIN_WIDTH = 440
"""What the caption needs, where two classes would need less."""
MAX_CELLS_WITH_TIPS = 40
MAX_CLASSES = 200
SHADES = 10


def confusion_chart(counts: np.ndarray, classes: Sequence[str], *, title: str) -> Markup:
    """A chart of `counts` (int [k k], true x predicted); k beyond `MAX_CLASSES` is a ValueError."""
    k = len(classes)
    if counts.shape != (k, k) or not 0 < k <= MAX_CLASSES:
        raise ValueError(
            f"counts are {counts.shape} for {k} classes, expected a square of 1 to {MAX_CLASSES}"
        )
    cell = SIZE / k if k > 8 else min(SIZE / k, 70)
    side, margin = cell * k, _margin(classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with_tips = k <= MAX_CELLS_WITH_TIPS
    top = 44 + 0.75 * margin
    # the names above the columns lean to the right, beyond the matrix by their length
    width, height = max(margin + side + 0.75 * margin, MIN_WIDTH), top + side + 8
    return drawing(
        title,
        round(height),
        label(0, 31, "rows: true class, columns: predicted; darker is a larger share of the row"),
        tag(
            "g",
            rect(0, 0, side, side, "none", stroke="var(--rule)"),
            _cells(counts, shares, classes, cell)
            if with_tips
            else _shaded_paths(counts, shares, cell),
            _names(classes, cell),
            transform=f"translate({margin:.0f} {top:.0f})",
        ),
        width=width,
    )


def _cells(counts: np.ndarray, shares: np.ndarray, classes: Sequence[str], cell: float) -> Markup:
    parts = []
    totals = counts.sum(axis=1)
    for row, column in np.argwhere(counts):
        count, share = int(counts[row, column]), float(shares[row, column])
        what = f"taken for {classes[column]}" if row != column else "recognised"
        tip = f"{classes[row]} {what}: {count} of {totals[row]} ({share:.0%})"
        x, y, opacity = column * cell, row * cell, max(share, 0.04)
        marks = [rect(x, y, cell, cell, "var(--heat)", fill_opacity=opacity)]
        if cell >= 22:
            ink = f"fill:var(--{'paper' if share > 0.55 else 'ink'})"
            middle, base = x + 0.5 * cell, y + 0.5 * cell + 4
            number = tag("text", str(count), x=middle, y=base, text_anchor="middle", style=ink)
            marks.append(number)
        parts.append(with_tip(tip, *marks))
    return Markup().join(parts)


def _shaded_paths(counts: np.ndarray, shares: np.ndarray, cell: float) -> Markup:
    shades = np.clip(np.ceil(shares * SHADES), 0, SHADES).astype(int)
    paths = []
    for shade in range(1, SHADES + 1):
        places = np.argwhere((shades == shade) & (counts > 0))
        if len(places):
            path = "".join(f"M{column} {row}h1v1h-1z" for row, column in places)
            paths.append(tag("path", d=path, fill_opacity=shade / SHADES))
    return tag("g", *paths, transform=f"scale({cell:.3f})", fill="var(--heat)")


def _names(classes: Sequence[str], cell: float) -> Markup:
    """The class names at both sides, every n-th where they would touch."""
    every = max(1, int(np.ceil(12 / cell)))
    parts = []
    for i in range(0, len(classes), every):
        middle, words = (i + 0.5) * cell, short(classes[i], 22)
        parts.append(label(-6, middle + 4, words, "end"))
        parts.append(label(middle + 3, -6, words, turn=-45))
    return Markup().join(parts)


def _margin(classes: Sequence[str]) -> float:
    return 20 + 6.2 * max(len(short(name, 22)) for name in classes)
