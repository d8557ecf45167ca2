"""ELAN's tab-delimited text, with a header and without."""

from __future__ import annotations

from pathlib import Path

import pytest

from marey.errors import ManifestError
from tests.data.lists.exports.exported import clips, read

TIMES = "Begin Time - hh:mm:ss.ms\tBegin Time - ss.msec\tEnd Time - hh:mm:ss.ms\tEnd Time - ss.msec"
JUMP = "00:00:01.000\t1.0\t00:00:02.500\t2.5"
RUN = "00:01:04.000\t64.0\t00:01:05.000\t65.0"
WANTED = [("p1", "jump", 1, 2.5), ("p1", "run", 64, 65)]


def test_tiers_are_values_of_a_column(tmp_path: Path) -> None:
    text = f"Tier\t{TIMES}\tAnnotation\nAction\t{JUMP}\tjump\nAction\t{RUN}\trun\nAction\t{RUN}\t\n"
    listing = read(tmp_path / "p1.txt", text)
    assert clips(listing) == WANTED
    assert listing.notes == ["passed over 1 lines without an annotation"]
    text += f"Mood\t{RUN}\tgood\n"
    with pytest.raises(
        ManifestError, match=r"`Action` \(2\), `Mood` \(1\).*label=Action or label=Mo"
    ):
        read(tmp_path / "p1.txt", text)
    assert clips(read(tmp_path / "p1.txt", text, "label=Action")) == WANTED


def test_tiers_are_columns(tmp_path: Path) -> None:
    text = f"{TIMES}\tAction\tMood\n{JUMP}\tjump\tgood\n{RUN}\trun\t\n"
    assert clips(read(tmp_path / "p1.txt", text, "label=Action")) == WANTED
    one = (
        text.replace("\tMood", "\tFile Path")
        .replace("good", "/x/p1.eaf")
        .replace("run\t", "run\t/x/p1.eaf")
    )
    (tmp_path / "p1.mp4").touch()
    assert clips(read(tmp_path / "all.txt", one))[0] == ("p1.mp4", "jump", 1, 2.5)


def test_milliseconds_are_read_where_nothing_else_is(tmp_path: Path) -> None:
    text = "Begin Time - msec\tEnd Time - msec\tAction\n1000\t2500\tjump\n"
    assert clips(read(tmp_path / "p1.txt", text)) == WANTED[:1]


def test_without_a_header_the_clock_tells_the_columns(tmp_path: Path) -> None:
    lines = f"Action\t\t{JUMP}\t00:00:01.500\tjump\nAction\t\t{RUN}\t00:00:01.000\trun\n"
    listing = read(tmp_path / "p1.txt", lines)
    assert clips(listing) == WANTED
    assert [row.line.number for row in listing.rows] == [1, 2]


def test_a_line_of_the_file_says_the_video_and_its_offset(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").touch()
    head = '"#file:///C:/x/all.eaf"\n"#file:///C:/x/v.mp4 -- offset: 500"\n'
    text = f"{head}Tier\t{TIMES}\tAnnotation\nAction\t{JUMP}\tjump\n"
    assert clips(read(tmp_path / "all.txt", text)) == [("v.mp4", "jump", 1.5, 3)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f"Tier\t{TIMES}\tAnnotation\nA\t{JUMP.replace('1.0', 'x')}\tjump\n",
            "p1.txt:2: no time: 'x'",
        ),
        (
            "Tier\tBegin Time - PAL\tEnd Time - PAL\tValue\nA\t1\t2\tjump\n",
            "in none of the formats",
        ),
        (f"Tier\t{TIMES}\tAnnotation\nA\t{JUMP}\n", "5 fields, the header has 6"),
        (f"{TIMES}\n{JUMP}\n", "no tiers that could be the labels"),
    ],
)
def test_damage_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read(tmp_path / "p1.txt", text)
