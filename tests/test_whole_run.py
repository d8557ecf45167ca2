"""The whole walk through the command line, killed on the way and resumed."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from marey.engine.weights.checkpoint import load_checkpoint
from tests.fresh import Process
from tests.tiny import write_set

EPOCHS, STEPS = 8, 8 * 4
SMALL = (
    "model.encoder.channels=8",
    "model.num_segments=2",
    "train.sampling.num_segments=2",
    "test.sampling.num_segments=2",
    "train.crop.size=32",
    "test.crop.size=32",
    "test.crop.resize=36",
    f"stages.0.epochs={EPOCHS}",
    "batch_size=4",
    "data.workers=1",
)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("clips"))


def marey(*words: object) -> Process:
    return Process("-m", "marey", *words, start_new_session=True)  # a kill reaches its workers too


def finish(process: Process) -> None:
    output = process.communicate()
    assert process.returncode == 0, output


def start(manifest: Path, run: Path, *more: str) -> Process:
    words = ("--manifest", manifest, "--work-dir", run, "--save-steps", "2")
    return marey("train", "tsm-r18", *SMALL, *words, *more)


def wait_for_step(process: Process, run: Path, step: int) -> None:
    for _ in range(12000):
        if steps_of(run) >= step:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError(f"step {step} never came")


def steps_of(run: Path) -> int:
    path = run / "log.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return sum('"kind": "step"' in line for line in lines)


def same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, Sequence) and isinstance(b, Sequence) and not isinstance(a, str):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_run_killed_three_times_ends_with_the_same_bits(manifest: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start(manifest, whole))
    moments = sorted(random.sample(range(2, STEPS // 2), 3))
    print("killed at steps", moments)  # shown when the test fails
    for number, moment in enumerate(moments):
        process = start(manifest, killed, *(["--resume"] if number else []))
        wait_for_step(process, killed, moment)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    finish(start(manifest, killed, "--resume"))
    a, b = (load_checkpoint(run / "checkpoints" / "last.pt") for run in (whole, killed))
    assert a["progress"]["global_step"] == STEPS
    for part in ("model", "optimizer", "progress"):
        assert same(a[part], b[part]), part
    rows = [json.loads(line) for line in (killed / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["kind"] == "step"] == list(range(1, STEPS + 1))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ctrl_c_leaves_a_run_that_goes_on(manifest: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(manifest, run)
    wait_for_step(process, run, 3)
    os.killpg(process.pid, signal.SIGINT)
    output = "".join(process.communicate())
    assert process.returncode == 130, output
    assert "--resume" in output
    assert "Traceback" not in output
    stopped_at = load_checkpoint(run / "checkpoints" / "last.pt")["progress"]["global_step"]
    assert 3 <= stopped_at < STEPS
    finish(marey("train", "--resume", "--work-dir", run))
    assert steps_of(run) == STEPS
