"""The clips of an index of which there is a video or a folder of frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from marey.data.checks.probe import Probes
from marey.data.datasets.dataset import AnnotatedClip, DataSet, Index
from marey.data.lists.manifest_of import count_notes, label_column, manifest_of, spans_of
from marey.data.lists.times import frames_of
from marey.data.manifest.columns import Values
from marey.data.manifest.manifest import SPLITS, Manifest
from marey.data.prepare.find_media import Media, find_media, is_folder
from marey.errors import ManifestError, counted


@dataclass
class SplitCoverage:
    """The clips of a split, by what there is of them."""

    clips: int = 0
    found: int = 0
    """Of these the manifest has those that are not unreadable."""
    missing: int = 0
    unreadable: int = 0
    labelled: bool = True
    """Whether all have labels."""
    answered: int = 0
    """How many have labels."""


@dataclass(kw_only=True)
class PresentClips:
    """The valid clips of a data set, and the manifest of those that have media."""

    index: Index
    clips: Sequence[AnnotatedClip]
    absent: dict[int, str]
    """Position in `clips` -> why it has no media."""
    manifest: Manifest
    """That of all others, in the order of `clips`, without labels."""
    layouts: Mapping[str, int]
    """Where these lie: layout -> how many."""
    probes: Probes | None = None
    """Of the rows of the manifest, if it was probed."""

    @property
    def rows(self) -> list[int]:
        """Position in `clips` of every row of the manifest."""
        return [row for row in range(len(self.clips)) if row not in self.absent]

    def labelled(self) -> Manifest:
        """The manifest of all clips that have labels, a file, and no error."""
        clips, manifest = self._readable(labelled=True)
        groups = [clip.group for clip in clips]
        columns: dict[str, Values | None] = {
            head: label_column([clip.labels[head] for clip in clips], len(names))
            for head, names in self.index.classes.items()
        }
        columns["group"] = groups if all(groups) and groups else None
        return manifest.with_columns(columns, self.index.classes)

    def unlabelled(self) -> Manifest:
        """The same of those that have no labels."""
        return self._readable(labelled=False)[1]

    def _readable(self, *, labelled: bool) -> tuple[list[AnnotatedClip], Manifest]:
        """The clips without an error that have labels or have not, and where they lie."""
        errors, counts = self._errors(), self._counts()
        clips = [(n, self.clips[row]) for n, row in enumerate(self.rows) if row not in errors]
        kept = [(n, clip) for n, clip in clips if bool(clip.labels) == labelled]
        columns: dict[str, Values | None] = {"split": [clip.split for _, clip in kept]}
        if counts:
            columns["num_frames"] = [counts[n] for n, _ in kept]
        manifest = self.manifest.take(np.array([n for n, _ in kept], np.int64))
        return [clip for _, clip in kept], manifest.with_columns(columns)

    def coverage(self) -> dict[str, SplitCoverage]:
        """What there is of every split: train, val, test, then others."""
        errors = self._errors()
        names = {clip.split for clip in self.clips}
        ordered = [*(name for name in SPLITS if name in names), *sorted(names - set(SPLITS))]
        splits = {name: SplitCoverage() for name in ordered}
        for row, clip in enumerate(self.clips):
            counts = splits[clip.split]
            counts.clips += 1
            counts.found += row not in self.absent
            counts.missing += row in self.absent
            counts.unreadable += row in errors
            counts.labelled &= bool(clip.labels)
            counts.answered += bool(clip.labels)
        return splits

    def missing(self) -> list[tuple[str, str, str]]:
        """Split, name and reason of every clip that is left out, in the order of the index."""
        left_out = sorted((self.absent | self._errors()).items())
        return [(self.clips[row].split, self.clips[row].name, reason) for row, reason in left_out]

    def notes(self) -> list[str]:
        """What a person should know of the clips that are there."""
        counts = count_notes([self.clips[row].num_frames for row in self.rows], self._counts())
        if len(self.layouts) > 1:
            shown = ", ".join(f"{count:,} as {name}" for name, count in self.layouts.items())
            counts.append(f"clips lie in several places: {shown}")
        unknown = "files were not opened: what is unreadable is not known"
        return [*counts, unknown] if self.probes is None else counts

    def _counts(self) -> list[int | None]:
        """Frames of the file of every row of the manifest, None where it does not decode."""
        if self.probes is None:
            return []
        counts = np.where(self.probes.failed, 0, self.probes.file_frames)
        return [count or None for count in counts.tolist()]

    def _errors(self) -> dict[int, str]:
        """Position in `clips` -> why the clip cannot be read."""
        rows, errors = self.rows, self.probes.errors if self.probes else {}
        return {rows[n]: error for n, error in errors.items()}


def present_clips(
    dataset: DataSet, index: Index, clips: Sequence[AnnotatedClip], root: Path
) -> PresentClips:
    """Those of the clips that have media below the root; ManifestError if there are none."""
    names = next(iter(index.classes.values()), ())
    media = find_media(clips, names, root, dataset.layouts)
    rows = [row for row, path in enumerate(media.paths) if path is not None]
    if not rows:
        first = f"; the first, {clips[0].name!r}: {media.reasons[0]}" if clips else ""
        raise ManifestError(
            f"none of the {counted(len(clips), 'clip')} of {dataset.title} is below {root}{first}",
            f"looked for {', '.join(dataset.layouts)}; --layout names another place",
        )
    manifest = _manifest(dataset, index, [clips[row] for row in rows], root, media)
    earlier = manifest.duplicates()
    same = {
        rows[n]: f"is the same file as that of {clips[rows[first_n]].name}"
        for n, first_n in earlier.items()
    }
    kept = np.array([n for n in range(len(rows)) if n not in earlier], np.int64)
    return PresentClips(
        index=index,
        clips=clips,
        absent=media.reasons | same,
        manifest=manifest.take(kept),
        layouts={layout: count for layout, count in media.layouts.items() if count},
    )


def _manifest(
    dataset: DataSet, index: Index, clips: Sequence[AnnotatedClip], root: Path, media: Media
) -> Manifest:
    """Where the clips lie that are there; spans of folders of frames are in frames."""
    paths = [path for path in media.paths if path is not None]
    folders = np.array([is_folder(path) for path in paths])
    spans, unit = spans_of((clip.start, clip.end) for clip in clips), index.unit
    rates = np.full(len(clips), np.nan)
    if dataset.frame_rate is not None:
        known = [dataset.frame_rate(clip.name) for clip in clips]
        rates = np.where(folders, known, np.nan)
    if unit == "seconds" and folders.any() and not np.isnan(spans).all():
        if not folders.all() or np.isnan(rates).any():
            raise ManifestError(
                f"spans in seconds of {counted(folders.sum(), 'folder')} of frames and"
                f" {counted((~folders).sum(), 'video')} cannot be in one manifest",
                "--layout names the place of either",
            )
        spans, unit = frames_of(spans, rates[:, None]), "frames"
    return manifest_of(
        root,
        root,
        paths=paths,
        ids=[clip.id for clip in clips],
        spans=spans,
        unit=unit,
        num_frames=[clip.num_frames for clip in clips],
        rates=rates,
    )
