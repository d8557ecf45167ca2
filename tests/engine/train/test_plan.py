"""What is asked for becomes a recipe and a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from marey.cli.app import app
from marey.engine.train.plan import Asked, plan
from marey.errors import MareyError
from marey.video.crops import CenterCrop
from tests.tiny import write_set


def test_without_a_recipe_one_is_chosen_by_the_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = str(write_set(tmp_path, per_class=2, val_per_class=1))
    asked = Asked(manifests=[manifest], changes=["epochs=3"], from_scratch=True)
    made = plan(asked)
    assert (made.recipe.name, made.work_dir) == ("tsm-r18", Path("runs/tsm-r18"))
    assert (made.recipe.data.train, made.recipe.epochs) == (manifest, 3)
    assert made.recipe.model.frames == 4  # of the 6 that the clips have
    assert "  frames  4: the middle clip has 6 frames (0.6 s)" in made.notes
    words = made.notes[-1].removeprefix("again: marey train tsm-r18 ").split()
    again = plan(Asked(recipe="tsm-r18", manifests=[manifest], changes=words[:-2]))
    assert again.recipe == made.recipe
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(MareyError, match="2 processes do not choose one"):
        plan(asked)


def test_what_is_chosen_by_clips_that_lie_elsewhere_is_the_same(tmp_path: Path) -> None:
    here = write_set(tmp_path / "clips", per_class=2, val_per_class=1)
    listed = tmp_path / "lists" / here.name
    listed.parent.mkdir()
    for file in here.parent.glob("*.*"):
        if file.suffix in (".csv", ".txt"):
            (listed.parent / file.name).write_bytes(file.read_bytes())
    asked = Asked(manifests=[str(listed)], changes=[f"data.root={here.parent}"], from_scratch=True)
    beside = Asked(manifests=[str(here)], from_scratch=True)
    assert plan(asked).recipe.model == plan(beside).recipe.model
    assert plan(asked).recipe.model.frames == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["epochs=4", "epochs=3"], "epochs=4 and epochs=3 are both given"),
        (["stages.0.epochs=4", "epochs=3"], "stages.0.epochs=4 and epochs=3 are both"),
        (["data.train=b.csv"], r"data.train=b.csv and data.train=\"a.csv\" are both"),
    ],
)
def test_two_values_of_one_key_are_refused(changes: list[str], said: str) -> None:
    with pytest.raises(MareyError, match=said):
        plan(Asked(recipe="tsm-r18", manifests=["a.csv"], changes=changes))


def test_weights_set_to_nothing_are_a_start_from_scratch(tmp_path: Path) -> None:
    manifest = str(write_set(tmp_path, per_class=2, val_per_class=1))
    scratch = plan(Asked(manifests=[manifest], from_scratch=True))
    assert plan(Asked(manifests=[manifest], changes=["weights="])).recipe == scratch.recipe
    for more in ({}, {"from_scratch": True}):
        made = plan(Asked(recipe="tsm-r50-8f-k400", changes=["weights="], **more))
        assert made.recipe.weights == ""
    for asked in (
        Asked(manifests=[manifest], changes=["weights=run"], from_scratch=True),
        Asked(recipe="tsm-r18", changes=["weights=run"], from_scratch=True),
        Asked(recipe="tsm-r18", changes=["weights="], weights="run"),
    ):
        with pytest.raises(MareyError, match="weights=.* are both given"):
            plan(asked)


def test_a_change_of_one_crop_may_follow_that_of_all() -> None:
    made = plan(Asked(recipe="tsm-r18", changes=["size=64", "test.crop.resize=70", "epochs=3"]))
    assert made.recipe.test.crop == CenterCrop(64, 70)


def test_what_is_decided_already_is_said_to_suggest_too(tmp_path: Path) -> None:
    here = write_set(tmp_path / "clips", per_class=2, val_per_class=1)
    listed = tmp_path / "manifest.csv"
    for name in (here.name, "labels.txt"):
        (tmp_path / name).write_bytes((here.parent / name).read_bytes())
    words = [str(listed), f"data.root={here.parent}", "epochs=3", "--from-scratch"]
    done = CliRunner().invoke(app, ["recipes", "suggest", *words])
    assert done.exit_code == 0, done.output
    assert "4: the middle clip has 6 frames" in done.output
    assert done.output.splitlines()[-1].startswith("marey train tsm-r18 ")
    assert {f"data.root={here.parent}", "epochs=3"} <= set(done.output.split())
