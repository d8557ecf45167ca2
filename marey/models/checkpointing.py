"""Gradient checkpointing (arXiv 1604.06174): less memory in training for a third more time.

What a block computes inside is not kept for the backward pass, but computed again there, from its
input. Losses, gradients and statistics are the same to the bit: random numbers are drawn again as
they were, and batch norms do not count a batch twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TypeAlias

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from marey.models.depth import blocks
from marey.models.encoder import EncoderModule

_Context: TypeAlias = AbstractContextManager[None]


@contextmanager
def checkpointed(encoder: EncoderModule) -> Iterator[None]:
    """Forward passes in the block keep the inputs of the encoder's blocks only."""
    wrapped = blocks(encoder)
    for block in wrapped:
        block.forward = partial(
            checkpoint,
            block.forward,
            use_reentrant=False,
            context_fn=partial(_first_and_again, block),
        )
    try:
        yield
    finally:
        for block in wrapped:
            del block.forward


def _first_and_again(block: nn.Module) -> tuple[_Context, _Context]:
    """In what the block is computed, and in what it is computed again."""
    return nullcontext(), _statistics_kept(block)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Batch norms that train take the statistics of the batch, and remember nothing of it."""
    norms = [m for m in block.modules() if isinstance(m, _BatchNorm) and m.training]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked = norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, (momentum, tracked) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, tracked
