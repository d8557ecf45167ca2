"""JSON objects as rows of a table: Create ML's annotations of videos, JSON lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from marey.errors import ManifestError
from tests.data.lists.exports.exported import clips, read


def test_times_are_seconds_as_numbers_and_on_the_clock(tmp_path: Path) -> None:
    entries = [
        {"video": "p1.mp4", "label": "jump", "start": "00:01", "end": "00:02.50"},
        {"video": "p1.mp4", "label": "run", "start": 4, "end": 5},
        {"video": "p2.mp4", "label": "run", "note": None},
    ]
    listing = read(tmp_path / "c.json", entries)
    assert clips(listing) == [
        ("p1.mp4", "jump", 1, 2.5),
        ("p1.mp4", "run", 4, 5),
        ("p2.mp4", "run", None, None),
    ]
    assert listing.unit == "seconds"
    assert "of objects of JSON" in listing.format


def test_any_names_of_columns_will_do_and_others_are_named(tmp_path: Path) -> None:
    entries = [{"filename": "a.mp4", "action": "jump", "start_time": 1.0, "end_time": 2.0}]
    assert clips(read(tmp_path / "c.json", entries)) == [("a.mp4", "jump", 1, 2)]
    lines = '{"clip": "a.mp4", "gloss": "hello"}\n\n{"clip": "b.mp4", "gloss": "bye"}\n'
    wanted = [("a.mp4", "hello", None, None), ("b.mp4", "bye", None, None)]
    assert clips(read(tmp_path / "c.jsonl", lines, "label=gloss")) == wanted
    assert clips(read(tmp_path / "c.jsonl", lines.replace("gloss", "label"))) == wanted
    array = "[" + ",".join(lines.split("\n\n")) + "]"
    assert clips(read(tmp_path / "c.json", array, "label=gloss")) == wanted


def test_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"c.json:1: 'start' is 'noon'; expected a time"):
        read(tmp_path / "c.json", [{"video": "p1.mp4", "label": "jump", "start": "noon", "end": 2}])
    with pytest.raises(ManifestError, match="c.json:1: no object: '3'"):
        read(tmp_path / "c.json", [{"video": "p1.mp4", "label": "jump"}, 3])
