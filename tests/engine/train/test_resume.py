"""A run that goes on: with what it was, with what may change, and never with what would mix two."""

from __future__ import annotations

import csv
import json
import resource
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from marey.engine.train.loop import Training, train
from marey.engine.weights.checkpoint import load_checkpoint, save_checkpoint
from marey.errors import CheckpointError, MareyError, RecipeError, RunError
from marey.recipes.recipe import Recipe
from marey.recipes.schema import override
from tests.tiny import tiny_recipe, write_set

STEPS = 4
"""Of an epoch: 16 clips by 4."""


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def recipe(manifest: Path) -> Recipe:
    return replace(tiny_recipe(manifest, epochs=3), save_best="acc/top1", smooth=1)


@pytest.fixture(scope="module")
def whole(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing interrupts."""
    return train(recipe, tmp_path_factory.mktemp("runs") / "whole", quiet=True)


@pytest.fixture(scope="module")
def killed(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that was killed after step 2 of epoch 2."""
    return kill(recipe, tmp_path_factory.mktemp("runs") / "killed", after_save=at_step(6))


@pytest.fixture
def run(killed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(killed, tmp_path / "run")


Saves = Callable[[Path, dict[str, Any]], bool]


def at_step(step: int) -> Saves:
    return lambda path, state: path.name == "last.pt" and state["progress"]["global_step"] == step


def kill(recipe: Recipe, folder: Path, *, after_save: Saves) -> Path:
    """Train, and end as soon as a checkpoint was saved that is `after_save`."""

    def save(path: Path, state: dict[str, Any]) -> None:
        save_checkpoint(path, state)
        if after_save(path, state):
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("marey.engine.train.loop.save_checkpoint", save)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, folder, save_steps=1, quiet=True)
    return folder


def last(run: Path) -> Path:
    return run / "checkpoints" / "last.pt"


def go_on(run: Path, recipe: Recipe, *changes: str, quiet: bool = True) -> dict[str, Any]:
    """Resume the run; its last checkpoint."""
    train(override(recipe, changes), run, resume=last(run), quiet=quiet)
    return load_checkpoint(last(run))


def rows_of(run: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv without times, which no two runs have in common."""
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    times = ("clips_per_second", "data_wait")
    return [{k: v for k, v in row.items() if k not in times} for row in rows]


def edit(run: Path, **changes: Any) -> None:
    """Change entries of last.pt; None takes one away."""
    state = load_checkpoint(last(run)) | changes
    save_checkpoint(last(run), {k: v for k, v in state.items() if v is not None or k == "ema"})


# --- the logs -------------------------------------------------------------------------------------


def test_the_loss_of_a_resumed_epoch_is_that_of_all_its_steps(
    run: Path, whole: Path, recipe: Recipe
) -> None:
    go_on(run, recipe)
    assert rows_of(run) == rows_of(whole)


def test_an_epoch_stands_once_where_the_kill_came_between_its_row_and_its_save(
    whole: Path, recipe: Recipe, tmp_path: Path
) -> None:
    run = kill(recipe, tmp_path / "run", after_save=lambda path, _: path.name == "best.pt")
    assert load_checkpoint(last(run))["progress"]["step"] == STEPS
    assert len(rows_of(run)) == 1
    go_on(run, recipe)
    assert rows_of(run) == rows_of(whole)
    lines = map(json.loads, (run / "log.jsonl").read_text(encoding="utf-8").splitlines())
    kinds = [(line["kind"], line["step"]) for line in lines]
    assert kinds == sorted(set(kinds), key=lambda pair: (pair[1], pair[0] == "epoch"))
    assert sum(kind == "epoch" for kind, _ in kinds) == 3


def test_the_row_of_a_stage_without_epochs_is_another(recipe: Recipe, tmp_path: Path) -> None:
    first = replace(recipe.stages[0], epochs=1)
    two = replace(recipe, stages=(first, replace(first, epochs=0, normalize_heads=1.0)))
    run = train(two, tmp_path / "run", quiet=True)
    kept = {name: (run / name).read_bytes() for name in ("metrics.csv", "log.jsonl")}
    assert len(rows_of(run)) == 2
    go_on(run, two)
    assert kept == {name: (run / name).read_bytes() for name in kept}


def damaged(run: Path) -> None:
    metrics, log = run / "metrics.csv", run / "log.jsonl"
    header, row, *_ = metrics.read_text(encoding="utf-8").splitlines()
    metrics.write_text(f"\ufeff{header}\n{row[:-5]}2,8,0.1\n2,8,0.0", encoding="utf-8")
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"\xef\xbb\xbf" + lines[0][:9] + b"".join(lines) + lines[3] + b'{"ki\0\0\0')
    (run / "train.log").write_bytes((run / "train.log").read_bytes() + b"2026-01-01 re\0\0")


def lost(run: Path) -> None:
    for name in ("metrics.csv", "log.jsonl", "train.log", "labels.txt", "recipe.yaml"):
        (run / name).write_bytes(b"")


@pytest.mark.parametrize("fault", [damaged, lost])
def test_logs_are_mended_from_the_checkpoint(
    fault: Callable[[Path], None], run: Path, whole: Path, recipe: Recipe
) -> None:
    fault(run)
    go_on(run, recipe)
    assert rows_of(run) == rows_of(whole)
    lines = map(json.loads, (run / "log.jsonl").read_text(encoding="utf-8").splitlines())
    steps = [line["step"] for line in lines if line["kind"] == "step"]
    assert steps == list(range(1 if fault is damaged else 7, 3 * STEPS + 1))
    assert all(line[:2] == "20" for line in (run / "train.log").read_text().splitlines())
    for name in ("labels.txt", "recipe.yaml"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()


# --- what may change ------------------------------------------------------------------------------


def test_another_rate_and_decay_are_used(run: Path, recipe: Recipe) -> None:
    before = load_checkpoint(last(run))["model"]
    changes = ("stages.0.optim.lr=1e-12", "stages.0.optim.weight_decay=0.25")
    after = go_on(run, recipe, *changes)
    (group, _) = after["optimizer"]["param_groups"]
    assert (group["base_lr"], group["weight_decay"], group["momentum"]) == (1e-12, 0.25, 0.9)
    assert max(float((before[k] - v).abs().max()) for k, v in after["model"].items()) < 1e-9
    assert "stages.0.optim.lr 0.05 -> 1e-12" in (run / "train.log").read_text(encoding="utf-8")


def test_after_a_loss_that_is_no_number_a_lower_rate_goes_on(
    recipe: Recipe, tmp_path: Path
) -> None:
    wild = override(recipe, ["stages.0.optim.lr=1e30", "clip_grad=null"])
    with pytest.raises(RunError, match="the loss is"):
        train(wild, tmp_path / "run", quiet=True)
    assert go_on(tmp_path / "run", recipe)["progress"]["epoch"] == 3


def seen_by(run: Path, recipe: Recipe, *changes: str) -> list[list[int]]:
    """The rows of each step that is left."""
    rows, real = [], Training.prepare

    def prepare(self: Training, batch: Any) -> Any:
        rows.append(batch.rows.tolist())
        return real(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "prepare", prepare)
        go_on(run, recipe, *changes)
    return rows


def test_steps_of_another_size_go_on_where_the_clips_end_that_were_seen(
    killed: Path, recipe: Recipe, tmp_path: Path
) -> None:
    same, twice = (shutil.copytree(killed, tmp_path / name) for name in ("same", "twice"))
    fours, eights = seen_by(same, recipe), seen_by(twice, recipe, "batch_size=8")
    assert [a + b for a, b in zip(fours[::2], fours[1::2], strict=True)] == eights


def test_the_rate_is_that_of_the_processes_there_are_now(run: Path, recipe: Recipe) -> None:
    scaled = replace(recipe, lr_batch_size=8)
    edit(run, clips_a_step=8)  # as two processes left it, of which each took four
    after = go_on(run, scaled, "stages.0.schedule=StepDecay")
    assert {group["base_lr"] for group in after["optimizer"]["param_groups"]} == {0.05 * 4 / 8}
    assert after["progress"]["global_step"] == 6 + STEPS  # 2 of 8 clips each are epoch 2


def test_another_measure_chooses_the_best_anew(run: Path, recipe: Recipe) -> None:
    edit(run, progress=load_checkpoint(last(run))["progress"] | {"best": 1e9})
    after = go_on(run, recipe, "save_best=acc/class_avg")
    assert after["progress"]["best"] <= 100
    assert "best.pt is chosen anew" in (run / "train.log").read_text(encoding="utf-8")


# --- what may not ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("ema=0.9", "ema none -> 0.9: the average"),
        ("seed=1", "seed 0 -> 1: the order of the clips"),
        ("weights=x.pt", "weights .* a run takes them when it begins"),
        ("model.temporal=[TSM]", r"model.temporal .*: the weights are those of this model"),
        ("stages.0.optim={AdamW: {}}", "stages.0.optim SGD -> AdamW: .* of this kind"),
        ("stages.0.optim.groups=tsm", "stages.0.optim.groups plain -> tsm: .* these groups"),
        ("stages.0.objective={LMR: {}}", "stages.0.objective CrossEntropy -> LMR"),
        ("stages.0.trainable=heads", "stages.0.trainable all -> heads: the optimiser"),
        ("stages.0.trainable=scales", "stages.0.trainable all -> scales"),
        ("stages.0.sampler=SquareRoot", "stages.0.sampler"),
        ("stages.0.epochs=1", "stages.0.epochs is 1, the run has begun epoch 2"),
    ],
)
def test_what_the_checkpoint_depends_on_is_refused(
    change: str, message: str, run: Path, recipe: Recipe
) -> None:
    with pytest.raises(RecipeError, match=message):
        go_on(run, recipe, change)
    assert rows_of(run)


@pytest.fixture
def others(manifest: Path, tmp_path: Path) -> Path:
    """The same clips in another folder."""
    return shutil.copytree(manifest.parent, tmp_path / "elsewhere") / "manifest.csv"


def lines_of(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    lines = change(path.read_text(encoding="utf-8").splitlines())
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def one_clip_less(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("red_1")]


def another_label(lines: list[str]) -> list[str]:
    return [line.replace("red_1.mp4,1", "red_1.mp4,2") for line in lines]


def another_order(lines: list[str]) -> list[str]:
    return [lines[0], lines[2], lines[1], *lines[3:]]


def no_val_of_red(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("red_4")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (one_clip_less, "training clips changed .*: there were 16 clips and are 15"),
        (another_label, "training clips changed .*: the labels are others"),
        (another_order, "training clips changed .*: the clips are others, or in another order"),
        (no_val_of_red, "validation clips changed .*: there were 8 clips and are 7"),
    ],
)
def test_other_clips_are_refused(
    change: Callable[[list[str]], list[str]],
    message: str,
    killed: Path,
    others: Path,
    recipe: Recipe,
    tmp_path: Path,
) -> None:
    run, moved = shutil.copytree(killed, tmp_path / "run"), recipe.with_data(str(others))
    state = load_checkpoint(last(run))
    edit(run, recipe=state["recipe"].replace(recipe.data.train, str(others)))
    lines_of(others, change)
    with pytest.raises(RunError, match=message):
        go_on(run, moved)


@pytest.mark.parametrize("older", [False, True])
def test_classes_in_another_order_are_refused(
    older: bool, run: Path, others: Path, recipe: Recipe
) -> None:
    if older:
        edit(run, data=None)
    lines_of(others.with_name("labels.txt"), lambda lines: lines[::-1])
    with pytest.raises(RunError, match="class 0 of 'label' was 'dark' and is 'blue'"):
        go_on(run, recipe.with_data(str(others)))


def test_the_same_clips_may_lie_elsewhere_and_other_clips_validate(
    run: Path, others: Path, recipe: Recipe, tmp_path: Path
) -> None:
    fewer = shutil.copy(others, others.with_name("fewer.csv"))
    lines_of(Path(fewer), no_val_of_red)
    go_on(run, recipe.with_data(str(others), val=str(fewer)))
    said = (run / "train.log").read_text(encoding="utf-8")
    assert "validated on other clips from here on: there were 8 clips and are 7" in said


def test_a_run_of_an_older_marey_goes_on_and_it_is_said(
    run: Path, whole: Path, recipe: Recipe
) -> None:
    edit(run, data=None, epochs=None, totals=None, clips_a_step=None)
    go_on(run, recipe)
    assert "does not say which clips it saw" in (run / "train.log").read_text(encoding="utf-8")
    assert [row["epoch"] for row in rows_of(run)] == ["1", "2", "3"]
    assert rows_of(run)[0] == rows_of(whole)[0]


def test_a_model_to_use_is_no_state_to_go_on_from(run: Path, recipe: Recipe) -> None:
    best = run / "checkpoints" / "best.pt"
    with pytest.raises(CheckpointError, match="holds no run to go on with: .*--weights"):
        train(recipe, run, resume=best, quiet=True)


def test_a_damaged_checkpoint_names_what_there_is_besides(run: Path, recipe: Recipe) -> None:
    last = run / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"cut short.*marey train .*run --weights .*best.pt"):
        train(recipe, run, resume=last, quiet=True)


def test_a_checkpoint_goes_on_in_its_own_folder_or_a_new_one(
    run: Path, whole: Path, recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="is not a checkpoint of the run in"):
        train(recipe, run, resume=last(whole), quiet=True)
    train(recipe, tmp_path / "new", resume=last(whole), quiet=True)
    assert rows_of(tmp_path / "new") == rows_of(whole)


def no_momentum(state: dict[str, Any]) -> None:
    state["optimizer"]["param_groups"] = state["optimizer"]["param_groups"][:1]


def no_optimizer(state: dict[str, Any]) -> None:
    state["optimizer"] = {}


def other_objective(state: dict[str, Any]) -> None:
    state["objective"] = {"memory": torch.ones(2)}


@pytest.mark.parametrize("change", [no_momentum, no_optimizer, other_objective])
def test_a_state_that_is_not_that_of_the_run_is_an_error(
    change: Callable[[dict[str, Any]], None], run: Path, recipe: Recipe
) -> None:
    state = load_checkpoint(last(run))
    change(state)
    save_checkpoint(last(run), state)
    with pytest.raises((CheckpointError, RunError), match="checkpoint|no state of this run"):
        go_on(run, recipe)


def test_a_write_that_fails_is_named_and_the_run_goes_on_when_there_is_space(
    run: Path, whole: Path, recipe: Recipe
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(RunError, match=r"run/\S+ could not be written: .*File too large"):
            go_on(run, recipe)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    go_on(run, recipe)
    assert rows_of(run) == rows_of(whole)


@pytest.mark.parametrize("entry", ["progress", "totals", "epochs", "data", "clips_a_step"])
def test_an_entry_that_is_not_what_it_should_be_is_named(
    entry: str, run: Path, recipe: Recipe
) -> None:
    edit(run, **{entry: "lots"})
    with pytest.raises(MareyError, match=rf"last\.pt: {entry}.* is 'lots'"):
        go_on(run, recipe)
    assert torch.load(last(run))["epochs"]
