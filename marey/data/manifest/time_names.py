"""What the names of columns say of times: where a clip begins and ends, and in what unit.

`start_time`, `t_end`, `onset`, `endFrame`, `begin_ms`, "Stop (s)": a word for an edge, maybe with
one for what begins, for time, and for a unit. A name of time is in seconds unless it says another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from marey.data.manifest.column_names import squashed

Edge = Literal["start", "end", "duration"]
TimeUnit = Literal["seconds", "frames", "ms", ""]
"""What times count; "" where the name of their column does not tell."""
SUFFIXES: Mapping[TimeUnit, str] = {"seconds": "", "frames": "_frame", "ms": "_ms"}
"""Unit -> what follows `start` and `end` where a column is named for its role: `start_frame`."""

_WHAT = (
    "clip|segment|seg|action|event|video|annotation|temporal"
    "|pos|position|idx|index|minutes?|mins?|us|ns"
)
_UNREAD = ("minute", "minutes", "min", "mins", "us", "ns")
"""Units, of which times are asked for as seconds."""
_TIME = "timestamp|timecode|time|ts|t|point"
_UNITS: Mapping[TimeUnit, str] = {
    "frames": "frames?(?:no|number|num|id|idx|index)?|frm",
    "ms": "ms|msecs?|millis|milliseconds?",
    "seconds": "s|secs?|seconds?",
}
_EDGES: Mapping[Edge, str] = {
    "start": "start|starts(?=at)|starting|begin|beg|beginning|onset|from|first|in|min"
    "|beginn|anfang|von|debut|début|inicio|inizio",
    "end": "end|ends(?=at)|ending|stop|finish|offset|to|last|until|out|max|ende|bis|fin|fine",
    "duration": "duration|dur|length|len",
}


def _side(number: int) -> str:
    """What may stand on one side of the word for an edge."""
    units = "|".join(f"(?P<{unit}{number}>{words})" for unit, words in _UNITS.items())
    at = "(?:at|in)?" if number == 2 else ""
    return f"(?P<what{number}>{_WHAT})?(?P<time{number}>{_TIME})?{at}(?:{units})?"


_EDGE = "|".join(f"(?P<{edge}>{words})" for edge, words in _EDGES.items())
_NAME = re.compile(f"{_side(1)}(?:{_EDGE}){_side(2)}")
_LOOSE = re.compile("timestamps?|times?|intervals?|timespans?|spans?|segments?|(?:t|time|ts)[012]")
_NUMBERED = re.compile(r"(?P<stem>t|time|ts)(?P<number>[012])")
"""`t0` and `t1`, or `t1` and `t2`: the lower number is the start."""
_PARTNERED = ("from", "to", "in", "out", "first", "last", "von", "bis", "fin", "fine")
"""Mean a time only where there is a start and an end."""


class TimeName(NamedTuple):
    """What the name of a column of times says."""

    edge: Edge
    unit: TimeUnit
    context: str
    """What a start and its end have in common."""


@dataclass(frozen=True)
class Times:
    """The columns that say which part of its file a clip is."""

    start: str
    end: str = ""
    """"" if there is none: then clips last for `duration`, or to the end of their file."""
    duration: str = ""
    unit: TimeUnit = "seconds"

    @property
    def columns(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(name for name in (self.start, self.end, self.duration) if name)

    @property
    def roles(self) -> dict[str, str]:
        """What each is read as, as `--columns` has it, with its name."""
        suffix = SUFFIXES.get(self.unit, "")
        named = {"start": self.start, "end": self.end, "duration": self.duration}
        return {f"{edge}{suffix}": name for edge, name in named.items() if name}


def time_name(name: str) -> TimeName | None:
    """What the name of a column says of times; None if it is no such name.

    >>> time_name("start_time"), time_name("endFrame").unit, time_name("begin").unit
    (TimeName(edge='start', unit='seconds', context='time'), 'frames', '')
    """
    match = _NAME.fullmatch(squashed(name))
    if match is None:
        return None
    edge = next(edge for edge in _EDGES if match[edge])
    units = [unit for unit in _UNITS if match[f"{unit}1"] or match[f"{unit}2"]]
    timed = bool(match["time1"] or match["time2"])
    if match[edge] in ("first", "last") and units != ["frames"]:
        return None  # of a name
    if match[edge] in ("min", "max") and not (timed or units):
        return None  # of a number
    what = match["what1"] or match["what2"] or ""
    unit = units[0] if units else "seconds" if timed else ""
    return TimeName(edge, unit, " ".join(filter(None, (what, "time" * timed, *units))))


def in_other_unit(name: str) -> bool:
    """Whether a time is in a unit that is not read, by the name of its column.

    >>> in_other_unit("start_min"), in_other_unit("start_time")
    (True, False)
    """
    found = time_name(name)
    return found is not None and not {*found.context.split()}.isdisjoint(_UNREAD)


def times_among(names: Sequence[str]) -> list[Times]:
    """The pairs of start and end (or start and duration) among names of columns, seconds first.

    >>> times_among(["path", "startFrame", "endFrame", "t_start", "t_end"])[0]
    Times(start='t_start', end='t_end', duration='', unit='seconds')
    """
    known = {name: found for name in names if (found := time_name(name))} | _numbered(names)
    edges = {edge: [n for n in known if known[n].edge == edge] for edge in _EDGES}
    pairs = []
    for start in edges["start"]:
        others = edges["end"] or edges["duration"]
        same = [name for name in others if known[name].context == known[start].context]
        alone = others if len(others) == len(edges["start"]) == 1 else []
        for other in (same or alone)[:1]:
            units = {known[name].unit for name in (start, other)} - {""}
            if squashed(start) == "start":  # a column of manifests, which is in seconds
                units = units or {"seconds"}
            if len(units) <= 1:
                is_end = known[other].edge == "end"
                end, duration = (other, "") if is_end else ("", other)
                pairs.append(Times(start, end, duration, next(iter(units), "")))
    order = ("seconds", "ms", "frames", "")
    return sorted(pairs, key=lambda times: order.index(times.unit))


def _numbered(names: Sequence[str]) -> dict[str, TimeName]:
    """The two times that differ by their number alone, if there are two."""
    found = {name: match for name in names if (match := _NUMBERED.fullmatch(squashed(name)))}
    ordered = sorted(found, key=lambda name: found[name]["number"])
    if len(ordered) != 2 or len({match["stem"] for match in found.values()}) > 1:
        return {}
    edges: tuple[Edge, Edge] = ("start", "end")
    return {n: TimeName(edge, "seconds", n[:1]) for edge, n in zip(edges, ordered, strict=True)}


def looks_like_time(name: str) -> bool:
    """Whether a column that is not read seems to say which part of a file a clip is."""
    found = time_name(name)
    if found is None:
        return bool(_LOOSE.fullmatch(squashed(name)))
    return found.edge != "duration" and squashed(name) not in _PARTNERED
