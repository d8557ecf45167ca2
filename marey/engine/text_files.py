"""Small files of a run, read back as text, JSON or a value; what cannot be understood is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from marey.errors import RunError


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
    return as_mapping(path, facts)


def as_mapping(path: Path, facts: object) -> dict[str, Any]:
    """`facts`, which were read at `path`; RunError if they are not names with values."""
    if not isinstance(facts, dict):
        raise RunError(f"{path} holds a {type(facts).__name__}, expected names with values")
    return facts
