"""JSON lists of objects, as Create ML has them, and JSON lines: tables by another spelling.

Create ML's annotations of videos: `[{"video": "a.mp4", "label": "jump", "start": 1, "end": 4}]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from marey.data.lists.exports.json_text import first_object, json_lines
from marey.data.lists.listing import Listing
from marey.data.lists.object_table import object_table
from marey.data.lists.rejects import Faults
from marey.data.lists.tables import read_json, read_table
from marey.data.lists.text_file import TextFile
from marey.data.lists.wanted_columns import WantedColumns
from marey.data.manifest.column_names import of_kind


def is_create_ml(file: TextFile) -> bool:
    """Whether it is annotations of videos for Create ML."""
    return {"video", "label"} <= first_object(file).keys()


def is_lines(file: TextFile) -> bool:
    """Whether the first line is an object that names a clip and its label."""
    looked_at = replace(file, faults=Faults())
    first = next((entry for _, entry in json_lines(looked_at)), {})
    return bool(of_kind("path", [*first]) and of_kind("label", [*first]))


def read_create_ml(file: TextFile, wanted: Mapping[str, str]) -> Listing:
    """The clips of a JSON list of objects."""
    return read_json(file, WantedColumns(wanted))


def read_lines(file: TextFile, wanted: Mapping[str, str]) -> Listing:
    """The clips of objects that stand on lines of their own."""
    return read_any_lines(file, WantedColumns(wanted))


def read_any_lines(file: TextFile, wanted: WantedColumns) -> Listing:
    """The same, whatever their names: an error asks for those that are wanted and not known."""
    listing = read_table(object_table(file, list(json_lines(file))), ",", wanted)
    return replace(listing, format=listing.format.replace("comma-separated", "of lines of JSON"))
