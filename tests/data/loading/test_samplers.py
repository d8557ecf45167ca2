from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marey.data.loading.samplers import (
    ClassBalanced,
    EpochSampler,
    InstanceBalanced,
    SquareRoot,
    column_of,
    draw_seeds,
)
from marey.errors import RecipeError

LONG_TAIL = np.repeat([0, 1, 2, 4], [9000, 900, 90, 10])  # class 3 has no rows


def batches(rows, batch_size, **options):
    return list(EpochSampler(np.asarray(rows), batch_size, seed=3, epoch=1, **options))


def test_instance_balanced_shows_every_row_once_and_in_a_new_order_each_epoch():
    first, second = (
        InstanceBalanced().epoch_rows(LONG_TAIL, seed=0, epoch=epoch) for epoch in (0, 1)
    )
    assert sorted(first) == sorted(second) == list(range(len(LONG_TAIL)))
    assert (first != second).any()


def test_class_balanced_draws_every_class_that_has_rows_equally_often():
    rows = ClassBalanced().epoch_rows(LONG_TAIL, seed=0, epoch=0)
    share = np.bincount(LONG_TAIL[rows]) / len(rows)
    # a share of 1/4 over 10,000 draws has a standard deviation of 0.0043
    np.testing.assert_allclose(share, [0.25, 0.25, 0.25, 0, 0.25], atol=0.02)


def test_square_root_draws_classes_by_the_root_of_their_rows():
    rows = SquareRoot().epoch_rows(LONG_TAIL, seed=0, epoch=0)
    root = np.sqrt(np.bincount(LONG_TAIL))
    np.testing.assert_allclose(
        np.bincount(LONG_TAIL[rows]) / len(rows), root / root.sum(), atol=0.02
    )


@pytest.mark.parametrize("sampler", [ClassBalanced(), SquareRoot()])
def test_within_a_class_every_row_is_reached_equally(sampler):
    labels = np.repeat([0, 1], [5, 20000])
    rows = sampler.epoch_rows(labels, seed=1, epoch=0)
    rare = np.bincount(rows[rows < 5], minlength=5)
    assert rare.min() > 0.5 * rare.mean()


@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=200),
    st.sampled_from([InstanceBalanced(), ClassBalanced(), SquareRoot()]),
    st.integers(0, 2**31),
)
def test_an_epoch_is_a_function_of_seed_and_epoch_and_stays_within_the_rows(labels, sampler, seed):
    array = np.array(labels)
    rows = sampler.epoch_rows(array, seed=seed, epoch=7)
    assert len(rows) == len(array)
    assert rows.min() >= 0
    assert rows.max() < len(array)
    np.testing.assert_array_equal(rows, sampler.epoch_rows(array, seed=seed, epoch=7))


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 60), st.integers(0, 40))
def test_processes_together_draw_what_one_process_draws_with_the_joint_batch(
    world, size, extra, skip
):
    rows = np.random.default_rng(0).permutation(world * size + extra)
    skip = min(skip, len(rows) // (world * size))
    ranks = [batches(rows, size, rank=r, world_size=world, start_step=skip) for r in range(world)]
    joint = batches(rows, size * world, start_step=skip)
    assert [list(chain(*step)) for step in zip(*ranks, strict=True)] == joint


@given(st.integers(0, 9))
def test_a_sampler_that_starts_later_draws_the_rest_of_the_same_epoch(start):
    rows = np.arange(95)
    assert batches(rows, 10, start_step=start) == batches(rows, 10)[start:]
    assert len(EpochSampler(rows, 10, seed=3, epoch=1, start_step=start)) == 9 - start


def test_an_incomplete_joint_batch_is_dropped():
    assert [len(batch) for batch in batches(np.arange(23), 5, world_size=2)] == [5, 5]


def test_fewer_clips_than_a_joint_batch_is_an_error_that_names_a_batch_size_that_fits():
    with pytest.raises(RecipeError, match=r"30 clips cannot fill one batch of 32 \(4 x 8\).*to 7"):
        batches(np.arange(30), 8, world_size=4)
    with pytest.raises(RecipeError, match="use fewer processes"):
        batches(np.arange(3), 8, world_size=4)


@pytest.mark.parametrize("options", [{"rank": 2, "world_size": 2}, {"start_step": 99}])
def test_a_rank_or_step_that_does_not_exist_is_a_value_error(options):
    with pytest.raises(ValueError, match="expected"):
        batches(np.arange(30), 2, **options)


def test_seeds_of_draws_differ_by_position_epoch_and_run_and_spread_over_all_bits():
    positions = np.arange(100_000)
    seeds = np.concatenate([draw_seeds(run, ep, positions) for run in (0, 1) for ep in (0, 1)])
    assert seeds.dtype == np.int64
    assert seeds.min() >= 0
    assert len(np.unique(seeds)) == len(seeds)
    share = [((seeds >> bit) & 1).mean() for bit in range(63)]
    np.testing.assert_allclose(share, 0.5, atol=0.01)


def test_a_seed_does_not_depend_on_the_draws_around_it():
    np.testing.assert_array_equal(
        draw_seeds(5, 6, np.array([40, 2])), draw_seeds(5, 6, np.arange(50))[[40, 2]]
    )


def test_an_epoch_of_a_million_rows_is_drawn_at_a_million_rows_a_second():
    import time

    labels = np.arange(1_000_000) % 1000
    start = time.process_time()
    ClassBalanced().epoch_rows(labels, seed=0, epoch=0)
    draw_seeds(0, 0, np.arange(len(labels)))
    assert time.process_time() - start < 1


@settings(max_examples=20)
@given(st.integers(1, 40), st.integers(0, 999), st.sampled_from([ClassBalanced(), SquareRoot()]))
def test_every_class_is_reached_the_highest_id_too(num_classes, seed, sampler):
    labels = np.concatenate([np.arange(num_classes), np.full(200, num_classes // 2)])
    epochs = [sampler.epoch_rows(labels, seed=seed, epoch=epoch) for epoch in range(40)]
    # each of 8000 draws misses a class with a probability of at most 1 - 1 / 54
    assert set(labels[np.concatenate(epochs)]) == set(range(num_classes))


@settings(max_examples=20)
@given(st.integers(2, 4), st.integers(0, 999))
def test_processes_draw_other_clips_of_balanced_classes_with_other_seeds(world, seed):
    labels = np.repeat([0, 1], [1000, 1000])
    rows = ClassBalanced().epoch_rows(labels, seed=seed, epoch=0)
    draws = [list(chain(*batches(rows, 50, rank=r, world_size=world))) for r in range(world)]
    assert draws[0] != draws[1]
    seeds = [seed for drawn in draws for _, seed in drawn]
    assert len(set(seeds)) == len(seeds)


def test_the_head_that_is_named_is_balanced_and_otherwise_the_first():
    labels = {"noun": np.zeros(600, dtype=np.int64), "verb": np.repeat([0, 1], [590, 10])}
    verbs = column_of(ClassBalanced("verb"), labels)
    rows = ClassBalanced("verb").epoch_rows(verbs, seed=0, epoch=0)
    # a share of 1/2 over 600 draws has a standard deviation of 0.02
    assert np.mean(labels["verb"][rows]) == pytest.approx(0.5, abs=0.1)
    for sampler in (ClassBalanced(), SquareRoot(), InstanceBalanced()):
        assert column_of(sampler, labels) is labels["noun"]


def test_a_head_that_clips_lack_is_an_error_that_names_the_nearest():
    with pytest.raises(RecipeError, match="head 'verv', which clips lack.*did you mean 'verb'"):
        column_of(SquareRoot("verv"), {"verb": np.zeros(1), "noun": np.zeros(1)})


@pytest.mark.parametrize(("sampler", "q"), [(ClassBalanced(), 0), (SquareRoot(), 0.5)])
def test_clips_of_several_classes_are_drawn_by_each_of_them(sampler, q):
    hot = np.zeros((20_000, 3), dtype=bool)
    hot[:, 0] = True
    hot[:400, 1] = True
    hot[:100, 2] = True
    rows = sampler.epoch_rows(hot, seed=0, epoch=0)
    chance = hot.sum(0) ** q / (hot.sum(0) ** q).sum()
    rare = chance @ [100 / 20_000, 100 / 400, 1]  # a row of the first 100, by way of each class
    assert np.mean(rows < 100) == pytest.approx(rare, abs=0.02)
