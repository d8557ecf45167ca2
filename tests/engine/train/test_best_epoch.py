"""Which epoch is kept as the best, and the numbers of rare classes while a run goes on."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.engine.inference.evaluate import Evaluation
from marey.engine.train.best_epoch import check_save_best, worth
from marey.engine.train.loop import train
from marey.engine.weights.checkpoint import load_checkpoint
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
    return replace(recipe, model=model, save_best=save_best)


def test_the_best_checkpoint_is_that_of_the_number_the_recipe_names(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_epoch = iter(
        [
            {"acc/top1": 50, "acc/few": 10},
            {"acc/top1": 40, "acc/few": 30},
            {"acc/top1": 60, "acc/few": 20},
        ]
        * 2
    )
    monkeypatch.setattr(Evaluation, "metrics", property(lambda _: next(by_epoch)))
    monkeypatch.setattr("marey.engine.train.start.check_save_best", lambda *_: None)
    for name, epoch in (("acc/few", 2), ("", 3)):
        run = train(recipe_of(manifest, name), tmp_path / f"run{epoch}", quiet=True)
        assert load_checkpoint(run / "checkpoints" / "best.pt")["progress"]["epoch"] == epoch


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


@pytest.mark.parametrize("name", ["", "acc/top1", "acc/class_avg", "acc/head", "acc/few"])
def test_numbers_that_the_clips_have_are_known_before_the_first_step(
    manifest: Path, name: str
) -> None:
    clips = [read_manifest(manifest, split=split) for split in ("train", "val")]
    check_save_best(recipe_of(manifest, name), *clips)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("acc/feww", "save_best is 'acc/feww', which these clips do not have.*'acc/few'"),
        ("loss", "which these clips do not have.*acc/top1, acc/class_avg"),
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
        check_save_best(recipe_of(manifest, "acc/few"), read_manifest(manifest), None)


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
        check_save_best(replace(two, save_best=name), *clips)
    with pytest.raises(RecipeError, match="save_best is 'acc/few'.*did you mean 'verb/acc/few'"):
        check_save_best(replace(two, save_best="acc/few"), *clips)
    several = [labelled_twice(each) for each in clips]
    check_save_best(replace(two, save_best="verb/mAP"), *several)


def labelled_twice(clips: Manifest) -> Manifest:
    """The same clips, each of both classes."""
    both = np.ones((len(clips), 2), bool)
    return clips.with_columns(dict.fromkeys(clips.labels, both))


def test_what_is_best_falls_back_on_what_there_is() -> None:
    assert worth({"acc/top1": 3.0, "acc/few": 1.0}, "", 9.0) == 3.0
    assert worth({"mAP": 2.0, "hit@1": 1.0}, "", 9.0) == 2.0
    assert worth({}, "acc/few", 9.0) == 9.0
    assert worth({"verb/mAP": 2.0}, "", 9.0) == 9.0


def test_of_a_number_that_is_better_when_lower_the_lowest_is_best() -> None:
    metric = add_metric(Metric(key="off", title="off", higher_is_better=False))
    try:
        assert worth({"acc/top1": 3.0, "off": 2.0}, "off", 9.0) == -2.0
        assert worth({"verb/off": 2.0}, "verb/off", 9.0) == -2.0
    finally:
        METRICS.remove(metric)
