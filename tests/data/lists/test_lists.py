from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marey.data.lists.class_files import find_class_files, read_class_ids
from marey.data.lists.listing import Listing
from marey.data.lists.lists import read_listing
from marey.data.lists.numbering import number_classes
from marey.data.own_videos.init import init_dataset
from marey.errors import ManifestError, counted


def read(folder: Path, text: str | bytes, name: str = "list.txt"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_listing(path)


def paths_of(listing: Listing) -> list[str]:
    return [row.path for row in listing.rows]


def labels_of(listing: Listing) -> dict[str, list[str]]:
    return {head: [row.labels[head] for row in listing.rows] for head in listing.heads}


def bounds_of(listing: Listing) -> tuple[list[float | None], list[float | None]]:
    return [row.start for row in listing.rows], [row.end for row in listing.rows]


FORMATS = {
    "UCF101": ("a/v_g01.avi 1\r\nb/v_g02.avi 2\r\n", "`path label`, space", ["1", "2"]),
    "HMDB51, spaces at the end": ("a.avi 0 \nb.avi 1 \n", "`path label`, space", ["0", "1"]),
    "Kinetics": ("0wR5jVB-WPk.mp4,341\n3caP.mp4,3\n", "`path label`, comma", ["341", "3"]),
    "Jester": ("34870;Drumming Fingers\n565;No gesture\n", "`path label`, semi", None),
    "SSv1": ("100218 42 134\n48032 57 72\n", "`path num_frames label`, space", ["134", "72"]),
    "GST": ("x/a\t42\t3\ny/b\t50\t4\n", "`path num_frames label`, tab", ["3", "4"]),
    "IBM": ("x/a 1 42 3\ny/b 5 9 4\n", "`path start end label`, space", ["3", "4"]),
    "IBM Kinetics": ("ice skating/a b;1;42;3\nx/c;1;9;4\n", "`path start end label`, semi", None),
    "csv": ("path,label\na.mp4,jump\n", "a table with `path` and `label`, comma", ["jump"]),
    "other names": ("Video Name;Class\na.mp4;7\n", "`Video Name` and `Class`, semicolon", ["7"]),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_list_is_told_by_what_it_holds_and_says_so(tmp_path, name):
    text, found, labels = FORMATS[name]
    listing = read(tmp_path, text)
    assert found in listing.format
    assert listing.format.endswith(counted(len(listing), "row"))
    if labels:
        assert labels_of(listing) == {"label": labels}


def test_the_frames_of_an_ibm_list_count_from_1_and_include_the_last(tmp_path):
    listing = read(tmp_path, "x/a 1 42 3\ny/b 5 9 4\n")
    assert bounds_of(listing) == ([0, 4], [42, 9])
    assert listing.unit == "frames"


def test_a_path_may_hold_spaces_and_end_in_a_number(tmp_path):
    listing = read(tmp_path, "my  clips/take 2.mp4 1\nmy clips/take 33 4\nmy clips/last 0\n")
    assert paths_of(listing) == ["my  clips/take 2.mp4", "my clips/take 33", "my clips/last"]
    assert labels_of(listing)["label"] == ["1", "4", "0"]


def test_a_table_keeps_its_other_columns_and_its_line_numbers(tmp_path):
    text = 'speaker,file,label\n\nF01,"a, b.mp4",x\nF02,c.mp4,y\n'
    listing = read(tmp_path, text, "clips.csv")
    assert listing.columns == {"speaker": ["F01", "F02"]}
    assert paths_of(listing) == ["a, b.mp4", "c.mp4"]
    assert [row.line.number for row in listing.rows] == [3, 4]


def test_epic_kitchens_has_two_heads_and_times(tmp_path):
    text = (
        "narration_id,video_id,start_timestamp,stop_timestamp,verb,verb_class,noun_class\n"
        "P01_11_0,P01_11,00:00:01.50,00:01:02.25,take,0,2\nP01_11_1,P01_11,01:00:00,,cut,7,3\n"
    )
    listing = read(tmp_path, text)
    assert labels_of(listing) == {"verb": ["0", "7"], "noun": ["2", "3"]}
    assert bounds_of(listing) == ([1.5, 3600], [62.25, None])


def test_parts_of_rulstm_are_seconds_with_verbs_and_nouns_or_an_action(tmp_path):
    (tmp_path / "epic.csv").write_text("P01_01_0,P01_01,4,101,3,3,2413\nb,P01_101,30,60,0,2,1\n")
    epic = read_listing(tmp_path / "epic.csv")
    assert paths_of(epic) == ["P01_01", "P01_101"]
    assert labels_of(epic) == {"verb": ["3", "0"], "noun": ["3", "2"]}
    assert bounds_of(epic) == ([4 / 30, 1.0], [101 / 30, 2.0])
    assert (epic.unit, [row.id for row in epic.rows]) == ("seconds", ["P01_01_0", "b"])
    (tmp_path / "egtea.csv").write_text("2,P07-R01-PastaSalad,2751,2808,2,4,7\n")
    egtea = read_listing(tmp_path / "egtea.csv")
    assert labels_of(egtea) == {"label": ["7"]}
    (tmp_path / "odd.csv").write_text("a,P01_01,4,101,3,3,5\n" * 6 + "b,P01_01,4,101,3,3\n")
    with pytest.raises(ManifestError, match=r"odd.csv:7: not a `uid,video,start"):
        read_listing(tmp_path / "odd.csv")


def test_something_something_json_takes_the_template_without_brackets(tmp_path):
    entries = [{"id": 78687, "label": "holding potato", "template": "Holding [something]"}]
    listing = read(tmp_path, json.dumps(entries), "train.json")
    assert (paths_of(listing), labels_of(listing)) == (["78687"], {"label": ["Holding something"]})


WRONG = {
    "labels in words": (
        "a 11 678\nb 12 28 5\n",
        r"labels, and may be `path num_frames labels` or `path",
    ),
    "many numbers": ("a 1 2 3 4 5\nb 1 2 3 4 5\n", r"list\.txt: 5 numbers end a line.*a header"),
    "spans that fall": ("a 9 2 3\nb 8 1 5\n", r"list\.txt: 3 numbers end a line"),
    "no labels": ("a.mp4\nb.mp4\n", r"list\.txt: paths without labels"),
    "a dirty line": ("a;x\nb;y\n" * 20 + "Err:522;\n", r":41: not a `path label`: 'Err:522'"),
    "a line cut short": ("a 5 1\n" * 20 + "b\n", r":21: not a"),
    "empty": ("\n \n", "the list is empty"),
    "only a header": ("path,label\n", "no rows, only a header"),
    "a ragged table": ("path,label\na,1\nb\n", r":3: 1 field, the header has 2"),
    "a column twice": ("path,label,path\na,1,b\n", "two columns are named 'path'"),
    "a time in words": ("path,label,start,end\na,1,noon,2\n", r":2: 'start' is 'noon'"),
    "bad utf-8": (b"a.mp4 1\n\xff.mp4 2\n", r":2: bytes that are not UTF-8"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_line_that_does_not_fit_is_an_error_with_its_number(tmp_path, name):
    text, message = WRONG[name]
    with pytest.raises(ManifestError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', '[{"id": 1}]', "[1]"])
def test_json_of_another_kind_is_an_error_that_says_what_was_expected(tmp_path, text):
    with pytest.raises(ManifestError, match=r"not JSON|expected a list of objects|no column"):
        read(tmp_path, text, "x.json")


def test_a_list_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ManifestError, match=r"cannot read .*none\.txt"):
        read_listing(tmp_path / "none.txt")


line = st.one_of(
    st.binary(max_size=30),
    st.lists(st.sampled_from([b"a.mp4", b"1", b"-2", b"1,2", b";", b"", b" ", b'"', b"x y"])).map(
        b" ".join
    ),
)


@given(
    st.lists(line, max_size=8),
    st.sampled_from([b"", b"path,label\n", b"video;class;start;end\n", b"\n\n", b"file label\n"]),
    st.sampled_from(["x.txt", "x.csv", "x.json"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_bytes_of_any_kind_are_a_listing_or_a_manifest_error(tmp_path, lines, header, name):
    try:
        listing = read(tmp_path, header + b"\n".join(lines), name)
    except ManifestError:
        return
    assert len(paths_of(listing)) == len(listing) > 0
    assert all(len(column) == len(listing) for column in labels_of(listing).values())
    assert all(len(column) == len(listing) for column in listing.columns.values())


REAL = {
    "uniformer_sthv1/somesomev1_rgb_train_split.txt": 86_017,
    "uniformer_hmdb51/split1/val.txt": 1_530,
    "uniformer_k400/val.csv": 19_787,
    "tsn/ucf101_splits/trainlist01.txt": 9_537,
    "jester/jester-v1-validation.csv": 14_787,
    "epic100/EPIC_100_validation.csv": 9_668,
    "epic100_rulstm/validation.csv": 9_668,
    "egtea_rulstm/training3.csv": 8_300,
}


@pytest.mark.parametrize("name", REAL)
def test_real_lists_have_the_rows_they_are_known_for(shared_dir, name):
    assert len(read_listing(shared_dir / "data/annotations" / name)) == REAL[name]


def test_the_stray_line_at_the_end_of_jester_is_named(shared_dir):
    with pytest.raises(ManifestError, match=r"jester-v1-train\.csv:118563: .*'Err:522'"):
        read_listing(shared_dir / "data/annotations/jester/jester-v1-train.csv")


def test_labels_that_commas_join_are_those_of_one_clip(tmp_path):
    path = tmp_path / "train.lst"
    path.write_text("a 11 678,\nb 370 288,5,\n")
    assert labels_of(read_listing(path)) == {"label": ["678", "288|5"]}
    path.write_text("a 678\nb 288,5\n")
    assert labels_of(read_listing(path)) == {"label": ["678", "288|5"]}


@pytest.mark.parametrize(
    ("name", "num_clips"), [("train", 179_334), ("validate", 25_619), ("test", 51_239)]
)
def test_video_lt_has_its_known_counts(shared_dir, name, num_clips):
    labels = labels_of(read_listing(shared_dir / f"data/annotations/videolt/{name}.lst"))["label"]
    assert len(labels) == num_clips
    if name == "train":
        words = Counter(word for cell in labels for word in cell.split("|"))
        several = Counter(cell.count("|") + 1 for cell in labels)
        assert (len(words), sum(words.values())) == (1004, 196_798)
        assert (max(words.values()), min(words.values())) == (1912, 44)
        assert (several[1], several[2], max(several)) == (164_298, 12_978, 7)


# --- class names --------------------------------------------------------------------------------

CLASS_FILES = {
    "names": ("labels.txt", "jump\nrun\n", {0: "jump", 1: "run"}),
    "names that begin with a number": ("labels.txt", "2 up\nrun\n", {0: "2 up", 1: "run"}),
    "names that differ by a number": ("labels.txt", "Act 0\nAct 1\n", {0: "Act 0", 1: "Act 1"}),
    "id name": ("classInd.txt", "1 Jump\r\n2 Run Far\r\n", {1: "Jump", 2: "Run Far"}),
    "name id": (
        "categories.txt",
        "riding a bike\t1\nmarching\t0\n",
        {0: "marching", 1: "riding a bike"},
    ),
    "id,name": ("classes.csv", 'id,name\n0,"a, b"\n1,c\n', {0: "a, b", 1: "c"}),
    "csv with columns of other names": (
        "verb_classes.csv",
        "verb_id,class_key,verbs\n0,take,\"['take', 'grab']\"\n1,put,['put']\n",
        {0: "take", 1: "put"},
    ),
    "csv with semicolons": ("x.csv", "Class Name;Index\njump;1\nrun;2\n", {1: "jump", 2: "run"}),
    "csv of names alone": ("labels.csv", "label\njump\nrun\n", {0: "jump", 1: "run"}),
    "csv without ids": ("classes.csv", "class,count\njump,12\nrun,3\n", {0: "jump", 1: "run"}),
    "names with a comma": ("labels.txt", "action, fast\nrun\n", {0: "action, fast", 1: "run"}),
    "names to ids": ("classids.json", '{"\\"run far\\"": 1, "jump": 0}', {0: "jump", 1: "run far"}),
    "names to text ids": ("x.json", '{"jump": "0", "run": "1"}', {0: "jump", 1: "run"}),
    "ids to names": ("x.json", '{"0": "jump", "1": "run"}', {0: "jump", 1: "run"}),
    "a list of names": ("x.json", '["jump", "run"]', {0: "jump", 1: "run"}),
}


@pytest.mark.parametrize("kind", CLASS_FILES)
def test_class_names_are_read_as_data_sets_write_them(tmp_path, kind):
    name, text, expected = CLASS_FILES[kind]
    (tmp_path / name).write_text(text)
    assert read_class_ids(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [("a\na\n", "named 'a'"), ("", "a name for every"), ("0 a\n0 b\n", "ids that differ")],
)
def test_class_names_that_cannot_be_right_are_an_error(tmp_path, text, message):
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(ManifestError, match=message):
        read_class_ids(tmp_path / "labels.txt")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.json", "[" * 100_000, "x.json: not JSON that can be read"),
        ("x.json", '{"a":' * 100_000, "x.json: not JSON that can be read"),
        ("x.json", "[" * 100_000 + "]" * 100_000, "x.json: not JSON that can be read"),
        ("x.json", f'{{"a": {"9" * 5000}}}', "x.json: not JSON that can be read"),
        ("x.json", '{"a": {"b": 1}}', "x.json: expected names and ids"),
        ("x.csv", "class_id,verb_id,class\n0,1,a\n", r"x\.csv:1: which columns are the ids"),
        ("x.csv", "id,translation\n0,a\n", r"x\.csv:1: which columns are the ids"),
    ],
)
def test_a_file_of_class_names_that_cannot_be_read_is_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ManifestError, match=message):
        read_class_ids(tmp_path / name)


def test_the_file_of_class_names_beside_a_list_is_found(tmp_path):
    source = tmp_path / "train_labels.csv"
    for name in ("train_labels.csv", "notes.txt", "label_map_k400.txt"):
        (tmp_path / name).touch()
    assert find_class_files(tmp_path, [source]) == [tmp_path / "label_map_k400.txt"]
    (tmp_path / "label_map_k600.txt").touch()
    assert len(find_class_files(tmp_path, [source])) == 2


def numbered(values: list[str], class_ids=None):
    found = number_classes("label", values, class_ids)
    return found.indices.tolist(), found.classes, found.note


def test_names_are_classes_in_the_order_of_the_alphabet_or_of_the_file():
    assert numbered(["run", "jump", "run"])[:2] == ([1, 0, 1], ("jump", "run"))
    assert numbered(["jump"], {0: "run", 1: "jump"})[:2] == ([1], ("run", "jump"))


def test_numbers_from_0_are_indices_as_they_stand():
    assert numbered(["0", "2"]) == ([0, 2], ("0", "1", "2"), "")
    assert numbered(["1"], {0: "a", 1: "b"}) == ([1], ("a", "b"), "")


def test_numbers_from_1_are_counted_from_0_and_it_is_said():
    indices, classes, note = numbered(["1", "3", "2"])
    assert (indices, classes) == ([0, 2, 1], ("1", "2", "3"))
    assert "class ids 1 to 3 are numbered 0 to 2" in note
    assert numbered(["1", "2"], {1: "a", 2: "b"})[:2] == ([0, 1], ("a", "b"))
    indices, classes, note = numbered(["1", "2"], {0: "a", 1: "b"})
    assert (indices, classes) == ([0, 1], ("a", "b"))
    assert note == "labels run from 1 to 2: one was subtracted"


def test_a_label_that_is_no_class_is_told_apart_and_described():
    found = number_classes("label", ["0", "5"], {0: "a", 1: "b"})
    assert found.indices.tolist() == [0, -1]
    assert "'label' is 5; the file of class names has 2 classes (0-1)" in found.describe("5")[0]
    found = number_classes("noun", ["a", "z", ""], {0: "a"})
    assert found.indices.tolist() == [0, -1, -1]
    assert "'noun' is 'z', which is none of 1 class name" in found.describe("z")[0]
    assert "'noun' is empty" in found.describe("")[0]
    assert number_classes("label", ["-1", "0"], None).indices.tolist() == [-1, 0]


def test_a_line_of_separators_alone_is_named(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("a b\n;\n")
    with pytest.raises(ManifestError, match=r"train\.txt:2: not a `path label`"):
        read_listing(path)


def test_a_part_that_was_annotated_twice_under_two_ids_is_two_clips(tmp_path):
    (tmp_path / "P01" / "P01_01").mkdir(parents=True)
    for number in range(1, 200):
        (tmp_path / "P01" / "P01_01" / f"frame_{number:010}.jpg").touch()
    lines = [
        "P01_01_0,P01_01,4,40,3,3,1",
        "P01_01_1,P01_01,4,40,2,3,1",
        "P01_01_2,P01_01,44,60,0,0,1",
    ]
    (tmp_path / "all.csv").write_text("\n".join(lines) + "\n")
    report = init_dataset(tmp_path / "all.csv", tmp_path / "out", probe=False)
    assert not report.rejects
    assert report.manifest.starts.tolist() == [8, 8, 88]  # at 60 a second
    assert report.manifest.ids.to_pylist() == ["P01_01_0", "P01_01_1", "P01_01_2"]
    (tmp_path / "all.csv").write_text("\n".join([*lines, lines[0]]) + "\n")
    with pytest.raises(ManifestError, match=r"all\.csv:4: 'P01/P01_01' was given before, at .*:1"):
        init_dataset(tmp_path / "all.csv", tmp_path / "again", probe=False)


# --- lists of frames ----------------------------------------------------------------------------

FRAME_LIST = "original_vido_id video_id frame_id path labels\n"


def frame_list(folder: Path, rows: str, header: str = FRAME_LIST) -> Path:
    path = folder / "train.csv"
    path.write_text(header + rows)
    return path


def test_a_clip_of_a_frame_list_is_the_folder_of_its_frames(tmp_path: Path) -> None:
    rows = 'b 0 0 x/b/1.jpg "3"\nb 0 1 x/b/2.jpg "3,1"\na 1 0 x/a/1.jpg """2"""\n'
    for header in (FRAME_LIST, FRAME_LIST.replace("vido", "video")):
        listing = read_listing(frame_list(tmp_path, rows, header))
        said = [(row.path, row.labels["label"], row.num_frames) for row in listing.rows]
        assert said == [("x/b", "1|3", 2), ("x/a", "2", 1)]
        assert listing.format.endswith("2 videos")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ('b 0 0 x/b c/1.jpg "3"\n', ":2: 6 cells, a frame list has original_vido_id"),
        ('b 0 0 x/b/1.jpg "3"\nb 0 1 x/c/2.jpg "3"\n', ":3: a frame of b in another folder than"),
        ('b 0 0 x/b/1.jpg "jump"\n', ":2: labels are whole numbers, joined by commas"),
        ('b 0 0 x/b/1.jpg ""\n', "a frame list without labels"),
        ("", "the list is empty"),
    ],
)
def test_lines_that_do_not_fit_a_frame_list_are_named(
    rows: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ManifestError, match=reason):
        read_listing(frame_list(tmp_path, rows))
