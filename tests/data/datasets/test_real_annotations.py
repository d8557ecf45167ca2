"""The published counts come out of the real annotation files; each file is read once."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from marey.data.datasets.catalog import find_dataset
from marey.data.datasets.dataset import AnnotatedClip, Index
from marey.data.lists.annotations import Annotations
from marey.data.prepare.find_forms import read_annotations
from marey.data.prepare.valid_clips import valid_clips


@cache
def read(name: str, folder: Path) -> tuple[Index, Annotations]:
    index, files, _ = read_annotations(find_dataset(name), folder)
    return index, files


@pytest.fixture(scope="module")
def lists(shared_dir: Path) -> Path:
    return shared_dir / "data" / "annotations"


def counts(clips: list[AnnotatedClip]) -> tuple[int, ...]:
    found = Counter(clip.split for clip in clips)
    return tuple(found[split] for split in ("train", "val", "test") if split in found)


def label_counts(index: Index, head: str) -> np.ndarray:
    """Training clips of every class."""
    labels = [clip.labels[head] for clip in index.clips if clip.split == "train"]
    found = np.zeros(len(index.classes[head]), np.int64)
    np.add.at(found, np.hstack(labels), 1)
    return found


UCF101 = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}


@pytest.mark.parametrize("split", UCF101)
def test_ucf101_has_its_published_counts(split: int, lists: Path) -> None:
    index, files = read(f"ucf101-split{split}", lists / "tsn" / "ucf101_splits")
    assert counts(index.clips) == UCF101[split]
    assert not files.rejects
    groups = {s: {c.group for c in index.clips if c.split == s} for s in ("train", "val")}
    assert not groups["train"] & groups["val"]
    assert len(groups["train"] | groups["val"]) == 101 * 25


def test_two_code_bases_lists_of_ucf101_are_the_same_clips(lists: Path) -> None:
    official, _ = read("ucf101-split1", lists / "tsn" / "ucf101_splits")
    listed, files = read("ucf101-split1", lists / "uniformer_ucf101")
    assert listed.classes == official.classes
    assert not files.rejects
    assert {c[1:] for c in named(listed)} == {c[1:] for c in named(official)}
    known = (lists / "mmaction2" / "ucf101" / "label_map.txt").read_text().split()
    assert [*listed.classes["label"]] == known


def named(index: Index) -> list[tuple[object, ...]]:
    """What a clip says, without its place and length."""
    return [(c.line, c.name, c.split, *c.labels.items(), c.group) for c in index.clips]


@pytest.mark.parametrize("split", [1, 2, 3])
def test_hmdb51_has_its_published_counts(split: int, lists: Path) -> None:
    index, files = read(f"hmdb51-split{split}", lists / "tsn" / "hmdb51_splits")
    assert counts(index.clips) == (3570, 1530)
    assert (label_counts(index, "label") == 70).all()
    assert not files.rejects
    assert files.notes == ["1,666 clips in neither part of this split"]


def test_lists_of_hmdb51_have_its_classes_in_alphabetical_order(lists: Path) -> None:
    index, files = read("hmdb51-split1", lists / "uniformer_hmdb51")
    assert counts(index.clips) == (3570, 1530)
    assert not files.rejects
    for clip in index.clips:
        label = clip.labels["label"]
        assert isinstance(label, int)
        assert f"_{index.classes['label'][label]}_" in clip.name
    known = (lists / "mmaction2" / "hmdb51" / "label_map.txt").read_text().split()
    assert [*index.classes["label"]] == known


EGTEA = {1: (8299, 2022), 2: (8299, 2022), 3: (8300, 2021)}


@pytest.mark.parametrize("split", EGTEA)
def test_egtea_has_its_published_counts(split: int, lists: Path, tmp_path: Path) -> None:
    index, files = read(f"egtea-split{split}", lists / "egtea_rulstm")
    assert counts(index.clips) == EGTEA[split]
    assert len(index.classes["label"]) == 106
    assert index.classes["label"][2] == "Take_eating:utensil"
    assert not files.rejects
    sound = valid_clips(index, Annotations(files.files), tmp_path)
    assert len(sound) == sum(EGTEA[split])  # two parts are annotated twice, under two ids


def test_epic_kitchens_has_its_published_counts(lists: Path) -> None:
    index, files = read("epic100", lists / "epic100_rulstm")
    assert counts(index.clips) == (67_217, 9_668)
    assert not files.rejects
    verbs, nouns = label_counts(index, "verb"), label_counts(index, "noun")
    assert (len(verbs), verbs.max(), verbs.min()) == (97, 14_848, 1)
    assert (len(nouns), (nouns > 0).sum()) == (300, 289)
    pairs = {(c.labels["verb"], c.labels["noun"]) for c in index.clips if c.split == "train"}
    assert len(pairs) == 3_568


def test_both_lists_of_epic_say_the_same_to_a_thirtieth_of_a_second(lists: Path) -> None:
    official, files = read("epic100", lists / "epic100")
    rulstm, _ = read("epic100", lists / "epic100_rulstm")
    val = [clip for clip in rulstm.clips if clip.split == "val"]
    assert counts(official.clips) == (9_668,)
    assert not files.rejects
    assert official.classes["verb"][:2] == ("take", "put")

    by_video = defaultdict(list)
    for clip in val:
        by_video[clip.name].append(clip)
    for clip in official.clips:
        assert clip.start is not None
        near = [
            other
            for other in by_video[clip.name]
            if other.labels == clip.labels and -0.04 < (clip.start - (other.start or 0)) < 0.04
        ]
        assert near, clip


def test_videolt_has_its_published_counts(lists: Path) -> None:
    index, files = read("videolt", lists / "videolt")
    assert counts(index.clips) == (179_334, 25_619, 51_239)
    assert not files.rejects
    found = label_counts(index, "label")
    assert (len(found), found.sum(), found.max(), found.min()) == (1004, 196_798, 1912, 44)
    assert not [note for note in files.notes if "other counts" in note]
    lengths = Counter(len(c.labels["label"]) for c in index.clips if c.split == "train")  # type: ignore[arg-type]
    assert (lengths[1], lengths[2], max(lengths)) == (164_298, 12_978, 7)


def test_both_kinds_of_lists_of_videolt_say_the_same(lists: Path, tmp_path: Path) -> None:
    for name in ("count-labels-train.lst", "val_videofolder.txt"):
        (tmp_path / name).symlink_to(lists / "videolt" / name)
    folders, files = read("videolt", tmp_path)
    listed, _ = read("videolt", lists / "videolt")
    assert not files.rejects
    assert [(c.name, c.labels) for c in folders.clips] == [
        (c.name, c.labels) for c in listed.clips if c.split == "val"
    ]
    assert folders.clips[0].num_frames == 11


def test_names_of_moments_are_305(lists: Path, tmp_path: Path) -> None:
    names = lists / "moments_and_mini" / "category_momentsv2.txt"
    (tmp_path / names.name).symlink_to(names)
    (tmp_path / "validationSet.csv").write_text("clapping/a.mp4,clapping,4,0\n")
    index, _ = read("moments", tmp_path)
    assert len(index.classes["label"]) == 305
    assert index.clips[0].labels == {"label": 0}


def test_names_of_diving48_are_48(lists: Path, tmp_path: Path) -> None:
    names = lists / "mmaction2" / "diving48" / "label_map.txt"
    (tmp_path / names.name).symlink_to(names)
    (tmp_path / "val.txt").write_text("_8Vy3dlHg2w_00000 42 17\n")
    index, _ = read("diving48", tmp_path)
    assert len(index.classes["label"]) == 48
    assert index.clips[0].labels == {"label": 17}
    assert index.clips[0].group == ""
