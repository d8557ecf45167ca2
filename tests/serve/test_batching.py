from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marey.serve.batching import Batcher

THREAD = ThreadPoolExecutor(1)


@given(st.lists(st.integers(), max_size=40), st.integers(1, 9))
def test_each_item_has_its_own_answer_whatever_the_batches(items: list[int], most: int) -> None:
    sizes: list[int] = []

    def work(batch: Sequence[int]) -> list[str]:
        sizes.append(len(batch))
        return [str(item) for item in batch]

    async def ask() -> list[str]:
        batcher = Batcher(work, THREAD, most=most, wait_seconds=0)
        return await asyncio.gather(*map(batcher, items))

    assert asyncio.run(ask()) == [str(item) for item in items]
    assert sum(sizes) == len(items)
    assert max(sizes, default=0) <= most


def test_items_that_come_while_a_batch_is_worked_on_are_the_next_one() -> None:
    batches: list[list[int]] = []
    go_on = threading.Event()

    def work(batch: Sequence[int]) -> Sequence[int]:
        batches.append(list(batch))
        assert go_on.wait(30)
        return batch

    async def ask() -> None:
        batcher = Batcher(work, THREAD, most=8, wait_seconds=0)
        first = asyncio.create_task(batcher(0))
        while not batches:
            await asyncio.sleep(0.001)
        rest = [asyncio.create_task(batcher(number)) for number in (1, 2, 3)]
        await asyncio.sleep(0)
        go_on.set()
        assert await asyncio.gather(first, *rest) == [0, 1, 2, 3]

    asyncio.run(ask())
    assert batches == [[0], [1, 2, 3]]


def test_who_left_is_not_worked_for() -> None:
    seen: list[int] = []
    started, go_on = threading.Event(), threading.Event()

    def work(batch: Sequence[int]) -> Sequence[int]:
        seen.extend(batch)
        started.set()
        assert go_on.wait(30)
        return batch

    async def ask() -> None:
        batcher = Batcher(work, THREAD, most=8, wait_seconds=0)
        first = asyncio.create_task(batcher(0))
        while not started.is_set():
            await asyncio.sleep(0.001)
        stays, leaves = asyncio.create_task(batcher(1)), asyncio.create_task(batcher(2))
        await asyncio.sleep(0)
        leaves.cancel()
        go_on.set()
        assert await asyncio.gather(first, stays) == [0, 1]

    asyncio.run(ask())
    assert seen == [0, 1]


def test_what_the_work_raises_is_raised_for_those_of_the_batch_alone() -> None:
    def work(batch: Sequence[int]) -> Sequence[int]:
        if 0 in batch:
            raise ZeroDivisionError
        return batch

    async def ask() -> None:
        batcher = Batcher(work, THREAD, most=1, wait_seconds=0)
        with pytest.raises(ZeroDivisionError):
            await batcher(0)
        assert await batcher(1) == 1

    asyncio.run(ask())
