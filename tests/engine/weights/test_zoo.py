"""The tables of published checkpoints agree with the recipes and with what file names say."""

from __future__ import annotations

from importlib.resources import files

import pytest

from marey.convert.file_names import told_by_name
from marey.convert.repository import Settings
from marey.engine.weights.imagenet import OFFICIAL
from marey.engine.weights.published import PublishedFile
from marey.engine.weights.zoo.catalog import ALSO, CHECKPOINTS, CODE_BASES, published
from marey.errors import CheckpointError
from marey.recipes.catalog import rows
from marey.recipes.schema import override

ALL = [*CHECKPOINTS.values(), *OFFICIAL.values()]


def test_every_name_is_one_file_and_every_file_is_had_in_one_way() -> None:
    assert sum(map(len, CODE_BASES.values())) == len(CHECKPOINTS)
    assert not CHECKPOINTS.keys() & OFFICIAL.keys()
    assert not ALSO.keys() & CHECKPOINTS.keys()
    for file in ALL:
        assert bool(file.url) != bool(file.page)
        assert file.source
        if file.url:
            assert file.url.startswith("https://")
            assert file.url.endswith(f"/{file.file}")


def test_names_are_those_of_recipes_but_for_mmaction2s_own() -> None:
    of_recipes = {file.name for of, fs in CODE_BASES.items() if of != "mmaction2" for file in fs}
    assert of_recipes | ALSO.keys() <= rows().keys()


@pytest.mark.parametrize("file", CHECKPOINTS.values(), ids=lambda file: file.name)
def test_what_is_told_of_a_checkpoint_is_what_its_recipe_says(file: PublishedFile) -> None:
    told = override(Settings(), list(file.settings)).given()
    if file in CODE_BASES["temporal-shift-module"] + CODE_BASES["mmaction2"]:
        told = dict(told_by_name(file.file).settings)
        assert told.keys() >= {"num_segments", "data"}
    row = rows().get(file.name)
    if row is not None and "num_segments" in told:
        assert told["num_segments"] == row.model.num_segments
        assert f"-{told['data']}" in file.name
    if file.labels:
        assert told["data"] == file.labels


def test_the_class_names_of_kinetics_are_400_in_the_order_of_the_alphabet() -> None:
    names = (files("marey.engine.weights.zoo") / "k400.txt").read_text().splitlines()
    assert len(set(names)) == 400
    assert names == sorted(names)


def test_names_that_are_none_or_of_the_file_of_another_say_so() -> None:
    with pytest.raises(CheckpointError, match="no published weights 'tsm-r50-8f-k40'.*tsm-r50-8f"):
        published("tsm-r50-8f-k40")
    with pytest.raises(CheckpointError, match="is of the file of tsn-r50-8f-k400.*--protocol"):
        published("tsn-r50-8f-k400-dense")
