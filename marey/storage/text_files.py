"""Small files that marey wrote, read back as text, JSON, a table or a value, and none is trusted.

A disk may have cut them, a person may have edited them, a stranger may have sent them. What is not
as it should be is an error that names the file: a `RunError`, or the kind of error that the caller
names in `error`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from marey.errors import MareyError, RunError, cut_short
from marey.storage.atomic import run_error, write_text
from marey.storage.expected import expected

T = TypeVar("T")
AGAIN = "delete it and write it again"


@contextmanager
def reading(path: Path, error: type[MareyError] = RunError, hint: str = AGAIN) -> Iterator[None]:
    """What the block raises because the file at `path` is damaged, raised as `error`."""
    try:
        yield
    except OSError as fault:
        raise error(f"cannot read {path}: {fault.strerror or fault}") from fault
    except RecursionError as fault:
        raise error(f"{path} is nested too deeply", hint) from fault
    except UnicodeDecodeError as fault:
        raise error(f"{path} is not UTF-8 text: {fault.reason} at byte {fault.start}", hint) from (
            fault
        )
    except json.JSONDecodeError as fault:
        raise error(f"{path} is not JSON: {fault}", hint) from fault
    except (ValueError, csv.Error) as fault:  # also whole numbers of 4300 digits
        if isinstance(fault, MareyError):
            raise
        raise error(f"{path} cannot be read: {fault}", hint) from fault


def read_text(path: Path, error: type[MareyError] = RunError) -> str:
    """The text of a file, "" if there is none."""
    with reading(path, error):
        return path.read_text(encoding="utf-8") if path.is_file() else ""


def read_json(path: Path, error: type[MareyError] = RunError, hint: str = AGAIN) -> dict[str, Any]:
    """The names and values of a JSON file, {} without a file."""
    with reading(path, error, hint):
        facts = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return as_value(dict[str, Any], facts, path, error, hint)


def read_csv(
    path: Path, columns: Sequence[str], error: type[MareyError] = RunError, hint: str = AGAIN
) -> list[list[str]]:
    """The rows of a table of exactly these columns, each with as many cells."""
    with reading(path, error, hint):
        lines = csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), strict=True)
        header, *rows = [*lines] or [[]]
        if header != list(columns):
            raise ValueError(f"its first line is not {','.join(columns)}")
        for number, row in enumerate(rows, start=1):
            if len(row) != len(columns):
                raise ValueError(f"row {number} has {len(row)} cells, the header {len(columns)}")
    return rows


def write_json(path: Path, value: object) -> None:
    """Write a dataclass as JSON, with null for a number that is not finite."""
    text = TypeAdapter(type(value)).dump_json(value, indent=1)
    write_text(path, text.decode(), run_error)


def as_value(
    cls: type[T],
    facts: object,
    path: Path,
    error: type[MareyError] = RunError,
    hint: str = AGAIN,
) -> T:
    """The `cls` (a dataclass, a dict) that the plain data read at `path` describes.

    Names that the class does not have are left out, as files of a later marey may have them. A
    value that is not of the type of its field is an `error`, which names the first and what was
    expected.
    """
    try:
        value: T = TypeAdapter(cls).validate_python(facts)
        return value
    except ValidationError as fault:
        first = fault.errors()[0]
        field = ".".join(map(str, first["loc"])) or "it"
        if first["type"] == "missing":
            raise error(f"{path}: {field} is missing", hint) from fault
        if first["type"] == "value_error":  # a class said what is wrong with it
            raise error(f"{path}: {first['msg'].removeprefix('Value error, ')}", hint) from fault
        shown, wanted = cut_short(repr(first["input"])), expected(first) or "another value"
        raise error(f"{path}: {field} is {shown}, expected {wanted}", hint) from fault
    except RecursionError as fault:
        raise error(f"{path} is nested too deeply", hint) from fault
