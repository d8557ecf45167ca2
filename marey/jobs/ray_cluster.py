"""The machines of a Ray cluster as an executor (pip install 'marey[ray]').

Every core of the cluster (or every GPU, if the work wants one) has one slot: a Ray actor with a
process of its own, as `marey.jobs.processes` has them, that keeps what it has loaded from job to
job. So a file that crashes or hangs the decoder is `Lost` here for the same reason, in the same
words, as on one machine. When Ray says that a slot itself is gone (its node went away, or it was
killed), the job it had is given to another; answers that came before are kept.

The nodes need the same Python with marey installed, and the files under the same paths, as on a
shared disk. Relative paths start where they do for the caller.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, Generic

from marey.errors import RunError
from marey.jobs.cores import CORES
from marey.jobs.processes import Answer, Answers, Job, Lost, Worker, modules_of

ATTEMPTS = 3
"""Slots that a job may outlive before it is `Lost`; failures to start, one after another."""


@dataclass(frozen=True)
class Ray:
    """The Ray cluster at `address`; None: the one that RAY_ADDRESS names, else one started here.

    num_workers: slots, None for all the cluster has room for. num_cpus, num_gpus: what each takes
    of a node; a share of a GPU if less than 1.
    """

    address: str | None = None
    num_workers: int | None = None
    num_cpus: int = 1
    num_gpus: float = 0.0

    def answers(
        self, function: Callable[[Job], Answer], jobs: Iterable[Job], *, timeout_seconds: float = 60
    ) -> Answers[Job, Answer]:
        """As `Executor.answers`; as many jobs are under way as there are slots."""
        ray = _ray()
        with _connected(ray, self.address):
            limit = self.num_workers or _num_slots(ray, self.num_cpus, self.num_gpus)
            kind = ray.remote(_Slot).options(num_cpus=self.num_cpus, num_gpus=self.num_gpus)
            pickled = _Pickled(pickle.dumps(function), modules_of(function))
            work = (pickled, timeout_seconds, str(Path.cwd()), sys.path, self.num_cpus)
            slots = _Slots[Job, Answer](ray, lambda: kind.remote(*work), limit)
            try:
                yield from slots.answers(jobs)
            finally:
                slots.stop()


@dataclass(frozen=True)
class _Pickled:
    """A function that is unpickled in the process that calls it, its jobs and answers too.

    So the slot itself imports nothing: PyTorch is once in the memory for each, not twice.
    """

    function: bytes
    modules: list[str]

    def __call__(self, job: bytes) -> bytes:
        return pickle.dumps(_unpickled(self.function)(pickle.loads(job)))


@cache
def _unpickled(function: bytes) -> Callable[[Any], Any]:
    loaded: Callable[[Any], Any] = pickle.loads(function)
    return loaded


class _Slot:
    """On a node: one process that answers jobs, and is started again when one kills it."""

    def __init__(
        self,
        function: _Pickled,
        timeout_seconds: float,
        folder: str,
        module_paths: list[str],
        num_cpus: int,
    ) -> None:
        os.environ[CORES] = str(num_cpus)  # the node has other slots
        os.chdir(folder)
        sys.path += [path for path in module_paths if path not in sys.path]
        # no daemon: those may not have the processes of their own that clips are loaded by
        self._worker = Worker(function, timeout_seconds, daemon=False)

    def ready(self) -> None:
        """Return once the slot has started."""

    def do(self, job: bytes) -> bytes | Lost:
        """As `Worker.do`."""
        return self._worker.do(job)


class _Slots(Generic[Job, Answer]):
    """Up to `limit` actors; each starts when there is work for it, and has at most one job."""

    def __init__(self, ray: ModuleType, start: Callable[[], Any], limit: int) -> None:
        self._ray, self._start, self._limit = ray, start, limit
        self._queue: deque[tuple[Job, int]] = deque()
        """Jobs to give next, each with how often it was given before."""
        self._starting: dict[Any, Any] = {}
        """Reference to the return of `ready` -> the slot."""
        self._busy: dict[Any, tuple[Any, Job, int]] = {}
        """Reference to an answer -> the slot, its job, and how often that was given."""
        self._idle: list[Any] = []
        self._failures = 0
        """Slots that could not start, since the last that could."""

    def answers(self, jobs: Iterable[Job]) -> Answers[Job, Answer]:
        """Each job with its answer, in the order they are done."""
        waiting = iter(jobs)
        while self._give(waiting):
            for ref in self._ray.wait([*self._busy, *self._starting])[0]:
                if ref in self._starting:
                    self._admit(ref)
                else:
                    yield from self._collect(ref)

    def stop(self) -> None:
        """End all slots, whatever they do."""
        busy = [slot for slot, _, _ in self._busy.values()]
        for slot in [*self._starting.values(), *self._idle, *busy]:
            self._ray.kill(slot)

    def _give(self, waiting: Iterator[Job]) -> bool:
        """Keep every slot busy, and have as many as there is work for; False when all is done."""
        ahead = islice(waiting, self._limit - len(self._queue))
        self._queue.extend((job, 0) for job in ahead)
        while self._idle and self._queue:
            slot, (job, times) = self._idle.pop(), self._queue.popleft()
            self._busy[slot.do.remote(pickle.dumps(job))] = (slot, job, times + 1)
        wanted = min(self._limit, len(self._busy) + len(self._queue))
        while len(self._busy) + len(self._starting) + len(self._idle) < wanted:
            slot = self._start()
            self._starting[slot.ready.remote()] = slot
        return bool(self._busy or self._queue)

    def _admit(self, ref: Any) -> None:
        """Take a slot that has started into use."""
        slot = self._starting.pop(ref)
        try:
            self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            self._failures += 1
            if self._failures >= ATTEMPTS:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                raise RunError(
                    f"no work can be started on the Ray cluster: {lines[-1]}",
                    "every node needs this Python, marey, and the files under the same paths",
                ) from error
            return
        self._failures = 0
        self._idle.append(slot)

    def _collect(self, ref: Any) -> Answers[Job, Answer]:
        """The job with its answer; nothing if its slot is gone and another is to do it."""
        slot, job, times = self._busy.pop(ref)
        answer: Answer | Lost
        try:
            pickled: bytes | Lost = self._ray.get(ref)
            answer = pickled if isinstance(pickled, Lost) else pickle.loads(pickled)
        except self._ray.exceptions.RayActorError:
            self._ray.kill(slot)  # one that is only out of reach must not go on with the job
            if times < ATTEMPTS:
                self._queue.appendleft((job, times))
                return
            answer = Lost(f"the node or process that did it died {times} times")
        else:
            self._idle.append(slot)
        yield job, answer


@contextmanager
def _connected(ray: ModuleType, address: str | None) -> Iterator[None]:
    """A connection to the cluster for the block; one that the caller has is used and kept."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray reports its use
    try:
        ray.init(address=address, include_dashboard=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise RunError(
            f"no Ray cluster at {address}: {error}", "`ray start --head` starts one; --address auto"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _num_slots(ray: ModuleType, num_cpus: int, num_gpus: float) -> int:
    """What the cluster has room for now; RunError if that is nothing."""
    has = ray.cluster_resources()
    slots = int(has.get("CPU", 0) / num_cpus)
    if num_gpus:
        slots = min(slots, int(has.get("GPU", 0) / num_gpus))
    if not slots:
        raise RunError(
            f"the Ray cluster has {has.get('CPU', 0):g} CPUs and {has.get('GPU', 0):g} "
            "GPUs, room for nothing",
            "ask for fewer, or add nodes",
        )
    return slots


def _ray() -> ModuleType:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise RunError("Ray is not installed", "pip install 'marey[ray]'") from error
    return ray
