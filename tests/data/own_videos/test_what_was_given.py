"""Folders where a manifest is asked for, one class's folder, free text for labels: what is said."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from marey.data.lists.wanted_columns import WantedColumns
from marey.data.longtail.profile import Wish
from marey.data.longtail.split import write_long_tail
from marey.data.manifest.read import read_manifest
from marey.data.own_videos.folders import each_clip
from marey.data.own_videos.init import InitReport, init_dataset
from marey.data.own_videos.labelled import is_labelled_source
from marey.data.own_videos.splits import SplitRule
from marey.data.own_videos.unlabelled import read_clips
from marey.errors import ManifestError

Put = Callable[..., Path]


def init(source: Path, out: Path, **options: object) -> InitReport:
    return init_dataset(source, out, probe=False, **options)  # type: ignore[arg-type]


# --- a folder for a manifest --------------------------------------------------------------------


def test_a_folder_that_init_wrote_is_read_as_its_manifest(
    put: Put, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    init(put("jump/a.mp4", "wave/b.mp4"), tmp_path / "out")
    caplog.set_level(logging.INFO, "marey")
    folder, file = read_manifest(tmp_path / "out"), read_manifest(tmp_path / "out/manifest.csv")
    assert folder.digest() == file.digest()
    assert folder.source == tmp_path / "out/manifest.csv"
    assert f"reading {tmp_path / 'out/manifest.csv'}" in caplog.text
    assert not is_labelled_source(tmp_path / "out")
    assert read_clips(tmp_path / "out").read_as == "a manifest, 2 rows"


def test_class_folders_are_no_manifest_and_the_command_that_makes_one_is_named(put: Put) -> None:
    source = put("jump/a.mp4", "wave/b.mp4")
    with pytest.raises(
        ManifestError, match=f"folder without a manifest.*marey data init {source} OUT"
    ):
        read_manifest(source)
    assert is_labelled_source(source)
    (source / "train.csv").write_text("path,label\n")
    with pytest.raises(ManifestError, match=r"of its lists, train\.csv, give one"):
        read_manifest(source)


def test_a_manifest_that_is_not_there_says_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="No such file.*marey data init"):
        read_manifest(tmp_path / "none.csv")


# --- clips to predict ---------------------------------------------------------------------------


def test_folders_of_clips_stand_for_all_clips_below_them(put: Put, make_images: Path) -> None:
    source = put("jump/a.mp4", "jump/deep/b.mp4", "wave/c.mp4")
    jump, wave = f"{source}/jump", f"{source}/wave"
    below = [f"{jump}/a.mp4", f"{jump}/deep/b.mp4", f"{wave}/c.mp4"]
    assert each_clip([str(source)]) == below
    assert each_clip([jump, wave]) == below
    frames = str(make_images)
    assert each_clip([f"{jump}/a.mp4", frames]) == [f"{jump}/a.mp4", frames]
    assert [str(path) for path in read_clips([jump, wave]).manifest.texts()] == below


@pytest.fixture
def make_images(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(3):
        (folder / f"img_{number:05}.jpg").touch()
    return folder


def test_the_folder_of_one_class_is_told_from_class_folders(put: Put, tmp_path: Path) -> None:
    source = put("hug/a.mp4", "hug/b.mp4", "kick/c.mp4")
    message = f"hug: no videos in class folders: they lie in it.*if hug is a class, give {source},"
    with pytest.raises(ManifestError, match=message):
        init(source / "hug", tmp_path / "out")


# --- labels -------------------------------------------------------------------------------------


def texts(put: Put, labels: list[str], header: str = "video,category,note") -> Path:
    source = put(*(f"{n}.mp4" for n in range(len(labels))))
    rows = "".join(f"{n}.mp4,{label},x\n" for n, label in enumerate(labels))
    (source / "list.csv").write_text(f"{header}\n{rows}")
    return source / "list.csv"


def test_free_text_for_labels_is_asked_about(put: Put, tmp_path: Path) -> None:
    labels = [f"Sits for {n} seconds and stands up" for n in range(8)]
    file = texts(put, labels)
    with pytest.raises(ManifestError) as error:
        init(file, tmp_path / "out")
    assert "8 of 8 clips have a text of their own as `category`" in error.value.message
    assert "--columns label=category: each text is a class" in error.value.hint
    assert "path,label,start,end" in error.value.hint
    asked = WantedColumns.parse(re.findall(r"--columns (\S+):", error.value.hint)[0])
    assert len(init(file, tmp_path / "out", wanted=asked).manifest.classes["label"]) == 8


def test_few_clips_or_folders_may_each_be_a_class(put: Put, tmp_path: Path) -> None:
    file = texts(put, ["a", "b", "c", "d", "e"])
    assert len(init(file, tmp_path / "few").manifest) == 5
    file = texts(put, [*"abcdef", "a", "b"])
    assert len(init(file, tmp_path / "shared").manifest) == 8
    folders = put(*(f"folders/{name}/1.mp4" for name in "abcdefgh")) / "folders"
    assert len(init(folders, tmp_path / "folders").manifest) == 8


# --- advice that can be followed ----------------------------------------------------------------


def advice(source: Path, out: Path) -> str:
    (note,) = [note for note in init(source, out).notes if "too few to hold some out" in note]
    return note


def test_few_clips_are_advised_what_they_can_do(put: Put, tmp_path: Path) -> None:
    alone = advice(put("a/1.mp4", "b/1.mp4"), tmp_path / "one")
    assert "of 2 classes there is one clip alone" in alone
    assert "give two or more of each" in alone
    source = put("a/2.mp4", "b/2.mp4", "b/3.mp4")
    two = advice(source, tmp_path / "two")
    assert "--folds 2 lets each clip validate once" in two
    assert "--test" not in two
    report = init(source, tmp_path / "folds", rule=SplitRule(folds=2))
    assert not any("fold" in note for note in report.notes)
    three = advice(put("a/3.mp4"), tmp_path / "three")
    assert "--folds 3 lets each clip validate once, --test 0.2 holds some out" in three
    held = init(source, tmp_path / "held", rule=SplitRule(test=0.2))
    assert not any("no clip to" in note for note in held.notes)


def test_what_is_there_already_names_both_words_that_replace_it(put: Put, tmp_path: Path) -> None:
    source = put("a/1.mp4", "a/2.mp4", "b/1.mp4", "b/2.mp4")
    both = "--overwrite, or overwrite=True, replaces"
    init(source, tmp_path / "out")
    with pytest.raises(ManifestError, match=f"is there already.*{both}"):
        init(source, tmp_path / "out")
    target = tmp_path / "out/manifest.csv"
    shutil.copy(target, tmp_path / "out/other.csv")
    with pytest.raises(ManifestError, match=f"is there already.*{both}"):
        write_long_tail(target, tmp_path / "out/other.csv", Wish(imbalance=2.0))
