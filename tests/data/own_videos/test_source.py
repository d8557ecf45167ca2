"""A folder of lists, and what lies beside a list, for `marey data init`."""

from __future__ import annotations

import json

import pytest

from marey.data.own_videos.init import init_dataset
from marey.errors import ManifestError

CLIPS = [f"v{number}.mp4" for number in range(8)]


@pytest.fixture
def lists(tmp_path):
    """Writes lists beside eight clips without content, and makes a manifest of a source there."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in CLIPS:
        (folder / name).touch()

    def init(files: dict[str, str], source: str = "", **options):
        for name, text in files.items():
            (folder / name).write_text(text)
        return init_dataset(
            folder / source, tmp_path / "out", probe=False, overwrite=True, **options
        )

    return init


def rows(first: int, last: int, form: str = "{name} {label}\n") -> str:
    """A list of clips of two classes, from one clip to another."""
    return "".join(
        form.format(name=CLIPS[n], label=n % 2, word=("jump", "run")[n % 2], id=f"v{n}")
        for n in range(first, last)
    )


# --- lists to test on without labels ------------------------------------------------------------

TRAIN = "id,filepath,label\n" + rows(0, 6, "{id},{name},{word}\n")
UNLABELLED = {
    "a table": {"train.csv": TRAIN, "test.csv": "id,filepath\n" + rows(6, 8, "{id},{name}\n")},
    "a table without a header": {"train.csv": TRAIN, "test.csv": rows(6, 8, "{id},{name}\n")},
    "empty cells": {
        "train.csv": TRAIN,
        "test.csv": "id,filepath,label\n" + rows(6, 8, "{id},{name},\n"),
    },
    "one column": {"train.csv": TRAIN, "test.csv": "filepath\n" + rows(6, 8, "{name}\n")},
    "paths": {"train.txt": rows(0, 6), "test.txt": rows(6, 8, "{name}\n")},
    "a number for none": {"train.txt": rows(0, 6), "test.txt": rows(6, 8, "{name} -1\n")},
    "numbers of videos": {
        "jester-train.csv": rows(0, 6, "{id};{word}\n"),
        "jester-test.csv": rows(6, 8, "{id}\n"),
    },
    "json": {
        "train.json": json.dumps([{"id": f"v{n}", "template": "ab"[n % 2]} for n in range(6)]),
        "test.json": json.dumps([{"id": "v6"}, {"id": "v7"}]),
    },
}


@pytest.mark.parametrize("kind", UNLABELLED)
def test_a_list_to_test_on_without_labels_is_left_and_it_is_said(lists, kind):
    report = lists(UNLABELLED[kind])
    train, test = UNLABELLED[kind]
    assert report.manifest.split_counts() == {"train": 6}
    assert len(report.manifest.classes["label"]) == 2
    assert f"{test} has no labels and is left: `marey predict` takes it" in report.notes
    assert not any("did not read" in note for note in report.notes)
    assert f"all clips are train; give {train} itself to have it divided" in report.notes


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train.txt": rows(0, 6), "val.txt": rows(6, 8, "{name}\n")}, "paths without labels"),
        (
            {"train.txt": rows(0, 6), "val.txt": rows(6, 8, "{name} x\n")},
            r"val\.txt has no class of train\.txt, only x.*are these its labels",
        ),
        (
            {"train.csv": rows(0, 6, "{id},{name}\n")},
            "no labels: the last column has files, as 'v0",
        ),
    ],
)
def test_lists_to_learn_from_without_labels_are_refused(lists, files, message):
    with pytest.raises(ManifestError, match=message):
        lists(files)


def test_classes_with_times_in_one_cell_are_refused(lists):
    cells = ['"c092 11.90 21.20;c147 0.00 12.60"', "c098 1 2.5", ""]
    table = "id,actions,length\n" + "".join(f"v{n},{cell},24\n" for n, cell in enumerate(cells))
    with pytest.raises(ManifestError, match="classes with times, as 'c092 11.90.*a line for each"):
        lists({"charades.csv": table}, "charades.csv")


def test_labels_that_cannot_be_learned_are_said(lists):
    notes = lists({"list.txt": "".join(f"v{n}.mp4;w{n}\n" for n in range(4))}, "list.txt").notes
    assert "each of 4 clips has a class of 'label' of its own" in notes
    files = {"list.txt": "v0.mp4 0\nv1.mp4 1\nv2.mp4 1\nv3.mp4 3\n"}
    assert not any("of its own" in note for note in lists(files, "list.txt").notes)
    notes = lists({"list.txt": "v0.mp4 x\nv1.mp4 x\n"}, "list.txt").notes
    assert "one class of 'label', 'x': there is nothing to tell apart" in notes
    notes = lists({"list.txt": "v0.mp4 Up\nv1.mp4 up\n"}, "list.txt").notes
    assert "'Up' and 'up' are 2 classes, though nearly one name" in notes
    notes = lists({"list.txt": "v0.mp4 up\u200b\nv1.mp4 up\n"}, "list.txt").notes
    assert r"'up' and 'up\u200b' are 2 classes, though nearly one name" in notes
    notes = lists({"list.txt": "v0.mp4 caf\u00e9\nv1.mp4 cafe\u0301\n"}, "list.txt").notes
    assert r"'cafe\u0301' and 'caf\xe9' are 2 classes, though nearly one name" in notes
    notes = lists({"train.txt": rows(0, 4), "test.txt": rows(4, 8, "{name} 0\n")}).notes
    assert "all clips of test.txt have one label, 0" in notes


# --- which lists are read -----------------------------------------------------------------------


def test_lists_that_are_left_beside_those_that_are_read_are_named(lists):
    files = {"train.txt": rows(0, 4), "val.txt": rows(4, 6), "train_extra.txt": rows(6, 8)}
    notes = lists(files).notes
    assert any("did not read train_extra.txt beside it" in note for note in notes)
    assert any("did not read train_extra.txt, val.txt" in n for n in lists({}, "train.txt").notes)


def test_several_lists_of_a_split_ask_for_one(lists):
    files = {"trainlist01.txt": rows(0, 4), "trainlist02.txt": rows(4, 6), "classInd.txt": "1 a\n"}
    with pytest.raises(
        ManifestError, match=r"several lists of train: trainlist01\.txt, trainlist02\.txt"
    ):
        lists(files)


def test_lists_named_by_words_of_their_split_are_the_split(lists):
    report = lists({"my-TrainSet.txt": rows(0, 4), "k400_val_list.txt": rows(4, 8)})
    assert report.manifest.split_counts() == {"train": 4, "val": 4}


# --- class names beside lists -------------------------------------------------------------------

NAMES = {
    "classids.json": '{"Hop": 0, "Go": 1}',
    "classInd.txt": "0 Hop\n1 Go\n",
    "labels.csv": "label_id,label_name\n0,Hop\n1,Go\n",
    "category.txt": "Hop\nGo\n",
    "id2label.json": '{"0": "Hop", "1": "Go"}',
    "class_to_idx.json": '{"Go": 1, "Hop": 0}',
    "class_map.csv": "id,name\n0,Hop\n1,Go\n",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_lists_has_the_names_that_one_list_has(lists, name):
    files = {name: NAMES[name], "train.txt": rows(0, 4), "val.txt": rows(4, 8)}
    for source in ("train.txt", ""):
        report = lists(files, source)
        assert report.manifest.classes["label"] == ("Hop", "Go")
        assert any("class names from" in note for note in report.notes)


def test_a_table_in_a_folder_has_the_names_of_the_table_of_classes_beside_it(lists):
    clips = "path,label\n" + rows(0, 8, "{name},{label}\n")
    report = lists({"clips.csv": clips, "classes.csv": "id,name\n0,Hop\n1,Go\n"})
    assert report.manifest.classes["label"] == ("Hop", "Go")


def test_lists_called_labels_are_no_class_names_of_their_own(lists):
    table = "path,label\n{}"
    files = {
        "train_labels.csv": table.format(rows(0, 4, "{name},{label}\n")),
        "val_labels.csv": table.format(rows(4, 8, "{name},{label}\n")),
        "labels.txt": "Hop\nGo\n",
    }
    assert lists(files).manifest.classes["label"] == ("Hop", "Go")


def test_several_files_of_class_names_ask_for_one_where_labels_are_numbers(lists, tmp_path):
    files = {"a.txt": rows(0, 8), "label_map_1.txt": "Hop\nGo\n", "label_map_2.txt": "A\nB\n"}
    with pytest.raises(ManifestError, match=r"label_map_1\.txt, label_map_2\.txt.*--names"):
        lists(files, "a.txt")
    report = lists({}, "a.txt", names=tmp_path / "in/label_map_2.txt")
    assert report.manifest.classes["label"] == ("A", "B")
    report = lists({"a.txt": rows(0, 8, "{name} {word}\n")}, "a.txt")
    assert report.manifest.classes["label"] == ("jump", "run")


def test_class_folders_have_their_own_names_and_a_file_of_names_is_said(tmp_path, lists):
    for name in ("jump/1.mp4", "run/2.mp4"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).touch()
    report = lists({"labels.txt": "Hop\nGo\n"})
    assert report.manifest.classes["label"] == ("jump", "run")
    assert any("did not read labels.txt; lists are read if given" in n for n in report.notes)
    (tmp_path / "order.txt").write_text("run\njump\n")
    report = lists({}, names=tmp_path / "order.txt")
    assert report.manifest.classes["label"] == ("run", "jump")


# --- spans that are annotated twice -------------------------------------------------------------

EPIC = (
    "uid,participant_id,video_id,narration,start_timestamp,stop_timestamp,start_frame,stop_frame,"
    "verb,verb_class,noun,noun_class,all_nouns,all_noun_classes\n"
    "7,P07,v0,cut it,00:00:01.00,00:00:02.50,60,150,cut,1,it,0,['it'],[0]\n"
    "8,P07,v0,cut it,00:00:01.00,00:00:02.50,60,150,cut,1,it,0,['it'],[0]\n"
    "9,P08,v1,take it,00:00:00.14,00:00:03.37,8,202,take,0,it,0,['it'],[0]\n"
)


def test_epic_55_has_one_span_under_two_uids_and_all_its_rows_are_clips(lists):
    report = lists({"labels.csv": EPIC}, "labels.csv")
    assert report.manifest.ids.to_pylist() == ["7", "8", "9"]
    assert report.manifest.starts.tolist() == [1.0, 1.0, 0.14]
    names = {"EPIC_verb_classes.csv": "verb_id,class_key,verbs\n0,take,['take']\n1,cut,['cut']\n"}
    assert lists(names, "labels.csv").manifest.classes["verb"] == ("take", "cut")


@pytest.mark.parametrize("column", ["uid", "id", "narration_id", "annotation_id", "segment_id"])
def test_a_span_with_two_ids_is_two_clips_and_with_one_is_given_twice(lists, column):
    text = f"{column},video,label,start,end\n{{}},v0.mp4,a,1.0,2.5\n{{}},v0.mp4,b,1.0,2.5\n"
    text += "p9,v1.mp4,a,1.0,2.5\n"
    report = lists({"list.csv": text.format("p1", "p2")}, "list.csv")
    assert report.manifest.ids.to_pylist() == ["p1", "p2", "p9"]
    with pytest.raises(ManifestError, match="given before|look like|name twice|is not"):
        lists({"list.csv": text.format("p1", "p1")}, "list.csv")
