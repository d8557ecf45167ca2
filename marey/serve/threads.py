"""Work in threads, for tasks that may be cancelled meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")
GivenUp = Callable[[], bool]
"""Whether nobody waits any more."""


async def in_thread(work: Callable[[GivenUp], T], thread: Executor | None = None) -> T:
    """What `work` gives, called in a thread.

    Where the task is cancelled the work is told so, and its end is waited for: a file that it
    writes, or a process that it talks to, is nobody else's before that.
    """
    given_up = threading.Event()
    working = asyncio.get_running_loop().run_in_executor(thread, work, given_up.is_set)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        given_up.set()
        while not working.done():  # also where the task is cancelled again: by its client, a stop
            with suppress(asyncio.CancelledError):
                await asyncio.wait([working])
        raise
