from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from marey.data.manifest.join import read_manifests
from marey.data.manifest.location import Location
from marey.data.manifest.read import read_manifest, require_local_files
from marey.data.manifest.write import write_manifest
from marey.errors import ManifestError

REAL = "path,label,split,num_frames\na.mp4,run,train,9\nb.mp4,jump,val,\n"
MADE = "path,label\na.mp4,jump\nc.mp4,run\n"


def lists(folder: Path, *texts: str, names: str = "jump\nrun\n") -> list[Path]:
    paths = [folder / f"of_{n}" / f"list{n}.csv" for n in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.with_name("labels.txt").write_text(names)
        for name in "abc":
            (path.parent / f"{name}.mp4").touch()
    return paths


def test_joined_lists_keep_their_folders_and_name_their_sources(tmp_path):
    found = read_manifests(lists(tmp_path, REAL, MADE))
    assert [str(found.path(row).relative_to(tmp_path)) for row in range(4)] == [
        "of_0/a.mp4",
        "of_0/b.mp4",
        "of_1/a.mp4",
        "of_1/c.mp4",
    ]
    assert found.labels["label"].tolist() == [1, 0, 0, 1]
    assert found.sources.to_pylist() == ["list0", "list0", "list1", "list1"]
    assert [found.num_frames(row) for row in range(4)] == [9, None, None, None]


def test_a_list_without_splits_is_for_training_where_another_has_them(tmp_path):
    paths = lists(tmp_path, REAL, MADE)
    assert list(read_manifests(paths, split="train").texts()) == ["a.mp4", "a.mp4", "c.mp4"]
    assert list(read_manifests(paths, split="val").texts()) == ["b.mp4"]
    assert list(read_manifests(paths[1:], split="val").texts()) == ["a.mp4", "c.mp4"]  # as alone


def test_one_list_is_what_it_is_alone(tmp_path):
    (path,) = lists(tmp_path, REAL)
    assert read_manifests([path]).digest() == read_manifest(path).digest()
    assert read_manifests([path]).sources is None


def test_columns_that_some_lists_lack_are_unknown_there(tmp_path):
    spans = "path,label,source,start,end,fps\na.mp4,0|1,real,1,2.5,10\n"
    found = read_manifests(lists(tmp_path, MADE, spans))
    assert found.labels["label"].tolist() == [[True, False], [False, True], [True, True]]
    assert found.sources.to_pylist() == ["list0", "list0", "real"]
    np.testing.assert_equal(found.starts, [np.nan, np.nan, 1])
    np.testing.assert_equal(found.rates, [np.nan, np.nan, 10])
    assert found.splits is None
    assert found.span(0) is None
    frames = "path,label,start_frame\na.mp4,0,1\n"
    with pytest.raises(ManifestError, match=r"list1\.csv are in frames, others not.*or all in fra"):
        read_manifests(lists(tmp_path, spans, frames))


def test_groups_of_all_lists_and_ids_of_any_are_kept(tmp_path):
    grouped = "path,label,group,id\na.mp4,0,g,x\na.mp4,1,h,y\n"
    paths = lists(tmp_path, grouped, "path,label,group\nb.mp4,0,h\n", "path,label\nc.mp4,0\n")
    found = read_manifests(paths[:2])
    assert found.groups.to_pylist() == ["g", "h", "h"]
    assert found.ids.to_pylist() == ["x", "y", ""]
    assert read_manifests(paths).groups is None


def test_classes_that_differ_are_named(tmp_path):
    paths = lists(tmp_path, REAL, MADE)
    for names, what in (
        ("jump\nhop\nrun\n", r"class 1 of 'label' is 'run' in .*0\.csv, 'hop' in .*1\.csv"),
        ("jump\nrun\nhop\n", r"class 2 of 'label' is none in .*, 'hop' in .*same file of class n"),
    ):
        paths[1].with_name("labels.txt").write_text(names)
        with pytest.raises(ManifestError, match=what):
            read_manifests(paths)
    paths = lists(tmp_path, REAL, "path,label,verb\na.mp4,0,1\n")
    paths[1].with_name("labels.verb.txt").write_text("up\ndown\n")
    with pytest.raises(ManifestError, match=r"list0\.csv labels label, .*1\.csv labels label, ver"):
        read_manifests(paths)
    assert len(read_manifests(paths, heads={"label": 2})) == 3


def test_a_clip_in_two_lists_and_one_that_is_missing_are_errors(tmp_path):
    paths = lists(tmp_path, REAL, MADE)
    with pytest.raises(ManifestError, match=r"of_0/a\.mp4' stands in two lists.*keep one row a"):
        read_manifests(paths, at=Location(tmp_path / "of_0"))
    (tmp_path / "of_1/c.mp4").unlink()
    with pytest.raises(ManifestError, match=r"list0\.csv \+ .*list1\.csv: no file '.*of_1/c\.mp4'"):
        require_local_files(read_manifests(paths))
    require_local_files(read_manifests(paths), "val")
    assert len(read_manifests(paths, split="val")) == 1
    assert len(read_manifests(paths)) == 4


def test_sources_of_joined_lists_may_have_roots_of_their_own(tmp_path):
    paths = lists(tmp_path, REAL, MADE)
    found = read_manifests(paths, at=Location(roots={"list1": "s3://made"}))
    assert [str(found.path(row)) for row in (0, 3)] == [
        str(tmp_path / "of_0/a.mp4"),
        "s3://made/c.mp4",
    ]
    with pytest.raises(ManifestError, match=r"no clip has the source 'list3'.*did you mean"):
        read_manifests(paths, at=Location(roots={"list3": "s3://made"}))
    paths[1].write_text("path,label\n../c.mp4,1\n")
    with pytest.raises(ManifestError, match=r"'path' is '\.\./c\.mp4', outside the root s3://made"):
        read_manifests(paths, at=Location(roots={"list1": "s3://made"}))


@pytest.mark.parametrize("name", ["all.csv", "all.arrow"])
def test_joined_lists_are_written_as_one(tmp_path, name):
    found = read_manifests(lists(tmp_path, REAL, MADE))
    write_manifest(found, tmp_path / name)
    again = read_manifest(tmp_path / name)
    for split in ("train", "val"):
        one, other = found.select(split), again.select(split)
        assert [one.path(r) for r in range(len(one))] == [other.path(r) for r in range(len(other))]
        assert one.sources.to_pylist() == other.sources.to_pylist()
