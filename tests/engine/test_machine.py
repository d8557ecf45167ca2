"""The machine is named, and its peak is that of a product of matrices."""

from __future__ import annotations

import pytest
import torch

from marey.engine import machine
from marey.engine.machine import instruction_sets, matmul_flops, processor_name, this_machine


def test_the_machine_says_what_it_is() -> None:
    this = this_machine()
    assert this.processor == processor_name() != ""
    assert this.instruction_sets == instruction_sets() != ()
    assert this.threads == torch.get_num_threads()
    assert this.versions["torch"] == torch.__version__


def test_the_peak_is_at_least_that_of_one_product() -> None:
    assert matmul_flops(rounds=1) > 1e8


@pytest.mark.parametrize(("seconds", "calls", "fastest"), [(0.1, 24, 1536), (2.0, 3, 768)])
def test_a_processor_that_is_slow_at_a_type_multiplies_a_few_small_matrices(
    monkeypatch: pytest.MonkeyPatch, seconds: float, calls: int, fastest: int
) -> None:
    took: list[float] = []

    def seconds_of(call: object, device: str) -> tuple[float, float]:
        took.append(seconds)
        return 9.0, seconds

    monkeypatch.setattr(machine, "seconds_of", seconds_of)
    assert matmul_flops() == 2 * fastest**3 / seconds
    assert len(took) == calls
