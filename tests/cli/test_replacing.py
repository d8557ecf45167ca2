"""No command replaces a file that a person has named, unless it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from marey.cli.app import app
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.train.loop import train
from marey.errors import MareyError, RunError
from marey.storage.atomic import write_text
from tests.tiny import tiny_recipe, write_set

FILES = ("out", "csv", "plot")
"""Options of commands that name what is written."""
IN_FOLDERS = {
    "app": "takes uploads into a folder",
    "convert": "makes a new folder",
    "data extract": "goes on in a folder of its own, and refuses others",
    "data flow": "goes on in a folder of its own, and refuses others",
    "demo": "makes a new folder",
    "eval": "writes into a folder of results of the same clips alone",
    "export": "makes a new folder",
    "join": "makes a new folder",
    "optimize": "makes a new folder",
    "serve": "takes uploads into a folder",
    "test": "is eval",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest, a run on it with results, features and predictions of its clips."""
    folder = tmp_path_factory.mktemp("replacing")
    manifest = write_set(folder, per_class=2, val_per_class=1)
    run = train(tiny_recipe(manifest, epochs=1), folder / "run")
    evaluate_folder(EvalOptions(folder=run), run / "results" / "val")
    return folder


def commands(group: object, above: str = "") -> Iterator[tuple[str, object]]:
    context = typer.Context(group)  # type: ignore[arg-type]
    for name in group.list_commands(context):  # type: ignore[attr-defined]
        command = group.get_command(context, name)  # type: ignore[attr-defined]
        if hasattr(command, "list_commands"):
            yield from commands(command, f"{above}{name} ")
        else:
            yield above + name, command


def test_each_command_that_writes_a_file_can_be_told_to_replace_it() -> None:
    said = {}
    for name, command in commands(typer.main.get_command(app)):
        options = {each.name for each in command.params}  # type: ignore[attr-defined]
        if options & {*FILES}:
            said[name] = "overwrite" in options
    assert {name for name, has in said.items() if not has} == IN_FOLDERS.keys() & said.keys()
    assert {"predict", "stream", "report", "data init", "data check"} <= said.keys()


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("predict", "run", "manifest.csv"), "a.csv"),
        (("predict", "run", "manifest.csv"), "a.parquet"),
        (("submit", "run/results/val"), "a.jsonl"),
        (("report", "run"), "a.html"),
        (("compare", "run", "run/results/val"), "a.html"),
        (("features", "run", "--manifest", "manifest.csv"), "a.arrow"),
        (("data", "convert", "manifest.csv"), "b.csv"),
        (("data", "check", "manifest.csv"), "c.csv"),
        (("data", "show", "manifest.csv"), "d.html"),
        (("data", "stats", "manifest.csv", "--plot"), "e.svg"),
    ],
)
def test_a_file_that_is_named_is_replaced_only_if_that_is_said(
    words: tuple[str, ...], option: str, made: Path, tmp_path: Path
) -> None:
    out = tmp_path / option
    given = [str(made / word) if (made / word).exists() else word for word in words]
    given += [str(out)] if "--plot" in words else ["--out", str(out)]
    out.write_text("mine")
    refused = CliRunner().invoke(app, given)
    assert isinstance(refused.exception, MareyError), refused.output
    assert f"{out} is there already" in str(refused.exception)
    assert "--overwrite" in str(refused.exception)
    assert out.read_text() == "mine"
    assert refused.stdout == "" or words[0] in ("predict", "data")
    replaced = CliRunner().invoke(app, [*given, "--overwrite"])
    assert replaced.exit_code == 0, (replaced.output, replaced.exception)
    assert out.read_bytes() != b"mine"


def test_what_lies_at_its_own_place_is_made_anew(made: Path) -> None:
    for words in (("report", str(made / "run")), ("data", "check", str(made / "manifest.csv"))):
        for _ in range(2):
            done = CliRunner().invoke(app, words)
            assert done.exit_code == 0, done.output


def test_shards_repeat_what_they_made_and_replace_nothing_else(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    words = ["predict", str(made / "run"), str(made / "manifest.csv"), "--out", str(out)]
    for shard in ("0/2", "1/2", "1/2"):
        assert CliRunner().invoke(app, [*words, "--shard", shard]).exit_code == 0
    other = CliRunner().invoke(app, [*words, "--shard", "0/2", "--top", "1"])
    assert "is there already" in str(other.exception)


def test_a_file_takes_the_place_of_no_folder(tmp_path: Path) -> None:
    kept = tmp_path / "folder" / "kept.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    with pytest.raises(RunError, match="folder could not be written"):
        write_text(
            kept.parent, "", lambda path, why: RunError(f"{path} could not be written: {why}")
        )
    assert kept.read_text() == "mine"
