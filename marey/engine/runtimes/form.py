"""A form of a model: the same network, run in another way.

    write    what has to be made once: a graph, numbers of 8 bits; into a folder
    open     what is there -> a scorer

A form that needs nothing but the weights writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from marey.engine.runtimes.scorer import Scorer
from marey.models.video_model import ModelSpec, VideoModel
from marey.types import Clip, Scores


class Form(Protocol):
    """One way to run a model. Its name stands in optimized.json, and is what tells it again."""

    @property
    def name(self) -> str:
        """The name."""
        ...

    @property
    def packages(self) -> tuple[str, ...]:
        """What computes, beside torch."""
        ...

    @property
    def files(self) -> tuple[str, ...]:
        """The names of what it writes."""
        ...

    def missing(self, device: torch.device) -> str:
        """Why it cannot be used on this machine, and the remedy if there is one; else empty."""
        ...

    def write(self, model: VideoModel, clips: Clip, folder: Path, about: Mapping[str, Any]) -> None:
        """Write its files into `folder`, if others that share them have not.

        model: the plain one, in evaluation mode.
        clips: [n t c h w] of the size that it is for, real ones, by which numbers are rounded.
        about: what the files say of the model, where they can say anything.
        """
        ...

    def open(self, model: VideoModel, folder: Path, device: torch.device) -> Running:
        """What scores clips of the size that it was written for; RunError if it cannot be read."""
        ...


@dataclass(frozen=True, eq=False)
class Running:
    """A form that is ready to score, in its own precision whatever autocast says."""

    form: str
    spec: ModelSpec
    run: Callable[[Clip], Scores]

    def __call__(self, clip: Clip) -> Scores:
        """Scores float32 [b k] of every head, on the device of the clips."""
        with torch.no_grad(), torch.autocast(clip.device.type, enabled=False):
            scores = self.run(clip)
        return {head: values.to(clip.device, torch.float32) for head, values in scores.items()}


def form_name(scorer: Scorer) -> str:
    """The name of the form that scores: of a model that nothing else runs it is the fused one."""
    return scorer.form if isinstance(scorer, Running) else "fused"
