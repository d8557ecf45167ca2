"""Prediction: what happens in a video, or when, by the model of a run or a release.

A clip is scored on the recipe's test views, exactly as `evaluate` does. A long video is cut into
windows, each scored as a clip of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from marey.data.features.feature_folder import holds_features, open_features
from marey.data.loading.clips import memory_ran_out
from marey.data.manifest.paths import VIDEO
from marey.engine.inference.scoring import check_finite, score_views
from marey.engine.weights.trained import Trained, load_trained
from marey.errors import DecodeError, RunError
from marey.models.video_model import VideoModel
from marey.recipes.compatible import check_pictures
from marey.recipes.recipe import Recipe
from marey.recipes.testing import for_test
from marey.storage.url import AnyPath, any_path
from marey.types import Frames, Scores, check_numbers
from marey.video.reading.frame_reader import FrameReader
from marey.video.reading.reader import open_video
from marey.video.sampling.segments import at_rate

Answer: TypeAlias = dict[str, Any]
"""`label` and `score` (a probability); `start` and `end` in seconds for a window; `head` if the
model has several."""


def load(folder: str | Path, device: str = "cpu", *, segments: int | None = None) -> Predictor:
    """A `Predictor` from the folder of a run or of a release.

    Args:
        segments: of a clip; by default as many as the test views of its recipe have.

    Raises:
        CheckpointError: if it is neither, or its weights do not fit.
        RecipeError: if the model does not take so many segments.
    """
    trained = load_trained(folder, device)
    recipe = for_test(trained.recipe, segments=segments)
    return Predictor(replace(trained, recipe=recipe), torch.device(device))


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained model that answers about videos."""

    trained: Trained
    device: torch.device

    def predict(
        self,
        video: str | Path | Sequence[str | Path] | np.ndarray | Tensor,
        *,
        top: int = 5,
        window_seconds: float | None = None,
        stride_seconds: float | None = None,
    ) -> list[Answer] | dict[str, list[Answer]]:
        """The `top` labels of a clip, best first; of several files, those of each by its path.

        Args:
            video: a file, a folder of frames or of videos, a list of files, or uint8 frames
                [t h w 3] or [t 3 h w]; for a model of features, float [t d] or files of them (.npy,
                a path into HDF5).
            top: labels of every head.
            window_seconds: cut the video into windows of that length, and give the best label of
                each with its time. An array has no clock and takes none.
            stride_seconds: how often a window begins; by default every half window.

        Raises:
            DecodeError: if a single video cannot be read; of several, [{"error": reason}] is its
                answer.
            ValueError: if an array is no frames or features, or is asked for windows.
        """
        if isinstance(video, Sequence) and not isinstance(video, str):
            return {str(f): self._or_error(f, top, window_seconds, stride_seconds) for f in video}
        if self.trained.model.spec.takes_features:
            return self._of_features(video, top)
        check_pictures(self.trained.model.spec)
        if isinstance(video, np.ndarray | Tensor):
            if window_seconds is not None:
                raise ValueError(
                    f"window_seconds is {window_seconds}, but an array of frames has no seconds. "
                    "hint: cut it, or give the file"
                )
            return self._of_clip(as_frames(video), top)
        path = any_path(video)
        if isinstance(path, Path) and (files := videos_in(path)):
            return {str(f): self._or_error(f, top, window_seconds, stride_seconds) for f in files}
        return self.predict_file(path, top, window_seconds, stride_seconds)

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names in the order of the scores; of several heads, those of the first."""
        return next(iter(self.trained.classes.values()))

    @cached_property
    def model(self) -> VideoModel:
        """The model on the frames of the recipe's test views."""
        return self.trained.model.with_frames(self.trained.recipe.test.sampling.frames)

    def scores(self, reader: FrameReader) -> Scores:
        """Scores [k] of every head, averaged over the recipe's test views, as `evaluate` gives."""
        views = self.trained.recipe.test
        indices = at_rate(views.sampling, reader.fps).indices(len(reader))
        return self._score(reader.read(indices.ravel()), indices, reader.path)

    def predict_file(
        self,
        path: str | AnyPath,
        top: int = 5,
        window: float | None = None,
        stride: float | None = None,
    ) -> list[Answer]:
        """As `predict`, for one file or folder of frames."""
        backend = self.trained.recipe.data.backend
        try:
            with open_video(path, backend=backend) as reader:
                if window is None:
                    return self._answers(self.scores(reader), top)
                return self._timeline(reader, window, stride or window / 2)
        except (MemoryError, RuntimeError) as error:
            if not memory_ran_out(error):
                raise
            raise DecodeError(f"{path}: too large for the memory", "scale it down") from error

    def _or_error(
        self, path: str | Path, top: int, window: float | None, stride: float | None
    ) -> list[Answer]:
        try:
            if self.trained.model.spec.takes_features:
                return self._of_features(path, top)
            return self.predict_file(path, top, window, stride)
        except DecodeError as error:
            return [{"error": str(error)}]

    def _of_clip(self, frames: Frames, top: int) -> list[Answer]:
        indices = self.trained.recipe.test.sampling.indices(len(frames))
        scores = self._score(frames[indices.ravel()], indices, "the clip")
        return self._answers(scores, top)

    def _of_features(self, video: str | Path | np.ndarray | Tensor, top: int) -> list[Answer]:
        vectors = as_features(video, self.trained.model.spec.encoder.in_channels)
        indices = self.trained.recipe.test.sampling.indices(len(vectors))
        name = video if isinstance(video, str | Path) else "the clip"
        return self._answers(self._score_views(vectors[torch.from_numpy(indices)], name), top)

    def _timeline(self, reader: FrameReader, window: float, stride: float) -> list[Answer]:
        times, sampling = reader.timestamps(), self.trained.recipe.test.sampling
        answers = []
        for start, end, first, last in windows(times, window, stride):
            indices = first + at_rate(sampling, reader.fps).indices(last - first)
            scores = self._score(reader.read(indices.ravel()), indices, reader.path)
            for answer in self._answers(scores, top=1):
                answers.append({"start": start, "end": end} | answer)
        return answers

    def _score(self, frames: Frames, indices: np.ndarray, clip: object) -> Scores:
        recipe = self.trained.recipe
        clips = frames.reshape(*indices.shape, *frames.shape[1:])
        return self._score_views(torch.cat([recipe.test.crop(each) for each in clips]), clip)

    def _score_views(self, views: Tensor, clip: object) -> Scores:
        recipe = replace(self.trained.recipe, amp=False)
        scores = score_views(self.model, views[None], recipe, device=self.device)
        check_finite(scores, [clip])
        return {head: values[0] for head, values in scores.items()}

    def _answers(self, scores: Scores, top: int) -> list[Answer]:
        answers: list[Answer] = []
        for head, values in scores.items():
            names = self.trained.classes[head]
            best = probabilities(self.trained.recipe, head, values).topk(min(top, len(names)))
            about = {"head": head} if len(scores) > 1 else {}
            for score, index in zip(best.values.tolist(), best.indices.tolist(), strict=True):
                answers.append(about | {"label": names[index], "score": score})
        return answers


def probabilities(recipe: Recipe, head: str, scores: Tensor) -> Tensor:
    """What the scores [... k] of a head mean: shares of 1; for `several`, a chance of its own."""
    if any(of.several for of in recipe.model.heads if of.name == head):
        return scores.sigmoid()
    return scores if recipe.test.average == "probs" else scores.softmax(dim=-1)


def timeline(answers: Sequence[Mapping[str, Any]]) -> list[Answer]:
    """Windows with the same label that touch or overlap become one, with their mean score.

    Each head has its own line, one after the other; errors stay as they are.

    >>> timeline([{"start": 0.0, "end": 2.0, "label": "run", "score": 0.5},
    ...           {"start": 1.0, "end": 3.0, "label": "run", "score": 0.7}])
    [{'start': 0.0, 'end': 3.0, 'label': 'run', 'score': 0.6}]
    """
    lines: dict[str, list[list[Mapping[str, Any]]]] = {}
    for answer in answers:
        runs = lines.setdefault(answer.get("head", ""), [])
        if runs and _goes_on(runs[-1][-1], answer):
            runs[-1].append(answer)
        else:
            runs.append([answer])
    return [_merged(run) for runs in lines.values() for run in runs]


def _goes_on(last: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    if "error" in last or "error" in answer:
        return False
    return bool(last["label"] == answer["label"] and answer["start"] <= last["end"])


def _merged(run: Sequence[Mapping[str, Any]]) -> Answer:
    if "error" in run[0]:
        return dict(run[0])
    score = round(float(np.mean([answer["score"] for answer in run])), 6)
    return {**run[0], "end": run[-1]["end"], "score": score}


MOST_WINDOWS = 100
"""For each frame: more are a slip of the finger, and would fill the memory."""


def windows(
    times: np.ndarray, window: float, stride: float
) -> Iterator[tuple[float, float, int, int]]:
    """(start, end, first frame, frame after the last) of every window that holds a frame.

    `times` are the frames' seconds, from 0. A video shorter than the window is one window; what
    the last whole stride leaves over is covered by a window that ends with the video.
    """
    check_numbers(above=0, window=window, stride=stride)
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    length = float(times[-1]) + step
    count = max(1, int(np.floor((length - window) / stride + 1e-6)) + 1)
    if count > MOST_WINDOWS * len(times):
        raise RunError(
            f"a window every {stride:g} s is {count:,} windows of {len(times):,} frames",
            "give a longer stride",
        )
    starts = [i * stride for i in range(count)]
    if starts[-1] + window < length - max(step, 1e-3) / 2:
        starts.append(length - window)
    for start in starts:
        end = min(start + window, length)
        first, last = np.searchsorted(times, [start - 1e-6, end - 1e-6])
        if end == length:  # also where the only frame has no duration that is known
            last = len(times)
        if last > first:
            yield round(start, 3), round(end, 3), int(first), int(last)


def as_frames(video: np.ndarray | Tensor) -> Frames:
    """Frames uint8 [t 3 h w] from an array [t h w 3] or [t 3 h w]; ValueError for another."""
    frames = torch.as_tensor(video)
    if frames.dtype != torch.uint8 or frames.ndim != 4 or len(frames) == 0:
        raise ValueError(
            f"video is {frames.dtype} {list(frames.shape)}, expected uint8 [t h w 3] or [t 3 h w]"
        )
    if frames.shape[-1] == 3:
        return frames.permute(0, 3, 1, 2)
    if frames.shape[1] == 3:
        return frames
    raise ValueError(f"video is {list(frames.shape)}, expected 3 colours second or last")


def as_features(video: str | Path | np.ndarray | Tensor, dim: int) -> Tensor:
    """Features float32 [t dim] from an array, or a file that holds one; DecodeError for others."""
    if isinstance(video, str | Path):
        if not holds_features(str(video)):
            raise DecodeError(
                f"{video} holds no features, which this model takes",
                "give a .npy file [t d], or `marey features` of a manifest and `marey eval`",
            )
        with open_features(Path(video)) as frames:
            vectors = torch.from_numpy(np.array(frames, dtype=np.float32))
    else:
        vectors = torch.as_tensor(video).float()
    if vectors.ndim != 2 or vectors.shape[1] != dim or not len(vectors):
        raise ValueError(f"features are {list(vectors.shape)}, expected [t {dim}]")
    return vectors


def videos_in(folder: Path) -> list[Path]:
    """The video files in a folder, sorted; none for a file or a folder of frames."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if VIDEO.fullmatch(path.name))
