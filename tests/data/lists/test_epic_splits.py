"""Tail classes and unseen people of EPIC-KITCHENS-100, from its lists."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marey.data.lists.epic_splits import read_epic_splits
from marey.data.manifest.manifest import Manifest
from marey.errors import ManifestError

NAMES = {"verb": ("take", "put", "wash"), "noun": ("tap", "cup")}


def write_lists(folder: Path) -> Path:
    """Lists of three verbs and two nouns; verb 2 and noun 0 are rare, P18 is unseen."""
    folder.mkdir()
    for head, tail in (("verb", 2), ("noun", 0)):
        (folder / f"EPIC_100_tail_{head}s.csv").write_text(f"{head}\n{tail}\n")
        rows = [f"{i},{name},\"['{name}']\",x" for i, name in enumerate(NAMES[head])]
        text = "\n".join(["id,key,instances,category", *rows])
        (folder / f"EPIC_100_{head}_classes.csv").write_text(text + "\n")
    people = folder / "EPIC_100_unseen_participant_ids_validation.csv"
    people.write_text("participant_id\nP18\n")
    return folder


def clips(
    ids: Sequence[str] | None = ("P01_11_0", "P18_01_1", "P18_101_2"),
    paths: Sequence[str] = ("a", "b", "c"),
    classes: dict[str, tuple[str, ...]] = NAMES,
    **more: Any,
) -> Manifest:
    """Three clips: take cup, wash cup, put tap."""
    columns = {"path": paths, "id": ids, "verb": np.array([0, 2, 1]), "noun": np.array([1, 1, 0])}
    return Manifest.from_columns(Path("m.csv"), Path("/x"), columns | more, classes)


def marked(manifest: Manifest, folder: Path) -> dict[str, dict[str, list[int]]]:
    subsets = read_epic_splits(folder).subsets(manifest)
    return {
        name: {h: np.flatnonzero(c).tolist() for h, c in of.items()} for name, of in subsets.items()
    }


def test_an_action_is_of_the_tail_if_its_verb_or_its_noun_is(tmp_path: Path) -> None:
    assert marked(clips(), write_lists(tmp_path / "lists")) == {
        "tail": {"verb": [1], "noun": [2], "action": [1, 2]},
        "unseen": {"verb": [1, 2], "noun": [1, 2], "action": [1, 2]},
    }


@pytest.mark.parametrize(
    "where",
    [
        {"ids": None, "paths": ("P01/P01_11", "P18/rgb_frames/P18_01", "P18/P18_101.mp4")},
        {"ids": None, "group": ["P01", "P18", "P18"]},
        {"ids": ("", "", ""), "group": ["P01_11", "P18_01", "P18_101"]},
    ],
)
def test_paths_and_groups_say_who_filmed_where_ids_do_not(
    where: dict[str, Any], tmp_path: Path
) -> None:
    assert marked(clips(**where), write_lists(tmp_path / "lists"))["unseen"]["action"] == [1, 2]


def test_classes_in_another_order_are_found_by_name(tmp_path: Path) -> None:
    folder = write_lists(tmp_path / "lists")
    names = {"verb": ("wash", "take", "put"), "noun": ("cup", "tap")}
    labels = {"verb": np.array([1, 0, 2]), "noun": np.array([0, 0, 1])}
    assert marked(clips(classes=names, **labels), folder) == marked(clips(), folder)
    numbers = {"verb": ("0", "1", "2"), "noun": ("0", "1")}
    assert marked(clips(classes=numbers), folder) == marked(clips(), folder)


def test_what_is_not_epics_is_refused(tmp_path: Path) -> None:
    folder = write_lists(tmp_path / "lists")
    splits = read_epic_splits(folder)
    with pytest.raises(ManifestError, match=r"m.csv: /x/a does not say who filmed it.*P01_11_0"):
        splits.subsets(clips(ids=None))
    with pytest.raises(ManifestError, match="has a class 'fly' of 'verb', EPIC-KITCHENS has none"):
        splits.subsets(clips(classes=NAMES | {"verb": ("take", "put", "fly")}))
    with pytest.raises(ManifestError, match="has 4 classes of 'verb', the tail of EPIC"):
        splits.subsets(clips(classes=NAMES | {"verb": ("take", "put", "wash", "fly")}))
    with pytest.raises(ManifestError, match="has no column 'verb' of one class a clip"):
        splits.subsets(clips().without("verb"))


def test_lists_that_lack_or_are_none_are_named(tmp_path: Path) -> None:
    folder = write_lists(tmp_path / "lists")
    (folder / "EPIC_100_tail_nouns.csv").write_text("noun\n3\ncup\n")
    with pytest.raises(ManifestError, match=r"tail_nouns.csv:3: 'cup', expected the number of a"):
        read_epic_splits(folder)
    (folder / "EPIC_100_tail_nouns.csv").write_text("verb\n3\n")
    with pytest.raises(ManifestError, match="its first line is not noun"):
        read_epic_splits(folder)
    (folder / "EPIC_100_tail_nouns.csv").unlink()
    with pytest.raises(ManifestError, match=r"there is no .*EPIC_100_tail_nouns.csv"):
        read_epic_splits(folder)
    other = write_lists(tmp_path / "other")
    (other / "EPIC_100_unseen_participant_ids_validation.csv").unlink()
    with pytest.raises(ManifestError, match=r"there is no .*unseen_participant_ids_validation.csv"):
        read_epic_splits(other)


def test_the_official_lists_have_their_published_counts(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "annotations"
    with (folder / "epic100" / "EPIC_100_validation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    splits = read_epic_splits(folder / "epic100")
    ids = [row["narration_id"] for row in rows]
    labels = {h: np.array([int(row[f"{h}_class"]) for row in rows]) for h in ("verb", "noun")}
    spans = {"start": np.arange(len(rows)), "end": np.arange(len(rows)) + 1}
    columns = {"path": ["v"] * len(rows), "id": ids, **labels, **spans}
    manifest = Manifest.from_columns(Path("val"), Path(), columns, splits.names)
    subsets = splits.subsets(manifest)
    assert {h: len(of) for h, of in splits.tail.items()} == {"verb": 86, "noun": 228}
    assert {h: int(of.sum()) for h, of in subsets["tail"].items()} == {
        "verb": 1760,
        "noun": 1900,
        "action": 3105,
    }
    # RULSTM lists the segments of each part by id
    lists = {
        "validation_tail_verbs_ids": subsets["tail"]["verb"],
        "validation_tail_nouns_ids": subsets["tail"]["noun"],
        "validation_tail_actions_ids": subsets["tail"]["action"],
        "validation_unseen_participants_ids": subsets["unseen"]["action"],
    }
    for name, mask in lists.items():
        theirs = (folder / "epic100_rulstm" / f"{name}.csv").read_text().split()
        assert {ids[row] for row in np.flatnonzero(mask)} == {*theirs}
    assert int(subsets["unseen"]["verb"].sum()) == 1065
