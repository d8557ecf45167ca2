"""BORIS: aggregated events and tabular events, as CSV or TSV.

| export            | a line is                                                  |
|-------------------|------------------------------------------------------------|
| aggregated events | an event: `Behavior`, `Start (s)`, `Stop (s)`              |
| tabular events    | the `START` or the `STOP` of one, at `Time`                |

Older versions put some lines on the observation before the header. Times are seconds. Events of
type POINT last no time and are passed over. Where an observation plays several files one after the
other, times count from the start of the first: the durations of those before are taken off, where
they are said.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from marey.data.lists.exports.reading import (
    Found,
    class_text,
    header_and_rows,
    listing_of,
    refuse_roles,
)
from marey.data.lists.listing import Listing, ListRow
from marey.data.lists.rejects import Misfit, SourceLine
from marey.data.lists.text_file import TextFile
from marey.data.lists.times import seconds
from marey.data.manifest.faults import clip_text
from marey.errors import ManifestError, did_you_mean

_MEDIA = ("Media file name", "Media file path", "Media file", "Media file(s)", "Source")
_OFFSET = "Time offset (s)"
_STATUS = ("Behavior type", "Status")
_PREAMBLE = 500
"""Lines in which the header is looked for."""
_NO_MEDIA = ("", "NA", "Not found", "LIVE")


def is_table(file: TextFile) -> bool:
    """Whether it is an export of events by BORIS."""
    return _header(file) is not None


def read_table(file: TextFile, wanted: Mapping[str, str]) -> Listing:
    """The clips of an export of events."""
    refuse_roles(file.path, wanted, "path", "label")
    header = _header(file)
    assert header is not None
    number, separator = header
    lines = file.text.split("\n")
    before = dict(line.split(separator)[:2] for line in lines[:number] if separator in line)
    lines[:number] = [""] * number  # lines keep their numbers
    names, rows = header_and_rows(replace(file, text="\n".join(lines)), separator)
    aggregated = "Start (s)" in names
    for name in ("Start (s)", "Stop (s)") if aggregated else ("Time",):
        _column(file, {}, names, name, (name,))
    path = _column(file, wanted, names, "path", _MEDIA)
    label = _column(file, wanted, names, "label", ("Behavior",))
    passed: Counter[str] = Counter()
    events = _aggregated(rows, passed) if aggregated else _paired(file, rows, passed)
    clock = _Clock([row for _, row in rows], path, before.get(_OFFSET, ""))
    found: list[tuple[ListRow, str]] = []
    for line, row, start, stop in events:
        try:
            if row[path] in _NO_MEDIA:
                passed["events without a media file"] += 1
                continue
            times = _seconds(start) - clock.begin(row), _seconds(stop) - clock.begin(row)
            if times[1] <= times[0]:
                raise Misfit("an event that stops before it starts", value=f"{start} to {stop}")
            labels = {"label": class_text([row[label]])}
            found.append((ListRow(line, clock.file(row), labels, *times), row.get("Subject", "")))
        except Misfit as misfit:
            file.faults.add(line, misfit.value, misfit.reason, misfit.remedy)
    subjects = [subject for _, subject in found]
    modified = [
        name for name in names if name.startswith("Modifier") and any(r[name] for _, r in rows)
    ]
    what = "aggregated" if aggregated else "tabular"
    export = Found(
        title=f"BORIS {what} events",
        used={"path": path, "label": label},
        unit="seconds",
        rows=[row for row, _ in found],
        columns={"Subject": subjects} if any(subjects) and label != "Subject" else {},
        passed=passed,
        notes=[f"modifiers are no part of the class: {', '.join(modified)}"] if modified else [],
    )
    return listing_of(file, export, wanted)


def _header(file: TextFile) -> tuple[int, str] | None:
    """The line of the header, from 0, and what parts its columns; None if it has none of BORIS."""
    for number, line in enumerate(file.text.split("\n", _PREAMBLE)[:_PREAMBLE]):
        for separator in "\t,;":
            names = {name.strip('" ') for name in line.split(separator)}
            timed = {"Start (s)", "Stop (s)"} <= names
            if "Behavior" in names and (timed or ("Time" in names and names & {*_STATUS})):
                return number, separator
    return None


def _column(
    file: TextFile, wanted: Mapping[str, str], names: Sequence[str], role: str, usual: Sequence[str]
) -> str:
    name = wanted.get(role) or next((name for name in usual if name in names), "")
    if name not in names:
        raise ManifestError(
            f"{file.path}: no column {clip_text(name or usual[0])}", did_you_mean(name, names)
        )
    return name


def _aggregated(
    rows: Sequence[tuple[SourceLine, Mapping[str, str]]], passed: Counter[str]
) -> Iterator[tuple[SourceLine, Mapping[str, str], str, str]]:
    for line, row in rows:
        start, stop = row["Start (s)"], row["Stop (s)"]
        if row.get("Behavior type", "").upper() == "POINT" or (start == stop and start != "NA"):
            passed["point events, which last no time"] += 1
        else:
            yield line, row, start, stop


def _paired(
    file: TextFile, rows: Sequence[tuple[SourceLine, Mapping[str, str]]], passed: Counter[str]
) -> Iterator[tuple[SourceLine, Mapping[str, str], str, str]]:
    """Every START with the STOP of the same subject, behavior and modifiers."""
    begun: dict[tuple[str, ...], tuple[SourceLine, Mapping[str, str]]] = {}
    for line, row in rows:
        status = next((row[name] for name in _STATUS if row.get(name)), "").upper()
        own = [cell for name, cell in row.items() if name.startswith("Modifier")]
        key = (row.get("Observation id", ""), row.get("Subject", ""), row["Behavior"], *own)
        if status == "POINT":
            passed["point events, which last no time"] += 1
        elif status == "START" and key not in begun:
            begun[key] = line, row
        elif status == "STOP" and key in begun:
            first, event = begun.pop(key)
            yield first, event, event["Time"], row["Time"]
        else:
            file.faults.add(line, row["Behavior"], f"{status or 'no'} status out of turn", _FIX)
    for line, row in begun.values():
        file.faults.add(line, row["Behavior"], "a START without its STOP", _FIX)


_FIX = "in BORIS, Observations > Fix unpaired events; export it anew"


class _Clock:
    """Which file an event lies in, and when that begins in the time of its observation."""

    def __init__(self, rows: Sequence[Mapping[str, str]], path: str, offset: str) -> None:
        self.path, self.offset = path, offset
        self.files: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            if row[path] not in _NO_MEDIA:
                self.files[row.get("Observation id", "")].add(row[path])

    def file(self, row: Mapping[str, str]) -> str:
        """The file of the event; `Misfit` where only several are named."""
        played = _played(row[self.path])
        if len(played) > 1:
            raise Misfit(
                "several files, of which one is meant", "export it with BORIS 8.20 or newer"
            )
        return played[0]

    def begin(self, row: Mapping[str, str]) -> float:
        """The seconds that the files before it take; `Misfit` where that is not said."""
        offset = row.get(_OFFSET) or self.offset or "0"
        if seconds(offset) != 0:
            remedy = "whether times have it in them is not said: set it to 0 and export anew"
            raise Misfit("a time offset", remedy, value=offset)
        file = self.file(row)
        queue = _played(row.get("Source", ""))
        if len(queue) == 1 and len(self.files[row.get("Observation id", "")]) == 1:
            return 0.0
        lengths = [seconds(x) for x in re.split(r"[;|]", row.get("Media duration (s)", ""))]
        before = lengths[: queue.index(file)] if file in queue else [None]
        if any(length is None for length in before):
            raise Misfit(
                "an observation of several files, whose durations are not said",
                "times count from the start of the first: export observations of one file each",
                value=file,
            )
        return sum(length for length in before if length is not None)


def _played(source: str) -> list[str]:
    """The files of the first player: ``player #1:a.mp4;b.mp4|player #2:c.mp4``."""
    if not source.startswith("player #"):
        return [source]
    first = source.partition("|player #")[0].partition(":")[2]
    return [name.strip() for name in first.split(";")]


def _seconds(text: str) -> float:
    time = seconds(text)
    if time is None:
        raise Misfit("no time", "is it an observation of images? they have none", value=text)
    return time
