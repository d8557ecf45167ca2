"""From whatever lists your videos to a manifest with a split: `marey data init`.

The source is a folder of class folders, a csv, a list of another toolbox, or a folder with one
list a split. What it was read as, how it was split and what was left out is said, not assumed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from marey.data.checks.probe import probe_rows
from marey.data.lists.class_files import find_class_file, find_head_files, read_class_ids
from marey.data.lists.epic import in_frames
from marey.data.lists.listing import Listing, join_listings
from marey.data.lists.lists import read_listing
from marey.data.lists.numbering import Numbered, number_classes
from marey.data.lists.tables import is_table
from marey.data.manifest.classes import classes_file, split_labels
from marey.data.manifest.columns import BOUNDS, Values
from marey.data.manifest.faults import clip_text
from marey.data.manifest.manifest import SPLITS, Manifest
from marey.data.manifest.paths import Folders, leaves
from marey.data.manifest.read import read_manifest
from marey.data.manifest.write import write_manifest
from marey.data.own_videos.folders import read_folder
from marey.data.own_videos.splits import Division, SplitRule, divide, split_name
from marey.errors import ManifestError
from marey.jobs.parts import Progress
from marey.storage.atomic import write_csv

BY_DEFAULT = SplitRule()
ID_NAMES = ("id", "narration_id")
"""Columns that hold what a data set calls a clip, the first that is there."""


@dataclass(frozen=True)
class InitReport:
    """The manifest that was made, and what there is to say about it."""

    manifest: Manifest
    path: Path
    found: str
    """What the source was read as."""
    split: str
    """What it was split by."""
    notes: tuple[str, ...]
    rejects: tuple[tuple[str, str], ...]
    """(path, reason) of every clip left out; also in rejects.csv beside the manifest."""


def init_dataset(
    source: str | Path,
    out: str | Path,
    *,
    rule: SplitRule = BY_DEFAULT,
    root: str | Path | None = None,
    names: str | Path | None = None,
    probe: bool = True,
    overwrite: bool = False,
    num_workers: int | None = None,
    timeout_seconds: float = 60.0,
    progress: Progress | None = None,
) -> InitReport:
    """A manifest of the clips in `source`, written as manifest.csv with labels.txt in `out`.

    root: where the paths of a list start (default: its folder). names: the file of class names
    (default: one beside the list, if there is one). With `probe` every file is decoded to count
    its frames, and those that cannot be read are left out and listed in rejects.csv; without, only
    files that are missing are. ManifestError names lines that do not fit, clips given twice, a
    source without clips, and a manifest.csv that is there already (unless `overwrite`).
    """
    source, target = Path(source), Path(out) / "manifest.csv"
    if target.exists() and not overwrite:
        raise ManifestError(f"{target} is there already", "give another folder, or overwrite it")
    start = Path(root) if root else source if source.is_dir() else source.parent
    listing, notes = _read_source(source)
    listing = in_frames(listing, start)
    manifest, class_notes = _unsplit(listing, source, names)
    if not overwrite:
        _keep_classes(manifest, target.parent)
    manifest, rejects = _find(manifest.below(start), listing, strict=root is not None)
    if probe:
        manifest = _count(manifest, rejects, num_workers, timeout_seconds, progress)
    kept = np.array([row for row in range(len(manifest)) if row not in rejects], np.int64)
    if not len(kept):
        raise ManifestError(
            f"{source}: none of its {len(listing):,} clips can be read; the first,"
            f" {clip_text(listing.paths[0])}: {rejects[0]}",
            f"paths start at {start}; give another root if the clips lie elsewhere",
        )
    manifest = manifest.take(kept)
    columns = {name: [values[row] for row in kept] for name, values in listing.columns.items()}
    division = divide(list(manifest.texts()), _stratum(manifest), columns, rule)
    write_manifest(_divided(manifest, division), target)
    left_out = tuple((listing.paths[row], rejects[row]) for row in sorted(rejects))
    _write_rejects(target.with_name("rejects.csv"), left_out)
    return InitReport(
        read_manifest(target),
        target,
        listing.found,
        division.how,
        (*notes, *class_notes, *division.notes),
        left_out,
    )


# --- the source ---------------------------------------------------------------------------------

_OURS = ("manifest.csv", "check.csv", "rejects.csv")
_LIST = re.compile(r"[^.].*\.(?:csv|tsv|txt|lst|list|json)", re.IGNORECASE)


def _read_source(source: Path) -> tuple[Listing, list[str]]:
    """A file is a list; a folder holds one table, or a list a split, or class folders."""
    if not source.exists():
        raise ManifestError(f"{source} does not exist", "give a folder of videos or a list")
    if source.is_file():
        return read_listing(source), []
    lists = [path for path in sorted(source.iterdir()) if _LIST.fullmatch(path.name)]
    lists = [path for path in lists if path.name not in _OURS and path.is_file()]
    tables = [path for path in lists if is_table(path)]
    parts = _split_lists(lists)
    if len(tables) == 1 and not parts:
        return read_listing(tables[0]), [f"read {tables[0].name} in {source}, not its folders"]
    if "train" in parts:
        listings = {split: read_listing(path) for split, path in parts.items()}
        return join_listings(source, listings), []
    if tables:
        names = ", ".join(path.name for path in tables)
        raise ManifestError(f"{source} holds several lists: {names}", "name the one to read")
    return read_folder(source)


def _split_lists(lists: list[Path]) -> dict[str, Path]:
    """Split -> its list, where the names of the lists say so and none says it twice.

    A list that is named as its split alone goes before those with more words in their name.
    """
    plain = {split: path for path in lists if (split := split_name(path.stem))}
    if "train" in plain:
        return {split: plain[split] for split in SPLITS if split in plain}
    found: dict[str, Path] = {}
    for path in lists:
        words = re.split(r"[^a-z]+", path.stem.lower())
        splits = {split for word in words if (split := split_name(word))}
        if len(splits) == 1 and found.setdefault(splits.pop(), path) != path:
            return {}
    return {split: found[split] for split in SPLITS if split in found}


def _unsplit(
    listing: Listing, source: Path, names: str | Path | None
) -> tuple[Manifest, list[str]]:
    """All rows with their class indices, in the order of the source; and how classes were read."""
    files = _class_files(listing, source, names)
    notes = [f"class names from {file}" for file in files.values()]
    start, end = BOUNDS[listing.unit]
    starts, ends = listing.bounds or (None, None)
    columns: dict[str, Values | None] = {
        "path": [""] * len(listing.paths),
        "id": next((listing.columns[name] for name in ID_NAMES if name in listing.columns), None),
        start: starts,
        end: ends,
        "fps": listing.rates or None,
    }
    classes: dict[str, tuple[str, ...]] = {}
    for head, values in listing.labels.items():
        class_ids = read_class_ids(files[head]) if head in files else None
        known = frozenset((class_ids or {}).values())
        cells = [split_labels(value.strip(), known) for value in values]
        words = [word for cell in cells for word in cell]
        rows = np.repeat(np.arange(len(cells)), [len(cell) for cell in cells])
        numbered = number_classes(head, words, class_ids)
        _refuse_labels(listing, rows, numbered, words)
        classes[head], labels = numbered.classes, numbered.indices
        if len(words) > len(cells):
            labels = np.zeros((len(cells), len(numbered.classes)), dtype=bool)
            labels[rows, numbered.indices] = True
        columns[head] = labels
        notes += [numbered.note] if numbered.note else []
    return Manifest.from_columns(source, source, columns, classes), notes


def _class_files(listing: Listing, source: Path, names: str | Path | None) -> dict[str, Path]:
    """Head -> its file of class names, if there is one."""
    heads = list(listing.labels)
    if len(heads) > 1:
        return find_head_files(source if source.is_dir() else source.parent, heads)
    file = Path(names) if names else find_class_file(source) if source.is_file() else None
    return {heads[0]: file} if file else {}


def _refuse_labels(
    listing: Listing, rows: np.ndarray, numbered: Numbered, words: Sequence[str]
) -> None:
    """ManifestError if one of the words, which stand in these rows, is no class."""
    wrong = np.flatnonzero(numbered.indices < 0)[::-1]
    first = dict(zip(rows[wrong].tolist(), wrong.tolist(), strict=True))  # of a row
    listing.refuse(sorted(first), lambda row: numbered.describe(words[first[row]]))


def _stratum(manifest: Manifest) -> np.ndarray:
    """The class by which each clip is split: its own, or the rarest of several."""
    head = next(iter(manifest.labels))
    labels = manifest.labels[head]
    if not manifest.has_several(head):
        return labels
    rarest: np.ndarray = np.where(labels, manifest.class_counts(head), len(labels) + 1).argmin(1)
    return rarest


def _keep_classes(manifest: Manifest, folder: Path) -> None:
    """ManifestError if a file of other class names would be written over."""
    for head, names in manifest.classes.items():
        file = classes_file(folder, head)
        if file.exists() and file.read_text("utf-8", "replace").split("\n") != [*names, ""]:
            raise ManifestError(
                f"{file} holds other class names", "give another folder, or overwrite it"
            )


# --- the files ----------------------------------------------------------------------------------


def _find(manifest: Manifest, listing: Listing, *, strict: bool) -> tuple[Manifest, dict[int, str]]:
    """The manifest with the paths of the files that are there; row -> reason for the others."""
    folders = Folders(manifest.root)
    if strict:
        outside = [row for row, path in enumerate(listing.paths) if leaves(manifest.root, path)]
        listing.refuse(
            outside,
            lambda row: (
                f"path {clip_text(listing.paths[row])} is outside the root {manifest.root}",
                "give paths relative to the root",
            ),
        )
    rejects: dict[int, str] = {}
    found: list[str] = []
    for row, path in enumerate(listing.paths):
        there = folders.video(path) if path else None
        if there is None:
            rejects[row] = "no such file" if path else "the path is empty"
        elif not _is_writable(there):
            rejects[row] = "its name holds a line break or is not UTF-8: rename it"
        found.append("" if row in rejects else there or "")
    manifest = manifest.with_columns({"path": found})
    _refuse_repeats(manifest, listing, rejects)
    return manifest, rejects


def _refuse_repeats(manifest: Manifest, listing: Listing, rejects: dict[int, str]) -> None:
    """ManifestError if a clip is given twice, under the same id if there are ids.

    EPIC-KITCHENS and EGTEA have a few parts that were annotated twice, under two ids.
    """
    earlier = manifest.duplicates()
    listing.refuse(
        sorted(earlier.keys() - rejects.keys()),
        lambda row: (
            f"{clip_text(listing.paths[row])} was given before, at {listing.place(earlier[row])}",
            "keep one line a clip",
        ),
    )


def _is_writable(path: str) -> bool:
    """Whether a manifest can hold the path: text in UTF-8, on one line."""
    return not re.search(r"[\r\n\0\ud800-\udfff]", path)


def _count(
    manifest: Manifest,
    rejects: dict[int, str],
    num_workers: int | None,
    timeout_seconds: float,
    progress: Progress | None,
) -> Manifest:
    """The manifest with the frames that decode from every file; adds to `rejects` what fails."""
    rows = np.array([row for row in range(len(manifest)) if row not in rejects], np.int64)
    probes = probe_rows(
        manifest,
        rows,
        num_workers=num_workers,
        timeout_seconds=timeout_seconds,
        progress=progress,
    )
    rejects |= probes.errors
    counts = np.where(probes.file_frames > 0, probes.file_frames, -1)
    return manifest.with_columns({"num_frames": counts})


# --- what is written ----------------------------------------------------------------------------


def _divided(manifest: Manifest, division: Division) -> Manifest:
    splits = pa.DictionaryArray.from_arrays(
        pa.array(division.sides, pa.int32()), pa.array(SPLITS, pa.large_string())
    )
    groups = None if division.groups == list(manifest.texts()) else division.groups
    return manifest.with_columns({"split": splits, "group": groups})


def _write_rejects(path: Path, rejects: tuple[tuple[str, str], ...]) -> None:
    """The list of clips left out; none from an earlier time stays."""
    if rejects:
        write_csv(path, ("path", "reason"), rejects)
    else:
        path.unlink(missing_ok=True)
