"""What of a recipe goes to others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marey.errors import RecipeError
from marey.recipes.catalog import find, rows
from marey.recipes.recipe import Claim, DataSpec
from marey.recipes.shared import features_to_share, is_public_name, own_classes, to_share

ROW = find("tsm-r18")


def test_a_row_is_shared_as_it_is() -> None:
    recipe = replace(ROW, weights="imagenet")
    assert to_share(recipe, "mine") == (recipe, [])
    assert own_classes(recipe) == []


def test_all_that_says_where_clips_lie_is_left_out() -> None:
    data = DataSpec(
        train="/home/me/a.csv",
        val="b.csv",
        more=("c.csv",),
        roots=(("one", "/data/one"),),
        fold=None,
        workers=3,
        backend="torchcodec",
    )
    shared, left = to_share(replace(ROW, data=data, weights="runs/me", name="ward"), "mine")
    assert shared.data == DataSpec(backend="torchcodec")
    assert (shared.weights, shared.name) == ("", "mine")
    assert left == [
        *(f"data.{name}" for name in ("train", "val", "more", "roots", "workers")),
        "weights",
        "name",
    ]


@pytest.mark.parametrize("place", ["/a", "~/a", "../a", "./a", "C:\\a", "s3://a/b", "\\\\host\\a"])
def test_another_place_is_refused(place: str) -> None:
    with pytest.raises(RecipeError, match=r"save_best of the recipe is .*, a place"):
        to_share(replace(ROW, save_best=place), "mine")


@pytest.mark.parametrize(
    "place",
    [
        *("see /home/me/notes", "hf:/home/me/net", "C:\\me\\net", "~me/net", "file:///home/me"),
        *("https://me:secret@example.org/x", "https://me@example.org", "s3://a/b", "as ../other"),
    ],
)
def test_a_claim_names_no_place_of_its_owner(place: str) -> None:
    claim = Claim(top1=1.0, source="https://example.org/forum?id=1", note=place)
    with pytest.raises(RecipeError, match=r"claim.note of the recipe is .*, a place") as refused:
        to_share(replace(ROW, claim=claim), "mine")
    assert "secret" not in str(refused.value)


def test_every_row_can_be_shared() -> None:
    for name, row in rows().items():
        shared, left = to_share(row, "mine")
        assert replace(shared, data=row.data) == row, name
        assert set(left) <= {"data.workers"}, name


@pytest.mark.parametrize(
    ("weights", "is_public"),
    [("", True), ("imagenet", True), ("from:tsm-r50", True), ("tsm-r50", True), ("runs/a", False)],
)
def test_weights_with_a_name_of_marey_are_public(weights: str, is_public: bool) -> None:
    assert is_public_name(weights) == is_public


def test_what_made_features_is_shared_without_its_place() -> None:
    about = {"weights": "abc", "model": "tsn-r18", "manifest": "ward.csv", "weights_from": "/a"}
    assert features_to_share(about) == {"weights": "abc", "model": "tsn-r18"}
    named = about | {"weights_from": "imagenet", "model": "ward-encoder"}
    assert features_to_share(named) == {"weights": "abc", "weights_from": "imagenet"}
