"""What we know of a code base whose checkpoints we read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from marey.models.video_model import ModelSpec

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
"""Upstream name -> shape, of a whole state dict, without the ``module.`` of DataParallel."""


@dataclass(frozen=True)
class Told:
    """What a person says of a checkpoint, because its tensors cannot; None is not said."""

    num_segments: int | None = None
    shift_div: int | None = None
    loop: bool | None = None


@dataclass(frozen=True)
class Repository:
    """A code base: how to know its checkpoints, and how to read them.

    `rename` gives our name of one of its tensors or modules, and None for a tensor that is dropped
    on purpose. `spec` is the model that the shapes and the person describe: CheckpointError asks
    for what is still open.
    """

    name: str
    recognises: Callable[[Shapes], bool]
    rename: Callable[[str], str | None]
    spec: Callable[[Shapes, Told], ModelSpec]


def renamed(
    weights: Mapping[str, Tensor], rename: Callable[[str], str | None], ours: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """`weights` under our names, less those dropped on purpose.

    Axes of length 1 that one of the two sides has and the other has not come and go: a 1x1x1
    convolution of theirs may be a 1x1 one of ours. ValueError if two tensors get one name.
    """
    out: dict[str, Tensor] = {}
    for theirs, weight in weights.items():
        name = rename(theirs)
        if name is None:
            continue
        if name in out:
            raise ValueError(f"'{theirs}' and another tensor are both renamed to '{name}'")
        out[name] = _fitted(weight, ours[name].shape) if name in ours else weight
    return out


def _fitted(weight: Tensor, shape: torch.Size) -> Tensor:
    same = [n for n in weight.shape if n != 1] == [n for n in shape if n != 1]
    return weight.reshape(shape) if same else weight
