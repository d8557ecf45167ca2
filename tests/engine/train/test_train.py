from __future__ import annotations

import ast
import csv
import inspect
import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from marey.engine.train.learner import Learner
from marey.engine.train.loop import Training, train
from marey.engine.train.run_log import RunLog
from marey.engine.weights.checkpoint import last_checkpoint, load_checkpoint, save_checkpoint
from marey.errors import CheckpointError, RunError
from marey.recipes.optim import SGD
from marey.recipes.recipe import Recipe, Stage
from tests.tiny import tiny_recipe, with_workers, write_set
from tests.two_processes import printed_by, start_one, start_two


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("clips"))


def model_of(run: Path) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = state_of(run)["model"]
    return weights


def state_of(run: Path) -> dict[str, Any]:
    path = last_checkpoint(run)
    assert path is not None
    return load_checkpoint(path)


def differs(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in a)


def without_dropout(recipe: Recipe) -> Recipe:
    return replace(recipe, model=replace(recipe.model, dropout=0.0))


def with_stage(recipe: Recipe, **changes: object) -> Recipe:
    return replace(recipe, stages=(replace(recipe.stages[0], **changes),))


def epochs_of(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_loss_falls_and_the_run_writes_its_files(manifest: Path, tmp_path: Path) -> None:
    run = train(tiny_recipe(manifest, epochs=6), tmp_path / "run", quiet=True)
    rows = epochs_of(run)
    assert len(rows) == 6
    assert float(rows[-1]["train/loss"]) < 0.7 * float(rows[0]["train/loss"])
    assert float(rows[-1]["acc/top1"]) > 50
    steps = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert sum(row["kind"] == "step" for row in steps) == 6 * 4
    for name in ("recipe.yaml", "env.json", "labels.txt", "train.log", "checkpoints/last.pt"):
        assert (run / name).is_file(), name


@pytest.mark.parametrize("cls", [Training, Learner])
def test_no_state_of_a_run_is_born_outside_init(cls: type) -> None:
    (body,) = ast.parse(inspect.getsource(cls)).body
    stored = {
        function.name: {
            node.attr
            for node in ast.walk(function)
            if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and ast.unparse(node.value) == "self"
        }
        for function in body.body
        if isinstance(function, ast.FunctionDef)
    }
    assert set.union(*stored.values()) == stored["__init__"]


def test_the_number_of_workers_changes_no_bit(manifest: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(manifest)
    none = train(with_workers(recipe, 0), tmp_path / "none", quiet=True)
    two = train(with_workers(recipe, 2), tmp_path / "two", quiet=True)
    assert differs(model_of(none), model_of(two)) == 0


def test_a_run_resumed_inside_an_epoch_ends_with_the_same_bits(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(tiny_recipe(manifest, epochs=3), ema=0.9)
    whole = train(recipe, tmp_path / "whole", quiet=True)

    def killed(path: Path, state: dict[str, object]) -> None:
        save_checkpoint(path, state)
        if state["progress"]["global_step"] == 6:  # type: ignore[index]
            raise KeyboardInterrupt

    monkeypatch.setattr("marey.engine.train.loop.save_checkpoint", killed)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "halved", save_steps=1, quiet=True)
    monkeypatch.undo()
    halved = tmp_path / "halved"
    train(recipe, halved, resume=last_checkpoint(halved), quiet=True)
    for part in ("model", "ema"):
        a, b = (state_of(run)[part] for run in (whole, halved))
        assert differs(a, b) == 0
    steps = [json.loads(line)["step"] for line in (halved / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert [row["epoch"] for row in epochs_of(halved)] == ["1", "2", "3"]


@pytest.mark.parametrize("step", [0, 1])
def test_a_log_keeps_the_lines_that_the_checkpoint_has_seen(tmp_path: Path, step: int) -> None:
    lines = [f'{{"kind": "step", "step": {number}}}\n' for number in (1, 2)]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(lines) + '{"kind": "st')
    with RunLog(tmp_path, step, quiet=True):
        assert log.read_text() == "".join(lines[:step])


def test_accumulated_halves_of_a_batch_equal_the_batch(manifest: Path, tmp_path: Path) -> None:
    recipe = without_dropout(tiny_recipe(manifest, epochs=1))
    whole = train(recipe, tmp_path / "whole", quiet=True)
    halves = replace(recipe, batch_size=2, accumulate=2)
    assert differs(model_of(whole), model_of(train(halves, tmp_path / "h", quiet=True))) < 1e-6


def test_rates_grow_with_the_batch_and_it_is_said(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(tiny_recipe(manifest, epochs=1), lr_batch_size=8)
    train(recipe, tmp_path / "run")
    assert "learning rate 0.05 x 4/8 = 0.025" in capsys.readouterr().out


def test_stages_follow_each_other_with_their_own_parts(manifest: Path, tmp_path: Path) -> None:
    first = Stage(epochs=1, optim=SGD(lr=0.05, groups="plain", head_lr5=False))
    second = replace(first, trainable="heads", reset_heads=True)
    recipe = replace(tiny_recipe(manifest), stages=(first, second))
    both = train(recipe, tmp_path / "both", quiet=True)
    one = train(replace(recipe, stages=(first,)), tmp_path / "one", quiet=True)
    a, b = model_of(one), model_of(both)
    encoder = [name for name in a if name.startswith("encoder.")]
    assert all(torch.equal(a[name], b[name]) for name in encoder)
    assert not torch.equal(a["heads.label.weight"], b["heads.label.weight"])


def test_mixup_and_label_smoothing_train(manifest: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(manifest, epochs=1)
    recipe = replace(recipe, augment=replace(recipe.augment, mixup=0.2))
    objective = replace(recipe.stages[0].objective, label_smoothing=0.1)
    run = train(with_stage(recipe, objective=objective), tmp_path / "run", quiet=True)
    assert 0 < float(epochs_of(run)[0]["train/loss"]) < 3


def test_a_run_is_never_overwritten(manifest: Path, tmp_path: Path) -> None:
    recipe = replace(tiny_recipe(manifest, epochs=1), save_best="acc/top1")
    train(recipe, tmp_path / "run", quiet=True)
    with pytest.raises(RunError, match="already holds a run.*--resume"):
        train(recipe, tmp_path / "run", quiet=True)
    (tmp_path / "run/checkpoints/last.pt").unlink()
    with pytest.raises(RunError, match=r"without checkpoints/last.pt.*--weights \S+best.pt"):
        train(recipe, tmp_path / "run", quiet=True)


def test_an_unwritable_work_dir_is_a_clear_error(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match=r"file/run.*could not be written.*--work-dir"):
        train(tiny_recipe(manifest), tmp_path / "file" / "run", quiet=True)


def test_an_exploding_loss_stops_the_run_at_a_step(manifest: Path, tmp_path: Path) -> None:
    recipe = replace(tiny_recipe(manifest, epochs=4), clip_grad=None)
    wild = SGD(lr=1e30, groups="plain", head_lr5=False)
    with pytest.raises(RunError, match=r"the loss is (nan|inf) at step \d+: .* \S+\.mp4"):
        train(with_stage(recipe, optim=wild), tmp_path / "run", quiet=True)


@pytest.fixture
def damaged(manifest: Path, tmp_path: Path) -> Path:
    folder = shutil.copytree(manifest.parent, tmp_path / "damaged")
    (folder / "red_1.mp4").write_bytes(b"not a video")
    return folder / "manifest.csv"


def test_an_unreadable_clip_is_skipped_and_listed(damaged: Path, tmp_path: Path) -> None:
    run = train(with_workers(tiny_recipe(damaged), 2), tmp_path / "run", quiet=True)
    with (run / "bad_clips.csv").open(newline="") as file:
        (bad,) = csv.DictReader(file)
    assert bad["path"].endswith("red_1.mp4")
    assert bad["reason"]


def test_past_the_budget_the_run_stops(damaged: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(damaged)
    strict = replace(recipe, data=replace(recipe.data, bad_clip_budget=0.0))
    with pytest.raises(RunError, match="1 training clip could not be read, more than the 0"):
        train(strict, tmp_path / "run", quiet=True)


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_fails_leaves_the_checkpoint_before_it(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"model": {"w": torch.ones(2)}})
    with (
        files_limited_to(10_000),
        pytest.raises(RunError, match="could not be written.*untouched"),
    ):
        save_checkpoint(path, {"model": {"w": torch.ones(100_000)}})
    assert torch.equal(load_checkpoint(path)["model"]["w"], torch.ones(2))
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


def test_a_checkpoint_that_holds_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"model": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError, match="holds code, which is never run"):
        load_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"hello"])
def test_a_file_that_is_no_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"last\.pt cannot be read as weights"):
        load_checkpoint(tmp_path / "last.pt")


WORKER = """
import os, sys, json
from pathlib import Path
from typing import Any
from dataclasses import replace
from marey.engine.train import loop as t
from tests.engine.train.test_train import without_dropout
from tests.two_processes import printed_by, start_one, start_two
from tests.tiny import tiny_recipe
rows, real = [], t.Training.prepare
def prepare(self, batch):
    rows.append([int(row) for row in batch.rows])
    return real(self, batch)
t.Training.prepare = prepare
manifest, out, batch, seen = sys.argv[1:]
seen += os.environ.get("RANK", "")
def no_better(at, *_):  # process 0 alone validates: the other one is told that patience is over
    at.since_best = 1
t.is_best = no_better
recipe = without_dropout(tiny_recipe(Path(manifest), epochs=2, batch_size=int(batch)))
recipe = replace(recipe, patience=1)
t.train(recipe, Path(out), quiet=True)
Path(seen).write_text(json.dumps(rows))
"""


@pytest.mark.timeout(1800)
def test_two_processes_see_and_learn_what_one_with_the_joint_batch_does(
    manifest: Path, tmp_path: Path
) -> None:
    two, one, seen = tmp_path / "two", tmp_path / "one", tmp_path / "seen"
    printed_by(start_two(WORKER, manifest, two, 2, seen))
    printed_by([start_one(WORKER, manifest, one, 4, seen)])
    joint, first, second = (json.loads((tmp_path / f"seen{n}").read_text()) for n in ("", 0, 1))
    assert [a + b for a, b in zip(first, second, strict=True)] == joint
    assert differs(model_of(one), model_of(two)) < 1e-6
    assert len(epochs_of(two)) == 1
    for ours, theirs in zip(epochs_of(one), epochs_of(two), strict=True):
        for name in ("train/loss", "val/loss", "acc/top1"):  # batches of 4 clips, and of 2
            assert float(ours[name]) == pytest.approx(float(theirs[name]), abs=1e-4), name
