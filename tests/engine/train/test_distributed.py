from __future__ import annotations

import pytest
import torch

from marey.engine.train import distributed
from marey.engine.train.distributed import (
    Ranks,
    ToldError,
    World,
    find_ranks,
    first_host,
    join_world,
)
from marey.errors import MareyError, RunError


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


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"RANK": "abc", "WORLD_SIZE": "2"}, "RANK is 'abc'"),
        ({"RANK": "3", "WORLD_SIZE": "2"}, r"RANK is '3'.*below the number of processes \(2\)"),
        ({"RANK": "-1", "WORLD_SIZE": "2"}, "RANK is '-1'"),
        ({"RANK": "0", "WORLD_SIZE": "0"}, "WORLD_SIZE is '0'.*at least 1"),
        ({"RANK": "0", "WORLD_SIZE": ""}, "WORLD_SIZE is ''"),
        ({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "x"}, "LOCAL_RANK is 'x'"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2(x3)"}, r"SLURM_NTASKS is '2\(x3\)'"),
        ({"SLURM_PROCID": "2", "SLURM_NTASKS": "2"}, "SLURM_PROCID is '2'"),
    ],
)
def test_ranks_that_cannot_be_are_refused(environ: dict[str, str], said: str) -> None:
    with pytest.raises(RunError, match=f"(?s){said}.*unset RANK"):
        find_ranks(environ)


def test_torchrun_inside_slurm_wins() -> None:
    environ = {"RANK": "0", "WORLD_SIZE": "2", "SLURM_PROCID": "1", "SLURM_NTASKS": "2"}
    assert find_ranks(environ).rank == 0


def test_an_empty_node_list_is_an_error() -> None:
    with pytest.raises(RunError, match="names no host"):
        first_host("")


def answers(monkeypatch: pytest.MonkeyPatch, errors: list[MareyError | None]) -> None:
    """Have the processes of a run meet these errors."""

    def gather(into: list[MareyError | None], own: MareyError | None) -> None:
        into[:] = [own if error is None else error for error in errors]

    monkeypatch.setattr("torch.distributed.all_gather_object", gather)


def test_an_error_of_one_process_ends_all_and_the_first_process_says_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full = RunError("disk full", "buy one")
    answers(monkeypatch, [None, full])
    with (
        pytest.raises(RunError, match=r"disk full\. hint: buy one") as told,
        World(0, 2).together(),
    ):
        pass
    assert not isinstance(told.value, ToldError)
    answers(monkeypatch, [full, None])
    with pytest.raises(ToldError, match="disk full"), World(1, 2).together():
        raise RunError("what the others do not see")
    answers(monkeypatch, [None, None])
    with World(1, 2).together():
        pass
    with pytest.raises(RunError, match="alone"), World().together():
        raise RunError("alone")


def test_a_run_says_that_another_process_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("init_process_group", "destroy_process_group"):
        monkeypatch.setattr(f"torch.distributed.{name}", lambda *_, **__: None)
    for name, value in {"RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    gone = RuntimeError("[/x/gloo/transport/tcp/pair.cc:525] Connection closed by peer\nmore")
    with pytest.raises(RunError, match="another process of the run ended: .* by peer"):  # noqa: SIM117
        with join_world("cpu"):
            raise gone
    with pytest.raises(RuntimeError, match="a bug"), join_world("cpu"):
        raise RuntimeError("a bug")


@pytest.mark.parametrize("name", [None, "cuda"])
def test_each_process_computes_on_the_gpu_of_its_number_and_touches_no_other(
    monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    touched: list[object] = []

    def usable(name: str | None) -> torch.device:
        touched.append(name)
        return torch.device(name or "cuda")

    monkeypatch.setattr(distributed, "default_device", lambda: "cuda")
    monkeypatch.setattr(distributed, "usable_device", usable)
    monkeypatch.setattr(torch.cuda, "set_device", touched.append)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with join_world(name) as world:
        assert world.device == torch.device("cuda:2")
    assert touched == ["cuda:2", torch.device("cuda:2")]
