"""What a manifest holds: clips of each class and split, lengths, sizes, long tail; and a plot."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from marey.data.checks.probe import Probes, probe_clips
from marey.data.features.feature_file import FeatureFile
from marey.data.manifest.manifest import Manifest
from marey.errors import counted
from marey.jobs.executors import PROCESSES, Executor
from marey.jobs.parts import Progress
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


@dataclass(frozen=True, kw_only=True)
class Stats:
    """What a manifest holds."""

    num_clips: int
    splits: dict[str, int]
    """Split -> clips; empty if the manifest has no splits."""
    heads: dict[str, ClassCounts]
    frames: dict[float, int]
    """Quantile -> frames a clip, of the clips whose frames are known; may be empty."""
    num_known: int
    """Clips whose frames are known."""
    lengths: np.ndarray
    """Frames of these clips, int64."""
    durations: np.ndarray
    """Seconds of the clips opened whose files have a rate, float64."""
    sizes: list[tuple[tuple[int, int], int]]
    """((width, height), clips) of those opened, the most frequent first."""
    fps: list[tuple[float, int]]
    """(frames a second, clips) of those opened, the most frequent first; 0 if a file has none."""
    num_opened: int
    num_unreadable: int
    """Of those opened."""
    num_unmeasured: int = 0
    """Of those opened: their readers were given up, which says nothing of the files."""

    @property
    def seconds(self) -> dict[float, float]:
        """Quantile -> seconds a clip, of those opened whose files have a rate; may be empty."""
        known = self.durations
        return {q: round(float(np.quantile(known, q)), 2) for q in QUANTILES if len(known)}

    @property
    def as_json(self) -> dict[str, object]:
        """All of it as JSON has it; quantiles are from 0 to 1."""
        return {
            "clips": self.num_clips,
            "splits": self.splits,
            "classes": {
                head: {
                    split: dict(zip(counts.classes, column.tolist(), strict=True))
                    for split, column in counts.by_split.items()
                }
                for head, counts in self.heads.items()
            },
            "frames": {"clips": self.num_known, "quantiles": self.frames},
            "seconds": {"clips": len(self.durations), "quantiles": self.seconds},
            "sizes": [{"width": w, "height": h, "clips": n} for (w, h), n in self.sizes],
            "fps": [{"fps": fps, "clips": n} for fps, n in self.fps],
            "opened": self.num_opened,
            "unreadable": self.num_unreadable,
            "unmeasured": self.num_unmeasured,
        }


def stats(
    manifest: Manifest,
    *,
    sample: int = 200,
    seed: int = 0,
    executor: Executor = PROCESSES,
    timeout_seconds: float = 60.0,
    progress: Progress | None = None,
) -> Stats:
    """Counts of all clips, and sizes and rates of a random sample of them that is opened.

    Lengths are those of all clips if the manifest has `num_frames` and no spans, else of the
    sample.

    Args:
        sample: how many clips are opened.
        seed: of their choice.
        executor: the processes that open them.
        timeout_seconds: how long a file may take without a frame (`Executor.answers`).
        progress: called with opened clips (done, total).
    """
    rng = np.random.default_rng(seed)
    if isinstance(manifest.features, FeatureFile):
        sample = 0  # the videos may lie elsewhere, or nowhere
    rows = np.sort(rng.permutation(len(manifest))[:sample])
    probed = probe_clips(
        manifest,
        rows,
        thorough=False,
        executor=executor,
        timeout_seconds=timeout_seconds,
        progress=progress,
    )
    probes = Probes(len(manifest), probed)
    good = rows[~probes.failed[rows]]
    timed = good[probes.fps[good] > 0]
    frames = _known_frames(manifest, probes.frames[good])
    sizes = zip(probes.width[good].tolist(), probes.height[good].tolist(), strict=True)
    return Stats(
        num_clips=len(manifest),
        splits=manifest.split_counts(),
        heads={head: _count_classes(manifest, head) for head in manifest.labels},
        frames={q: round(float(np.quantile(frames, q))) for q in QUANTILES if len(frames)},
        num_known=len(frames),
        lengths=frames,
        durations=probes.frames[timed] / probes.fps[timed],
        sizes=Counter(sizes).most_common(),
        fps=Counter(np.round(probes.fps[good], 2).tolist()).most_common(),
        num_opened=len(rows),
        num_unreadable=int((probes.failed & probes.measured).sum()),
        num_unmeasured=int((~probes.measured).sum()),
    )


def long_tail_lines(counts: ClassCounts) -> list[tuple[str, str]]:
    """How long-tailed the training clips are, in words: (what, value).

    Empty where no class has twice the clips of another: there is no tail.

    >>> clips = np.array([60, 30, 25, 5])
    >>> for what, value in long_tail_lines(ClassCounts(tuple("abcd"), {"train": clips})):
    ...     print(f"{what}: {value}")
    long tail: H 25.0 %, F 25.0 %, imbalance 12.0
    groups (paper): head 1 class, 60 clips; tail 2 classes, 55 clips; few 1 class, 5 clips
    groups (release): head 2 classes, 90 clips; tail 1 class, 25 clips; few 0 classes, 0 clips
    """
    clips = counts.training
    if clips.max() < 2 * clips.min() or clips.max() == 0:
        return []
    shares = profile(clips)
    lines = [
        (
            "long tail",
            f"H {shares.head_percent:.1f} %, F {shares.few_percent:.1f} %, "
            f"imbalance {shares.imbalance:,.1f}",
        )
    ]
    for rule in LONG_TAIL_RULES:
        parts = [
            f"{name} {counted(len(classes), 'class')}, {counted(clips[classes].sum(), 'clip')}"
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
