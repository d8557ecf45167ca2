"""Bytes of tensors are counted to the byte, and those from before are not."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.memory import kept_bytes, peak_bytes

X = torch.ones(10, 100)


def test_what_backward_needs_is_kept_and_what_it_does_not_is_not() -> None:
    layer = nn.Linear(100, 50)
    assert kept_bytes(lambda: layer(X).sum(), layer, given=[X]) == 4
    squared = kept_bytes(lambda: (layer(X) ** 2).sum(), layer, given=[X])
    assert squared == 4 + 10 * 50 * 4
    with torch.no_grad():
        assert kept_bytes(lambda: (layer(X) ** 2).sum(), layer, given=[X]) == 4


def test_a_view_of_what_was_there_costs_nothing() -> None:
    assert kept_bytes(lambda: X.view(100, 10), given=[X]) == 0
    assert kept_bytes(lambda: X.view(100, 10), given=[]) == X.nbytes


def test_the_peak_counts_what_lives_at_the_same_time() -> None:
    def twice_then_once() -> torch.Tensor:
        return (X + 1) + (X + 2)

    def in_a_row() -> torch.Tensor:
        return ((X + 1) + 1) + 1

    assert peak_bytes(twice_then_once, given=[X]) == 3 * X.nbytes
    assert peak_bytes(in_a_row, given=[X]) == 2 * X.nbytes
