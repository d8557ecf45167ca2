"""Sources that do as a test says."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from marey.video.live.feed import Feed, FeedOptions, Shown
from marey.video.live.moment import Moment
from marey.video.reading.pixels import Picture

Step = Moment | str | Exception | threading.Event
"""An event is waited for, an exception raised."""


def picture(level: int, width: int = 8, height: int = 6) -> Picture:
    return np.full((height, width, 3), level, np.uint8)


def moment(seconds: float, level: int = 0, width: int = 8, height: int = 6) -> Moment:
    return Moment(seconds, lambda: picture(level, width, height))


@dataclass
class Scripted:
    """Each opening goes through the next script; after the last one it cannot be opened."""

    scripts: Sequence[Sequence[Step]]
    breaks: bool = False
    name: str = "scripted"
    opened: int = field(default=0, init=False)

    def moments(self, stop: threading.Event) -> Iterator[Moment | str]:
        script = self.scripts[self.opened]
        self.opened += 1
        for step in script:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, threading.Event):
                while not (step.wait(0.01) or stop.is_set()):
                    pass
                continue
            yield step


def ended(feed: Feed, woken: threading.Condition) -> None:
    """Wait until nothing more comes."""
    with woken:
        assert woken.wait_for(lambda: feed.ended, 60)


def all_of(
    source: object, options: FeedOptions, most: int = 1000
) -> tuple[list[Shown], list[str], Feed]:
    """Every picture and notice of a source that is read wholly, or until there are so many."""
    woken = threading.Condition()
    feed = Feed(source, woken, options)  # type: ignore[arg-type]
    feed.start()
    shown, notices = [], []
    while True:
        with woken:
            assert woken.wait_for(lambda: feed.ended or feed.has_picture, 60)
        notices += feed.notices()
        if (newest := feed.take()) is not None:
            shown.append(newest)
        if len(shown) == most:
            feed.close(patience=60)
        if feed.ended and not feed.has_picture:
            return shown, notices + feed.notices(), feed
