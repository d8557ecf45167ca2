"""Answers for many jobs from processes that may crash or hang, as decoders do on odd files.

A job that kills its process, or hangs (`marey.jobs.hangs`), costs that job and no other. Where
somebody else ended the process, by SIGTERM, the job is begun anew.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, MutableSequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.reduction import ForkingPickler
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

from marey import pulse
from marey.errors import RunError
from marey.jobs.cores import num_cores
from marey.jobs.hangs import Watch
from marey.jobs.signals import starting_a_process, work_for_parent
from marey.storage.temporary import claim

Job = TypeVar("Job")
Answer = TypeVar("Answer")


ATTEMPTS = 3
"""How often a process is started, or a job begun whose process somebody ended."""
PAUSE_SECONDS = 0.3
"""Between two attempts to start."""
_ENDED = (-signal.SIGTERM, 255)
"""How a process ends that somebody ended, or whose server of forks they killed."""


@dataclass(frozen=True)
class Lost:
    """A job without an answer, and why."""

    reason: str
    hung: bool = field(default=False, compare=False)
    """Whether it was given up, not crashed."""


Answers: TypeAlias = Iterator[tuple[Job, Answer | Lost]]
"""Each job with its answer, in the order they are done; `Lost` after a crash or hang."""


@dataclass(frozen=True)
class Processes:
    """Processes of this machine, one for each core unless `num_workers` says otherwise."""

    num_workers: int | None = None

    def answers(
        self, function: Callable[[Job], Answer], jobs: Iterable[Job], *, timeout_seconds: float = 60
    ) -> Answers[Job, Answer]:
        """As `Executor.answers`.

        The processes are gone when the iterator is exhausted, closed or interrupted.
        """
        workers: list[Worker[Job, Answer]] = []
        with_script = names_script(function)
        limit = max(self.num_workers or num_cores(), 1)
        try:
            for job in jobs:
                worker = next((worker for worker in workers if worker.idle), None)
                if worker is None and len(workers) < limit:
                    worker = Worker(function, timeout_seconds, with_script=with_script)
                    workers.append(worker)
                while worker is None:
                    yield from _collect(workers)
                    worker = next((worker for worker in workers if worker.idle), None)
                worker.give(job)
            while not all(worker.idle for worker in workers):
                yield from _collect(workers)
        finally:
            for worker in workers:
                worker.stop()


class Worker(Generic[Job, Answer]):
    """One process, restarted when it is lost, and the job it has."""

    def __init__(
        self,
        function: Callable[[Job], Answer],
        timeout_seconds: float,
        *,
        daemon: bool = True,
        with_script: bool = True,
    ) -> None:
        """Start the process.

        Args:
            function: what is called with each job.
            timeout_seconds: after which a job hangs, as `Watch` has it.
            daemon: goes when this process ends; only others may have processes of their own.
            with_script: has what the script defines; see `names_script`.
        """
        self._function, self._context, self._timeout = function, _context(function), timeout_seconds
        self._daemon, self._with_script = daemon, with_script
        self._job: list[Job] = []  # none or one: a job may be None
        self._start()

    @property
    def idle(self) -> bool:
        """Whether it waits for a job."""
        return not self._job

    @property
    def pid(self) -> int | None:
        """The process' number; that of another one after it was restarted."""
        pid: int | None = self._process.pid
        return pid

    @property
    def seconds_left(self) -> float:
        """How long it need not be looked at."""
        return self._watch.seconds_left

    def do(self, job: Job) -> Answer | Lost:
        """What `function` says of the job, once it does or is lost."""
        self.give(job)
        while True:
            if wait([self.answers], self.seconds_left) or self.is_late():
                for _, answer in self.collect():
                    return answer

    def give(self, job: Job) -> None:
        """Start on a job; `collect` has the answer."""
        self._times = 0
        self._begin(job)

    def _begin(self, job: Job) -> None:
        self._job, self._times = [job], self._times + 1
        if not self._with_script and names_script(job):
            self._with_script = True
            self._restart()
        try:
            self.answers.send(job)
        except OSError:  # it was killed while it had nothing to do: not for this job
            self._restart()
            self.answers.send(job)
        pid, board = self._process.pid, self._board
        assert pid is not None
        self._watch = Watch(pid, lambda: board[0], self._timeout)
        self._verdict = ""

    def is_late(self) -> bool:
        """Whether the job hangs."""
        self._verdict = self._watch.verdict()
        return bool(self._verdict)

    def collect(self) -> Answers[Job, Answer]:
        """The job it had, with its answer or why there is none; nothing if it was begun anew."""
        (job,), self._job = self._job, []
        try:
            if self.answers.poll():
                answer: Answer = self.answers.recv()
                yield job, answer
                return
            lost = Lost(self._verdict, hung=True)
        except (EOFError, OSError):
            self._process.join()
            lost = Lost(f"the process that read it died ({exit_text(self._process.exitcode)})")
        ended = self._process.exitcode in _ENDED
        self._restart()
        if ended and self._times < ATTEMPTS:  # by somebody else: no fault of the job
            self._begin(job)
        else:
            yield job, lost

    def stop(self) -> None:
        """End the process, whatever it does."""
        if self._process.pid is not None:  # it has started
            self._process.kill()
            self._process.join()
        self.answers.close()

    def _restart(self) -> None:
        self.stop()
        self._start()

    def _start(self) -> None:
        for _ in range(ATTEMPTS):
            try:
                self._start_once()
            except (EOFError, OSError) as error:  # of it, or of the server that forks it
                reason = f"{type(error).__name__} {error}".strip()
                time.sleep(PAUSE_SECONDS)  # a server that was killed may not be gone yet
            else:
                return
            self.stop()
            code = self._process.exitcode
            if code is not None and code not in _ENDED and code > 0:
                raise RunError(
                    "a worker process could not start",
                    "in a script, call this below `if __name__ == '__main__':`",
                )
        raise RunError(
            f"a worker process could not start, in {ATTEMPTS} attempts: "
            f"{reason if code is None else exit_text(code)}",
            "most often memory ran out: use fewer workers (-j)",
        )

    def _start_once(self) -> None:
        self.answers, theirs = self._context.Pipe()
        self._board = self._context.RawArray("Q", 1)
        self._process = self._context.Process(  # type: ignore[attr-defined]
            target=_serve, args=(self._function, theirs, self._board), daemon=self._daemon
        )
        try:
            with starting_a_process(), nullcontext() if self._with_script else _script_hidden():
                self._process.start()
        finally:
            theirs.close()
        self.answers.recv()  # so that start-up is not counted as the time of a job


def names_script(what: object) -> bool:
    """Whether something, pickled, is of the script or notebook that runs.

    A process that gets it has to run the script again, as another module, to know what it defines;
    others need not, so that a script without ``if __name__ == "__main__":`` is not run twice.
    """
    return b"__main__" in bytes(ForkingPickler.dumps(what))


@contextmanager
def _script_hidden() -> Iterator[None]:
    """A process that is started in the block finds no script to run again."""
    script: dict[str, object] = vars(sys.modules["__main__"])
    before = dict(script)
    script.pop("__file__", None)
    script["__spec__"] = None
    try:
        yield
    finally:
        script.update(before)


def _collect(workers: list[Worker[Job, Answer]]) -> Answers[Job, Answer]:
    """What the busy workers have to say, once at least one of them has, or is late."""
    busy = [worker for worker in workers if not worker.idle]
    patience = min(worker.seconds_left for worker in busy)
    ready = wait([worker.answers for worker in busy], patience)
    for worker in busy:
        if worker.answers in ready or worker.is_late():
            yield from worker.collect()


def _serve(
    function: Callable[[Job], Answer], jobs: Connection, board: MutableSequence[int]
) -> None:
    work_for_parent()
    pulse.counter = board
    jobs.send("ready")
    while True:
        try:
            job = jobs.recv()
        except EOFError:  # the parent is gone
            return
        answer = function(job)
        try:
            jobs.send(answer)
        except BrokenPipeError:  # the parent is gone
            return


def _context(function: object) -> BaseContext:
    """Never a fork of this process, whose decoder and tensor threads would not come along."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    _prepare()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(modules_of(function))
    return context


@cache
def _prepare() -> None:
    """Make beforehand what Python makes as it starts a server of forks.

    Its socket is in a folder that a process which is killed would leave. The tracker of resources
    (3.11) lets Ctrl-C through when it starts, and the server would die of it with a traceback.
    """
    claim(Path(get_temp_dir()))
    resource_tracker.ensure_running()


def modules_of(function: object) -> list[str]:
    """The modules that unpickling it imports, to be imported once and not by every worker.

    >>> modules_of(partial(num_cores, partial(int)))
    ['marey.jobs.cores', 'builtins']
    """
    if isinstance(function, partial):
        return [name for part in (function.func, *function.args) for name in modules_of(part)]
    own = getattr(function, "modules", None)  # of a function that came pickled
    name = getattr(function, "__module__", None)
    return own or ([name] if name and name != "__main__" else [])


def exit_text(code: int | None) -> str:
    """How a process ended: by which signal, or with which status."""
    if code is None or code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:  # real-time signals have no names
        return f"signal {-code}"
