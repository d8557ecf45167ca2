"""What `marey data init` is given: a list, a folder of lists, or a folder of class folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from marey.data.lists.class_files import is_class_file
from marey.data.lists.listing import Listing, join_listings
from marey.data.lists.lists import HMDB51_HINT, is_table, of_hmdb51, read_listing
from marey.data.lists.plain_lists import cells_of_lines
from marey.data.lists.rejects import Faults
from marey.data.lists.several_labels import fits, several_title
from marey.data.lists.text_file import read_text
from marey.data.lists.wanted_columns import AS_NAMED, WantedColumns
from marey.data.manifest.classes import SEPARATOR
from marey.data.manifest.header import NoLabels
from marey.data.manifest.manifest import SPLITS
from marey.data.own_videos.folders import read_folder
from marey.data.own_videos.labelled_folders import read_labelled_folder
from marey.data.own_videos.layout import some, split_in
from marey.data.own_videos.line_readings import refuse_numbers_as_labels
from marey.data.own_videos.splits import split_name
from marey.data.own_videos.tree import LIST
from marey.errors import ManifestError

_OURS = ("manifest.csv", "check.csv", "rejects.csv", "init.json")


def read_source(
    source: Path,
    wanted: WantedColumns = AS_NAMED,
    *,
    root: Path | None = None,
    layout: str | None = None,
    opens: bool = True,
) -> tuple[Listing, list[str]]:
    """What `source` lists, and what there is to say about how it was read.

    A file is a list; a folder holds metadata or exports (`labelled_folders`), one table, or a list
    a split, or class folders: these alone if their layout is given.

    Args:
        wanted: what a person says of the columns of a table.
        root: where the paths of a list start (default: its folder).
        layout: what the folders of class folders are.
        opens: whether a few clips are opened where lines may be two things.
    """
    if not source.exists():
        raise ManifestError(f"{source} does not exist", "give a folder of videos or a list")
    if not source.is_dir():
        if layout:
            raise ManifestError(f"{source} is a file: it has no layout", "give the folder")
        listing = read_listing(source, wanted, root=root)
        if not wanted.line:
            refuse_numbers_as_labels(listing, root or source.parent, opens=opens)
        return listing, _unread(source.parent, [source])
    labelled = None if layout else read_labelled_folder(source, wanted, root=root)
    if labelled is not None:
        return labelled
    lists = [] if layout else lists_in(source)
    tables = [path for path in lists if is_table(path, wanted, root=root)]
    if len(tables) > 1:
        tables = [path for path in tables if not is_class_file(path)] or tables
    parts = _split_lists(source, lists)
    if len(tables) == 1 and not parts:
        notes = [_of_list(source, tables), *_unread(source, tables)]
        return read_listing(tables[0], wanted, root=root), notes
    if "train" in parts:
        listings, notes = _read_splits(parts, wanted, root)
        read = [parts[split] for split in listings]
        unread = _unread(source, [*parts.values()])
        return join_listings(source, listings), [_of_list(source, read), *unread, *notes]
    if tables:
        names = ", ".join(path.name for path in tables)
        raise ManifestError(f"{source} holds several lists: {names}", "name the one to read")
    if wanted.roles or wanted.ignored:
        raise ManifestError(f"{source} holds no table whose columns can be named", "give a list")
    return read_folder(source, layout)


def lists_in(folder: Path) -> list[Path]:
    """The files of a folder that may be lists, but for those that marey writes."""
    lists = [path for path in sorted(folder.iterdir()) if LIST.fullmatch(path.name)]
    return [path for path in lists if path.name not in _OURS and path.is_file()]


def _read_splits(
    parts: Mapping[str, Path], wanted: WantedColumns, root: Path | None
) -> tuple[dict[str, Listing], list[str]]:
    """The lists of splits (split -> list), but for a list to test on without labels."""
    listings, notes = {}, []
    several = "" if wanted.line else _several_labels([*parts.values()])
    for split, path in parts.items():
        like = several and fits(several, _cells(path))
        try:
            asked = replace(wanted, line=several) if like else wanted
            listing = read_listing(path, asked, root=root)
            if _labels(listing) <= {"", "-1"}:
                raise NoLabels(f"{path}: no row has a label", "give it labels, or move it away")
            listings[split] = listing
        except NoLabels:
            if split != "test":
                raise
            notes.append(f"{path.name} has no labels and is left: `marey predict` takes it")
    train = listings["train"]
    if "test" in listings and _lacks_labels(listings["test"], train):
        form = listings.pop("test").format.partition(",")[0]
        notes.append(
            f"{parts['test'].name} is {form}, one number less than {parts['train'].name}: it is"
            " taken for a list without labels, and is left: `marey predict` takes it"
        )
    for split, listing in listings.items():
        labels = _labels(listing)
        shown = some(labels, end="")
        if labels.isdisjoint(_labels(train)):
            raise ManifestError(
                f"{parts[split]} has no class of {parts['train'].name}, only {shown}",
                f"are these its labels? Else give {parts['train'].name} alone",
            )
        if len(labels) == 1 and len(listing) > 2 and labels != _labels(train):
            notes.append(f"all clips of {parts[split].name} have one label, {shown}")
    if len(listings) == 1:
        notes.append(f"all clips are train; give {parts['train'].name} itself to have it divided")
    return listings, notes


def _several_labels(lists: Sequence[Path]) -> str:
    """The title of lists with several labels a line, if one of them tells; else "".

    One of them alone may have as many in all lines, and be like a list of another kind.
    """
    titles = set()
    for path in lists:
        with suppress(ManifestError):  # which is raised where the list itself is read
            titles.add(several_title(path, _cells(path)))
    titles.discard("")
    return titles.pop() if len(titles) == 1 else ""


def _cells(path: Path) -> list[list[str]]:
    """The cells of the lines of a list."""
    return cells_of_lines([text for _, text in read_text(path, Faults()).lines()])


def _lacks_labels(test: Listing, train: Listing) -> bool:
    """Whether lines of a list to test on end in one number less than those to train on.

    A last number that is a class of training in every line is its class all the same.
    """
    of_train = {
        "`path num_frames label": "`path label`",
        "`path start end label": "`path num_frames label`",
    }
    is_less = any(  # label, or labels
        train.format.startswith(title) and test.format.startswith(less)
        for title, less in of_train.items()
    )
    numbered = is_less and all(row.labels["label"].isdecimal() for row in test.rows)
    return numbered and (train.has_spans or not _labels(test) <= _labels(train))


def _labels(listing: Listing) -> set[str]:
    """The labels of the first head, as they are written."""
    head = listing.heads[0]
    words = (row.labels[head].strip() for row in listing.rows)
    return {word for label in set(words) for word in label.split(SEPARATOR)}


def _of_list(folder: Path, read: Sequence[Path]) -> str:
    """What there is to say of lists that were read in a folder."""
    names = ", ".join(path.name for path in read)
    return f"read {names} in {folder}, not its folders"


def _unread(folder: Path, read: Sequence[Path]) -> list[str]:
    """The lists of splits beside those that were read."""
    left = [path.name for path in lists_in(folder) if path not in read and split_in(path.stem)]
    remedy = "a folder is read with one list a split"
    return [f"did not read {some(left, end='')} beside it; {remedy}"] if left else []


def _split_lists(folder: Path, lists: Sequence[Path]) -> dict[str, Path]:
    """Split -> its list, where the names of the lists say so.

    Lists that are named as their split alone go before those with more words in their names.
    ManifestError if several are of one split.
    """
    plain = [path for path in lists if split_name(path.stem)]
    named: dict[str, list[Path]] = defaultdict(list)
    for path in plain if any(split_name(path.stem) == "train" for path in plain) else lists:
        if split := split_in(path.stem):
            named[split].append(path)
    if len(lists) > 1 and all(map(of_hmdb51, lists)):
        raise ManifestError(f"{folder} holds the lists of HMDB51, one a class", HMDB51_HINT)
    for split, paths in named.items():
        if len(paths) > 1:
            raise ManifestError(
                f"{folder} holds several lists of {split}: {some([p.name for p in paths], end='')}",
                "put one list a split into a folder, or name one; --layout reads class folders",
            )
    return {split: named[split][0] for split in SPLITS if split in named}
