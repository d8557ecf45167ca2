"""What one command takes its siblings take, under the same name, and refuse in the same words."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from marey.cli import completion
from marey.cli.app import app
from marey.cli.commands import Commands
from marey.cli.optimize import _beside
from marey.convert.repositories import REPOSITORIES
from marey.data.packs.forms import TEMPLATES
from marey.engine.runtimes.catalog import FORMS
from marey.errors import MareyError
from marey.recipes.catalog import rows
from marey.recipes.recipe import Recipe
from marey.recipes.schema import names_at, to_yaml
from marey.recipes.short_names import SHORT
from tests.tiny import tiny_recipe, write_set


def said(*words: str, status: int = 0) -> str:
    done = CliRunner().invoke(app, [*words], env={"COLUMNS": "80"})
    assert done.exit_code == status, done.output
    return done.stdout if not status else " ".join(re.sub("[│╭╮╰╯─]", " ", done.output).split())


def refusal(*words: str) -> str:
    """The error of ours that a command ends with."""
    error = CliRunner().invoke(app, [*words]).exception
    assert isinstance(error, MareyError), error
    return str(error)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("alike"), per_class=2, val_per_class=1)


@pytest.fixture(scope="module")
def recipe(manifest: Path) -> str:
    file = manifest.parent / "tiny.yaml"
    file.write_text(to_yaml(tiny_recipe(manifest, epochs=3)))
    return str(file)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("epoch=1", "unknown name 'epoch'. hint: did you mean 'epochs'?"),
        ("epochs=x", "stages.0.epochs is 'x', expected a whole number"),
        ("frames=0", "frames is 0, expected a whole number of at least 1"),
        ("learning_rate=1", "unknown name 'learning_rate'. hint: did you mean 'lr'?"),
        ("objective=LDM", "hint: did you mean 'LDAM'?"),
    ],
)
def test_a_wrong_key_is_refused_in_the_same_words(
    wrong: str, why: str, recipe: str, tmp_path: Path
) -> None:
    folder = ("--work-dir", str(tmp_path / "run"))
    train = refusal("train", recipe, wrong, *folder)
    folds = refusal("train", recipe, wrong, "--folds", *folder)
    seeds = refusal("train", recipe, wrong, "--seeds", "2", *folder)
    sweep = refusal("sweep", recipe, wrong, "lr=0.1,0.2", *folder)
    assert why in train
    assert train == folds == seeds == sweep


def test_every_short_name_is_a_word_of_a_sweep_too() -> None:
    for name in SHORT:
        assert completion.changes(name[:-1])[0].startswith(name[:-1])


def test_options_of_a_sweep_are_its_words(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("sweep", recipe, "lr=0.01", "--epochs", "1", "-b", "2,4", "--amp", "false", "--json")
    done = CliRunner().invoke(app, [*words])
    assert done.exit_code == 0, done.output
    trials = json.loads(done.stdout)
    assert {tuple(trial["values"]) for trial in trials} == {("batch_size=2",), ("batch_size=4",)}
    best = trials[0]["values"][0]
    assert f"marey train {recipe} lr=0.01 epochs=1 amp=false {best}\n" in done.stderr
    again = CliRunner().invoke(app, [*words[:-1], "-q"])  # what is done is kept
    assert again.exit_code == 0, again.exception
    assert again.stdout == ""


def test_a_rate_of_a_sweep_is_a_word() -> None:
    assert "lr=0.01 is one for all trials" in said("sweep", "tsm-r18", "--lr", "0.01", status=2)
    assert "which recipe, or which clips" in refusal("sweep", "lr=0.1,0.2")


def test_clips_to_suggest_a_recipe_for_are_given_as_to_train(manifest: Path) -> None:
    rest = ("--from-scratch", "epochs=3", "--device", "cpu")
    shown = said("recipes", "suggest", str(manifest), *rest)
    assert said("recipes", "suggest", "--manifest", str(manifest), *rest) == shown
    assert "which clips? marey recipes suggest MANIFEST" in said("recipes", "suggest", status=2)


def test_what_is_written_is_an_argument_or_an_option(manifest: Path, tmp_path: Path) -> None:
    for number, words in enumerate((("{}",), ("--out", "{}"))):
        out = str(tmp_path / f"{number}.arrow")
        given = [word.format(out) for word in words]
        assert out in "".join(said("data", "convert", str(manifest), *given).split())
        assert Path(out).is_file()
    both = ("data", "convert", str(manifest), "a.csv", "--out", "b.csv")
    assert "what is to be written, OUT, is twice given" in said(*both, status=2)
    assert "what is to be written, OUT, is not given" in said(
        "data", "convert", str(manifest), status=2
    )


def test_a_model_is_optimized_into_a_folder_beside_it() -> None:
    run = Path("runs/tsm")
    assert _beside(run, run) == Path("runs/tsm-optimized")
    name = Path("tsm-r50-8f-k400")  # lies in the cache, which is no place of one's own
    assert _beside(name, Path("/cache/releases/tsm-r50-8f-k400")) == Path(f"{name}-optimized")
    here = Path()
    assert _beside(here, here) == Path.cwd().with_name(f"{Path.cwd().name}-optimized")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("convert",), [each.name for each in REPOSITORIES]),
        (("optimize",), [each.name for each in FORMS]),
        (("data", "extract"), [*TEMPLATES]),
    ],
)
def test_help_names_every_value_that_an_option_takes(
    words: tuple[str, ...], names: list[str]
) -> None:
    shown = "".join(re.sub("[│─]", " ", said(*words, "--help")).split())
    assert [name for name in names if name not in shown] == []


def test_a_template_that_is_none_is_refused_with_those_that_are() -> None:
    wrong = said("data", "extract", "clips.csv", "out", "--template", "kinetic", status=2)
    assert "it is 'kinetic', expected one of ssv1, ssv2, jester" in wrong


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("marey train tsm-mobilenetv2-8f-k400-d", {"tsm-mobilenetv2-8f-k400-dense"}),
        ("marey train tsm-r18 epo", {"epochs="}),
        ("marey recipes show gc-tsm-r50-8f-ss", {"gc-tsm-r50-8f-ssv1"}),
        ("marey optimize runs/a --form onnxruntime-", {"onnxruntime-int8"}),
        ("marey convert file.pth --from mot", {"motionformer"}),
    ],
)
def test_the_shell_completes_names(line: str, expected: set[str]) -> None:
    words = line.split()
    env = {
        "_MAREY_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    done = CliRunner().invoke(app, [], prog_name="marey", env=env)
    assert expected <= {*done.stdout.split()}, done.output


def test_keys_complete_to_the_classes_that_they_may_name() -> None:
    assert completion.changes("objective=LD") == ["objective=LDAM"]
    assert completion.changes("flip=") == ["flip=none", "flip=plain", "flip=swap"]
    assert {"epochs=", "ema=", "eval_every="} <= {*completion.changes("e")}
    assert completion.changes("lr=") == completion.changes("no_such_key=") == []
    assert "ClassBalanced" in names_at(Recipe, "stages.0.sampler")
    assert completion.recipes("tsm") == [name for name in rows() if name.startswith("tsm")]


def test_every_command_that_writes_can_be_quiet() -> None:
    loud = []

    def look(command: Any, name: str) -> None:
        for below, each in getattr(command, "commands", {}).items():
            look(each, f"{name} {below}".strip())
        options = {option for each in command.params for option in each.opts}
        if options & {"--out", "--work-dir"} and "--quiet" not in options:
            loud.append(name)

    look(typer.main.get_command(app), "")
    assert loud == []


def test_the_list_of_commands_says_of_each_what_its_own_help_begins_with() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, Commands)
    for name, entry in group.ENTRIES.items():
        help_of_it = group.commands[name].help or ""
        assert entry.says == " ".join(help_of_it.split("\n\n")[0].split()), name


def test_the_list_of_commands_has_parts_and_each_command_is_in_one() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, Commands)
    parts = [entry.panel for entry in group.ENTRIES.values()]
    assert all(parts)
    one_by_one = [part for part, before in zip(parts, ["", *parts], strict=False) if part != before]
    assert len(one_by_one) == len(set(one_by_one))
    listed = said("--help")
    assert [listed.index(f"─ {part} ─") for part in one_by_one] == sorted(
        listed.index(f"─ {part} ─") for part in one_by_one
    )


def test_a_flag_has_a_second_word_only_where_some_command_does_it_by_default() -> None:
    """--no-probe is of use, as clips are opened by default; --no-stream would be none."""
    off: set[str] = set()
    on: set[str] = set()

    def look(command: Any) -> None:
        for each in getattr(command, "commands", {}):
            look(command.commands[each])
        for each in command.params:
            if each.secondary_opts:
                (on if each.default else off).update(each.opts)

    look(typer.main.get_command(app))
    assert "--probe" in on
    assert off <= on


def test_a_command_is_not_loaded_before_it_is_meant() -> None:
    code = "import sys; from marey.cli.app import app; app(['--help'], standalone_mode=False); "
    code += "print(*(name for name in sys.modules if name.startswith('marey.')), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "marey.cli.app" in loaded
    assert loaded.isdisjoint({"marey.cli.train", "marey.cli.predict", "marey.cli.data"})
