"""BORIS: aggregated events, pairs of START and STOP, files that are played one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from marey.errors import ManifestError
from tests.data.lists.exports.exported import clips, read

AGGREGATED = "Observation id,Media file,FPS,Subject,Behavior,Behavior type,Start (s),Stop (s)\n"
PREAMBLE = (
    "Observation id\tobs1\t\t\n\t\t\nMedia file(s)\t\t\nPlayer #1\tp1.mp4\t\n"
    "Time offset (s)\t{}\t\n"
    "independent variables\t\t\nvariable\tvalue\t\n"
)
TABULAR = "Time\tMedia file path\tFPS\tSubject\tBehavior\tBehavioral category\tComment\tStatus\n"


def test_aggregated_events_are_seconds_and_points_last_no_time(tmp_path: Path) -> None:
    text = AGGREGATED + (
        "o1,p1.mp4,25,rat1,jump,STATE,1,2.5\no1,p1.mp4,25,rat1,run,STATE,4,5\n"
        "o1,p1.mp4,25,rat2,look,POINT,4.5,4.5\n"
    )
    listing = read(tmp_path / "b.csv", text)
    assert clips(listing) == [("p1.mp4", "jump", 1, 2.5), ("p1.mp4", "run", 4, 5)]
    assert listing.columns == {"Subject": ["rat1", "rat1"]}
    assert listing.notes == ["passed over 1 point events, which last no time"]
    assert listing.used == {"path": "Media file", "label": "Behavior"}
    assert clips(read(tmp_path / "b.csv", text, "label=Subject"))[0] == ("p1.mp4", "rat1", 1, 2.5)
    assert clips(read(tmp_path / "b.tsv", text.replace(",", "\t"))) == clips(listing)


def test_tabular_events_are_pairs_of_a_subject_after_lines_of_the_observation(
    tmp_path: Path,
) -> None:
    text = PREAMBLE.format("0.0") + TABULAR
    text += "1.5\tp1.mp4\t25\ta\tjump\t\t\tSTART\n2\tp1.mp4\t25\tb\tjump\t\t\tSTART\n"
    text += "2.5\tp1.mp4\t25\ta\tjump\t\t\tSTOP\n3\tp1.mp4\t25\tb\tlook\t\t\tPOINT\n"
    text += "4\tp1.mp4\t25\tb\tjump\t\t\tSTOP\n"
    listing = read(tmp_path / "b.tsv", text)
    assert clips(listing) == [("p1.mp4", "jump", 1.5, 2.5), ("p1.mp4", "jump", 2, 4)]
    assert listing.columns == {"Subject": ["a", "b"]}
    with pytest.raises(ManifestError, match=r"b.tsv:14: a START without its STOP: 'run'"):
        read(tmp_path / "b.tsv", text + "5\tp1.mp4\t25\tb\trun\t\t\tSTART\n")
    with pytest.raises(ManifestError, match=r"b.tsv:14: STOP status out of turn: 'run'"):
        read(tmp_path / "b.tsv", text + "5\tp1.mp4\t25\tb\trun\t\t\tSTOP\n")
    with pytest.raises(ManifestError, match=r"a time offset: '12.0'"):
        read(tmp_path / "b.tsv", text.replace("0.0", "12.0", 1))


def test_times_of_a_file_played_second_begin_where_the_first_ends(tmp_path: Path) -> None:
    head = (
        "Observation id,Source,Time offset (s),Media duration (s),Subject,Behavior,Modifier #1,"
        "Behavior type,Time,Media file name\n"
    )
    both = "o1,player #1:p1.mp4;p2.mp4|player #2:c.mp4,0,60.5;30|90.5,a,jump,fast"
    text = f"{head}{both},START,70,p2.mp4\n{both},STOP,71,p2.mp4\n"
    listing = read(tmp_path / "b.csv", text)
    assert clips(listing) == [("p2.mp4", "jump", 9.5, 10.5)]
    assert listing.notes == ["modifiers are no part of the class: Modifier #1"]
    rows = ["o1,p1.mp4,25,a,jump,STATE,1,2", "o1,p2.mp4,25,a,jump,STATE,70,71"]
    with pytest.raises(ManifestError, match=r"b.csv:2: an observation of several files, whose dur"):
        read(tmp_path / "b.csv", AGGREGATED + "\n".join(rows))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "o1,p1.mp4,25,a,jump,STATE,5,4",
            r"b.csv:2: an event that stops before it starts: '5 to 4'",
        ),
        ("o1,p1.mp4,25,a,jump,STATE,NA,NA", r"b.csv:2: no time: 'NA'"),
        (
            "o1,NA,25,a,jump,STATE,1,4",
            "without a labelled clip; passed over 1 events without a media",
        ),
        ("o1,p1.mp4,25,a,jump,STATE,1", "7 fields, the header has 8"),
    ],
)
def test_damage_is_named(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read(tmp_path / "b.csv", AGGREGATED + row + "\n")
