"""Processes that share the weights of a run out learn what one learns, and save what it saves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from marey.engine.train.distributed import World
from marey.engine.train.loop import train
from marey.engine.train.sharded import shard_in_words, whole, whole_model
from marey.engine.weights.checkpoint import load_checkpoint
from marey.errors import RecipeError
from marey.models.video_model import Head, ModelSpec
from marey.recipes.catalog import find
from marey.recipes.compatible import check_learning
from marey.recipes.schema import override
from tests.blocks import BlocksSpec, blocks_recipe
from tests.tiny import tiny_recipe, write_set
from tests.two_processes import free_port, printed_by, start_two

WORKER = """
import os, shutil, sys
from pathlib import Path
from marey.engine.train.loop import train
from tests.blocks import blocks_recipe
manifest, out, *ports = sys.argv[1:]
halved, whole = Path(out) / "halved", Path(out) / "whole"
def run(epochs, **options):
    recipe = blocks_recipe(manifest, batch_size=2, epochs=epochs, shard=True, checkpointing=True)
    os.environ["MASTER_PORT"] = ports.pop()
    train(recipe, whole, quiet=True, **options)
run(1)
if os.environ["RANK"] == "0":
    shutil.copytree(whole, halved)
run(2, resume=whole / "checkpoints" / "last.pt")
"""


def saved(run: Path, name: str = "last.pt") -> dict[str, Any]:
    return load_checkpoint(run / "checkpoints" / name)


def assert_same(ours: Any, theirs: Any) -> None:
    for state in (ours, theirs):
        assert {type(value) for value in state["model"].values()} == {Tensor}
    torch.testing.assert_close(ours["model"], theirs["model"], rtol=0, atol=1e-5)
    if "optimizer" in theirs:
        memory, expected = (state["optimizer"]["state"] for state in (ours, theirs))
        torch.testing.assert_close(memory, expected, rtol=1e-3, atol=1e-6)
    assert [*ours] == [*theirs]
    for row, other in zip(ours["epochs"], theirs["epochs"], strict=True):
        for key in ("train/loss", "val/loss", "lr"):
            assert row[key] == pytest.approx(other[key], abs=1e-5), key


@pytest.mark.timeout(1800)
def test_two_processes_learn_and_save_what_one_does_and_either_goes_on_from_it(
    tmp_path: Path,
) -> None:
    manifest = write_set(tmp_path / "clips")
    one = train(blocks_recipe(manifest, batch_size=4, epochs=1), tmp_path / "one", quiet=True)
    printed_by(start_two(WORKER, manifest, tmp_path, free_port(), free_port()))
    halved, two = tmp_path / "halved", tmp_path / "whole"
    for name in ("last.pt", "best.pt"):
        assert_same(saved(halved, name), saved(one, name))
    for run in (one, halved):
        recipe = blocks_recipe(manifest, batch_size=4, epochs=2)
        train(recipe, run, resume=run / "checkpoints" / "last.pt", quiet=True)
    for name in ("last.pt", "best.pt"):
        assert_same(saved(halved, name), saved(one, name))
        assert_same(saved(two, name), saved(one, name))


def test_what_is_whole_stays_as_it_is() -> None:
    state = {"a": {"b": 1}, "c": [torch.ones(2)], "d": None}
    assert whole(state, keep=False) == state
    model = ModelSpec(BlocksSpec(), num_segments=2).build()
    assert whole_model(model) is model


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["ema=0.9"], r"shard is true, of a recipe that has ema=0\.9"),
        (["compile=true"], "compile=true"),
        (["recompute=true"], "recompute=true"),
        (["model.partial_bn=true"], "partial_bn"),
        (["stages.0.trainable=heads"], "stages.0.trainable=heads"),
        (["stages.0.last_blocks=1"], "stages.0.last_blocks=1"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(changes: list[str], said: str) -> None:
    with pytest.raises(RecipeError, match=f"{said}.*hint: shard=false"):
        override(find("tsn-r18"), ["shard=true", *changes])


def test_a_second_stage_is_refused() -> None:
    recipe = find("tsn-r18")
    with pytest.raises(ValueError, match="has 2 stages"):
        replace(recipe, stages=recipe.stages * 2, shard=True)


def test_an_encoder_without_blocks_is_refused() -> None:
    recipe = tiny_recipe(Path("x"))
    recipe = replace(recipe, shard=True, model=replace(recipe.model, heads=(Head(),)))
    with pytest.raises(RecipeError, match="shard: TinyEncoder does not say which blocks"):
        check_learning(recipe.model.build(), recipe)


def test_a_parameter_that_is_one_number_is_refused() -> None:
    recipe = blocks_recipe(Path("x"), batch_size=2, epochs=1, shard=True)
    model = replace(recipe.model, heads=(Head(),)).build()
    model.encoder.gate = nn.Parameter(torch.tensor(1.0))
    with pytest.raises(RecipeError, match=r"shard: the parameter encoder\.gate is a single number"):
        check_learning(model, recipe)


def test_a_run_says_over_how_many_processes_it_shares_out() -> None:
    recipe = find("tsn-r18")
    assert shard_in_words(recipe, World(0, 2)) == ""
    recipe = replace(recipe, shard=True)
    assert "over 2 processes" in shard_in_words(recipe, World(0, 2))
    assert "shares nothing out: this run is one process" in shard_in_words(recipe, World())
