"""What the readers of all tools share: which field is the class, and what was passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from marey.data.lists.listing import Listing, ListRow
from marey.data.lists.rejects import Misfit, SourceLine
from marey.data.lists.text_file import TextFile
from marey.data.manifest.classes import SEPARATOR
from marey.data.manifest.columns import Unit
from marey.data.manifest.faults import clip_text
from marey.errors import ManifestError, counted, did_you_mean

_SIDES = ("split", "group")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What stands in an export, before it is a listing."""

    title: str
    """The tool and its format, with the version where the file says it."""
    used: Mapping[str, str]
    """`path`, `label` -> what a person would name it by, in `--columns`."""
    unit: Unit
    counted: str = ""
    """How the tool counts that unit."""
    rows: list[ListRow]
    columns: dict[str, list[str]] = field(default_factory=dict)
    """What else is said of every row."""
    passed: Counter[str] = field(default_factory=Counter)
    """What was passed over, in words -> how often."""
    notes: list[str] = field(default_factory=list)


def listing_of(file: TextFile, found: Found, wanted: Mapping[str, str]) -> Listing:
    """The listing of all that was found, each clip once.

    ManifestError if lines did not fit, or if there is no clip.

    Args:
        wanted: role -> what a person named; of these, the columns of split and group are left.
    """
    file.faults.settle()
    passed = [f"passed over {count:,} {what}" for what, count in found.passed.items() if count]
    if not found.rows:
        raise ManifestError(
            f"{file.path}: {found.title} without a labelled clip"
            + "".join(f"; {p}" for p in passed),
            "is it the export of what was labelled?",
        )
    keys = [(row.path, row.start, row.end, row.id, *row.labels.values()) for row in found.rows]
    once = list({key: number for number, key in reversed([*enumerate(keys)])}.values())
    once.sort()
    if repeats := len(keys) - len(once):
        passed.append(f"passed over {counted(repeats, 'row')} saying what another says")
    sides = {role: wanted[role] for role in _SIDES if role in wanted}
    for role, name in sides.items():
        choose(file, role, "columns", dict.fromkeys(found.columns, len(once)), {role: name})
    return Listing(
        source=file.path,
        format=f"{found.title}, {_spans(found)}, {counted(len(once), 'row')}",
        rows=[found.rows[row] for row in once],
        unit=found.unit,
        columns={name: [cells[row] for row in once] for name, cells in found.columns.items()},
        used={**found.used, **sides},
        notes=[*found.notes, *passed],
    )


def _spans(found: Found) -> str:
    """What the clips are of their files, for people."""
    if all(row.start is None and row.end is None for row in found.rows):
        return "whole files"
    return f"spans in {found.unit}" + (f" ({found.counted})" if found.counted else "")


def header_and_rows(
    file: TextFile, separator: str
) -> tuple[list[str], list[tuple[SourceLine, dict[str, str]]]]:
    """The names of the columns of a table, and its rows by them, cells without blanks around."""
    records = file.records(separator)
    _, header = next(records, (None, list[str]()))
    names = [name.strip() for name in header]
    rows = [(line, dict(zip(names, map(str.strip, cells), strict=True))) for line, cells in records]
    file.faults.settle()
    return names, rows


def choose(
    file: TextFile, role: str, kind: str, fields: Mapping[str, int], wanted: Mapping[str, str]
) -> str:
    """The one of several fields (name -> how often it is filled) that is meant.

    Args:
        role: `label` or `path`: what a person names it by, in `--columns label=NAME`.
        kind: what fields are called in the tool, in the plural: "tiers".
        wanted: role -> what a person named.

    Raises:
        ManifestError: there is none, or several and none is named; or lines before did not fit.
    """
    path = file.path
    file.faults.settle()
    if not fields:
        raise ManifestError(
            f"{path}: no {kind} that could be the {role}s",
            "label clips in the tool, and export anew",
        )
    if name := wanted.get(role):
        if name not in fields:
            raise ManifestError(
                f"{path}: no {role} {clip_text(name)}; the {kind} are {', '.join(fields)}",
                did_you_mean(name, [*fields]),
            )
        return name
    if len(fields) > 1:
        shown = ", ".join(f"`{name}` ({count:,})" for name, count in fields.items())
        choices = " or ".join(f"{role}={name}" for name in [*fields][:2])
        raise ManifestError(
            f"{path}: several {kind} could be the {role}s: {shown}",
            f"say which: --columns {choices}",
        )
    return next(iter(fields))


def class_text(names: Sequence[str]) -> str:
    """The classes of one clip as a list has them, ``a|b``; `Misfit` for a name that holds a bar."""
    names = [name.strip() for name in names]
    if wrong := [name for name in names if SEPARATOR in name]:
        raise Misfit(
            f"a class with `{SEPARATOR}` in its name",
            "rename it: the bar parts classes",
            value=wrong[0],
        )
    return SEPARATOR.join(dict.fromkeys(name for name in names if name))


def moved(path: str, seconds: float) -> str:
    """The note that a video does not begin when the time of its annotations does."""
    return f"times are moved by {seconds:g} s, the offset of {path}"


def refuse_roles(path: Path, wanted: Mapping[str, str], *known: str) -> None:
    """ManifestError for what a person names that the export has no use for."""
    if other := [role for role in wanted if role not in {*known, *_SIDES}]:
        raise ManifestError(
            f"{path}: --columns {other[0]}={wanted[other[0]]}: this export says it itself",
            f"name {' or '.join(known)}",
        )
