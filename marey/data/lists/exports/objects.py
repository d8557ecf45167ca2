"""Lists of JSON objects, as Create ML has them, and JSON lines: tables by another spelling.

Create ML's annotations of videos: `[{"video": "a.mp4", "label": "jump", "start": 1, "end": 4}]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from marey.data.lists.exports.json_text import first_object
from marey.data.lists.listing import Listing
from marey.data.lists.object_table import object_table
from marey.data.lists.tables import read_table
from marey.data.lists.text_file import TextFile
from marey.data.lists.wanted_columns import WantedColumns


def is_json(file: TextFile) -> bool:
    """Whether it is annotations of videos for Create ML."""
    return {"video", "label"} <= first_object(file).keys()


def read_json(file: TextFile, wanted: Mapping[str, str]) -> Listing:
    """The clips of a JSON list of objects."""
    objects = list(file.objects())
    file.faults.settle()
    listing = read_table(object_table(file, objects), ",", WantedColumns(wanted))
    return replace(listing, format=listing.format.replace("comma-separated", "of Create ML's JSON"))
