"""Lines of files that do not fit, and the two things that may become of them.

`marey data prepare` lists each and reads on (`Faults`); `marey data init` stops where a file ends
that has some (`FatalFaults`). Whoever reads a line is given one of the two and does not ask which.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from marey.data.manifest.faults import NUM_SHOWN, FaultLine, clip_text, fault_error

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


class Faults:
    """The lines that do not fit, in the order they were met; reading goes on without them."""

    def __init__(self) -> None:
        self.rejects: list[Reject] = []

    def add(self, line: SourceLine, value: object, reason: str, remedy: str = "") -> None:
        """Leave a line out."""
        self.rejects.append(Reject(line, str(value)[:MOST_SHOWN], reason, remedy))

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
