"""metrics.csv keeps every number of every head, and the columns of runs that began otherwise."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from marey.engine.train.epoch_table import add_epoch, mend_epochs, read_epochs
from marey.engine.train.loop import train
from marey.engine.train.run_log import RunLog
from marey.errors import RunError
from marey.models.video_model import Head
from marey.recipes.recipe import Recipe
from tests.tiny import tiny_recipe, write_set

OLD = "epoch,step,train/loss,lr,val/loss,acc/top1,acc/sideways\n1,2,0.5,0.1,0.7,50,33\n"
ROW = {"epoch": 2, "step": 4, "train/loss": 0.25, "lr": 0.1, "clips_per_second": 9.0}


@pytest.fixture(scope="module")
def two_heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny videos whose colours have a verb and a noun each; returns the manifest."""
    manifest = write_set(tmp_path_factory.mktemp("two"), per_class=2, val_per_class=1)
    lines = manifest.read_text().splitlines()
    rows = [line.split(",") for line in lines[1:]]
    (manifest.parent / "labels.txt").unlink()
    named = [f"{path},{int(c) // 2},{int(c) % 2},{split},{n}" for path, c, split, n in rows]
    manifest.write_text("\n".join(["path,verb,noun,split,num_frames", *named]) + "\n")
    return manifest


def recipe_of(manifest: Path, epochs: int = 1) -> Recipe:
    recipe = tiny_recipe(manifest, epochs=epochs)
    heads = Head("verb", 2), Head("noun", 2)
    return replace(recipe, model=replace(recipe.model, heads=heads))


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_numbers_of_each_head_and_the_validation_loss_are_kept(
    two_heads: Path, tmp_path: Path
) -> None:
    run = train(recipe_of(two_heads), tmp_path / "run", quiet=True)
    (row,) = rows_of(run)
    numbers = {name: float(text) for name, text in row.items()}
    assert numbers["val/loss"] == pytest.approx(
        numbers["verb/val/loss"] + numbers["noun/val/loss"], abs=1e-4
    )
    for name in ("acc/top1", "verb/acc/top1", "noun/acc/top1", "noun/acc/class_avg"):
        assert 0 <= numbers[name] <= 100
    line = json.loads((run / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert line["kind"] == "epoch"
    assert line["verb/val/loss"] == pytest.approx(numbers["verb/val/loss"], rel=1e-5)


def test_a_run_of_other_columns_is_resumed_and_keeps_its_rows(
    two_heads: Path, tmp_path: Path
) -> None:
    run = train(recipe_of(two_heads), tmp_path / "run", quiet=True)
    old = "epoch,step,train/loss,lr,acc/top1,acc/sideways\n1,2,0.5,0.1,50,33\n"
    (run / "metrics.csv").write_text(old, encoding="utf-8")
    last = run / "checkpoints" / "last.pt"
    train(recipe_of(two_heads, epochs=2), run, resume=last, quiet=True)
    first, second = rows_of(run)
    assert list(first)[:6] == old.splitlines()[0].split(",")
    assert (first["acc/top1"], first["acc/sideways"], first["verb/acc/top1"]) == ("50", "33", "")
    assert (second["epoch"], second["acc/sideways"]) == ("2", "")
    assert float(second["verb/acc/top1"]) >= 0


def test_new_columns_come_in_the_order_of_the_catalog_behind_the_old_ones(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(OLD, encoding="utf-8")
    row = ROW | {"verb/acc/few": 1.0, "mine": 2.0, "verb/acc/top1": 3.0, "acc/few": math.nan}
    add_epoch(tmp_path, row)
    old = OLD.splitlines()[0].split(",")
    new = ["clips_per_second", "acc/few", "verb/acc/top1", "verb/acc/few", "mine"]
    first, second = rows_of(tmp_path)
    assert list(first) == [*old, *new]
    assert first["acc/sideways"] == "33"
    assert (second["acc/sideways"], second["acc/few"], second["mine"]) == ("", "", "2")


def test_rows_after_the_step_and_one_cut_short_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(OLD + "2,4,0.25,0.1,,60,\n3,", encoding="utf-8")
    mend_epochs(tmp_path, 4, 2, None)
    assert [row["epoch"] for row in rows_of(tmp_path)] == ["1", "2"]
    mend_epochs(tmp_path, 2, 1, None)
    assert (tmp_path / "metrics.csv").read_text(encoding="utf-8") == OLD


def test_without_an_epoch_there_are_no_rows_and_no_file(tmp_path: Path) -> None:
    mend_epochs(tmp_path, 4, 2, None)
    assert read_epochs(tmp_path) == []
    assert not (tmp_path / "metrics.csv").exists()


def test_a_group_that_nothing_tests_is_empty_null_and_a_dash(tmp_path: Path) -> None:
    with RunLog(tmp_path, quiet=True) as log:
        log.epoch(ROW | {"data_wait": 0.1, "loss": 0.5, "acc/few": math.nan})
    (row,) = rows_of(tmp_path)
    assert (row["acc/few"], row["val/loss"], row["step"]) == ("", "0.5", "4")
    line = json.loads((tmp_path / "log.jsonl").read_text(encoding="utf-8"))
    assert (line["acc/few"], line["val/loss"]) == (None, 0.5)
    assert "val/loss 0.5  acc/few –" in (tmp_path / "train.log").read_text(encoding="utf-8")
    assert math.isnan(read_epochs(tmp_path)[0]["acc/few"])


def test_large_steps_are_whole(tmp_path: Path) -> None:
    add_epoch(tmp_path, ROW | {"step": 12_345_678})
    assert rows_of(tmp_path)[0]["step"] == "12345678"


def test_a_cell_that_is_no_number_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(OLD + "2,4,lots,,,,\n", encoding="utf-8")
    with pytest.raises(RunError, match=r"metrics\.csv:3: .*lots"):
        read_epochs(tmp_path)
