"""Features in one mapped file, in .npy files and in HDF5, and clips of several classes."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marey.data.checks.stats import stats
from marey.data.features.feature_file import FeatureFile
from marey.data.features.feature_folder import open_features
from marey.data.loading.clips import ClipDataset, collate
from marey.data.loading.samplers import ClassBalanced, SquareRoot
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest, require_local_files
from marey.data.manifest.write import write_manifest
from marey.data.own_videos.init import init_dataset
from marey.errors import DecodeError, ManifestError
from marey.video.crops import CenterCrop
from marey.video.sampling.segments import AllFrames, EvenFrames
from tests.manifests import read_complete

DIM = 3


def npy_manifest(folder: Path, lengths: list[int], labels: list[str] | None = None) -> Path:
    """A manifest of .npy clips of these lengths; clip i is 100 i, 100 i + 1, ... frame by frame."""
    labels = labels or [str(i % 2) for i in range(len(lengths))]
    lines = ["path,label,split"]
    for i, (length, label) in enumerate(zip(lengths, labels, strict=True)):
        values = 100 * i + np.arange(length, dtype=np.float32)[:, None] + np.zeros(DIM)
        np.save(folder / f"{i}.npy", values.astype(np.float16))
        lines.append(f"{i}.npy,{label},{'val' if i % 3 == 2 else 'train'}")
    path = folder / "manifest.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def packed(manifest: Path) -> Manifest:
    out = manifest.with_name("features.arrow")
    write_manifest(read_manifest(manifest), out)
    return read_manifest(out)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 7), min_size=2, max_size=9), st.randoms())
def test_every_frame_of_every_row_is_that_of_the_clip_however_rows_are_taken(
    tmp_path, lengths, random
):
    found = packed(npy_manifest(tmp_path, lengths))
    rows = random.choices(range(len(lengths)), k=5)
    for manifest in (found, read_complete(tmp_path / "manifest.csv")):
        features = manifest.take(np.array(rows)).features
        for place, row in enumerate(rows):
            assert features.num_frames(place) == lengths[row]
            values = features.read(place, np.arange(lengths[row]))
            assert values.dtype == np.float32
            assert values[:, 0].tolist() == [100 * row + t for t in range(lengths[row])]


def test_a_file_of_many_record_batches_is_one_list_of_clips(tmp_path, monkeypatch):
    monkeypatch.setattr("marey.data.features.feature_folder.ROWS", 2)
    features = packed(npy_manifest(tmp_path, [2, 3, 1, 4, 2])).features
    assert features.lengths.tolist() == [2, 3, 1, 4, 2]
    assert [features.read(row, np.array([0]))[0, 0] for row in range(5)] == [0, 100, 200, 300, 400]


def test_a_batch_of_features_is_views_of_the_frames_that_were_asked_for(tmp_path):
    found = packed(npy_manifest(tmp_path, [4, 9]))
    data = ClipDataset(found, EvenFrames(3), CenterCrop())
    batch = collate([data[0, None], data[1, 7]])
    assert batch.clip.shape == (2, 1, 3, DIM)
    assert batch.clip[0, 0, :, 0].tolist() == [0, 1, 3]
    drawn = batch.clip[1, 0, :, 0].tolist()
    assert drawn == sorted(drawn)
    assert 100 <= drawn[0] <= drawn[-1] < 109


def test_another_process_maps_the_file_anew(tmp_path):
    features = packed(npy_manifest(tmp_path, [4, 9])).features
    whole = features.read(1, np.arange(9))
    copy = pickle.loads(pickle.dumps(features))
    assert "_frames" not in copy.__dict__
    np.testing.assert_array_equal(copy.read(1, np.arange(9)), whole)


def test_a_clip_that_cannot_be_read_stays_without_features(tmp_path):
    manifest = npy_manifest(tmp_path, [2, 2, 2])
    (tmp_path / "1.npy").write_bytes(b"no array")
    found = packed(manifest)
    assert len(found) == 3
    data = ClipDataset(found, AllFrames(), CenterCrop())
    batch = collate([data[row, None] for row in range(3)])
    assert batch.rows.tolist() == [0, 2]
    ((row, reason),) = batch.failures
    assert row == 1
    assert "1.npy" in reason


def test_statistics_of_a_file_of_features_open_no_video(tmp_path):
    found = stats(packed(npy_manifest(tmp_path, [2, 5, 3])))
    assert (found.num_opened, found.num_known) == (0, 3)
    assert (found.frames[0.0], found.frames[1.0]) == (2, 5)


WRONG = {
    "text": (b"path,label\n", r"f\.arrow: not an Arrow file"),
    "no vectors": (
        pa.table({"path": ["a"], "label": [0], "features": [[1.0]]}),
        r"'features' is list<.*expected lists of vectors",
    ),
    "whole numbers": (
        pa.table(
            {"path": ["a"], "label": [0], "features": pa.array([[1, 2]], pa.list_(pa.int32(), 2))}
        ),
        r"fixed_size_list<.*int32.*expected",
    ),
    "a null": (
        pa.table(
            {
                "path": ["a"],
                "label": [0],
                "features": pa.array([None], pa.list_(pa.list_(pa.float32(), 2))),
            }
        ),
        r"null in 1 cell of 'features'.*empty list",
    ),
    "no label": (pa.table({"path": ["a"]}), r"no column 'label'"),
}


def test_a_file_of_features_is_written_anew_with_fewer_rows_and_never_as_text(tmp_path):
    found = packed(npy_manifest(tmp_path, [2, 5, 3])).take(np.array([2, 0]))
    write_manifest(found, tmp_path / "few.arrow")
    few = read_manifest(tmp_path / "few.arrow")
    assert few.features.lengths.tolist() == [3, 2]
    assert few.features.dtype == np.float16
    assert few.features.read(0, np.array([1]))[0, 0] == 201
    with pytest.raises(ManifestError, match=r"holds features, .*few\.csv cannot.*NAME\.arrow"):
        write_manifest(found, tmp_path / "few.csv")


@pytest.mark.parametrize("wrong", WRONG)
def test_a_foreign_file_is_an_error_that_says_what_was_expected(tmp_path, wrong):
    content, message = WRONG[wrong]
    path = tmp_path / "f.arrow"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, content.schema) as writer:
            writer.write_table(content)
    with pytest.raises(ManifestError, match=message):
        read_manifest(path)


def test_a_column_of_one_vector_a_clip_is_read(tmp_path):
    vectors = pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2))
    table = pa.table({"path": ["a", "b"], "label": [0, 1], "features": vectors})
    with (
        pa.OSFile(str(tmp_path / "f.arrow"), "wb") as out,
        pa.ipc.new_file(out, table.schema) as writer,
    ):
        writer.write_table(table)
    features = read_manifest(tmp_path / "f.arrow").features
    assert isinstance(features, FeatureFile)
    assert features.read(1, np.array([0])).tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2, 2)), r"expected floats \[t d\]"),
        (np.zeros((2, 3), int), "int64"),
        (np.zeros((0, 3)), r"\[0, 3\]"),
    ],
)
def test_an_array_that_is_no_features_is_an_error(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DecodeError, match=message), open_features(tmp_path / "a.npy"):
        pass


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ManifestError, match=r"cannot read .*none\.arrow"):
        read_manifest(tmp_path / "none.arrow")
    path = npy_manifest(tmp_path, [1, 1])
    (tmp_path / "1.npy").unlink()
    with pytest.raises(ManifestError, match=r"no file .*1\.npy"):
        require_local_files(read_manifest(path))


# --- VideoLT ------------------------------------------------------------------------------------


def video_lt(folder: Path) -> Path:
    """Lists and features as VideoLT hands them out."""
    lists = folder / "lists"
    lists.mkdir()
    (lists / "train.lst").write_text("aa 0\nbb 1,2\ncc 2\n")
    (lists / "validate.lst").write_text("dd 2,0\nee 1\n")
    (lists / "count-labels-train.lst").write_text("Apple 0 1.0\nBall 1 1.0\nCat Dog 2 2.0\n")
    return lists


def test_lists_of_video_lt_and_its_npy_files_become_a_manifest(tmp_path):
    lists, clips = video_lt(tmp_path), tmp_path / "clips"
    clips.mkdir()
    for name in ("aa", "bb", "cc", "dd", "ee"):
        np.save(clips / f"{name}.npy", np.ones((5, DIM), np.float32))
    made = init_dataset(
        lists, tmp_path / "out", root=clips, num_workers=1, names=lists / "count-labels-train.lst"
    )
    assert made.manifest.classes == {"label": ("Apple", "Ball", "Cat Dog")}
    assert made.manifest.split_counts() == {"train": 3, "val": 2}
    assert made.manifest.labels["label"].astype(int).tolist() == [
        [1, 0, 0],
        [0, 1, 1],
        [0, 0, 1],
        [1, 0, 1],
        [0, 1, 0],
    ]
    assert made.manifest.class_counts().tolist() == [2, 2, 3]
    assert made.manifest.frame_counts.tolist() == [5, 5, 5, 5, 5]
    assert made.manifest.features.dim == DIM


def test_data_sets_of_hdf5_are_clips_too(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is an extra: marey[hdf5]")
    lists = video_lt(tmp_path)
    with h5py.File(tmp_path / "all.h5", "w") as file:
        for number, name in enumerate(("aa", "bb", "cc", "dd", "ee")):
            file[name] = np.full((5, DIM), number, np.float16)
    made = init_dataset(lists, tmp_path / "out", root=tmp_path / "all.h5", probe=False)
    found = read_complete(made.path, split="train")
    data = ClipDataset(found, EvenFrames(9), CenterCrop())
    batch = collate([data[row, 3] for row in range(3)])
    assert batch.clip[:, 0, :, 0].tolist() == [[0] * 9, [1] * 9, [2] * 9]
    with (
        pytest.raises(DecodeError, match="all.h5/nobody"),
        open_features(tmp_path / "all.h5/nobody"),
    ):
        pass


def test_hdf5_without_h5py_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with (
        pytest.raises(DecodeError, match=r"pip install 'marey\[hdf5\]'"),
        open_features(tmp_path / "all.h5/aa"),
    ):
        pass


# --- several classes ----------------------------------------------------------------------------


@given(st.lists(st.sets(st.integers(0, 4), min_size=1), min_size=2, max_size=12))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_clips_of_several_classes_survive_writing_and_reading(tmp_path, sets):
    sets = [*sets, {0, 4}]
    lines = [f"{i}.mp4,{'|'.join(map(str, classes))}" for i, classes in enumerate(sets)]
    (tmp_path / "m.csv").write_text("\n".join(["path,label", *lines]) + "\n")
    first = read_manifest(tmp_path / "m.csv")
    assert first.labels["label"].dtype == bool
    assert [set(np.flatnonzero(row)) for row in first.labels["label"]] == sets
    for name in ("n.csv", "n.parquet"):
        write_manifest(first, tmp_path / "new" / name)
        again = read_manifest(tmp_path / "new" / name)
        np.testing.assert_array_equal(again.labels["label"], first.labels["label"])
    counts = [sum(k in classes for classes in sets) for k in range(5)]
    assert first.class_counts().tolist() == counts


def test_names_with_the_separator_in_them_stay_whole(tmp_path):
    (tmp_path / "labels.txt").write_text("yes|no\nmaybe\n")
    (tmp_path / "m.csv").write_text("path,label\na,yes|no\nb,maybe\n")
    assert read_manifest(tmp_path / "m.csv").labels["label"].tolist() == [0, 1]


def test_a_class_that_is_none_is_named_with_its_line(tmp_path):
    (tmp_path / "m.csv").write_text("path,label\na,0\nb,1|7\n")
    with pytest.raises(ManifestError, match=r"m\.csv:3: 'label' is 7; this head has 3 classes"):
        read_manifest(tmp_path / "m.csv", heads={"label": 3})


@pytest.mark.parametrize("sampler", [ClassBalanced(), SquareRoot()])
def test_clips_of_several_classes_are_drawn_for_each_of_them(sampler):
    labels = np.zeros((4000, 3), bool)
    labels[:, 0] = True
    labels[:40, 1] = True
    labels[40:44, 2] = True
    rows = sampler.epoch_rows(labels, seed=0, epoch=0)
    weights = labels.sum(0) ** (0.0 if sampler == ClassBalanced() else 0.5)
    share = weights / weights.sum()
    assert len(rows) == 4000
    few = np.isin(rows, np.arange(40, 44)).mean()
    assert few == pytest.approx(share[2] + share[0] * 4 / 4000, abs=0.03)


@pytest.mark.parametrize("name", ["a.npy", "a.h5/clip"])
def test_a_pipe_holds_no_features(tmp_path, name):
    path = tmp_path / name
    os.mkfifo(path if path.parent == tmp_path else path.parent)
    with pytest.raises(DecodeError, match="a named pipe, not a file"), open_features(path):
        pass


NPY = [
    b"\x93NUMPY\x01\x00",
    b"\x93NUMPY\x01\x00\x06\x00{'a':\n",
    b"\x93NUMPY\x01\x00\x10\x00" + b"(" * 16,
    b"\x93NUMPY\x01\x00\x3f\x00{'descr': '<f4', 'fortran_order': False, 'shape': (999999999,9)}",
    b"\0" * 200,
]


@pytest.mark.parametrize("data", NPY)
def test_an_array_whose_header_lies_is_named(tmp_path, data):
    (tmp_path / "a.npy").write_bytes(data)
    with (
        pytest.raises(DecodeError, match=r"a\.npy"),
        open_features(tmp_path / "a.npy") as frames,
    ):
        np.asarray(frames)


def test_hdf5_leads_into_no_other_file(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.ones((2, DIM), np.float32)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["own/x"] = np.ones((2, DIM), np.float32)
        file["link"] = h5py.ExternalLink("secret.h5", "x")
        layout = h5py.VirtualLayout((2, DIM), np.float32)
        layout[:] = h5py.VirtualSource("secret.h5", "x", (2, DIM))
        file.create_virtual_dataset("virtual", layout)
    with open_features(tmp_path / "f.h5" / "own" / "x") as frames:
        assert frames.shape == (2, DIM)
    for name, message in (("link", "not followed"), ("virtual", "other file"), ("own", "group")):
        with (
            pytest.raises(DecodeError, match=rf"f\.h5/{name}: .*{message}"),
            open_features(tmp_path / "f.h5" / name),
        ):
            pass
    (tmp_path / "bad.h5").write_bytes(b"no hdf5")
    with (
        pytest.raises(DecodeError, match=r"bad\.h5"),
        open_features(tmp_path / "bad.h5" / "x"),
    ):
        pass
