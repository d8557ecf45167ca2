"""A file of a streaming model: called frame by frame, as `marey.models.stream.StreamingModel` is.

logits, *buffers = stream(frame, *buffers)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from marey.engine.runtimes.program import FRAME
from marey.engine.runtimes.session import Session
from marey.errors import counted
from marey.models.video_model import Consensus, consensus_of
from marey.types import Clip, Scores


@dataclass(frozen=True, eq=False)
class StreamFile:
    """What a file says of the newest frame of each of several streams."""

    session: Session
    inputs: Mapping[str, Sequence[int]]
    outputs: Sequence[str]
    consensus: Consensus = "avg"
    """What the scores of a clip are of those of its frames."""

    @property
    def head_name(self) -> str:
        """The label that it predicts."""
        return self.outputs[0]

    @property
    def num_buffers(self) -> int:
        """Tensors that one frame leaves for the next."""
        return len(self.inputs) - 1

    def __call__(self, frame: Tensor, *buffers: Tensor) -> tuple[Tensor, ...]:
        """Logits [b k] of a frame [b c h w], normalised as in training, and the next buffers.

        Args:
            frame: the frame that follows the last one.
            buffers: what the call for the last frame gave behind its logits; none at the start.

        Raises:
            ValueError: a frame of another size than the file is for, or too many buffers, or few.
        """
        wanted = tuple(self.inputs[FRAME])
        if tuple(frame.shape[1:]) != wanted:
            raise ValueError(f"a frame is {tuple(frame.shape[1:])}, the file takes {wanted}")
        if len(buffers) not in (0, self.num_buffers):
            raise ValueError(
                f"got {counted(len(buffers), 'buffer')}, expected {self.num_buffers} or, for the "
                "first frame, none"
            )
        buffers = buffers or self.first_buffers(wanted[1], wanted[2], len(frame))
        found = self.session(dict(zip(self.inputs, (frame, *buffers), strict=True)), self.outputs)
        return tuple(found[name].to(frame.device) for name in self.outputs)

    def first_buffers(self, height: int, width: int, batch: int = 1) -> tuple[Tensor, ...]:
        """The zeros with which streams begin; ValueError of another size than the file is for."""
        frame, *buffers = self.inputs.values()
        if tuple(frame[1:]) != (height, width):
            raise ValueError(
                f"frames are {height} x {width}, the file takes {frame[1]} x {frame[2]}"
            )
        return tuple(torch.zeros(batch, *shape) for shape in buffers)

    def scores(self, clip: Clip) -> Scores:
        """Scores [b k] of clips [b t c h w], of those of their frames, as of the whole clip."""
        kept: Sequence[Tensor] = ()
        logits = []
        for frame in clip.unbind(dim=1):
            of_frame, *kept = self(frame, *kept)
            logits.append(of_frame)
        return {self.head_name: consensus_of(torch.stack(logits, dim=1), self.consensus)}
