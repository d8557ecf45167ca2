"""Columns of intervals: a row for each, faults by line, units that are told or asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marey.data.lists.listing import Listing
from marey.data.lists.lists import read_listing
from marey.data.lists.wanted_columns import WantedColumns
from marey.errors import ManifestError


def read(folder: Path, text: str, columns: str | None = None) -> Listing:
    (folder / "l.csv").write_text(text, encoding="utf-8")
    return read_listing(folder / "l.csv", WantedColumns.parse(columns))


def rows(listing: Listing) -> list[tuple[str, str, float | None, float | None]]:
    return [(row.path, row.labels["label"], row.start, row.end) for row in listing.rows]


NAMED = [("a.mp4", "run", 0, 2.5), ("a.mp4", "run", 4, 6), ("a.mp4", "sit", 2.5, 4)]


@pytest.mark.parametrize("name", ["Classes", "intervals", "what happens"])
def test_a_cell_of_classes_and_times_is_a_row_for_each(name: str, tmp_path: Path) -> None:
    listing = read(
        tmp_path,
        f"video,{name},note\n"
        "a.mp4,run[0 to 2.5; 4-6]; sit[2.5 to 4],dry\nb.mp4,,wet\nc.mp4,sit [0:00 – 1:02.5],wet\n",
    )
    assert rows(listing) == [*NAMED, ("c.mp4", "sit", 0, 62.5)]
    assert [row.line.number for row in listing.rows] == [2, 2, 2, 4]
    assert (listing.used, listing.unit) == ({"path": "video", "intervals": name}, "seconds")
    assert listing.notes == [f"1 row of which `{name}` says nothing: left out"]
    assert listing.columns == {"note": ["dry", "dry", "dry", "wet"]}
    again = read(tmp_path, (tmp_path / "l.csv").read_text(), f"path=video,intervals={name}")
    assert again == listing


def test_times_may_stand_beside_a_column_of_labels(tmp_path: Path) -> None:
    text = "video,label,segments\na.mp4,run,0-2.5; 4 to 6\na.mp4,sit,2.5-4\n"
    listing = read(tmp_path, text)
    assert rows(listing) == NAMED
    assert listing.used == {"path": "video", "label": "label", "intervals": "segments"}


@pytest.mark.parametrize("cell", ['"[0.5, 3.5]"', '"(0:00.5, 0:03.5)"', "0.5|3.5"])
def test_a_start_and_an_end_may_be_a_list(tmp_path: Path, cell: str) -> None:
    listing = read(tmp_path, f"video,label,segment\na.mp4,run,{cell}\n")
    assert rows(listing) == [("a.mp4", "run", 0.5, 3.5)]
    several = 'video,label,segments\na.mp4,run|sit,"[[0.5, 1], [2, 3]]"\n'  # of which label?
    with pytest.raises(ManifestError, match="`segments` may say which part"):
        read(tmp_path, several)


def test_whole_numbers_of_no_unit_are_asked_for(tmp_path: Path) -> None:
    text = "video,Classes\na.mp4,run[0 to 30]; sit[30 to 50]\n"
    with pytest.raises(
        ManifestError,
        match=r"l\.csv:1: `Classes` says when .* no unit.*intervals_frame=Classes if they are fr",
    ):
        read(tmp_path, text)
    units = {"": ("seconds", 50), "_frame": ("frames", 50), "_ms": ("seconds", 0.05)}
    for role, (unit, last) in units.items():
        listing = read(tmp_path, text, f"intervals{role}=Classes")
        assert (listing.unit, listing.rows[-1].end) == (unit, last)
        assert listing.used == {"path": "video", f"intervals{role}": "Classes"}


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("sit[3.5 to 2]", r"l\.csv:3: the end is not after the start: 'sit\[3.5 to 2\]'.*wrong"),
        ("sit[2 to 2]", r"l\.csv:3: the end is not after the start: 'sit\[2 to 2\]'"),
        ("sit[2]", r"l\.csv:3: no time from a start to an end: 'sit\[2\]'.*Name\[1.5 to 3\]"),
        ("sit[soon to 2]", r"no time from a start to an end: 'sit\[soon to 2\]'"),
        ("sit[1 to 2]; run", r"l\.csv:3: no time in brackets: 'run'"),
        ("sit[-1 to 2]", r"no time from a start to an end: 'sit\[-1 to 2\]'"),
    ],
)
def test_what_is_no_interval_is_named_by_its_line(cell: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=message):
        read(tmp_path, f"video,Classes\na.mp4,run[0 to 2.5]\nb.mp4,{cell}\n")


WORDS = st.text("abcdefg hij", min_size=1, max_size=8).map(str.strip).filter(bool)
TIMES = st.tuples(st.integers(0, 500), st.integers(1, 500)).map(
    lambda of: (of[0] / 8, (of[0] + of[1]) / 8)
)


@given(st.lists(st.tuples(WORDS, st.lists(TIMES, min_size=1, max_size=3)), min_size=1, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_written_in_a_cell_is_read_again(
    tmp_path: Path, parts: list[tuple[str, list[tuple[float, float]]]]
) -> None:
    cell = "; ".join(
        f"{label}[{'; '.join(f'{start} to {end}' for start, end in times)}]"
        for label, times in parts
    )
    found = rows(read(tmp_path, f"path,intervals\na.mp4,{cell}\n"))
    assert found == [("a.mp4", label, *time) for label, times in parts for time in times]


def test_texts_with_brackets_are_no_intervals(tmp_path: Path) -> None:
    listing = read(tmp_path, "path,label,note\na.mp4,run,see [1]\nb.mp4,sit,as before\n")
    assert rows(listing) == [("a.mp4", "run", None, None), ("b.mp4", "sit", None, None)]
