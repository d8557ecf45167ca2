"""Which epoch is kept as the best, and the numbers of rare classes while a run goes on."""

from __future__ import annotations

import csv
import math
import os
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.engine.inference.evaluate import Evaluation
from marey.engine.train.best_epoch import check_choice, is_best
from marey.engine.train.loop import train
from marey.engine.train.run_log import RunLog
from marey.engine.train.steps import Position
from marey.engine.train.stop_signals import Stopped
from marey.engine.weights.checkpoint import last_checkpoint, load_checkpoint
from marey.engine.weights.origin import origin_of
from marey.errors import RecipeError
from marey.metrics.catalog import METRICS, Metric, add_metric
from marey.models.video_model import Head
from marey.recipes.recipe import Recipe
from tests.tiny import CLASSES, tiny_recipe, write_clip

COUNTS = {"dark": 30, "red": 3, "green": 2, "blue": 1}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A long tail: one file a class, named as often as the class has clips."""
    folder = tmp_path_factory.mktemp("clips")
    lines = ["path,id,label,split,num_frames"]
    for label, name in enumerate(CLASSES):
        write_clip(folder / f"{name}.mp4", label)
        lines += [f"{name}.mp4,{name}{i},{label},train,6" for i in range(COUNTS[name])]
        lines += [f"{name}.mp4,{name}-{i},{label},val,6" for i in range(2)]
    (folder / "labels.txt").write_text("\n".join(CLASSES) + "\n", encoding="utf-8")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "manifest.csv"


def recipe_of(manifest: Path, save_best: str = "") -> Recipe:
    recipe = tiny_recipe(manifest, epochs=3)
    model = replace(recipe.model, heads=(Head("label", 4),))
    return replace(recipe, model=model, save_best=save_best, smooth=1)


def told(monkeypatch: pytest.MonkeyPatch, *metrics: dict[str, float]) -> None:
    """Every validation gives the next of these numbers."""
    by_epoch = iter(metrics)
    monkeypatch.setattr(Evaluation, "metrics", property(lambda _: next(by_epoch)))
    monkeypatch.setattr("marey.engine.train.start.check_choice", lambda *_: None)


def test_the_weights_at_the_end_are_the_model_unless_the_recipe_names_a_number(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [
        {"loss": 0.1, "acc/few": 10.0},
        {"loss": 0.2, "acc/few": 30.0},
        {"loss": 0.3, "acc/few": 20.0},
    ]
    told(monkeypatch, *numbers * 2)
    run = train(recipe_of(manifest, "acc/few"), tmp_path / "best", quiet=True)
    assert load_checkpoint(run / "checkpoints" / "best.pt")["progress"]["epoch"] == 2
    assert origin_of(run).chosen.in_words() == (
        "weights of epoch 2 of 3, chosen by acc/few on split val"
    )
    end = train(recipe_of(manifest), tmp_path / "end", quiet=True)
    assert [path.name for path in (end / "checkpoints").iterdir()] == ["last.pt"]
    found = origin_of(end)
    assert found.file.name == "last.pt"
    assert (found.chosen.how, found.chosen.epoch, found.chosen.by) == ("end", 3, "")
    assert "  weights at the end of training, epoch 3 of 3" in (end / "train.log").read_text()
    train(recipe_of(manifest), run, resume=run / "checkpoints" / "last.pt", quiet=True)
    assert origin_of(run).file.name == "last.pt"  # no epoch is to be chosen any more


def test_a_stage_ends_when_the_loss_has_not_got_better_and_stays_ended(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(recipe_of(manifest), patience=2)
    stages = (replace(recipe.stages[0], epochs=9), replace(recipe.stages[0], epochs=1))
    recipe = replace(recipe, stages=stages)
    losses = [{"loss": loss} for loss in (0.9, 0.5, 0.5, 0.6, 0.4)]

    def run_of(name: str, *numbers: dict[str, float], stop_after: int = 99) -> Path:
        told(monkeypatch, *numbers)
        real = RunLog.epoch

        def epoch(self: RunLog, metrics: dict[str, float]) -> None:
            real(self, metrics)
            if metrics["epoch"] == stop_after:
                os.kill(os.getpid(), signal.SIGTERM)

        monkeypatch.setattr(RunLog, "epoch", epoch)
        folder = tmp_path / name
        last = last_checkpoint(folder)
        with suppress(Stopped):
            train(recipe, folder, resume=last, quiet=True)
        monkeypatch.setattr(RunLog, "epoch", real)
        return folder

    whole = run_of("whole", *losses)
    run_of("halved", *losses[:4], stop_after=3)
    halved = run_of("halved", *losses[3:])
    ours, theirs = (load_checkpoint(run / "checkpoints" / "last.pt") for run in (whole, halved))
    assert [row["epoch"] for row in ours["epochs"]] == [1, 2, 3, 4, 5]
    assert ours["progress"] == theirs["progress"]
    assert all(torch.equal(ours["model"][name], w) for name, w in theirs["model"].items())
    assert "stage 0 ends after 4 of 9 epochs: val/loss" in (halved / "train.log").read_text()
    found = origin_of(halved).chosen
    assert (found.how, found.epoch, found.epochs) == ("end", 5, 10)  # of the last stage
    run_of("whole")  # it is over: nothing is validated again


def test_every_epoch_says_how_the_rare_classes_do(manifest: Path, tmp_path: Path) -> None:
    run = train(recipe_of(manifest, "acc/few"), tmp_path / "run", quiet=True)
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    for row in rows:
        head, few = (float(row[f"acc/{group}"]) for group in ("head", "few"))
        assert float(row["acc/class_avg"]) == pytest.approx((head + 3 * few) / 4, abs=1e-3)
        assert row["acc/tail"] == ""  # no class is: the cell of what nothing tests is empty
    assert "acc/few" in (run / "train.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["", "val/loss", "acc/top1", "acc/class_avg", "acc/few"])
def test_numbers_that_the_clips_have_are_known_before_the_first_step(
    manifest: Path, name: str
) -> None:
    clips = [read_manifest(manifest, split=split) for split in ("train", "val")]
    check_choice(recipe_of(manifest, name), *clips)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("acc/feww", "save_best is 'acc/feww', which these clips do not have.*'acc/few'"),
        ("train/loss", "which these clips do not have.*did you mean 'val/loss'"),
        ("acc/top5", "which these clips do not have.*'acc/top1'"),
    ],
)
def test_a_number_that_they_lack_is_refused_before_anything_is_written(
    manifest: Path, tmp_path: Path, name: str, reason: str
) -> None:
    with pytest.raises(RecipeError, match=reason):
        train(recipe_of(manifest, name), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_without_clips_to_validate_on_there_is_no_best(manifest: Path) -> None:
    with pytest.raises(RecipeError, match="no clips to validate on.*data.val=MANIFEST"):
        check_choice(recipe_of(manifest, "acc/few"), read_manifest(manifest), None)
    with pytest.raises(RecipeError, match="patience is 3, but there are no clips to validate on"):
        check_choice(replace(recipe_of(manifest), patience=3), read_manifest(manifest), None)


def test_several_heads_carry_their_names_and_several_labels_have_precisions(tmp_path: Path) -> None:
    path = tmp_path / "clips.csv"
    for number in range(4):
        (tmp_path / f"{number}.mp4").touch()
    path.write_text(
        "path,verb,noun,split\n0.mp4,0,1,train\n1.mp4,0,0,train\n2.mp4,1,1,train\n3.mp4,0,1,val\n"
    )
    heads = {"verb": 2, "noun": 2}
    clips = [read_manifest(path, split=split, heads=heads) for split in ("train", "val")]
    recipe = recipe_of(path)
    two = replace(recipe, model=replace(recipe.model, heads=tuple(map(Head, heads, (2, 2)))))
    for name in ("acc/top1", "noun/acc/class_avg", "verb/acc/few"):
        check_choice(replace(two, save_best=name), *clips)
    with pytest.raises(RecipeError, match="save_best is 'acc/few'.*did you mean 'verb/acc/few'"):
        check_choice(replace(two, save_best="acc/few"), *clips)
    several = [labelled_twice(each) for each in clips]
    check_choice(replace(two, save_best="verb/mAP"), *several)


def labelled_twice(clips: Manifest) -> Manifest:
    """The same clips, each of both classes."""
    both = np.ones((len(clips), 2), bool)
    return clips.with_columns(dict.fromkeys(clips.labels, both))


def best_of(numbers: list[float], name: str = "acc/top1", smooth: int = 1) -> list[bool]:
    recipe = replace(recipe_of(Path("none"), name), smooth=smooth)
    at = Position()
    return [is_best(at, {name or "loss": number}, recipe) for number in numbers]


def test_means_of_several_validations_are_compared_and_of_equal_ones_the_later_is_best() -> None:
    assert best_of([50, 58, 50, 62, 58, 58], smooth=3) == [True] * 4 + [True, True]
    assert best_of([90, 50, 50, 50, 40], smooth=3) == [True, True, True, False, False]
    assert best_of([50, 60, 60, 55]) == [True, True, False, False]  # as published
    assert best_of([50, math.nan, 40, 60]) == [True, False, False, True]
    assert not is_best(Position(), {}, recipe_of(Path("none"), "acc/top1"))


def test_an_equal_number_is_no_better_one_where_a_stage_is_waited_for() -> None:
    at, recipe = Position(), recipe_of(Path("none"))
    waited = []
    for loss in (1.0, 0.5, 0.5, 0.6, 0.4):
        is_best(at, {"loss": loss}, recipe)
        waited.append(at.since_best)
    assert waited == [0, 0, 1, 2, 0]


def test_of_a_number_that_is_better_when_lower_the_lowest_is_best() -> None:
    metric = add_metric(Metric(key="off", title="off", higher_is_better=False))
    try:
        assert best_of([3, 2, 4], "off") == [True, True, False]
        assert best_of([3, 2, 4], "verb/off") == [True, True, False]
    finally:
        METRICS.remove(metric)
