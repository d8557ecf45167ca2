"""Near duplicates among clips of one's own: found, kept together, and said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from marey.data.checks.prints import print_clips
from marey.data.checks.relatives import Relatives, find_relatives, linked, same_bytes
from marey.data.features.feature_folder import holds_features
from marey.data.manifest.manifest import SPLITS, Manifest
from marey.data.own_videos.name_groups import Groups
from marey.errors import counted
from marey.jobs.executors import Executor
from marey.jobs.parts import Progress
from marey.storage.atomic import write_csv
from marey.video.reading.reader import Span

MOST_COMPARED = 20_000
"""Clips; the time to compare grows with their square."""
NUM_SHOWN = 3
"""Pairs that a note names."""
_MOST_JOINED = 0.5
"""Share of the clips in one group above which a split by it would leave nothing to validate on."""


@dataclass(frozen=True)
class LookAlikes:
    """Which clips of a manifest are nearly the same, by their paths and classes."""

    relatives: Relatives
    paths: Sequence[str]
    labels: Sequence[str]
    spans: Sequence[Span | None] = ()
    """Of all clips, if any is a part of its file."""

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The names of those that are."""
        return [(self._name(one), self._name(other)) for one, other in self.relatives.pairs]

    def kept_together(self, groups: Groups | None) -> tuple[Groups | None, str]:
        """These groups (None: each clip its own), of which relatives join several, and what is
        done, in words.

        If one group would have more than half of the clips, only files of the same bytes join.
        """
        values = self.paths if groups is None else groups.values
        first: dict[str, int] = {}
        same = np.array([(first.setdefault(value, row), row) for row, value in enumerate(values)])
        largest = np.bincount(same[:, 0]).max()
        reason = ""
        for pairs, them in (
            (self.relatives.pairs, "they"),
            (self.relatives.copies, "those copies"),
        ):
            of_row = linked(len(values), np.concatenate([same, pairs]))
            size = np.bincount(of_row).max()
            if len(pairs) and size <= max(_MOST_JOINED * len(values), largest):
                name = "clips that look alike" if groups is None else f"{groups.name} and likeness"
                note = "; ".join(self._joined_note(groups, pairs))
                joined = Groups(name, [values[row] for row in of_row], note)
                return joined, f"{them} stay together{reason}, unless --no-near-duplicates"
            reason = reason or f", as one group would have {size:,} of {len(values):,} clips"
        return groups, f"they are not kept together{reason}"

    def _joined_note(self, groups: Groups | None, pairs: np.ndarray) -> Iterator[str]:
        if groups is None:
            return
        if groups.note:
            yield groups.note
        if len(across := _across(groups, pairs)):
            one, other = (groups.values[row] for row in across[0])
            yield (
                f"near duplicates are in several groups, which are joined, as {one} and {other} by"
                f" {self._shown(across[:1])}"
            )

    def apart(self, groups: Groups) -> str:
        """What there is to say of relatives in two of these groups, which a person gave; or ""."""
        across = _across(groups, self.relatives.pairs)
        if not len(across):
            return ""
        one, other = (groups.values[row] for row in across[0])
        return (
            f"{len(across):,} of {counted(len(self.relatives.pairs), 'pair')} in two groups of"
            f" {groups.name}, which stay as given, as {one} and {other}: {self._shown(across[:1])}"
        )

    def notes(self, sides: np.ndarray, folds: np.ndarray | None, done: str) -> Iterator[str]:
        """What there is to say of them.

        Args:
            sides: of all clips, int64 [n], positions in SPLITS.
            folds: int64 [n], -1 for clips of none.
            done: what is done about them.
        """
        related, pairs = self.relatives.related, self.relatives.pairs
        if not len(pairs):
            return
        copies = self.relatives.copies
        exact = f", {len(copies):,} a copy byte for byte" if len(copies) else ""
        yield (
            f"near duplicates: {len(related):,} of {len(self.paths):,} clips look nearly like"
            f" another{exact}: {self._shown(pairs)}; near-duplicates.csv lists them"
            + (f"; {done}" if done else "")
        )
        differ = [(a, b) for a, b in copies if self.labels[a] != self.labels[b]]
        if differ:
            one, other = differ[0]
            yield (
                f"{counted(len(differ), 'copy', 'copies')} with another label than the first, as"
                f" {self._name(other)}, {self.labels[other]}, of {self._name(one)},"
                f" {self.labels[one]}"
            )
        for side, name in list(enumerate(SPLITS))[1:]:
            leaks = [(a, b) for a, b in pairs if {int(sides[a]), int(sides[b])} == {0, side}]
            if leaks:
                clips = {row for pair in leaks for row in pair if sides[row] == side}
                yield (
                    f"{len(clips):,} of {counted((sides == side).sum(), f'{name} clip')} nearly"
                    f" like one to train on, as {self._shown(leaks[:1])}: results will be too good"
                )
        if folds is None:
            return
        leaks = [(a, b) for a, b in pairs if folds[a] != folds[b] and min(folds[a], folds[b]) >= 0]
        if leaks:
            yield (
                f"{len({*np.ravel(leaks)}):,} of {int((folds >= 0).sum()):,} clips look nearly like"
                f" one in another fold, as {self._shown(leaks[:1])}: results will be too good"
            )

    def write(self, path: Path) -> None:
        """Write the pairs, a line each; where there are none, none of an earlier time stay."""
        if len(self.relatives.pairs):
            write_csv(path, ("path", "other"), self.pairs)
        else:
            path.unlink(missing_ok=True)

    def _shown(self, pairs: Sequence[tuple[int, int]] | np.ndarray) -> str:
        shown = [f"{self._name(one)} ~ {self._name(other)}" for one, other in pairs[:NUM_SHOWN]]
        return ", ".join(shown) + (", ..." if len(pairs) > NUM_SHOWN else "")

    def _name(self, row: int) -> str:
        """The path of a clip, and its span: clips of one file may look alike."""
        span = self.spans[row] if self.spans else None
        return f"{self.paths[row]} {span}" if span else self.paths[row]

    @property
    def facts(self) -> dict[str, object]:
        """What init.json says of them."""
        sizes = Counter(self.relatives.groups.tolist()).values()
        return {
            "clips": len(self.relatives.related),
            "copies": len(self.relatives.copies),
            "groups": sum(size > 1 for size in sizes),
            "largest": max(sizes),
            "pairs": len(self.relatives.pairs),
        }


def _across(groups: Groups, pairs: np.ndarray) -> np.ndarray:
    """Those pairs (int64 [p 2]) whose clips are in two groups."""
    values = np.asarray(groups.values)[pairs]
    across: np.ndarray = pairs[values[:, 0] != values[:, 1]]
    return across


def find_look_alikes(
    manifest: Manifest,
    labels: Sequence[str],
    *,
    executor: Executor,
    timeout_seconds: float,
    progress: Progress | None,
) -> tuple[LookAlikes | None, list[str]]:
    """The near duplicates among all clips, and why they were not looked for, if they were not."""
    paths = list(manifest.texts())
    if len(paths) < 2 or holds_features(paths[0]):
        return None, []
    if len(paths) > MOST_COMPARED:
        return None, [f"near duplicates are not looked for among over {MOST_COMPARED:,} clips"]
    rows = np.arange(len(paths))
    prints = print_clips(
        manifest, rows, executor=executor, timeout_seconds=timeout_seconds, progress=progress
    )
    relatives = find_relatives(prints, same_bytes(manifest, rows), progress=progress)
    spans = [manifest.span(row) for row in range(len(paths))]
    return LookAlikes(relatives, paths, labels, spans), []


def look_alikes_of(
    manifest: Manifest,
    *,
    executor: Executor,
    timeout_seconds: float,
    progress: Progress | None = None,
) -> tuple[LookAlikes | None, list[str]]:
    """The near duplicates among the clips of a manifest, and what there is to say of them.

    So also which clips of val and test look like one to train on, by the splits and folds that the
    manifest has.
    """
    near, notes = find_look_alikes(
        manifest,
        _labels(manifest),
        executor=executor,
        timeout_seconds=timeout_seconds,
        progress=progress,
    )
    if near is None:
        return None, notes or ["near duplicates are not looked for among features, or in one clip"]
    if not len(near.relatives.pairs):
        return near, [f"no two of {len(manifest):,} clips look nearly alike"]
    return near, [*notes, *near.notes(_sides(manifest), manifest.folds, "")]


def _labels(manifest: Manifest) -> list[str]:
    """The class, or classes, of each clip by the first head, in words; "" of clips without any."""
    for head, labels in manifest.labels.items():
        names = np.array(manifest.classes[head], object)
        if labels.ndim == 2:
            return [", ".join(names[of]) for of in labels]
        return [str(name) for name in names[labels]]
    return [""] * len(manifest)


def _sides(manifest: Manifest) -> np.ndarray:
    """The split of each clip as its position in SPLITS, int64 [n]; -1 for another or for none."""
    if manifest.splits is None:
        return np.full(len(manifest), -1)
    positions = [
        SPLITS.index(name) if name in SPLITS else -1
        for name in manifest.splits.dictionary.to_pylist()
    ]
    found: np.ndarray = np.array(positions)[manifest.splits.indices.to_numpy()]
    return found
