"""Ctrl-C and SIGTERM while processes work for this one: it answers, and none outlives it."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM)
LAST_SECONDS = 3.0
"""How long a process that got a second Ctrl-C may take to end by itself."""
_PR_SET_PDEATHSIG = 1


@contextmanager
def starting_a_process() -> Iterator[None]:
    """What asks this process to stop waits until the block, which starts another, is done.

    Half started, the other would print a traceback, or be unknown to who has to end it. It is born
    deaf to Ctrl-C, which reaches it too: that is for the process that it works for.
    """
    if threading.current_thread() is not threading.main_thread():  # signals reach main only
        yield
        return
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)

    before = {each: signal.signal(each, note) for each in STOPPING}
    try:
        with _deaf_to_interrupts():
            yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        for number in came:
            signal.raise_signal(number)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # a child inherits the mask
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def second_interrupt_ends() -> Iterator[None]:
    """A second Ctrl-C in the block ends the process soon, also where no Python runs.

    A decoder that hangs in C never comes to what Python does about a signal; this thread does, if
    the decoder lets others run.
    """
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    before = signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
    threading.Thread(target=_end_after_two, args=(ours,), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(theirs)


def _end_after_two(signals: int) -> None:
    count = 0
    while count < 2:
        number = os.read(signals, 1)
        if not number:  # the block has ended
            os.close(signals)
            return
        count += number[0] == signal.SIGINT
    time.sleep(LAST_SECONDS)
    while not _SAVING.acquire(blocking=False):
        time.sleep(LAST_SECONDS)
    os._exit(130)


_SAVING = threading.Lock()


@contextmanager
def saving() -> Iterator[None]:
    """A block whose end `second_interrupt_ends` waits for."""
    with _SAVING:
        yield


def work_for_parent() -> None:
    """Called in a new process: it leaves Ctrl-C to its parent, and ends by SIGTERM or with that.

    SIGTERM must not be ignored: Python ends processes by it when it exits, and waits until they
    are gone.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":  # of who forked it, at once and whatever it does
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """What forked it may be a server, which outlives who asked for it as long as it has work."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
