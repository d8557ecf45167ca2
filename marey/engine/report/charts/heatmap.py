"""The confusion matrix as inline SVG, legible from two classes to a few hundred.

Rows are the true class, columns the predicted one; a cell is as strong as its share of the row. Up
to `MAX_CELLS_WITH_TIPS` classes every cell has a tooltip; beyond, the cells of one shade are one
path, which keeps a matrix of 200 classes below half a megabyte, and only every n-th class is named.

It is drawn at its own size. In a narrow window the matrix slides under the names of its rows, so
that twenty classes can be read on a telephone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from marey.engine.report.charts.svg import label, line, rect, short, tag, with_tip

SIZE = 560
"""Of a matrix of many classes; one of few is smaller."""
MAX_CELL, MIN_CELL_WITH_COUNT = 56, 22
MAX_CELLS_WITH_TIPS = 40
MAX_CLASSES = 200
SHADES = 10
CAPTION = (
    "Rows: true class, columns: predicted. The stronger the colour, the larger the share of the "
    "row. The diagonal, which is marked, is right."
)


def confusion_chart(counts: np.ndarray, classes: Sequence[str], *, title: str) -> Markup:
    """A chart of `counts` (int [k k], true x predicted); k beyond `MAX_CLASSES` is a ValueError."""
    k = len(classes)
    if counts.shape != (k, k) or not 0 < k <= MAX_CLASSES:
        raise ValueError(
            f"counts are {counts.shape} for {k} classes, expected a square of 1 to {MAX_CLASSES}"
        )
    with_tips = k <= MAX_CELLS_WITH_TIPS
    cell = min(max(SIZE / k, MIN_CELL_WITH_COUNT if with_tips else 0), MAX_CELL)
    side, margin = cell * k, 14 + 6.2 * max(len(short(name, 18)) for name in classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    top = 0.75 * margin
    cells = (
        _cells(counts, shares, classes, cell) if with_tips else _shaded_paths(counts, shares, cell)
    )
    matrix = tag(
        "g",
        rect(0, 0, side, side, "none", stroke="var(--rule)"),
        cells,
        _diagonal(k, cell) if with_tips else line(0, 0, side, side, "dashed"),
        _columns(classes, cell),
        transform=f"translate(1 {top:.0f})",
    )
    names = tag("g", _rows(classes, cell), transform=f"translate({margin:.0f} {top:.0f})")
    height = top + side + 2
    return tag(
        "figure",
        tag("figcaption", tag("b", title), f" {CAPTION}"),
        tag(
            "div",
            _piece(title, names, margin, height, class_="names"),
            # the names above the columns lean to the right, beyond the matrix by their length
            _piece(title, matrix, side + top, height),
            class_="slide",
        ),
        class_="matrix",
    )


def _piece(title: str, content: Markup, width: float, height: float, **more: str) -> Markup:
    size = {"width": round(width), "height": round(height)}
    box = f"0 0 {width:.0f} {height:.0f}"
    return tag("svg", content, viewBox=box, role="img", aria_label=title, **size, **more)


def _diagonal(k: int, cell: float) -> Markup:
    """A frame around each cell that is right."""
    at = [i * cell + 0.5 for i in range(k)]
    return tag("g", *(rect(x, x, cell - 1, cell - 1, "none") for x in at), class_="diagonal")


def _cells(counts: np.ndarray, shares: np.ndarray, classes: Sequence[str], cell: float) -> Markup:
    parts = []
    totals = counts.sum(axis=1)
    for row, column in np.argwhere(counts):
        count, share = int(counts[row, column]), float(shares[row, column])
        what = f"taken for {classes[column]}" if row != column else "recognised"
        tip = f"{classes[row]} {what}: {count} of {totals[row]} ({share:.0%})"
        x, y, opacity = column * cell, row * cell, max(share, 0.04)
        marks = [rect(x, y, cell, cell, "var(--heat)", fill_opacity=opacity)]
        if cell >= MIN_CELL_WITH_COUNT:
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


def _rows(classes: Sequence[str], cell: float) -> Markup:
    """The class names beside the rows, every n-th where they would touch."""
    every = _every(cell)
    named = enumerate(classes[::every])
    return Markup().join(
        label(-6, (i * every + 0.5) * cell + 4, short(name, 18), "end") for i, name in named
    )


def _columns(classes: Sequence[str], cell: float) -> Markup:
    """The same above the columns."""
    every = _every(cell)
    named = enumerate(classes[::every])
    return Markup().join(
        label((i * every + 0.5) * cell + 3, -6, short(name, 18), turn=-45) for i, name in named
    )


def _every(cell: float) -> int:
    return max(1, int(np.ceil(12 / cell)))
