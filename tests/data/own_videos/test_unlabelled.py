"""Lists to predict, with and without labels, and what is asked where two readings are left."""

from __future__ import annotations

import shutil

import pytest

from marey.data.lists.wanted_columns import WantedColumns
from marey.data.manifest.header import NoLabels
from marey.data.manifest.location import Location
from marey.data.own_videos.init import init_dataset
from marey.data.own_videos.unlabelled import Clips, is_manifest, read_clips
from marey.errors import ManifestError

MODEL = {"label": tuple("abcdefgh")}
EPIC = {"verb": ("take", "put"), "noun": ("tap", "pan", "cup")}


@pytest.fixture
def clips(tmp_path, video):
    """Two videos of 12 frames, one with a blank in its name, and one that ends in a number."""
    for name in ("a.mp4", "b.mp4", "my clip.mp4", "take 2"):
        shutil.copy(video, tmp_path / name)
    return tmp_path


def read(folder, text, name="list.txt", columns=None, ignore=None, **options) -> Clips:
    data = text if isinstance(text, bytes) else text.encode()
    (folder / name).write_bytes(data)
    wanted = WantedColumns.parse(columns, ignore)
    return read_clips(folder / name, **{"wanted": wanted, "classes": MODEL} | options)


def spans(read: Clips) -> list[tuple[float, float]]:
    return list(zip(read.manifest.starts.tolist(), read.manifest.ends.tolist(), strict=True))


READINGS = {
    "path": "a.mp4\nb.mp4\n",
    "path label": "a.mp4 0\nb.mp4 7\n",
    "path num_frames": "a.mp4 12\nb.mp4 12\n",
    "path num_frames label": "a.mp4 12 0\nb.mp4 12 7\n",
    "path start end": "a.mp4 1 12\nb.mp4 3 5\n",
    "path start end label": "a.mp4 1 12 0\nb.mp4 3 5 7\n",
    "path start_seconds end_seconds": "a.mp4 0 1.2\nb.mp4 0.25 0.5\n",
    "path start_seconds end_seconds label": "a.mp4 0 1.2 0\nb.mp4 0.25 0.5 7\n",
}


@pytest.mark.parametrize("separator", [" ", ";", "\t", ","])
@pytest.mark.parametrize("title", READINGS)
def test_the_numbers_of_a_line_are_what_the_files_say(clips, title, separator):
    made = read(clips, READINGS[title].replace(" ", separator))
    assert made.read_as.startswith(f"`{title}`")
    assert [*made.manifest.texts()] == ["a.mp4", "b.mp4"]
    has_labels = title.endswith("label")
    assert {h: v.tolist() for h, v in made.manifest.labels.items()} == (
        {"label": [0, 7]} if has_labels else {}
    )
    if "seconds" in title:
        assert spans(made) == [(0.0, 1.2), (0.25, 0.5)]
    elif "start" in title:  # from 1, inclusive, in lists; from 0, exclusive, in manifests
        assert spans(made) == [(0.0, 12.0), (2.0, 5.0)]
        assert made.manifest.unit == "frames"
    else:
        assert made.manifest.starts is None


@pytest.mark.parametrize(
    ("text", "paths", "title"),
    [
        ("my clip.mp4\na.mp4\n", ["my clip.mp4", "a.mp4"], "path"),
        ("take 2\na.mp4\n", ["take 2", "a.mp4"], "path"),
        ("take 2 12\na.mp4 12\n", ["take 2", "a.mp4"], "path num_frames"),
        ("take 2 1 5\na.mp4 1 4\n", ["take 2", "a.mp4"], "path start end"),
        ("take 2 1 5 0\na.mp4 1 4 1\n", ["take 2", "a.mp4"], "path start end label"),
        ("my clip.mp4 c\na.mp4 d\n", ["my clip.mp4", "a.mp4"], "path label"),
        ("\ufeffa.mp4 1 5\r\n\r\nb.mp4 1 4\r\n", ["a.mp4", "b.mp4"], "path start end"),
    ],
)
def test_a_path_is_what_is_there(clips, text, paths, title):
    made = read(clips, text)
    assert [*made.manifest.texts()] == paths
    assert made.read_as.startswith(f"`{title}`")


@pytest.mark.parametrize(
    ("text", "one", "other"),
    [
        ("x/a 1 2\nx/b 2 3\n", "path num_frames label", "path start end"),
        ("x/a 1\nx/b 2\n", "path label", "path num_frames"),
        ("x/a red\nx/b blue\n", "path", "path label"),
    ],
)
def test_two_readings_are_asked_about_and_either_can_be_chosen(clips, text, one, other):
    with pytest.raises(
        ManifestError, match=f"a line may be `{one}` or `{other}`|`{other}` or"
    ) as e:
        read(clips, text)
    for title in (one, other):
        assert f"--columns '{title}'" in e.value.hint
        assert read(clips, text, columns=title).read_as.startswith(f"`{title}`")


def test_numbers_that_are_no_classes_of_the_model_are_last_frames(clips):
    assert read(clips, "x/a 1 30\nx/b 2 40\n").read_as.startswith("`path start end`")
    assert read(clips, "x/a 9 3\nx/b 7 1\n").read_as.startswith("`path num_frames label`")


def test_a_line_that_does_not_fit_is_named(clips):
    with pytest.raises(ManifestError, match=r"list\.txt:2: frames 5 to 4"):
        read(clips, "a.mp4 1 12\nb.mp4 5 4\nmy clip.mp4 1 9\n")
    with pytest.raises(ManifestError, match=r"list\.txt:2: not a `path start end`"):
        read(clips, "a.mp4 1 12\nb.mp4\nmy clip.mp4 1 9\n", columns="path start end")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("m.csv", "id\na\nb\n", "a table with `id`, 2 rows"),
        ("m.txt", "video\na.mp4\nb.mp4\n", "a table with `video`, 2 rows"),
        ("m.csv", "path\na.mp4\nb.mp4\n", "a manifest, 2 rows"),
        ("m.csv", "movie\na.mp4\nb.mp4\n", "a table with `movie`, 2 rows"),
        ("m.csv", "video;speaker\na.mp4;x\nb.mp4;y\n", "a table with `video`, semicolon-separated"),
        ("m.json", '[{"id": "a"}, {"id": "b"}]', "a table with `id`, of objects of JSON, 2 rows"),
        ("m.jsonl", '{"id": "a"}\n{"id": "b"}\n', "a table with `id`, of lines of JSON, 2 rows"),
        ("m.csv", "a\nb\n", "`path`, 2 rows"),
    ],
)
def test_tables_without_labels_are_read(clips, name, text, said):
    made = read(clips, text, name)
    assert said in made.read_as
    assert [*made.manifest.texts()] == ["a.mp4", "b.mp4"]
    assert not made.manifest.labels


def test_columns_of_times_are_read_or_asked_about(clips):
    table = "video,begin,end\na.mp4,1,4\n"
    with pytest.raises(ManifestError, match="`begin` and `end` may say which part"):
        read(clips, table, "m.csv")
    made = read(clips, table, "m.csv", columns="path=video,start_frame=begin,end_frame=end")
    assert spans(made) == [(1.0, 4.0)]
    assert made.columns == {"path": "video", "start_frame": "begin", "end_frame": "end"}
    assert read(clips, table, "m.csv", ignore="begin,end").manifest.starts is None
    assert spans(read(clips, "path,start,end\na.mp4,0.1,0.4\n", "m.csv")) == [(0.1, 0.4)]


def test_epic_kitchens_test_list_keeps_its_ids_and_takes_frames_where_there_are(tmp_path):
    header = (
        "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,"
        "start_frame,stop_frame\n"
    )
    row = "P01_101_0,P01,P01_101,00:00:00.20,00:00:00.10,00:00:00.50,5,25\n"
    made = read(tmp_path, header + row, "EPIC_100_test_timestamps.csv", classes=EPIC)
    assert made.manifest.ids.to_pylist() == ["P01_101_0"]
    assert (spans(made), made.manifest.unit) == ([(0.1, 0.5)], "seconds")
    frames = tmp_path / "P01/rgb_frames/P01_101"
    frames.mkdir(parents=True)
    (frames / "frame_0000000001.jpg").touch()
    made = read(tmp_path, header + row, "EPIC_100_test_timestamps.csv", classes=EPIC)
    assert [*made.manifest.texts()] == ["P01/rgb_frames/P01_101"]
    assert (spans(made), made.manifest.fps(0)) == ([(5.0, 25.0)], 50)


def test_rulstm_without_labels_are_parts_by_id(tmp_path):
    made = read(tmp_path, "P01_101_0,P01_101,30,60\nP01_101_1,P01_101,60,90\n", "t.csv")
    assert made.read_as == "`uid,video,start,stop`, comma-separated, 2 rows"
    assert spans(made) == [(1.0, 2.0), (2.0, 3.0)]
    assert made.manifest.ids.to_pylist() == ["P01_101_0", "P01_101_1"]


# --- labels -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("path,label\na.mp4,2\nb.mp4,0\n", [2, 0]),
        ("video,label\na.mp4,C\nb.mp4,a\n", [2, 0]),
        ("video,label,label_id\na.mp4,c,20\nb.mp4,a,10\n", [2, 0]),
        ("video,label\na.mp4,2\nb.mp4,3\n", [2, 3]),
    ],
)
def test_labels_that_are_classes_of_the_model_are_kept(clips, text, labels):
    assert read(clips, text, "m.csv").manifest.labels["label"].tolist() == labels


def test_numbers_count_the_file_of_class_names_beside_the_list(clips):
    (clips / "classInd.txt").write_text("1 h\n2 a\n")
    assert read(clips, "a.mp4 1\nb.mp4 2\n").manifest.labels["label"].tolist() == [7, 0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("video,label\na.mp4,c\nb.mp4,jump\n", "'jump' is none of the 8 classes of 'label'"),
        ("video,label\na.mp4,0\nb.mp4,8\n", "'8' is none of the 8 classes"),
        ("video,label\na.mp4,-1\nb.mp4,\n", "all are empty or -1"),
        ("path,label\na.mp4,0\nb.mp4,8\n", "'label' is 8"),
        ("video,label,action\na.mp4,c,x\nb.mp4,d,x\nmy clip.mp4,c,y\n", "both look like labels"),
    ],
)
def test_other_labels_are_left_and_it_is_said(clips, text, why):
    made = read(clips, text, "m.csv")
    assert not made.manifest.labels
    assert any(note.startswith("labels are left: ") and why in note for note in made.notes)


def test_labels_of_a_manifest_with_other_class_names_are_left(clips):
    (clips / "labels.txt").write_text("b\na\n")
    made = read(clips, "path,label\na.mp4,0\nb.mp4,1\n", "m.csv", classes={"label": ("a", "b")})
    assert not made.manifest.labels
    assert made.notes == ("labels are left: the classes of 'label' are others than the model's",)


# --- files --------------------------------------------------------------------------------------


def test_what_is_missing_given_twice_or_spelled_otherwise_is_said(clips):
    made = read(clips, "A.MP4\nb.mp4\nb.mp4\nno.mp4\n")
    assert [*made.manifest.texts()] == ["a.mp4", "b.mp4", "b.mp4", "no.mp4"]
    notes = "\n".join(made.lines())
    for said in ("A.MP4 is a.mp4", "1 clip given again", "1 clip without a file", "no.mp4"):
        assert said in notes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.mp4\nhttps://host/b.mp4\n", r"list\.txt:2: .*a url not allowed"),
        ("a.mp4\n/etc/b.mp4\n", r"list\.txt:2: .*outside the root"),
        ("a.mp4\n../b.mp4\n", r"list\.txt:2: .*outside the root"),
        ("", "the list is empty"),
        ("\n \n", "the list is empty"),
        (b"PK\x03\x04", "is a workbook or an archive"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(clips, text, message):
    with pytest.raises(ManifestError, match=message):
        read(clips, text, at=Location(clips))


def test_rows_of_one_split_are_taken(clips):
    table = "video,subset\na.mp4,training\nb.mp4,testing\n"
    assert [*read(clips, table, "m.csv", split="test").manifest.texts()] == ["b.mp4"]
    with pytest.raises(ManifestError, match="no rows of split 'val'"):
        read(clips, table, "m.csv", split="val")


def test_a_long_list_of_paths_is_taken_as_it_stands(clips, monkeypatch):
    monkeypatch.setattr("marey.data.own_videos.unlabelled.MANY", 3)
    assert [*read(clips, "A.MP4\nb.mp4\nc.mp4\n").manifest.texts()] == ["A.MP4", "b.mp4", "c.mp4"]
    spelled = read(clips, "A.MP4\nb.mp4\nc.mp4\nmy clip.mp4").manifest
    assert spelled.clip(0).text == "a.mp4"
    assert len(read(clips, "name\na.mp4\nb.mp4\n").manifest) == 2


def test_what_is_a_manifest_is_told_by_its_header(clips):
    for header, answer in (("path,label", True), ("video,label", False), ("path,t_end", False)):
        (clips / "m.csv").write_text(f"{header}\na.mp4,1\n")
        assert is_manifest(clips / "m.csv") is answer
    assert is_manifest(clips / "m.parquet")


def test_columns_that_are_no_line_are_refused():
    with pytest.raises(ManifestError, match="'video' names no columns") as error:
        WantedColumns.parse("video")
    assert "'path start end'" in error.value.hint
    assert WantedColumns.parse("path,start, end").line == "path start end"


def test_data_init_takes_the_same_columns_for_lines(clips):
    (clips / "list.txt").write_text("a.mp4 1 5 0\nb.mp4 2 6 1\nmy clip.mp4 1 9 1\n")
    wanted = WantedColumns.parse("path start end label")
    made = init_dataset(clips / "list.txt", clips / "out", wanted=wanted, probe=False)
    assert made.manifest.unit == "frames"
    with pytest.raises(ManifestError, match="`path start end` has no labels"):
        init_dataset(
            clips / "list.txt",
            clips / "other",
            wanted=WantedColumns.parse("path start end"),
            probe=False,
        )


def test_columns_of_what_is_no_list_are_refused(clips):
    with pytest.raises(ManifestError, match="is no list whose columns can be named"):
        read_clips(clips, wanted=WantedColumns.parse("path"))


def test_data_init_takes_no_frames_for_labels(clips):
    def init(text, name="list.txt", **options):
        (clips / name).write_text(text)
        options = {"overwrite": True, "num_workers": 1} | options
        return init_dataset(clips / name, clips / "out", **options)

    with pytest.raises(NoLabels, match="lines are `path start end`, without labels: of 2 clips"):
        init("a.mp4 1 12\nb.mp4 3 5\n")
    with pytest.raises(ManifestError, match="or `path start end`, as .*; no clip was opened"):
        init("a.mp4 1 12\nb.mp4 3 5\n", probe=False)
    with pytest.raises(ManifestError, match="may be `path num_frames label` or `path start end`"):
        init("x/a 1 12\nx/b 3 5\n")
    made = init("a.mp4 12 13\nb.mp4 12 14\n")  # 12 frames each: the last are classes
    assert made.manifest.classes["label"] == ("13", "14")
    wanted = WantedColumns.parse("path num_frames label")
    assert init("a.mp4 1 12\nb.mp4 3 5\n", wanted=wanted).format.startswith("`path num_frames")


def test_data_init_takes_no_number_of_frames_for_a_class(clips):
    def init(text, **options):
        (clips / "list.txt").write_text(text)
        options = {"probe": False, "num_workers": 1} | options
        return init_dataset(clips / "list.txt", clips / "out", **options)

    with pytest.raises(NoLabels, match="lines are `path num_frames`, without labels: of 2 clips"):
        init("a.mp4 12\nb.mp4 12\n", probe=True)
    lines = "".join(f"x/{number} {number}\n" for number in range(30, 40))
    with pytest.raises(ManifestError, match=r"`path num_frames`.* 100% have a number of their own"):
        init(lines)
    assert init("a.mp4 3\nb.mp4 12\n").manifest.classes["label"] == ("3", "12")
    wanted = WantedColumns.parse("path label")
    assert len(init(lines, wanted=wanted, overwrite=True).manifest) == 10


def test_spans_from_frame_0_are_refused(clips):
    said = r"2 of 2 lines would begin at 0, as 'a\.mp4 0 5'"
    with pytest.raises(ManifestError, match=said) as error:
        read(clips, "a.mp4 0 5\nb.mp4 0 3\n")
    assert "path,start_frame,end_frame" in error.value.hint
    made = read(clips, "path,start_frame,end_frame\na.mp4,0,5\nb.mp4,0,3\n", "m.csv")
    assert spans(made) == [(0.0, 5.0), (0.0, 3.0)]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("take 2 12\n", "path num_frames"),
        ("take 2 1 5\n", "path start end"),
        ("take 2 12 1\n", "path num_frames label"),
        ('"take 2" 12\n', "path num_frames"),
        ('"take 2","12"\n', "path num_frames"),
        ("# mine\ntake 2 12\n# the end\n", "path num_frames"),
    ],
)
def test_all_paths_may_end_in_numbers_be_quoted_or_stand_between_comments(clips, text, title):
    made = read(clips, text)
    assert [*made.manifest.texts()] == ["take 2"]
    assert made.read_as.startswith(f"`{title}`")


def test_commas_between_labels_part_no_columns(clips):
    made = read(clips, "a.mp4 12 0,3\nb.mp4 12 1,7\n")
    assert [*made.manifest.texts()] == ["a.mp4", "b.mp4"]
    assert made.manifest.labels["label"].shape == (2, 8)


@pytest.mark.parametrize("text", ["x/a 1 2\nx/b 2 3,4\n", "x/a 1\nx/b 2,4\n"])
def test_joined_numbers_are_classes_where_no_clip_is_there(clips, text):
    made = read(clips, text)
    assert "label" in made.read_as
    assert made.manifest.labels["label"].sum(axis=1).tolist() == [1, 2]


def test_labels_that_are_all_0_are_said(clips):
    made = read(clips, "a.mp4 12 0\nb.mp4 12 0\n")
    assert any("all 2 labels of 'label' are 0, 'a'" in note for note in made.notes)
    assert not any("all 2" in note for note in read(clips, "a.mp4 12 0\nb.mp4 12 1\n").notes)


def test_labels_of_minus_1_name_no_class(clips):
    made = read(clips, "a.mp4 12 -1\nb.mp4 12 -1\n")
    assert made.read_as.startswith("`path num_frames label`")
    assert not made.manifest.labels


def test_lists_in_a_folder_of_clips_are_said(clips):
    (clips / "test.txt").write_text("a.mp4 12\n")
    assert read_clips(clips).notes == ("did not read test.txt in it; a list is given by its name",)
    (clips / "lists").mkdir()
    (clips / "lists/val.txt").touch()
    with pytest.raises(ManifestError, match="holds no videos") as error:
        read_clips(clips / "lists")
    assert error.value.hint == "give one of its lists: val.txt"
    with pytest.raises(ManifestError, match="--root .*gone does not exist"):
        read_clips(clips / "test.txt", at=Location(clips / "gone"))


@pytest.mark.parametrize(
    ("train", "test", "is_left"),
    [
        ("a.mp4 12 0\nb.mp4 12 1\n", "my clip.mp4 12\n", True),
        ("a.mp4 12 0\nb.mp4 12 1\n", "my clip.mp4 1\n", False),
        ("a.mp4 1 12 0\nb.mp4 1 9 1\n", "my clip.mp4 1 9\n", True),
        ("a.mp4 0\nb.mp4 1\n", "my clip.mp4 1\n", False),
    ],
)
def test_a_list_to_test_on_with_one_number_less_has_no_labels(clips, train, test, is_left):
    (clips / "lists").mkdir()
    (clips / "lists/train.txt").write_text(train)
    (clips / "lists/test.txt").write_text(test)
    made = init_dataset(clips / "lists", clips / "out", root=clips, probe=False)
    assert (len(made.manifest) == 2) is is_left
    assert any("it is taken for a list without labels" in note for note in made.notes) is is_left


@pytest.mark.parametrize("place", ["abc_000001_000011.mp4", "jump/abc_000001_000011.mp4"])
def test_clips_of_kinetics_are_found_by_their_names(tmp_path, place):
    table = "label,youtube_id,time_start,time_end,split\njump,abc,1,11,test\n"
    with pytest.raises(ManifestError, match="`time_start` and `time_end` may say which part"):
        read(tmp_path, table, "test.csv")
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).touch()
    made = read(tmp_path, table, "test.csv")
    assert [*made.manifest.texts()] == [place]
    assert made.manifest.starts is None
