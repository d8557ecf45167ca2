"""Sources and a recogniser: the newest frame of every source, one batch after the other."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from marey.engine.live.recogniser import Answer, LiveRecogniser, LiveStream
from marey.errors import MareyError, RunError
from marey.types import check_numbers
from marey.video.live.feed import Feed, FeedOptions, Shown
from marey.video.live.moment import Source

LATENCIES = 10_000
"""The last answers whose delay is kept: a stream may go on for months."""
MOST_FAULTS = 2
"""Answers in a row that are no numbers, after which a source ends: its state is not to blame."""
TICK_SECONDS = 0.25
"""How often it is looked whether a source stalls."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A frame that was looked at."""

    source: int
    """Whose it is, by its number."""
    name: str
    """The name of the source."""
    shown: Shown
    answer: Answer | None
    """None between the windows of a model that has them."""
    latency: float
    """Seconds from the decoded frame to the answer."""
    dropped: int
    """Frames of the source that newer ones replaced so far."""

    def to_json(self, top: int = 0) -> dict[str, Any]:
        """The answer as JSON, with its source; of a frame without one, its time alone."""
        said = {} if self.answer is None else self.answer.to_json(top)
        late = {"latency": round(self.latency, 6), "dropped": self.dropped}
        return {"source": self.name, "seconds": round(self.shown.seconds, 3)} | said | late


@dataclass
class Watched:
    """What became of a source."""

    name: str
    answered: int = 0
    restarts: int = 0
    """How often the state of its stream began anew."""
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES))

    def latency(self, share: float) -> float | None:
        """The seconds that this share of the last answers took at most; None without answers."""
        return float(np.quantile(self.latencies, share)) if self.latencies else None


class Watch:
    """Looks at sources by a recogniser, until all have ended or a limit is reached.

    None is looked at before each has given a frame, or is known to wait for one: that one of them
    cannot be opened is an error before anything is said of the others. One that opens late, or
    never, does not keep the others waiting: what becomes of it is said.

    Args:
        recogniser: of whose streams each source gets one.
        sources: read by a thread each.
        options: how they are read.
        most_frames: of each source that are looked at; None knows no limit.
        most_seconds: of the whole.
    """

    def __init__(
        self,
        recogniser: LiveRecogniser,
        sources: Sequence[Source],
        options: FeedOptions | None = None,
        *,
        most_frames: int | None = None,
        most_seconds: float | None = None,
    ) -> None:
        check_numbers(at_least=1, most_frames=most_frames)
        check_numbers(above=0, most_seconds=most_seconds)
        self._recogniser, self._woken = recogniser, threading.Condition()
        self._feeds = [Feed(source, self._woken, options) for source in sources]
        self._streams: list[LiveStream] = [recogniser.begin() for _ in sources]
        self._looked = [0] * len(sources)
        self._faults: list[list[RunError]] = [[] for _ in sources]
        """Of each source those since its last answer, in a row."""
        self._has_begun = False
        self._most_frames, self._most_seconds = most_frames, most_seconds
        self.watched = [Watched(name) for name in _told_apart([of.name for of in sources])]
        self.seconds = 0.0
        """That `run` took."""

    def run(
        self, seen: Callable[[Seen], None], say: Callable[[int, str], None] = lambda *_: None
    ) -> None:
        """Look on; each frame that was looked at is `seen`, and what happens to a source is said.

        It ends when all sources have. Whatever ends it, the sources are let go of.

        Raises:
            DecodeError: a source gave no frame before the others began, or all ended by a fault.
            RunError: all ended by a fault, the first because its scores are not finite.
        """
        began = time.monotonic()
        for feed in self._feeds:
            feed.start()
        try:
            while True:
                self._tell(say)
                due = self._due()
                if due:
                    self._look(due, seen)
                self.seconds = time.monotonic() - began
                over = self._most_seconds is not None and self.seconds >= self._most_seconds
                if over or self._is_over():
                    self._tell(say)
                    return
                if not due:
                    self._wait(began)
        finally:
            self.seconds = time.monotonic() - began
            for feed in self._feeds:
                feed.close(patience=0)  # all are told before one is waited for
            for feed in self._feeds:
                feed.close()

    def summary(self) -> dict[str, Any]:
        """What was read, looked at, answered and dropped, and how late answers came, as JSON."""
        return {
            "seconds": round(self.seconds, 3),
            "by": self._recogniser.by,
            "sources": [
                {"source": watched.name}
                | asdict(feed.counts)
                | {
                    "looked_at": looked,
                    "answered": watched.answered,
                    "restarts": stream.num_restarts,
                    "latency_p50": _rounded(watched.latency(0.5)),
                    "latency_p95": _rounded(watched.latency(0.95)),
                }
                for watched, feed, looked, stream in zip(
                    self.watched, self._feeds, self._looked, self._streams, strict=True
                )
            ],
        }

    def _due(self) -> list[tuple[int, Shown]]:
        """The newest frame of each source that has a new one."""
        if not self._may_look():
            return []
        found = []
        for number, feed in enumerate(self._feeds):
            if not self._has_enough(number) and (shown := feed.take()) is not None:
                found.append((number, shown))
        return found

    def _look(self, due: Sequence[tuple[int, Shown]], seen: Callable[[Seen], None]) -> None:
        for number, shown in due:
            if shown.begins:
                self._streams[number].begin_anew()
        answers = self._recogniser.step(
            [(self._streams[number], shown.picture, shown.seconds) for number, shown in due]
        )
        now = time.monotonic()
        for (number, shown), said in zip(due, answers, strict=True):
            self._looked[number] += 1
            answer = self._answer(number, said)
            if answer is not None:
                self.watched[number].answered += 1
                self.watched[number].latencies.append(now - shown.arrived)
            name, dropped = self.watched[number].name, self._feeds[number].counts.dropped
            seen(Seen(number, name, shown, answer, now - shown.arrived, dropped))
            if self._has_enough(number):
                self._feeds[number].close(patience=0)

    def _answer(self, number: int, said: Answer | RunError | None) -> Answer | None:
        """What was said of a source; a fault is told, and ends it if the next answer is one too."""
        faults = self._faults[number]
        if isinstance(said, RunError):
            faults.append(said)
            ends = len(faults) >= MOST_FAULTS
            again = f"{said.message}: the stream begins anew"
            self._feeds[number].say(f"ended: {said}" if ends else again)
            return None
        if said is not None:
            faults.clear()
        return said

    def _may_look(self) -> bool:
        self._has_begun = self._has_begun or all(feed.has_begun for feed in self._feeds)
        return self._has_begun

    def _wait(self, began: float) -> None:
        timeout = TICK_SECONDS
        if self._most_seconds is not None:
            timeout = min(timeout, max(0.0, began + self._most_seconds - time.monotonic()))
        with self._woken:
            self._woken.wait_for(
                lambda: (
                    not (open_ := self._open())
                    or (self._may_look() and any(feed.has_picture for feed in open_))
                ),
                timeout,
            )

    def _open(self) -> list[Feed]:
        """The feeds of which there is more to come, or to be told."""
        return [
            feed
            for number, feed in enumerate(self._feeds)
            if not self._has_enough(number) and (feed.has_picture or not feed.ended)
        ]

    def _is_over(self) -> bool:
        """Whether nothing more will come; raises the fault that it ended by, if there is one."""
        for feed in self._feeds:
            fault = feed.failure
            has_begun = feed.counts.read or self._has_begun
            if fault is not None and not (isinstance(fault, MareyError) and has_begun):
                raise fault
        if self._open():
            return False
        faults = [self._fault(number) for number in range(len(self._feeds))]
        if faults[0] is not None and None not in faults:
            raise faults[0]
        return True

    def _fault(self, number: int) -> BaseException | None:
        """By what a source ended, if it was no end of its own."""
        faults = self._faults[number]
        return faults[-1] if len(faults) >= MOST_FAULTS else self._feeds[number].failure

    def _has_enough(self, number: int) -> bool:
        most = self._most_frames
        enough = most is not None and self._looked[number] >= most
        return enough or len(self._faults[number]) >= MOST_FAULTS

    def _tell(self, say: Callable[[int, str], None]) -> None:
        for number, feed in enumerate(self._feeds):
            for notice in feed.notices():
                say(number, notice)


def _told_apart(names: Sequence[str]) -> list[str]:
    """The names, numbered where several are alike: of urls that differ in what is not shown."""
    return [
        f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
