"""CVAT's XML, "for video 1.1" and "for images 1.1" (docs.cvat.ai/docs/manual/advanced/xml_format).

Frames count from 0 in the video, whatever part of it the task shows. A track is a clip for every
stretch in which its object is in the picture: from its first frame up to the one that is `outside`,
or up to the last. A tag is a clip for every run of frames that have it. Where a task shows every
n-th frame, each stands for the frames up to the next. Images of a task that is no video are frames
of the folder they lie in, in the order of their names.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from marey.data.lists.exports.reading import Found, choose, class_text, listing_of, refuse_roles
from marey.data.lists.exports.xml_text import Element, read_xml, root_name
from marey.data.lists.listing import Listing, ListRow
from marey.data.lists.rejects import Misfit, SourceLine
from marey.data.lists.text_file import TextFile, whole
from marey.data.manifest.paths import VIDEO
from marey.errors import ManifestError

_FRAME = re.compile(r"(?:.*/)?frame_(\d+)(?:\.\w+)?", re.ASCII)
"""How CVAT names a frame of a video, by its place in it."""
_SHAPES = ("box", "polygon", "polyline", "points", "cuboid", "mask", "skeleton", "ellipse")


class Task(NamedTuple):
    """What was labelled: a video, or images."""

    source: str
    step: int
    subset: str


class Labelled(NamedTuple):
    """A stretch of frames with what is said of it."""

    line: SourceLine
    path: str
    task: Task
    fields: Mapping[str, str]
    """`track` or `tag` -> its label; name of an attribute -> its value."""
    start: int
    end: int


def is_xml(file: TextFile) -> bool:
    """Whether it is an export of CVAT."""
    return root_name(file) == "annotations"


def read_file(file: TextFile, wanted: Mapping[str, str]) -> Listing:
    """The clips of tracks and tags."""
    refuse_roles(file.path, wanted, "label")
    document = read_xml(file)
    version = document.word("version")
    tasks = _tasks(document)
    images = list(document.all("image"))
    passed: Counter[str] = Counter()
    if images:
        stretches = list(_tagged_images(images, tasks, passed))
    else:
        stretches = [*_tracks(file, document, tasks), *_tags(file, document, tasks)]
    fields = Counter(name for one in stretches for name, value in one.fields.items() if value)
    label = choose(file, "label", "tracks, tags and attributes", fields, wanted)
    found: list[tuple[ListRow, str]] = []
    for line, path, task, values, start, end in _joined(stretches, label):
        try:
            text = class_text([values.get(label, "")])
            passed[f"stretches without {label}"] += not text
            if text:
                found.append((ListRow(line, path, {"label": text}, start, end), task.subset))
        except Misfit as misfit:
            file.faults.add(line, misfit.value, misfit.reason, misfit.remedy)
    subsets = [subset for _, subset in found]
    export = Found(
        title=f"CVAT for {'images' if images else 'video'} {version}".strip(),
        used={"label": label},
        unit="frames",
        counted="from 0",
        rows=[row for row, _ in found],
        columns={"subset": subsets} if any(subsets) else {},
        passed=passed,
    )
    return listing_of(file, export, wanted)


# --- tasks --------------------------------------------------------------------------------------


def _tasks(document: Element) -> dict[str, Task]:
    """Id -> task, also of a project or a job."""
    metas = [*document.all("meta")]
    tasks = [one for meta in metas for one in meta.below("task", "job")]
    return {one.word("id"): _task(one) for one in tasks}


def _task(one: Element) -> Task:
    name = one.word("name")
    source = one.word("source") or (name if VIDEO.fullmatch(name) else "")
    step = re.search(r"step\s*=\s*(\d{1,9})", one.word("frame_filter"))
    return Task(source, max(int(step[1]), 1) if step else 1, one.word("subset"))


def _task_of(one: Element, tasks: Mapping[str, Task]) -> Task:
    """The task that an element is of; ManifestError if that is not said."""
    only = next(iter(tasks.values())) if len(tasks) == 1 else None
    task = tasks.get(one.get("task_id")) or only
    if task is None:
        raise ManifestError(
            f"{one.line}: of {len(tasks)} tasks, which one this is of is not said",
            "export each task by itself",
        )
    return task


def _source(one: Element, task: Task) -> str:
    if not task.source:
        raise ManifestError(
            f"{one.line}: the file does not say which video this is of",
            "add <source>NAME.mp4</source> to its task",
        )
    return task.source


# --- for video ----------------------------------------------------------------------------------


def _tracks(file: TextFile, document: Element, tasks: Mapping[str, Task]) -> Iterator[Labelled]:
    """Every stretch in which the object of a track is seen, and its attributes stay."""
    for track in document.all("track"):
        task = _task_of(track, tasks)
        path = _source(track, task)
        shapes = [(n, x) for x in track.all(*_SHAPES) if (n := _frame(file, x)) is not None]
        shapes.sort(key=lambda shape: shape[0])
        for number, (frame, shape) in enumerate(shapes):
            if shape.get("outside") == "1":
                continue
            end = shapes[number + 1][0] if number + 1 < len(shapes) else frame + task.step
            fields = {"track": track.get("label"), **_attributes(shape)}
            yield Labelled(track.line, path, task, fields, frame, end)


def _tags(file: TextFile, document: Element, tasks: Mapping[str, Task]) -> Iterator[Labelled]:
    for tag in document.all("tag"):
        task = _task_of(tag, tasks)
        frame = _frame(file, tag)
        if frame is not None:
            fields = {"tag": tag.get("label"), **_attributes(tag)}
            yield Labelled(tag.line, _source(tag, task), task, fields, frame, frame + task.step)


def _frame(file: TextFile, one: Element) -> int | None:
    number = whole(one.get("frame"))
    if number is None:
        file.faults.add(one.line, one.get("frame"), f"a {one.name} without the number of its frame")
    return number


def _attributes(one: Element) -> dict[str, str]:
    return {each.get("name"): each.text.strip() for each in one.all("attribute")}


# --- for images ---------------------------------------------------------------------------------


def _tagged_images(
    images: Sequence[Element], tasks: Mapping[str, Task], passed: Counter[str]
) -> Iterator[Labelled]:
    """A stretch of one frame for every tag of an image."""
    places = _places(images)
    for image in images:
        passed["shapes in images, which do not say when an object is seen"] += sum(
            1 for _ in image.all(*_SHAPES)
        )
        tags = list(image.all("tag"))
        if not tags:
            continue
        task = _task_of(image, tasks)
        task = task._replace(subset=image.get("subset") or task.subset)
        named = _FRAME.fullmatch(image.get("name"))
        if named and task.source:
            path, frame = task.source, int(named[1])
        else:
            (path, frame), task = places[id(image)], task._replace(step=1)
        for tag in tags:
            fields = {"tag": tag.get("label"), **_attributes(tag)}
            yield Labelled(tag.line, path, task, fields, frame, frame + task.step)


def _places(images: Sequence[Element]) -> dict[int, tuple[str, int]]:
    """Folder of each image, and its place among those of the folder by their names."""
    by_folder: dict[str, list[Element]] = defaultdict(list)
    for image in images:
        by_folder[image.get("name").rpartition("/")[0] or "."].append(image)
    return {
        id(image): (folder, place)
        for folder, some in by_folder.items()
        for place, image in enumerate(sorted(some, key=lambda image: image.get("name")))
    }


def _joined(stretches: Sequence[Labelled], label: str) -> list[Labelled]:
    """Stretches of one class, of one object or of tags, that follow each other, as one."""
    open_: dict[tuple[object, ...], Labelled] = {}
    whole: list[Labelled] = []
    for one in sorted(stretches, key=lambda one: (one.path, one.start)):
        # a track begins in one line of the file, a tag stands in a line of its own
        owner = one.line if "track" in one.fields else None
        key = (one.path, owner, one.fields.get(label, ""))
        before = open_.get(key)
        if before and before.end >= one.start:
            open_[key] = before._replace(end=max(before.end, one.end))
            continue
        if before:
            whole.append(before)
        open_[key] = one
    return sorted([*whole, *open_.values()], key=lambda one: (one.path, one.start))
