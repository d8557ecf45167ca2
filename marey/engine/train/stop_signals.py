"""Ctrl-C and SIGTERM end a run where its state is whole, after it was saved; it says so at once.

While a batch is waited for, or clips are validated, nothing would be lost but the wait: there the
run ends at once. A step under way is finished first; a second Ctrl-C leaves it, and what it changed
is undone. What moves the weights or saves them is never left.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from marey.jobs.signals import saving


class Stopped(Exception):
    """The run in `work_dir` was asked to stop; what it has trained is saved there.

    kept: of a run that has trained nothing yet, what it need not do again, in words.
    """

    def __init__(self, work_dir: Path, *, kept: str = "") -> None:
        super().__init__(f"stopped; {work_dir} can be resumed")
        self.work_dir, self.kept = work_dir, kept

    @property
    def has_trained(self) -> bool:
        """Whether a step was saved; one that stopped while clips were looked at has none."""
        return (self.work_dir / "checkpoints" / "last.pt").exists()


class StopAsked(BaseException):
    """Leaves a block that ends at once when the run is asked to stop; as `KeyboardInterrupt` is."""


@dataclass
class StopFlag:
    """Whether somebody asked the run to stop."""

    asked: bool = False
    speaks: bool = True
    _at_once: bool = False
    _whole: bool = False

    @contextmanager
    def at_once(self, *, alone: bool) -> Iterator[None]:
        """`StopAsked` leaves the block, wherever it is, when the run is or was asked to stop.

        Only of a process that is `alone`: where others wait for this one, the block ends by itself.
        """
        if not alone:
            yield
            return
        self._at_once = True
        try:
            if self.asked:
                raise StopAsked
            yield
        finally:
            self._at_once = False

    @contextmanager
    def whole(self) -> Iterator[None]:
        """A block that no signal leaves: the run is to end behind it anyway."""
        self._whole = True
        try:
            with saving():
                yield
        finally:
            self._whole = False

    def ask(self, number: int, _: FrameType | None) -> None:
        """The handler of both signals."""
        if self.asked and number == signal.SIGINT and not self._whole:
            raise KeyboardInterrupt
        if not self.asked and self.speaks:
            os.write(2, _STOPPING)  # what prints may be in the middle of a line
        self.asked = True
        if self._at_once:
            raise StopAsked


_STOPPING = b"\nstopping: what is under way is finished and saved; Ctrl-C again leaves it\n"


@contextmanager
def stop_signals(*, speaks: bool = True) -> Iterator[StopFlag]:
    """A flag that SIGINT and SIGTERM raise while the block runs, of a process that says so or not.

    What was asked is answered on standard error, even where nothing else is printed.
    """
    flag = StopFlag(speaks=speaks)
    if threading.current_thread() is not threading.main_thread():  # signals reach main only
        yield flag
        return
    before = {each: signal.signal(each, flag.ask) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
