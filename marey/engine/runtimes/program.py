"""A model as a program of torch.export, from which files for other runtimes are written.

    of clips      clip [n t c h w]                        -> logits [n k] of each head, by its name
    of a stream   frame [n c h w], past_0, past_1, ...    -> logits [n k], next_0, next_1, ...

All are float32, normalised as in training. n is any number or, where a program is of a fixed
batch, that one. What a frame leaves, next_i, goes in as past_i with the next frame; a stream begins
with zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from marey.errors import RunError, cut_short
from marey.models.stream import StreamingModel
from marey.models.video_model import VideoModel
from marey.types import Clip

if TYPE_CHECKING:
    from torch.export import ExportedProgram

INPUT = "clip"
FRAME = "frame"
MOST_BYTES = 2**31 - 1
"""Of the weights of a program: what a message of protobuf holds at most."""


@dataclass(frozen=True, eq=False)
class Program:
    """What torch traced, and its inputs and outputs in order."""

    traced: ExportedProgram
    inputs: Mapping[str, tuple[int, ...]]
    """Name -> shape of what belongs to one clip, or one stream."""
    outputs: tuple[str, ...]
    batch: int | None
    """The only number of them that it takes at once; None for any."""
    dynamic_shapes: Any
    """As torch.export took them."""


def clip_program(model: VideoModel, clip_shape: Sequence[int], batch: int | None = None) -> Program:
    """The program of `model`, in evaluation mode, for clips of `clip_shape`, (t, c, h, w).

    RunError if it cannot be traced, or takes features. `batch` is the only number of clips that it
    will take; by default it takes any.
    """
    if model.spec.takes_features:
        raise RunError(
            "the model takes features of another, and no frames", "join them: marey join"
        )
    heads = tuple(head.name for head in model.spec.heads)
    example = next(model.parameters()).new_zeros(batch or 2, *clip_shape)
    traced, shapes = _traced(_InOrder(model, heads), (example,), batch, "clips")
    return Program(traced, {INPUT: tuple(clip_shape)}, heads, batch, shapes)


def stream_program(
    stream: StreamingModel, frame_shape: Sequence[int], batch: int | None = None
) -> Program:
    """The program of `stream` for frames of `frame_shape`, (c, h, w), and its buffers.

    RunError if it cannot be traced. `batch` is the only number of streams that it will take at
    once; by default it takes any.
    """
    _, height, width = frame_shape
    buffers = stream.first_buffers(height, width, batch or 2)
    example = buffers[0].new_zeros(batch or 2, *frame_shape)
    traced, shapes = _traced(_OneByOne(stream), (example, *buffers), batch, "streams")
    past = {f"past_{i}": tuple(each.shape[1:]) for i, each in enumerate(buffers)}
    outputs = (stream.head_name, *(f"next_{i}" for i in range(len(buffers))))
    return Program(traced, {FRAME: tuple(frame_shape)} | past, outputs, batch, shapes)


class _InOrder(nn.Module):
    """The scores of a model in the order of its heads, as graphs have outputs."""

    def __init__(self, model: VideoModel, heads: Sequence[str]) -> None:
        super().__init__()
        self.model, self.heads = model, tuple(heads)

    def forward(self, clip: Clip) -> tuple[Tensor, ...]:
        scores = self.model(clip)
        return tuple(scores[head] for head in self.heads)


class _OneByOne(nn.Module):
    """A stream whose arguments are all named alike, as torch.export wants them."""

    def __init__(self, stream: StreamingModel) -> None:
        super().__init__()
        self.stream = stream

    def forward(self, *frame_and_buffers: Tensor) -> tuple[Tensor, ...]:
        frame, *buffers = frame_and_buffers
        return tuple(self.stream(frame, *buffers))


def _traced(
    module: nn.Module, example: tuple[Tensor, ...], batch: int | None, name: str
) -> tuple[ExportedProgram, Any]:
    """The traced module; its example is of two, as a size of 1 would be taken for a constant."""
    size = sum(each.nbytes for each in (*module.parameters(), *module.buffers()))
    if size > MOST_BYTES:
        raise RunError(
            f"the weights are {size / 2**30:.1f} GiB, and files for other runtimes hold 2"
        )
    one = None if batch else {0: torch.export.Dim(name)}
    shapes = tuple(one for _ in example)
    arguments = shapes if isinstance(module, _InOrder) else (shapes,)
    with _untraceable(), torch.no_grad():
        traced = torch.export.export(module.eval(), example, dynamic_shapes=arguments)
    _forget_places(traced)
    return traced, arguments


def _forget_places(traced: ExportedProgram) -> None:
    """Of every operation torch notes the files and lines it comes from, by their paths here.

    Files are given away, and these paths name the folders of who made them.
    """
    for graph in traced.graph_module.modules():
        for node in graph.graph.nodes if isinstance(graph, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)


@contextmanager
def _untraceable() -> Iterator[None]:
    """What torch raises of a model that it cannot trace becomes a RunError, with its first line."""
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except (TorchDynamoException, RuntimeError, ValueError, TypeError, AttributeError) as error:
        first = next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)
        raise RunError(
            f"torch cannot make a program of this model: {cut_short(first, 200)}"
        ) from error
