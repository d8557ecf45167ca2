"""VGG Video Annotator (VIA 3): its CSV, and its project as JSON.

A segment is `[start, end]` in seconds of the file; `[time]` is a still frame, and what has a place
in the picture is a region: both are passed over. Values of an attribute with options are their ids.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from marey.data.lists.exports.reading import Found, choose, class_text, listing_of, refuse_roles
from marey.data.lists.listing import Listing, ListRow
from marey.data.lists.rejects import Misfit, SourceLine
from marey.data.lists.text_file import TextFile
from marey.data.manifest.faults import clip_text
from marey.errors import ManifestError

_CSV_HEADER, _ATTRIBUTES = "# CSV_HEADER = ", ("# ATTRIBUTE = ", "# ATTRIBUTES = ")
_CHECKBOX = 2
"""The type of an attribute that may have several options at once."""


class Entry(NamedTuple):
    """One thing that was marked."""

    line: SourceLine
    files: Sequence[str]
    times: Sequence[float]
    place: Sequence[float]
    values: Mapping[str, str]
    """By the id of the attribute."""


def is_table(file: TextFile) -> bool:
    """Whether it is CSV of VIA 3."""
    return file.text.startswith("#") and _CSV_HEADER.strip() in file.text[:100_000]


def is_json(file: TextFile) -> bool:
    """Whether it is a project of VIA 3."""
    return file.text.lstrip().startswith("{") and '"vid_list"' in file.text


def read_table(file: TextFile, wanted: Mapping[str, str]) -> Listing:
    """The clips of an export as CSV."""
    lines = file.text.split("\n")
    attributes: dict[str, Any] = {}
    for number, line in enumerate(lines):
        if not line.startswith("#"):
            continue
        lines[number] = line.removeprefix(_CSV_HEADER) if line.startswith(_CSV_HEADER) else ""
        for mark in _ATTRIBUTES:
            if line.startswith(mark):
                attributes = _json(line.removeprefix(mark), dict)
    table = replace(file, text="\n".join(lines))  # lines keep their numbers
    columns = ("file_list", "temporal_coordinates", "spatial_coordinates", "metadata")
    entries = list(file.faults.fitting(table.table(columns), _entry))
    return _listing(file, "VGG Video Annotator CSV", entries, attributes, wanted)


def read_json(file: TextFile, wanted: Mapping[str, str]) -> Listing:
    """The clips of a project."""
    project: Any = file.json()
    try:
        version = str(project["project"].get("data_format_version", "3"))
        names = {key: str(one["fname"]) for key, one in project["file"].items()}
        views = {
            key: [names[str(each)] for each in view["fid_list"]]
            for key, view in project["view"].items()
        }
        attributes = _of_type("attribute", project["attribute"], dict)
        entries = [_of_project(file, one, views) for one in project["metadata"].values()]
    except (AttributeError, KeyError, TypeError) as error:
        raise ManifestError(
            f"{file.path}: a project of VIA 3 that is damaged ({error})", "save it anew"
        ) from error
    return _listing(file, f"VGG Video Annotator project {version}", entries, attributes, wanted)


def _of_project(
    file: TextFile, one: Mapping[str, Any], views: Mapping[str, Sequence[str]]
) -> Entry:
    times, place = (_of_type(name, one[name], list) for name in ("z", "xy"))
    values = _of_type("av", one["av"], dict)
    return Entry(SourceLine(file.path), views[str(one["vid"])], times, place, values)


def _of_type(name: str, value: object, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {clip_text(value)}")
    return value


def _entry(line: SourceLine, row: Mapping[str, str]) -> Entry:
    files = _json(row["file_list"], list)
    times = _json(row["temporal_coordinates"], list)
    place = _json(row["spatial_coordinates"], list)
    values = _json(row["metadata"], dict)
    return Entry(line, files, times, place, values)


def _json(text: str, kind: type) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise Misfit(f"not JSON of a {kind.__name__}", "export it anew", value=text)
    return value


def _listing(
    file: TextFile,
    title: str,
    entries: Sequence[Entry],
    attributes: Mapping[str, Any],
    wanted: Mapping[str, str],
) -> Listing:
    refuse_roles(file.path, wanted, "label")
    passed: Counter[str] = Counter()
    segments = list(_segments(entries, passed))
    filled = [key for one in segments for key, value in one.values.items() if value]
    names = {key: _name(attributes, key) for key in filled}
    label = choose(file, "label", "attributes", Counter(names[key] for key in filled), wanted)
    keys = {key for key, name in names.items() if name == label}
    rows = []
    for one in segments:
        try:
            text = class_text([x for key in keys for x in _values(attributes, key, one.values)])
            if text:
                rows.append(_row(one, text))
            passed[f"segments without {label}"] += not text
        except Misfit as misfit:
            file.faults.add(one.line, misfit.value, misfit.reason, misfit.remedy)
    used = {"label": label}
    export = Found(title=title, used=used, unit="seconds", rows=rows, passed=passed)
    return listing_of(file, export, wanted)


def _segments(entries: Sequence[Entry], passed: Counter[str]) -> Iterator[Entry]:
    """What is of a part of the file, or of all of it."""
    for one in entries:
        if one.place:
            passed["regions of the picture"] += 1
        elif len(one.times) not in (0, 2):
            passed["still frames"] += 1
        else:
            yield one


def _row(one: Entry, label: str) -> ListRow:
    if len(one.files) != 1:
        raise Misfit("a view of several files", "which of them it is, is not said", value=one.files)
    if not all(isinstance(time, int | float) for time in one.times):
        raise Misfit("times that are no numbers", value=one.times)
    start, end = one.times or (None, None)
    if start is not None and end is not None and end <= start:
        raise Misfit("a segment that ends before it starts", value=one.times)
    return ListRow(one.line, str(one.files[0]), {"label": label}, start, end)


def _name(attributes: Mapping[str, Any], key: str) -> str:
    """What people call the attribute; older files have names in place of ids."""
    known = attributes.get(key)
    return str(known.get("aname", key)) if isinstance(known, dict) else str(known or key)


def _values(attributes: Mapping[str, Any], key: str, values: Mapping[str, object]) -> list[str]:
    """The options, or the text, that the attribute has."""
    text, known = str(values.get(key) or ""), attributes.get(key)
    options = known.get("options") if isinstance(known, dict) else None
    if not isinstance(known, dict) or not isinstance(options, dict):
        return [text]
    ids = text.split(",") if known.get("type") == _CHECKBOX else [text]
    return [str(options.get(each, each)) for each in ids]
