"""Ctrl-C and SIGTERM end a run between two steps, after it was saved; a second Ctrl-C at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType


class Stopped(Exception):
    """The run in `work_dir` was asked to stop; its state is saved there."""

    def __init__(self, work_dir: Path) -> None:
        super().__init__(f"stopped; {work_dir} can be resumed")
        self.work_dir = work_dir


@dataclass
class StopFlag:
    """Whether somebody asked the run to stop."""

    asked: bool = False


@contextmanager
def stop_signals() -> Iterator[StopFlag]:
    """A flag that SIGINT and SIGTERM raise while the block runs."""
    flag = StopFlag()

    def ask(number: int, _: FrameType | None) -> None:
        if flag.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        flag.asked = True

    if threading.current_thread() is not threading.main_thread():  # signals reach main only
        yield flag
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
