"""What sources of live pictures give, and what a source is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from marey.video.reading.pixels import Picture


@dataclass(frozen=True, eq=False)
class Moment:
    """A picture that a source has, made when it is asked for: most streams are faster than models.

    It is asked for at most once, by the thread that reads the source, before the next moment.
    """

    seconds: float
    """Since the first one of this opening of the source."""
    picture: Callable[[], Picture]
    """uint8 [h w 3], upright, of the size it has now."""


def moment_of(seconds: float, picture: Picture) -> Moment:
    """The moment of a picture that is made already."""
    return Moment(seconds, lambda: picture)


class Source(Protocol):
    """Something that gives pictures, again and again."""

    @property
    def name(self) -> str:
        """As people know it; no secret is in it."""
        ...

    @property
    def breaks(self) -> bool:
        """Whether it is worth opening again after a fault: cameras and urls are."""
        ...

    def moments(self, stop: threading.Event) -> Iterator[Moment | str]:
        """What it gives from now on, until it ends or `stop` is set; texts are for the user.

        Raises:
            DecodeError: it cannot be opened, or breaks. A live stream that ends has broken.
        """
        ...
