"""The clips of an index of which there is a video or a folder of frames, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from marey.data.checks.probe import Probe
from marey.data.datasets.dataset import AnnotatedClip, DataSet, Index
from marey.data.manifest.columns import BOUNDS, Values
from marey.data.manifest.manifest import Manifest
from marey.data.prepare.account import SplitCoverage, ordered
from marey.data.prepare.find_media import Media, is_folder
from marey.errors import ManifestError


@dataclass
class Found:
    """Sound clips, of which `rows` (int64) have media; `probes` are of these, if there are any."""

    index: Index
    clips: Sequence[AnnotatedClip]
    media: Media
    rows: np.ndarray
    manifest: Manifest
    """Paths, ids, spans and rates of `rows`, without labels."""
    probes: list[Probe | None] = field(default_factory=list)

    @property
    def num_unprobed(self) -> int:
        """Clips that other shards have yet to look at."""
        return sum(probe is None for probe in self.probes)

    def labelled(self) -> Manifest:
        """The manifest of all clips that have labels, a file, and no error."""
        clips, manifest = self._kept(labelled=True)
        groups = [clip.group for clip in clips]
        classes = self.index.classes
        columns: dict[str, Values | None] = {
            head: _labels(clips, head, len(names)) for head, names in classes.items()
        }
        columns["group"] = groups if all(groups) and groups else None
        return manifest.with_columns(columns, classes)

    def unlabelled(self) -> Manifest:
        """The same of those that have no labels."""
        return self._kept(labelled=False)[1]

    def _kept(self, *, labelled: bool) -> tuple[list[AnnotatedClip], Manifest]:
        """The clips without an error that have labels or have not, and where they lie."""
        errors = self._errors()
        keep = [
            n
            for n, row in enumerate(self.rows)
            if bool(self.clips[row].labels) == labelled and n not in errors
        ]
        clips = [self.clips[self.rows[n]] for n in keep]
        probes = [self.probes[n] for n in keep] if self.probes else []
        frames = [-1 if probe is None else probe.file_frames for probe in probes]
        manifest = self.manifest.take(np.array(keep, np.int64))
        columns = {"split": [clip.split for clip in clips], "num_frames": frames or None}
        return clips, manifest.with_columns(columns)

    def coverage(self) -> dict[str, SplitCoverage]:
        """What there is of every split."""
        found = {split: SplitCoverage() for split in ordered({clip.split for clip in self.clips})}
        for clip in self.clips:
            found[clip.split].clips += 1
            found[clip.split].labelled &= bool(clip.labels)
        for row in self.rows:
            found[self.clips[row].split].found += 1
        for n in self._errors():
            found[self.clips[self.rows[n]].split].unreadable += 1
        for counts in found.values():
            counts.missing = counts.clips - counts.found
        return found

    def missing(self) -> list[tuple[str, str, str]]:
        """Split, name and reason of every clip that is left out, in the order of the index."""
        errors = {int(self.rows[n]): reason for n, reason in self._errors().items()}
        left_out = sorted((self.media.reasons | errors).items())
        return [(self.clips[row].split, self.clips[row].name, reason) for row, reason in left_out]

    def notes(self) -> list[str]:
        """What a person should know of the clips that were found."""
        pairs = zip(self.rows, self.probes, strict=True) if self.probes else ()
        other = sum(
            probe is not None
            and not probe.error
            and self.clips[row].num_frames not in (None, probe.file_frames)
            for row, probe in pairs
        )
        said = "have another number of frames than their annotation says; the manifest has theirs"
        return [f"{other:,} clips {said}"] if other else []

    def _errors(self) -> dict[int, str]:
        """Position in `rows` -> why the clip cannot be read."""
        return {n: probe.error for n, probe in enumerate(self.probes) if probe and probe.error}


def found_clips(
    dataset: DataSet, index: Index, clips: Sequence[AnnotatedClip], media: Media, root: Path
) -> Found:
    """The clips that have media; ManifestError if there are none."""
    there = [row for row, path in enumerate(media.paths) if path is not None]
    if not there:
        first = f"; the first, {clips[0].name!r}: {media.reasons[0]}" if clips else ""
        raise ManifestError(
            f"none of the {len(clips):,} clips of {dataset.title} is below {root}{first}",
            f"looked for {', '.join(dataset.layouts)}; --layout names another place",
        )
    manifest = _unlabelled(dataset, index, [clips[row] for row in there], root, media)
    earlier = manifest.duplicates()
    for n, first_n in earlier.items():
        media.reasons[there[n]] = f"is the same file as that of {clips[there[first_n]].name}"
    keep = np.array([n for n in range(len(there)) if n not in earlier], np.int64)
    return Found(index, clips, media, np.array(there, np.int64)[keep], manifest.take(keep))


def _unlabelled(
    dataset: DataSet, index: Index, clips: Sequence[AnnotatedClip], root: Path, media: Media
) -> Manifest:
    """Paths, ids, spans and rates of clips that are there."""
    paths = [path for path in media.paths if path is not None]
    folders = np.array([is_folder(path) for path in paths])
    unit = index.unit
    starts, ends = _bounds([c.start for c in clips]), _bounds([c.end for c in clips])
    rates = np.full(len(clips), np.nan)
    if dataset.frame_rate is not None:
        known = [dataset.frame_rate(clip.name) for clip in clips]
        rates = np.where(folders, known, np.nan)
    if unit == "seconds" and folders.any() and (starts is not None or ends is not None):
        if not folders.all() or np.isnan(rates).any():
            raise ManifestError(
                f"spans in seconds of {folders.sum():,} folders of frames and"
                f" {(~folders).sum():,} videos cannot be in one manifest",
                "--layout names the place of either",
            )
        unit = "frames"  # round: half to even, as published
        starts, ends = (None if c is None else np.round(c * rates) for c in (starts, ends))
    start, end = BOUNDS[unit]
    columns: dict[str, Values | None] = {
        "path": paths,
        "id": [clip.id for clip in clips] if any(clip.id for clip in clips) else None,
        start: starts,
        end: ends,
        "fps": None if np.isnan(rates).all() else rates,
    }
    return Manifest.from_columns(root, root, columns)


def _bounds(values: Sequence[float | None]) -> np.ndarray | None:
    """Float64 [n], NaN where open; None if all are."""
    bounds = np.array([np.nan if value is None else value for value in values])
    return None if np.isnan(bounds).all() else bounds


def _labels(clips: Sequence[AnnotatedClip], head: str, num_classes: int) -> np.ndarray:
    """Class indices int64 [n], or bool [n k] where a clip may have several."""
    labels = [clip.labels[head] for clip in clips]
    if all(isinstance(label, int) for label in labels):
        return np.array(labels, np.int64)
    hot = np.zeros((len(labels), num_classes), bool)
    for row, label in enumerate(labels):
        hot[row, label] = True
    return hot
