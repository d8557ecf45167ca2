"""Time of streams, which goes on, stands still or jumps; the pace of files; frames a second."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from marey.terminal import duration

JITTER_SECONDS = 1.0
"""Steps back that are shorter are faults of a clock, and time stands still; longer ones jump."""
AHEAD_SECONDS = 10.0
"""Steps ahead that are longer are said, and not waited for."""


class Clock:
    """Times of one stream as they come -> times by which a model may go."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._last = say, -math.inf
        self.num_jumps = 0
        """How often time went back."""

    def __call__(self, seconds: float) -> float:
        """The time of the newest frame: never before the last one's, unless it jumps back."""
        step, last = seconds - self._last, self._last
        if -JITTER_SECONDS <= step < 0:
            return last
        if step < 0:
            self.num_jumps += 1
            self._say(f"time jumps back by {duration(-step)}: the stream begins anew")
        elif AHEAD_SECONDS < step < math.inf:
            self._say(f"time jumps ahead by {duration(step)}")
        self._last = seconds
        return seconds


class Pace:
    """Waits so that the frames of a file come when they would be seen."""

    def __init__(self, stop: threading.Event, now: Callable[[], float] = time.monotonic) -> None:
        self._stop, self._now = stop, now
        self._begun, self._last = 0.0, -math.inf

    def wait_until(self, seconds: float) -> None:
        """Wait for the moment of a frame at `seconds`; not for jumps, from which it goes on."""
        if not 0 <= seconds - self._last <= AHEAD_SECONDS:
            self._begun = self._now() - seconds
        self._last = seconds
        if (pause := self._begun + seconds - self._now()) > 0:
            self._stop.wait(pause)


class Thinner:
    """Which frames are kept of a stream that has more of them than are wanted."""

    def __init__(self, fps: float | None) -> None:
        self._step = 1 / fps if fps else 0.0
        self._last, self._due = math.inf, -math.inf

    def keeps(self, seconds: float) -> bool:
        """Whether the frame at `seconds` is one of them: the first after each tick."""
        if seconds < self._last or seconds > self._due + 2 * self._step:
            self._due = seconds  # time jumped, or frames are rarer than wanted
        self._last = seconds
        if seconds < self._due - _ROUNDING:
            return False
        self._due += self._step
        return True


_ROUNDING = 1e-3  # seconds; times of many containers are whole milliseconds
