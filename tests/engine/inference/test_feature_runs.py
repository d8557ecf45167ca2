"""From videos to a file of features, and on it through training, evaluation and prediction."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from marey.data.loading.samplers import ClassBalanced
from marey.data.manifest.read import read_manifest
from marey.engine.inference.evaluate import evaluate
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.inference.extract import (
    Extraction,
    FeatureOptions,
    extract_features,
    extraction,
    source_model,
)
from marey.engine.inference.extractor import Extractor
from marey.engine.inference.predict import load
from marey.engine.report.report import write_report
from marey.engine.train.dry_run import dry_run
from marey.engine.train.loop import train
from marey.engine.weights.checkpoint import load_checkpoint
from marey.engine.weights.trained import export_release
from marey.errors import CheckpointError, DecodeError, ManifestError, RecipeError, RunError
from marey.jobs.executors import HERE
from marey.jobs.parts import make_parts
from marey.longtail.framestack import FrameStack, FrameStackObjective
from marey.longtail.lmr import LMR
from marey.longtail.objective import CrossEntropy
from marey.longtail.sigmoid import BinaryCrossEntropy
from marey.models.video_model import Head, VideoModel
from marey.recipes import catalog
from marey.recipes.optim import AdamW
from marey.recipes.recipe import DataSpec, Recipe, TestViews
from marey.video.crops import ThreeCrop
from marey.video.sampling.segments import Clips, EvenFrames
from tests.tiny import CLASSES, tiny_recipe, write_set

HEADS = (Head("label", len(CLASSES)),)


def extract(job: Extractor) -> Extraction:
    """The features of a model that is not trained, by this process."""
    make_parts(job.parts(job.out), job.write, job.join, executor=HERE)
    return extraction(job.out)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    manifest = write_set(tmp_path_factory.mktemp("videos"))
    (manifest.parent / "red_1.mp4").write_bytes(b"no video")
    return manifest


@pytest.fixture(scope="module")
def source(videos: Path) -> tuple[Recipe, VideoModel]:
    """A recipe of two clips and three crops, and its model."""
    recipe = tiny_recipe(videos)
    views = TestViews(Clips(2, clips=2), ThreeCrop(32, 36))
    recipe = replace(recipe, test=views, model=replace(recipe.model, heads=HEADS))
    torch.manual_seed(0)
    return recipe, recipe.model.build()


@pytest.fixture(scope="module")
def file(videos: Path, source: tuple[Recipe, VideoModel]) -> Path:
    recipe, model = source
    out = videos.parent / "features.arrow"
    clips = read_manifest(videos)
    extract(
        Extractor(
            model=model,
            recipe=recipe,
            manifest=clips,
            out=out,
            dtype="float32",
            workers=0,
            batch_size=5,
        )
    )
    return out


def on_features(file: Path, **changes: object) -> Recipe:
    recipe = replace(
        catalog.find("features-linear"),
        data=DataSpec(train=str(file), workers=0, bad_clip_budget=0.1),
        batch_size=4,
        **changes,
    )
    stage = replace(recipe.stages[0], epochs=6, sampler=ClassBalanced(), optim=AdamW(lr=0.2))
    return replace(recipe, stages=(stage,))


# --- the file -----------------------------------------------------------------------------------


def test_a_file_keeps_the_rows_of_its_manifest_in_their_order(videos: Path, file: Path) -> None:
    theirs, ours = read_manifest(videos), read_manifest(file)
    assert list(ours.texts()) == list(theirs.texts())
    assert ours.classes == theirs.classes
    assert ours.split_counts() == theirs.split_counts()
    np.testing.assert_array_equal(ours.labels["label"], theirs.labels["label"])
    assert ours.digest() == theirs.digest()


def test_a_file_holds_what_the_model_sees_in_every_view(
    file: Path, source: tuple[Recipe, VideoModel]
) -> None:
    found = read_manifest(file)
    assert found.features is not None
    assert found.features.dim == 8
    readable = [row for row in range(len(found)) if "red_1" not in str(found.path(row))]
    assert {found.features.num_frames(row) for row in readable} == {2 * 3 * 2}


def test_linear_scores_of_features_are_those_of_the_videos(
    videos: Path, file: Path, source: tuple[Recipe, VideoModel]
) -> None:
    recipe, model = source
    linear = replace(catalog.find("features-linear").model, heads=HEADS)
    linear = replace(linear, encoder=replace(linear.encoder, dim=8)).build()
    linear.heads.load_state_dict(model.heads.state_dict())
    seen, read = (
        evaluate(m, manifest, shown, workers=0)
        for m, manifest, shown in (
            (model, read_manifest(videos), recipe),
            (linear, read_manifest(file), catalog.find("features-linear")),
        )
    )
    np.testing.assert_allclose(seen.scores["label"], read.scores["label"], atol=1e-6)
    assert seen.missing.keys() == read.missing.keys()
    assert seen.metrics == pytest.approx(read.metrics)


def test_a_vector_a_clip_is_the_mean_of_those_of_its_frames(
    videos: Path, file: Path, source: tuple[Recipe, VideoModel], tmp_path: Path
) -> None:
    recipe, model = source
    out = tmp_path / "clips.arrow"
    clips = read_manifest(videos)
    job = Extractor(model=model, recipe=recipe, manifest=clips, out=out, per="clip", workers=0)
    made = extract(replace(job, batch_size=7))
    assert (made.frames, made.dim, list(made.missing)) == ((1, 1), 8, [7])
    one, all_ = read_manifest(out).features, read_manifest(file).features
    assert one is not None
    assert all_ is not None
    mean = all_.read(3, np.arange(all_.num_frames(3))).mean(0)
    np.testing.assert_allclose(one.read(3, np.array([0]))[0], mean, rtol=2e-3, atol=1e-4)


def test_a_clip_that_cannot_be_read_says_why_and_counts_as_missing(file: Path) -> None:
    found = read_manifest(file)
    assert found.features is not None
    with pytest.raises(DecodeError, match=r"red_1\.mp4"):
        found.features.num_frames(7)


def test_a_file_says_what_made_it(file: Path, source: tuple[Recipe, VideoModel]) -> None:
    features = read_manifest(file).features
    assert features is not None
    assert features.about["model"] == "tiny"
    assert features.about["views"]["sampling"] == {
        "Clips": {"num_frames": 2, "stride": 1, "clips": 2}
    }
    assert features.about["manifest_digest"] == read_manifest(file).digest()


def test_numbers_too_large_for_their_type_leave_no_file(
    videos: Path, source: tuple[Recipe, VideoModel], tmp_path: Path
) -> None:
    recipe, model = source
    clips = read_manifest(videos)
    loud = replace(recipe, augment=replace(recipe.augment, std=(1e-7,) * 3))
    with pytest.raises(RunError, match="not finite numbers of float16.*float32"):
        extract(
            Extractor(model=model, recipe=loud, manifest=clips, out=tmp_path / "f.arrow", workers=0)
        )
    assert not (tmp_path / "f.arrow").exists()


def test_features_of_random_weights_are_refused(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"starts from nothing.*give weights"):
        source_model("tsn-r18", None, [], "cpu")
    with pytest.raises(RunError, match=r"f\.csv is no name of a file of features"):
        extract_features(FeatureOptions(source="tsn-r18", manifest=videos, out=tmp_path / "f.csv"))


# --- a run on it --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(on_features(file), tmp_path_factory.mktemp("run"), device="cpu", quiet=True)


def test_a_dry_run_takes_all_vectors_of_a_clip(file: Path, tmp_path: Path) -> None:
    """The first clip has 2 frames of 2 clips x 3 crops; the file does not say where weights are."""
    said = [*dry_run(on_features(file), tmp_path / "run", device="cpu")]
    assert said[1] == "shapes      batches [4, 12, 8], scores of label 4"


def test_a_run_on_features_learns_and_is_evaluated_reported_and_released(
    run: Path, tmp_path: Path
) -> None:
    epochs = (run / "metrics.csv").read_text().splitlines()
    losses = [float(line.split(",")[2]) for line in epochs[1:]]
    assert losses[-1] < losses[0]
    result, path = evaluate_folder(EvalOptions(folder=run, device="cpu"), tmp_path / "results")
    assert result.metrics["acc/top1"] >= 75
    assert json.loads(path.read_text())["views"]["frames"] == "all"
    assert write_report(run, tmp_path / "report.html").is_file()
    card = export_release(run, tmp_path / "release") / "README.md"
    assert "features of another network, 8 numbers a frame" in card.read_text()


def test_a_resumed_run_on_features_ends_with_the_same_bits(
    run: Path, file: Path, tmp_path: Path
) -> None:
    class Enough(Exception):
        pass

    def stop(self: object, name: str, state: dict[str, object]) -> None:
        write(self, name, state)
        if self.at.global_step == 6:  # type: ignore[attr-defined]
            raise Enough

    from marey.engine.train.loop import Training

    write = Training.write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "write", stop)
        with pytest.raises(Enough):
            train(on_features(file), tmp_path, device="cpu", save_steps=2, quiet=True)
    last = tmp_path / "checkpoints" / "last.pt"
    train(on_features(file), tmp_path, resume=last, device="cpu", quiet=True)
    ends = [
        load_checkpoint(folder / "checkpoints" / "last.pt")["model"] for folder in (run, tmp_path)
    ]
    assert all(torch.equal(ends[0][name], value) for name, value in ends[1].items())


def test_prediction_takes_features_and_says_so(run: Path, file: Path, tmp_path: Path) -> None:
    features = read_manifest(file).features
    assert features is not None
    vectors = features.read(0, np.arange(12))
    np.save(tmp_path / "clip.npy", vectors)
    predictor = load(run)
    answers = predictor.predict(vectors)
    assert answers == predictor.predict(tmp_path / "clip.npy")
    assert sum(a["score"] for a in answers) == pytest.approx(1, abs=1e-5)  # type: ignore[index]
    said = r"takes features of tiny \(its enc.* nothing says where it is.* --encoder.* \(\.npy\)"
    with pytest.raises(CheckpointError, match=said):
        predictor.predict("a.mp4")
    with pytest.raises(ValueError, match=r"features are \[2, 3\], expected \[t 8\]"):
        predictor.predict(np.zeros((2, 3)))


def test_clips_of_several_classes_are_trained_evaluated_and_predicted(
    file: Path, tmp_path: Path
) -> None:
    table = pa.ipc.open_file(pa.memory_map(str(file))).read_all()
    cells = [
        f"{k}|{(k + 1) % 4}" if row % 3 == 0 else str(k)
        for row, k in enumerate(table["label"].to_pylist())
    ]
    table = table.set_column(table.column_names.index("label"), "label", pa.array(cells))
    several = tmp_path / "several.arrow"
    with pa.OSFile(str(several), "wb") as out, pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    recipe = on_features(several)
    with pytest.raises(RecipeError, match="is CrossEntropy, for clips of one class"):
        train(recipe, tmp_path / "run", quiet=True)
    stage = replace(recipe.stages[0], objective=BinaryCrossEntropy())
    run = train(replace(recipe, stages=(stage,)), tmp_path / "run", device="cpu", quiet=True)
    result, _ = evaluate_folder(EvalOptions(folder=run, device="cpu"), tmp_path / "results")
    assert 50 < result.metrics["mAP"] <= 100
    assert "mAP" in (run / "metrics.csv").read_text()
    write_report(run, tmp_path / "report.html")
    assert load(run).trained.recipe.model.heads[0].several
    scores = [a["score"] for a in load(run).predict(np.zeros((1, 8), np.float32))]  # type: ignore[index]
    assert sum(scores) != pytest.approx(1, abs=1e-3)  # each class has a probability of its own


def test_what_a_later_stage_minimises_is_checked_before_the_first_step(
    file: Path, tmp_path: Path
) -> None:
    recipe = on_features(file)
    stages = (*recipe.stages, replace(recipe.stages[0], objective=LMR(head="lable")))
    with pytest.raises(RecipeError, match="LMR's head is 'lable'"):
        train(replace(recipe, stages=stages), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_framestack_measures_the_classes_after_every_epoch(file: Path, tmp_path: Path) -> None:
    recipe = on_features(file)
    stage = replace(recipe.stages[0], epochs=2, objective=FrameStack(CrossEntropy()))
    seen: list[int] = []
    finish = FrameStackObjective.finish_epoch

    def note(objective: FrameStackObjective) -> None:
        finish(objective)
        seen.append(int(objective.epochs))
        assert 0 < float(objective.precision.mean()) <= 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FrameStackObjective, "finish_epoch", note)
        train(replace(recipe, stages=(stage,)), tmp_path, device="cpu", quiet=True)
    assert seen == [1, 2]


# --- what does not fit --------------------------------------------------------------------------


def test_a_model_of_frames_refuses_features_and_the_other_way_round(
    videos: Path, file: Path, tmp_path: Path
) -> None:
    with pytest.raises(ManifestError, match=r"features\.arrow holds features, the model takes fra"):
        train(tiny_recipe(file), tmp_path / "a", device="cpu", quiet=True)
    with pytest.raises(ManifestError, match=r"manifest\.csv holds videos, the model takes feature"):
        train(on_features(videos), tmp_path / "b", device="cpu", quiet=True)


def test_a_model_of_another_width_says_which(run: Path, file: Path, tmp_path: Path) -> None:
    recipe = on_features(file)
    wide = replace(
        recipe, model=replace(recipe.model, encoder=replace(recipe.model.encoder, dim=9))
    )
    with pytest.raises(ManifestError, match=r"8 features a frame, the model takes 9.*dim=8"):
        train(wide, tmp_path / "a", device="cpu", quiet=True)


def test_features_of_two_models_do_not_go_together(
    videos: Path, file: Path, source: tuple[Recipe, VideoModel], tmp_path: Path
) -> None:
    recipe, _ = source
    other = tmp_path / "other.arrow"
    clips = read_manifest(videos)
    model = recipe.model.build()
    extract(Extractor(model=model, recipe=recipe, manifest=clips, out=other, workers=0))
    mixed = on_features(file)
    mixed = replace(mixed, data=replace(mixed.data, val=str(other)))
    with pytest.raises(ManifestError, match=r"hold features of another weights"):
        train(mixed, tmp_path / "a", device="cpu", quiet=True)


def test_clips_of_other_lengths_ask_for_a_sampling(tmp_path: Path) -> None:
    for name, frames in (("a", 3), ("b", 5)):
        np.save(tmp_path / f"{name}.npy", np.ones((frames, 8), np.float16))
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("path,label,split\na.npy,0,train\nb.npy,1,train\n")
    with pytest.raises(ManifestError, match=r"clips of 3 to 5 frames.*EvenFrames"):
        train(
            replace(on_features(manifest), batch_size=2), tmp_path / "a", device="cpu", quiet=True
        )
    even = replace(on_features(manifest), batch_size=2)
    even = replace(even, train=replace(even.train, sampling=EvenFrames(4)))
    train(even, tmp_path / "b", device="cpu", quiet=True)


def test_crops_and_changes_of_pixels_are_refused(file: Path) -> None:
    recipe = on_features(file)
    with pytest.raises(ValueError, match=r"test\.crop is ThreeCrop.*nothing can be cut"):
        replace(recipe, test=replace(recipe.test, crop=ThreeCrop()))
    with pytest.raises(ValueError, match="changes pixels, but the model takes features"):
        replace(recipe, augment=replace(recipe.augment, flip="plain"))


def test_mixup_of_features_trains(file: Path, tmp_path: Path) -> None:
    recipe = on_features(file)
    mixed = replace(recipe, augment=replace(recipe.augment, mixup=1.0))
    train(mixed, tmp_path, device="cpu", quiet=True)
