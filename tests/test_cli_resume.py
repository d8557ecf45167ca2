"""`marey train --resume`, with and without a recipe beside it, and as one of several processes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from marey.cli.app import main
from marey.cli.train import SPEAK_SECONDS
from marey.engine.train.loop import train
from marey.recipes.schema import to_yaml
from tests.tiny import tiny_recipe, write_set


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    manifest = write_set(folder / "clips", per_class=1, val_per_class=1)
    (folder / "recipe.yaml").write_text(to_yaml(tiny_recipe(manifest, epochs=1)), encoding="utf-8")
    train(tiny_recipe(manifest, epochs=1), folder / "run", quiet=True)
    return folder


def marey(*words: object) -> int:
    """The status of a command in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["marey", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
    return int(end.value.code or 0)


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained / "run", tmp_path / "run")


def resumed(run: Path, *words: object) -> int:
    return marey("train", *words, "--resume", "--work-dir", run, "--device", "cpu")


def test_the_command_that_began_a_run_goes_on_with_it(
    trained: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = trained / "recipe.yaml"
    assert resumed(run, recipe) == 0
    assert "changed" not in capsys.readouterr().out
    recipe = shutil.copy(recipe, run.parent / "mine.yaml")
    text = Path(recipe).read_text(encoding="utf-8").replace("epochs: 1", "epochs: 2", 1)
    without_data = text.replace(str(trained / "clips" / "manifest.csv"), "''")
    Path(recipe).write_text(without_data.replace("name: tiny", "name: mine"), encoding="utf-8")
    assert resumed(run, recipe) == 0
    said = capsys.readouterr().out
    assert "changed since the run was saved: name tiny -> mine, stages.0.epochs 1 -> 2" in said
    assert len((run / "metrics.csv").read_text(encoding="utf-8").splitlines()) == 3
    assert "\n  validation: top-1 " in said
    assert [line.split()[1] for line in said.splitlines()[-3:]] == ["eval", "report", "predict"]
    assert f"  marey predict {run} clip.mp4" in said


def test_a_run_is_named_by_its_folder(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert marey("train", run, "--resume", "--device", "cpu") == 0
    assert f"trained: {run}" in capsys.readouterr().out
    assert marey("train", "--resume") == 2
    assert "which run is to go on?" in capsys.readouterr().err


def test_another_recipe_is_not_ignored(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert resumed(run, "tsm-r18") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: a run that goes on cannot change model.encoder tests.tiny.")


@pytest.mark.parametrize("rank", ["0", "1"])
def test_of_several_processes_the_first_alone_says_what_is_wrong(
    rank: str, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert resumed(run, "stages.0.optim.lrr=1") == 2
    assert resumed(run.parent / "nothing") == 2
    captured = capsys.readouterr()
    assert ("error:" in captured.err) == (rank == "0")
    assert not captured.out


def test_another_process_ends_after_the_first_has_had_time_to_speak(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("marey.cli.train.time.sleep", waited.append)
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "x"}.items():
        monkeypatch.setenv(name, value)
    assert resumed(run, "stages.0.optim.lrr=1") == 2
    assert waited == [SPEAK_SECONDS]


@pytest.mark.parametrize(
    ("split", "proposed"),
    [("val", "marey eval {}"), ("test", "marey eval {} --split test"), ("", "marey eval {} --man")],
)
def test_what_is_proposed_for_a_trained_run_is_not_refused(
    split: str,
    proposed: str,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Clips of split val or test, or neither."""
    clips = trained / "clips"
    lines = (clips / "manifest.csv").read_text(encoding="utf-8").splitlines()
    kept = [line.replace(",val,", f",{split},") for line in lines if split or ",val," not in line]
    manifest = clips / f"of-{split}.csv"
    manifest.write_text("\n".join(kept) + "\n", encoding="utf-8")
    run, recipe = tmp_path / "run", tmp_path / "recipe.yaml"
    recipe.write_text(to_yaml(tiny_recipe(manifest, epochs=1)), encoding="utf-8")
    assert marey("train", recipe, "data.val=''", "--work-dir", run, "--device", "cpu") == 0
    line = capsys.readouterr().out.splitlines()[-3].strip()
    assert line.startswith(proposed.format(run))
    words = line.partition("  ")[0].replace("OTHER-CLIPS", str(clips / "manifest.csv")).split()[1:]
    assert marey(*words, "--device", "cpu") == 0
