"""Label Studio: frames from 1 with their ends, seconds of sound, choices; JSON and tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from marey.errors import ManifestError
from tests.data.lists.exports.exported import clips, read

VIDEO = "day/p1.mp4"


def timeline(
    label: str, *ranges: tuple[int | None, int | None], control: str = "tl"
) -> dict[str, Any]:
    spans = [{"start": start, "end": end} for start, end in ranges]
    value = {"ranges": spans, "timelinelabels": [label]}
    return {"type": "timelinelabels", "from_name": control, "id": label, "value": value}


def choice(*labels: str, control: str = "choice", **more: object) -> dict[str, Any]:
    return {"type": "choices", "from_name": control, "value": {"choices": [*labels], **more}}


def task(
    *results: Mapping[str, object], number: int = 1, video: str = VIDEO, **more: object
) -> object:
    return {
        "id": number,
        "data": {"video": video},
        "annotations": [{"id": 9, "result": results, **more}],
    }


def test_ranges_are_frames_from_1_with_their_ends(tmp_path: Path) -> None:
    entries = [task(timeline("jump", (1, 50)), timeline("run", (51, 51), (None, 9)))]
    listing = read(tmp_path / "ls.json", entries)
    assert "spans in frames (from 1, ends included)" in listing.format
    assert clips(listing) == [
        (VIDEO, "jump", 0, 50),  # 50 frames
        (VIDEO, "run", 50, 51),  # one
        (VIDEO, "run", None, 9),
    ]
    assert listing.unit == "frames"
    assert listing.used == {"path": "video", "label": "tl"}
    assert "frameRate" in listing.notes[0]


def test_labels_of_sound_are_seconds_and_choices_of_a_region_have_its_span(tmp_path: Path) -> None:
    sound = {
        "type": "labels",
        "from_name": "s",
        "id": "r1",
        "value": {"start": 0.5, "end": 2, "labels": ["a"]},
    }
    of_region = choice("jump", start=0.5, end=2) | {"id": "r1"}
    listing = read(tmp_path / "ls.json", [task(sound, of_region)], "label=choice")
    assert clips(listing) == [(VIDEO, "jump", 0.5, 2)]
    assert listing.unit == "seconds"
    bare = choice("jump") | {"id": "r1"}
    assert clips(read(tmp_path / "b.json", [task(sound, bare)], "label=choice")) == clips(listing)


def test_choices_are_of_the_whole_file_and_may_be_several(tmp_path: Path) -> None:
    listing = read(tmp_path / "ls.json", [task(choice("jump", "run"))])
    assert clips(listing) == [(VIDEO, "jump|run", None, None)]
    with pytest.raises(ManifestError, match=r"ls.json:1: a class with `\|` in its name"):
        read(tmp_path / "ls.json", [task(choice("jump|run"))])


def test_what_could_be_the_class_is_asked(tmp_path: Path) -> None:
    entries = [task(timeline("jump", (1, 5)), choice("good", control="quality"))]
    hint = r"(?s)`tl` \(1\), `quality` \(1\).*--columns label=tl or label=quality"
    with pytest.raises(ManifestError, match=hint):
        read(tmp_path / "ls.json", entries)
    assert clips(read(tmp_path / "ls.json", entries, "label=quality")) == [
        (VIDEO, "good", None, None)
    ]
    with pytest.raises(ManifestError, match="no label 'tll'; the controls are tl, quality"):
        read(tmp_path / "ls.json", entries, "label=tll")


def test_what_is_passed_over_is_counted(tmp_path: Path) -> None:
    box = {"type": "videorectangle", "value": {"sequence": [], "labels": ["man"]}}
    note = {"type": "textarea", "value": {"text": ["?"]}}
    entries = [
        task(choice("jump"), box, note, note),
        {"id": 2, "data": {"video": "b.mp4"}, "annotations": []},
        task(choice("run"), number=3, was_cancelled=True),
    ]
    assert sorted(read(tmp_path / "ls.json", entries).notes) == [
        "passed over 1 annotations that were skipped",
        "passed over 1 results of type videorectangle",
        "passed over 2 results of type textarea",
        "passed over 2 tasks without annotations",
    ]
    with pytest.raises(ManifestError, match="no controls that could be the labels"):
        read(tmp_path / "ls.json", [task(box)])


def test_annotations_of_a_task_agree_or_one_is_the_truth(tmp_path: Path) -> None:
    def entry(*second: object, truth: bool = False) -> object:
        first = {"id": 1, "result": [choice("jump")], "ground_truth": truth}
        others = [{"id": 2, "result": [each]} for each in second]
        return {"id": 7, "data": {"video": "p1.mp4"}, "annotations": [first, *others]}

    agreed = [("p1.mp4", "jump", None, None)]
    assert clips(read(tmp_path / "a.json", [entry(choice("jump"))])) == agreed
    assert clips(read(tmp_path / "a.json", [entry(choice("run"), truth=True)])) == agreed
    with pytest.raises(ManifestError, match=r"a.json:1: task 7 has 2 annotations that differ"):
        read(tmp_path / "a.json", [entry(choice("run"))])


@pytest.mark.parametrize("kind", ["json", "csv", "tsv"])
def test_json_min_and_tables_say_the_same(tmp_path: Path, kind: str) -> None:
    spans = '[{"ranges": [{"start": 1, "end": 50}], "timelinelabels": ["jump"]}]'
    if kind == "json":
        text = f'[{{"video": "{VIDEO}", "id": 1, "tl": {spans}, "who": "x", "annotation_id": 5}}]'
    else:
        cells = [VIDEO, "1", '"' + spans.replace('"', '""') + '"', "x", "5", "3.1"]
        header = ["video", "id", "tl", "who", "annotation_id", "lead_time"]
        text = "\n".join(("," if kind == "csv" else "\t").join(row) for row in (header, cells))
    listing = read(tmp_path / f"min.{kind}", text)
    assert clips(listing) == [(VIDEO, "jump", 0, 50)]
    assert listing.columns == {"who": ["x"]}


def test_words_beside_the_choice_are_columns(tmp_path: Path) -> None:
    text = (
        "id,video,choice,subject,annotation_id,lead_time\n1,a.mp4,jump,s1,5,1\n2,b.mp4,run,s2,6,1\n"
    )
    with pytest.raises(ManifestError, match=r"`choice` \(2\), `subject` \(2\)"):
        read(tmp_path / "c.csv", text)
    listing = read(tmp_path / "c.csv", text, "label=choice,group=subject")
    assert listing.columns == {"subject": ["s1", "s2"]}
    assert listing.used == {"path": "video", "label": "choice", "group": "subject"}


def test_choices_in_tables_have_the_ids_of_their_tasks(tmp_path: Path) -> None:
    text = (
        "annotation_id,annotator,choice,created_at,id,lead_time,video\n"
        "5,1,jump,2024,1,3.2,p1.mp4\n6,1,run,2024,2,3.2,p1.mp4\n"
        '7,1,"{""choices"": [""jump"", ""run""]}",2024,3,1,p2.mp4\n8,1,,2024,4,1,p3.mp4\n'
    )
    listing = read(tmp_path / "c.csv", text)
    assert [(row.path, row.labels["label"], row.id) for row in listing.rows] == [
        ("p1.mp4", "jump", "1"),
        ("p1.mp4", "run", "2"),
        ("p2.mp4", "jump|run", "3"),
    ]
    assert listing.notes == ["passed over 1 tasks without a label"]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([task(timeline("jump", (9, 3)))], r"ls.json:1: task 1: a span that ends before"),
        ([task(timeline("jump", (0, 3)))], r"ls.json:1: task 1: a span before the first frame"),
        ([{"id": 1, "data": 3, "annotations": []}], "no task with data and annotations"),
        ('[{"id": 1, "data": {"video": "a.mp4"}, "annotations": [', "not JSON from here on"),
        ([task(choice("a"), video="notes.txt")], "no data fields that could be the paths"),
    ],
)
def test_damage_is_named(tmp_path: Path, entries: object, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read(tmp_path / "ls.json", entries)
