"""JSON of lists: what it begins with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from marey.data.lists.rejects import SourceLine
from marey.data.lists.text_file import TextFile


def first_object(file: TextFile) -> Mapping[str, object]:
    """The first object of a JSON list, {} if the file is none."""
    text = file.text.lstrip()
    if not text.startswith("["):
        return {}
    try:
        value, _ = json.JSONDecoder().raw_decode(text[1:].lstrip())
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def json_lines(file: TextFile) -> Iterator[tuple[SourceLine, Mapping[str, object]]]:
    """The object on every line; a line that is none is a fault."""
    for line, text in file.lines():
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            yield line, value
        else:
            file.faults.add(line, text, "no JSON object", "write one object a line")
