"""What the published numbers of LMR were made with, where it is not what the paper says.

The training code (tobyperrett/lmr-release) and the script that explains it differ from each other
too. These are the functions that `LMR(variant="released")` has in place of those in
`marey.longtail.lmr`, and what they do wrong:

* `class_weights`: where d n + eps < 1 the logarithm is negative, and the rarest class gets the
  *smallest* weight. With the hyper-parameters published for EPIC-100 this befalls the verb with one
  clip, and lifts the weight of every frequent class from 0.01 to 0.33. NaN if all counts are equal.
* `attention`: a constant is taken off the masked scores. In a row whose keys are all masked it
  cancels, and the clip is rebuilt from rare classes and itself.
* `own_columns`: the mask of self lies on the oldest batch of the memory bank, so that, once there
  are two, every clip sees itself and has another hidden from it.
* `kept`: only the first rows of a batch are mixed.
"""

from __future__ import annotations

import torch
from torch import Tensor


def class_weights(counts: Tensor, *, l: float, h: float, d: float, eps: float | None) -> Tensor:  # noqa: E741
    """Weights float [k] by equations 1 and 2 to the letter; not a number where they divide by 0.

    >>> class_weights(torch.tensor([1, 10, 100]), l=1.0, h=0.01, d=0.15, eps=None)
    tensor([0.0100, 1.0000, 0.9196])
    """
    if eps is None:
        eps = d * max(5, int(counts.min()))
    t = 1 / (d * counts + eps).log()
    return h + (l - h) * (t - t.min()) / (t.max() - t.min())


def attention(s: Tensor, helps: Tensor, own: Tensor, constant: float = 1000.0) -> Tensor:
    """Weights [n m] from similarities [n m]: softmax after `constant` is taken off what is masked.

    The script that explains the method takes 1e5, which rounds similarities to multiples of 0.008.
    """
    masked = (~helps).expand_as(s).clone()
    masked[torch.arange(len(s), device=s.device), own] = True
    return (s - constant * masked).softmax(dim=1)


def own_columns(num_clips: int, num_keys: int) -> Tensor:  # noqa: ARG001
    """The column int64 [n] that is taken for each clip's own: right only without a bank."""
    return torch.arange(num_clips)


def kept(num_clips: int, mix: float) -> Tensor:
    """The share float [n] of itself that each clip keeps: drawn for the first `mix`, 1 then."""
    share = torch.rand(num_clips)
    share[int(num_clips * mix) :] = 1.0
    return share
