"""What several processes agree on: measured norms, rates that follow validation, the last step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from marey.data.loading.repeated import Repeated
from marey.engine.weights.checkpoint import load_checkpoint
from marey.models import ResNetSpec
from marey.recipes.optim import SGD, Plateau
from marey.recipes.schema import to_yaml
from tests.engine.train.test_train import epochs_of, with_stage
from tests.tiny import tiny_recipe, write_set
from tests.two_processes import printed_by, start_one, start_two

WORKER = """
import sys
from pathlib import Path
from marey.engine.train.loop import train
from marey.recipes.recipe import Recipe
from marey.recipes.schema import from_yaml, override
recipe, batch, out = sys.argv[1:]
recipe = from_yaml(Recipe, Path(recipe).read_text())
train(override(recipe, [f"batch_size={batch}"]), Path(out), quiet=True)
"""


@pytest.mark.timeout(1800)
def test_two_processes_come_to_what_one_with_the_joint_batch_comes_to(tmp_path: Path) -> None:
    recipe = tiny_recipe(write_set(tmp_path / "clips", val_per_class=1), epochs=9)
    recipe = with_stage(
        recipe,
        max_steps=6,  # at a rate of 0: norms see the same of the same clips
        optim=SGD(lr=0.0, groups="plain", head_lr5=False),
        schedule=Plateau(patience=0, metric="acc/top1"),
        sampler=Repeated(2),
    )
    model = replace(recipe.model, encoder=ResNetSpec(18, channels=2))
    (tmp_path / "recipe.yaml").write_text(to_yaml(replace(recipe, model=model, precise_bn=3)))
    two, one = tmp_path / "two", tmp_path / "one"
    printed_by(start_two(WORKER, tmp_path / "recipe.yaml", 2, two))
    printed_by([start_one(WORKER, tmp_path / "recipe.yaml", 4, one)])
    ours, theirs = (load_checkpoint(run / "checkpoints" / "last.pt") for run in (one, two))
    for name in ("running_mean", "running_var"):  # of the first norm: others see local ones before
        key = f"encoder.bn1.{name}"
        torch.testing.assert_close(ours["model"][key], theirs["model"][key])
    assert len(ours["progress"]["measured"]) == len(theirs["progress"]["measured"]) == 2
    assert [row["step"] for row in epochs_of(two)] == ["4", "6"]
