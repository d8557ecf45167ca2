"""docs/longtail-methods.md: its tables are whole and its overrides, commands and code are true."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.data.loading.samplers import Sampler
from marey.longtail.objective import Objective
from marey.recipes.catalog import find
from marey.recipes.longtail import CHANGES
from marey.recipes.names import classes_for
from marey.recipes.recipe import Recipe
from marey.recipes.schema import from_yaml, override, to_yaml
from tests.test_docs import DOCS, commands

TEXT = (DOCS / "longtail-methods.md").read_text(encoding="utf-8")
CELLS = re.findall(r"^\|.*\| `(.+)` \|$", TEXT, re.MULTILINE)
OVERRIDES = [cell for cell in CELLS if "=" in cell]
RECIPES = [cell for cell in CELLS if "=" not in cell]


@pytest.mark.parametrize("assignment", OVERRIDES)
def test_an_override_of_the_tables_changes_a_recipe_that_survives_yaml(assignment: str) -> None:
    changed = override(find("tsm-r18+crt"), [assignment])
    assert from_yaml(Recipe, to_yaml(changed)) == changed


def test_the_tables_have_every_objective_sampler_and_second_stage() -> None:
    shown = " ".join(OVERRIDES)
    for name in (*classes_for(Objective), *classes_for(Sampler)):
        assert re.search(rf"=\{{?{name}\b", shown), name
    assert [f"tsm-r18+{word}" for word in CHANGES] == RECIPES
    assert [find(name).name for name in RECIPES] == RECIPES


def test_the_training_commands_mean_what_is_said_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked: list[tuple[Recipe, Path]] = []
    monkeypatch.setattr(
        "marey.engine.train.loop.train", lambda recipe, folder, **_: asked.append((recipe, folder))
    )
    for command in commands("longtail-methods.md"):
        if command.startswith("marey train"):
            done = CliRunner().invoke(app, shlex.split(command)[1:])
            assert done.exit_code == 0, f"{command}\n{done.output}\n{done.exception}"
    loss, crt, several, drw, lws, balanced = (recipe for recipe, _ in asked)
    assert type(loss.stages[0].objective).__name__ == "BalancedSoftmax"
    assert (crt.stages[1].trainable, crt.stages[1].reset_heads) == ("heads", True)
    assert type(several.stages[1].objective).__name__ == "SigmoidLMR"
    assert [stage.objective.beta for stage in drw.stages] == [0, 0.9999]
    assert [stage.epochs for stage in lws.stages] == [0, 10]
    assert [str(folder) for _, folder in asked][1] in TEXT
    assert lws.weights in TEXT
    assert balanced.save_best == "acc/class_avg"


def test_the_code_prints_what_its_comment_says(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    exec(block, {})
    assert capsys.readouterr().out.strip() == block.rpartition("# ")[2].strip()
