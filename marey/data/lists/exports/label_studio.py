"""Label Studio: JSON, JSON-MIN, CSV and TSV (labelstud.io/guide/export).

| control           | in JSON                       | is                                     |
|-------------------|-------------------------------|----------------------------------------|
| TimelineLabels    | `ranges` of `start` and `end` | frames from 1, the end included        |
| Labels (of sound) | `start` and `end`             | seconds                                |
| Choices, Taxonomy | `choices`, `taxonomy`         | the whole file, or the region they are of |

Frames are those of the tool, which counts by the `frameRate` of its Video tag. Of several
annotations of a task the ground truth counts; if none is, they have to agree.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from marey.data.lists.exports.json_text import first_object
from marey.data.lists.exports.reading import (
    Found,
    choose,
    class_text,
    header_and_rows,
    listing_of,
    refuse_roles,
)
from marey.data.lists.listing import Listing, ListRow
from marey.data.lists.rejects import Misfit, SourceLine
from marey.data.lists.text_file import TextFile
from marey.data.manifest.columns import Unit
from marey.data.manifest.paths import VIDEO
from marey.errors import ManifestError

FRAMES_NOTE = (
    "frames are as Label Studio counts them, by the frameRate of its Video tag (24 unless it says"
    " another): they are the video's only if that was its rate"
)
_OWN = (
    *("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "completed_by"),
    *("agreement", "reviews", "sentiment", "predictions", "comments", "history"),
)
"""Columns of JSON-MIN and CSV that say nothing of the clip."""
_CLASSES = ("timelinelabels", "labels", "choices", "taxonomy")


class Region(NamedTuple):
    """A label of one control, of the whole file or of a part."""

    control: str
    labels: tuple[str, ...]
    unit: Unit | None = None
    """None is the whole file."""
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class Task:
    """A file and its labels by one annotation."""

    line: SourceLine
    id: str
    data: Mapping[str, object]
    regions: list[Region]


def is_json(file: TextFile) -> bool:
    """Whether it is JSON or JSON-MIN of Label Studio."""
    first = first_object(file)
    whole = "data" in first and bool({"annotations", "completions"} & first.keys())
    return whole or "annotation_id" in first


def is_table(file: TextFile) -> bool:
    """Whether it is CSV or TSV of Label Studio."""
    names = {name.strip('" ') for name in re.split("[,\t]", file.text.partition("\n")[0])}
    return {"annotation_id", "lead_time"} <= names


def read_json(file: TextFile, wanted: Mapping[str, str]) -> Listing:
    """The clips of an export as JSON, or JSON-MIN."""
    passed: Counter[str] = Counter()
    objects = list(file.objects())
    if any("data" in entry for _, entry in objects):
        tasks = [task for line, entry in objects for task in _whole(file, line, entry, passed)]
        return _listing(file, "Label Studio JSON", tasks, wanted, passed)
    return _listing(file, "Label Studio JSON-MIN", _minimal(file, objects), wanted, passed)


def read_table(file: TextFile, wanted: Mapping[str, str]) -> Listing:
    """The clips of an export as CSV or TSV."""
    separator = "\t" if "\t" in file.text.partition("\n")[0] else ","
    _, cells = header_and_rows(file, separator)
    rows = [(line, {name: _cell(cell) for name, cell in row.items()}) for line, row in cells]
    name = "TSV" if separator == "\t" else "CSV"
    return _listing(file, f"Label Studio {name}", _minimal(file, rows), wanted, Counter())


def _listing(
    file: TextFile,
    title: str,
    tasks: Sequence[Task],
    wanted: Mapping[str, str],
    passed: Counter[str],
) -> Listing:
    refuse_roles(file.path, wanted, "path", "label")
    counts = Counter(region.control for task in tasks for region in task.regions)
    control = choose(file, "label", "controls", counts, wanted)
    all_data = [(name, value) for task in tasks for name, value in task.data.items()]
    named = wanted.get("path")
    media = Counter(name for name, value in all_data if _is_media(value) or name == named)
    path = choose(file, "path", "data fields", media, wanted)
    found: list[tuple[ListRow, Task, Unit | None]] = []
    for task in tasks:
        regions = [region for region in task.regions if region.control == control]
        passed["tasks without a label"] += not regions
        for region in regions:
            try:
                found.append((_row(task, region, path), task, region.unit))
            except Misfit as misfit:
                file.faults.add(task.line, misfit.value, misfit.reason, misfit.remedy)
    units = {unit for _, _, unit in found if unit}
    if len(units) > 1:
        raise ManifestError(
            f"{file.path}: `{control}` has spans in frames and in seconds",
            "export the tasks of either into a file of its own",
        )
    others = dict.fromkeys(
        name
        for name, value in all_data
        if name not in media and name != control and isinstance(value, str | int | float)
    )
    export = Found(
        title=title,
        used={"path": path, "label": control},
        unit=next(iter(units), "seconds"),
        counted="from 1, ends included" if units == {"frames"} else "",
        rows=[row for row, _, _ in found],
        columns={name: [str(task.data.get(name, "")) for _, task, _ in found] for name in others},
        passed=passed,
        notes=[FRAMES_NOTE] if units == {"frames"} else [],
    )
    return listing_of(file, export, wanted)


def _row(task: Task, region: Region, path: str) -> ListRow:
    """The clip of one region; `Misfit` if its place or its class cannot be."""
    place = task.data.get(path)
    if not isinstance(place, str) or not place:
        raise Misfit(f"task {task.id} has no {path}", value="")
    label = class_text(region.labels)
    if region.unit is None:
        return ListRow(task.line, place, {"label": label}, id=task.id)
    if region.start is not None and region.start < 0:
        raise Misfit(f"task {task.id}: a span before the first frame", "frames count from 1")
    if region.start is not None and region.end is not None and region.end <= region.start:
        raise Misfit(f"task {task.id}: a span that ends before it starts", value=region[3:])
    return ListRow(task.line, place, {"label": label}, region.start, region.end)


# --- JSON ---------------------------------------------------------------------------------------


def _whole(
    file: TextFile, line: SourceLine, entry: Mapping[str, Any], passed: Counter[str]
) -> Iterator[Task]:
    """The task of an object of the full JSON, if anybody labelled it."""
    data, annotations = entry.get("data"), entry.get("annotations", entry.get("completions"))
    if not isinstance(data, dict) or not isinstance(annotations, list):
        file.faults.add(line, "", "no task with data and annotations", "export it anew as JSON")
        return
    annotations = [one for one in annotations if isinstance(one, dict)]
    kept = [x for x in annotations if not (x.get("was_cancelled") or x.get("skipped"))]
    passed["annotations that were skipped"] += len(annotations) - len(kept)
    kept = [one for one in kept if one.get("ground_truth")] or kept
    tasks = [
        Task(line, str(entry.get("id", "")), data, list(_regions(_results(one), passed)))
        for one in kept
    ]
    if not tasks:
        passed["tasks without annotations"] += 1
    yield from _agreed(file, tasks)


def _results(annotation: Mapping[str, Any]) -> list[dict[str, Any]]:
    results = annotation.get("result")
    results = results if isinstance(results, list) else []
    return [one for one in results if isinstance(one, dict) and isinstance(one.get("value"), dict)]


def _regions(results: Sequence[Mapping[str, Any]], passed: Counter[str]) -> Iterator[Region]:
    """The labels of one annotation; those of a region have its span, which shares their id."""
    spans = {
        str(one["id"]): one["value"] for one in results if "id" in one and _is_span(one["value"])
    }
    for one in results:
        kind, value = str(one.get("type", "")), one["value"]
        key = next((name for name in (kind, "labels") if name in _CLASSES and name in value), "")
        if not key or "sequence" in value:  # boxes that move: objects, not parts of the file
            passed[f"results of type {kind}"] += 1
            continue
        span = value if _is_span(value) else spans.get(str(one.get("id")), {})
        yield from _of_value(str(one.get("from_name", kind)), value[key], span)


def _is_span(value: Mapping[str, Any]) -> bool:
    return "ranges" in value or {"start", "end"} <= value.keys()


def _of_value(control: str, labels: object, span: Mapping[str, Any]) -> Iterator[Region]:
    """The regions of one value: each range of frames, the seconds, or the whole file."""
    if not isinstance(labels, list):
        return
    names = tuple(" / ".join(map(str, x)) if isinstance(x, list) else str(x) for x in labels)
    if not names:
        return
    if "ranges" in span:
        for each in span["ranges"] if isinstance(span["ranges"], list) else []:
            first, last = _number(each, "start"), _number(each, "end")
            yield Region(control, names, "frames", None if first is None else first - 1, last)
    elif span:
        yield Region(control, names, "seconds", _number(span, "start"), _number(span, "end"))
    else:
        yield Region(control, names)


def _number(value: object, key: str) -> float | None:
    number = value.get(key) if isinstance(value, dict) else None
    return float(number) if isinstance(number, int | float) else None


def _agreed(file: TextFile, tasks: Sequence[Task]) -> list[Task]:
    """The one task that all annotations of it say; a fault if they differ."""
    if len({tuple(sorted(task.regions, key=repr)) for task in tasks}) > 1:
        file.faults.add(
            tasks[0].line,
            "",
            f"task {tasks[0].id} has {len(tasks)} annotations that differ",
            "set the right one as ground truth in Label Studio, or delete the others",
        )
    return list(tasks[:1])


# --- JSON-MIN, CSV ------------------------------------------------------------------------------


def _minimal(file: TextFile, rows: Iterable[tuple[SourceLine, Mapping[str, object]]]) -> list[Task]:
    """The tasks of rows in which controls and data stand side by side, by their names."""
    by_task: dict[str, list[Task]] = defaultdict(list)
    rows = list(rows)
    filled = [
        (line, {k: x for k, x in row.items() if x not in (None, "", [])}) for line, row in rows
    ]
    spans = {name for _, row in filled for name, x in row.items() if _is_list_of_regions(x)}
    for number, (line, row) in enumerate(filled):
        data: dict[str, object] = {}
        regions: list[Region] = []
        for name, value in row.items():
            if name in _OWN:
                continue
            if isinstance(value, dict) and isinstance(value.get("choices"), list):
                regions += _of_value(name, value["choices"], {})
            elif isinstance(value, list):
                regions += _of_regions(name, value)
            else:
                data[name] = value
                if isinstance(value, str) and not spans and not _is_media(value):
                    regions.append(Region(name, (value,)))  # any word may be the one choice
        task = str(row.get("id", f"row {number + 1}"))
        by_task[task].append(Task(line, task, data, regions))
    return [task for tasks in by_task.values() for task in _agreed(file, tasks)]


def _is_list_of_regions(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(x, dict) and _is_span(x) for x in value)


def _of_regions(control: str, values: Sequence[object]) -> Iterator[Region]:
    for value in values:
        if isinstance(value, dict):
            key = next((name for name in _CLASSES if name in value), "")
            if key and "sequence" not in value:
                yield from _of_value(control, value[key], value if _is_span(value) else {})


def _cell(text: str) -> object:
    """The value of a cell of a table: JSON where controls have more than a word."""
    if text.strip()[:1] in ("[", "{"):
        try:
            value: object = json.loads(text)
        except (ValueError, RecursionError):
            return text
        return value
    return text.strip()


def _is_media(value: object) -> bool:
    """Whether it is the path or url of a video."""
    if not isinstance(value, str):
        return False
    return VIDEO.fullmatch(re.split(r"[?#](?!d=)", value)[0]) is not None
