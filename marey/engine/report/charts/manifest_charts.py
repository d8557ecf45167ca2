"""What a manifest holds, a file of SVG of its own: classes, lengths, sizes; `marey data stats`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from marey.data.checks.stats import ClassCounts, Stats
from marey.engine.report.charts.class_histogram import WIDTH, class_parts
from marey.engine.report.charts.svg import label, rect, tag
from marey.errors import counted

_STYLE = """text { fill: #333 } path.paper { fill: #fff }
@media (prefers-color-scheme: dark) { text { fill: #ccd } path.paper { fill: #15171a } }"""
"""Light or dark as the machine of the reader is set."""
_BAR = "#3b6ea5"
_NUM_BINS, _NUM_SIZES = 24, 8
_LEFT, _HEIGHT = 56, 120


def manifest_svg(facts: Stats, counts: ClassCounts) -> Markup:
    """The clips of every class, how long clips are, and which sizes their pictures have."""
    parts, y = class_parts(counts, "Clips of each class")
    for more in (_lengths(facts), _sizes(facts)):
        if more:
            marks, height = more
            parts.append(tag("g", *marks, transform=f"translate(0 {y + 20})"))
            y += 20 + height
    return _whole_file(parts, y)


def _whole_file(parts: Sequence[str], height: int) -> Markup:
    """A file of SVG of these marks, that reads well on light and on dark."""
    return tag(
        "svg",
        tag("style", _STYLE),
        tag("path", d=f"M0 0h{WIDTH}v{height}h-{WIDTH}z", fill="none", class_="paper"),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {height}",
        width=WIDTH,
        height=height,
        font_family="system-ui, sans-serif",
        font_size=12,
        role="img",
    )


def _lengths(facts: Stats) -> tuple[list[Markup], int] | None:
    """A histogram of seconds, or of frames where seconds are not known, and its height."""
    in_seconds = len(facts.durations) > 0
    values, unit = (facts.durations, "s") if in_seconds else (facts.lengths, "frames")
    if not len(values):
        return None
    counts, edges = np.histogram(values, bins=min(_NUM_BINS, max(1, len(np.unique(values)))))
    each, base = (WIDTH - _LEFT - 10) / len(counts), 34 + _HEIGHT
    marks = [
        label(10, 20, f"Length of {counted(len(values), 'clip')}, {unit}", font_size=15),
        label(_LEFT - 6, 44, f"{counts.max():,}", "end"),
        label(_LEFT - 6, base, "0", "end"),
        label(_LEFT, base + 18, f"{edges[0]:.4g} {unit}"),
        label(WIDTH - 10, base + 18, f"{edges[-1]:.4g} {unit}", "end"),
    ]
    for number, count in enumerate(counts.tolist()):
        height = count * _HEIGHT / counts.max()
        tip = f"{edges[number]:.4g} to {edges[number + 1]:.4g} {unit}: {counted(count, 'clip')}"
        x = _LEFT + number * each
        marks.append(rect(x, base - height, each * 0.9, height, _BAR, tip))
    return marks, base + 26


def _sizes(facts: Stats) -> tuple[list[Markup], int] | None:
    """A bar for each of the most frequent sizes, and the height of all."""
    shown = facts.sizes[:_NUM_SIZES]
    if not shown:
        return None
    title = f"Sizes of {counted(sum(count for _, count in facts.sizes), 'clip')} that were opened"
    if len(facts.sizes) > len(shown):
        title += f"; {counted(len(facts.sizes) - len(shown), 'more size')}"
    marks = [label(10, 20, title, font_size=15)]
    most = shown[0][1]
    for number, ((width, height), count) in enumerate(shown):
        y, size = 30 + number * 18, count * (WIDTH - 250) / most
        marks.append(label(184, y + 13, f"{width} x {height}", "end"))
        marks.append(
            rect(190, y + 2, size, 14, _BAR, f"{width} x {height}: {counted(count, 'clip')}")
        )
        marks.append(label(195 + size, y + 13, f"{count:,}"))
    return marks, 40 + len(shown) * 18
