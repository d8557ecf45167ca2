"""A manifest is a table with properties on it: what they show, and other columns in its place."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from marey.data.manifest.classes import read_classes
from marey.data.manifest.columns import as_array, from_array
from marey.data.manifest.location import Location
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.data.manifest.write import write_manifest
from marey.errors import ManifestError

NAMES = {"label": ("jump", "run")}
COLUMNS = {
    "path": ["a.mp4", "b.mp4", "c.mp4"],
    "label": [1, 0, 1],
    "split": ["train", "val", "train"],
    "id": ["x", None, "z"],
    "start": [None, 0.5, 1],
    "num_frames": [None, 30, 12],
    "fps": None,
}


def clips(folder: Path = Path("videos")) -> Manifest:
    return Manifest.from_columns(folder / "m.csv", folder, COLUMNS, NAMES)


def test_what_is_unknown_is_so_in_the_form_of_its_column() -> None:
    found = clips()
    assert found.ids is not None
    assert found.ids.to_pylist() == ["x", "", "z"]
    np.testing.assert_equal(found.starts, [np.nan, 0.5, 1])
    np.testing.assert_equal(found.frame_counts, [-1, 30, 12])
    assert found.rates is found.ends is found.groups is None
    assert [found.span(0), found.num_frames(0), found.fps(0)] == [None, None, None]


def test_a_label_that_is_none_is_no_class() -> None:
    with pytest.raises(ValueError, match="'label' is None in a row, expected the index of a cl"):
        Manifest.from_columns(Path("m.csv"), Path(), COLUMNS | {"label": [1, None, 0]}, NAMES)


def test_properties_are_views_of_the_table_and_not_copies() -> None:
    found = clips()
    for column, name in ((found.labels["label"], "label"), (found.starts, "start")):
        assert column is not None
        assert np.shares_memory(column, as_array(found.table[name]))
        assert not column.flags.writeable


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_labels_of_several_classes_come_back_from_a_table(rows: int) -> None:
    hot = np.eye(3, 5, dtype=bool)[:rows]
    column = pa.chunked_array([from_array(hot)])
    np.testing.assert_array_equal(as_array(column), hot)
    np.testing.assert_array_equal(as_array(column.slice(1)), hot[1:])


def test_columns_are_replaced_added_and_taken_away() -> None:
    found = clips().with_columns({"label": np.eye(3, 2, dtype=bool), "group": ["g", "h", "g"]})
    assert found.has_several("label")
    assert found.groups is not None
    assert found.groups.to_pylist() == ["g", "h", "g"]
    assert list(found.texts()) == COLUMNS["path"]
    bare = found.without("label", "split", "group")
    assert bare.labels == bare.classes == bare.split_counts() == {}
    assert bare.digest() != found.digest()


def test_a_head_that_is_named_as_a_column_is_a_head(tmp_path: Path) -> None:
    names = {"group": ("jump", "run")}
    columns = {"path": ["a.mp4", "b.mp4"], "group": [1, 0]}
    found = Manifest.from_columns(tmp_path / "m.csv", tmp_path, columns, names)
    for file in ("n.csv", "n.arrow"):
        write_manifest(found, tmp_path / file)
        again = read_manifest(tmp_path / file, heads={"group": 2})
        assert again.labels["group"].tolist() == [1, 0]
        assert again.groups is None


def test_of_a_mapped_manifest_only_columns_of_its_own_travel(tmp_path: Path) -> None:
    many = 5000
    columns = {"path": [f"{n}.mp4" for n in range(many)], "label": np.arange(many) % 2}
    found = Manifest.from_columns(tmp_path / "m.csv", tmp_path, columns, NAMES)
    write_manifest(found, tmp_path / "m.arrow")
    mapped = read_manifest(tmp_path / "m.arrow")
    other = mapped.with_columns({"label": 1 - mapped.labels["label"]})
    assert mapped.digest() == found.digest() != other.digest()
    assert mapped.with_classes({"label": ("hop", "run")}).digest() != found.digest()
    for manifest, most in ((mapped, 2000), (other, 9 * many), (other.take(np.arange(9)), 2000)):
        sent = pickle.dumps(manifest)
        assert len(sent) < most
        again = pickle.loads(sent)
        assert again.digest() == manifest.digest()
        assert again.table.equals(manifest.table)


def test_roots_by_source_and_urls_are_not_given_together() -> None:
    with pytest.raises(ValueError, match="roots and urls are both given, expected one of them"):
        Location(roots={"made": "s3://b/made"}, urls=["s3://b"])


@pytest.mark.parametrize("data", [b"", b"\0\0\0\n", b"wave\n\0\0\n", b"caf\xe9\n\xff"])
def test_class_names_that_are_damaged_are_named(tmp_path, data):
    (tmp_path / "labels.txt").write_bytes(data)
    with pytest.raises(ManifestError, match=r"labels\.txt"):
        read_classes(tmp_path / "labels.txt")


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
def test_a_fold_validates_what_the_others_train(tmp_path: Path, kind: str) -> None:
    columns = {
        "path": ["a.mp4", "b.mp4", "c.mp4", "d.mp4"],
        "label": [1, 0, 1, 0],
        "split": ["train", "val", "train", "test"],
        "fold": [0, 1, 1, None],
    }
    write_manifest(
        Manifest.from_columns(tmp_path / "m.csv", tmp_path, columns, NAMES), tmp_path / f"m.{kind}"
    )
    found = read_manifest(tmp_path / f"m.{kind}")
    assert found.fold_counts() == {0: 1, 1: 2}
    split = dict(zip(found.texts(), found.with_fold(0).splits.to_pylist(), strict=True))
    assert split == {"a.mp4": "val", "b.mp4": "train", "c.mp4": "train", "d.mp4": "test"}
    assert found.without("split").with_fold(1).split_counts() == {"train": 2, "val": 2}
    assert found.with_fold(0).digest() == found.digest()
    with pytest.raises(ManifestError, match=r"no clips of fold 2\..*it has 0 \(1\), 1 \(2\)"):
        found.with_fold(2)


def test_a_fold_that_is_no_number_is_named_and_one_of_words_is_a_split(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("path,label,fold\na.mp4,0,train\nb.mp4,1,val\n")
    assert read_manifest(path).split_counts() == {"train": 1, "val": 1}
    for cell in ("-1", "1.5", "val"):
        path.write_text(f"path,label,fold\na.mp4,0,0\nb.mp4,1,{cell}\n")
        with pytest.raises(ManifestError, match=rf"m\.csv:3: 'fold' is .*{cell}.*number from 0"):
            read_manifest(path)
