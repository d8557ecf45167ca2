"""Which requests are let in: so many are worked on, so many wait, the rest comes again later."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from marey.serve.limits import Limits
from marey.serve.metrics import Metrics
from marey.serve.refusals import Refused

MOST_SECONDS = 60
"""That a client is told to stay away."""


class Admission:
    """The queue of a server, whose length is bounded."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits, self._metrics = limits, metrics
        self._slots = asyncio.Semaphore(limits.concurrency)
        self._inside: set[asyncio.Timeout] = set()
        self._seconds = 1.0
        self.closed = asyncio.Event()
        """Set once nobody is let in any more."""
        self._emptied = asyncio.Event()

    @property
    def num_inside(self) -> int:
        """Requests that are worked on or wait."""
        return len(self._inside)

    def check_open(self) -> None:
        """`Refused` once nobody is let in any more."""
        if self.closed.is_set():
            raise Refused(503, "the server is about to stop", "ask another", retry_after=5)

    def close(self) -> None:
        """Let nobody in any more; who is inside is served."""
        self.closed.set()
        if not self._inside:
            self._emptied.set()

    async def emptied(self) -> None:
        """Come back when it is closed, and everybody who was inside is served."""
        await self._emptied.wait()

    def give_up(self) -> None:
        """Let nobody in, and end what is inside: it is refused."""
        self.close()
        for patience in self._inside:
            if not patience.expired():
                patience.reschedule(0)  # long ago

    @asynccontextmanager
    async def inside(self) -> AsyncIterator[None]:
        """A request is here: `Refused` if it cannot be let in, or is given up."""
        self.check_open()
        most = self._limits.concurrency + self._limits.queue
        if self.num_inside >= most:
            wait = math.ceil(self._seconds * most / self._limits.concurrency)
            raise Refused(
                429,
                f"{most} requests are worked on or wait already",
                "send it again after the seconds of Retry-After",
                retry_after=min(max(wait, 1), MOST_SECONDS),
            )
        patience = asyncio.timeout(None)
        self._inside.add(patience)
        try:
            async with patience:
                yield
        except TimeoutError:
            message, hint = "the server stops before it was done", "send it again, or to another"
            raise Refused(503, message, hint, retry_after=5) from None
        finally:
            self._inside.discard(patience)
            if self.closed.is_set() and not self._inside:
                self._emptied.set()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """A request that is inside is worked on, once its turn has come."""
        with self._metrics.waiting.track_inprogress():
            await self._slots.acquire()
        start = time.monotonic()
        try:
            with self._metrics.in_work.track_inprogress():
                yield
        finally:
            self._slots.release()
            self._seconds += 0.1 * (time.monotonic() - start - self._seconds)
