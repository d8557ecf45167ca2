"""What is given for a model and is none is told as what it is, with what is near."""

from __future__ import annotations

from pathlib import Path

import pytest

from marey.engine.runtimes.graph_files import FILES
from marey.engine.weights.origin import EXPORTED, origin_of
from marey.engine.weights.trained import load_trained
from marey.errors import CheckpointError
from marey.recipes.release import CONFIG


def error_of(path: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as found:
        load_trained(path)
    return found.value


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name, mark in {"mine": "recipe.yaml", "given": CONFIG}.items():
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / mark).touch()
    return tmp_path / "runs"


def test_the_nearest_model_of_a_wrong_name_is_told(runs: Path) -> None:
    error = error_of(runs / "mien")
    assert (
        error.message == f"{runs / 'mien'} does not exist, nor are weights published by that name"
    )
    assert error.hint == f"did you mean '{runs / 'mine'}'?"
    assert error_of(Path("tsm-r50-8f-k40")).hint == "did you mean 'tsm-r50-8f-k400'?"
    assert error_of(runs / "nowhere" / "xyz").hint.startswith("give the folder of a run or release")


def test_a_folder_of_models_names_them(runs: Path) -> None:
    with pytest.raises(CheckpointError, match=r"runs holds 2 models and is none itself") as found:
        origin_of(runs)
    assert found.value.hint == f"give one of them: {runs / 'given'}, {runs / 'mine'}"


def test_an_empty_folder_is_said_to_be_one(tmp_path: Path) -> None:
    assert "is an empty folder, neither a run nor a release" in error_of(tmp_path).message
    (tmp_path / "a.txt").touch()
    assert f"{tmp_path} is neither a run nor a release" in error_of(tmp_path).message


@pytest.mark.parametrize("name", [names[0] for names in FILES.values()])
def test_an_export_for_another_runtime_is_said_to_be_one(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    for given in (tmp_path, tmp_path / name):
        error = error_of(given)
        assert error.message.startswith(f"{tmp_path / name} is a file for another runtime")
        assert error.hint == "give the run that it was made of, which has the weights"


def test_the_suffixes_of_exports_are_those_that_are_written() -> None:
    assert set(EXPORTED) == {Path(names[0]).suffix for names in FILES.values()}
