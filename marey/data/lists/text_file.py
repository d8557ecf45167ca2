"""A file of text as others wrote it: its lines, the rows of its table, or its JSON.

A line that does not fit is never guessed: it goes to the faults with file, line, value, reason and
remedy. Only what leaves nothing to read (a table without its columns, JSON that breaks off) is a
ManifestError at once.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from marey.data.lists.rejects import Faults, SourceLine
from marey.data.manifest.faults import clip_text
from marey.errors import ManifestError, counted
from marey.storage.encodings import NotText, decode_text
from marey.storage.regular import read_regular

MOST_LINES = 50
"""Lines that a cell in quotes may span."""


@dataclass(frozen=True)
class TextFile:
    """All of a file, and where its faults go."""

    path: Path
    text: str
    """Its lines end in a line feed; bytes that are not UTF-8 are lone surrogates."""
    digest: str
    """Sha256 of its bytes."""
    faults: Faults
    notes: tuple[str, ...] = ()
    """What was odd about it, and read all the same."""

    def lines(self) -> Iterator[tuple[SourceLine, str]]:
        """The lines that are not blank, stripped; those that are not UTF-8 are faults."""
        return ((line, text.strip()) for line, text in self._numbered)

    def records(self, separator: str = ",") -> Iterator[tuple[SourceLine, list[str]]]:
        """The header of a table, then the rows that have as many cells as it."""
        header: list[str] | None = None
        blanks = " " if separator == "\t" else None  # tabs at the ends are empty cells
        lines = [(line, text.strip(blanks)) for line, text in self._numbered]
        for line, text, cells in _records(lines, separator):
            if cells is None:
                self.faults.add(line, text, "a quote that is not closed", 'inside quotes write ""')
            elif header is None or len(cells) == len(header):
                header = header or cells
                yield line, cells
            else:
                reason = f"{counted(len(cells), 'field')}, the header has {len(header)}"
                remedy = f"every line has as many; a cell that holds {separator!r} is in quotes"
                self.faults.add(line, text, reason, remedy)

    def table(self, columns: Sequence[str]) -> Iterator[tuple[SourceLine, dict[str, str]]]:
        """The rows of a csv whose header names at least these columns, else ManifestError."""
        rows = self.records()
        line, header = next(rows, (SourceLine(self.path, 1), [""]))
        names = [name.strip() for name in header]
        for column in columns:
            if column not in names:
                raise ManifestError(
                    f"{line}: no column {clip_text(column)}, only {clip_text(','.join(names))}",
                    f"the first line is to name {', '.join(columns)}",
                )
        for line, cells in rows:
            yield line, dict(zip(names, cells, strict=True))

    def objects(self, *keys: str) -> Iterator[tuple[SourceLine, dict[str, object]]]:
        """The objects of a JSON list that have these keys, each with the line it begins in."""
        wanted = "expected a list of objects" + (f" with {', '.join(keys)}" if keys else "")
        for number, value in _json_items(self.path, self.text, wanted):
            line = SourceLine(self.path, number)
            if not isinstance(value, dict):
                self.faults.add(line, value, "no object", wanted)
            elif missing := [key for key in keys if key not in value]:
                self.faults.add(line, value, f"no {missing[0]!r}", wanted)
            else:
                yield line, value

    def json(self) -> object:
        """The value of a file of JSON, else ManifestError."""
        try:
            return json.loads(self.text)
        except json.JSONDecodeError as error:
            raise ManifestError(
                f"{self.path}:{error.lineno}: not JSON: {error.msg}",
                "export or download it again; of one object a line, name it .jsonl",
            ) from error
        except (ValueError, RecursionError) as error:  # numbers of 4300 digits, lists in lists
            raise ManifestError(
                f"{self.path}: not JSON that can be read: {error}", "export or download it again"
            ) from error

    @cached_property  # what a list is, is asked of several readers: a line is at fault once
    def _numbered(self) -> list[tuple[SourceLine, str]]:
        lines = (
            (SourceLine(self.path, number), text)
            for number, text in enumerate(self.text.split("\n"), start=1)
            if text and not text.isspace()
        )
        return [(line, text) for line, text in lines if text.isascii() or self._is_utf8(line, text)]

    def _is_utf8(self, line: SourceLine, text: str) -> bool:
        if not any("\udc80" <= char <= "\udcff" for char in text):
            return True
        shown = text.encode("utf-8", "backslashreplace").decode()
        self.faults.add(line, shown, "bytes that are not UTF-8", "save the file as UTF-8")
        return False


def read_text(path: Path, faults: Faults) -> TextFile:
    """All of a file, also of UTF-16 or with Excel's `sep=;`; ManifestError if it is no text."""
    try:
        data = read_regular(path)
        text, notes = decode_text(data)
    except OSError as error:
        reason = f"cannot read {path}: {error.strerror or error}"
        raise ManifestError(reason, "can this user read it?") from error
    except NotText as error:
        raise ManifestError(f"{path} is {error}", error.remedy) from error
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n\ufeff", "\n")
    notes = tuple(f"{path.name}: {note}" for note in notes)
    return TextFile(path, text, hashlib.sha256(data).hexdigest(), faults, notes)


def whole(text: str) -> int | None:
    """The whole number that `text` is, from 0 and of at most 18 digits; None for all else.

    >>> whole("42"), whole("-1"), whole("4.5"), whole("1_0")
    (42, None, None, None)
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _records(
    lines: Sequence[tuple[SourceLine, str]], separator: str
) -> Iterator[tuple[SourceLine, str, list[str] | None]]:
    """Every record with its first line; None for cells if a quote in that line is never closed.

    Such a line costs no other: a cell spans lines only if its quote is closed further down.
    """
    start = 0
    while start < len(lines):
        line, text = lines[start]
        for stop in range(start + 1, min(start + MOST_LINES, len(lines)) + 1):
            cells = _cells([text for _, text in lines[start:stop]], separator)
            if cells is not None:
                break
        else:
            stop = start + 1
        yield line, text, cells
        start = stop


def _cells(lines: Sequence[str], separator: str) -> list[str] | None:
    """The cells of a record of csv that ends with the last line; None if a quote is open there."""
    if len(lines) == 1 and '"' not in lines[0]:
        return lines[0].split(separator)
    reader = csv.reader([f"{line}\n" for line in lines], delimiter=separator, strict=True)
    try:
        cells = next(reader)
    except csv.Error:
        return None
    return cells if reader.line_num == len(lines) else None


def _json_items(path: Path, text: str, wanted: str) -> Iterator[tuple[int, object]]:
    """Every item of a JSON list with its line; one at a time, as only so lines are known."""
    decoder, line, seen = json.JSONDecoder(), 1, 0
    position = _skip(text, 0)
    if text[position : position + 1] != "[":
        raise ManifestError(f"{path}:1: not a list of JSON", wanted)
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
