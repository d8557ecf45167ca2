"""Clips in folders: one folder a class, maybe in folders of splits, or with splits in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from marey.data.lists.class_names import nearly_equal
from marey.data.lists.listing import Listing, ListRow, without_suffix
from marey.data.lists.rejects import SourceLine
from marey.data.manifest.faults import clip_text
from marey.data.manifest.manifest import SPLITS
from marey.data.own_videos.layout import EXPECTED, Layout, find_layout, some, split_in
from marey.data.own_videos.tree import Tree, read_tree
from marey.errors import ManifestError, counted

_REPLACEMENT = re.compile(r"(.*/)?replacement_for_corrupted\w*/[^/]+", re.DOTALL)
"""Kinetics' videos in place of those that its archives hold damaged, by the same names."""


def read_folder(root: Path, layout: str | None = None) -> tuple[Listing, list[str]]:
    """The clips below `root` by the names of their folders, and what there is to say of it.

    A clip is a video file or a folder of images.

    Args:
        layout: what the folders mean, as `Layout` has it; None is what their names and structure
            say. Then no two classes may be alike but for letter case, and every split has classes
            of training.

    Raises:
        ManifestError: there are no clips in class folders, or the folders can be read in two ways.
    """
    tree = read_tree(root)
    clips, replaced = _replaced(tree.clips)
    form = Layout(layout) if layout else _find_layout(root, tree, clips)
    places = _places(root, form, clips)
    labels = [place["class"] for place in places.values()]
    _refuse_names(root, labels)
    columns = _columns(list(places.values()))
    splits = columns.get("split", [])
    doubts = [*nearly_equal(labels), *_strange_splits(labels, splits)]
    if doubts and not layout:
        remedy = f"rename, move it away, or take it as it is with --layout '{form.text}'"
        raise ManifestError(f"{root}: {doubts[0]}", remedy)
    _refuse_both_forms(root, tree, list(places))
    rows = [
        ListRow(SourceLine(root), replaced.get(path, path), {"label": label})
        for path, label in zip(places, labels, strict=True)
    ]
    notes = [
        *doubts,
        *_lacking(labels, splits),
        *_deeper(places),
        *_forms(tree, list(places)),
        *_left_out(tree, [path for path in clips if path not in places], len(replaced)),
    ]
    form_shown = f"class folders {form.text}, {counted(len(rows), 'clip')}"
    return Listing(source=root, format=form_shown, rows=rows, columns=columns), notes


def clips_below(root: Path) -> list[str]:
    """The paths, from `root`, of all clips below it, at any depth; ["."] if it is one itself."""
    return read_tree(root).clips


def each_clip(paths: Sequence[str]) -> list[str]:
    """The paths, with all clips below those that are folders of clips in their place."""
    inner = ((path, clips_below(Path(path)) if Path(path).is_dir() else []) for path in paths)
    return [
        each
        for path, found in inner
        for each in ([path] if found in ([], ["."]) else [f"{path}/{clip}" for clip in found])
    ]


def _find_layout(root: Path, tree: Tree, clips: Sequence[str]) -> Layout:
    folders = frozenset(tuple(path.split("/")[:-1]) for path in clips)
    images = sorted(path for path in tree.frames if "/" not in path)
    if images and folders == {()}:
        raise ManifestError(
            f"{root}: images in a class folder, {some(images)}",
            "give every clip a folder of its own: CLASS/CLIP/img_00001.jpg",
        )
    try:
        return find_layout(root, folders)
    except ManifestError as error:
        if not tree.lists:
            raise
        raise ManifestError(
            error.message, f"{error.hint}; there are lists: {some(tree.lists, end='')}"
        ) from error


def _places(root: Path, form: Layout, clips: Sequence[str]) -> dict[str, dict[str, str]]:
    """The clips that are laid out so, with what their folders are; a split by one of SPLITS."""
    places = {}
    for path in clips:
        place = form.match(path)
        if place and "split" in place:
            split = split_in(place["split"])
            place = place | {"split": split} if split else None
        if place:
            places[path] = place
    if not places:
        raise ManifestError(
            f"{root}: none of {counted(len(clips), 'clip')} is laid out as {form.text}",
            f"the first is {clip_text(clips[0])}" if clips else EXPECTED,
        )
    return places


def _columns(places: Sequence[dict[str, str]]) -> dict[str, list[str]]:
    return {
        name: [place[name] for place in places] for name in ("split", "group") if name in places[0]
    }


def _replaced(clips: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The clips that are no replacement, and those that have one, with it."""
    spare = {path.rpartition("/")[2]: path for path in clips if _REPLACEMENT.fullmatch(path)}
    kept = [path for path in clips if not _REPLACEMENT.fullmatch(path)]
    named = ((path, spare.get(path.rpartition("/")[2])) for path in kept)
    return kept, {path: new for path, new in named if new}


# --- what may be wrong --------------------------------------------------------------------------


def _refuse_names(root: Path, labels: Sequence[str]) -> None:
    """ManifestError if a class is named as none can be."""
    for name in sorted(set(labels)):
        if re.search(r"[|\r\n\ud800-\udfff]", name):
            raise ManifestError(
                f"{root}: a class cannot be named {clip_text(name)}",
                "rename its folder: without |, which joins classes, or line breaks, and in UTF-8",
            )


def _strange_splits(labels: Sequence[str], splits: Sequence[str]) -> Iterator[str]:
    classes = _classes_of(labels, splits)
    trained = classes.get("train", set())
    for split, names in classes.items():
        if trained and trained.isdisjoint(names):
            yield f"{split} has no class of train, only {some(names)}"


def _lacking(labels: Sequence[str], splits: Sequence[str]) -> Iterator[str]:
    """The splits that lack classes."""
    everything = set(labels)
    if len(set(splits)) == 1:
        yield f"all clips are {splits[0]}; give {splits[0]}/ itself to have it divided"
    for split, names in _classes_of(labels, splits).items():
        if missing := everything - names:
            yield f"{split} lacks {len(missing):,} of {len(everything):,} classes: {some(missing)}"


def _classes_of(labels: Sequence[str], splits: Sequence[str]) -> dict[str, set[str]]:
    """Split -> its classes, of the splits that there are."""
    pairs = set(zip(splits, labels, strict=False))
    found = {split: {label for of, label in pairs if of == split} for split in SPLITS}
    return {split: names for split, names in found.items() if names}


def _refuse_both_forms(root: Path, tree: Tree, clips: Sequence[str]) -> None:
    """ManifestError if a clip is there as a video and as a folder of its frames."""
    videos = {without_suffix(path): path for path in clips if path not in tree.frames}
    if both := [path for path in clips if path in tree.frames and path in videos]:
        raise ManifestError(
            f"{root}: {counted(len(both), 'clip')} there twice, as {videos[both[0]]} and"
            f" {both[0]}/",
            "move the videos or the folders of images away",
        )


# --- what there is to say -----------------------------------------------------------------------


def _deeper(places: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    deeper = [path for path, place in places.items() if "/" in place["name"]]
    if deeper:
        yield (
            f"{counted(len(deeper), 'clip')} in folders below that of the class, and of it:"
            f" {some(deeper, end='')}"
        )


def _forms(tree: Tree, clips: Sequence[str]) -> Iterator[str]:
    """Clips of two forms, and videos of one name in two."""
    frames = sum(path in tree.frames for path in clips)
    if 0 < frames < len(clips):
        folders = counted(frames, "folder")
        yield f"clips are {counted(len(clips) - frames, 'video')} and {folders} of images"
    stems = Counter(map(without_suffix, clips))
    if twice := [path for path in clips if stems[without_suffix(path)] > 1]:
        yield f"{len(twice):,} clips differ by their suffix alone: {some(twice, end='')}"


def _left_out(tree: Tree, unfit: Sequence[str], num_replaced: int) -> Iterator[str]:
    if unfit:
        yield f"passed over {counted(len(unfit), 'clip')} in no class folder: {some(unfit, end='')}"
    if spare := sum(map(bool, map(_REPLACEMENT.fullmatch, tree.clips))):
        yield f"{counted(num_replaced, 'clip')} read from the replacement, of {spare:,} there"
    if tree.inside:
        yield f"passed over {counted(len(tree.inside), 'folder')} in clips: {some(tree.inside)}"
    if tree.empty:
        yield f"no clips in {some(tree.empty)}: no class"
    if tree.system:
        of_system = counted(tree.system.total(), "folder")
        yield f"passed over {of_system} of the system: {some(tree.system)}"
    if tree.lists:
        remedy = "lists are read if given, class names by --names"
        yield f"did not read {some(tree.lists, end='')}; {remedy}"
    if tree.other:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in tree.other.most_common(5))
        yield f"passed over {counted(tree.other.total(), 'file')} other than videos: {kinds}"
