"""Whether a process hangs at what it does, or is only slow: a busy machine must not decide that.

A file is given up for what a decoder does with it, never for how many others compute meanwhile. So
wall time alone condemns nothing: a process hangs if it gives no sign of life (`marey.pulse`) while
it computes for as long as it may, or if it has as long and does not compute at all, as one that
waits for a share that is gone. One that waits for its turn does neither.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

SURE_SECONDS = 5.0
"""How long it must rest on when seen so: all clocks jump where the whole machine had stopped."""
LOOK_SECONDS = 1.0
"""How often one that is late is looked at."""
_AT_REST = 1e-3
"""Share of the time that a process computes at most that waits for something else."""


class _Clocks(NamedTuple):
    wall: float
    processor: float


class Watch:
    """A process that works on one thing, and how long it may do so without a sign of life."""

    _since: _Clocks
    """When it gave the last sign."""
    _seen: _Clocks
    """From when on it was not yet found at rest."""
    _at_rest: _Clocks | None
    """When it was."""

    def __init__(self, pid: int, sign: Callable[[], object], seconds: float) -> None:
        """Watch from now on.

        Args:
            pid: the process.
            sign: gives another value after each sign of life, and whenever the work is another.
            seconds: of its processor time without a sign, or of wall time at rest.
        """
        self._pid, self._sign, self._seconds = pid, sign, seconds
        self._start(sign())

    @property
    def seconds_left(self) -> float:
        """How long nothing needs to be looked at."""
        left = self._since.wall + self._seconds - time.monotonic()
        return left if left > 0 else min(LOOK_SECONDS, self._seconds)

    def verdict(self) -> str:
        """What is seen of a process that hangs; "" while it does not."""
        sign = self._sign()
        if sign != self._last:
            self._start(sign)
        now = self._clocks()
        if now.wall - self._since.wall < self._seconds:
            return ""
        if now.processor - self._since.processor >= self._seconds:
            return f"not done after {self._seconds:g} s of processor time"
        seen = self._at_rest or self._seen
        waited = now.wall - seen.wall
        if waited < (min(SURE_SECONDS, self._seconds) if self._at_rest else self._seconds):
            return ""
        if now.processor - seen.processor > _AT_REST * waited:
            self._seen, self._at_rest = now, None
        elif self._at_rest:
            return f"not done after {self._seconds:g} s"
        else:
            self._at_rest = now
        return ""

    def _start(self, sign: object) -> None:
        self._last = sign
        self._since = self._seen = self._clocks()
        self._at_rest = None

    def _clocks(self) -> _Clocks:
        return _Clocks(time.monotonic(), processor_seconds(self._pid) or 0.0)


def processor_seconds(pid: int) -> float | None:
    """The time that the threads of a process computed; None where Linux does not tell it."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # as clock_getcpuclockid(3) has it
    except (AttributeError, OSError):  # of another system, or the process is gone
        return None
