"""ELAN's tab-delimited text: a line an annotation.

With a header, columns are named `Begin Time - ss.msec` and the like; tiers are values of a column
`Tier`, or columns of their own. Without one they are tier, participant, times, annotation. Which
video it is stands in a column, in a line `#file:...`, or is the name of the text itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from marey.data.lists.exports.reading import (
    Found,
    choose,
    class_text,
    header_and_rows,
    listing_of,
    moved,
    refuse_roles,
)
from marey.data.lists.listing import Listing, ListRow
from marey.data.lists.rejects import Misfit, SourceLine
from marey.data.lists.text_file import TextFile
from marey.data.lists.times import seconds
from marey.data.manifest.paths import VIDEO
from marey.errors import ManifestError

_CLOCK = re.compile(r"\d\d+:\d\d:\d\d\.\d+", re.ASCII)
_MEDIA = re.compile(r'"?#(file:[^"]*?)(?: -- offset: (-?\d+))?"?', re.ASCII)
_FORMATS = ("ss.msec", "hh:mm:ss.ms", "msec")
"""How a column writes times, the plainest first."""
_TIER, _VALUE = ("tier", "tier name"), ("annotation", "value", "annotation value")


def is_text(file: TextFile) -> bool:
    """Whether it is such a text."""
    lines = _lines(file)
    return bool(lines) and (_has_header(lines[0]) or all(map(_is_row, lines[:20])))


def read_text_export(file: TextFile, wanted: Mapping[str, str]) -> Listing:
    """The annotations of one tier."""
    refuse_roles(file.path, wanted, "path", "label")
    names, rows = _table(file)
    start, end, scale = _times(file, names)
    tier, label, value = _label(file, names, rows, wanted)
    path, origin = _video(file, names, wanted)
    found: list[ListRow] = []
    passed: Counter[str] = Counter()
    for line, row in rows:
        if tier and row[tier] != label:
            continue
        try:
            text = class_text([row[value]])
            passed["lines without an annotation"] += not text
            if text:
                begin, stop = (_seconds(row[name]) / scale + origin for name in (start, end))
                video = row.get(path, path).removesuffix(".eaf")  # named as the video, we take it
                found.append(ListRow(line, video, {"label": text}, begin, stop))
        except Misfit as misfit:
            file.faults.add(line, misfit.value, misfit.reason, misfit.remedy)
    export = Found(
        title="ELAN's tab-delimited text",
        used={"path": path, "label": label},
        unit="seconds",
        rows=found,
        passed=passed,
        notes=[moved(path, origin)] if origin else [],
    )
    return listing_of(file, export, wanted)


def _table(file: TextFile) -> tuple[list[str], list[tuple[SourceLine, dict[str, str]]]]:
    """The names of the columns, and the rows by them."""
    lines = ["" if _is_remark(line) else line for line in file.text.split("\n")]
    first = _lines(file)[0]
    header = _has_header(first)
    text = "\n".join(lines if header else [_names_of(first), *lines])
    names, rows = header_and_rows(replace(file, text=text), "\t")
    back = 0 if header else 1  # the line that was put before the others
    return names, [(line._replace(number=line.number - back), row) for line, row in rows]


def _is_remark(line: str) -> bool:
    """Whether a line is of the file, not of the table."""
    return line.lstrip('"').startswith("#")


def _lines(file: TextFile) -> list[str]:
    """The lines of the table, without those that are said of the file."""
    lines = (line for line in file.text.split("\n", 500)[:500] if line.strip())
    return [line for line in lines if not _is_remark(line)]


def _has_header(line: str) -> bool:
    names = [name.strip('" ').lower() for name in line.split("\t")]
    return any(n.startswith("begin time") for n in names) and any(
        n.startswith("end time") for n in names
    )


def _is_row(line: str) -> bool:
    """Whether a line without header has a tier, begin and end on the clock, and a last cell."""
    cells = line.split("\t")
    clocks = [seconds(cell) or 0.0 for cell in cells if _CLOCK.fullmatch(cell.strip())]
    lasts = len(clocks) < 3 or abs(clocks[1] - clocks[0] - clocks[2]) < 0.002
    return len(cells) > 3 and len(clocks) in (2, 3) and lasts and not _CLOCK.fullmatch(cells[-1])


def _names_of(line: str) -> str:
    """A header for lines that have none."""
    cells = line.split("\t")
    names = [f"column {number}" for number in range(1, len(cells) + 1)]
    clocks = [number for number, cell in enumerate(cells) if _CLOCK.fullmatch(cell.strip())]
    for number, edge in zip(clocks, ("Begin Time", "End Time", "Duration"), strict=False):
        names[number] = f"{edge} - hh:mm:ss.ms"
    names[0], names[-1] = "Tier", "Annotation"
    return "\t".join(names)


def _times(file: TextFile, names: Sequence[str]) -> tuple[str, str, float]:
    """The columns of begin and end, and their units a second."""
    low = {name.lower(): name for name in names}
    for form in _FORMATS:
        edges = [low.get(f"{edge} time - {form}") for edge in ("begin", "end")]
        if edges[0] and edges[1]:
            return edges[0], edges[1], 1000.0 if form == "msec" else 1.0
    raise ManifestError(
        f"{file.path}: begin and end are in none of the formats {', '.join(_FORMATS)}",
        "export them as hh:mm:ss.ms or ss.msec",
    )


def _label(
    file: TextFile,
    names: Sequence[str],
    rows: Sequence[tuple[SourceLine, Mapping[str, str]]],
    wanted: Mapping[str, str],
) -> tuple[str, str, str]:
    """The column of tiers ("" if each has its own), the tier, and the column of its annotations."""
    others = [
        n for n in names if n and not re.match(r"(begin time|end time|duration)\b", n.lower())
    ]
    tier = next((name for name in others if name.lower() in _TIER), "")
    if tier:
        value = next((name for name in others if name.lower() in _VALUE), others[-1])
        counts = Counter(row[tier] for _, row in rows if row[value])
        return tier, choose(file, "label", "tiers", counts, wanted), value
    paths = {name for name in others if _is_path(name)}
    tiers = {n: sum(bool(row[n]) for _, row in rows) for n in others if n not in paths}
    label = choose(file, "label", "tiers", {n: k for n, k in tiers.items() if k}, wanted)
    return "", label, label


def _is_path(name: str) -> bool:
    return name.lower() in ("file path", "file name", "filepath", "filename", "media file")


def _video(file: TextFile, names: Sequence[str], wanted: Mapping[str, str]) -> tuple[str, float]:
    """The column of paths, or the one path, and the seconds by which it begins earlier."""
    if name := wanted.get("path"):
        return name, 0.0
    columns = [name for name in names if _is_path(name)]
    media = filter(None, (_MEDIA.fullmatch(line.strip()) for line in file.text.split("\n")))
    videos = {match[1]: match for match in media if VIDEO.fullmatch(match[1])}
    if columns:
        return choose(file, "path", "columns", dict.fromkeys(columns, 1), wanted), 0.0
    if videos:
        path = choose(file, "path", "videos", dict.fromkeys(videos, 1), wanted)
        return path, int(videos[path][2] or 0) / 1000
    return file.path.stem, 0.0


def _seconds(text: str) -> float:
    time = seconds(text)
    if time is None:
        raise Misfit("no time", value=text)
    return time
