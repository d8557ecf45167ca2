"""The batches of all processes as one: their rows side by side, with gradients to every process.

A process' part of a joint loss depends on features of the others. So the gradient of a gathered row
is summed over the processes on its way back; with DistributedDataParallel's mean over processes,
the gradients are those of one process that has the joint batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class JointRows:
    """How many rows each process brings to a step (a clip that cannot be read is left out)."""

    sizes: tuple[int, ...]
    rank: int = 0

    @classmethod
    def around(cls, x: Tensor) -> JointRows:
        """The rows that `x` [n ...] has in each process; every process must call it."""
        if not dist.is_available() or not dist.is_initialized():
            return cls((len(x),))
        size = torch.tensor([len(x)], device=x.device)
        sizes = [torch.empty_like(size) for _ in range(dist.get_world_size())]
        dist.all_gather(sizes, size)
        return cls(tuple(int(size) for size in sizes), dist.get_rank())

    @property
    def own(self) -> slice:
        """Which of the joint rows are this process'."""
        stop = list(accumulate(self.sizes))[self.rank]
        return slice(stop - self.sizes[self.rank], stop)

    def ranks(self) -> Tensor:
        """The rank int64 [m] that each of the joint rows comes from."""
        return torch.arange(len(self.sizes)).repeat_interleave(torch.tensor(self.sizes))

    def gather(self, x: Tensor) -> Tensor:
        """The rows [m ...] of all processes, in the order of their ranks."""
        if len(self.sizes) == 1:
            return x
        joint: Tensor = _Gather.apply(x, self)  # type: ignore[no-untyped-call]
        return joint

    def agree(self, drawn: Tensor) -> Tensor:
        """The random numbers of the first process, on all of them."""
        if len(self.sizes) > 1:
            dist.broadcast(drawn, src=0)
        return drawn


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: JointRows) -> Tensor:
        ctx.rows = rows
        padded = x.new_zeros(max(rows.sizes), *x.shape[1:])  # all must send as much
        padded[: len(x)] = x
        parts = [torch.empty_like(padded) for _ in rows.sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, rows.sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        total = grad.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[ctx.rows.own], None
