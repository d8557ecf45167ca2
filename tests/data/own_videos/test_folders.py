from __future__ import annotations

import os
import re

import pytest

from marey.data.own_videos.folders import clips_below, read_folder
from marey.data.own_videos.init import init_dataset
from marey.data.own_videos.layout import Layout, split_in
from marey.errors import ManifestError


@pytest.fixture
def put(tmp_path):
    """Makes empty files below tmp_path / "in": what folders mean is told by names alone."""

    def put(*names: str):
        for name in names:
            path = tmp_path / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "in"

    return put


def classes(listing):
    return sorted({row.labels["label"] for row in listing.rows})


def paths(listing):
    return [row.path for row in listing.rows]


def splits(listing):
    return list(listing.columns.get("split", []))


# --- what is read -------------------------------------------------------------------------------

READ = {
    "annotations beside the splits": (
        "train/jump/1.mp4 train/run/2.mp4 val/jump/3.mp4 val/run/4.mp4 annotations/train.json",
        "{split}/{class}/{name}",
        ["train", "train", "val", "val"],
    ),
    "words beside the split": (
        "videos_test/run/1.mp4 videos_train/jump/1.mp4 videos_train/run/2.mp4",
        "{split}/{class}/{name}",
        ["test", "train", "train"],
    ),
    "frames": (
        "rawframes_train/jump/a/1.jpg rawframes_train/run/b/1.jpg rawframes_val/run/c/1.jpg",
        "{split}/{class}/{name}",
        ["train", "train", "val"],
    ),
    "sets": (
        "TestSet/run/2.mp4 TrainSet/jump/1.mp4 TrainSet/run/1.mp4",
        "{split}/{class}/{name}",
        ["test", "train", "train"],
    ),
    "one split": (
        "Training/jump/1.mp4 Training/run/1.mp4",
        "{split}/{class}/{name}",
        ["train", "train"],
    ),
    "a folder around all": ("UCF-101/jump/1.avi UCF-101/run/2.avi", "UCF-101/{class}/{name}", []),
    "a folder around splits": (
        "data/test/jump/1.avi data/train/jump/1.avi data/train/run/2.avi",
        "data/{split}/{class}/{name}",
        ["test", "train", "train"],
    ),
    "a folder in each split": (
        "train/videos/jump/1.avi train/videos/run/2.avi val/videos/run/1.avi",
        "{split}/videos/{class}/{name}",
        ["train", "train", "val"],
    ),
    "a folder in each class": ("jump/videos/1.avi run/videos/2.avi", "{class}/videos/{name}", []),
    "splits in the classes": (
        "jump/test/2.mp4 jump/train/1.mp4 run/train/1.mp4 run/val/3.mp4",
        "{class}/{split}/{name}",
        ["test", "train", "train", "val"],
    ),
    "a word of a split in a class": (
        "jump/1.mp4 run/1.mp4 training_dogs/1.mp4",
        "{class}/{name}",
        [],
    ),
    "a layout's signs": ("{x}*/jump/1.avi {x}*/run/2.avi", "*/{class}/{name}", []),
}


@pytest.mark.parametrize("kind", READ)
def test_classes_and_splits_are_told_by_names_and_structure_and_it_is_said(put, kind):
    names, layout, expected = READ[kind]
    listing, _ = read_folder(put(*names.split()))
    assert {"jump", "run"} <= set(classes(listing)) <= {"jump", "run", "training_dogs"}
    assert splits(listing) == expected
    assert listing.format == f"class folders {layout}, {len(listing)} clips"
    assert len(listing) == len(expected) or not expected


def test_a_split_is_a_word_of_a_name_and_no_part_of_one():
    names = ["videos_train", "ValSet", "trainlist", "k400-test2", "TESTING", "rawframes_dev"]
    assert [*map(split_in, names)] == ["train", "val", "train", "test", "test", "val"]
    assert not any(map(split_in, ["strain", "trainval", "train_val", "contest", "value", "retest"]))


# --- what is refused ----------------------------------------------------------------------------

REFUSED = {
    "one flat folder": ("videos/1.mp4 splits/x.csv", r"lie in videos/.*one class.*splits/x\.csv"),
    "videos alone": ("1.mp4 2.mp4", r"no videos in class folders.*CLASS/clip.mp4"),
    "nothing": ("a/notes.txt", "no videos in class folders"),
    "frames alone": ("a/1.jpg b/1.jpg", "images in a class folder.*CLASS/CLIP/img_00001"),
    "splits without classes": ("train/1.mp4 val/2.mp4", r"no class folders in it.*list"),
    "one class in splits": ("train/jump/1.mp4 val/jump/2.mp4", r"jump/, which makes one class"),
    "a class that may be a split": ("car/1.mp4 bus/1.mp4 train/1.mp4", r"train/ may be a class"),
    "a test folder beside classes": ("jump/1.mp4 run/1.mp4 test/1.mp4", r"test/ may be a class"),
    "subjects in classes": (
        "jump/s1/1.mp4 jump/s2/1.mp4 run/s1/1.mp4 run/s2/1.mp4",
        r"folders of clips, s1/, s2/, lie in jump/, run/: which.*"
        r"'\{class\}/\{group\}/\{name\}' takes the 2 outer ones,"
        r" '\{group\}/\{class\}/\{name\}' the 2 inner",
    ),
    "classes in categories": (
        "ball/golf/1.mp4 ball/pool/1.mp4 run/far/1.mp4",
        r"which are the classes\?.*'\*/\{class\}/\{name\}' the 3 inner",
    ),
    "classes and folders of classes": (
        "run/1.mp4 sets/jump/1.mp4",
        r"folders of clips, jump/, lie in sets/",
    ),
    "two forms of all": (
        "videos/train/jump/1.mp4 frames/train/jump/1/1.jpg videos/val/run/1.mp4",
        "which are the classes",
    ),
    "two folders of a split": (
        "videos_train/jump/1.mp4 frames_train/jump/1/1.jpg videos_val/run/1.mp4",
        r"frames_train/, videos_train/ are all train.*'videos_\{split\}/",
    ),
    "a split of another name": (
        "train/jump/1.mp4 train/run/1.mp4 holdout/jump/1.mp4",
        r"train/ by name a split, but holdout/ beside it holds folders",
    ),
    "letter case": (
        "train/Jump/1.mp4 train/run/1.mp4 val/jump/1.mp4 val/run/1.mp4",
        r"'Jump' and 'jump' are 2 classes, though nearly one name",
    ),
    "forms of letters": ("cafe\u0301/1.mp4 caf\u00e9/2.mp4", "are 2 classes, though nearly one"),
    "signs": ("apply_lips/1.mp4 apply-lips/2.mp4", "are 2 classes, though nearly one"),
    "a test split of one strange folder": (
        "train/jump/1.mp4 train/run/1.mp4 test/clips/1.mp4",
        r"test has no class of train, only clips/",
    ),
    "both forms of a clip": (
        "jump/1.mp4 jump/1/1.jpg run/2.mp4",
        r"1 clip there twice, as jump/1\.mp4 and jump/1/",
    ),
    "a name that joins classes": ("a|b/1.mp4 c/1.mp4", r"cannot be named 'a\|b'"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_folders_that_can_be_read_in_two_ways_or_none_are_refused_with_both_named(put, kind):
    names, message = REFUSED[kind]
    with pytest.raises(ManifestError, match=message):
        read_folder(put(*names.split()))


def test_a_class_whose_name_is_not_utf_8_is_refused(put):
    source = put("a/1.mp4")
    os.mkdir(os.fsencode(source) + b"/\xff")  # noqa: PTH102
    os.close(os.open(os.fsencode(source) + b"/\xff/1.mp4", os.O_CREAT))
    with pytest.raises(ManifestError, match="cannot be named .*in UTF-8"):
        read_folder(source)


# --- what a layout decides ----------------------------------------------------------------------


def test_a_layout_decides_where_there_are_two_readings(put):
    source = put("jump/s1/1.mp4", "jump/s2/1.mp4", "run/s1/1.mp4", "train/1.mp4")
    listing, _ = read_folder(source, "{class}/{group}/{name}")
    assert classes(listing) == ["jump", "run"]
    assert listing.columns == {"group": ["s1", "s2", "s1"]}
    listing, notes = read_folder(source, "{group}/{class}/{name}")
    assert classes(listing) == ["s1", "s2"]
    assert "passed over 1 clip in no class folder: train/1.mp4" in notes
    listing, notes = read_folder(source, "{class}/{name}")
    assert classes(listing) == ["jump", "run", "train"]
    assert any("3 clips in folders below that of the class" in note for note in notes)


def test_a_layout_takes_some_folders_of_a_split_and_one_class(put):
    source = put("videos_train/jump/1.mp4", "frames_train/jump/1/1.jpg", "videos_val/jump/2.mp4")
    listing, notes = read_folder(source, "videos_{split}/{class}/{name}")
    assert paths(listing) == ["videos_train/jump/1.mp4", "videos_val/jump/2.mp4"]
    assert splits(listing) == ["train", "val"]
    assert any("passed over 1 clip" in note for note in notes)


def test_a_layout_takes_what_looks_like_a_mistake_and_says_so(put):
    source = put("train/Jump/1.mp4", "val/jump/1.mp4", "other/jump/1.mp4")
    listing, notes = read_folder(source, "{split}/{class}/{name}")
    assert classes(listing) == ["Jump", "jump"]
    assert any("nearly one name" in note for note in notes)
    assert "val has no class of train, only jump/" in notes


@pytest.mark.parametrize(
    "layout", ["", "class/name", "{class}", "{class}/{clip}", "{class}/{class}/{name}", "{x"]
)
def test_a_layout_that_says_no_classes_is_refused(layout):
    with pytest.raises(ManifestError, match="does not say where classes are"):
        Layout(layout)


def test_a_layout_that_no_clip_has_names_the_first(put):
    with pytest.raises(ManifestError, match=r"none of 1 clip is laid out as .*'jump/1\.mp4'"):
        read_folder(put("jump/1.mp4"), "{split}/{class}/{name}")


def test_a_layout_reads_folders_whatever_lists_lie_there_and_no_file(put, tmp_path):
    source = put("jump/1.mp4", "run/2.mp4")
    (source / "clips.csv").write_text("path,label\njump/1.mp4,x\n")
    made = init_dataset(source, tmp_path / "out", layout="{class}/{name}", probe=False)
    assert made.manifest.classes["label"] == ("jump", "run")
    assert "did not read clips.csv; lists are read if given, class names by --names" in made.notes
    with pytest.raises(ManifestError, match=r"clips\.csv is a file: it has no layout"):
        init_dataset(source / "clips.csv", tmp_path / "o", layout="{class}/{name}", probe=False)


# --- what is said -------------------------------------------------------------------------------

SAID = {
    "one split": ("train/a/1.mp4 train/b/1.mp4", "all clips are train; give train/ itself"),
    "a split that lacks a class": ("train/a/1.mp4 train/b/1.mp4 val/a/1.mp4", "val lacks 1 of 2"),
    "a test folder of clips": (
        "train/a/1.mp4 train/b/1.mp4 test/1.mp4",
        r"passed over 1 clip in no class folder: test/1\.mp4",
    ),
    "a folder of samples beside splits": (
        "train/a/1.mp4 train/b/1.mp4 samples/1.mp4",
        r"passed over 1 clip in no class folder: samples/1\.mp4",
    ),
    "loose videos": ("a/1.mp4 b/1.mp4 x.mp4", r"passed over 1 clip in no class folder: x\.mp4"),
    "deeper clips": ("a/1.mp4 a/in/2.mp4 b/1.mp4", "1 clip in folders below.*a/in/2.mp4"),
    "videos and frames": ("a/1.mp4 b/2/1.jpg", "clips are 1 video and 1 folder of images"),
    "two suffixes": ("a/1.mp4 a/1.avi b/1.mp4", "2 clips differ by their suffix alone"),
    "empty and system folders": (
        "a/1.mp4 b/1.mp4 c/.x @eaDir/1.mp4 a/@eaDir/1.mp4 $RECYCLE.BIN/1.mp4 lost+found/1.mp4"
        " __MACOSX/a/1.mp4 .AppleDouble/1.mp4",
        r"passed over 5 folders of the system: \$RECYCLE\.BIN/, @eaDir/, __MACOSX/ and 1 more",
    ),
    "an empty folder": ("a/1.mp4 b/1.mp4 c/notes.md", "no clips in c/: no class"),
    "lists": (
        "a/1.mp4 b/1.mp4 a/1.txt lists/trainlist01.txt",
        r"did not read lists/trainlist01\.txt; ",
    ),
    "pictures": ("a/cover.jpg a/1/1.jpg a/1/2.jpg b/1.mp4", r"1 file other than videos: 1 \.jpg"),
    "flow in clips": (
        "a/1/1.jpg a/1/2.jpg a/1/flow/1.jpg b/1.mp4",
        "passed over 1 folder in clips: a/1/flow/",
    ),
}


@pytest.mark.parametrize("kind", SAID)
def test_what_is_left_out_or_odd_is_said(put, kind):
    names, note = SAID[kind]
    listing, notes = read_folder(put(*names.split()))
    assert classes(listing) == ["a", "b"]
    assert any(re.search(note, said) for said in notes), notes


def test_kinetics_replacements_take_the_place_of_damaged_clips(put):
    source = put(
        "train/a/x_000001_000011.mp4",
        "train/a/y_000001_000011.mp4",
        "train/b/z_000001_000011.mp4",
        "replacement/replacement_for_corrupted_k400/y_000001_000011.mp4",
        "replacement/replacement_for_corrupted_k400/gone_000001_000011.mp4",
    )
    listing, notes = read_folder(source)
    assert classes(listing) == ["a", "b"]
    assert [path.split("/")[0] for path in paths(listing)] == ["train", "replacement", "train"]
    assert "1 clip read from the replacement, of 2 there" in notes


# --- walks --------------------------------------------------------------------------------------


def test_links_to_folders_above_are_not_followed_for_ever(put):
    source = put("a/1.mp4", "b/2.mp4")
    (source / "a/loop").symlink_to(source / "a")
    (source / "a/other").symlink_to(source / "b")
    (source / "b/back").symlink_to(source / "a")
    assert clips_below(source) == ["a/1.mp4", "a/other/2.mp4", "b/2.mp4", "b/back/1.mp4"]


def test_a_folder_of_images_is_its_own_clip(put):
    assert clips_below(put("1.jpg", "2.jpg")) == ["."]
