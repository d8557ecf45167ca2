"""The clips of lists of older toolboxes, whose labels count the classes of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from marey.data.datasets.dataset import NO_FIELDS, AnnotatedClip
from marey.data.lists.annotations import Annotations
from marey.data.lists.class_names import ClassNames
from marey.data.lists.listing import ListRow, video_name
from marey.data.lists.plain_lists import PlainList, read_plain
from marey.data.lists.rejects import Misfit, SourceLine
from marey.data.lists.text_file import whole


def tsn_lists(dataset: str, number: int, suffix: str) -> dict[str, str]:
    """The names of TSN's, mmaction2's and UniFormer's lists of a split of UCF101 or HMDB51."""
    return {
        split: f"{dataset}_rgb_{split}_split_{number}.txt"
        f" {dataset}_{split}_split_{number}_rawframes.txt"
        f" {dataset}_{split}_split_{number}_videos.txt split{number}/{split}.{suffix}"
        for split in ("train", "val")
    }


def plain_lists(files: Annotations, splits: Sequence[str]) -> dict[str, PlainList]:
    """Split -> its list without a header, of those that are there."""
    return {split: read_plain(file) for split, file in files.lists(splits)}


def list_clips(
    files: Annotations,
    lists: Mapping[str, Iterable[ListRow]],
    names: Sequence[str],
    *,
    class_of_path: Callable[[str], str] = lambda _: "",
    name: Callable[[str], str] = video_name,
) -> Iterator[AnnotatedClip]:
    """The clips of lists whose labels are classes; the other lines are rejected.

    Args:
        lists: split -> rows, as `plain_lists` gives them.
        names: the classes, in the order in which labels count them, from 0.
        class_of_path: the class that a path is named by, "" if none: then the label must be it.
        name: what a clip is called, by its path.
    """
    known = ClassNames(names)

    def read(split: str, _: SourceLine, row: ListRow) -> AnnotatedClip:
        label = _label(row, known, class_of_path(row.path))
        return clip_of_row(row, split, {"label": label}, name=name(row.path))

    for split, rows in lists.items():
        yield from files.faults.fitting(((row.line, row) for row in rows), partial(read, split))


def clip_of_row(
    row: ListRow,
    split: str,
    labels: Mapping[str, int | tuple[int, ...]],
    *,
    name: str,
    group: str = "",
    fields: Mapping[str, str] = NO_FIELDS,
) -> AnnotatedClip:
    """The clip of a row, whose labels are class indices now."""
    return AnnotatedClip(
        row.line, name, split, labels, row.start, row.end, row.num_frames, group, row.id, fields
    )


def _label(row: ListRow, names: ClassNames, class_of_path: str) -> int:
    """The class of a row; `Misfit` if its list counts from 1, or counts other classes."""
    text = row.labels["label"]
    label, of_path = whole(text), names.index(class_of_path)
    if label is None or label >= len(names):
        raise Misfit(f"labels are 0 to {len(names) - 1}", value=text)
    if of_path is not None and of_path != label:
        reason = f"label {label} is {names.names[label]}, its path says {class_of_path}"
        raise Misfit(reason, "do the labels count these classes, from 0?", value=row.path)
    return label
