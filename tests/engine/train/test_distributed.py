from __future__ import annotations

import pytest

from marey.engine.train.distributed import Ranks, find_ranks, first_host
from marey.errors import RunError


def test_an_empty_environment_is_one_process() -> None:
    assert find_ranks({}) == Ranks()


def test_torchrun_is_found() -> None:
    environ = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}
    assert find_ranks(environ) == Ranks(rank=3, size=4, local=1)


def test_slurm_is_found_only_with_several_tasks() -> None:
    environ = {"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}
    assert find_ranks(environ) == Ranks()
    two = {"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_JOB_NODELIST": "n1"}
    assert find_ranks(two) == Ranks(rank=1, size=2, master="n1", port=20000)


def test_torchrun_inside_slurm_wins() -> None:
    environ = {"RANK": "0", "WORLD_SIZE": "2", "SLURM_PROCID": "1", "SLURM_NTASKS": "2"}
    assert find_ranks(environ).rank == 0


def test_an_empty_node_list_is_an_error() -> None:
    with pytest.raises(RunError, match="names no host"):
        first_host("")
