"""Labelled clips that are no manifest, for a trained model: class folders, lists, globs.

They are read as `marey data init` reads them, but none is opened, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from marey.data.lists.epic import in_frames
from marey.data.lists.listing import Listing, ListRow
from marey.data.lists.rejects import SourceLine
from marey.data.lists.wanted_columns import AS_NAMED
from marey.data.manifest.faults import clip_text
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.paths import VIDEO
from marey.data.own_videos.files import located, meant_files, refuse_empty_spans
from marey.data.own_videos.given_columns import given_columns
from marey.data.own_videos.labels import class_files, read_labels
from marey.data.own_videos.patterns import is_pattern, matching
from marey.data.own_videos.source import read_source
from marey.data.own_videos.splits import SplitRule, split_name
from marey.data.own_videos.unlabelled import LISTS
from marey.errors import ManifestError


def is_labelled_source(source: str | Path | tuple[str, ...]) -> bool:
    """Whether it is a folder, a list, a video, several, or a pattern of files, and no manifest."""
    if isinstance(source, tuple):
        return True
    path = Path(source)
    if "://" in str(source):
        return False
    is_list = path.suffix.lower() in LISTS
    return path.is_dir() or is_list or is_pattern(path) or bool(VIDEO.fullmatch(path.name))


def read_labelled(source: str | Path | tuple[str, ...]) -> tuple[Manifest, tuple[str, ...]]:
    """The clips with their labels and splits, and how they were read, in words.

    Args:
        source: a folder, a list, a pattern, or videos, as a shell makes them of a pattern.

    Raises:
        ManifestError: what `marey data init` refuses, or a clip that is not there.
    """
    path = Path(source[0] if isinstance(source, tuple) else source)
    is_file = bool(VIDEO.fullmatch(path.name)) and not path.is_dir()
    if isinstance(source, tuple) or is_pattern(path) or is_file:
        files = source if isinstance(source, tuple) else tuple(matching(path))
        listing, notes, root = _of_files(path, files), list[str](), Path()
    else:
        listing, notes = read_source(path)
        root = path if path.is_dir() else path.parent
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


def _of_files(path: Path, files: Sequence[str]) -> Listing:
    """The files, each of the class that its folder is called."""
    rows = [
        ListRow(SourceLine(path, number), each, {"label": Path(each).absolute().parent.name})
        for number, each in enumerate(files, start=1)
    ]
    form = f"files of {path}, labelled by their folders, {len(rows):,} clips"
    if not is_pattern(path):
        form = f"files, labelled by their folders, {len(rows):,} clips"
    return Listing(source=path, format=form, rows=rows)
