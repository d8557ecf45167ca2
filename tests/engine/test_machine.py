"""The machine is named, and its peak is that of a product of matrices."""

from __future__ import annotations

import torch

from marey.engine.machine import instruction_sets, matmul_flops, processor_name, this_machine


def test_the_machine_says_what_it_is() -> None:
    machine = this_machine()
    assert machine.processor == processor_name() != ""
    assert machine.instruction_sets == instruction_sets() != ()
    assert machine.threads == torch.get_num_threads()
    assert machine.versions["torch"] == torch.__version__


def test_the_peak_is_at_least_that_of_one_product() -> None:
    assert matmul_flops(rounds=1) > 1e8
