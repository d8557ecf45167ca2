"""What a manifest holds: clips of each class and split, lengths, sizes, long tail; and a plot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np

from marey.data.checks.probe import Progress, probe_rows
from marey.data.features.feature_file import FeatureFile
from marey.data.manifest.manifest import Manifest
from marey.metrics.groups import RULES, RuleName, profile

LONG_TAIL_RULES: tuple[RuleName, ...] = ("paper", "release")
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True)
class ClassCounts:
    """Clips of every class of one head."""

    classes: tuple[str, ...]
    by_split: dict[str, np.ndarray]
    """Split -> int64 [k]; one entry "all" if the manifest has no splits."""

    @property
    def total(self) -> np.ndarray:
        """Clips of every class over all splits, int64 [k]."""
        total: np.ndarray = np.sum(list(self.by_split.values()), axis=0)
        return total

    @property
    def training(self) -> np.ndarray:
        """Clips of every class to train on: split `train`, or all without it; int64 [k]."""
        return self.by_split.get("train", self.total)

    @property
    def num_empty(self) -> int:
        """Classes without a clip."""
        return int((self.total == 0).sum())

    @property
    def imbalance(self) -> float:
        """Clips of the largest class to those of the smallest that has any."""
        filled = self.total[self.total > 0]
        return float(filled.max() / filled.min())


@dataclass(frozen=True)
class Stats:
    """What `stats` found."""

    num_clips: int
    splits: dict[str, int]
    """Split -> clips; empty if the manifest has no splits."""
    heads: dict[str, ClassCounts]
    frames: dict[float, int]
    """Quantile -> frames a clip, of the clips whose frames are known; may be empty."""
    num_known: int
    """Clips whose frames are known."""
    sizes: list[tuple[tuple[int, int], int]]
    """((width, height), clips) of those opened, the most frequent first."""
    fps: list[tuple[float, int]]
    """(frames a second, clips) of those opened, the most frequent first; 0 if a file has none."""
    num_opened: int
    num_unreadable: int


def stats(
    manifest: Manifest,
    *,
    sample: int = 200,
    seed: int = 0,
    num_workers: int | None = None,
    timeout_seconds: float = 60.0,
    progress: Progress | None = None,
) -> Stats:
    """Counts of all clips, and sizes and rates of a random `sample` of them that is opened.

    Lengths are those of all clips if the manifest has `num_frames` and no spans, else of the
    sample.
    """
    rng = np.random.default_rng(seed)
    if isinstance(manifest.features, FeatureFile):
        sample = 0  # the videos may lie elsewhere, or nowhere
    rows = np.sort(rng.permutation(len(manifest))[:sample])
    probes = probe_rows(
        manifest,
        rows,
        num_workers=num_workers,
        timeout_seconds=timeout_seconds,
        progress=progress,
    )
    good = rows[~probes.failed[rows]]
    frames = _known_frames(manifest, probes.frames[good])
    sizes = zip(probes.width[good].tolist(), probes.height[good].tolist(), strict=True)
    return Stats(
        num_clips=len(manifest),
        splits=manifest.split_counts(),
        heads={head: _count_classes(manifest, head) for head in manifest.labels},
        frames={q: round(float(np.quantile(frames, q))) for q in QUANTILES if len(frames)},
        num_known=len(frames),
        sizes=Counter(sizes).most_common(),
        fps=Counter(np.round(probes.fps[good], 2).tolist()).most_common(),
        num_opened=len(rows),
        num_unreadable=len(rows) - len(good),
    )


def long_tail_lines(counts: ClassCounts) -> list[tuple[str, str]]:
    """How long-tailed the training clips are, in words: (what, value); empty where classes equal.

    >>> clips = np.array([60, 30, 25, 5])
    >>> for what, value in long_tail_lines(ClassCounts(tuple("abcd"), {"train": clips})):
    ...     print(f"{what}: {value}")
    long tail: H 25.0 %, F 25.0 %, imbalance 12.0
    groups (paper): head 1 class, 60 clips; tail 2 classes, 55 clips; few 1 class, 5 clips
    groups (release): head 2 classes, 90 clips; tail 1 class, 25 clips; few 0 classes, 0 clips
    """
    clips = counts.training
    if clips.min() == clips.max():
        return []
    found = profile(clips)
    lines = [("long tail", f"H {found.head_percent:.1f} %, F {found.few_percent:.1f} %, "
                           f"imbalance {found.imbalance:,.1f}")]  # fmt: skip
    for rule in LONG_TAIL_RULES:
        parts = [
            f"{name} {len(classes):,} {'class' if len(classes) == 1 else 'classes'}, "
            f"{clips[classes].sum():,} clips"
            for name, classes in RULES[rule](clips)
        ]
        lines.append((f"groups ({rule})", "; ".join(parts)))
    return lines


def _known_frames(manifest: Manifest, probed: np.ndarray) -> np.ndarray:
    if isinstance(manifest.features, FeatureFile):
        return manifest.features.lengths
    counts = manifest.frame_counts
    if counts is None or manifest.starts is not None:
        return probed
    known: np.ndarray = counts[counts >= 0]
    return known


def _count_classes(manifest: Manifest, head: str) -> ClassCounts:
    names = list(manifest.split_counts())
    counts = {name: manifest.take(manifest.rows_of(name)).class_counts(head) for name in names}
    return ClassCounts(manifest.classes[head], counts or {"all": manifest.class_counts(head)})


# --- the plot -----------------------------------------------------------------------------------

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
