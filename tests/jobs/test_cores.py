"""How many cores a process has, and how many processes read for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from marey.data.loading.loader import clip_batches
from marey.jobs import cores
from marey.jobs.cores import CORES, MOST_LOADERS, num_cores, num_loaders, own_cores


@pytest.fixture(autouse=True)
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 8 cores without a quota."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "_quota", lambda _: None)


def of_cgroup(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own: str, files: dict[str, str]
) -> int | None:
    """The quota of a process in these cgroups."""
    monkeypatch.undo()
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    real = Path.read_text

    def read(path: Path, **options: str) -> str:
        return own if path == Path("/proc/self/cgroup") else real(path, **options)

    monkeypatch.setattr(Path, "read_text", read)
    return cores._quota(tmp_path)


@pytest.mark.parametrize(
    ("own", "files", "quota"),
    [
        ("0::/\n", {}, None),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),
        ("0::/../../x\n", {"cpu.max": "400000 100000"}, 4),
        (
            "4:cpu,cpuacct:/docker/x\n",
            {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"},
            2,
        ),
        (
            "1:cpu:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"},
            None,
        ),
        ("0::/\n", {"cpu.max": "no number"}, None),
    ],
)
def test_the_quota_of_a_cgroup_and_of_those_it_is_in(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    own: str,
    files: dict[str, str],
    quota: int | None,
) -> None:
    assert of_cgroup(monkeypatch, tmp_path, own, files) == quota


def test_cores_are_those_that_nothing_takes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    assert num_cores({}) == 8
    assert num_cores({CORES: "3"}) == 3
    assert [num_cores({CORES: text}) for text in ("99", "0", "x", "")] == [8] * 4
    monkeypatch.setattr(cores, "_quota", lambda _: 2)
    assert num_cores({}) == 2


@pytest.mark.parametrize(
    ("environ", "num"),
    [
        ({}, 7),
        ({"LOCAL_WORLD_SIZE": "4"}, 2),
        ({"LOCAL_WORLD_SIZE": "16"}, 1),
        ({"LOCAL_WORLD_SIZE": "1", "SLURM_CPUS_PER_TASK": "4"}, 7),
        ({"SLURM_CPUS_PER_TASK": "4"}, 3),
        ({"SLURM_TASKS_PER_NODE": "2(x3),1"}, 3),
        ({"SLURM_TASKS_PER_NODE": "4", "SLURM_STEP_TASKS_PER_NODE": "2"}, 3),
        ({"SLURM_TASKS_PER_NODE": "4", "SLURM_CPUS_ON_NODE": "32"}, 7),  # bound by srun
        ({CORES: "1"}, 1),
    ],
)
def test_processes_share_the_cores_of_their_machine(environ: dict[str, str], num: int) -> None:
    assert num_loaders(None, environ) == num
    assert num_loaders(5, environ) == 5
    assert num_loaders(0, environ) == 0


def test_there_are_never_too_many() -> None:
    assert own_cores(256, {}) == 256
    assert num_loaders(None, {"SLURM_CPUS_PER_TASK": "1"}) == 1
    assert MOST_LOADERS == 16


def test_a_loader_takes_what_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []
    monkeypatch.setattr(
        "marey.data.loading.loader.num_loaders", lambda wanted: asked.append(wanted) or 0
    )
    assert list(clip_batches(None, [], workers=None)) == []  # type: ignore[arg-type]
    assert asked == [None]
