"""Precise batch norm: the statistics of the weights as they are, not of those they were.

Wu and Johnson, "Rethinking 'Batch' in BatchNorm" (arXiv 2105.07576, section 3). While a network
learns, its running statistics are moving averages over weights that have changed since. Here a
trained network sees `Recipe.precise_bn` batches more, normalised by their own statistics as in
training, and takes those of all their values together, as fvcore's `update_bn_stats` does:

    mean = sum n_i m_i / sum n_i;   var = sum n_i (v_i + m_i^2) / sum n_i - mean^2

with n_i values in batch i, of mean m_i and variance v_i. Of several processes the sums are over all
(fvcore leaves each with its own).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor, nn

from marey.models.layers import norms_that_learn
from marey.models.video_model import VideoModel
from marey.types import Clip


class NormSums:
    """Of a norm over many batches: the number of values a channel, their sum, and of squares."""

    def __init__(self, num_channels: int) -> None:
        self.count = 0
        self.total, self.squares = torch.zeros(2, num_channels, dtype=torch.float64)

    def add(self, x: Tensor) -> None:
        """Take note of what the norm is given: [n c ...]."""
        others = [axis for axis in range(x.ndim) if axis != 1]
        var, mean = torch.var_mean(x.detach().float(), others, correction=0)
        mean, var, number = mean.double().cpu(), var.double().cpu(), x.numel() // x.shape[1]
        self.count += number
        self.total += number * mean
        self.squares += number * (var + mean**2)


@torch.no_grad()
def measured(model: VideoModel, clips: Iterable[Clip]) -> list[NormSums]:
    """What each of `norms_that_learn` is given of these clips; the model stays as it is.

    The model is in training mode; each item of `clips` is a batch.
    """
    copy = deepcopy(model)  # whose moving averages may move
    sums = []
    for norm in norms_that_learn(copy):
        sums.append(NormSums(norm.num_features))
        norm.register_forward_pre_hook(partial(_see, sums[-1]))
    for clip in clips:
        copy.features(clip)
    return sums


def _see(sums: NormSums, _: nn.Module, given: tuple[Tensor]) -> None:
    sums.add(given[0])


@torch.no_grad()
def take(model: nn.Module, of_processes: Sequence[Sequence[NormSums]]) -> None:
    """Give the norms of `model` the statistics of what all processes have `measured`."""
    for norm, *sums in zip(norms_that_learn(model), *of_processes, strict=True):
        count = sum(each.count for each in sums)
        if not count:
            continue
        mean = torch.stack([each.total for each in sums]).sum(dim=0) / count
        var = torch.stack([each.squares for each in sums]).sum(dim=0) / count - mean**2
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var.clamp_(min=0))
