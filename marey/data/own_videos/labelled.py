"""Labelled clips that are no manifest, for a trained model: class folders, lists, globs.

They are read as `marey data init` reads them, but none is opened, and nothing is written.
"""

from __future__ import annotations

from pathlib import Path

from marey.data.lists.epic import in_frames
from marey.data.lists.listing import Listing, ListRow
from marey.data.lists.rejects import SourceLine
from marey.data.lists.wanted_columns import AS_NAMED
from marey.data.manifest.faults import clip_text
from marey.data.manifest.manifest import Manifest
from marey.data.own_videos.files import located, meant_files, refuse_empty_spans
from marey.data.own_videos.given_columns import given_columns
from marey.data.own_videos.labels import class_files, read_labels
from marey.data.own_videos.patterns import is_pattern, matching
from marey.data.own_videos.source import read_source
from marey.data.own_videos.splits import SplitRule, split_name
from marey.data.own_videos.unlabelled import LISTS
from marey.errors import ManifestError


def is_labelled_source(source: str | Path) -> bool:
    """Whether it is a folder, a list, or a pattern of files, and so no manifest."""
    path = Path(source)
    if "://" in str(source):
        return False
    return path.is_dir() or path.suffix.lower() in LISTS or is_pattern(path)


def read_labelled(source: str | Path) -> tuple[Manifest, tuple[str, ...]]:
    """The clips with their labels and splits, and how they were read, in words.

    Raises:
        ManifestError: what `marey data init` refuses, or a clip that is not there.
    """
    path = Path(source)
    listing, notes = _of_pattern(path) if is_pattern(path) else read_source(path)
    root = path if path.is_dir() else Path() if is_pattern(path) else path.parent
    listing = in_frames(listing, root)
    refuse_empty_spans(listing)
    labels, classes = read_labels(listing, class_files(listing, None), notes)
    manifest, rejects = located(listing, root, meant_files(listing, root))
    if rejects:
        row = min(rejects)
        raise ManifestError(
            f"{listing.rows[row].line}: {clip_text(listing.rows[row].path)}: {rejects[row]}, as"
            f" {len(rejects):,} of {len(listing):,} clips",
            "take these out, or `marey data init` makes a manifest of those that are there",
        )
    split = given_columns(listing, SplitRule(group=None), AS_NAMED).split
    sides = [split_name(cell) or "train" for cell in listing.columns[split]] if split else None
    manifest = manifest.with_columns({**labels, "split": sides}, classes)
    return manifest, (f"read as: {listing.format}", *dict.fromkeys([*listing.notes, *notes]))


def _of_pattern(path: Path) -> tuple[Listing, list[str]]:
    """The files that a pattern matches, each of the class that its folder is called."""
    rows = [
        ListRow(SourceLine(path, number), each, {"label": Path(each).parent.name})
        for number, each in enumerate(matching(path), start=1)
    ]
    form = f"files of {path}, labelled by their folders, {len(rows):,} clips"
    return Listing(source=path, format=form, rows=rows), []
