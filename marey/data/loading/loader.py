"""The one way batches of clips are loaded: for training, for tests and for measuring speed."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Collection, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import torch

from marey.data.loading.clips import Batch, ClipDataset
from marey.data.loading.one_batch import OUTAGE_SECONDS, Key, Say, Task, read_batch, witness_of
from marey.data.loading.workers import Workers
from marey.jobs.cores import num_loaders

log = logging.getLogger("marey")


def clip_batches(
    clips: ClipDataset,
    keys: Iterable[Sequence[Key]],
    *,
    workers: int | None,
    pin_memory: bool = False,
    clip_seconds: float = 60.0,
    suspects: Collection[int] = (),
) -> Generator[Batch]:
    """The batches of `clips` that `keys` name: for each a list of (row, seed), see `ClipDataset`.

    Args:
        workers: processes that load, from the first batch on and until it ends or is closed; None
            has as many as `num_loaders` says. 0 loads in this one, which a clip that hangs or
            crashes takes along.
        pin_memory: put batches into page-locked memory, from which copies to a GPU overlap with
            work.
        clip_seconds: how long a clip may take a worker without a sign of life, as
            `marey.jobs.hangs` has it; one that hangs it so, or crashes it, leaves its batch by name
            as one that cannot be read.
        suspects: rows on which a worker was killed before; if one is again, they are too large for
            the memory, and leave their batches likewise.

    Raises:
        WorkerKilled: a worker was killed.
        RunError: what holds the clips is away, for longer than a while.
    """
    say = _now_and_then()
    if limit := num_loaders(workers):
        pool = Workers(
            clips,
            keys,
            limit=limit,
            clip_seconds=clip_seconds,
            suspects=suspects,
            say=say,
        )
        batches = pool.batches()
    else:
        batches = _read_here(clips, keys, say)
    return _pinned(batches) if pin_memory else batches


def _read_here(clips: ClipDataset, keys: Iterable[Sequence[Key]], say: Say) -> Generator[Batch]:
    witness = None
    for number, each in enumerate(keys):
        batch = read_batch(clips, Task(number=number, keys=each, witness=witness), say=say)
        witness = witness_of(batch) or witness
        yield batch


def _pinned(batches: Generator[Batch]) -> Generator[Batch]:
    """The same in page-locked memory; the next one is copied there while one is worked on."""
    device = torch.cuda.current_device()  # a thread begins with the first, whose memory it takes
    copier = ThreadPoolExecutor(1, initializer=torch.cuda.set_device, initargs=(device,))
    copies: deque[Future[Batch]] = deque()
    with closing(batches), copier:
        for batch in batches:
            copies.append(copier.submit(batch.pin_memory))
            if len(copies) > 1:
                yield copies.popleft().result()
        while copies:
            yield copies.popleft().result()


def _now_and_then() -> Say:
    """What is said is logged, unless something was just before: workers all see the same."""
    said = -OUTAGE_SECONDS

    def say(remark: str) -> None:
        nonlocal said
        if time.monotonic() - said > OUTAGE_SECONDS:
            said = time.monotonic()
            log.warning(remark)

    return say
