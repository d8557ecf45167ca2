"""JSON of lists: what it begins with."""

from __future__ import annotations

import json
from collections.abc import Mapping

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
