"""How much memory tensors take, counted, not sampled: the same on every machine of one device."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from marey.models.profile import TensorCounter


def kept_bytes(forward: Callable[[], object], *models: nn.Module, given: Iterable[Tensor]) -> int:
    """What is still there after `forward`, of which the result is held: saved for backward.

    Args:
        forward: gives what backward starts from.
        models: whose parameters and buffers are not counted.
        given: neither are these, the clips and labels.
    """
    counter = TensorCounter([*_states(models), *given])
    with counter:
        result = forward()
    kept = counter.live
    del result
    return kept


def peak_bytes(call: Callable[[], object], *models: nn.Module, given: Iterable[Tensor]) -> int:
    """The most at one time during `call`; on a GPU what its allocator says, workspaces included."""
    outside = [*_states(models), *given]
    device = next((tensor.device for tensor in outside), torch.device("cpu"))
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    counter = TensorCounter(outside)
    with counter:
        call()
    return counter.peak


def _states(models: Iterable[nn.Module]) -> Iterable[Tensor]:
    for model in models:
        yield from (*model.parameters(), *model.buffers())
