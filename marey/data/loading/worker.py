"""One process that reads batches, and says all the while which clip it is on."""

from __future__ import annotations

import multiprocessing
import pickle
import traceback
from collections import deque
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any, TypeAlias

import torch

from marey import pulse
from marey.data.loading.clips import Batch, ClipDataset
from marey.data.loading.one_batch import Task, read_batch
from marey.errors import MareyError, RunError
from marey.jobs.hangs import Watch
from marey.jobs.signals import starting_a_process, work_for_parent

END_SECONDS = 10.0
"""How long a process that was killed may take to go; one that a dead disk holds never does."""

Board: TypeAlias = Any
"""What a worker is on, in shared memory, int64 [3]: beats (`marey.pulse`), the row, -1 for none,
and how many rows it came to."""


@dataclass(frozen=True)
class Death:
    """A worker came to its end; `row` is the clip it was on, if any."""

    row: int | None
    code: int | None
    """As `multiprocessing.Process.exitcode`."""


class Worker:
    """A process, and the tasks that it has."""

    def __init__(self, clips: ClipDataset, clip_seconds: float = 60.0) -> None:
        """Start the process, which hangs after so long on a clip, as `Watch` has it."""
        context = multiprocessing.get_context()
        self.tasks: deque[Task] = deque()
        self.answers, theirs = context.Pipe()
        self._board: Board = context.RawArray("q", [0, -1, 0])
        self._process = context.Process(
            target=_serve, args=(clips, theirs, self._board), daemon=True
        )
        try:
            with starting_a_process():
                self._process.start()
        except OSError as error:
            raise RunError(
                f"a loader worker cannot be started: {error.strerror}",
                "lower data.workers (-j), or allow more memory or processes",
            ) from error
        finally:
            theirs.close()
        assert self._process.pid is not None
        self._watch = Watch(self._process.pid, lambda: tuple(self._board), clip_seconds)

    def give(self, task: Task) -> None:
        """One more task; `hear` has the answer."""
        self.tasks.append(task)
        try:
            self.answers.send(task)
        except OSError:  # it is dead: `hear` will say so
            return

    @property
    def exit_code(self) -> int | None:
        """As `Death.code`; None while it lives."""
        return self._process.exitcode

    def hear(self) -> Batch | str | Exception | Death:
        """What it has to say: the batch of its first task, a remark, or what went wrong."""
        try:
            heard: Batch | str | Exception = self.answers.recv()
        except (EOFError, OSError):  # or the shared memory of a batch went with it
            return self.end()
        if isinstance(heard, Batch):
            self.tasks.popleft()
        return heard

    def hangs(self) -> bool:
        """Whether it hangs at the clip it is on."""
        return bool(self._watch.verdict()) and self._board[1] >= 0

    def dismiss(self) -> None:
        """Tell it that there are no more tasks."""
        try:
            self.answers.send(None)
        except OSError:  # it is dead
            return

    def wait(self, seconds: float) -> None:
        """Return when the process is gone, or after so long."""
        self._process.join(seconds)

    def end(self) -> Death:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.join(END_SECONDS)
        self.answers.close()
        row = self._board[1]
        return Death(None if row < 0 else row, self._process.exitcode)


def _serve(clips: ClipDataset, tasks: Connection, board: Board) -> None:
    """Read what tasks ask for, until there are no more."""
    work_for_parent()
    pulse.counter = board
    torch.set_num_threads(1)  # workers are many

    def announce(row: int | None) -> None:
        board[2] += 1
        board[1] = -1 if row is None else row

    while True:
        try:
            task: Task | None = tasks.recv()
        except (EOFError, OSError):
            return
        if task is None:
            return
        answer: Batch | Exception
        try:
            answer = read_batch(clips, task, announce=announce, say=tasks.send)
        except Exception as error:  # noqa: BLE001  # it is for the process that wants the batch
            answer = _portable(error)
        try:
            tasks.send_bytes(_pickled(answer))
        except OSError:  # nobody listens
            return


def _pickled(answer: Batch | Exception) -> memoryview:
    """The answer as bytes; what is in tensors goes into shared memory."""
    try:
        return ForkingPickler.dumps(answer)
    except (OSError, RuntimeError) as error:
        return ForkingPickler.dumps(no_shared_memory(str(error)))


def no_shared_memory(reason: str) -> RunError:
    """The error of a batch that cannot be handed over."""
    return RunError(
        f"a loader worker could not hand over a batch: {reason}",
        "most often shared memory is short (df /dev/shm): allow more (docker run --shm-size), or "
        "lower batch_size or data.workers (-j)",
    )


def _portable(error: Exception) -> Exception:
    """The error as it can be raised in another process, with where it came from."""
    if isinstance(error, MareyError):
        return error
    where = f"in a loader worker:\n{traceback.format_exc()}"
    try:
        error = pickle.loads(pickle.dumps(error))
    except (TypeError, AttributeError, pickle.PicklingError):  # it does not survive the trip
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(where)
    return error
