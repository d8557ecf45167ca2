"""What a person should look at before training on the classes of a list."""

from __future__ import annotations

from pathlib import Path

from marey.data.lists.lists import read_listing
from marey.data.own_videos.class_doubts import doubts_of_classes


def doubts(folder: Path, rows: str) -> list[str]:
    path = folder / "l.csv"
    path.write_text(f"video,label,start,end\n{rows}", encoding="utf-8")
    listing = read_listing(path)
    classes = sorted({row.labels["label"] for row in listing.rows})
    found = doubts_of_classes(listing, "label", classes, len(classes))
    return [each.replace(f"{path}", "l.csv") for each in found]


def spans(*rows: tuple[str, str, float, float]) -> str:
    return "".join(f"{video}.mp4,{label},{start},{end}\n" for video, label, start, end in rows)


TOUCHING = spans(*(("a", "sit", i / 2, i / 2 + 0.5) for i in range(3)), ("a", "run", 0.2, 1))


def test_spans_that_touch_or_are_of_other_classes_are_no_doubt(tmp_path: Path) -> None:
    assert doubts(tmp_path, TOUCHING) == []


def test_spans_of_one_class_that_overlap_are_named_by_their_lines(tmp_path: Path) -> None:
    more = spans(("b", "sit", 0.0, 0.6), ("a", "run", 0.9, 2), ("b", "sit", 0.5, 1))
    assert doubts(tmp_path, TOUCHING + more) == [
        "2 pairs of spans of one class that overlap in their file: l.csv:5 and 7, l.csv:6 and 8"
    ]


def test_a_class_of_one_clip_that_is_nearly_another_is_named_by_its_line(tmp_path: Path) -> None:
    assert doubts(tmp_path, TOUCHING + spans(("b", "sitt", 0.5, 1))) == [
        "l.csv:6: the only clip of 'sitt', which is nearly 'sit', a class of 3"
    ]
