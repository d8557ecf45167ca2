"""A dry run says what a run would be, and leaves nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.engine.train import dry_run as rehearsal
from marey.engine.train.distributed import join_world
from marey.engine.train.dry_run import dry_run
from marey.engine.train.start import ready
from marey.errors import RunError
from marey.recipes.recipe import Stage, Views
from marey.recipes.suggest import step_bytes
from marey.video.augment import Augment
from marey.video.crops import CenterCrop
from tests.tiny import tiny_recipe, write_set


def test_shapes_steps_parameters_memory_and_time_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(write_set(tmp_path / "clips", per_class=2, val_per_class=1), epochs=3)
    heads = Stage(epochs=5, trainable="heads")
    recipe = replace(recipe, stages=(*recipe.stages, heads))
    monkeypatch.setattr(rehearsal.statistics, "median", lambda _: 2.0)  # seconds a step
    said = list(dry_run(recipe, tmp_path / "run", device="cpu"))
    assert said[:4] == [
        "clips       8 to train on, 4 to validate on",
        "shapes      batches [4, 2, 3, 32, 32], scores of label 4",
        "stage 0     3 epochs of 2 steps of 4 clips; 844 parameters learn, 0 are frozen",
        "stage 1     5 epochs of 2 steps of 4 clips; 36 parameters learn, 808 are frozen",
    ]
    assert said[4].startswith("memory      0 MiB for a step, of ")
    assert said[5].startswith("precision   computed in float32: all steps take less than a minute")
    assert said[6].startswith("time        32 s, by steps of 2 s as measured now")
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]


def test_behind_a_frozen_encoder_memory_is_of_the_clips_that_it_looks_at(tmp_path: Path) -> None:
    recipe = tiny_recipe(write_set(tmp_path / "clips", per_class=2, val_per_class=1))
    plain = Views(recipe.train.sampling, CenterCrop(32, 32))
    heads = (Stage(epochs=5, trainable="heads"),)
    frozen = replace(recipe, stages=heads, train=plain, augment=Augment(flip="none"))
    few, many = [], []
    for batch, lines in ((1024, few), (4096, many)):
        run = replace(frozen, batch_size=batch, accumulate=1)
        with join_world("cpu") as world:
            start = replace(ready(frozen, tmp_path / "run", None, world), recipe=run)
            lines += [rehearsal._memory(start, run.model.clip_shape(32), world)]
    [(taken, what)] = few
    assert what == "to look at 512 clips at once"  # 1,024 frames
    assert many[0][1] == what
    assert many[0][0] == pytest.approx(taken, rel=0.01)
    assert step_bytes(replace(frozen, batch_size=4096), 4096) > 4 * taken


def test_clips_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    recipe = tiny_recipe(write_set(tmp_path, per_class=1, val_per_class=1))
    for clip in tmp_path.glob("*.mp4"):
        clip.write_bytes(b"no video")
    with pytest.raises(RunError, match="no clip of the first batches could be read"):
        list(dry_run(recipe, tmp_path / "run", device="cpu"))


def test_a_run_that_goes_on_has_none(tmp_path: Path) -> None:
    words = ["train", "--resume", "--work-dir", str(tmp_path), "--dry-run"]
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert "--dry-run is of a run that is to begin: leave --resume out" in done.output
