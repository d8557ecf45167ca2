"""One flipped bit in a file of Arrow or Parquet: an error of ours or the same data, no crash."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from marey.data.features.feature_file import CLASSES, FeatureFile
from marey.data.features.marks import marked_writer
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.data.manifest.write import write_manifest
from marey.errors import DecodeError, ManifestError, MareyError
from marey.jobs.executors import Processes

NUM_FLIPS = 240
"""Of a file, spread over all its bits."""


def clips(folder: Path) -> Manifest:
    rows = np.arange(6)
    columns = {
        "path": [f"wave/{i}.mp4" for i in rows],
        "label": rows % 3,
        "verb": rows[:, None] % 2 == np.arange(2),
        "split": ["train", "val"] * 3,
        "group": ["a", "b", "c"] * 2,
        "id": [f"é{i}" for i in rows],
        "start": [None, 0.5, 1.0, None, 2.5, 3.0],
        "end": [None, 1.5, 2.0, 3.0, 3.5, 4.0],
        "num_frames": [30, None, 50, 60, 70, 80],
        "fps": [25.0, None, 30.0, 12.5, 10.0, 25.0],
    }
    classes = {"label": ("jump", "run", "hop"), "verb": ("up", "down")}
    return Manifest.from_columns(folder / "m.csv", folder, columns, classes)


def write_features(folder: Path) -> Path:
    for i in range(6):
        np.save(
            folder / f"{i}.npy",
            np.arange(6 * (1 + i % 3), dtype=np.float16).reshape(-1, 6) + 100 * i,
        )
    columns = {"path": [f"{i}.npy" for i in range(6)], "label": np.arange(6) % 2}
    manifest = Manifest.from_columns(folder / "m.csv", folder, columns, {"label": ("a", "b")})
    write_manifest(manifest.with_feature_files(), folder / "features.arrow")
    return folder / "features.arrow"


def all_of(path: Path) -> object:
    """All that a manifest, and its features, tell."""
    found = read_manifest(path)
    columns = [found.starts, found.ends, found.frame_counts, found.rates]
    codes = [codes and codes.to_pylist() for codes in (found.splits, found.groups, found.sources)]
    vectors = []
    if isinstance(found.features, FeatureFile):
        features = found.features
        for row in range(len(found)):
            vectors.append(features.read(row, np.arange(features.num_frames(row))).tolist())
    return (
        [list(found.texts()), found.ids and found.ids.to_pylist(), codes],
        [None if each is None else np.nan_to_num(each, nan=-7).tolist() for each in columns],
        {head: labels.tolist() for head, labels in found.labels.items()},
        [found.classes, found.unit, found.digest(), vectors],
    )


@cache
def whole(path: Path) -> tuple[bytes, str]:
    return path.read_bytes(), repr(all_of(path))


def outcome(path: Path, bit: int) -> str:
    """What becomes of a copy of the file with one bit turned."""
    data, told = whole(path)
    spoiled = path.with_name(f"spoiled{path.suffix}")
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    spoiled.write_bytes(flipped)
    try:
        return "same" if repr(all_of(spoiled)) == told else "other"
    except MareyError as error:
        return "error" if "spoiled" in str(error) else f"no name: {error}"


def outcomes(path: Path, num_flips: int = NUM_FLIPS) -> Counter[str]:
    """Of flips all over the file, in a process of their own."""
    num_bits = path.stat().st_size * 8
    bits = np.linspace(0, num_bits - 1, min(num_flips, num_bits)).astype(int).tolist()
    answers = Processes(1).answers(partial(outcome, path), bits)
    return Counter(f"{answer}" for _, answer in answers)


WRITERS: dict[str, Callable[[Path], Path]] = {
    "manifest": lambda folder: write(clips(folder), folder / "m.arrow"),
    "features": write_features,
    "parquet": lambda folder: write(clips(folder), folder / "m.parquet"),
}


def write(manifest: Manifest, path: Path) -> Path:
    write_manifest(manifest, path)
    return path


@pytest.mark.parametrize("kind", WRITERS)
def test_a_flipped_bit_is_an_error_or_changes_nothing(tmp_path: Path, kind: str) -> None:
    came = outcomes(WRITERS[kind](tmp_path))
    assert came.keys() <= {"same", "error"}, came
    assert came["error"] > NUM_FLIPS / 3


def forge(path: Path, table: pa.Table, classes: object = None) -> Path:
    """A mapped manifest of any table, with its checksum right."""
    metadata = {CLASSES: json.dumps({"label": ["a", "b"]} if classes is None else classes)}
    mark = {"version": 1, "rows": len(table), "digest": "", "inside": True}
    schema = table.schema.with_metadata(metadata)
    with path.open("wb") as file, marked_writer(file, schema) as writer:
        for batch in pa.table(table.columns, schema=schema).to_batches():
            writer.write(batch, {b"marey.checked": json.dumps(mark).encode()})
    return path


SOUND = {
    "path": pa.array(["a.mp4", "b.mp4"], pa.large_string()),
    "label": pa.array([0, 1]),
    "num_frames": pa.array([-1, 5]),
    "start": pa.array([np.nan, 1.0]),
    "end": pa.array([np.nan, 2.0]),
}


def test_a_forged_manifest_without_a_lie_is_read(tmp_path: Path) -> None:
    found = read_manifest(forge(tmp_path / "m.arrow", pa.table(SOUND)))
    assert found.mapped is not None
    assert (found.num_frames(0), found.num_frames(1)) == (None, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": pa.array([0, 2])}, "column 'label' is not one"),
        ({"label": pa.array([-1, 0])}, "column 'label' is not one"),
        ({"label": pa.array([0, None])}, "column 'label' is not one"),
        ({"label": pa.array(["a", "b"])}, "column 'label' is not one"),
        ({"label": pa.array([b"\0\7", b"\0\1"], pa.binary(2))}, "column 'label' is not one"),
        ({"label": pa.array([b"\0", b"\1"], pa.binary(1))}, "column 'label' is not one"),
        ({"path": pa.array([1, 2])}, "column 'path' is not one"),
        ({"path": pa.array(["a", None], pa.large_string())}, "column 'path' is not one"),
        ({"path": pa.array(["a", ""], pa.large_string())}, "'path' is empty"),
        ({"path": pa.array(["a", "b\0"], pa.large_string())}, "zero byte"),
        ({"num_frames": pa.array([0, 5])}, "'num_frames' is 0"),
        ({"start": pa.array([5.0, 1.0])}, None),
        ({"end": pa.array([2.0, 0.5])}, "not after"),
        ({"fps": pa.array([0.0, np.nan])}, "'fps' is 0"),
        ({"split": pa.array(["train", "val"])}, "column 'split' is not one"),
        ({"other": pa.array([1, 2])}, "column 'other' is not one"),
    ],
)
def test_a_forged_manifest_is_an_error(
    tmp_path: Path, changes: dict[str, pa.Array], message: str | None
) -> None:
    path = forge(tmp_path / "m.arrow", pa.table(SOUND | changes))
    if message is None:
        read_manifest(path)
        return
    with pytest.raises(ManifestError, match=rf"m\.arrow.*{message}"):
        read_manifest(path)


@pytest.mark.parametrize("classes", [[], {"label": "ab"}, {"label": []}, {"label": ["a", "a"]}, 5])
def test_forged_class_names_are_an_error(tmp_path: Path, classes: object) -> None:
    with pytest.raises(ManifestError, match=r"m\.arrow"):
        read_manifest(forge(tmp_path / "m.arrow", pa.table(SOUND), classes))


def test_a_file_without_checksums_is_held_to_its_digest(tmp_path: Path) -> None:
    """Those of an earlier marey have none."""
    whole_file = write(clips(tmp_path), tmp_path / "m.arrow").read_bytes()
    old = whole_file.replace(b"marey.crc32", b"marey.crcXX")
    (tmp_path / "old.arrow").write_bytes(old)
    assert repr(all_of(tmp_path / "old.arrow")) == repr(all_of(tmp_path / "m.arrow"))
    (tmp_path / "old.arrow").write_bytes(old.replace(b"wave/3.mp4", b"wave/8.mp4"))
    with pytest.raises(ManifestError, match=r"old\.arrow is damaged"):
        read_manifest(tmp_path / "old.arrow")


def test_features_that_are_damaged_are_an_error_of_their_clip_alone(tmp_path: Path) -> None:
    path = write_features(tmp_path)
    data = path.read_bytes()
    vector = np.arange(6, dtype=np.float16) + 300  # of clip 3, which has one
    assert data.count(vector.tobytes()) == 1
    path.write_bytes(data.replace(vector.tobytes(), (vector + 1).tobytes()))
    features = read_manifest(path).features
    assert isinstance(features, FeatureFile)
    with pytest.raises(DecodeError, match=r"features\.arrow: the features of row 4 are damaged"):
        features.read(3, np.array([0]))
    assert features.take(np.array([2])).read(0, np.array([0]))[0, 0] == 200


def test_what_another_tool_made_of_features_has_no_checksums_to_hold_it_to(tmp_path: Path) -> None:
    table = pa.ipc.open_file(write_features(tmp_path).read_bytes()).read_all()
    other = table.set_column(
        table.column_names.index("features"), "features", table["features"].take([1, 0, 2, 3, 4, 5])
    )
    with (
        pa.OSFile(str(tmp_path / "other.arrow"), "wb") as file,
        pa.ipc.new_file(file, other.schema) as w,
    ):
        w.write_table(other)
    features = read_manifest(tmp_path / "other.arrow").features
    assert isinstance(features, FeatureFile)
    assert features.read(0, np.array([0]))[0, 0] == 100
