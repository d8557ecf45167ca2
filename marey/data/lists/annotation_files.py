"""The annotation files of a data set: found by name, read with line numbers, faults collected.

A line that does not fit is never guessed and never stops the reading: it is a `Reject` with file,
line, value, reason and remedy. Only what leaves nothing to read (a file of class names that names
none, JSON that breaks off) is a ManifestError at once.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from marey.data.manifest.faults import clip_text
from marey.errors import ManifestError

MOST_SHOWN = 500
"""Characters of a value that are kept of a row that does not fit."""


class SourceLine(NamedTuple):
    """Where a row stands: file, and line from 1."""

    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


class Reject(NamedTuple):
    """A row that is left out, and why."""

    place: SourceLine
    value: str
    reason: str
    remedy: str = ""


class Annotations:
    """The files (role -> path) that were found for one data set, and what is wrong in them."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.files = dict(files)
        self.rejects: list[Reject] = []
        self.notes: list[str] = []
        """What a person should know of how the files were read."""
        self.digests: dict[Path, str] = {}
        """Sha256 of every file that was read."""

    def __contains__(self, role: str) -> bool:
        return role in self.files

    def __getitem__(self, role: str) -> Path:
        return self.files[role]

    def reject(self, place: SourceLine, value: object, reason: str, remedy: str = "") -> None:
        """Leave a row out."""
        self.rejects.append(Reject(place, str(value)[:MOST_SHOWN], reason, remedy))

    def text(self, role: str) -> str:
        """All of a file; bytes that are not UTF-8 are lone surrogates. ManifestError if unread."""
        path = self.files[role]
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ManifestError(
                f"cannot read {path}: {error.strerror or error}", "can this user read it?"
            ) from error
        self.digests[path] = hashlib.sha256(data).hexdigest()
        text = data.decode("utf-8-sig", "surrogateescape")
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def lines(self, role: str) -> Iterator[tuple[SourceLine, str]]:
        """The lines that are not blank, stripped; those that are not UTF-8 are rejected."""
        path = self.files[role]
        for number, line in enumerate(self.text(role).split("\n"), start=1):
            if line and not line.isspace():
                place = SourceLine(path, number)
                if line.isascii() or self._is_text(place, line):
                    yield place, line.strip()

    def table(
        self, role: str, columns: Sequence[str], *, delimiter: str = ","
    ) -> Iterator[tuple[SourceLine, dict[str, str]]]:
        """The rows of a csv whose first line is a header with at least these `columns`."""
        rows = self.lines(role)
        place, header = next(rows, (SourceLine(self.files[role], 1), ""))
        names = [name.strip() for name in _fields(header, delimiter) or ()]
        missing = [name for name in columns if name not in names]
        if missing:
            raise ManifestError(
                f"{place}: no column {clip_text(missing[0])}, only {clip_text(','.join(names))}",
                f"the first line is to name {', '.join(columns)}",
            )
        for place, line in rows:
            fields = _fields(line, delimiter)
            if fields is None:
                self.reject(place, line, "a quote that is not closed", 'inside quotes write ""')
            elif len(fields) != len(names):
                self.reject(place, line, f"{len(fields)} columns, the header has {len(names)}")
            else:
                yield place, dict(zip(names, fields, strict=True))

    def objects(
        self, role: str, keys: Sequence[str]
    ) -> Iterator[tuple[SourceLine, dict[str, object]]]:
        """The objects of a JSON list that have these `keys`, each with the line it begins in."""
        path, text = self.files[role], self.text(role)
        for line, value in _json_items(path, text):
            place = SourceLine(path, line)
            if not isinstance(value, dict):
                self.reject(place, value, "no object", f"expected {{{', '.join(keys)}}}")
            elif missing := [key for key in keys if key not in value]:
                self.reject(place, value, f"no {missing[0]!r}", f"expected {{{', '.join(keys)}}}")
            else:
                yield place, value

    def mapping(self, role: str) -> dict[str, object]:
        """A file of JSON that is one object; else ManifestError."""
        path, text = self.files[role], self.text(role)
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise ManifestError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
        except (ValueError, RecursionError) as error:  # numbers of 4300 digits, lists in lists
            raise ManifestError(f"{path}: not JSON that can be read: {error}") from error
        if not isinstance(value, dict):
            raise ManifestError(f"{path}: {clip_text(value)} is no object", "is it the right file?")
        return value

    def _is_text(self, place: SourceLine, line: str) -> bool:
        if not any("\udc80" <= char <= "\udcff" for char in line):
            return True
        shown = line.encode("utf-8", "backslashreplace").decode()
        self.reject(place, shown, "bytes that are not UTF-8", "save the file as UTF-8")
        return False


def whole(text: str) -> int | None:
    """The whole number that `text` is, from 0 and of at most 18 digits; None for all else.

    >>> whole("42"), whole("-1"), whole("4.5"), whole("1_0")
    (42, None, None, None)
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _fields(line: str, delimiter: str) -> list[str] | None:
    """The fields of one line of csv; None if a quote is not closed. No field spans lines."""
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error:
        return None


def _json_items(path: Path, text: str) -> Iterator[tuple[int, object]]:
    """Every item of a JSON list with its line; one at a time, as only so lines are known."""
    decoder, line, seen = json.JSONDecoder(), 1, 0
    position = _skip(text, 0)
    if text[position : position + 1] != "[":
        raise ManifestError(f"{path}:1: not a list of JSON", "is it the right file?")
    position = _skip(text, position + 1)
    while text[position : position + 1] != "]":
        line, seen = line + text.count("\n", seen, position), position
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:  # also numbers of 4300 digits
            raise ManifestError(
                f"{path}:{line}: not JSON from here on: {clip_text(text[position:], 40)}",
                "is the file complete? download it again",
            ) from error
        yield line, value
        position = _skip(text, end)
        if text[position : position + 1] == ",":
            position = _skip(text, position + 1)
        elif text[position : position + 1] != "]":
            line += text.count("\n", seen, position)
            raise ManifestError(f"{path}:{line}: the list breaks off", "is the file complete?")


def _skip(text: str, position: int) -> int:
    """The next position that is not white space."""
    while text[position : position + 1] in (" ", "\n", "\t"):
        position += 1
    return position
