"""Which requests are let in: so many are worked on, so many wait, the rest comes again later."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

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
        self.num_inside = 0
        """Requests that are worked on or wait."""
        self._seconds = 1.0
        self._closed = False

    @property
    def is_open(self) -> bool:
        """Whether new requests are let in."""
        return not self._closed

    def close(self) -> None:
        """Let nobody in any more; who is inside is served."""
        self._closed = True

    @contextmanager
    def inside(self) -> Iterator[None]:
        """A request is here: `Refused` if it cannot be let in."""
        if self._closed:
            raise Refused(503, "the server is about to stop", "ask another", retry_after=5)
        most = self._limits.concurrency + self._limits.queue
        if self.num_inside >= most:
            wait = math.ceil(self._seconds * most / self._limits.concurrency)
            raise Refused(
                429,
                f"{most} requests are worked on or wait already",
                "send it again after the seconds of Retry-After",
                retry_after=min(max(wait, 1), MOST_SECONDS),
            )
        self.num_inside += 1
        try:
            yield
        finally:
            self.num_inside -= 1

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
