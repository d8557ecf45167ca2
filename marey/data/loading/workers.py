"""Processes that read batches ahead of who wants them, and survive what decoders do on odd files.

    keys      [..] [..] [..] [..] ...     handed out as they are read, two a worker
    workers   (0) (1)                     each says which clip it is on, in memory shared with us
    batches   [..] [..] ...               in the order of their keys, whoever read them

A worker that crashes, or hangs at a clip (`marey.jobs.hangs`), is replaced, and its batches are
read anew without that clip, which leaves its batch by name. One that somebody ended (SIGTERM) is
replaced, too. One that was killed ends the work: the kernel does so when memory runs out, and
another would fare no better, unless the clip is one that has cost a worker so before.

torch's DataLoader cannot go on without a worker, and raises wherever the main process may be.
"""

from __future__ import annotations

import signal
from collections.abc import Collection, Generator, Iterable, Sequence
from dataclasses import replace
from multiprocessing import util
from multiprocessing.connection import wait

from marey.data.loading.clips import Batch, ClipDataset
from marey.data.loading.one_batch import GO_ON, Key, Say, Task, witness_of
from marey.data.loading.worker import Death, Worker, no_shared_memory
from marey.errors import RunError
from marey.jobs.processes import exit_text

AHEAD = 2
"""Batches a worker that are read before they are asked for."""
LOOK_SECONDS = 1.0
"""How often it is looked whether a worker hangs."""
GOING_SECONDS = 5.0
"""How long a worker without work may take to go, before it is killed."""
MOST_HANG = 8
"""Clips that may hang before any was read; then it is not they."""


class WorkerKilled(RunError):
    """A worker was killed; `row` is the clip that it was on, if any."""

    row: int | None = None


class Workers:
    """The processes, the tasks that they have, and the batches that came back."""

    def __init__(
        self,
        clips: ClipDataset,
        keys: Iterable[Sequence[Key]],
        *,
        limit: int,
        clip_seconds: float,
        suspects: Collection[int],
        say: Say,
    ) -> None:
        """At most `limit` processes, each of which hangs after `clip_seconds` on a clip."""
        self._clips, self._keys, self._limit = clips, iter(keys), limit
        self._clip_seconds, self._suspects, self._say = clip_seconds, suspects, say
        self._workers: list[Worker] = []
        self._read: dict[int, Batch] = {}
        self._num_given = 0
        self._lost: dict[int, str] = {}
        self._num_hung = 0
        self._witness: Key | None = None

    def batches(self) -> Generator[Batch]:
        """Every batch, in order; the processes are gone when it ends or is closed.

        Raises:
            RunError: a worker was killed, or storage does not answer.
        """
        util.get_temp_dir()  # a worker makes its own if there is none, and leaves it when killed
        try:
            wanted = 0
            while self._hand_out(wanted) or self._read:
                if wanted in self._read:
                    yield self._read.pop(wanted)
                    wanted += 1
                else:
                    self._collect()
            self._dismiss()
        except GeneratorExit:
            self._dismiss()
            raise
        finally:
            for worker in self._workers:
                worker.end()

    def _hand_out(self, wanted: int) -> bool:
        """Have every worker ahead of the batch that is `wanted`; whether any has work."""
        while self._num_given < wanted + AHEAD * self._limit:
            keys = next(self._keys, None)
            if keys is None:
                break
            worker = min(self._workers, key=lambda worker: len(worker.tasks), default=None)
            if worker is None or (worker.tasks and len(self._workers) < self._limit):
                worker = Worker(self._clips, self._clip_seconds)
                self._workers.append(worker)
            self._give(worker, Task(number=self._num_given, keys=keys))
            self._num_given += 1
        return any(worker.tasks for worker in self._workers)

    def _give(self, worker: Worker, task: Task) -> None:
        lost = {row: self._lost[row] for row, _ in task.keys if row in self._lost}
        worker.give(replace(task, lost=lost, witness=self._witness))

    def _collect(self) -> None:
        """Hear what workers say, once one does, and see to those that hang."""
        ready = wait([worker.answers for worker in self._workers], LOOK_SECONDS)
        for worker in tuple(self._workers):
            if worker.answers in ready:
                self._hear(worker)
            elif worker.hangs():
                self._hung(worker)

    def _hear(self, worker: Worker) -> None:
        task, heard = next(iter(worker.tasks), None), worker.hear()
        if isinstance(heard, str):
            self._say(heard)
        elif isinstance(heard, Exception):
            raise heard
        elif isinstance(heard, Death):
            self._died(worker, heard)
        elif task is not None:
            self._read[task.number] = heard
            self._witness = witness_of(heard) or self._witness

    def _hung(self, worker: Worker) -> None:
        """End a worker that hangs, and have another go on without the clip."""
        row, limit = worker.end().row, self._clip_seconds
        if row is not None:
            path = self._clips.manifest.path(row)
            self._num_hung += 1
            if self._num_hung > MOST_HANG if self._witness is None else self._witness[0] == row:
                raise RunError(
                    f"clips are out of reach: {path}, not read after {limit:g} s, "
                    f"{'like those before it' if self._witness is None else 'as it was before'}",
                    f"once they are back, {GO_ON}",
                )
            self._lose(row, f"not read after {limit:g} s")
        self._replace(worker)

    def _died(self, worker: Worker, death: Death) -> None:
        """Find out what a worker died of, and have another go on if it may."""
        row, code, how = death.row, death.code, exit_text(death.code)
        if code == -signal.SIGKILL and row not in self._suspects:
            raise self._killed(row)
        if code != -signal.SIGTERM:
            if row is None:
                raise no_shared_memory(f"it died ({how})")
            self._lose(row, f"the process that read it died ({how})")
        self._replace(worker)

    def _dismiss(self) -> None:
        """Let those go that have nothing to do; of how they end it is seen if one was killed."""
        idle = [worker for worker in self._workers if not worker.tasks]
        for worker in idle:
            worker.dismiss()
        for worker in idle:
            worker.wait(GOING_SECONDS)
        if any(worker.exit_code == -signal.SIGKILL for worker in self._workers):
            raise self._killed(None)

    def _killed(self, row: int | None) -> WorkerKilled:
        on = "" if row is None else f" while it read {self._clips.manifest.path(row)}"
        error = WorkerKilled(
            f"a loader worker was killed (SIGKILL){on}",
            "most often the system does so when memory runs out: lower data.workers (-j) or "
            f"batch_size, or leave out a clip that is too large; then {GO_ON}",
        )
        error.row = row
        return error

    def _lose(self, row: int, reason: str) -> None:
        self._lost[row] = f"{self._clips.manifest.path(row)}: {reason}"
        if self._witness is not None and self._witness[0] == row:
            self._witness = None

    def _replace(self, worker: Worker) -> None:
        """Have a new worker do all that one had to do that is no more."""
        if not worker.tasks:
            self._workers.remove(worker)
            return
        another = self._workers[self._workers.index(worker)] = Worker(
            self._clips, self._clip_seconds
        )
        for task in worker.tasks:
            self._give(another, task)
