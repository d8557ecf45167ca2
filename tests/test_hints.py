"""Every option that a message names is one of a command."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import typer

import marey
from marey.cli.app import app

OF_OTHERS = {"--shm-size", "--cpus", "--nproc-per-node", "--dataset", "--datadir", "--loop"}
"""Of docker, torchrun and published code."""
ROOT = Path(marey.__file__).parent


def options(command: click.Command) -> Iterator[str]:
    """Those of a command and of the commands below it."""
    yield "--help"
    for each in command.params:
        yield from (*each.opts, *each.secondary_opts)
    for below in getattr(command, "commands", {}).values():
        yield from options(below)


def named(path: Path) -> Iterator[tuple[str, str]]:
    """(file:line, option) of the strings of a file that are no docstrings."""
    tree = ast.parse(path.read_text())
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in documents:
            for option in re.findall(r"(?<![\w-])(?<!var\()--[a-z][a-z-]*[a-z]\b", node.value):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", option


def test_every_option_that_a_message_names_is_there() -> None:
    known = {*options(typer.main.get_command(app)), *OF_OTHERS}
    found = {at: option for path in sorted(ROOT.rglob("*.py")) for at, option in named(path)}
    assert len(found) > 50
    assert {at: option for at, option in found.items() if option not in known} == {}
