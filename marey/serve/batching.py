"""Work of several clients done at once: what a model takes in one pass.

    items    a  b  c  .  d  e          each waits for its answer
             |--------|  |----|
    batches   [a b c]    [d e]         while one is worked on, the next fills

A batch waits for a few milliseconds for more to join it. Items whose clients have left, or whose
time is over, leave the batch before it begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batcher(Generic[Item, Answer]):
    """Answers for single items, from a function of many that is called in a thread."""

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Answer]],
        thread: Executor,
        *,
        most: int,
        wait_seconds: float = 0.003,
    ) -> None:
        """A batcher.

        Args:
            work: gives an answer for each item, in their order.
            thread: where it is called; batchers of one model share one thread.
            most: items of a batch.
            wait_seconds: for which a batch that is not full waits for more.
        """
        self._work, self._thread, self._most, self._wait = work, thread, most, wait_seconds
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Answer:
        """The answer of the item; what the work raised, if it did."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            if len(self._waiting) < self._most:
                await asyncio.sleep(self._wait)
            wanted = [each for each in self._waiting if not each[1].done()]
            batch, self._waiting = wanted[: self._most], wanted[self._most :]
            if not batch:
                continue
            try:
                answers = await loop.run_in_executor(
                    self._thread, self._work, [item for item, _ in batch]
                )
            except Exception as error:  # noqa: BLE001  # it is for those who wait
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for (_, answer), of_item in zip(batch, answers, strict=True):
                if not answer.done():
                    answer.set_result(of_item)
