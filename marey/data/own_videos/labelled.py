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
from marey.data.manifest.given import manifest_in
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.paths import VIDEO
from marey.data.own_videos.files import located, meant_files, refuse_empty_spans
from marey.data.own_videos.folders import clips_below
from marey.data.own_videos.given_columns import given_columns
from marey.data.own_videos.labels import class_files, read_labels
from marey.data.own_videos.patterns import is_pattern, matching
from marey.data.own_videos.source import read_source
from marey.data.own_videos.splits import SplitRule, split_name
from marey.data.own_videos.unlabelled import LISTS
from marey.errors import ManifestError, counted, first_few


def is_labelled_source(source: str | Path | tuple[str, ...]) -> bool:
    """Whether it is a folder, a list, a video, several, or a pattern of files, and no manifest.

    ManifestError of several of which only some are manifests, or which are lists.
    """
    if isinstance(source, tuple):
        return not _are_manifests(source)
    path = Path(source)
    if "://" in str(source) or manifest_in(path):
        return False
    is_list = path.suffix.lower() in LISTS
    return path.is_dir() or is_list or is_pattern(path) or bool(VIDEO.fullmatch(path.name))


def _are_manifests(sources: tuple[str, ...]) -> bool:
    """Whether several sources are manifests, all of them; ManifestError if only some are."""
    labelled = [each for each in sources if is_labelled_source(each)]
    if not labelled:
        return True
    lists = [each for each in labelled if Path(each).suffix.lower() in LISTS]
    if len(labelled) < len(sources) or lists:
        one = (lists or labelled)[0]
        other = next((each for each in sources if each != one), one)
        raise ManifestError(
            f"{one} and {other} are not read as one set of clips: several manifests are, several "
            "class folders, or several videos",
            f"make a manifest of it: `marey data init {one} DIR`",
        )
    return False


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
        files = source if isinstance(source, tuple) else tuple(matching(source))
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
            f" {len(rejects):,} of {counted(len(listing), 'clip')}",
            "take these out, or `marey data init` makes a manifest of those that are there",
        )
    split = given_columns(listing, SplitRule(group=None), AS_NAMED).split
    sides = [split_name(cell) or "train" for cell in listing.columns[split]] if split else None
    manifest = manifest.with_columns({**labels, "split": sides}, classes)
    return manifest, (f"read as: {listing.format}", *dict.fromkeys([*listing.notes, *notes]))


def _of_files(path: Path, files: Sequence[str]) -> Listing:
    """The files, each of the class that its folder is called; of class folders those below them."""
    below = {each: _clips_in(Path(each)) for each in files}
    if folders := [each for each in files if below[each]]:
        _refuse_other_folders(path, files, folders)
        found = [
            (str(Path(each) / clip), Path(each).absolute().name)
            for each in files
            for clip in below[each]
        ]
        classes = counted(len(folders), "class")
        form = f"class folders, {counted(len(found), 'clip')} of {classes}"
    else:
        found = [(each, Path(each).absolute().parent.name) for each in files]
        of = f" of {path}" if is_pattern(path) else ""
        form = f"files{of}, labelled by their folders, {counted(len(found), 'clip')}"
    rows = [
        ListRow(SourceLine(path, number), each, {"label": label})
        for number, (each, label) in enumerate(found, start=1)
    ]
    return Listing(source=path, format=form, rows=rows)


def _clips_in(path: Path) -> list[str]:
    """The clips below a folder, from it; none in a file, or in frames, which are one clip."""
    found = clips_below(path) if path.is_dir() else []
    return [] if found == ["."] else found


def _refuse_other_folders(path: Path, files: Sequence[str], folders: Sequence[str]) -> None:
    """ManifestError where folders with clips may be splits, or stand beside what are none."""
    names = [Path(each).absolute().name for each in folders]
    if all(map(split_name, names)):
        raise ManifestError(
            f"{path}: {first_few(names)} may be classes or splits",
            f"for splits give the folder that holds them: {Path(folders[0]).parent}; classes want "
            "other names",
        )
    if others := [each for each in files if each not in {*folders}]:
        raise ManifestError(
            f"{path}: {folders[0]} is a folder of clips and {others[0]} is none: files would be of "
            "the class that their folder is called, class folders of that of their own name",
            "give class folders alone ('clips/*/'), or files alone ('clips/*/*.mp4')",
        )
