"""examples/lmr_minimal.py runs, and docs/lmr.md is true."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest

from marey.longtail.lmr import LMR
from marey.recipes.catalog import find
from marey.recipes.lmr import EPIC_100_VERBS, SSV2_LT
from marey.recipes.recipe import Recipe
from marey.recipes.schema import override

ROOT = Path(__file__).resolve().parents[1]
DOC = (ROOT / "docs" / "lmr.md").read_text(encoding="utf-8")


def test_the_example_learns_all_classes(capsys: pytest.CaptureFixture[str]) -> None:
    result = runpy.run_path(str(ROOT / "examples" / "lmr_minimal.py"))
    assert result["right"].float().mean() > 0.8
    rebuilt, few = capsys.readouterr().out.splitlines()[1], "0.0]"
    assert rebuilt.endswith(few)


def test_the_example_is_short() -> None:
    text = (ROOT / "examples" / "lmr_minimal.py").read_text(encoding="utf-8")
    code = text.split('"""')[2].splitlines()
    assert len([line for line in code if line and not line.startswith(("import", "from"))]) <= 22


def test_the_lines_for_another_loop_run() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    assert names["y"]["label"].shape == (16, 4)  # type: ignore[index]


def commands() -> list[list[str]]:
    (block,) = re.findall(r"^```bash\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL)
    return [shlex.split(line, comments=True) for line in block.replace("\\\n", "").splitlines()]


@pytest.mark.parametrize("words", commands(), ids=lambda words: words[2])
def test_a_command_names_a_recipe_and_fields_that_exist(words: list[str]) -> None:
    assert words[:2] == ["marey", "train"]
    end = next(i for i, word in enumerate(words) if word.startswith("--"))
    recipe = override(find(words[2]), words[3:end])
    assert any(isinstance(s.objective, LMR) for s in recipe.stages) or "+crt" in words[2]


@pytest.mark.parametrize(("recipe", "column"), [(SSV2_LT, 2), (EPIC_100_VERBS, 3)])
def test_the_table_has_the_values_of_the_rows(recipe: Recipe, column: int) -> None:
    rows = [line.split("|")[1:] for line in DOC.splitlines() if line.startswith("| `")]
    said = {cells[0].strip(): cells[column].strip() for cells in rows}
    lmr = recipe.stages[1].objective
    assert isinstance(lmr, LMR)
    assert said["`l`, `h`"] == f"{lmr.l}, {lmr.h}"
    assert (said["`d`"], said["`few`"], said["`mix`"]) == (str(lmr.d), str(lmr.few), str(lmr.mix))
    assert said["`bank`"] == f"{lmr.bank} of {recipe.batch_size}"
    assert said["`eps`"] == f"{5 * lmr.d:g}"


def test_on_classes_that_vary_alike_lmr_finds_more_of_the_rare(
    capsys: pytest.CaptureFixture[str],
) -> None:
    runpy.run_path(str(ROOT / "examples" / "lmr_made_up.py"))["main"](["--seeds=1"])
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines()[2:]]
    few = {name.strip(): float(value.split("±")[0]) for _, name, value, *_ in rows}
    assert few["LMR, scale 8"] > few["cRT"] + 5 > few["CE"] + 10
