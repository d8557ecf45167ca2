"""A shift that only looks back, run on a stream: one frame in, one prediction out (TSM, section 3).

    frame [b c h w], what the last frame left -> logits [b k], what this frame leaves

Of the input of each shifted block the first C/8 channels are kept for the next frame, and those of
the last frame stand in for them. Fed frame by frame this equals the clip form of the same model,
`TSM(direction="past")`, however long the stream gets.

**Deviates**: the published demo begins with memory as it finds it; a stream begins with zeros here,
as clips do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from marey.errors import counted
from marey.models.sites import Block, Site, TemporalOp
from marey.models.temporal.tsm import TSM, Shift
from marey.models.video_model import ModelSpec, VideoModel


def streaming(model: VideoModel, head: str | None = None) -> StreamingModel:
    """The streaming form of `model`, in evaluation mode; the two share their weights.

    Args:
        model: one whose only temporal op is `TSM(direction="past")`.
        head: the label to predict; it may be left out where there is only one.

    Raises:
        ValueError: the model needs later frames, or has no such head.
    """
    stream = StreamingModel(model.spec, head)
    stream.encoder.load_state_dict(model.encoder.state_dict(), assign=True)
    stream.head.load_state_dict(model.heads[stream.head_name].state_dict(), assign=True)
    return stream.eval()


def why_not_streamed(spec: ModelSpec) -> str:
    """Why a model cannot see each frame of a stream once; empty if it can."""
    op = spec.temporal[0] if len(spec.temporal) == 1 else None
    if not isinstance(op, TSM) or op.direction != "past":
        return (
            f"temporal is {spec.temporal}, expected (TSM(direction='past'),): "
            "anything else needs later frames"
        )
    if spec.neck is not None:
        return f"neck is {spec.neck}, expected none: a stream gives scores a frame"
    if spec.encoder.frames_per_segment != 1:
        return (
            f"{spec.encoder} takes {counted(spec.encoder.frames_per_segment, 'frame')} at once, "
            "expected an encoder of single frames"
        )
    return ""


class StreamingModel(nn.Module):
    """``logits, *buffers = stream(frame, *buffers)``, with no buffers for the first frame."""

    def __init__(self, spec: ModelSpec, head: str | None = None) -> None:
        super().__init__()
        shift = _only_op(spec)
        classes = {head.name: head.num_classes for head in spec.heads}
        self.head_name = head or next(iter(classes))
        if self.head_name not in classes or (head is None and len(classes) > 1):
            raise ValueError(f"head is {head!r}, expected one of {', '.join(classes)}")
        self.spec = spec
        self.memory = _Memory()
        self.encoder = spec.encoder.build((_CarriedShifts(shift, self.memory),), 1)
        self.head = nn.Linear(self.encoder.num_features, classes[self.head_name])
        self.num_buffers = sum(isinstance(m, CarriedShift) for m in self.encoder.modules())

    def forward(self, frame: Tensor, *buffers: Tensor) -> tuple[Tensor, ...]:
        """Logits [b k] of a frame [b c h w], normalised as in training, and the next buffers.

        Args:
            frame: the frame that follows the last one.
            buffers: what the call for the last frame gave behind its logits; none at the start.
        """
        if len(buffers) not in (0, self.num_buffers):
            raise ValueError(
                f"got {len(buffers)} buffers, expected {self.num_buffers} or, for the "
                "first frame, none"
            )
        self.memory.begin(buffers)
        logits: Tensor = self.head(self.encoder(frame.unsqueeze(1)).squeeze(1))
        return logits, *self.memory.take()

    def first_buffers(self, height: int, width: int, batch: int = 1) -> tuple[Tensor, ...]:
        """The zeros with which a stream of frames of this size begins, in the weights' dtype."""
        # a frame of zeros tells the shapes in a tenth of the time that the meta device takes
        frame = self.head.weight.new_zeros(batch, self.spec.encoder.in_channels, height, width)
        was_training = self.training
        with torch.no_grad():
            _, *buffers = self.eval()(frame)
        self.train(was_training)
        return tuple(self.head.weight.new_zeros(buffer.shape) for buffer in buffers)


class CarriedShift(nn.Module):
    """The first `back` channels from the last frame's, which a memory hands on."""

    def __init__(self, back: int, memory: _Memory) -> None:
        super().__init__()
        self.back, self.memory = back, memory

    def forward(self, x: Tensor) -> Tensor:
        """One frame [b c h w], shifted."""
        return torch.cat((self.memory.swap(x[:, : self.back]), x[:, self.back :]), dim=1)

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"back={self.back}"


@dataclass(frozen=True)
class _CarriedShifts(TemporalOp):
    """A `CarriedShift` wherever `op` has a shift."""

    op: TSM
    memory: _Memory

    def sites(self, block: Block) -> Mapping[Site, nn.Module]:
        shifts = self.op.sites(block)
        return {
            site: CarriedShift(shift.back, self.memory)
            for site, shift in shifts.items()
            if isinstance(shift, Shift)
        }


class _Memory:
    """Two queues in the order of the shifts; between frames nothing of them is used."""

    def __init__(self) -> None:
        self.begin(())

    def begin(self, last: Iterable[Tensor]) -> None:
        """A new frame, after one that left `last`; nothing means zeros."""
        self.last = deque(last)
        self.now: list[Tensor] = []

    def swap(self, x: Tensor) -> Tensor:
        """What this shift kept of the last frame, in exchange for `x`."""
        self.now.append(x.clone())  # a view would keep all channels alive
        return self.last.popleft() if self.last else torch.zeros_like(x)

    def take(self) -> list[Tensor]:
        """What all shifts kept of this frame."""
        kept, self.now = self.now, []
        return kept


def _only_op(spec: ModelSpec) -> TSM:
    if reason := why_not_streamed(spec):
        raise ValueError(reason)
    op = spec.temporal[0]
    assert isinstance(op, TSM)
    return op
