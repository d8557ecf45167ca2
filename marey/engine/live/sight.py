"""How a model sees streams, and the state of one of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, Protocol

from torch import Tensor

from marey.timelines.decisions import Decided
from marey.types import Frames


class Sight(Protocol):
    """How a model sees streams: what it keeps of each, and its scores for the newest frames."""

    @property
    def by(self) -> Literal["frame", "window"]:
        """What one answer is of."""
        ...

    @property
    def about(self) -> str:
        """What it does, in words."""
        ...

    def begin(self) -> Any:
        """What is kept of a stream before its first frame; `look` changes it."""
        ...

    def look(self, frames: Sequence[tuple[Any, Frames, float]]) -> list[Tensor | None]:
        """Scores [k], averaged as the test views are, after one frame of each of some streams.

        frames: what is kept of a stream, the crops uint8 [s c h w] of its newest frame, the time.
            None where nothing is due yet.
        """
        ...


class LiveStream:
    """The state of one stream, which `LiveRecogniser.step` moves on."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self.num_restarts = 0
        """How often it began anew, as time jumped back."""
        self._begin()

    def begin_anew(self) -> None:
        """Forget all frames; what comes next is the first one."""
        self._begin()
        self.num_restarts += 1

    def _begin(self) -> None:
        self.kept = self._sight.begin()
        self.decided: Decided | None = None
        self.seconds = -math.inf
