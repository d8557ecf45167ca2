"""Folders of Hugging Face and of labelling tools, as `marey data init` reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from marey.data.lists.listing import Listing
from marey.data.lists.wanted_columns import AS_NAMED, WantedColumns
from marey.data.own_videos.init import init_dataset
from marey.data.own_videos.source import read_source
from marey.errors import ManifestError

NAMES = ("file_name", "label")


def read(folder: Path, wanted: WantedColumns = AS_NAMED) -> tuple[Listing, list[str]]:
    return read_source(folder, wanted)


def clips(listing: Listing) -> list[tuple[str, str]]:
    return [(row.path, row.labels["label"]) for row in listing.rows]


def write(path: Path, rows: list[tuple[str, str]], names: tuple[str, ...] = NAMES) -> None:
    """Metadata in the form that the suffix says, and empty files beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    objects = [dict(zip(names, row, strict=True)) for row in rows]
    if path.suffix == ".csv":
        path.write_text("\n".join(",".join(row) for row in [names, *rows]) + "\n")
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(each) + "\n" for each in objects))
    else:
        pa.parquet.write_table(pa.Table.from_pylist(objects), path)
    for name, *_ in rows:
        (path.parent / name).parent.mkdir(exist_ok=True)
        (path.parent / name).touch()


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_metadata_of_each_split(tmp_path: Path, kind: str) -> None:
    write(tmp_path / f"train/metadata.{kind}", [("1.mp4", "jump"), ("2.mp4", "run")])
    write(tmp_path / f"validation/metadata.{kind}", [("3.mp4", "run")])
    listing, _ = read(tmp_path)
    assert clips(listing) == [
        ("train/1.mp4", "jump"),
        ("train/2.mp4", "run"),
        ("validation/3.mp4", "run"),
    ]
    assert listing.columns["split"] == ["train", "train", "val"]
    shown = (
        f"Hugging Face's train/metadata.{kind}, 2 rows; Hugging Face's validation/metadata.{kind}"
    )
    assert listing.format == f"{shown}, 1 row"


def test_metadata_at_the_top_whose_paths_say_the_split(tmp_path: Path) -> None:
    write(tmp_path / "metadata.csv", [("train/1.mp4", "jump"), ("test/2.mp4", "jump")])
    listing, _ = read(tmp_path)
    assert listing.columns == {"split": ["train", "test"]}
    write(tmp_path / "metadata.csv", [("a/1.mp4", "jump"), ("b/2.mp4", "jump")])
    listing, _ = read(tmp_path)
    assert listing.columns == {}
    made = init_dataset(tmp_path, tmp_path / "out", probe=False)
    assert sorted(made.manifest.texts()) == ["../a/1.mp4", "../b/2.mp4"] or len(made.manifest) == 2


def test_a_test_split_without_labels_is_left_and_said(tmp_path: Path) -> None:
    write(tmp_path / "train/metadata.csv", [("1.mp4", "jump")])
    write(tmp_path / "test/metadata.csv", [("3.mp4",)], names=("file_name",))  # type: ignore[list-item]
    listing, notes = read(tmp_path)
    assert clips(listing) == [("train/1.mp4", "jump")]
    assert "has no labels and is left" in notes[0]


def test_numbers_have_the_names_that_datasets_writes(tmp_path: Path) -> None:
    table = pa.table({"file_name": ["1.mp4", "2.mp4"], "label": [1, 0]})
    names = {"info": {"features": {"label": {"names": ["jump", "run"], "_type": "ClassLabel"}}}}
    table = table.replace_schema_metadata({"huggingface": json.dumps(names)})
    pa.parquet.write_table(table, tmp_path / "metadata.parquet")
    assert clips(read(tmp_path)[0]) == [("1.mp4", "run"), ("2.mp4", "jump")]


def test_another_column_may_be_the_label(tmp_path: Path) -> None:
    write(tmp_path / "metadata.csv", [("1.mp4", "hello")], names=("file_name", "gloss"))
    with pytest.raises(ManifestError, match="label=gloss"):
        read(tmp_path)
    listing, _ = read(tmp_path, WantedColumns({"label": "gloss"}))
    assert clips(listing) == [("1.mp4", "hello")]


def test_metadata_of_no_split_and_damage_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "one/metadata.csv", [("1.mp4", "jump")])
    write(tmp_path / "two/metadata.csv", [("1.mp4", "jump")])
    with pytest.raises(
        ManifestError, match="which split is whose is not said: one/metadata.csv, two"
    ):
        read(tmp_path)
    damaged = tmp_path / "x"
    write(damaged / "metadata.jsonl", [("1.mp4", "jump")])
    with (damaged / "metadata.jsonl").open("a") as file:
        file.write("{\n")
    with pytest.raises(ManifestError, match=r"metadata.jsonl:2: no JSON object: '{'"):
        read(damaged)
    (tmp_path / "y").mkdir()
    (tmp_path / "y/metadata.parquet").write_text("PAR")
    with pytest.raises(ManifestError, match=r"metadata.parquet: not Parquet that can be read"):
        read(tmp_path / "y")


def eaf(name: str, label: str) -> str:
    return (
        f'<ANNOTATION_DOCUMENT FORMAT="3.0"><HEADER><MEDIA_DESCRIPTOR MEDIA_URL="{name}"/></HEADER>'
        '<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="1" TIME_VALUE="0"/>'
        '<TIME_SLOT TIME_SLOT_ID="2" TIME_VALUE="900"/></TIME_ORDER><TIER TIER_ID="T"><ANNOTATION>'
        '<ALIGNABLE_ANNOTATION TIME_SLOT_REF1="1" TIME_SLOT_REF2="2"><ANNOTATION_VALUE>'
        f"{label}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>"
    )


def test_exports_of_a_folder_are_read_together(tmp_path: Path) -> None:
    for name, label in (("p1", "jump"), ("p2", "run")):
        (tmp_path / f"{name}.eaf").write_text(eaf(f"{name}.mp4", label))
        (tmp_path / f"{name}.mp4").touch()
    (tmp_path / "voc.xml").write_text("<annotation/>")  # of no tool: left
    listing, notes = read(tmp_path)
    assert clips(listing) == [("p1.mp4", "jump"), ("p2.mp4", "run")]
    assert listing.columns == {}
    assert listing.format == "2 exports of ELAN, 2 rows"
    assert notes == [f"read p1.eaf, p2.eaf in {tmp_path}, not its folders"]
    (tmp_path / "c.json").write_text('[{"video": "p1.mp4", "label": "jump"}]')
    with pytest.raises(ManifestError, match="holds exports of Create ML and ELAN"):
        read(tmp_path)


def test_exports_that_are_named_as_splits_are_those(tmp_path: Path) -> None:
    for split, name in (("train", "p1"), ("val", "p2")):
        (tmp_path / f"{split}.eaf").write_text(eaf(f"{name}.mp4", "jump"))
    assert read(tmp_path)[0].columns == {"split": ["train", "val"]}
