"""Validation within training: by views of its own, now and then, shared by all processes."""

from __future__ import annotations

import csv
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest
from marey.engine.inference.evaluate import Evaluation
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.inference.measures import TrainingCounts
from marey.engine.train import end_of_run
from marey.engine.train.distributed import World
from marey.engine.train.end_of_run import split_to_test, splits_to_test
from marey.engine.train.loop import Training, train
from marey.engine.train.saved import read_saved
from marey.engine.train.steps import Totals
from marey.engine.train.stop_signals import StopAsked, StopFlag, Stopped
from marey.engine.train.validation import (
    _rows,
    evaluate_together,
    unvalidated_in_words,
    validation_in_words,
)
from marey.engine.weights.checkpoint import last_checkpoint, load_checkpoint, save_checkpoint
from marey.errors import RecipeError
from marey.models.video_model import Head
from marey.recipes.catalog import find
from marey.recipes.compatible import built
from marey.recipes.recipe import Recipe, TestViews
from marey.recipes.schema import from_yaml, override, to_yaml
from marey.recipes.val_views import override_with_val
from marey.video.crops import CenterCrop, ThreeCrop
from marey.video.sampling.segments import AllFrames, Segments
from tests.tiny import tiny_recipe, write_set
from tests.two_processes import printed_by, start_two

STORED = Path(__file__).parents[2] / "stored" / "data"
SIX_VIEWS = TestViews(Segments(2, clips=2), ThreeCrop(32, resize=36))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("clips"), per_class=2)


def six_views(manifest: Path, **changes: object) -> Recipe:
    recipe = replace(tiny_recipe(manifest, epochs=5), test=SIX_VIEWS)
    return replace(recipe, **changes)  # type: ignore[arg-type]


def epochs_of(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def validated(run: Path) -> list[int]:
    return [int(row["epoch"]) for row in epochs_of(run) if row.get("val/loss")]


# --- views ----------------------------------------------------------------------------------------


def test_a_run_says_by_which_views_it_validates_and_what_that_costs(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(six_views(manifest, eval_every=5), tmp_path / "run", test=True)
    one = TestViews(Segments(2), CenterCrop(32, resize=36))
    assert from_yaml(Recipe, (run / "recipe.yaml").read_text()).val == one
    log = (run / "train.log").read_text()
    assert "validates every 5 epochs: 8 clips x 1 view; the test has 6 views" in log
    assert "testing checkpoints/last.pt on split val: 8 clips x 6 views" in log
    assert "clips are read by the process that trains (data.workers=0)" in log
    assert json.loads((run / "env.json").read_text())["workers"] == "0"
    _, again = evaluate_folder(EvalOptions(folder=run), tmp_path / "again")
    assert (run / "results" / "val" / "results.json").read_text() == again.read_text()
    assert (again.with_name("predictions.parquet")).read_bytes() == (
        run / "results" / "val" / "predictions.parquet"
    ).read_bytes()
    capsys.readouterr()


def test_what_validation_costs_in_words() -> None:
    dense = find("tsm-r50-8f-k400-dense")
    clips = range(24_777)
    said = "validates every epoch: 24,777 clips x 1 view; the test has 30 views"
    assert validation_in_words(dense, clips) == said  # type: ignore[arg-type]
    three = override_with_val(dense, ["val.crop=ThreeCrop", "eval_every=10"])
    assert "every 10 epochs: 24,777 clips x 3 views" in validation_in_words(three, clips)  # type: ignore[arg-type]
    assert "no clips validate" in validation_in_words(dense, None)


def test_the_test_is_on_split_test_where_there_is_one(manifest: Path, tmp_path: Path) -> None:
    assert split_to_test(tiny_recipe(manifest)) == "val"
    lines = manifest.read_text().splitlines()
    three = manifest.with_name("three.csv")
    three.write_text("\n".join([*lines[:-1], lines[-1].replace(",val,", ",test,")]) + "\n")
    assert splits_to_test(tiny_recipe(three)) == ["test", "val"]
    assert split_to_test(tiny_recipe(three)) == "test"
    assert split_to_test(tiny_recipe(manifest).with_data(str(manifest), str(three))) == "test"
    train_alone = manifest.with_name("train.csv")
    train_alone.write_text("\n".join(line for line in lines if ",val," not in line) + "\n")
    with pytest.raises(RecipeError, match="no clips to test on, of split test or val.*--test"):
        train(
            override(tiny_recipe(train_alone), ["data.val=''"]),
            tmp_path / "run",
            test=True,
            quiet=True,
        )
    assert not (tmp_path / "run").exists()


def test_a_run_of_an_earlier_version_goes_on_with_its_test_views(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = six_views(manifest)
    run = train(override(recipe, ["stages.0.epochs=1"]), tmp_path / "run", quiet=True)
    last = last_checkpoint(run)
    assert last is not None
    state = load_checkpoint(last)
    text = to_yaml(replace(from_yaml(Recipe, state["recipe"]), val=None))
    old = "\n".join(line for line in text.splitlines() if not line.startswith(("val:", "eval_")))
    save_checkpoint(last, state | {"recipe": old + "\n"})
    assert read_saved(last).recipe.val == SIX_VIEWS
    train(recipe, run, resume=last)
    assert from_yaml(Recipe, (run / "recipe.yaml").read_text()).val == SIX_VIEWS
    said = capsys.readouterr().out
    assert "changed since the run was saved: stages.0.epochs 1 -> 5" in said
    assert "8 clips x 6 views" in said
    assert "chosen anew" not in said


def test_other_views_choose_the_best_anew_and_other_test_views_do_not(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = six_views(manifest, save_best="acc/top1")
    run = train(override(recipe, ["stages.0.epochs=1"]), tmp_path / "run", quiet=True)

    def said(*changes: str) -> str:
        now = from_yaml(Recipe, (run / "recipe.yaml").read_text())
        train(override(now, changes), run, resume=last_checkpoint(run))
        return capsys.readouterr().out

    text = said("test.crop=CenterCrop", "eval_every=3")
    assert "saved: test.crop ThreeCrop -> CenterCrop, eval_every 1 -> 3" in text
    assert "chosen anew" not in text
    text = said("val.crop=ThreeCrop", "stages.0.epochs=2")
    assert "val.crop CenterCrop -> ThreeCrop, eval_every" in text
    assert "best.pt is chosen anew" in text
    assert validated(run) == [1, 2]


# --- now and then ---------------------------------------------------------------------------------


def test_epochs_between_have_no_numbers_and_are_never_the_best(
    manifest: Path, tmp_path: Path
) -> None:
    first = tiny_recipe(manifest, epochs=5).stages[0]
    recipe = six_views(manifest, eval_every=2, stages=(first, replace(first, epochs=0)))
    run = train(recipe, tmp_path / "run", quiet=True)
    rows = epochs_of(run)
    assert validated(run) == [2, 4, 5, 5]  # the last of each stage, too
    assert [row["train/loss"] != "" for row in rows] == [True] * 5 + [False]
    facts = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    told = [fact["epoch"] for fact in facts if fact["kind"] == "epoch" and "acc/top1" in fact]
    assert told == [2, 4, 5, 5]


def test_the_speed_of_an_epoch_is_that_of_training_alone(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    real = Totals.means

    def means(self: Totals, world_size: int) -> dict[str, float]:
        told.append("means")
        return real(self, world_size)

    def validated(*_: object, **__: object) -> dict[str, float]:
        told.append("validated")
        return {}

    monkeypatch.setattr("marey.engine.train.loop.validate", validated)
    monkeypatch.setattr(Totals, "means", means)
    train(tiny_recipe(manifest, epochs=1), tmp_path / "run", quiet=True)
    assert told[-2:] == ["means", "validated"]


def test_a_stop_in_validation_saves_the_time_of_training_alone(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, passed = time.monotonic, [0.0]

    def stopped_after_an_hour(*_: object, **__: object) -> dict[str, float]:
        passed[0] = 3600
        raise StopAsked

    monkeypatch.setattr("marey.engine.train.steps.time.monotonic", lambda: real() + passed[0])
    monkeypatch.setattr("marey.engine.train.loop.validate", stopped_after_an_hour)
    with pytest.raises(Stopped):
        train(tiny_recipe(manifest, epochs=1), tmp_path / "run", quiet=True, device="cpu")
    saved = load_checkpoint(last_checkpoint(tmp_path / "run"))
    assert 0 < saved["totals"]["seconds"] < 3600


def test_a_run_that_is_killed_between_ends_as_one_that_was_not(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = six_views(manifest, eval_every=2, save_best="acc/top1", smooth=1)
    whole = train(recipe, tmp_path / "whole", quiet=True)
    real = Training.save

    def killed(self: Training, *, keep: bool = False) -> None:
        real(self, keep=keep)
        if self.at.epoch == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Training, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "halved", quiet=True)
    monkeypatch.setattr(Training, "save", real)
    halved = tmp_path / "halved"
    best = load_checkpoint(halved / "checkpoints" / "best.pt")["progress"]
    assert best["global_step"] == 4
    train(recipe, halved, resume=last_checkpoint(halved), quiet=True)
    timeless = [
        [{k: v for k, v in row.items() if k not in ("clips_per_second", "data_wait")} for row in of]
        for of in (epochs_of(whole), epochs_of(halved))
    ]
    assert timeless[0] == timeless[1]


# --- shared ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_clips", [0, 1, 2, 5, 8, 9])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_processes_share_whole_batches(num_clips: int, size: int) -> None:
    shares = [_rows(num_clips, 2, rank, size).tolist() for rank in range(size)]
    assert sorted(row for rows in shares for row in rows) == list(range(num_clips))
    batches = {tuple(rows[i : i + 2]) for rows in shares for i in range(0, len(rows), 2)}
    assert batches == {tuple(range(i, min(i + 2, num_clips))) for i in range(0, num_clips, 2)}


def cases(broken: Path) -> dict[str, tuple[Recipe, str]]:
    """Recipes with a manifest each: more clips than two batches with one that is none, and fewer
    clips than processes, of two heads, of several classes, of features."""
    heads = (Head("verb", 3), Head("noun", 2))
    features = find("features-mlp")
    encoder = replace(features.model.encoder, dim=8)  # type: ignore[type-var]
    model = replace(features.model, encoder=encoder, heads=(Head("label", 2),))
    return {
        "broken": (of_heads(broken, Head("label", 4)), "val"),
        "one clip": (of_heads(STORED / "manifest.csv", Head("label", 2)), "val"),
        "two heads": (of_heads(STORED / "heads.csv", *heads), "train"),
        "several": (of_heads(STORED / "several.csv", Head("label", 2, several=True)), "train"),
        "features": (
            replace(
                features.with_data(str(STORED.parent / "features.arrow")),
                model=model,
                batch_size=2,
                test=replace(features.test, sampling=AllFrames()),
            ),
            "train",
        ),
    }


def of_heads(manifest: Path, *heads: Head) -> Recipe:
    recipe = tiny_recipe(manifest, batch_size=2)
    return replace(recipe, test=SIX_VIEWS, model=replace(recipe.model, heads=heads))


def found(recipe: Recipe, split: str, world: World) -> Evaluation | None:
    torch.manual_seed(5)
    clips = read_manifest(recipe.data.train, split=split)
    heads = [head.name for head in recipe.model.heads if head.several]
    return evaluate_together(
        built(recipe.model).eval(),
        clips.with_several(heads),
        recipe,
        trained_on=TrainingCounts(),
        world=world,
        stop=StopFlag(),
    )


def told(evaluation: Evaluation | None) -> object:
    """Scores to the bit, missing clips and numbers; of clips in order."""
    if evaluation is None:
        return None
    scores = {head: values.tolist() for head, values in evaluation.scores.items()}
    missing = dict(sorted(evaluation.missing.items()))
    return repr([scores, missing, evaluation.metrics])


SCRIPT = """
import json, sys
from pathlib import Path
import torch
from marey.engine.train import distributed
from marey.engine.train.distributed import join_world
from marey.engine.train.stop_signals import StopAsked
from marey.errors import RunError
from tests.engine.train.test_validation import cases, found, told

distributed.BEAT_SECONDS = 0.0

def work(rank, beats, error=None):
    def of(beat):
        for _ in range(beats if world.rank == rank else 1):
            beat()
        if error is not None and world.rank == rank:
            raise error
        if error is not None:
            while True:  # until the other one has failed
                beat()
        return f"by {world.rank}"
    return of

def outcome(work):
    try:
        return world.side_by_side(work)
    except (RunError, StopAsked) as error:
        return f"{type(error).__name__}: {error}"

with join_world("cpu") as world:
    no_clip = RunError("no clip", "look")
    jobs = [work(0, 4), work(1, 4), work(1, 2, no_clip), work(0, 2, StopAsked())]
    said = {"outcomes": [outcome(each) for each in jobs]}
    norm = torch.nn.BatchNorm1d(2)
    norm.running_mean.fill_(world.rank + 3.0)
    world.share_buffers(norm)
    said["statistics"] = norm.running_mean.tolist()
    said["cases"] = {
        name: told(found(*case, world)) for name, case in cases(Path(sys.argv[1])).items()
    }
    print(json.dumps(said))
"""


@pytest.mark.timeout(1800)
def test_two_processes_share_clips_and_fate(tmp_path: Path) -> None:
    broken = write_set(tmp_path, per_class=0, val_per_class=2)
    lines = broken.read_text().splitlines()
    broken.write_text("\n".join([*lines, lines[1].replace("dark_0", "none")]) + "\n")
    (tmp_path / "none.mp4").write_bytes(b"no film")
    alone = {name: told(found(*case, World())) for name, case in cases(broken).items()}
    main, other = map(json.loads, printed_by(start_two(SCRIPT, broken)))
    both = ["by 0", "by 1"]
    assert main["outcomes"] == [both, both, "RunError: no clip. hint: look", "StopAsked: "]
    assert other["outcomes"] == [both, both, "ToldError: no clip. hint: look", "StopAsked: "]
    assert main["statistics"] == other["statistics"] == [3.0, 3.0]
    assert main["cases"] == alone
    assert set(other["cases"].values()) == {None}
    assert "none.mp4" in str(alone["broken"])


def test_an_asked_stop_ends_the_test_of_a_run_that_is_saved(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object, **__: object) -> None:
        raise StopAsked

    monkeypatch.setattr(end_of_run, "evaluate_together", asked)
    with pytest.raises(Stopped):
        train(tiny_recipe(manifest, epochs=1), tmp_path / "run", test=True, quiet=True)
    assert len(epochs_of(tmp_path / "run")) == 1


def test_classes_that_are_trained_and_never_validated_are_named():
    names = {"label": ("run", "hop", "sit")}
    paths = {"path": ["a.mp4", "b.mp4"], "label": [0, 1]}
    trained = Manifest.from_columns(Path("m.csv"), Path(), paths, names)
    validated = trained.take(np.array([0]))
    said = "no clip to validate on of 1 of 3 classes of 'label': hop"
    assert unvalidated_in_words(trained, validated) == said
    assert unvalidated_in_words(trained, trained) == unvalidated_in_words(trained, None) == ""
