"""docs/seeds.md has a line for every published row; what it calls ours are commands that parse."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import typer

from marey.cli.app import app
from marey.convert.repositories import REPOSITORIES
from marey.convert.repository import Settings
from marey.data.datasets.catalog import DATASETS
from marey.recipes.catalog import find, rows
from marey.recipes.describe import claim_in_words
from marey.recipes.ensembles import ensembles
from marey.recipes.protocols import PROTOCOLS, protocol_of
from marey.recipes.schema import override
from marey.recipes.short_names import spelled_out
from tests.conftest import goldens
from tests.test_docs import DOCS

TEXT = (DOCS / "seeds.md").read_text(encoding="utf-8")
TABLES, SCRIPTS = TEXT.split("# Scripts and options\n")
BASES = {
    "temporal-shift-module": "tsm-r50-8f-ssv1",
    "Group Contextualization": "gc-tsm-r50-8f-ssv1",
    "TDN and GST": "tdn-r50-8f-ssv1",
    "bLVNet-TAM and action-recognition-pytorch": "blvnet-tam-50-a2-b4-f8x2-ssv1",
    "Motionformer and LMR": "lmr-motionformer-ssv2-lt",
    "VideoLT": "videolt-bce-r101",
}
"""Section of scripts -> the recipe that its overrides change."""
RECIPES, ENSEMBLES = rows(), ensembles()
PUBLISHED = {name: recipe for name, recipe in RECIPES.items() if recipe.claim}
NAMED = {
    "recipe": {*RECIPES, "ROW", "features-mlp+lmr"},
    "row": {None, *ENSEMBLES},
    "protocol": {None, *(one.name for one in PROTOCOLS)},
    "repository": {None, *(one.name for one in REPOSITORIES)},
}
"""Value of a command -> what it may be."""
COMMAND: Any = typer.main.get_command(app)


@dataclass(frozen=True)
class Line:
    """A line of a table, by its columns."""

    name: str
    number: str
    theirs: str
    ours: str
    checked: str
    open: str


def cells(text: str, columns: int) -> Iterator[list[str]]:
    """The cells of each line of the tables that have so many columns, but for heads."""
    for line in text.splitlines():
        found = [cell.strip() for cell in re.findall(r"((?:`[^`]*`|[^|`])*)\|", line[1:])]
        if line.startswith("| ") and len(found) == columns and found[0] not in ("row", "theirs"):
            yield found


def code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


LINES = [Line(code(name)[0], *rest) for name, *rest in cells(TABLES, 6)]


@cache
def parsed(command: str) -> tuple[str, dict[str, Any]]:
    """The command that is meant, and its values, parsed and not run; typer's error if wrong."""
    found, path, words = COMMAND, [], shlex.split(command)[1:]
    while hasattr(found, "commands"):
        path.append(words[0])
        found, words = found.commands[words[0]], words[1:]
    return " ".join(path), found.make_context(" ".join(path), words).params


def of_ours(line: Line, name: str, value: str) -> list[Any]:
    """That value of each command of this name in a line."""
    commands = [parsed(span) for span in code(line.ours) if span.startswith("marey ")]
    return [given[value] for command, given in commands if command == name]


def apart(overrides: str) -> list[str]:
    """The overrides of a line, which spaces within brackets do not part."""
    depth, parts = 0, [""]
    for letter in overrides:
        depth += (letter in "{[") - (letter in "}]")
        if letter == " " and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def test_every_published_row_has_one_line_and_its_number() -> None:
    claims = {name: row.claim for name, row in (PUBLISHED | ENSEMBLES).items()}
    claims |= {name: None for name in RECIPES if name.startswith("lmr-")}
    found = {line.name: line.number for line in LINES}
    assert len(found) == len(LINES)
    assert found == {name: claim_in_words(claim) for name, claim in claims.items()}


def test_every_command_parses_and_what_it_names_exists() -> None:
    commands = {span for span in code(TEXT) if re.match(r"marey \w.* ", span)}
    assert len(commands) > 300
    data_sets = {dataset.name for dataset in DATASETS}
    for command in commands:
        name, given = parsed(command)
        for value, known in NAMED.items():
            assert value not in given or given[value] in known, command
        if name == "convert":
            override(Settings(), given["say"] or [])
        if name == "data prepare":
            assert given["name"] in data_sets | {"NAME"}, command
        assert set(re.findall(r"([\w-]+)/manifest.csv", command)) <= data_sets, command


def test_a_line_says_how_its_row_is_trained_and_tested() -> None:
    for line in LINES:
        if row := ENSEMBLES.get(line.name):
            assert code(line.ours) == [row.commands()[-1]]
            continue
        recipe = RECIPES[line.name]
        assert of_ours(line, "train", "recipe") == [line.name] or "flow" in line.name
        assert {*of_ours(line, "eval", "protocol")} <= {None, protocol_of(recipe)}, line.name
        start = recipe.weights.removeprefix("from:")
        given = [f"runs/{start}"] if start in RECIPES else [None]
        assert of_ours(line, "train", "weights") == given or "flow" in line.name


@pytest.mark.skipif(not goldens().is_dir(), reason="no goldens; set MAREY_GOLDENS")
def test_what_a_line_calls_checked_has_a_golden() -> None:
    named = {name for line in LINES for name in code(line.checked)}
    assert not [name for name in named if not (goldens() / f"{name}.json").is_file()]


def test_a_line_says_cost_where_its_claim_has_one() -> None:
    for line in LINES:
        if (recipe := PUBLISHED.get(line.name)) and (claim := recipe.claim):
            has_cost = bool(claim.params_millions or claim.gmacs_per_view)
            assert ("cost" in line.checked) == has_cost, line.name
        assert line.open.startswith("accuracy")


def test_every_option_and_override_of_ours_exists() -> None:
    commands = [COMMAND.commands[name] for name in ("train", "eval", "predict", "submit")]
    options = {option for command in commands for p in command.params for option in p.opts}
    found = []
    for section in SCRIPTS.split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        for span in (span for _, ours, _ in cells(body, 3) for span in code(ours)):
            if span.startswith("-"):
                words = span.split()
                assert {word for word in words if word.startswith("-")} <= options, span
                assert words[0] != "--protocol" or words[1] in NAMED["protocol"]
            elif re.match(r"[a-z][\w.]*=", span):
                base = find(BASES[title])
                found.append(override(base, spelled_out(base, apart(span))))
    assert len(found) > 50


def test_every_line_of_a_table_has_its_columns() -> None:
    lines = [line for line in TEXT.splitlines() if line.startswith("| ")]
    heads = sum(line.startswith(("| row |", "| theirs |")) for line in lines)
    legends = list(cells(TABLES, 2))
    assert len(LINES) + len(list(cells(SCRIPTS, 3))) + len(legends) + heads == len(lines)
