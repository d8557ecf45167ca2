"""What each column of a table is read as: by its name, by its cells, or as a person says.

Where a name may mean two things the cells decide, or it is asked: nothing that looks like a time is
left aside without a word.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from marey.data.lists.rejects import SourceLine
from marey.data.lists.wanted_columns import AS_NAMED, HEADS, UNIT_OF, WantedColumns, find_name
from marey.data.manifest.column_names import NAMES, of_kind, squashed
from marey.data.manifest.faults import clip_text
from marey.data.manifest.header import NoLabels, likely_columns, likely_label
from marey.data.manifest.paths import VIDEO
from marey.data.manifest.time_names import (
    SUFFIXES,
    Times,
    in_other_unit,
    looks_like_time,
    times_among,
)
from marey.errors import ManifestError, did_you_mean

_YOUTUBE = ("youtubeid", "ytid")
"""Kinetics' times beside it say where the clip lay in a video that one may no longer have."""
_CUT = "`marey data prepare kinetics400` finds clips that are cut, called ID_000003_000013"


@dataclass(frozen=True)
class Table:
    """The header and the rows of a table, cells without blanks at their ends."""

    line: SourceLine
    """Of the header."""
    names: list[str]
    rows: list[tuple[SourceLine, list[str]]]

    def cells(self, name: str) -> list[str]:
        """Those of one column."""
        place = self.names.index(name)
        return [cells[place] for _, cells in self.rows]


@dataclass(frozen=True, kw_only=True)
class Roles:
    """What the columns of a table are read as."""

    path: str
    heads: Mapping[str, str]
    """Head -> the column of its labels."""
    numbers: str
    """The column that numbers the classes, beside that of their names; "" if there is none."""
    times: Times | None
    id: str
    """The column of what the data set calls a clip; "" if there is none."""
    split: str
    group: str
    fold: str
    """The columns that a person calls so; "" if none is named."""
    class_names: Mapping[int, str]
    """By their numbers, if those are in the table."""
    notes: tuple[str, ...]

    @property
    def used(self) -> dict[str, str]:
        """Role -> column."""
        named = {"path": self.path, **self.heads, "label_number": self.numbers}
        named |= self.times.roles if self.times else {}
        named |= {"split": self.split, "group": self.group, "fold": self.fold}
        named |= {"id": self.id}
        return {role: name for role, name in named.items() if name}


def choose_roles(table: Table, wanted: WantedColumns = AS_NAMED) -> Roles:
    """What the columns of the table are; ManifestError where only a person can tell."""
    return _Choice(table, wanted).roles()


class _Choice:
    """The columns of one table that are not yet taken, and what has been said of them."""

    def __init__(self, table: Table, wanted: WantedColumns) -> None:
        self.table = table
        self.wanted = {role: self._named(name) for role, name in wanted.roles.items()}
        ignored = [self._named(name) for name in wanted.ignored]
        taken = [*self.wanted.values(), *ignored]
        self.free = [name for name in table.names if name and name not in taken]
        self.needs_labels = wanted.needs_labels
        self.notes: list[str] = []

    def roles(self) -> Roles:
        path = self._path()
        heads = self._heads()
        numbers = self.wanted.get("label_number", "")
        if not heads:
            label, numbers = self._label() if self.needs_labels else self._label_if_clear()
            heads = {"label": label} if label else {}
        return Roles(
            path=path,
            heads=heads,
            numbers=numbers,
            times=self._times(),
            id=self._id(),
            split=self.wanted.get("split", ""),
            group=self.wanted.get("group", ""),
            fold=self.wanted.get("fold", ""),
            class_names=self._class_names(heads, numbers),
            notes=tuple(self.notes),
        )

    def _named(self, wanted: str) -> str:
        name = find_name(wanted, self.table.names)
        if name is None:
            names = [name for name in self.table.names if name]
            raise ManifestError(
                f"{self.table.line}: no column {clip_text(wanted)}, only {', '.join(names)}",
                did_you_mean(wanted, names, otherwise="name one of these: --columns ROLE=COLUMN"),
            )
        return name

    def _use(self, *names: str) -> None:
        self.free = [name for name in self.free if name not in names]

    def _path(self) -> str:
        only = self.table.names[0] if self.table.names == self.free[:1] else ""
        name = self.wanted.get("path") or next(iter(of_kind("path", self.free)), only)
        if not name:
            raise unknown_header(self.table, "path", self.free)
        self._use(name)
        return name

    def _id(self) -> str:
        """The column in which every clip has a name of its own, or one that is made for that."""
        names = of_kind("id", self.free)
        differ = (n for n in names if len(set(self.table.cells(n))) == len(self.table.rows))
        made = (name for name in names if squashed(name) == "narrationid")
        return self.wanted.get("id") or next(iter([*differ, *made]), "")

    def _heads(self) -> dict[str, str]:
        """Those that a person names, or EPIC-KITCHENS' verb_class and noun_class."""
        heads = {head: self.wanted[head] for head in HEADS if head in self.wanted}
        pair = {head: find_name(f"{head}_class", self.free) or "" for head in ("verb", "noun")}
        if not heads and all(pair.values()):
            heads = pair
        self._use(*heads.values())
        return heads

    def _class_names(self, heads: Mapping[str, str], numbers: str) -> dict[int, str]:
        """The names of classes by the numbers in another column, if there is one."""
        if not numbers:
            return {}
        cells, words = self.table.cells(numbers), self.table.cells(heads.get("label", numbers))
        if not all(map(_is_whole, cells)) or not _say_the_same(cells, words):
            raise ManifestError(
                f"{self.table.line}: `{numbers}` has not one number for each class",
                "name both columns: --columns label=COLUMN,label_number=COLUMN",
            )
        return {int(number): word for number, word in zip(cells, words, strict=True)}

    def _label(self) -> tuple[str, str]:
        """The column of labels, and that of their numbers if the table has both."""
        first, *others = of_kind("label", self.free) or [""]
        if not first:
            raise unknown_header(self.table, "label", self.free)
        columns = {name: self.table.cells(name) for name in (first, *others)}
        columns = {n: cells for n, cells in columns.items() if n == first or len(set(cells)) > 1}
        for other in columns:
            if not _say_the_same(columns[first], columns[other]):
                raise ManifestError(
                    f"{self.table.line}: `{first}` and `{other}` both look like labels, and differ",
                    f"say which: --columns label={first}, or label={other}",
                )
        self._use(first, *others)
        of_numbers = {name: all(map(_is_whole, cells)) for name, cells in columns.items()}
        numbers = next((name for name, whole in of_numbers.items() if whole), "")
        words = next((name for name, whole in of_numbers.items() if not whole), "")
        if not (numbers and words):
            return first, ""
        self.notes.append(f"classes are named by `{words}` and ordered by `{numbers}`")
        return words, numbers

    def _label_if_clear(self) -> tuple[str, str]:
        """As `_label`; "" if there are none, or several that differ, which is said."""
        names = of_kind("label", self.free)
        try:
            return self._label() if names else ("", "")
        except ManifestError as error:
            self.notes.append(f"labels are left: {error.message}; {error.hint}")
            return "", ""

    def _times(self) -> Times | None:
        times = self._wanted_times()
        pairs = times_among(self.free)
        if times is None and pairs:
            times = self._chosen(pairs)
        self._use(*(name for pair in pairs for name in pair.columns))
        if stray := [name for name in self.free if looks_like_time(name)]:
            raise self._ask(
                stray, f"--columns {_options([f'start={stray[0]}'])} reads where clips begin"
            )
        return times

    def _wanted_times(self) -> Times | None:
        """Those that a person names."""
        named = {role: name for role, name in self.wanted.items() if role in UNIT_OF}
        if not named:
            return None
        units = {UNIT_OF[role] for role in named}
        edges = {role.partition("_")[0]: name for role, name in named.items()}
        if len(units) > 1 or "start" not in edges:
            shown = ", ".join(f"{role}={name}" for role, name in named.items())
            raise ManifestError(f"{shown} is no part of a file", "name a start, and an end")
        return Times(**edges, unit=units.pop())

    def _chosen(self, pairs: Sequence[Times]) -> Times:
        """The one pair of columns that clips are cut by."""
        times, *others = pairs
        rivals = [name for pair in others if pair.unit == times.unit for name in pair.columns]
        from_youtube = any(squashed(name) in _YOUTUBE for name in self.table.names)
        cells = [cell for name in times.columns for cell in self.table.cells(name)]
        is_other = any(map(in_other_unit, times.columns))
        tells = ":" if is_other else r"[.:]"
        is_clear = times.unit or any(re.search(tells, cell) for cell in cells)
        if rivals or from_youtube or not is_clear:
            roles = "start", "end" if times.end else "duration"
            pairs_of = {unit: zip(roles, times.columns, strict=True) for unit in SUFFIXES}
            raise self._ask(
                [*times.columns, *rivals],
                *(
                    f"--columns {_options(f'{role}{SUFFIXES[unit]}={name}' for role, name in pair)}"
                    f" if they are {unit}"
                    for unit, pair in pairs_of.items()
                ),
                *(["write times of another unit as seconds"] if is_other else []),
                *([_CUT] if from_youtube else []),
            )
        return replace(times, unit=times.unit or "seconds")

    def _ask(self, names: Sequence[str], *readings: str) -> ManifestError:
        shown = " and ".join(f"`{name}`" for name in names)
        return ManifestError(
            f"{self.table.line}: {shown} may say which part of a file a clip is",
            f"{'; '.join(readings)}; --ignore {_options(names)} leaves them",
        )


def unknown_header(
    table: Table, kind: Literal["path", "label"], free: Sequence[str]
) -> ManifestError:
    """The error that no column of a table is known as that of paths, or of labels."""
    shown = ", ".join(f"`{name}`" for name in table.names[:12])
    known = ", ".join(NAMES[kind][:8])
    videos = (name for name in free if any(map(VIDEO.fullmatch, table.cells(name))))
    path = next(iter(of_kind("path", table.names)), "") or next(videos, "")
    others = [name for name in free if name != path]
    label = likely_label([name for name in others if _is_of_words(table.cells(name))][:1])
    label = label or likely_label(others)
    flags = [name for name in others if set(table.cells(name)) == {"0", "1"}]
    if kind == "label" and len(flags) > 1:
        names = ", ".join(f"`{name}`" for name in flags[:5])
        raise ManifestError(
            f"{table.line}: no column of labels, but {len(flags)} of 0 and 1, as {names}",
            "if each is a class, write one column `label` with its name, several as a|b",
        )
    if kind == "label" and not label:
        return NoLabels(
            f"{table.line}: no column of labels among {shown}",
            "`marey predict` takes clips without labels",
        )
    return ManifestError(
        f"{table.line}: no column is known as the {kind}s, only {shown}",
        f"say which they are, for example --columns {likely_columns(table.names, path, label)};"
        f" a {kind} is also found by the names {known}",
    )


def _say_the_same(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether each value of one column stands beside one value of the other, always the same."""
    return len(set(zip(one, other, strict=True))) == len(set(one)) == len(set(other))


def _is_of_words(cells: Sequence[str]) -> bool:
    """Whether a column may name classes: words, of which some are there several times."""
    return 1 < len(set(cells)) < len(cells) and not all(
        re.fullmatch(r"[\d.,:/ -]*", c) for c in cells
    )


def _options(names: Iterable[str]) -> str:
    """Names as a shell takes them for one option."""
    return shlex.quote(",".join(names))


def _is_whole(cell: str) -> bool:
    return re.fullmatch(r"\d{1,18}", cell, re.ASCII) is not None
