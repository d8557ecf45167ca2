"""A real Ray cluster of two nodes on this machine: the same answers, also when a worker dies."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from marey.data.engines import Ray
from marey.data.parts import Parts, make_parts
from marey.data.workers import Lost
from marey.errors import RunError
from tests.data.test_parts import concatenate, squares, whole


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a cluster of two nodes with one core each."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'marey[ray]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    cluster.add_node(**node)
    yield cluster.address
    cluster.shutdown()


def do(folder: Path, job: str) -> tuple[str, str]:
    """Answer, crash as a decoder may, or take the whole slot away, the first time only."""
    flag = folder / "lost"
    if job == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if job == "lose the slot" and not flag.exists():
        flag.touch()
        _forks, slot, *_ = psutil.Process().parents()
        slot.kill()
        os._exit(0)
    with (folder / "log").open("a") as log:
        log.write(f"{job}\n")
    return job.upper(), str(Path.cwd())


def test_a_cluster_answers_as_processes_do_and_a_dead_slots_job_is_done_again(address, tmp_path):
    jobs = ["a", "b", "lose the slot", "crash", "c", "d"]
    found = dict(Ray(address).answers(partial(do, tmp_path), jobs))
    here = str(Path.cwd())
    assert found == {
        job: Lost("the process that read it died (SIGSEGV)")
        if job == "crash"
        else (job.upper(), here)
        for job in jobs
    }
    assert (tmp_path / "lost").exists()
    assert sorted((tmp_path / "log").read_text().split("\n")) == sorted(
        ["", "a", "b", "c", "d", "lose the slot"]
    )


def test_parts_made_by_a_cluster_are_those_of_one_process(address, tmp_path):
    parts = Parts(tmp_path / "t", 9, 2, "d")
    make, join = partial(squares, tmp_path / "log"), partial(concatenate, parts.target)
    assert make_parts(parts, make, join, engine=Ray(address, num_workers=1))
    assert parts.target.read_bytes() == whole(9)


def test_a_cluster_without_gpus_says_so(address):
    with pytest.raises(RunError, match=r"2 CPUs and 0 GPUs, room for nothing"):
        next(Ray(address, num_gpus=1).answers(str.upper, ["a"]))


def test_without_ray_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RunError, match="pip install 'marey"):
        next(Ray().answers(str.upper, ["a"]))
