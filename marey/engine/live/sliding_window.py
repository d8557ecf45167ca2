"""Any model of clips, on streams: every so often it sees the last seconds as a clip of their own.

    frames   . . . . . . . . . . . . . . . .
                   |----- window -----|            the recipe's test sampling picks among these
                         |----- window -----|      a stride later

Only the crops of the frames of a window are kept, whatever the size of the pictures.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from marey.engine.inference.scoring import score_views
from marey.engine.inference.windows import unseen
from marey.engine.runtimes.scorer import Scorer
from marey.models.layout import split_axis
from marey.recipes.recipe import Recipe
from marey.types import Frames
from marey.video.sampling.segments import at_rate

MOST_A_SECOND = 120
"""Frames of a window that are kept: a clock that stands still would fill the memory."""
_ROUNDING = 1e-6  # seconds


@dataclass
class Ring:
    """The last frames of a stream."""

    frames: deque[tuple[float, Frames]] = field(default_factory=deque)
    due: float | None = None
    """When the model looks next; one stride after the first frame."""


class SlidingWindow:
    """Scores of the last `window` seconds, every `stride` seconds, by the recipe's test views."""

    by: Literal["window"] = "window"

    def __init__(
        self,
        scorer: Scorer,
        recipe: Recipe,
        head: str,
        device: torch.device,
        *,
        window: float,
        stride: float,
    ) -> None:
        self._scorer, self._recipe, self._head = scorer, replace(recipe, amp=False), head
        self._device, self.window, self.stride = device, window, stride
        clips, crops = recipe.test.sampling.clips, recipe.test.crop.views
        self.about = (
            f"sees the last {window:g} s every {stride:g} s, as {clips} x {crops} views of "
            f"{recipe.test.sampling.frames} frames"
        )
        if gap := unseen(window, stride):
            self.about += f" ({gap})"

    def begin(self) -> Ring:
        """No frames."""
        return Ring()

    def look(self, frames: Sequence[tuple[Ring, Frames, float]]) -> list[Tensor | None]:
        """Scores [k] of the windows that are due, None of the others."""
        due = [self._add(ring, crops, seconds) for ring, crops, seconds in frames]
        if not any(due):
            return [None] * len(frames)
        views = [self._views(ring) for (ring, _, _), now in zip(frames, due, strict=True) if now]
        found = score_views(self._scorer, torch.stack(views), self._recipe, device=self._device)
        scores = iter(found[self._head])
        return [next(scores) if now else None for now in due]

    def _add(self, ring: Ring, crops: Frames, seconds: float) -> bool:
        """Whether a window ends with this frame, which the ring takes in."""
        ring.frames.append((seconds, crops))
        most = max(2, math.ceil(MOST_A_SECOND * self.window))
        while ring.frames[0][0] < seconds - self.window - _ROUNDING or len(ring.frames) > most:
            ring.frames.popleft()
        if ring.due is None:
            ring.due = seconds + self.stride
        if seconds < ring.due - _ROUNDING:
            return False
        passed = math.floor((seconds - ring.due + _ROUNDING) / self.stride) + 1
        ring.due += passed * self.stride
        return True

    def _views(self, ring: Ring) -> Tensor:
        """The views uint8 [v t c h w] of the frames of a window."""
        times = [seconds for seconds, _ in ring.frames]
        took = times[-1] - times[0]
        rate = (len(times) - 1) / took if took > 0 else None
        indices = at_rate(self._recipe.test.sampling, rate).indices(len(times))
        picked = torch.stack([ring.frames[i][1] for i in indices.ravel()])  # [v*t s c h w]
        by_clip = split_axis(picked, 0, *indices.shape).transpose(1, 2)  # [v s t c h w]
        return by_clip.flatten(0, 1)
