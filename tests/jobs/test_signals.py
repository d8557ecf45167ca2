"""What asks a process to stop while others work for it, and what becomes of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import psutil
import pytest

from marey.errors import RunError
from marey.jobs import signals
from marey.jobs.processes import Processes
from marey.jobs.signals import STOPPING, starting_a_process


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_waits_until_a_process_has_started(number: int) -> None:
    came: list[str] = []
    before = signal.signal(number, lambda *_: came.append("signal"))
    try:
        with starting_a_process():
            signal.raise_signal(number)
            came.append("started")
        signal.raise_signal(number)
        assert came == ["started", "signal", "signal"]
    finally:
        signal.signal(number, before)


def end_once(mark: Path, word: str) -> str:
    """`word` in capitals, but the first process that comes here is ended before."""
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return word.upper()
    os.kill(os.getpid(), signal.SIGTERM)
    return "not reached"


def test_a_job_whose_process_somebody_ended_is_begun_anew(tmp_path: Path) -> None:
    work = partial(end_once, tmp_path / "mark")
    assert dict(Processes(1).answers(work, ["a", "b"])) == {"a": "A", "b": "B"}


def test_work_goes_on_when_the_server_of_forks_is_killed() -> None:
    answers = Processes(1).answers(str.upper, iter("abcd"))
    first = next(answers)
    forks = [each for each in psutil.Process().children() if "forkserver" in str(each.cmdline())]
    for server in forks:
        server.kill()
    assert sorted([first, *answers]) == [("a", "A"), ("b", "B"), ("c", "C"), ("d", "D")]


def test_a_process_that_never_starts_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise ConnectionRefusedError("no")

    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", refuse)
    with pytest.raises(RunError, match="could not start, in 3 attempts: ConnectionRefusedError no"):
        next(Processes(1).answers(str.upper, "a"))


PARENT = """
import multiprocessing, os, sys, time
from pathlib import Path
from marey.data.loading.worker import Worker
from marey.data.loading.one_batch import Task
from marey.jobs.processes import Worker as Process
class Clips:
    def __getitem__(self, key):
        Path(sys.argv[1]).write_text(str(os.getpid()))
        time.sleep(1000)
reading = Worker(Clips())
reading.give(Task(number=0, keys=[(0, None)]))
probing = Process(time.sleep, 1000.0)
probing.give(1000)
while not Path(sys.argv[1]).exists():
    time.sleep(0.01)
print(Path(sys.argv[1]).read_text(), probing._process.pid, flush=True)
time.sleep(1000)
"""


def test_processes_end_with_the_one_that_they_work_for(tmp_path: Path) -> None:
    """Both are on a job that takes for ever when their parent is killed."""
    command = [sys.executable, "-c", PARENT, str(tmp_path / "pid")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [psutil.Process(int(word)) for word in parent.stdout.readline().split()]
        assert len(workers) == 2
        parent.kill()
    gone, alive = psutil.wait_procs(workers, timeout=580)
    assert not alive, gone


def test_a_second_interrupt_waits_for_what_is_being_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    held, ended = threading.Semaphore(0), threading.Event()
    monkeypatch.setattr(signals.time, "sleep", lambda _: held.release())

    def leave(status: int) -> None:
        assert (status, signals._SAVING.locked()) == (130, True)  # and so nobody saves
        signals._SAVING.release()
        ended.set()

    monkeypatch.setattr(signals.os, "_exit", leave)
    ours, theirs = os.pipe()
    thread = threading.Thread(target=signals._end_after_two, args=(ours,))
    with signals.saving():
        thread.start()
        os.write(theirs, bytes([signal.SIGINT] * 2))
        for _ in range(3):
            held.acquire()
        assert not ended.is_set()
    thread.join()
    assert ended.is_set()
    for end in (ours, theirs):
        os.close(end)
