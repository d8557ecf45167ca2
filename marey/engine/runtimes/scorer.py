"""What scores clips: a model, or another form of it."""

from __future__ import annotations

from typing import Protocol

from marey.models.video_model import ModelSpec
from marey.types import Clip, Scores


class Scorer(Protocol):
    """Scores of clips of as many frames as its spec says, on the device where it runs.

    A `VideoModel` in evaluation mode is one.
    """

    @property
    def spec(self) -> ModelSpec:
        """The model whose scores these are."""
        ...

    def __call__(self, clip: Clip) -> Scores:
        """Scores [b k] of every head from clips [b t c h w], or [b t d] of features."""
        ...
