"""The commands in docs/features.md run as written, in order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from marey import load
from marey.engine.train.loop import train
from marey.models import MobileNetV2Spec, RGBDifferenceSpec
from marey.recipes.catalog import find
from marey.recipes.describe import with_some_head
from marey.recipes.recipe import Recipe, TestViews, Views
from marey.video.crops import CenterCrop
from marey.video.sampling.segments import Segments
from tests.test_docs import commands, run
from tests.tiny import tiny_recipe, write_set


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set of clips, a run, weights that pass for ImageNet's, and VideoLT's lists and files."""
    monkeypatch.chdir(tmp_path)
    recipe = tiny_recipe(write_set(tmp_path / "clips", per_class=4, val_per_class=1), epochs=1)
    train(recipe, Path("runs/tsn-r18"), device="cpu", quiet=True)
    torch.save(with_some_head(find("tsn-r18").model).build().encoder.state_dict(), "weights.pt")
    monkeypatch.setattr(
        "marey.engine.inference.extract.starting_weights", lambda _: Path("weights.pt")
    )
    for name in ("features-linear", "features-mlp"):
        monkeypatch.setitem(RECIPES, name, short(find(name)))
    monkeypatch.setattr("marey.recipes.catalog.rows", lambda: RECIPES)
    for name in ("npy", "lists"):
        Path(name).mkdir()
    for number in range(8):
        np.save(f"npy/{number}.npy", np.ones((number % 2 + 2, 5), np.float16) * number)
    np.save("npy/clip.npy", np.ones((3, 5)))
    Path("npy/manifest.csv").write_text("path,label\n0.npy,0\n1.npy,1\n")
    Path("lists/train.lst").write_text("".join(f"{n} {n % 3},3\n{n + 1} {n % 3}\n" for n in (0, 2)))
    Path("lists/validate.lst").write_text("4 0,3\n5 1\n6 2\n")
    Path("lists/count-labels-train.lst").write_text("A 0 2.0\nB 1 0.0\nC 2 2.0\nD 3 2.0\n")
    return tmp_path


SMALL = find("tsn-r18")
FROZEN = find("frozen-mobilenetv2")
VIEWS = TestViews(Segments(2), CenterCrop(32, 36))


def short(recipe: Recipe) -> Recipe:
    return replace(recipe, stages=(replace(recipe.stages[0], epochs=2),), batch_size=2)


RECIPES: dict[str, Recipe] = {
    "tsn-r18": replace(SMALL, test=replace(SMALL.test, crop=CenterCrop(32, 36))),
    "frozen-mobilenetv2": replace(
        short(FROZEN),
        model=replace(
            FROZEN.model, encoder=RGBDifferenceSpec(MobileNetV2Spec(0.25)), num_segments=2
        ),
        train=Views(VIEWS.sampling, VIEWS.crop),
        test=VIEWS,
        weights="",
    ),
}


def test_commands_about_features_run_in_order(folder: Path) -> None:
    found = {}
    for command in commands("features.md"):
        found[command] = run(command)
    assert "mAP" in found["marey eval runs/several"]
    assert "acc/top1" in found["marey eval runs/linear"]
    assert (folder / "longtail.arrow").is_file()
    assert (folder / "packed.arrow").is_file()
    answers = load("runs/several").predict("npy/clip.npy")
    assert {answer["label"] for answer in answers} == set("ABCD")  # type: ignore[index]
