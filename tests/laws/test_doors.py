"""The same model gives the same scores by every door."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from marey.cli.app import app
from marey.engine.export.export import WantedFile, export_file
from marey.engine.inference.ensemble_run import EnsembleOptions, evaluate_together
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.inference.outputs.scored_clips import read_scored_clips
from marey.engine.inference.predict import load
from marey.engine.inference.stored import DUMP, read_stored
from marey.engine.live.recogniser import usual_decision
from marey.engine.optimize.clips import WantedClips
from marey.engine.report.run_files import read_run
from marey.engine.weights.calibration import FILE
from marey.engine.weights.checkpoint import load_checkpoint
from marey.engine.weights.joined import of_videos
from marey.engine.weights.trained import calibration_of, keep_calibration, load_trained
from marey.errors import MareyError, RecipeError, RunError
from marey.models.video_model import Head
from marey.recipes.schema import override
from marey.timelines.decisions import MeanOfLast
from marey.video.augment import Augment
from tests.laws.doors import (
    DOORS,
    MODELS,
    Asked,
    Kind,
    Place,
    Said,
    assert_same,
    by_eval,
    by_load,
    calibrated,
    head_on_features,
    on,
    plainly,
    recipe_of,
    released,
    run_of,
)
from tests.tiny import TinySpec

TRACED = ("marey predict --runtime pt2", "pt2", "onnx", "openvino")
"""Doors behind which a model is traced."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("doors"))


@pytest.fixture(scope="module")
def made() -> dict[str, tuple[Path, Said]]:
    """The models that were made: their folders, and what is expected of them."""
    return {}


def cases() -> Iterator[Any]:
    for name, kind in MODELS.items():
        for door in DOORS:
            if door == "hub:" and not kind.in_hub:
                continue
            is_long = door in TRACED and not kind.in_graphs
            marks = [pytest.mark.long] if is_long else []
            yield pytest.param(name, door, marks=marks, id=f"{name} by {door}")


@pytest.mark.parametrize(("name", "door"), list(cases()))
def test_every_door_gives_the_scores_of_the_model(
    name: str, door: str, place: Place, made: dict[str, tuple[Path, Said]], tmp_path: Path
) -> None:
    kind = MODELS[name]
    if name not in made:
        folder = kind.make(place, place.folder / name)
        made[name] = folder, {clip.name: plainly(folder, kind, clip) for clip in place.clips}
    folder, expected = made[name]
    assert_same(DOORS[door](Asked(folder, kind, place, tmp_path)), expected)


@pytest.mark.parametrize("several", [True, False])
def test_what_an_evaluation_wrote_says_the_same_wherever_it_is_read(
    several: bool, place: Place, tmp_path: Path
) -> None:
    recipe = recipe_of(place, "sounds")
    recipe = replace(recipe, model=on(recipe, heads=(Head("sounds", 4, several),)))
    options = EvalOptions(
        folder=released(recipe, tmp_path / "model"), manifest=str(place.manifest), workers=0
    )
    found, path = evaluate_folder(options, tmp_path / "model" / "results" / "val")
    assert found is not None
    expected = found.probabilities["sounds"]
    assert np.allclose(expected.sum(axis=1), 1) is not several
    stored = read_stored(path.with_name(DUMP)).evaluation
    assert np.allclose(stored.probabilities["sounds"], expected)
    assert stored.metrics == pytest.approx(found.metrics)
    written = read_scored_clips(path.with_name(DUMP))
    assert np.allclose(written.probabilities("sounds"), expected)
    shown = read_run(tmp_path / "model" / "results" / "val").result
    assert shown is not None
    assert np.allclose(shown.several[0].probabilities, expected)
    shares = replace(found, scores=found.probabilities, average="probs")
    assert found.metrics == pytest.approx(shares.metrics)  # they are of what is said
    said = CliRunner().invoke(app, ["eval", str(path.parent)], env={"COLUMNS": "200"}).output
    assert ("was trained for one class a clip" in said) is not several


# --- several at once, and other views -------------------------------------------------------------


def test_an_ensemble_gives_the_mean_of_what_its_members_say(place: Place, tmp_path: Path) -> None:
    """One of them is an export."""
    bgr = Augment(mean=(0.4,), std=(0.2,), channel_order="bgr")
    recipes = recipe_of(place), recipe_of(place, augment=bgr)
    folders = [released(recipe, tmp_path / f"model{i}") for i, recipe in enumerate(recipes)]
    kind = Kind(make=lambda *_: folders[0])
    expected = {
        clip.name: {
            label: sum(score[label] for score in both) / 2
            for both in [[plainly(folder, kind, clip) for folder in folders]]
            for label in both[0]
        }
        for clip in place.clips
    }
    export_file(folders[1], tmp_path / "pt2", WantedFile(to="pt2", clips=WantedClips(workers=0)))
    members = tuple(
        EvalOptions(folder=folder, manifest=str(place.manifest), workers=0, trusted=True)
        for folder in (folders[0], tmp_path / "pt2")
    )
    found, _ = evaluate_together(
        EnsembleOptions(members=members, average="probs"), tmp_path / "out"
    )
    assert found is not None
    names = load(folders[0]).labels
    said = {
        Path(str(found.result.manifest.path(row))).name: {
            f"label/{name}": float(score) for name, score in zip(names, of, strict=True)
        }
        for row, of in enumerate(found.result.probabilities["label"])
    }
    assert_same(said, expected)


def test_an_export_of_other_views_scores_as_the_model_tested_in_them(
    place: Place, tmp_path: Path
) -> None:
    folder = released(recipe_of(place), tmp_path / "model")
    wanted = WantedFile(to="pt2", segments=3, size=24, clips=WantedClips(workers=0))
    export_file(folder, tmp_path / "pt2", wanted)
    kind = Kind(make=lambda *_: folder)
    ours = by_load(Asked(tmp_path / "pt2", kind, place, tmp_path))
    options = EvalOptions(
        folder=folder,
        manifest=str(place.manifest),
        segments=3,
        overrides=("size=24",),
        workers=0,
    )
    found, _ = evaluate_folder(options, tmp_path / "eval")
    assert found is not None
    for row, of in enumerate(found.probabilities["label"]):
        clip = Path(str(found.manifest.path(row))).name
        assert sorted(ours[clip].values()) == pytest.approx(sorted(of.tolist()), abs=1e-4)


@pytest.mark.parametrize("door", [name for name in DOORS if name not in TRACED])
def test_every_door_refuses_a_model_whose_frames_nobody_knows(
    door: str, place: Place, tmp_path: Path
) -> None:
    recipe = recipe_of(place)
    flow = replace(recipe.model, encoder=TinySpec(in_channels=10))
    pixels = replace(recipe.augment, mean=(0.5,), std=(0.25,))
    folder = released(replace(recipe, model=flow, augment=pixels), tmp_path / "flow")
    asked = Asked(folder, Kind(make=lambda *_: folder), place, tmp_path)
    with pytest.raises(RunError, match="takes frames of 10 channels, and does not say what"):
        DOORS[door](asked)


# --- temperatures of a model of features, wherever they were measured ----------------------------


def test_temperatures_measured_on_videos_hold_for_features_and_the_other_way_round(
    place: Place, tmp_path: Path
) -> None:
    head = head_on_features(place, tmp_path / "made")
    kind = Kind(make=lambda *_: head, options={"calibrated": True})
    with pytest.raises(MareyError, match="was never calibrated"):
        load(head, calibrated=True)
    calibrated(head)
    of_features = (head / FILE).read_text()
    trained = of_videos(load_trained(head))
    keep_calibration(calibration_of(trained), trained)  # as `marey eval --calibrate` of videos
    assert (head / FILE).read_text() == of_features
    asked = Asked(head, kind, place, tmp_path)
    assert_same(by_eval(asked), by_load(asked))
    others = replace(trained.recipe.test, average="probs")
    with pytest.raises(RecipeError, match=r"other views: test\.average was not what it is here"):
        calibration_of(replace(trained, recipe=replace(trained.recipe, test=others)))


def test_temperatures_that_an_export_cannot_carry_are_said_to_be_left_out(
    place: Place, tmp_path: Path
) -> None:
    folder = calibrated(released(recipe_of(place), tmp_path / "model"))
    said: list[str] = []
    wanted = WantedFile(to="pt2", segments=3, clips=WantedClips(workers=0))
    export_file(folder, tmp_path / "pt2", wanted, say=said.append)
    assert any("temperatures are left out" in line for line in said)
    with pytest.raises(MareyError, match="carries no temperatures"):
        load(tmp_path / "pt2", calibrated=True, trusted=True)


# --- the rule of decisions ------------------------------------------------------------------------


def test_a_rule_that_is_an_override_comes_along_and_an_older_run_has_none(
    place: Place, tmp_path: Path
) -> None:
    recipe = override(recipe_of(place), ["decision=MeanOfLast", "decision.answers=3"])
    run = run_of(recipe, tmp_path / "run")
    export_file(run, tmp_path / "pt2", WantedFile(to="pt2", clips=WantedClips(workers=0)))
    for folder in (run, tmp_path / "pt2"):
        assert usual_decision(load(folder, trusted=True)) == MeanOfLast(3)
    text = (run / "recipe.yaml").read_text()
    before = text[: text.index("decision:")]
    (run / "recipe.yaml").write_text(before)
    last = run / "checkpoints" / "last.pt"
    state = load_checkpoint(last)
    torch.save({**state, "recipe": before}, last)
    old = load(run)
    assert old.trained.recipe.decision is None
    assert usual_decision(old) == MeanOfLast(1)
