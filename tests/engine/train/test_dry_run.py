"""A dry run says what a run would be, and leaves nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from marey.engine.train import dry_run as rehearsal
from marey.engine.train.dry_run import dry_run
from marey.errors import RunError
from marey.recipes.recipe import Stage
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


def test_clips_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    recipe = tiny_recipe(write_set(tmp_path, per_class=1, val_per_class=1))
    for clip in tmp_path.glob("*.mp4"):
        clip.write_bytes(b"no video")
    with pytest.raises(RunError, match="no clip of the first batches could be read"):
        list(dry_run(recipe, tmp_path / "run", device="cpu"))
