"""The clips of an index of which there is a video or a folder of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from marey.data.checks.probe import Probe
from marey.data.datasets.dataset import AnnotatedClip, DataSet, Index
from marey.data.lists.manifest_of import count_notes, label_column, manifest_of, spans_of
from marey.data.lists.times import frames_of
from marey.data.manifest.columns import Values
from marey.data.manifest.manifest import Manifest
from marey.data.prepare.account import SplitCoverage, ordered
from marey.data.prepare.find_media import Media, is_folder
from marey.errors import ManifestError


@dataclass(kw_only=True)
class PresentClips:
    """Valid clips, of which `rows` (int64) have media; `probes` are of these, if there are any."""

    index: Index
    clips: Sequence[AnnotatedClip]
    media: Media
    rows: np.ndarray
    manifest: Manifest
    """That of `rows`, without labels."""
    probes: list[Probe | None] = field(default_factory=list)

    @property
    def num_unprobed(self) -> int:
        """Clips that other shards have yet to look at."""
        return sum(probe is None for probe in self.probes)

    def labelled(self) -> Manifest:
        """The manifest of all clips that have labels, a file, and no error."""
        clips, manifest = self._kept(labelled=True)
        groups = [clip.group for clip in clips]
        columns: dict[str, Values | None] = {
            head: label_column([clip.labels[head] for clip in clips], len(names))
            for head, names in self.index.classes.items()
        }
        columns["group"] = groups if all(groups) and groups else None
        return manifest.with_columns(columns, self.index.classes)

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
        columns: dict[str, Values | None] = {"split": [clip.split for clip in clips]}
        if counts := self._counts():
            columns["num_frames"] = [counts[n] for n in keep]
        return clips, self.manifest.take(np.array(keep, np.int64)).with_columns(columns)

    def coverage(self) -> dict[str, SplitCoverage]:
        """What there is of every split."""
        splits = {split: SplitCoverage() for split in ordered({clip.split for clip in self.clips})}
        for clip in self.clips:
            splits[clip.split].clips += 1
            splits[clip.split].labelled &= bool(clip.labels)
        for row in self.rows:
            splits[self.clips[row].split].found += 1
        for n in self._errors():
            splits[self.clips[self.rows[n]].split].unreadable += 1
        for counts in splits.values():
            counts.missing = counts.clips - counts.found
        return splits

    def missing(self) -> list[tuple[str, str, str]]:
        """Split, name and reason of every clip that is left out, in the order of the index."""
        errors = {int(self.rows[n]): reason for n, reason in self._errors().items()}
        left_out = sorted((self.media.reasons | errors).items())
        return [(self.clips[row].split, self.clips[row].name, reason) for row, reason in left_out]

    def notes(self) -> list[str]:
        """What a person should know of the frames of the clips that are there."""
        return count_notes([self.clips[row] for row in self.rows], self._counts())

    def _counts(self) -> list[int | None]:
        """Frames of the file of each of `rows`, as it decodes; None where it does not."""
        return [p.file_frames if p and not p.error else None for p in self.probes]

    def _errors(self) -> dict[int, str]:
        """Position in `rows` -> why the clip cannot be read."""
        return {n: probe.error for n, probe in enumerate(self.probes) if probe and probe.error}


def present_clips(
    dataset: DataSet, index: Index, clips: Sequence[AnnotatedClip], media: Media, root: Path
) -> PresentClips:
    """The clips that have media; ManifestError if there are none."""
    rows = [row for row, path in enumerate(media.paths) if path is not None]
    if not rows:
        first = f"; the first, {clips[0].name!r}: {media.reasons[0]}" if clips else ""
        raise ManifestError(
            f"none of the {len(clips):,} clips of {dataset.title} is below {root}{first}",
            f"looked for {', '.join(dataset.layouts)}; --layout names another place",
        )
    manifest = _unlabelled(dataset, index, [clips[row] for row in rows], root, media)
    earlier = manifest.duplicates()
    for n, first_n in earlier.items():
        media.reasons[rows[n]] = f"is the same file as that of {clips[rows[first_n]].name}"
    keep = np.array([n for n in range(len(rows)) if n not in earlier], np.int64)
    return PresentClips(
        index=index,
        clips=clips,
        media=media,
        rows=np.array(rows, np.int64)[keep],
        manifest=manifest.take(keep),
    )


def _unlabelled(
    dataset: DataSet, index: Index, clips: Sequence[AnnotatedClip], root: Path, media: Media
) -> Manifest:
    """Where the clips lie that are there; spans of folders of frames are in frames."""
    paths = [path for path in media.paths if path is not None]
    folders = np.array([is_folder(path) for path in paths])
    spans, unit = spans_of(clips), index.unit
    rates = np.full(len(clips), np.nan)
    if dataset.frame_rate is not None:
        known = [dataset.frame_rate(clip.name) for clip in clips]
        rates = np.where(folders, known, np.nan)
    if unit == "seconds" and folders.any() and not np.isnan(spans).all():
        if not folders.all() or np.isnan(rates).any():
            raise ManifestError(
                f"spans in seconds of {folders.sum():,} folders of frames and"
                f" {(~folders).sum():,} videos cannot be in one manifest",
                "--layout names the place of either",
            )
        spans, unit = frames_of(spans, rates[:, None]), "frames"
    return manifest_of(clips, paths, source=root, root=root, spans=spans, unit=unit, rates=rates)
