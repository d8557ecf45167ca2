from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from marey.data.manifest.read import read_manifest
from marey.engine.inference.evaluate import Evaluation, evaluate
from marey.engine.inference.predict import Predictor, as_frames, load
from marey.engine.inference.results import results_of, write_results
from marey.engine.inference.scoring import clips_at_once
from marey.engine.inference.stored import read_stored
from marey.engine.inference.windows import windows
from marey.engine.train.loop import train
from marey.engine.weights.trained import Trained, export_release, load_trained
from marey.errors import CheckpointError, DecodeError, ManifestError, RunError
from marey.models.video_model import Head
from marey.recipes.catalog import rows
from marey.video.crops import ThreeCrop
from marey.video.reading.reader import open_video
from marey.video.sampling.segments import Clips, Segments
from tests.tiny import CLASSES, tiny_recipe, write_clip, write_set


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    recipe = tiny_recipe(write_set(folder / "clips"), epochs=6)
    views = replace(recipe.test, crop=ThreeCrop(32, resize=36), sampling=Segments(2, clips=2))
    return train(replace(recipe, test=views), folder / "run", quiet=True)


@pytest.fixture(scope="module")
def trained(run: Path) -> Trained:
    return load_trained(run)


def evaluated(trained: Trained, manifest: Path, **options: object) -> Evaluation:
    found = read_manifest(manifest, split="val")
    return evaluate(trained.model, found, trained.recipe, workers=0, **options)  # type: ignore[arg-type]


def manifest_of(run: Path) -> Path:
    return run.parent / "clips" / "manifest.csv"


@pytest.mark.parametrize(
    ("row", "clips"),
    [
        ("tsn-r50-3f-k400", 4),  # 25 segments x 10 crops, not the 32 clips of training
        ("tsm-r50-8f-k400", 16),
        ("gc-tdn-r50-16f-k400", 1),  # more than a batch holds: one clip all the same
        ("videolt-bce-r50", 128),
    ],
)
def test_a_batch_of_many_views_has_fewer_clips_than_one_of_training(row: str, clips: int) -> None:
    recipe = rows()[row]
    assert clips_at_once(recipe) == min(clips, recipe.batch_size)
    assert clips_at_once(recipe, 7) == 7


def test_six_views_are_averaged_and_counted(run: Path, trained: Trained, tmp_path: Path) -> None:
    result = evaluated(trained, manifest_of(run))
    assert result.metrics["acc/top1"] > 50
    path = write_results(result, tmp_path, results_of(result, trained.model, trained.recipe))
    facts = json.loads(path.read_text())
    views = {"clips": 2, "crops": 3, "frames": 2, "size": 32, "segments": 2}
    assert facts["views"] == views
    assert facts["gmacs_total"] == pytest.approx(6 * facts["gmacs_per_view"], abs=1e-3)
    assert facts["num_clips"] == 8
    assert facts["missing"] == []
    assert facts["classes"] == {"label": list(CLASSES)}
    assert facts["decoder"].startswith("pyav ")
    stored = read_stored(tmp_path / "predictions.parquet").evaluation
    assert stored.metrics == result.metrics


def test_the_batch_size_changes_no_score(run: Path, trained: Trained) -> None:
    one, all_at_once = (evaluated(trained, manifest_of(run), batch_size=b) for b in (1, 8))
    assert np.allclose(one.scores["label"], all_at_once.scores["label"], atol=1e-5)


def test_the_mean_of_probabilities_is_a_distribution(run: Path, trained: Trained) -> None:
    views = replace(trained.recipe.test, average="probs")
    as_probs = replace(trained, recipe=replace(trained.recipe, test=views))
    scores = evaluated(as_probs, manifest_of(run)).scores["label"]
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-5)


def test_an_unreadable_clip_is_missing_listed_and_wrong(
    run: Path, trained: Trained, tmp_path: Path
) -> None:
    clips = shutil.copytree(manifest_of(run).parent, tmp_path / "clips")
    (clips / "red_5.mp4").write_bytes(b"")
    whole, holed = (evaluated(trained, m) for m in (manifest_of(run), clips / "manifest.csv"))
    (row,) = holed.missing
    assert holed.manifest.path(row).name == "red_5.mp4"
    assert np.isnan(holed.scores["label"][row]).all()
    lost = whole.scores["label"][row].argmax() == 1
    assert holed.metrics["acc/top1"] == whole.metrics["acc/top1"] - 12.5 * lost
    path = write_results(holed, tmp_path / "out", results_of(holed, trained.model, trained.recipe))
    facts = json.loads(path.read_text())
    assert [entry["path"] for entry in facts["missing"]] == [str(clips / "red_5.mp4")]
    assert facts["num_missing"] == 1


def test_a_model_of_other_classes_is_refused(run: Path, trained: Trained) -> None:
    spec = replace(trained.recipe.model, heads=(Head("label", 7),))
    with pytest.raises(ManifestError, match="has 4 classes of 'label', the model 7"):
        evaluated(replace(trained, model=spec.build()), manifest_of(run))


def test_prediction_gives_the_scores_of_evaluation(run: Path, trained: Trained) -> None:
    predictor = load(run)
    result = evaluated(trained, manifest_of(run), batch_size=1)
    for row in range(len(result.manifest)):
        with open_video(result.manifest.path(row)) as reader:
            scores = predictor.scores(reader)["label"]
        assert np.array_equal(scores.numpy(), result.scores["label"][row])


def test_a_clip_gives_its_best_labels_in_order(run: Path) -> None:
    answers = load(run).predict(manifest_of(run).parent / "blue_0.mp4", top=3)
    assert isinstance(answers, list)
    assert answers[0]["label"] == "blue"
    assert len(answers) == 3
    scores = [answer["score"] for answer in answers]
    assert scores == sorted(scores, reverse=True)


def test_arrays_in_both_layouts_and_the_file_agree(run: Path) -> None:
    path, predictor = manifest_of(run).parent / "green_0.mp4", load(run)
    with av.open(str(path)) as container:
        frames = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
    of_file, last, second = (
        predictor.predict(video) for video in (path, frames, frames.transpose(0, 3, 1, 2))
    )
    assert of_file == last == second


def test_a_folder_answers_for_each_file_and_names_the_bad_one(run: Path, tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", 3)
    (tmp_path / "b.mp4").write_bytes(b"text")
    found = load(run).predict(tmp_path)
    assert isinstance(found, dict)
    assert found[str(tmp_path / "a.mp4")][0]["label"] == "blue"
    assert "b.mp4" in found[str(tmp_path / "b.mp4")][0]["error"]


def test_a_file_that_cannot_be_read_is_an_error(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match=r"none\.mp4"):
        load(run).predict(tmp_path / "none.mp4")


def test_a_long_video_becomes_a_timeline(run: Path, tmp_path: Path) -> None:
    for label in (1, 3):
        write_clip(tmp_path / f"{label}.mp4", label, num_frames=30)
    path = tmp_path / "both.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 40, "yuv420p"
        for label in (1, 3):
            with av.open(str(tmp_path / f"{label}.mp4")) as container:
                for frame in container.decode(video=0):
                    plain = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"))
                    out.mux(stream.encode(plain))
        out.mux(stream.encode())
    answers = load(run).predict(path, window_seconds=1.0, stride_seconds=0.5)
    assert isinstance(answers, list)
    assert [answer["start"] for answer in answers] == [i * 0.5 for i in range(11)]
    found = load(run).timeline(path, window_seconds=1.0)
    assert [segment.label for segment in found][0 :: len(found) - 1] == ["red", "blue"]
    assert found[0].start == 0
    assert found[-1].end == 6


def test_windows_cover_a_short_video_with_one() -> None:
    assert list(windows(np.array([0.0, 0.1, 0.2]), 2.0, 1.0)) == [(0.0, 0.3, 0, 3)]
    with pytest.raises(DecodeError, match=r"is over 300 windows of 3 frames"):
        list(windows(np.array([0.0, 0.1, 0.2]), 1e-9, 1e-9))


def test_windows_need_a_length() -> None:
    with pytest.raises(ValueError, match="expected more than 0"):
        list(windows(np.array([0.0]), 0.0, 1.0))


def test_arrays_of_another_kind_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \[t h w 3\]"):
        as_frames(torch.zeros(2, 4, 4, 3))
    with pytest.raises(ValueError, match="expected 3 colours"):
        as_frames(torch.zeros(2, 4, 4, 4, dtype=torch.uint8))


def test_a_release_predicts_what_its_run_does(run: Path, tmp_path: Path) -> None:
    release = export_release(run, tmp_path / "release")
    files = {path.name for path in release.iterdir()}
    assert files == {
        "model.safetensors",
        "config.json",
        "labels.txt",
        "class_counts.json",
        "README.md",
    }
    assert load_trained(release).class_counts["label"].tolist() == [4, 4, 4, 4]
    video = manifest_of(run).parent / "red_5.mp4"
    assert load(release).predict(video) == load(run).predict(video)


def test_a_release_never_overwrites(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="is not empty"):
        export_release(run, tmp_path)
    with pytest.raises(RunError, match=r"/file is a file that is there already.*a new folder"):
        export_release(run, tmp_path / "file")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="neither a run nor a release"):
        load(tmp_path)


def test_a_run_without_checkpoint_is_refused(run: Path, tmp_path: Path) -> None:
    shutil.copy(run / "recipe.yaml", tmp_path)
    with pytest.raises(CheckpointError, match="holds no trained model: no step"):
        load(tmp_path)


def test_generic_clips_are_a_protocol_too(run: Path, trained: Trained) -> None:
    views = replace(trained.recipe.test, sampling=Clips(2, stride=2, clips=3))
    other = replace(trained, recipe=replace(trained.recipe, test=views))
    assert evaluated(other, manifest_of(run)).metrics["acc/top1"] > 25


def test_load_accepts_a_predictor_device(run: Path) -> None:
    assert isinstance(load(run, device="cpu"), Predictor)
