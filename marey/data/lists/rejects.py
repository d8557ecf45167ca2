"""Lines of files that do not fit, and the two things that may become of them.

`marey data prepare` lists each and reads on (`Faults`); `marey data init` stops where a file ends
that has some (`FatalFaults`). Whoever reads a line is given one of the two and does not ask which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from marey.data.manifest.faults import NUM_SHOWN, FaultLine, clip_text, fault_error

T = TypeVar("T")
R = TypeVar("R")
MOST_SHOWN = 500
"""Characters of a value that are kept of a line that does not fit."""


class SourceLine(NamedTuple):
    """A line of a file, counted from 1; number 0 is the file, or folder, as a whole."""

    path: Path
    number: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.number}" if self.number else str(self.path)


class Reject(NamedTuple):
    """A line that is left out, and why."""

    line: SourceLine
    value: str
    reason: str
    remedy: str = ""


class Misfit(Exception):
    """Raised by whoever reads one line that does not fit: why, the remedy, and the value at fault.

    Without a value it is all of the line.
    """

    def __init__(self, reason: str, remedy: str = "", *, value: object = None) -> None:
        super().__init__(reason)
        self.reason, self.remedy, self.value = reason, remedy, value


class Faults:
    """The lines that do not fit, in the order they were met; reading goes on without them."""

    def __init__(self) -> None:
        self.rejects: list[Reject] = []

    def add(self, line: SourceLine, value: object, reason: str, remedy: str = "") -> None:
        """Leave a line out."""
        self.rejects.append(Reject(line, str(value)[:MOST_SHOWN], reason, remedy))

    def fitting(
        self, lines: Iterable[tuple[SourceLine, T]], read: Callable[[SourceLine, T], R]
    ) -> Iterator[R]:
        """What `read` makes of every line and its content; one that is a `Misfit` is left out."""
        for line, content in lines:
            try:
                row = read(line, content)
            except Misfit as misfit:
                value = content if misfit.value is None else misfit.value
                self.add(line, value, misfit.reason, misfit.remedy)
            else:
                yield row

    def settle(self) -> None:
        """Called when all of a file was read: the place to stop, for those who stop."""


class FatalFaults(Faults):
    """The lines that do not fit; a file that has some is a ManifestError with the first five."""

    def settle(self) -> None:
        """ManifestError if a line did not fit."""
        if self.rejects:
            first = [
                FaultLine(str(line), f"{reason}: {clip_text(value)}" if value else reason, remedy)
                for line, value, reason, remedy in self.rejects[:NUM_SHOWN]
            ]
            raise fault_error(first, len(self.rejects))
