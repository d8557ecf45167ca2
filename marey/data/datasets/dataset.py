"""What is known of a data set, and what its annotations say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from marey.data.lists.annotations import Annotations
from marey.data.lists.rejects import SourceLine
from marey.data.manifest.columns import Unit

NO_FIELDS: Mapping[str, str] = {}


class AnnotatedClip(NamedTuple):
    """One row of an annotation file."""

    line: SourceLine
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


@dataclass(frozen=True, kw_only=True)
class AnnotationForm:
    """One way in which annotations are handed out: the files by role, and their reader."""

    title: str
    files: Mapping[str, str]
    """Role -> names the file may have, the surest first, with spaces between them.

    A name may hold folders and `*`."""
    read: Callable[[Annotations], Index]
    needs: tuple[str, ...] = ("classes",)
    """Roles without which nothing can be read; of the others at least one must be there."""
    class_roles: tuple[str, ...] = ("classes",)
    """Roles of files that name classes; the others hold clips."""
    optional: tuple[str, ...] = ()
    """Roles of files that are few people's: they alone are not enough, nor are they missed."""
    mark: str = ""
    """What the first line of its lists holds, if other forms have files of the same names."""


@dataclass(frozen=True, kw_only=True)
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
    published: Mapping[str, int] = field(default_factory=dict)
    """Split -> how many clips it is said to have, where that is known."""


def in_folders(*folders: str) -> tuple[str, ...]:
    """The layouts of clips that lie, by their names, in one of these folders; "" is the root.

    >>> in_folders("videos/{class}", "")
    ('videos/{class}/{name}', '{name}')
    """
    return tuple(f"{folder}/{{name}}" if folder else "{name}" for folder in folders)
