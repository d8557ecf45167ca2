"""A source that is read by a thread of its own: the newest picture waits, and no other one does.

    source --> thread --> one picture --> whoever looks at it
                 |            a newer one takes its place: the older is dropped, and counted
                 +--> what is to be said: it stalls, breaks, jumps, ends

So a model that is slower than a camera lags behind by one frame at most, whatever it lacks. A feed
that keeps all waits for whoever looks, and drops nothing.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, replace

from marey.errors import DecodeError, counted
from marey.terminal import duration
from marey.types import check_numbers
from marey.video.live.clock import Clock, Thinner
from marey.video.live.moment import Moment, Source
from marey.video.reading.pixels import Picture

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds before a source is opened again; they double from one to the other."""
MOST_NOTICES = 100
"""That wait to be said."""


@dataclass(frozen=True, kw_only=True)
class FeedOptions:
    """How a source is read.

    Args:
        keep_all: wait for whoever looks, and drop no frame.
        fps: frames a second that are wanted; None takes all.
        reconnects: how often in a row a source that breaks is opened again; 0 lets it end.
        stall_seconds: without a frame, after which that is said.
        first_pause: seconds before it is opened again for the first time.
    """

    keep_all: bool = False
    fps: float | None = None
    reconnects: int = 10
    stall_seconds: float = 5.0
    first_pause: float = FIRST_PAUSE

    def __post_init__(self) -> None:
        check_numbers(above=0, fps=self.fps, stall_seconds=self.stall_seconds)
        check_numbers(at_least=0, reconnects=self.reconnects, first_pause=self.first_pause)


@dataclass(frozen=True, eq=False)
class Shown:
    """The newest picture of a feed."""

    picture: Picture
    seconds: float
    """Its time, from the first frame of the feed."""
    arrived: float
    """When it was decoded, by `time.monotonic`."""
    begins: bool
    """Whether the source was opened anew before it, so that nothing before it counts."""


@dataclass
class Counts:
    """What became of the frames of a source."""

    read: int = 0
    """That it gave."""
    passed_over: int = 0
    """More than the frames a second that were wanted."""
    dropped: int = 0
    """That were replaced by newer ones before anybody looked."""
    reconnects: int = 0
    """How often it was opened again."""
    jumps: int = 0
    """How often its time jumped back."""
    sizes: int = 0
    """How many sizes its pictures had, one after the other."""


class Feed:
    """The pictures of a source from `start` on, until it has ended or `close` is called.

    woken: notified whenever something changes; feeds may share one, so that one can wait for all.
    """

    def __init__(
        self, source: Source, woken: threading.Condition, options: FeedOptions | None = None
    ) -> None:
        self.source, self.counts, self.ended = source, Counts(), False
        self.failure: BaseException | None = None
        """Why it ended, if that was no end of its own."""
        self._options, self._woken = options or FeedOptions(), woken
        self._stop = threading.Event()
        self._newest: Shown | None = None
        self._notices: deque[str] = deque(maxlen=MOST_NOTICES)
        self._last_words = ""
        self._last_arrival, self._stalled = time.monotonic(), False
        self._begins, self._size, self._seconds = False, (0, 0), 0.0
        self._thread = threading.Thread(target=self._run, name=source.name, daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._last_arrival = time.monotonic()
        self._thread.start()

    def take(self) -> Shown | None:
        """The newest picture, once; None if there is no new one."""
        with self._woken:
            newest, self._newest = self._newest, None
            self._woken.notify_all()  # a feed that keeps all waits for this
            return newest

    @property
    def has_picture(self) -> bool:
        """Whether there is a picture to take."""
        return self._newest is not None

    @property
    def has_begun(self) -> bool:
        """Whether it gave a frame, or is known to wait for one."""
        return self.counts.read > 0 or self._stalled

    def notices(self) -> list[str]:
        """What is to be said since the last call, that it stalls included."""
        silent = time.monotonic() - self._last_arrival
        with self._woken:
            waits = self.ended or self._stalled or self._newest is not None
            if not waits and silent > self._options.stall_seconds:
                self._stalled = True
                self._notices.append(f"no frame for {duration(silent)}; waiting")
            if self.ended and self._newest is None and self._last_words:  # of it nothing follows
                self._notices.append(self._last_words)
                self._last_words = ""
            notices = list(self._notices)
            self._notices.clear()
            return notices

    def say(self, notice: str) -> None:
        """Put a text among those that `notices` gives."""
        with self._woken:
            self._notices.append(notice)
            self._woken.notify_all()

    def close(self, patience: float = 1.0) -> None:
        """Stop reading; a thread that waits for bytes is left behind after `patience` seconds."""
        self._stop.set()
        with self._woken:
            self._woken.notify_all()
        if self._thread.ident is not None:
            self._thread.join(patience)

    def _run(self) -> None:
        try:
            self._read()
        except BaseException as error:  # noqa: BLE001  # whoever takes the pictures raises it
            self.failure = error
            if isinstance(error, DecodeError) and self.has_begun:
                self._last_words = f"ended: {self._without_name(error)}"
        with self._woken:
            self.ended = True
            self._woken.notify_all()

    def _without_name(self, error: DecodeError) -> str:
        """What went wrong; whoever says it says of which source it is."""
        return str(error).removeprefix(f"{self.source.name}: ")

    def _read(self) -> None:
        """Read the source, again after each break, until it has ended for good."""
        in_a_row, base = 0, 0.0
        while not self._stop.is_set():
            before = self.counts.read
            clock, thinner = Clock(self.say), Thinner(self._options.fps)
            try:
                for each in self.source.moments(self._stop):
                    if self._stop.is_set():
                        return
                    if isinstance(each, str):
                        self.say(each)
                    else:
                        self._arrived(replace(each, seconds=base + each.seconds), clock, thinner)
                if self._stop.is_set():
                    return
                if not self.counts.read:
                    raise DecodeError(f"{self.source.name} ended without a frame")
                self._last_words = "ended"
                return
            except DecodeError as error:
                if not (self.source.breaks and self.counts.read):
                    raise  # at the beginning it is more likely that its name is wrong
                reason = self._without_name(error)
            in_a_row = 1 if self.counts.read > before else in_a_row + 1
            if self._stop.is_set() or in_a_row > self._options.reconnects:
                self._last_words = f"ended: {reason}"
                return
            pause = min(self._options.first_pause * 2 ** (in_a_row - 1), LONGEST_PAUSE)
            tries = f"{in_a_row} of {counted(self._options.reconnects, 'try', 'tries')}"
            self.say(f"{reason}; opened again in {duration(pause)} ({tries})")
            last, gone = self._seconds, time.monotonic()
            self._stop.wait(pause)
            self.counts.reconnects += 1
            self._begins = True
            base = last + time.monotonic() - gone

    def _arrived(self, moment: Moment, clock: Clock, thinner: Thinner) -> None:
        arrived = time.monotonic()
        if self._stalled:
            self.say(f"goes on after {duration(arrived - self._last_arrival)}")
        self._last_arrival, self._stalled = arrived, False
        self.counts.read += 1
        jumps = clock.num_jumps
        self._seconds = clock(moment.seconds)
        self.counts.jumps += clock.num_jumps - jumps
        if not thinner.keeps(self._seconds):
            self.counts.passed_over += 1
            return
        picture = moment.picture()
        self._look_at_size(picture)
        self._offer(Shown(picture, self._seconds, arrived, self._begins))
        self._begins = False

    def _offer(self, shown: Shown) -> None:
        """Put a picture where it is taken; it waits or replaces another one."""
        with self._woken:
            if self._options.keep_all:
                self._woken.wait_for(lambda: self._newest is None or self._stop.is_set())
            if self._stop.is_set():
                return
            if self._newest is not None:
                self.counts.dropped += 1
                shown = replace(shown, begins=shown.begins or self._newest.begins)
            self._newest = shown
            self._woken.notify_all()

    def _look_at_size(self, picture: Picture) -> None:
        size = picture.shape[1], picture.shape[0]
        if size == self._size:
            return
        if self._size != (0, 0):
            was, now = (f"{width} x {height}" for width, height in (self._size, size))
            self.say(f"pictures change from {was} to {now}")
        self._size = size
        self.counts.sizes += 1
