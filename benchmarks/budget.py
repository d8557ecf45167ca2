"""The time that a benchmark may take, by the wall, on whatever machine."""

from __future__ import annotations

import time
from dataclasses import dataclass

MINUTES = 9.0
"""Nothing is begun that would not be done by then: a benchmark takes less than ten minutes."""


@dataclass(frozen=True)
class Budget:
    """Seconds until `ends`, a moment of `time.monotonic`."""

    ends: float

    @classmethod
    def of(cls, seconds: float) -> Budget:
        """One that begins now."""
        return cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds; below 0 where it is overdrawn."""
        return self.ends - time.monotonic()

    def share(self, part: float, *, keep: float = 0.0) -> Budget:
        """That part of what is left, but for `keep` seconds of what follows.

        What one leaves over is for those behind it, if they ask for their part of the rest.
        """
        return Budget.of(part * (self.left - keep))
