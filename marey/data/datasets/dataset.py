"""What is known of a data set, and what its annotations say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from marey.data.lists.annotation_files import Annotations, SourceLine
from marey.data.lists.frame_lists import list_rows
from marey.data.lists.name_lists import video_name
from marey.data.manifest.columns import Unit

NO_FIELDS: Mapping[str, str] = {}


class AnnotatedClip(NamedTuple):
    """One row of an annotation file."""

    place: SourceLine
    name: str
    """Of its video or folder of frames, without a suffix: what `{name}` is in a layout."""
    split: str
    """train, val, test, or a name of the data set's own."""
    labels: Mapping[str, int | tuple[int, ...]]
    """Head -> class index, or indices where a clip may have several; empty if none are published.

    Every clip with labels has all heads."""
    start: float | None = None
    end: float | None = None
    """Of a part of a longer video, in `Index.unit`, end exclusive; None is open."""
    num_frames: int | None = None
    """As an annotation says, which may be of other frames than those at hand."""
    group: str = ""
    id: str = ""
    """What the annotations call it, where one part of a video may be annotated twice."""
    fields: Mapping[str, str] = NO_FIELDS
    """What else stands in a layout."""


@dataclass(frozen=True)
class Index:
    """All that annotation files say."""

    classes: Mapping[str, tuple[str, ...]]
    """Head -> class names in the official order."""
    clips: list[AnnotatedClip]
    unit: Unit = "seconds"


@dataclass(frozen=True)
class AnnotationForm:
    """One way in which annotations are handed out: the files by role, and their reader."""

    title: str
    files: Mapping[str, tuple[str, ...]]
    """Role -> names the file may have, the surest first; a name may hold folders and `*`."""
    read: Callable[[Annotations], Index]
    needs: tuple[str, ...] = ("classes",)
    """Roles without which nothing can be read; of the others at least one must be there."""
    mark: str = ""
    """What the first line of its lists holds, if other forms have files of the same names."""


@dataclass(frozen=True)
class DataSet:
    """What is known of a data set before any of its files is looked at."""

    name: str
    title: str
    licence: str
    source: str
    """Where a person gets media and annotations."""
    forms: tuple[AnnotationForm, ...]
    layouts: tuple[str, ...]
    """Where a clip's video or folder of frames lies below the root: the first that is there.

    `{name}`, `{split}`, `{class}` (and `{class_}`, with underscores) and `AnnotatedClip.fields` are
    filled in; a video has any suffix.
    """
    frame_rate: Callable[[str], float] | None = None
    """Frames a second at which folders of frames were extracted, by a clip's name."""
    notes: tuple[str, ...] = ()
    """What a person should know before using it."""


def listed_clips(files: Annotations, splits: Sequence[str]) -> list[AnnotatedClip]:
    """The clips of lists as `list_rows` reads them, named without their folder; spans in frames."""
    return [
        AnnotatedClip(
            row.place,
            video_name(row.path),
            split,
            {"label": row.label},
            row.start,
            row.end,
            row.num_frames,
        )
        for split in splits
        if split in files
        for row in list_rows(files, split)
    ]
