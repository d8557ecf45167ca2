"""Something-Something V2: the official json files and the lists of UniFormer."""

from __future__ import annotations

from pathlib import Path

from marey.data.index.catalog import find_dataset
from marey.data.index.forms import read_annotations


def test_lists_have_the_published_numbers_and_classes_in_the_official_order(
    shared_dir: Path,
) -> None:
    folder = shared_dir / "data" / "annotations"
    index, files, form = read_annotations(find_dataset("ssv2"), folder / "uniformer_sthv2")
    splits = [clip.split for clip in index.clips if clip.labels]
    assert (splits.count("train"), splits.count("val")) == (168_913, 24_777)
    assert form.title.startswith("lists")
    assert not files.rejects
    official = (folder / "mmaction2" / "sthv2" / "label_map.txt").read_text().splitlines()
    assert list(index.classes["label"]) == official
