"""A file that a runtime has opened: named tensors in, named tensors out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import torch
from torch import Tensor

from marey.engine.runtimes.program import INPUT
from marey.types import Clip, Scores

Shape: TypeAlias = tuple[int | None, ...]
"""Of an input or output of a graph; None is any number."""
Run: TypeAlias = Callable[[Mapping[str, Tensor], Sequence[str]], Mapping[str, Tensor]]


@dataclass(frozen=True, eq=False)
class Session:
    """What runs a file.

    Args:
        runtime: what computes, by name.
        about: the JSON text that the file carries; empty if it carries none.
        run: the outputs of these names, of inputs by name, all on the CPU.
        inputs, outputs: those that the graph itself has, whatever `about` says of them.
    """

    runtime: str
    about: str
    run: Run
    inputs: Mapping[str, Shape] = field(default_factory=dict)
    outputs: Mapping[str, Shape] = field(default_factory=dict)

    def __call__(self, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """The outputs of these names, on the CPU."""
        given = {name: value.detach().contiguous().cpu() for name, value in inputs.items()}
        with torch.no_grad():
            return dict(self.run(given, outputs))


def clip_scores(session: Session, heads: Sequence[str]) -> Callable[[Clip], Scores]:
    """What gives the scores of clips by a file of them."""
    return lambda clip: session({INPUT: clip}, heads)


def in_batches(session: Session, size: int | None) -> Session:
    """A session of any number of clips or streams, where the file takes `size` at once.

    The last batch is filled up with its last row. As it is where the file takes any.
    """
    if size is None:
        return session

    def run(inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        number = len(next(iter(inputs.values())))
        parts = []
        for start in range(0, number, size):
            rows = torch.arange(start, start + size).clamp(max=number - 1)
            parts.append(session({name: value[rows] for name, value in inputs.items()}, outputs))
        return {name: torch.cat([part[name] for part in parts])[:number] for name in outputs}

    return replace(session, run=run)
