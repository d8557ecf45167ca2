from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marey.data.loading.mixing import Mixed
from marey.data.loading.samplers import (
    ClassBalanced,
    EpochSampler,
    InstanceBalanced,
    SquareRoot,
    draw_epoch,
)
from marey.errors import RecipeError
from marey.recipes.catalog import find
from marey.recipes.recipe import Recipe
from marey.recipes.schema import from_yaml, override, to_yaml

SAMPLERS = (InstanceBalanced(), ClassBalanced(), SquareRoot())


def column(names: list[str]) -> pa.DictionaryArray:
    return pa.array(names, pa.large_string()).dictionary_encode()


@given(
    counts=st.lists(st.integers(20, 400), min_size=1, max_size=4),
    weights=st.lists(st.integers(0, 5), min_size=4, max_size=4),
    sampler=st.sampled_from(SAMPLERS),
    seed=st.integers(0, 2**40),
)
@settings(max_examples=30)
def test_each_source_is_drawn_in_the_share_of_its_weight(counts, weights, sampler, seed):
    weights = [w / 2 for w in weights[: len(counts)]]
    if not sum(weights):
        weights[0] = 1.0
    codes = np.repeat(np.arange(len(counts)), counts)
    codes = np.random.default_rng(seed).permutation(codes)
    names = [f"s{code}" for code in range(len(counts))]
    mixed = Mixed(tuple(zip(names, weights, strict=True)), sampler)
    labels = {"label": codes % 3}
    sources = column([names[code] for code in codes])
    epochs = -(-2000 // len(codes))
    drawn = np.concatenate(
        [draw_epoch(mixed, labels, sources, seed=seed, epoch=e) for e in range(epochs)]
    )
    share = np.bincount(codes[drawn], minlength=len(counts)) / len(drawn)
    # a share over 2,000 draws has a standard deviation of at most 0.0112; this is five of them
    np.testing.assert_allclose(share, np.array(weights) / sum(weights), atol=0.056)
    assert not share[np.array(weights) == 0].any()


@given(st.integers(0, 2**40), st.integers(0, 9), st.sampled_from(SAMPLERS))
def test_an_epoch_is_a_function_of_seed_and_epoch_alone(seed, epoch, sampler):
    labels = {"label": np.arange(60) % 4}
    names = ["real", "made", "real"] * 20
    mixed = Mixed((("real", 1), ("made", 2)), sampler)
    options = {"seed": seed, "epoch": epoch}
    rows = draw_epoch(mixed, labels, column(names), **options)
    assert rows.dtype == np.int64
    assert len(rows) == 60
    other = pa.DictionaryArray.from_arrays(  # the same sources, coded in another order
        np.array([{"made": 0, "none": 1, "real": 2}[name] for name in names], np.int32),
        pa.array(["made", "none", "real"], pa.large_string()),
    )
    np.testing.assert_array_equal(rows, draw_epoch(mixed, labels, other, **options))
    assert (rows != draw_epoch(mixed, labels, column(names), seed=seed, epoch=epoch + 1)).any()


def test_within_a_source_clips_are_drawn_as_its_sampler_draws_them():
    labels = np.repeat([0, 1, 0, 1], [900, 100, 10, 990])
    sources = column(["real"] * 1000 + ["made"] * 1000)
    every = Mixed((("real", 1), ("made", 1))).epoch_rows(labels, sources, seed=0, epoch=0)
    assert np.bincount(every, minlength=2000).max() <= 2  # none twice before all once
    balanced = Mixed((("real", 3), ("made", 1)), ClassBalanced())
    rows = np.concatenate([balanced.epoch_rows(labels, sources, seed=0, epoch=e) for e in range(5)])
    for start in (0, 1000):  # 10,000 draws: 2,500 of the smaller source, half of each class
        mine = rows[(rows >= start) & (rows < start + 1000)]
        assert abs(labels[mine].mean() - 0.5) < 0.05


def test_clips_of_several_classes_are_mixed_too():
    labels = {"label": np.eye(4, dtype=bool)[np.arange(40) % 4]}
    mixed = Mixed((("a", 1), ("b", 3)), ClassBalanced())
    rows = draw_epoch(mixed, labels, column(["a"] * 20 + ["b"] * 20), seed=0, epoch=0)
    assert 20 < (rows >= 20).sum() <= 40


def test_ranks_share_an_epoch_of_mixed_clips_as_any_other():
    rows = Mixed((("a", 1), ("b", 1))).epoch_rows(
        np.zeros(64, int), column(["a"] * 32 + ["b"] * 32), seed=0, epoch=0
    )
    ranks = [EpochSampler(rows, 4, seed=0, epoch=0, rank=r, world_size=2) for r in (0, 1)]
    whole = EpochSampler(rows, 8, seed=0, epoch=0)
    assert [[*a, *b] for a, b in zip(*ranks, strict=True)] == list(whole)


def test_sources_that_do_not_match_the_clips_are_errors():
    labels = np.zeros(3, int)
    sources = column(["real", "real", "made"])

    def draw(*weights: tuple[str, float], sources=sources) -> None:
        Mixed(weights).epoch_rows(labels, sources, seed=0, epoch=0)

    with pytest.raises(RecipeError, match=r"no training clip has the source 'maid'.*'made'"):
        draw(("real", 1), ("maid", 1))
    with pytest.raises(RecipeError, match=r"has no weight for 'made', 1 clip.*0 leaves them out"):
        draw(("real", 1))
    with pytest.raises(RecipeError, match="Mixed needs a manifest with a column 'source'"):
        draw(("real", 1), sources=None)
    draw(("real", 1), ("made", 0), ("none", 0))
    for wrong in ((), (("a", 0.0),), (("a", -1.0), ("b", 2.0)), (("a", float("inf")),)):
        with pytest.raises(ValueError, match=r"sources is .*expected weights from 0"):
            Mixed(wrong)
    with pytest.raises(ValueError, match="expected each name once"):
        Mixed((("a", 1.0), ("a", 2.0)))


def test_a_mixture_survives_yaml_and_can_be_given_on_the_command_line():
    words = "stages.0.sampler={Mixed: {sources: [[real, 1], [made, 0.5]], sampler: SquareRoot}}"
    recipe = override(
        find("tsm-r18"),
        [words, "data.train=a.csv", "data.more=[b.csv]", "data.roots=[[made, s3://b/made]]"],
    )
    assert recipe.stages[0].sampler == Mixed((("real", 1), ("made", 0.5)), SquareRoot())
    assert recipe.data.roots == (("made", "s3://b/made"),)
    assert from_yaml(Recipe, to_yaml(recipe)) == recipe
    with pytest.raises(RecipeError, match="roots and urls are both given"):
        override(recipe, ["data.urls=[s3://c]"])
