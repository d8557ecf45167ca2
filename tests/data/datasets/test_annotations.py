"""Annotation files: rows with their lines, faults collected in one pass, files found by name."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from marey.data.datasets.catalog import DATASETS, find_dataset
from marey.data.datasets.dataset import AnnotatedClip, DataSet
from marey.data.lists.annotations import Annotations
from marey.data.lists.class_names import ClassNames
from marey.data.lists.plain_lists import read_plain
from marey.data.lists.rejects import SourceLine
from marey.data.lists.text_file import whole
from marey.data.prepare.find_forms import read_annotations
from marey.data.prepare.find_media import find_media
from marey.data.prepare.valid_clips import valid_clips
from marey.errors import ManifestError

CLASSES = [f"Gesture {number}" for number in range(26)] + ["No gesture"]


def annotations(folder: Path, content: str | bytes, name: str = "train.csv") -> Annotations:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Annotations({"train": path})


def jester(folder: Path, train: bytes, val: str = "900;No gesture\n") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "jester-v1-labels.csv").write_text("\n".join(CLASSES))
    (folder / "jester-v1-train.csv").write_bytes(train)
    (folder / "jester-v1-validation.csv").write_text(val)
    return folder


def test_every_item_of_a_json_list_has_the_line_it_begins_in(tmp_path: Path) -> None:
    items = [{"id": str(n), "template": "Holding [something]"} for n in range(5)]
    files = annotations(tmp_path, json.dumps(items, indent=1))
    lines = (tmp_path / "train.csv").read_text().split("\n")
    for line, item in files.open("train").objects("id"):
        assert lines[line.number - 1].strip() == "{"
        assert item["id"] in lines[line.number]


def test_items_that_are_no_objects_are_rejected_and_the_others_read(tmp_path: Path) -> None:
    files = annotations(tmp_path, '[{"id": "1"},\n 7,\n {"name": "2"},\n {"id": "3"}]')
    assert [item["id"] for _, item in files.open("train").objects("id")] == ["1", "3"]
    assert [(row.line.number, row.reason) for row in files.rejects] == [
        (2, "no object"),
        (3, "no 'id'"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1}', "train.csv:1: not a list of JSON"),
        ('[{"id": "1"},\n{"id":', "train.csv:2: not JSON from here on"),
        ('[{"id": "1"}', "train.csv:1: the list breaks off"),
        ('[{"id": "1"}\n{"id": "2"}]', "train.csv:2: the list breaks off"),
        ("", "not a list of JSON"),
        (f"[{'1' * 5000}]", "train.csv:1: not JSON from here on"),
    ],
)
def test_json_that_breaks_off_is_an_error_with_its_line(
    text: str, said: str, tmp_path: Path
) -> None:
    files = annotations(tmp_path, text)
    with pytest.raises(ManifestError, match=said):
        list(files.open("train").objects("id"))


@pytest.mark.parametrize("text", ["1" * 5000, "[" * 100_000, "{"])
def test_an_object_that_cannot_be_read_is_an_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="not JSON"):
        annotations(tmp_path, text).open("train").json()


@pytest.mark.parametrize("layout", ["{name", "{}", "{name.x}", "{name[x]}"])
def test_a_layout_that_cannot_be_read_is_an_error(layout: str, tmp_path: Path) -> None:
    clip = AnnotatedClip(SourceLine(tmp_path, 1), "a", "train", {})
    with pytest.raises(ManifestError, match="cannot be read"):
        find_media([clip], (), tmp_path, [layout])


def test_a_quote_that_is_not_closed_costs_its_own_line_only(tmp_path: Path) -> None:
    files = annotations(tmp_path, 'id,name\n1,"a, b"\n2,"open\n3,c\n4,d,e\n')
    assert [row["name"] for _, row in files.open("train").table(("id",))] == ["a, b", "c"]
    assert [row.line.number for row in files.rejects] == [3, 5]


def test_a_table_without_a_column_that_is_needed_is_an_error(tmp_path: Path) -> None:
    files = annotations(tmp_path, "id,name\n1,2\n")
    with pytest.raises(ManifestError, match=r"train.csv:1: no column 'youtube_id', only 'id,name'"):
        list(files.open("train").table(("youtube_id",)))


def test_bytes_that_are_not_utf8_are_rejected_with_their_line(tmp_path: Path) -> None:
    files = annotations(tmp_path, b"1;a\n2;caf\xe9\n3;caf\xc3\xa9\r\n\n4;b")
    assert [(line.number, text) for line, text in files.open("train").lines()] == [
        (1, "1;a"),
        (3, "3;café"),
        (5, "4;b"),
    ]
    assert files.rejects[0].line.number == 2
    assert files.rejects[0].reason == "bytes that are not UTF-8"


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a/1 40 7\nb/2 30 0\n", [("a/1", 7, 40), ("b/2", 0, 30)]),
        (
            "riding a bike/x.mp4 3\nyoga/y.mp4 1\n",
            [("riding a bike/x.mp4", 3, None)] * 1 + [("yoga/y.mp4", 1, None)],
        ),
        ("a;1;40;7\nb;1;30;2\n", [("a", 7, None), ("b", 2, None)]),
        ("a.mp4,3\nb.mp4,4\n", [("a.mp4", 3, None), ("b.mp4", 4, None)]),
        ("a\t9\t1\nb\t8\t2\n", [("a", 1, 9), ("b", 2, 8)]),
    ],
)
def test_lists_of_all_toolboxes_are_read(
    text: str, rows: list[tuple[str, int, int | None]], tmp_path: Path
) -> None:
    files = annotations(tmp_path, text)
    plain = read_plain(files.open("train"))
    found = [(row.path, int(row.labels["label"]), row.num_frames) for row in plain]
    assert found == rows
    assert not files.rejects


def test_frames_of_a_list_count_from_0_and_end_before_the_end(tmp_path: Path) -> None:
    rows = list(read_plain(annotations(tmp_path, "a 5 14 2\nb 1 9 2\n").open("train")))
    assert [(row.start, row.end) for row in rows] == [(4, 14), (0, 9)]
    assert [row.labels for row in rows] == [{"label": "2"}] * 2


def test_all_faults_of_a_set_are_found_in_one_pass(tmp_path: Path) -> None:
    train = (
        b"1;Gesture 0\n2;Gesture 99\n3\n1;Gesture 1\n\xff;x\nErr:522,\n../4;Gesture 1\n5;No gesture"
    )
    folder = jester(tmp_path, train, val="5;No gesture\n6;Gesture 2\n")
    index, files, _ = read_annotations(find_dataset("jester"), folder)
    clips = valid_clips(index, files, tmp_path)
    assert [(clip.name, clip.split) for clip in clips] == [
        ("1", "train"),
        ("5", "train"),
        ("6", "val"),
    ]
    said = {(row.line.path.name, row.line.number): row.reason for row in files.rejects}
    assert said == {
        ("jester-v1-train.csv", 2): "none of the 27 classes",
        ("jester-v1-train.csv", 3): "no label",
        ("jester-v1-train.csv", 4): f"was given before, at {folder / 'jester-v1-train.csv'}:1",
        ("jester-v1-train.csv", 5): "bytes that are not UTF-8",
        ("jester-v1-train.csv", 6): "no clip: they are called by numbers",
        ("jester-v1-train.csv", 7): "no clip: they are called by numbers",
        ("jester-v1-validation.csv", 1): f"was given before, at {folder / 'jester-v1-train.csv'}:8",
    }


def test_names_compare_by_letters_and_digits_and_others_are_no_class() -> None:
    names = ClassNames(["petting animal (not cat)", "yoga", "Holding something"])
    assert names.index("petting_animal_(not_cat)") == 0
    assert names.index("yoga''.") == 1
    assert names.index("Holding [something]") == 2
    assert names.index("yogas") is names.index("") is None


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
def test_without_annotations_every_name_that_was_looked_for_is_said(
    dataset: DataSet, tmp_path: Path
) -> None:
    found = find_dataset(dataset.name)
    with pytest.raises(ManifestError) as error:
        read_annotations(found, tmp_path)
    assert all(
        n in str(error.value)
        for form in found.forms
        for f in form.files.values()
        for n in f.split()
    )
    assert found.source in error.value.hint
    assert "--annotations" in error.value.hint


def test_an_unknown_data_set_is_answered_with_the_nearest() -> None:
    with pytest.raises(ManifestError, match="did you mean 'kinetics400'"):
        find_dataset("kinetics40")


@given(st.text(max_size=12))
def test_whole_numbers_are_what_int_reads_without_signs_or_marks(text: str) -> None:
    number = whole(text)
    assert number is None or (number == int(text) and text.isdigit() and number >= 0)


LINE = st.one_of(
    st.integers(-5, 40).map(lambda n: f"{n};Gesture {abs(n) % 30}".encode()),
    st.text(alphabet=";,\"' .é\x00\x85\u2028٣7a/\\", max_size=12).map(str.encode),
    st.binary(max_size=10),
    st.sampled_from([b"", b"Err:522,", b"../../7;Gesture 1", b'8;"Gesture 1', b"9;[Gesture] 2"]),
)


@given(st.lists(LINE, max_size=20))
def test_whatever_stands_in_a_file_each_line_is_a_clip_or_a_reject(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    assume(not b"\n".join(lines).lstrip().lower().startswith((b"<html", b"<!doctype")))  # no list
    folder = jester(tmp_path_factory.getbasetemp() / "fuzz", b"\n".join(lines))
    index, files, _ = read_annotations(find_dataset("jester"), folder)
    clips = valid_clips(index, files, folder)
    train = folder / "jester-v1-train.csv"
    text = train.read_bytes().decode("utf-8-sig", "surrogateescape")
    full = [
        number
        for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1)
        if line and not line.isspace()
    ]
    lines_met = [clip.line for clip in clips] + [row.line for row in files.rejects]
    assert sorted(line.number for line in lines_met if line.path == train) == full
    assert len({clip.name for clip in clips}) == len(clips)
    assert all(whole(clip.name) is not None and "label" in clip.labels for clip in clips)


ROW = st.lists(
    st.one_of(st.integers(-3, 200).map(str), st.text(max_size=6), st.just("nan"), st.just("")),
    min_size=1,
    max_size=6,
)


@given(st.lists(ROW, max_size=12))
def test_whatever_stands_in_a_table_each_row_is_a_clip_or_a_reject(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "tables"
    folder.mkdir(exist_ok=True)
    (folder / "label_map_k400.txt").write_text("\n".join(f"class {n}." for n in range(400)))
    with (folder / "train.csv").open("w", newline="", encoding="utf-8", errors="ignore") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "youtube_id", "time_start", "time_end"])
        writer.writerow(["class 7.", "abc-_456789", "3", "13"])
        writer.writerows(rows)
    index, files, _ = read_annotations(find_dataset("kinetics400"), folder)
    clips = valid_clips(index, files, folder)
    assert clips[0].name == "abc-_456789_000003_000013"
    places = [clip.line.number for clip in clips] + [row.line.number for row in files.rejects]
    assert len(places) == len(set(places))
