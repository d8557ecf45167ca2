"""A run on two lists of clips, one of them in a store, mixed by weights and told apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.engine.weights.origin import read_run_recipe
from tests.store import serving
from tests.tiny import write_set

SMALL = (
    "model.num_segments=2",
    "train.sampling.num_segments=2",
    "test.sampling.num_segments=2",
    "train.crop.size=32",
    "test.crop.size=32",
    "test.crop.resize=36",
    "data.workers=0",
    "stages.0.epochs=1",
    "batch_size=4",
)


def marey(*words: object) -> str:
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exit_code == 0, f"{result.output} {result.exception!r}"
    return result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lists")
    for name in ("real", "made"):
        manifest = write_set(folder / name, per_class=2, val_per_class=1)
        manifest.rename(manifest.with_name(f"{name}.csv"))
    return folder


def test_two_lists_train_one_model_by_weights_and_are_evaluated_apart(folder, tmp_path):
    with serving(folder) as store:
        lists = ("--manifest", folder / "real/real.csv", "--manifest", f"{store.url}/made/made.csv")
        mix = "stages.0.sampler={Mixed: {sources: [[real, 1], [made, 0.5]]}}"
        marey("train", "tsm-r18", *SMALL, mix, *lists, "--work-dir", tmp_path / "run")
        assert read_run_recipe(tmp_path / "run").data.more == (f"{store.url}/made/made.csv",)
        assert sum("/made/" in asked and ".mp4" in asked for asked in store.asked) > 4
        output = marey("eval", tmp_path / "run")
    assert "real, 4 clips" in output
    assert "made, 4 clips" in output
    results = json.loads((tmp_path / "run/results/val/results.json").read_text())
    by_source = results["metrics_by_source"]
    assert {name: found["num_clips"] for name, found in by_source.items()} == {"real": 4, "made": 4}
    mean = sum(found["acc/top1"] for found in by_source.values()) / 2
    assert results["metrics"]["acc/top1"] == pytest.approx(mean)


def test_weights_and_roots_for_sources_that_are_not_there_end_before_training(folder, tmp_path):
    words = ("train", "tsm-r18", *SMALL, "--manifest", folder / "real/real.csv")
    for more, said in (
        (["stages.0.sampler={Mixed: {sources: [[real, 1]]}}"], "Mixed needs a manifest with a col"),
        (["data.roots=[[real, /x]]"], "roots by source need a column 'source'"),
    ):
        result = CliRunner().invoke(app, [*map(str, words), *more, "--work-dir", str(tmp_path)])
        assert result.exit_code != 0
        assert said in f"{result.output} {result.exception}"
