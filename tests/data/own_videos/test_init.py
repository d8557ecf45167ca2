from __future__ import annotations

import json
import os
import shlex
import shutil

import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.data.lists.wanted_columns import WantedColumns
from marey.data.own_videos.init import init_dataset
from marey.data.own_videos.splits import SplitRule
from marey.errors import ManifestError
from tests.manifests import read_complete


def init(source, tmp_path, **options):
    return init_dataset(source, tmp_path / "out", **{"probe": False, "num_workers": 1} | options)


def rows(report):
    """(path below the source, class name) of every clip, in the order of the manifest."""
    manifest = report.manifest
    names = manifest.classes["label"]
    return [
        (str(manifest.path(row).relative_to(report.path.parents[1] / "in")), names[label])
        for row, label in enumerate(manifest.labels["label"])
    ]


# --- folders ------------------------------------------------------------------------------------


def test_folders_of_videos_become_a_manifest_with_their_names_as_classes(tmp_path, put):
    source = put(
        "wave/b.mp4", "wave/deep/a.mp4", "jump/c.MP4", "jump/notes.txt", "jump/.hidden.mp4"
    )
    report = init(source, tmp_path)
    assert rows(report) == [
        ("jump/c.MP4", "jump"),
        ("wave/b.mp4", "wave"),
        ("wave/deep/a.mp4", "wave"),
    ]
    assert report.format == "class folders {class}/{name}, 3 clips"
    assert any("1 file other than videos: 1 .txt" in note for note in report.notes)
    assert (tmp_path / "out" / "labels.txt").read_text() == "jump\nwave\n"
    assert read_complete(report.path).digest() == report.manifest.digest()


def test_folders_of_train_val_and_test_are_the_split(tmp_path, put):
    source = put("train/a/1.mp4", "train/b/2.mp4", "validation/a/3.mp4", "test/b/4.mp4")
    report = init(source, tmp_path)
    assert report.split == "the split of the source"
    assert report.manifest.split_counts() == {"train": 2, "val": 1, "test": 1}
    assert report.manifest.classes["label"] == ("a", "b")


def test_a_folder_of_images_is_a_clip(tmp_path, put):
    source = put(
        "wave/clip1/img_00001.jpg", "wave/clip1/img_00002.jpg", "wave/clip2/1.png", "x/a.mp4"
    )
    assert rows(init(source, tmp_path)) == [
        ("wave/clip1", "wave"),
        ("wave/clip2", "wave"),
        ("x/a.mp4", "x"),
    ]


def test_classes_named_by_numbers_keep_their_numbers(tmp_path, put):
    report = init(put("0/a.mp4", "10/b.mp4", "2/c.mp4"), tmp_path)
    assert report.manifest.labels["label"].tolist() == [0, 10, 2]


def test_what_lies_elsewhere_is_said(tmp_path, put):
    source = put("a/1.mp4", "b/1.mp4", "loose.mp4")
    (source / "empty").mkdir()
    notes = init(source, tmp_path).notes
    assert "no clips in empty/: no class" in notes
    assert "passed over 1 clip in no class folder: loose.mp4" in notes


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.mp4"], "no videos in class folders.*CLASS/clip.mp4"),
        (["a/notes.txt"], "no videos in class folders"),
        (["a/img_00001.jpg"], "images in a class folder.*CLASS/CLIP/img_00001"),
    ],
)
def test_a_folder_without_clips_in_class_folders_says_what_was_expected(
    tmp_path, put, names, message
):
    with pytest.raises(ManifestError, match=message):
        init(put(*names), tmp_path)


def test_names_that_no_manifest_can_hold_are_rejected_by_name(tmp_path, put):
    source = put("a/1.mp4", "b/1.mp4", "a/line\nbreak.mp4")
    odd = os.fsencode(source / "a") + b"/\xff.mp4"
    shutil.copy(source / "a/1.mp4", odd)
    report = init(source, tmp_path)
    assert rows(report) == [("a/1.mp4", "a"), ("b/1.mp4", "b")]
    assert {reason for _, reason in report.rejects} == {
        "its name holds a line break or is not UTF-8: rename it"
    }
    assert len(report.rejects) == 2
    assert (tmp_path / "out/rejects.csv").is_file()


# --- lists --------------------------------------------------------------------------------------


def write(folder, name: str, text: str):
    (folder / name).write_text(text)
    return folder / name


def test_a_table_in_a_folder_is_read_rather_than_its_folders(tmp_path, put):
    source = put("F1/1.mp4", "F1/2.mp4", "M1/1.mp4", "M1/2.mp4")
    takes = [(who, n, word) for who in ("F1", "M1") for n, word in ((1, "on"), (2, "off"))]
    lines = [f"{who}/{n}.mp4,{word},{who}\n" for who, n, word in takes]
    write(source, "clips.csv", "path,label,speaker\n" + "".join(lines))
    report = init(source, tmp_path)
    assert report.manifest.classes["label"] == ("off", "on")
    assert any("read clips.csv" in note for note in report.notes)
    assert report.split == "speaker, so that none is on two sides"
    assert report.manifest.groups.to_pylist() == ["F1", "F1", "M1", "M1"]


def test_a_list_a_split_is_the_split(tmp_path, put):
    source = put("v/a.mp4", "v/b.mp4", "v/c.mp4")
    write(source, "train_videofolder.txt", "v/a.mp4 12 0\nv/b.mp4 12 1\n")
    write(source, "val_videofolder.txt", "v/c.mp4 12 1\n")
    write(source, "category.txt", "jump\nrun\n")
    report = init(source, tmp_path, names=source / "category.txt")
    assert rows(report) == [("v/a.mp4", "jump"), ("v/b.mp4", "run"), ("v/c.mp4", "run")]
    assert report.manifest.split_counts() == {"train": 2, "val": 1}
    write(source, "val_videofolder.txt", "v/c.mp4 12 1\nv/a.mp4 12 1\n")
    with pytest.raises(
        ManifestError, match=r"val_vid.*:2: 'v/a.mp4' was given before, at .*train_vid.*:1"
    ):
        init(source, tmp_path, overwrite=True)


def test_several_tables_ask_which_one(tmp_path, put):
    source = put("a.mp4")
    for name in ("one.csv", "two.csv"):
        write(source, name, "path,label\na.mp4,x\n")
    with pytest.raises(ManifestError, match=r"several lists: one\.csv, two\.csv.*name the one"):
        init(source, tmp_path)


def test_labels_from_1_become_labels_from_0_and_it_is_said(tmp_path, put):
    source = put("a.avi", "b.avi")
    write(source, "classInd.txt", "1 Jump\n2 Run\n")
    report = init(write(source, "trainlist01.txt", "a.avi 1\nb.avi 2\n"), tmp_path)
    assert rows(report) == [("a.avi", "Jump"), ("b.avi", "Run")]
    assert any("class ids 1 to 2 are numbered 0 to 1 here" in note for note in report.notes)


def test_ids_without_a_suffix_find_their_video(tmp_path, put):
    source = put("78687.webm", "42.webm")
    report = init(write(source, "list.txt", "78687;Holding\n42;Dropping\n"), tmp_path)
    assert [path for path, _ in rows(report)] == ["78687.webm", "42.webm"]


def test_spans_of_one_file_are_clips_and_stay_on_one_side(tmp_path, put):
    source = put("a.mp4", "b.mp4", "c.mp4")
    text = "".join(f"{name}.mp4 {n} {n + 3} {n % 2}\n" for name in "abc" for n in (1, 4, 7))
    report = init(write(source, "list.txt", text), tmp_path, probe=True, rule=SplitRule(val=0.3))
    manifest = report.manifest
    assert [manifest.span(row).start for row in range(3)] == [0, 3, 6]
    assert manifest.num_frames(0) == 12
    assert report.split == "file, so that none is on two sides"
    assert len(set(manifest.splits.to_pylist()[:3])) == 1


def test_whole_numbers_that_can_be_frames_alone_are_not_taken_for_seconds(tmp_path, put):
    source = put("a.mp4", "b.mp4", "c.mp4", "d.mp4")  # of twelve frames at ten a second
    spans = [("a", 0, 1), ("b", 0, 1), ("c", 0, 1), ("d", 0, 12)]

    def table(start, end, rows=spans):
        lines = [f"{name}.mp4,{n % 2},{a},{b}\n" for n, (name, a, b) in enumerate(rows)]
        return write(source, "list.csv", f"path,label,{start},{end}\n" + "".join(lines))

    with pytest.raises(ManifestError) as refused:
        init(table("start", "end"), tmp_path, probe=True)
    assert "`start` and `end` are read as seconds, and 1 of 4 clips would end after the file" in (
        refused.value.message
    )
    assert refused.value.message.endswith(
        "12 of 1.2 s, which has 12 frames: all are whole numbers, and may be frames"
    )
    assert "--columns start=COLUMN,end=COLUMN is seconds, start_frame" in refused.value.hint
    for number, (path, said) in enumerate(
        (
            (table("start", "end"), "start=start,end=end"),
            (table("start_sec", "end_sec"), None),
            (table("start", "end", [*spans[:3], ("d", 0.5, 12)]), None),
            (table("start", "end", [*spans[:3], ("d", 0, 2)]), None),  # rounded up
        )
    ):
        wanted = WantedColumns.parse(said)
        made = init_dataset(path, tmp_path / f"s{number}", wanted=wanted, num_workers=1)
        assert made.manifest.unit == "seconds"
        assert "1 clip cut short at the end of the file" in made.notes
    wanted = WantedColumns.parse("start_frame=start,end_frame=end")
    made = init_dataset(table("start", "end"), tmp_path / "f", wanted=wanted, num_workers=1)
    assert made.manifest.unit == "frames"


def test_files_that_are_missing_are_left_out_and_listed(tmp_path, put):
    source = put("a.mp4")
    report = init(write(source, "list.txt", "a.mp4 0\ngone.mp4 1\n"), tmp_path, probe=True)
    assert report.rejects == (("gone.mp4", "no such file"),)
    assert (tmp_path / "out/rejects.csv").read_text() == "path,reason\ngone.mp4,no such file\n"
    assert report.manifest.classes["label"] == ("0", "1")
    again = init(write(source, "list.txt", "a.mp4 0\n"), tmp_path, overwrite=True)
    assert not again.rejects
    assert not (tmp_path / "out/rejects.csv").exists()


def test_a_list_of_which_no_file_is_there_says_where_it_looked(tmp_path, put):
    source = put("a.mp4")
    with pytest.raises(
        ManifestError, match=r"none of its 1 clip .*no such file.*take 'x/' out.*root"
    ):
        init(write(source, "list.txt", "x/a.mp4 0\n"), tmp_path, probe=True)
    report = init(source / "list.txt", tmp_path, root=put("y/x/a.mp4") / "y")
    assert rows(report) == [("y/x/a.mp4", "0")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.mp4 0\n../b.mp4 1\n", r"list\.txt:2: path '\.\./b\.mp4' is outside the root"),
        ("a.mp4 0\n/etc/passwd 1\n", r"list\.txt:2: path '/etc/passwd' is outside"),
    ],
)
def test_a_list_never_leaves_the_root_it_was_given(tmp_path, put, text, message):
    source = put("a.mp4")
    with pytest.raises(ManifestError, match=message):
        init(write(source, "list.txt", text), tmp_path, root=source)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.mp4 0\na.mp4 1\n", r"list\.txt:2: 'a\.mp4' was given before, at .*list\.txt:1"),
        ("a.mp4 -1\n", r"list\.txt:1: 'label' is -1; labels count from 0"),
        ("path,label\na.mp4,\n", r"list\.txt:2: 'label' is empty"),
    ],
)
def test_lines_that_contradict_each_other_or_have_no_class_are_errors(tmp_path, put, text, message):
    with pytest.raises(ManifestError, match=message):
        init(write(put("a.mp4"), "list.txt", text), tmp_path)


# --- what is written ----------------------------------------------------------------------------


def test_files_are_decoded_to_count_frames_and_those_that_fail_are_rejected(tmp_path, put):
    source = put("a/1.mp4", "a/2.mp4", "b/3.mp4", "b/4.mp4")
    (source / "b/4.mp4").write_text("not a video")
    seen = []
    report = init(source, tmp_path, probe=True, progress=lambda *at: seen.append(at))
    assert [report.manifest.num_frames(row) for row in range(3)] == [12, 12, 12]
    ((path, reason),) = report.rejects
    assert path == "b/4.mp4"
    assert "4.mp4" in reason
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_nothing_is_written_over_without_being_asked_to(tmp_path, put):
    source = put("a/1.mp4", "b/2.mp4")
    init(source, tmp_path)
    with pytest.raises(ManifestError, match=r"manifest\.csv is there already"):
        init(source, tmp_path)
    (tmp_path / "out/manifest.csv").unlink()
    (tmp_path / "out/labels.txt").write_text("mine\n")
    with pytest.raises(ManifestError, match=r"labels\.txt holds other class names"):
        init(source, tmp_path)
    assert (tmp_path / "out/labels.txt").read_text() == "mine\n"
    assert len(init(source, tmp_path, overwrite=True).manifest) == 2


def test_the_same_source_and_seed_give_the_same_file(tmp_path, put):
    source = put(*(f"{name}/{n}.mp4" for name in "ab" for n in range(6)))
    files = [init(source, tmp_path, overwrite=True).path.read_bytes() for _ in range(2)]
    assert files[0] == files[1]
    other = init(source, tmp_path, overwrite=True, rule=SplitRule(seed=1)).path.read_bytes()
    assert other != files[0]


def test_a_manifest_in_the_folder_of_its_clips_has_paths_that_can_move_with_it(tmp_path, put):
    source = put("a/1.mp4", "b/2.mp4")
    init_dataset(source, source, probe=False)
    moved = source.rename(tmp_path / "moved")
    assert len(read_complete(moved / "manifest.csv")) == 2


def test_a_source_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ManifestError, match="does not exist"):
        init(tmp_path / "none", tmp_path)


def test_the_lips_set_is_split_by_speaker(tmp_path, shared_dir):
    report = init(shared_dir / "data/lips", tmp_path)
    manifest = report.manifest
    assert len(manifest) == 2200
    assert manifest.class_counts().tolist() == [110] * 20
    assert manifest.split_counts() == {"train": 1800, "val": 400}


# --- columns and what is said of them -----------------------------------------------------------


def test_a_test_list_without_labels_is_left_and_said(tmp_path, put):
    source = put("v/a.mp4", "v/b.mp4", "t/c.mp4", "t/d.mp4")
    write(source, "train.csv", "video_id,filepath,label\na,v/a.mp4,jump\nb,v/b.mp4,run\n")
    write(source, "test.csv", "video_id,filepath\nc,t/c.mp4\nd,t/d.mp4\n")
    report = init(source, tmp_path)
    assert report.manifest.classes["label"] == ("jump", "run")
    assert any("test.csv has no labels and is left" in note for note in report.notes)
    (source / "train.csv").unlink()
    with pytest.raises(ManifestError, match=r"test\.csv:1: no column of labels"):
        init(source / "test.csv", tmp_path, overwrite=True)


def test_rows_that_say_test_never_train(tmp_path, put):
    source = put(*(f"{n}.mp4" for n in range(6)))
    rows = [f"{n}.mp4,{'xy'[n % 2]},{'train' if n < 4 else 'test'}\n" for n in range(6)]
    write(source, "a.csv", "path,label,subset\n" + "".join(rows))
    sides = init(source / "a.csv", tmp_path).manifest.splits.to_pylist()
    assert sides == [*(["train"] * 4), "test", "test"]
    blank = "".join(rows).replace("1.mp4,y,train", "1.mp4,y,")
    write(source, "a.csv", f"path,label,subset\n{blank}")
    with pytest.raises(ManifestError, match=r"a\.csv:3: 'subset' is empty.*--ignore subset"):
        init(source / "a.csv", tmp_path, overwrite=True)


def test_clips_of_one_video_are_on_one_side_and_it_can_be_turned_off(tmp_path, put):
    names = [f"{c}/v_{c}_g0{g}_c0{n}.avi" for c in "ab" for g in range(1, 6) for n in (1, 2)]
    source = put(*names)
    report = init(source, tmp_path)
    groups, sides = report.manifest.groups.to_pylist(), report.manifest.splits.to_pylist()
    assert len(set(zip(groups, sides, strict=True))) == len(set(groups)) == 10
    assert report.split == "video, by the names of its clips, so that none is on two sides"
    assert any("v_a_g01_c01" in note and "10 videos" in note for note in report.notes)
    other = init(source, tmp_path, rule=SplitRule(group=None), overwrite=True)
    assert other.manifest.groups is None


def test_what_was_read_as_what_is_written_down_and_can_be_done_again(tmp_path, put):
    source = put(*(f"{n}.mp4" for n in range(8)))
    rows = [f"{n}.mp4,{'xy'[n % 2]},{n // 2},{n},-\n" for n in range(8)]
    write(source, "a.csv", "Video,gloss,subject id,uid,Note it\n" + "".join(rows))
    wanted = WantedColumns({"label": "gloss"}, ("Note it",))
    report = init(source / "a.csv", tmp_path, wanted=wanted, rule=SplitRule(val=0.25, seed=3))
    record = json.loads((tmp_path / "out/init.json").read_text())
    assert record["columns"] == {
        "path": "Video",
        "label": "gloss",
        "group": "subject id",
        "id": "uid",
    }
    assert (record["left"], record["ignored"]) == ([], ["Note it"])
    assert record["split_by"] == "subject id, so that none is on two sides"
    assert record["splits"] == report.manifest.split_counts()
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    words = shlex.split(record["command"])
    assert words[:3] == ["marey", "data", "init"]
    result = CliRunner().invoke(app, [*words[1:], "--overwrite"])
    assert result.exit_code == 0, result.output
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert "columns: path `Video`, label `gloss`, group `subject id`, id `uid`" in result.output
    assert "ignored: `Note it`" in result.output


@pytest.mark.parametrize("header", ["id,name", "id,label", "class_id,class"])
def test_a_file_of_classes_beside_class_folders_is_no_list(tmp_path, put, header):
    source = put("a/1.mp4", "b/2.mp4")
    write(source, "classes.csv", f"{header}\n0,a\n1,b\n")
    assert rows(init(source, tmp_path)) == [("a/1.mp4", "a"), ("b/2.mp4", "b")]
    wanted = WantedColumns({"label": "name"})
    with pytest.raises(ManifestError, match="no table whose columns can be named"):
        init(source, tmp_path, wanted=wanted, overwrite=True)


def test_a_class_a_clip_is_said(tmp_path, put):
    source = put("a.mp4", "b.mp4", "c.mp4", "d.mp4")
    write(source, "l.txt", "".join(f"{c}.mp4 word{c}\n" for c in "abcd"))
    notes = init(source / "l.txt", tmp_path).notes
    assert "every clip has a class of its own: are these labels?" in notes
    assert "all clips are for training, none to validate or test on" in notes


def test_clips_that_are_given_twice_ask_whether_a_column_says_the_part(tmp_path, put):
    source = put("a.mp4", "b.mp4")
    write(source, "l.csv", "path,label,at second\na.mp4,x,1\na.mp4,y,2\nb.mp4,x,1\n")
    with pytest.raises(ManifestError, match=r"given before.*if `at second` say which part"):
        init(source / "l.csv", tmp_path)


@pytest.mark.parametrize("name", ["clips.csv", "clips.txt"])
def test_a_pipe_is_no_list(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ManifestError, match=f"{name}: a named pipe, not a file"):
        init_dataset(tmp_path / name, tmp_path / "out")


def test_frames_counted_at_another_rate_than_the_file_has_are_asked_for(tmp_path, put):
    source = put("a.mp4", "b.mp4")
    text = "path,label,fps,start_frame,end_frame\na.mp4,hop,250,0,6\nb.mp4,run,250,0,6\n"
    listed = write(source, "list.csv", text)
    with pytest.raises(ManifestError, match=r"csv:2: `fps` is 250, but the file has.*--ignore fps"):
        init(listed, tmp_path, probe=True)
    report = init(listed, tmp_path, probe=True, wanted=WantedColumns.parse(None, "fps"))
    assert report.manifest.span(0).end == 6
