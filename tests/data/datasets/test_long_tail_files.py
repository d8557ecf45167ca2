"""Which json of SSv2-LT and VideoLT-LT is which split, and what lies beside SSv2's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from marey.data.datasets import ssv2
from marey.data.datasets.catalog import find_dataset
from marey.data.datasets.dataset import Index
from marey.data.datasets.long_tail_files import Whole
from marey.data.lists.annotations import Annotations
from marey.data.prepare.account import coverage_rows
from marey.data.prepare.find_forms import read_annotations
from marey.data.prepare.prepare import MediaFolder, prepare
from marey.errors import ManifestError

NAMES = [f"Doing {number:03d} things" for number in range(174)]
SS = "something-something-v2-"


def write(folder: Path, prefix: str = SS, **files: list[int]) -> Path:
    """Json files of clips called by these numbers, of which `bare_` ones have no template."""
    folder.mkdir(exist_ok=True)
    labels = {name: str(number) for number, name in enumerate(NAMES)}
    (folder / f"{prefix}labels.json").write_text(json.dumps(labels))
    for role, numbers in files.items():
        name = role.removeprefix("bare_")
        rows = [
            {"id": str(n)} if name != role else {"id": str(n), "template": f"[{NAMES[n % 174]}]"}
            for n in numbers
        ]
        (folder / f"{prefix}{name}.json").write_text(json.dumps(rows))
    return folder


def read(name: str, folder: Path, root: Path | None = None) -> tuple[Index, Annotations]:
    index, files, _ = read_annotations(find_dataset(name), folder, root=root)
    return index, files


def splits(index: Index) -> list[tuple[str, str]]:
    return [(clip.name, clip.split) for clip in index.clips]


def said(files: Annotations, text: str) -> bool:
    return any(text in note for note in files.notes)


@pytest.fixture(autouse=True)
def small_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if SSv2 had 9 training and 5 validation clips, and SSv2-LT 4 training clips."""
    monkeypatch.setattr(ssv2, "WHOLE", Whole("SSv2", "ssv2", {"train": 9, "val": 5}))
    monkeypatch.setattr(ssv2, "NUM_LONG_TAIL", 4)


@pytest.mark.parametrize("test", ["val", "validation"])
@pytest.mark.parametrize("prefix", [SS, ""])
def test_val_or_validation_is_the_test_set_as_released(
    test: str, prefix: str, tmp_path: Path
) -> None:
    index, files = read("ssv2-lt", write(tmp_path, prefix, train=[1], trainval=[2], **{test: [3]}))
    assert splits(index) == [("1", "train"), ("2", "val"), ("3", "test")]
    assert [clip.labels["label"] for clip in index.clips] == [1, 2, 3]
    assert said(files, f"{test}.json is split test, as the release names it")
    assert said(files, "1 clip; SSv2's own has 5")


def test_a_file_that_may_be_of_the_whole_set_is_asked_for(tmp_path: Path) -> None:
    five = [*range(20, 25)]
    folder = write(tmp_path, train=[1], trainval=[2], validation=five)
    with pytest.raises(ManifestError, match="has 5 clips, as many as SSv2's validation set") as e:
        read("ssv2-lt", folder)
    assert "call it something-something-v2-val.json" in str(e.value.hint)
    (folder / f"{SS}validation.json").rename(folder / f"{SS}val.json")
    assert splits(read("ssv2-lt", folder)[0])[2:] == [(str(n), "test") for n in five]
    write(tmp_path, train=[*range(9)])
    with pytest.raises(ManifestError, match="has 9 clips: it is that of SSv2 itself"):
        read("ssv2-lt", folder)


def test_the_long_tailed_list_is_not_taken_for_that_of_the_whole_set(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="has 4 clips: it is that of SSv2-LT") as e:
        read("ssv2", write(tmp_path, train=[1, 2, 3, 4], validation=[5]))
    assert "ssv2-lt" in str(e.value.hint)


def test_two_files_of_one_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="val.json and .*validation.json may both be the test"):
        read("ssv2-lt", write(tmp_path / "a", train=[1], val=[2], validation=[3]))
    both = write(tmp_path / "b", train=[1], trainval=[2], validation=[3], test=[4])
    with pytest.raises(ManifestError, match="validation.json and .*test.json may both be the test"):
        read("ssv2-lt", both)


def test_a_test_file_with_labels_is_one_and_that_of_the_whole_set_is_none(tmp_path: Path) -> None:
    index, files = read("ssv2-lt", write(tmp_path / "a", train=[1], validation=[2], test=[3]))
    assert splits(index) == [("1", "train"), ("2", "val"), ("3", "test")]
    assert said(files, "validation.json is split val, something-something-v2-test.json is split te")
    folder = write(tmp_path / "b", train=[1], validation=[2], bare_test=[3])
    index, files = read("ssv2-lt", folder)
    assert splits(index) == [("1", "train"), ("2", "test")]
    assert said(files, "not read: something-something-v2-test.json")


def test_class_names_may_lie_with_the_videos(tmp_path: Path) -> None:
    folder = write(tmp_path / "lt", train=[1], validation=[2])
    write(tmp_path / "ssv2")
    (folder / f"{SS}labels.json").rename(tmp_path / "ssv2/labels.json")
    (tmp_path / f"ssv2/{SS}labels.json").unlink()
    with pytest.raises(ManifestError, match="no annotations of Something-Something V2, long-tail"):
        read("ssv2-lt", folder)
    assert len(read("ssv2-lt", folder, tmp_path / "ssv2")[0].clips) == 2


def test_videolt_lt_has_the_same_names_and_classes_of_its_own(tmp_path: Path) -> None:
    index, _ = read("videolt-lt", write(tmp_path / "a", "", train=[1], trainval=[2], val=[3]))
    assert splits(index) == [("1", "train"), ("2", "val"), ("3", "test")]
    assert len(index.classes["label"]) == 174
    index, _ = read("videolt-lt", write(tmp_path / "b", "videolt-lt-", train=[1], validation=[2]))
    assert splits(index) == [("1", "train"), ("2", "val")]
    folder = write(tmp_path / "c", "")
    for name in ("train", "trainval", "val"):
        (folder / f"{name}.lst").write_text(f"{name} 3,4\n")
    index, _ = read("videolt-lt", folder)
    assert splits(index) == [("train", "train"), ("trainval", "val"), ("val", "test")]


# --- beside the official json --------------------------------------------------------------------


def test_answers_are_the_labels_of_test_clips(tmp_path: Path) -> None:
    folder = write(tmp_path, train=[1], bare_test=[2, 3])
    answers = folder / f"{SS}test-answers.csv"
    answers.write_text(f"3;{NAMES[7]}\n4;{NAMES[0]}\n2;No such class\n")
    index, files = read("ssv2", folder)
    labels = [(clip.name, clip.split, dict(clip.labels)) for clip in index.clips[1:]]
    assert labels == [("2", "test", {}), ("3", "test", {"label": 7})]
    assert said(files, "1 answer of no clip of something-something-v2-test.json")
    assert [row.line.number for row in files.rejects] == [3]
    (folder / f"{SS}test.json").unlink()
    assert splits(read("ssv2", folder)[0])[1:] == [("3", "test"), ("4", "test")]


def test_how_many_test_clips_have_labels_is_said(tmp_path: Path) -> None:
    folder = write(tmp_path / "ann", train=[1], bare_test=[2, 3])
    for name in "123":
        (tmp_path / f"{name}.webm").touch()
    media, out = MediaFolder(tmp_path, probe=False), tmp_path / "out"

    def test_row() -> str:
        made = prepare(find_dataset("ssv2"), media, out, annotations=folder)
        return coverage_rows(made.account.coverage)[-1][0]

    assert test_row() == "test (no labels)"
    (folder / f"{SS}test-answers.csv").write_text(f"3;{NAMES[7]}\n")
    assert test_row() == "test (1 with labels)"
    (folder / f"{SS}test-answers.csv").write_text(f"3;{NAMES[7]}\n2;{NAMES[0]}\n")
    assert test_row() == "test"


def test_frames_are_found_where_motionformers_lists_say(tmp_path: Path) -> None:
    folder = write(tmp_path / "ann", train=[1, 2])
    head = "original_vido_id video_id frame_id path labels\n"
    (folder / "train.csv").write_text(head + '1 0 0 part/one/000001.jpg ""\n')
    (tmp_path / "part/one").mkdir(parents=True)
    media = MediaFolder(tmp_path, probe=False)
    made = prepare(find_dataset("ssv2"), media, tmp_path / "out", annotations=folder)
    assert made.manifest is not None
    assert "part/one,1,train" in made.manifest.read_text()
    notes = made.account.notes
    assert "1 clip in no frame list: left out by Motionformer, kept here" in notes
    assert "split train has 2 clips here, 168,913 are published" in notes
    assert not [note for note in notes if "val.csv" in note]  # which few people have
