"""What LMR rebuilds rare classes from is found in a trained run, and shown in its report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from marey.cli.app import app
from marey.engine.inference.reconstruction import class_weights_of_clips, reconstruct_folder
from marey.engine.report.report import write_report
from marey.engine.train.loop import train
from marey.errors import RunError
from marey.longtail.lmr import LMR, contributions
from marey.recipes.recipe import Recipe
from tests.tiny import tiny_recipe, write_set


def with_lmr(recipe: Recipe, **options: object) -> Recipe:
    stages = tuple(replace(s, objective=LMR(bank=2, **options)) for s in recipe.stages)  # type: ignore[arg-type]
    return replace(recipe, stages=stages)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LMR on 4, 4, 4 and 2 clips of the classes; the last, blue, is few-shot."""
    folder = tmp_path_factory.mktemp("lmr")
    manifest = write_set(folder / "clips", per_class=4, val_per_class=1)
    lines = manifest.read_text().splitlines()
    gone = ("blue_2", "blue_3")
    manifest.write_text("\n".join(line for line in lines if not line.startswith(gone)) + "\n")
    recipe = with_lmr(tiny_recipe(manifest, epochs=1), few=3)
    return train(recipe, folder / "run", quiet=True)


def test_the_command_writes_it_and_the_report_shows_strips_of_frames(run: Path) -> None:
    words = ["eval", str(run), "-j", "0", "--reconstruction"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    facts = json.loads((run / "reconstruction.json").read_text())
    assert (facts["head"], facts["few_clips"]) == ("label", 3)
    (blue,) = facts["classes"]
    assert (blue["name"], blue["training_clips"]) == ("blue", 2)
    assert {source["name"] for source in blue["sources"]} == {"dark", "red", "green"}
    assert sum(source["share"] for source in blue["sources"]) == pytest.approx(1, abs=1e-4)
    assert sum(source["times_even"] for source in blue["sources"]) == pytest.approx(3, abs=1e-2)
    page = ElementTree.fromstring(write_report(run).read_text(encoding="utf-8"))
    (part,) = [s for s in page.iter("section") if "rebuilt from" in (s[0].text or "")]
    assert len(list(part.iter("img"))) == 4
    first = blue["sources"][0]
    assert f"{first['times_even']:.2f} times, 4 training clips" in "".join(part.itertext())


@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_the_weights_are_those_of_lmr(scale: float) -> None:
    rng = np.random.default_rng(0)
    x, labels = torch.randn(30, 8), rng.integers(0, 5, 30)
    is_few = np.array([False, True, False, True, False])
    wanted = contributions(x, torch.from_numpy(labels), torch.from_numpy(is_few), scale=scale)
    spec = LMR(scale=scale)
    for label, weights in class_weights_of_clips(spec, x, labels, is_few, None).items():
        share = np.bincount(labels, weights=weights, minlength=5)
        np.testing.assert_allclose(share, wanted[label].numpy(), atol=1e-6)
        assert share[is_few].sum() == 0


def test_a_run_without_lmr_has_nothing_rebuilt(run: Path, tmp_path: Path) -> None:
    manifest = run.parent / "clips" / "manifest.csv"
    other = train(tiny_recipe(manifest, epochs=1), tmp_path / "run", quiet=True)
    with pytest.raises(RunError, match="was not trained with LMR"):
        reconstruct_folder(other)


def test_without_few_shot_classes_there_is_nothing_to_rebuild(run: Path, tmp_path: Path) -> None:
    names = (run / "labels.txt").read_text().split()
    clips = run.parent / "clips"
    rows = [f"{clips}/{name}_{i}.mp4,{k}" for k, name in enumerate(names) for i in range(4)]
    (tmp_path / "all.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    with pytest.raises(RunError, match="of 4 classes 0 with at most 3 clips"):
        reconstruct_folder(run, train_manifest=tmp_path / "all.csv", workers=0)
