"""The last batches a method has seen: first in, first out, kept in checkpoints."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor, nn

Rows = tuple[Tensor, Tensor, Tensor]
"""Features [n d], class indices [n], and the rank [n] of the process that each row comes from."""


class MemoryBank(nn.Module):
    """The rows of the last `size` batches of all processes, oldest batch first.

    Every process holds the rows of all, whether or not it uses them: so the one checkpoint of a run
    has all there is to go on with, and the processes go on as they would have.

    The rows are no buffers, because their number grows from nothing; a state dict has them as the
    bank's extra state.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.batches: deque[Rows] = deque(maxlen=size)

    def append(self, features: Tensor, classes: Tensor, ranks: Tensor) -> None:
        """Add a batch of all processes; the oldest leaves if the bank is full."""
        self.batches.append((features.detach(), classes, ranks.to(classes.device)))

    def rows(self, rank: int | None = None) -> tuple[Tensor, Tensor]:
        """Features [m d] and classes [m], of the process `rank` alone if that is given."""
        device = self.batches[-1][0].device  # a checkpoint is read on the CPU
        features, classes, ranks = (
            torch.cat([part.to(device) for part in parts])
            for parts in zip(*self.batches, strict=True)
        )
        if rank is None:
            return features, classes
        return features[ranks == rank], classes[ranks == rank]

    def get_extra_state(self) -> list[Rows]:
        """What a state dict keeps."""
        return list(self.batches)

    def set_extra_state(self, state: list[Rows]) -> None:
        """Go on from what `get_extra_state` gave, in a bank of the same size."""
        self.batches = deque(state, maxlen=self.batches.maxlen)
