"""Runs that are stopped, or lose their workers or their clips, while they read; and go on."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

from marey.data.loading import one_batch
from marey.data.loading.clips import ClipDataset, Sample
from marey.data.manifest.read import read_manifest
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.train.bad_clips import BadClips
from marey.engine.train.distributed import World
from marey.engine.train.loop import train
from marey.engine.train.stop_signals import Stopped, stop_signals
from marey.engine.weights.checkpoint import last_checkpoint, load_checkpoint
from marey.errors import RunError
from marey.longtail.framestack import FrameStack
from marey.longtail.objective import LossModule
from marey.recipes.recipe import Recipe
from tests.tiny import tiny_recipe, with_workers, write_set

Key = tuple[int, int | None]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def whole(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing happened to."""
    return train(tiny_recipe(manifest), tmp_path_factory.mktemp("runs") / "whole", quiet=True)


@contextmanager
def reading(act: Callable[[Key], None]) -> Iterator[None]:
    """Whoever reads a clip does `act` first."""
    real = ClipDataset.__getitem__

    def read(self: ClipDataset, key: Key) -> Sample:
        act(key)
        return real(self, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClipDataset, "__getitem__", read)
        yield


@contextmanager
def stopped_when(mark: Path, number: int = signal.SIGTERM) -> Iterator[None]:
    """This process gets a signal when the file `mark` is there."""

    def stop() -> None:
        while not mark.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=stop)
    thread.start()
    yield
    thread.join()


def hang(mark: Path) -> None:
    mark.touch()
    time.sleep(10_000)


def resume(run: Path, recipe: Recipe) -> None:
    train(recipe, run, resume=last_checkpoint(run), quiet=True)


def assert_same(run: Path, whole: Path) -> None:
    """The same bits, and each epoch once."""
    ours, theirs = (load_checkpoint(path / "checkpoints" / "last.pt") for path in (run, whole))
    for name, value in theirs["model"].items():
        assert torch.equal(value, ours["model"][name]), name
    with (run / "metrics.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("when", ["training", "validating"])
def test_a_run_that_waits_for_a_clip_stops_at_once_and_goes_on_to_the_same_bits(
    manifest: Path, tmp_path: Path, whole: Path, workers: int, when: str
) -> None:
    run, recipe = tmp_path / "run", with_workers(tiny_recipe(manifest), workers)

    def act(key: Key) -> None:
        row, seed = key
        if row == 7 and (seed is None) == (when == "validating"):
            hang(tmp_path / "mark")

    with reading(act), stopped_when(tmp_path / "mark"), pytest.raises(Stopped):
        train(recipe, run, quiet=True)
    resume(run, recipe)
    assert_same(run, whole)


def test_the_first_interrupt_is_answered_and_the_second_leaves_what_may_be_left(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with stop_signals() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.asked
        assert capfd.readouterr().err.startswith("\nstopping: what is under way is finished")
        with stop.whole():
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert capfd.readouterr().err == ""


def test_a_step_that_a_second_interrupt_leaves_is_saved_as_not_done(
    manifest: Path, tmp_path: Path
) -> None:
    """The bank of scores that the objective keeps is that of the steps before."""
    recipe = tiny_recipe(manifest)
    stage = replace(recipe.stages[0], objective=FrameStack(warm_epochs=1))
    recipe, run = replace(recipe, stages=(stage,)), tmp_path / "run"
    whole = train(recipe, tmp_path / "whole", quiet=True)
    forward, calls = LossModule.forward, count(1)

    def interrupted(self: LossModule, *batch: Any) -> torch.Tensor:
        loss = forward(self, *batch)
        if next(calls) == 3:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LossModule, "forward", interrupted)
        with pytest.raises(Stopped):
            train(recipe, run, quiet=True)
    assert load_checkpoint(run / "checkpoints" / "last.pt")["progress"]["step"] == 2
    resume(run, recipe)
    assert_same(run, whole)


def test_a_run_whose_worker_was_killed_is_saved(
    manifest: Path, tmp_path: Path, whole: Path
) -> None:
    run, recipe = tmp_path / "run", with_workers(tiny_recipe(manifest), 1)

    def act(key: Key) -> None:
        if key == (7, None):
            os.kill(os.getpid(), signal.SIGKILL)

    with reading(act), pytest.raises(RunError, match="a loader worker was killed"):
        train(recipe, run, quiet=True)
    last = last_checkpoint(run)
    assert last is not None
    assert load_checkpoint(last)["progress"]["step"] == 4  # all of the epoch but its validation
    resume(run, recipe)
    assert_same(run, whole)


def test_a_clip_on_which_a_worker_is_killed_again_is_a_bad_one(
    manifest: Path, tmp_path: Path
) -> None:
    run, recipe = tmp_path / "run", with_workers(tiny_recipe(manifest), 1)
    recipe = replace(recipe, data=replace(recipe.data, bad_clip_budget=0.1))

    def act(key: Key) -> None:
        if key[1] is None:
            (tmp_path / "validated").touch()
        elif key[0] == 7 and (tmp_path / "validated").exists():
            os.kill(os.getpid(), signal.SIGKILL)

    with reading(act):
        with pytest.raises(RunError, match="leave out a clip that is too large"):
            train(recipe, run, quiet=True)
        resume(run, recipe)
    with (run / "bad_clips.csv").open(newline="") as file:
        (bad,) = csv.DictReader(file)
    assert bad["row"] == "7"
    assert bad["reason"] == "a worker was killed while it read it"


def test_clips_that_crash_or_hang_are_bad_ones_in_training_and_missing_in_evaluation(
    manifest: Path, tmp_path: Path
) -> None:
    recipe = with_workers(tiny_recipe(manifest, epochs=1), 2)
    data = replace(recipe.data, bad_clip_budget=0.2, clip_seconds=2.0)

    def act(key: Key) -> None:
        if key[0] == 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        if key[0] == 5:
            hang(tmp_path / "mark")

    with reading(act):
        run = train(replace(recipe, data=data), tmp_path / "run", quiet=True)
        found, _ = evaluate_folder(EvalOptions(folder=run, device="cpu"), tmp_path / "out")
    with (run / "bad_clips.csv").open(newline="") as file:
        bad = {int(row["row"]): row["reason"] for row in csv.DictReader(file)}
    assert found is not None
    for reasons in (bad, found.missing):
        assert sorted(reasons) == [3, 5]
        assert "died (SIGSEGV)" in reasons[3]
        assert "not read after 2 s" in reasons[5]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_whose_clips_were_away_goes_on_when_they_are_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(one_batch, "OUTAGE_SECONDS", 0.2)
    monkeypatch.setattr(one_batch, "POLL_SECONDS", 0.1)
    folder, run = tmp_path / "set", tmp_path / "run"
    recipe = with_workers(tiny_recipe(write_set(folder)), workers)
    seen = tmp_path / "seen"

    def drop(key: Key) -> None:
        with seen.open("a") as file:
            file.write("x")
        if key[1] is not None and seen.stat().st_size > 8 and not (tmp_path / "away").exists():
            folder.rename(tmp_path / "away")
            folder.mkdir()

    with reading(drop), pytest.raises(RunError, match=r"out of reach.*--resume"):
        train(recipe, run, quiet=True)
    assert not (run / "bad_clips.csv").exists()
    assert "clips are out of reach, trying for up to" in (run / "train.log").read_text()
    folder.rmdir()
    shutil.move(tmp_path / "away", folder)
    resume(run, recipe)


def test_clips_listed_before_are_tried_again_and_counted_when_they_fail_again(
    manifest: Path, tmp_path: Path
) -> None:
    clips = read_manifest(manifest)
    (tmp_path / "bad_clips.csv").write_text("row,path,reason\n1,a.mp4,no such file\n2,b.mp4,cut")
    world = World()
    bad = BadClips(tmp_path, clips, budget=1 / len(clips))
    bad.check_all(world)
    bad.add(1, "no such file")
    bad.add(1, "no such file")
    with pytest.raises(RunError, match="2 training clips could not be read, more than the 1"):
        bad.add(3, "torn")
    lines = (tmp_path / "bad_clips.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["row", "1", "2", "3"]
