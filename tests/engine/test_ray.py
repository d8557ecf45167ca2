"""A real Ray cluster of two nodes on this machine: the same bytes, also when a worker dies."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from marey.data.engines import Ray
from marey.data.workers import Lost
from marey.engine.evaluate_folder import Test, evaluate_test
from marey.engine.predict_clips import Asked, predict_clips
from marey.engine.train import train
from marey.errors import RunError
from tests.tiny import tiny_recipe, write_set


@contextmanager
def cluster() -> Iterator[str]:
    """The address of a cluster of two nodes with one core each."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args=node)
    try:
        nodes.add_node(**node)
        yield nodes.address
    finally:
        nodes.shutdown()


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


# One test, for one cluster: starting one takes longer than all that it is asked.
def test_a_cluster_gives_the_bytes_of_one_process_and_a_dead_slots_job_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'marey[ray]'")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setattr("marey.engine.score_parts.PART_ROWS", 3)
    manifest = write_set(tmp_path / "clips", per_class=1)
    run = train(tiny_recipe(manifest, epochs=1), tmp_path / "run", quiet=True)
    test = Test(run, manifest, "val", None, (), 0, 3, "cpu")
    evaluate_test(test, tmp_path / "here")
    asked = Asked(run, str(manifest), workers=0, batch_size=3)
    predict_clips(asked, tmp_path / "here" / "predicted.parquet")
    with cluster() as address:
        answers_are_those_of_processes(Ray(address), tmp_path)
        engine = Ray(address, num_workers=1)
        evaluate_test(test, tmp_path / "there", engine=engine)
        predict_clips(asked, tmp_path / "there" / "predicted.parquet", engine=engine)
        with pytest.raises(RunError, match="2 CPUs and 0 GPUs, room for nothing"):
            next(Ray(address, num_gpus=1).answers(str.upper, ["a"]))
    for name in ("predictions.parquet", "results.json", "predicted.parquet"):
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def answers_are_those_of_processes(engine: Ray, folder: Path) -> None:
    jobs = ["a", "b", "lose the slot", "crash", "c", "d"]
    found = dict(engine.answers(partial(do, folder), jobs))
    expected = {job: (job.upper(), str(Path.cwd())) for job in jobs}
    assert found == expected | {"crash": Lost("the process that read it died (SIGSEGV)")}
    assert (folder / "lost").exists()
    done = (folder / "log").read_text().splitlines()
    assert sorted(done) == ["a", "b", "c", "d", "lose the slot"]


def test_without_ray_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RunError, match="pip install 'marey"):
        next(Ray().answers(str.upper, ["a"]))
