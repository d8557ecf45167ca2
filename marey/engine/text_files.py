"""Small files of a run, read as text, JSON or a value; a RunError names what is not understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from marey.errors import RunError
from marey.storage.atomic import run_error, write_text

T = TypeVar("T")


def read_text(path: Path) -> str:
    """The text of a file, "" if there is none; RunError if it is not UTF-8 or cannot be read."""
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """The names and values of a JSON file, {} without a file; RunError if it holds others."""
    try:
        facts = json.loads(read_text(path) or "{}")
    except json.JSONDecodeError as error:
        raise RunError(f"{path} is not JSON: {error}", "delete it and write it again") from error
    return as_value(dict[str, Any], facts, path)


def write_json(path: Path, value: object) -> None:
    """Write a dataclass as JSON, with null for a number that is not finite."""
    text = TypeAdapter(type(value)).dump_json(value, indent=1)
    write_text(path, text.decode(), run_error)


def as_value(cls: type[T], facts: object, path: Path) -> T:
    """The `cls` (a dataclass, a dict) that the plain data read at `path` describes.

    Names that the class does not have are left out, as files of a later marey may have them.

    Raises:
        RunError: a value is not of the type of its field; the first is named.
    """
    try:
        value: T = TypeAdapter(cls).validate_python(facts)
        return value
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(map(str, fault["loc"])) or "it"
        raise RunError(f"{path}: {field} is {fault['input']!r}. {fault['msg']}") from error
