"""A real Ray cluster of two nodes on this machine: the same bytes, also when a worker dies."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from marey.data.checks.check import check_manifest
from marey.data.datasets.catalog import find_dataset
from marey.data.manifest.read import read_manifest
from marey.data.packs.forms import JpegPacks, Mp4Files
from marey.data.packs.pack_clips import pack_clips
from marey.data.prepare.prepare import MediaFolder, prepare
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.inference.extract import FeatureOptions, extract_features
from marey.engine.inference.predict_many import PredictOptions, predict_clips
from marey.engine.train.loop import train
from marey.errors import RunError
from marey.jobs.executors import HERE, Executor, Ray
from marey.jobs.processes import Lost
from marey.video.reading.pixels import ShortSide
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
@pytest.mark.timeout(1800)
def test_a_cluster_gives_the_bytes_of_one_process_and_a_dead_slots_job_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'marey[ray]'")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setattr("marey.engine.inference.jobs.PART_ROWS", 3)
    manifest = write_set(tmp_path / "clips", per_class=1)
    run = train(tiny_recipe(manifest, epochs=1), tmp_path / "run", quiet=True)
    gestures = write_gestures(tmp_path / "gestures", manifest.parent)
    do_everything(run, manifest, gestures, tmp_path / "here", HERE)
    with cluster() as address:
        answers_are_those_of_processes(Ray(address), tmp_path)
        with pytest.raises(RunError, match="2 CPUs and 0 GPUs, room for nothing"):
            next(Ray(address, num_gpus=1).answers(str.upper, ["a"]))
        do_everything(run, manifest, gestures, tmp_path / "there", Ray(address, num_workers=1))
    here, there = files_below(tmp_path / "here"), files_below(tmp_path / "there")
    assert {"predictions.parquet", "features.arrow", "JpegPacks/packs/00003.tar"} <= here.keys()
    assert here == there


def do_everything(run: Path, manifest: Path, gestures: Path, out: Path, executor: Executor) -> None:
    """All that may be done at scale, each with a file or a folder in `out`."""
    test = EvalOptions(folder=run, manifest=manifest, workers=0, batch_size=3)
    evaluate_folder(test, out, executor=executor)
    many = PredictOptions(model=run, source=str(manifest), workers=0, batch_size=3)
    predict_clips(many, out / "predicted.parquet", executor=executor)
    features = FeatureOptions(
        source=str(run), manifest=manifest, out=out / "features.arrow", workers=0, batch_size=3
    )
    extract_features(features, executor=executor)
    clips = read_manifest(manifest)
    check_manifest(clips, out / "check.csv", executor=executor)
    for form in (JpegPacks(ShortSide(32), part_size=3), Mp4Files(ShortSide(32), part_size=3)):
        pack_clips(clips, out / type(form).__name__, form, executor=executor)
    prepare(find_dataset("jester"), MediaFolder(gestures, executor=executor), out / "prepared")


def write_gestures(root: Path, videos: Path) -> Path:
    """Jester, of two clips."""
    (root / "20bn-jester-v1").mkdir(parents=True)
    for number, video in enumerate(sorted(videos.glob("*.mp4"))[:2], start=1):
        shutil.copy(video, root / "20bn-jester-v1" / f"{number}.mp4")
    (root / "jester-v1-labels.csv").write_text("\n".join(f"Gesture {i}" for i in range(27)))
    (root / "jester-v1-train.csv").write_text("1;Gesture 0\n")
    (root / "jester-v1-validation.csv").write_text("2;Gesture 1\n")
    return root


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file that is not hidden, by its name from `folder`."""
    files = (path for path in sorted(folder.rglob("[!.]*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def answers_are_those_of_processes(executor: Ray, folder: Path) -> None:
    jobs = ["a", "b", "lose the slot", "crash", "c", "d"]
    found = dict(executor.answers(partial(do, folder), jobs, timeout_seconds=400))
    expected = {job: (job.upper(), str(Path.cwd())) for job in jobs}
    assert found == expected | {"crash": Lost("the process that read it died (SIGSEGV)")}
    assert (folder / "lost").exists()
    done = (folder / "log").read_text().splitlines()
    assert sorted(done) == ["a", "b", "c", "d", "lose the slot"]


def test_without_ray_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RunError, match="pip install 'marey"):
        next(Ray().answers(str.upper, ["a"]))
