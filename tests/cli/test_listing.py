"""What lists: filtered by words, no wider than the terminal, no word broken, as JSON too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from marey.cli.app import app
from marey.cli.tables import print_table
from marey.engine.report.pages import Table
from marey.recipes.catalog import find, rows
from marey.recipes.describe import model_in_short


def said(*words: str) -> str:
    done = CliRunner().invoke(app, [*words], env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    return done.stdout


def test_recipes_are_filtered_by_words_in_their_names_and_models() -> None:
    shown = json.loads(said("recipes", "tsm", "mobilenet", "--json"))["recipes"]
    assert {row["name"] for row in shown} == {
        "tsm-mobilenetv2",
        "tsm-mobilenetv2-8f-k400-dense",
        "tsm-mobilenetv2-online",
        "tsm-mobilenetv2-online-8f-jester",
    }
    assert "tsm-mobilenetv2-8f-k400-dense" in said("recipes", "TSM", "mobilenet")
    assert said("recipes", "nothing-like-it").startswith("no recipe has nothing-like-it")


def test_recipes_fit_80_columns_and_break_no_word() -> None:
    lines = said("recipes").splitlines()
    assert max(map(len, lines)) <= 80
    cells = [line.split("│")[2].split() for line in lines if line.count("│") == 5]
    whole = {word for row in rows().values() for word in model_in_short(row.model).split()}
    assert {word for cell in cells for word in cell} <= whole


def test_a_model_is_short_where_it_is_listed_and_whole_where_it_is_explained() -> None:
    assert model_in_short(find("tsm-r50").model) == "ResNet 50 + TSM"
    assert json.loads(said("recipes", "show", "tsm-r50", "--json"))["model"] == (
        "ResNetSpec(50) + TSM(8)"
    )


@pytest.mark.parametrize(
    "words",
    [("weights",), ("weights", "resnet50"), ("recipes", "protocols"), ("models", "demo-tsm")],
)
def test_what_prints_a_table_prints_json(words: tuple[str, ...]) -> None:
    assert json.loads(said(*words, "--json"))


def test_columns_without_room_come_below_beside_the_first_ones(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    header = ("run", "number", *(f"column{i}" for i in range(4)))
    print_table(Table(header, [("tsm", "top-1", *["0123456789"] * 4)], keys=2))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 40
    assert sum("top-1" in line for line in lines) == 4


def test_no_column_is_cut_where_headers_are_longer_than_cells(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    header = ("run", "results", "top-1 (%)", "class average (%)", "params", "GMACs a view")
    row = ("a", "val (2 clips)", "50.0 (9.5–90.5)", "50.0 (10.3–89.7)", "11.2 M", "0.29")
    print_table(Table(header, [row]))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line[-1] in "┓┃┩│┘" for line in lines)


def test_a_release_is_taken_where_a_recipe_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[1] / "stored")
    for given in ("release", "release/config.json", "release/model.safetensors"):
        assert json.loads(said("recipes", "show", given, "--json"))["starts from"] == "release"
        assert find(given) == find("release")
    assert said("recipes", "protocols", "release", "--json") == said(
        "recipes", "protocols", "release/config.json", "--json"
    )
    (cost,) = json.loads(said("models", "release", "--json"))
    weights = load_file("release/model.safetensors")
    learned = [value for name, value in weights.items() if "running" not in name]
    assert cost["parameters"] == sum(value.numel() for value in learned if value.ndim)
    for measured in ("model", "train"):
        words = ("bench", measured, "release", "--repeats", "1", "-b", "1", "--amp", "false")
        assert json.loads(said(*words, "--json"))["parameters"] == cost["parameters"]
