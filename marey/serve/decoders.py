"""The decoding processes of a server, each of which may die alone.

A process that crashes, is killed or whose time is over is replaced, and costs the request that it
worked for and no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain, repeat
from multiprocessing.connection import wait
from typing import TypeVar

from marey.errors import RunError
from marey.jobs.processes import Lost, Worker
from marey.serve.decoding import Decoded, Decoder, Job
from marey.serve.metrics import Metrics
from marey.serve.refusals import Refused
from marey.serve.threads import GivenUp, in_thread

T = TypeVar("T")
LOOK_SECONDS = 0.1
"""How often it is looked whether a job is still wanted."""
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before a process that could not be started is tried again."""


class Decoders:
    """So many processes; each is started when it is first needed, or by `start`."""

    def __init__(self, decoder: Decoder, number: int, metrics: Metrics) -> None:
        self._idle: list[_Process] = [_Process(decoder, metrics) for _ in range(number)]
        self._all = tuple(self._idle)
        self._free = asyncio.Semaphore(number)
        self._threads = ThreadPoolExecutor(number, "decoders")
        self._fault: RunError | None = None
        self._mending: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start all processes."""
        for process in self._all:
            process.start()

    def processes(self) -> list[int]:
        """The numbers of those that run."""
        return [process.pid for process in self._all if process.pid is not None]

    def close(self) -> None:
        """End all processes, whatever they do."""
        if self._mending is not None:
            self._mending.cancel()
        self._threads.shutdown(cancel_futures=True)
        for process in self._all:
            process.end()

    async def do(self, job: Job) -> Decoded:
        """What a process says of the job; where the task is cancelled, the process is ended.

        Raises:
            Refused: the process said so, or died of it; or none could be started.
        """
        self.check()
        try:
            answer = await self._with_one(lambda process: partial(process.do, job))
        except RunError as error:
            self._fault = error
            if self._mending is None or self._mending.done():
                self._mending = asyncio.create_task(self._mend())
            self.check()
        if isinstance(answer, Refused):
            raise answer
        return answer

    def check(self) -> None:
        """`Refused` while no process can be started."""
        if self._fault is not None:
            raise Refused(503, self._fault.message, self._fault.hint, retry_after=5)

    async def _with_one(self, work: Callable[[_Process], Callable[[GivenUp], T]]) -> T:
        async with self._free:
            process = self._idle.pop()
            try:
                return await in_thread(work(process), self._threads)
            finally:
                self._idle.append(process)

    async def _mend(self) -> None:
        """Try to start a process, more and more seldom, until one is there."""
        for seconds in chain(PAUSES, repeat(PAUSES[-1])):
            await asyncio.sleep(seconds)
            with suppress(RunError):
                await self._with_one(lambda process: lambda _: process.start())
                self._fault = None
                return


class _Process:
    """One process, and those that came in its place."""

    def __init__(self, decoder: Decoder, metrics: Metrics) -> None:
        self._decoder, self._metrics = decoder, metrics
        self._worker: Worker[Job, Decoded | Refused] | None = None

    @property
    def pid(self) -> int | None:
        """Its number; None where it was not started."""
        return self._worker.pid if self._worker else None

    def start(self) -> None:
        """Start it, if it is not there; RunError if it cannot be."""
        if self._worker is None:
            self._worker = Worker(
                self._decoder, self._decoder.limits.request_seconds, with_script=False
            )

    def end(self) -> None:
        """End it."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def do(self, job: Job, is_given_up: GivenUp) -> Decoded | Refused:
        """The answer, or why there is none; RunError where no process can be started."""
        try:
            self.start()
            assert self._worker is not None
            self._worker.give(job)
            while not is_given_up():
                if wait([self._worker.answers], LOOK_SECONDS) or self._worker.is_late():
                    for _, answer in self._worker.collect():
                        return self._said(answer)
        except RunError:
            self.end()
            raise
        self._metrics.replaced("given up")
        self.end()
        return _late()

    def _said(self, answer: Decoded | Refused | Lost) -> Decoded | Refused:
        if not isinstance(answer, Lost):
            return answer
        self._metrics.replaced("hung" if answer.hung else "died")
        if answer.hung:
            return _late()
        if "SIGKILL" in answer.reason:  # by somebody, or by the kernel where memory ran out
            return Refused(503, answer.reason, "send it again", retry_after=1)
        return Refused(422, answer.reason, "the video is damaged: re-encode it as H.264")


def _late() -> Refused:
    """A new one each time: whoever raises an error leaves in it what was at work then."""
    return Refused(504, "it was not done in time", "send a shorter video (--request-seconds)")
