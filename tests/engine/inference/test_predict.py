from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from marey.data.manifest.read import read_manifest
from marey.engine.inference.evaluate import evaluate
from marey.engine.inference.predict import Predictor
from marey.engine.weights.trained import Trained
from marey.errors import DecodeError, RunError
from marey.models import ResNetSpec
from marey.recipes.compatible import check_clips
from marey.recipes.resolve import resolve
from marey.types import Frames
from marey.video.reading.frame_reader import Indices
from marey.video.reading.jpeg import encode_jpeg
from marey.video.reading.pyav import VideoFile
from tests.tiny import CLASSES, tiny_recipe, write_set
from tests.video.media import grey, write_video


def untrained(folder: Path) -> Predictor:
    manifest = write_set(folder, per_class=1, val_per_class=1)
    recipe = resolve(tiny_recipe(manifest), read_manifest(manifest))
    torch.manual_seed(0)
    model = recipe.model.build().eval()
    return Predictor(Trained(recipe, model, {"label": CLASSES}), torch.device("cpu"))


def test_an_array_has_no_clock(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="an array of frames has no seconds"):
        untrained(tmp_path).predict(np.zeros((6, 40, 48, 3), np.uint8), window_seconds=1.0)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"top": 0}, "top is 0, expected at least 1"),
        ({"top": -3}, "top is -3, expected at least 1"),
        ({"window_seconds": 0.0}, "window_seconds is 0.0, expected more than 0"),
        ({"window_seconds": 0.3, "stride_seconds": 0.0}, "stride_seconds is 0.0, expected more"),
        (
            {"stride_seconds": 0.3},
            "stride_seconds is 0.3, but there are no windows.*window_seconds",
        ),
    ],
)
def test_what_no_prediction_can_be_is_refused(
    asked: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        untrained(tmp_path).predict(tmp_path / "red_0.mp4", **asked)


def test_a_folder_of_class_folders_is_said_to_be_one(tmp_path: Path) -> None:
    predictor = untrained(tmp_path / "flat")
    (tmp_path / "mine" / "red").mkdir(parents=True)
    (tmp_path / "flat" / "red_0.mp4").rename(tmp_path / "mine" / "red" / "a.mp4")
    with pytest.raises(
        DecodeError, match=r"mine holds no video itself, but 1 clip in folders.*a.mp4"
    ):
        predictor.predict(tmp_path / "mine")


def test_a_model_of_other_channels_says_that_videos_are_not_what_it_takes(tmp_path: Path) -> None:
    predictor = untrained(tmp_path)
    recipe = predictor.trained.recipe
    spec = replace(recipe.model, encoder=ResNetSpec(18, in_channels=10, channels=16))
    flow = replace(predictor, trained=replace(predictor.trained, model=spec.build()))
    message = r"takes frames of 10 channels, and does not say what they are.*modality: flow"
    with pytest.raises(RunError, match=message):
        flow.predict(tmp_path / "red_0.mp4")
    with pytest.raises(RunError, match=message):
        check_clips(spec, read_manifest(tmp_path / "manifest.csv"), recipe)


def test_all_labels_have_probabilities_that_sum_to_one(tmp_path: Path) -> None:
    answers = untrained(tmp_path).predict(tmp_path / "red_0.mp4", top=100)
    assert isinstance(answers, list)
    assert {answer["label"] for answer in answers} == set(CLASSES)
    assert sum(answer["score"] for answer in answers) == pytest.approx(1, abs=1e-5)


def test_a_video_too_large_for_the_memory_is_named_and_the_others_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor, read = untrained(tmp_path), VideoFile.read

    def read_most(self: VideoFile, indices: Indices) -> Frames:
        if "red" in str(self.path):
            raise MemoryError
        return read(self, indices)

    monkeypatch.setattr(VideoFile, "read", read_most)
    answers = predictor.predict(tmp_path)
    assert isinstance(answers, dict)
    errors = {
        Path(file).stem: of_file[0]["error"]
        for file, of_file in answers.items()
        if "error" in of_file[0]
    }
    assert sorted(errors) == ["red_0", "red_1"]
    assert "red_0.mp4: too large for the memory" in errors["red_0"]


def test_scores_that_are_no_numbers_are_an_error_that_names_the_clip(tmp_path: Path) -> None:
    predictor = untrained(tmp_path)
    model, recipe = predictor.trained.model, predictor.trained.recipe
    torch.nn.init.constant_(model.get_parameter("heads.label.weight"), 3e38)  # they overflow
    message = r"red_0\.mp4: the scores of 'label' are not finite"
    for seconds in (None, 0.3):
        with pytest.raises(RunError, match=message):
            predictor.predict(tmp_path / "red_0.mp4", window_seconds=seconds)
    with pytest.raises(RunError, match="the clip: the scores of"):
        predictor.predict(np.zeros((6, 40, 48, 3), np.uint8))
    clips = read_manifest(tmp_path / "manifest.csv")
    only = clips.take(np.flatnonzero([Path(clips.path(i)).stem == "red_0" for i in range(8)]))
    with pytest.raises(RunError, match=message):
        evaluate(model, only, recipe, workers=0)


def test_a_window_as_long_as_the_video_answers_as_the_clip_does(tmp_path: Path) -> None:
    predictor, path = untrained(tmp_path), tmp_path / "red_0.mp4"
    (window,) = predictor.predict(path, window_seconds=9.0)
    (clip,) = predictor.predict(path, top=1)
    assert window == {"start": 0.0, "end": 0.6} | clip  # type: ignore[operator]


def test_windows_have_the_scores_of_every_class_and_say_how_far_they_are(tmp_path: Path) -> None:
    said: list[tuple[int, int]] = []
    answers = untrained(tmp_path).predict(
        tmp_path / "red_0.mp4",
        window_seconds=0.3,
        all_scores=True,
        progress=lambda *now: said.append(now),
    )
    assert said == [(3, 3)]  # in one batch
    assert isinstance(answers, list)
    for answer in answers:
        assert tuple(answer["scores"]) == CLASSES
        assert (
            answer["score"] == answer["scores"][answer["label"]] == max(answer["scores"].values())
        )


def test_a_window_shorter_than_two_frames_is_refused(tmp_path: Path) -> None:
    message = r"a window of 0.15 s holds no two frames of 6, one every 0.1 s"
    with pytest.raises(DecodeError, match=message) as error:
        untrained(tmp_path).predict(tmp_path / "red_0.mp4", window_seconds=0.15)
    assert error.value.hint == "give at least 0.2"


def test_a_file_that_was_cut_off_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    predictor = untrained(tmp_path)
    whole = write_video(tmp_path / "whole.avi", grey(20, width=48, height=40), codec="mpeg4")
    (short := tmp_path / "short.avi").write_bytes(
        whole.read_bytes()[: whole.stat().st_size * 17 // 20]
    )
    predictor.predict([whole, short])
    (said,) = [record.getMessage() for record in caplog.records]
    assert re.fullmatch(
        rf"{re.escape(str(short))} is cut off or damaged: "
        r"\d+ frames decode of 20 that the file announces",
        said,
    )


def test_a_picture_given_as_a_video_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predictor = untrained(tmp_path)
    (tmp_path / "one.jpg").write_bytes(encode_jpeg(np.zeros((40, 48, 3), np.uint8)))
    predictor.predict([tmp_path / "one.jpg", tmp_path / "red_0.mp4"])
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'one.jpg'} is one picture, not a video: every frame that the model sees is it"
    ]
