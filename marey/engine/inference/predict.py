"""Prediction: what happens in a video, or when, by the model of a run or a release.

A clip is scored on the recipe's test views, exactly as `evaluate` does. A long video is cut into
windows, each scored as a clip of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from marey.data.checks.probe import doubt
from marey.data.features.feature_folder import holds_features, open_features
from marey.data.loading.clips import memory_ran_out
from marey.data.manifest.paths import VIDEO
from marey.data.own_videos.folders import clips_below
from marey.engine.inference.calibrate import calibrated_scores
from marey.engine.inference.probabilities import probabilities
from marey.engine.inference.scoring import check_finite, clips_at_once, score_views
from marey.engine.inference.windows import (
    Window,
    WindowScores,
    check_window,
    stride_of,
    views_of_windows,
    windows,
)
from marey.engine.runtimes.brought import scorer_of
from marey.engine.runtimes.exported import Exported
from marey.engine.runtimes.graph_files import Runtime
from marey.engine.runtimes.scorer import Scorer
from marey.engine.runtimes.usable import open_model
from marey.engine.weights.calibration import Calibration
from marey.engine.weights.hub_card import Said
from marey.engine.weights.joined import of_videos
from marey.engine.weights.share import push
from marey.engine.weights.trained import Trained, model_card, save_release
from marey.errors import DecodeError, RunError, counted
from marey.jobs.parts import Progress
from marey.recipes.compatible import check_readable
from marey.recipes.recipe import Recipe
from marey.recipes.testing import for_test
from marey.storage.url import AnyPath, any_path
from marey.timelines.segments import Segment, SegmentRule
from marey.types import Frames, Scores, check_counts
from marey.video.reading.frame_reader import FrameReader
from marey.video.reading.in_memory import FramesInMemory
from marey.video.reading.samples import open_samples, samples_of
from marey.video.sampling.segments import at_rate

Answer: TypeAlias = dict[str, Any]
"""`label` and `score` (a probability); `start` and `end` in seconds for a window; `head` if the
model has several; `scores`, those of every class by its name, where they are asked for."""

_log = logging.getLogger(__name__)


def load(
    folder: str | Path,
    device: str = "cpu",
    *,
    segments: int | None = None,
    calibrated: bool = False,
    runtime: Runtime | None = None,
    trusted: bool = False,
) -> Predictor:
    """A `Predictor` from the folder of a run or of a release, or from what `marey export` wrote.

    Args:
        folder: it, or what it means: a name of `marey weights`, or ``hub:ORG/NAME`` of a model of
            the hub that is on this machine (`marey.from_pretrained` fetches one); or the file of an
            export, or its folder.
        segments: of a clip; by default as many as the test views of its recipe have.
        calibrated: whether logits are divided by the temperatures that `marey eval --calibrate`
            measured, so that scores are as sure as they are right.
        runtime: what scores in place of torch's own weights; of an export it is that of the file.
        trusted: whether who made the file may run code here, as opening a .pt2 file lets them.

    Raises:
        CheckpointError: if it is neither, its weights do not fit, or it was never calibrated.
        RecipeError: if the model does not take so many segments, or was calibrated with others.
        RunError: if the runtime is not installed, cannot take the model, or is not that of the
            file; or the file is for other segments, or is not trusted.
    """
    model = open_model(folder, device, trusted=trusted)
    if runtime is not None:
        model = model.of_videos()
    model = model.tested_by(for_test(model.trained.recipe, segments=segments), runtime)
    calibration = model.calibration() if calibrated else None
    return Predictor(model.trained, torch.device(device), calibration, model.exported)


@dataclass(frozen=True)
class _Asked:
    """What is asked of each file."""

    top: int
    window: float | None = None
    stride: float | None = None
    all_scores: bool = False
    rule: SegmentRule | None = None

    def __post_init__(self) -> None:
        check_counts(top=self.top)
        if self.window is not None:
            stride_of(self.window, self.stride)
        for name, value in {"stride_seconds": self.stride, "rule": self.rule}.items():
            if value is not None and self.window is None:
                raise ValueError(
                    f"{name} is {value}, but there are no windows. hint: give window_seconds too"
                )
        if self.rule and self.all_scores:
            raise ValueError("all_scores are of windows: segments, by a rule, have one score each")


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained model that answers about videos."""

    trained: Trained
    device: torch.device
    calibration: Calibration | None = None
    """Whose temperatures the logits are divided by."""
    exported: Exported | None = None
    """What answers in place of the weights, which `trained` does not have then."""

    def predict(
        self,
        video: str | Path | Sequence[str | Path] | np.ndarray | Tensor,
        *,
        top: int = 5,
        window_seconds: float | None = None,
        stride_seconds: float | None = None,
        all_scores: bool = False,
        rule: SegmentRule | None = None,
        progress: Progress | None = None,
    ) -> list[Answer] | dict[str, list[Answer]]:
        """The `top` labels of a clip, best first; of several files, those of each by its path.

        Args:
            video: a file, a folder of frames or of videos, a list of files, or uint8 frames
                [t h w 3] or [t 3 h w]; for a model of features also float [t d] or files of them
                (.npy, a path into HDF5), as it takes videos only behind its encoder (`of_videos`).
            top: labels of every head.
            window_seconds: cut the video into windows of that length, and give the best label of
                each with its time. An array has no clock and takes none.
            stride_seconds: how often a window begins; by default every half window.
            all_scores: give every answer the `scores` of all classes, too.
            rule: give the segments that it makes of the windows, in place of these.
            progress: called with (done, total): windows of a file, or files of several.

        Raises:
            DecodeError: if a single video cannot be read, or has no two frames in a window; of
                several, [{"error": reason}] is its answer.
            RunError: if windows are asked for of features.
            CheckpointError: of a video, if the model takes features and their encoder is not there.
            ValueError: if an array is no frames or features, or is asked for windows; if `top` is
                below 1, seconds are not above 0, or the rule names a class of none.
        """
        asked = _Asked(top, window_seconds, stride_seconds, all_scores, rule)
        if rule is not None:
            rule.check_classes(self.trained.classes)
        takes_features = self.trained.model.spec.takes_features
        if not takes_features:
            check_readable(self.trained.model.spec)
        if isinstance(video, Sequence) and not isinstance(video, str):
            return self._of_files(video, asked, progress)
        if takes_features:
            if _shows_frames(video):
                return self.of_videos.predict(
                    video,
                    top=top,
                    window_seconds=window_seconds,
                    stride_seconds=stride_seconds,
                    all_scores=all_scores,
                    rule=rule,
                    progress=progress,
                )
            return self._of_features(video, asked)
        if isinstance(video, np.ndarray | Tensor):
            if window_seconds is not None:
                raise ValueError(
                    f"window_seconds is {window_seconds}, but an array of frames has no seconds. "
                    "hint: cut it, or give the file"
                )
            return self._of_clip(as_frames(video), asked)
        path = any_path(video)
        if isinstance(path, Path) and (files := videos_in(path)):
            return self._of_files(files, asked, progress)
        if isinstance(path, Path) and (deeper := _below(path)):
            raise DecodeError(
                f"{path} holds no video itself, but {counted(len(deeper), 'clip')} in folders",
                f"give these, such as {path / deeper[0]}",
            )
        return self._of_file(path, asked, progress)

    def watch(
        self,
        video: str | AnyPath,
        *,
        window_seconds: float,
        stride_seconds: float | None = None,
        num_frames: int | None = None,
        progress: Progress | None = None,
    ) -> WindowScores:
        """What the model says of every window of one video; `segments` makes a timeline of it.

        Args:
            video: a file or a folder of frames.
            window_seconds, stride_seconds, progress: as `predict` has them.
            num_frames: frames that decode, where that is known; it saves counting them.

        Raises:
            DecodeError, RunError, CheckpointError: as `predict`.
        """
        _Asked(1, window_seconds, stride_seconds)
        of = self.of_videos
        check_readable(of.trained.model.spec)
        with of._opened(any_path(video), num_frames) as reader:
            return of._watched(reader, window_seconds, stride_seconds, progress)

    def timeline(
        self,
        video: str | AnyPath,
        *,
        window_seconds: float,
        stride_seconds: float | None = None,
        rule: SegmentRule | None = None,
        progress: Progress | None = None,
    ) -> list[Segment]:
        """What happens when in one video: segments, by their start, of each head in turn.

        >>> model.timeline("long.mp4", window_seconds=2.0,              # doctest: +SKIP
        ...                rule=SegmentRule(smooth=1.0, background="nothing"))
        [Segment(start=3.1, end=5.4, label='fall', score=0.87, head='')]

        Args:
            rule: when moments are a segment; by default each shows its likeliest class.

        Raises:
            ValueError: the rule names a class that the model has not.
            DecodeError, RunError, CheckpointError: as `predict`.
        """
        rule = rule or SegmentRule()
        rule.check_classes(self.trained.classes)  # before anything is decoded
        watched = self.watch(
            video, window_seconds=window_seconds, stride_seconds=stride_seconds, progress=progress
        )
        return watched.segments(rule)

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names in the order of the scores; of several heads, those of the first."""
        return next(iter(self.trained.classes.values()))

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the model as a release to the new folder, and say where; as `marey export` does."""
        out, of = Path(folder), self._with_weights
        return save_release(of, out, model_card(of, of.folder))

    def push_to_hub(
        self,
        name: str,
        *,
        license: str = "",
        data: str = "",
        private: bool = False,
        message: str = "",
        token: str | None = None,
    ) -> str:
        """Share the model as ORG/NAME on the hub of Hugging Face; returns its url.

        Args:
            name: ORG/NAME; a repository is made if there is none.
            license: an identifier of the hub, such as apache-2.0; it is not guessed.
            data: what it was trained and validated on.
            private: whether nobody else is to see it.
            message: of the commit.
            token: of the hub; by default that of `hf auth login` or HF_TOKEN.

        Raises:
            RunError: the hub's library or a token is not there, or the hub does not take it.
            RecipeError: the recipe names a place of this machine, which is not sent.
        """
        said = Said(name=name, licence=license, data=data)
        return push(self._with_weights, said, private=private, message=message, token=token).url

    @property
    def _with_weights(self) -> Trained:
        """The model; RunError of an export, which has none of its weights."""
        if self.exported is not None and self.trained.folder is None:
            raise RunError(
                f"{self.exported.path} runs without weights, and has none to write",
                "load the run or release that it was exported from",
            )
        return self.trained

    @cached_property
    def of_videos(self) -> Predictor:
        """The predictor that takes videos: of a model of features, behind the encoder of these.

        Errors as `marey.engine.weights.joined.of_videos`.
        """
        whole = of_videos(self.trained)
        return self if whole is self.trained else replace(self, trained=whole)

    @cached_property
    def scorer(self) -> Scorer:
        """What answers: a form of the model that is fast here, on the frames of the test views."""
        of = self.trained
        if self.exported is not None:
            return self.exported.scorer(of.recipe)
        return scorer_of(of.model, of.recipe, folder=of.folder, device=self.device)

    def scores(self, reader: FrameReader) -> Scores:
        """Scores [k] of every head, averaged over the recipe's test views, as `evaluate` gives."""
        views = self.trained.recipe.test
        indices = at_rate(views.sampling, reader.fps).indices(len(reader))
        return self._score(reader.read(indices.ravel()), indices, reader.path)

    def score_batch(self, views: Tensor, clips: Sequence[object]) -> Scores:
        """Scores [b k] of every head of several clips, of which the test views are at hand.

        Args:
            views: uint8 [b v t 3 h w], or features float [b v t d].
            clips: what they are called.

        Raises:
            RunError: the scores of a clip are not finite.
        """
        recipe = replace(self.trained.recipe, amp=False)
        scores = score_views(self.scorer, views, recipe, device=self.device)
        check_finite(scores, clips)
        return calibrated_scores(scores, self.calibration, recipe.test.average)

    def answers(self, scores: Scores, top: int = 5) -> list[Answer]:
        """The `top` labels of every head, best first, by the scores [k] of a clip."""
        return self._answers(scores, _Asked(top))

    def of_windows(
        self, found: Sequence[Window], scores: Scores, times: np.ndarray
    ) -> WindowScores:
        """What the scores [n k] of every head say of n windows of a video with these times."""
        recipe = self.trained.recipe
        return WindowScores(
            windows=found,
            probabilities={
                head: probabilities_of_head(recipe, head, of).cpu() for head, of in scores.items()
            },
            classes=self.trained.classes,
            times=times,
            several=recipe.model.several,
        )

    def predict_file(self, path: str | AnyPath, top: int = 5) -> list[Answer]:
        """The `top` labels of one file or folder of frames, best first."""
        return self._of_file(path, _Asked(top))

    def _of_files(
        self, files: Sequence[str | Path], asked: _Asked, progress: Progress | None
    ) -> dict[str, list[Answer]]:
        answers = {}
        for done, file in enumerate(files, start=1):
            answers[str(file)] = self._or_error(file, asked)
            if progress:
                progress(done, len(files))
        return answers

    def _or_error(self, path: str | Path, asked: _Asked) -> list[Answer]:
        is_of_features = self.trained.model.spec.takes_features and not _shows_frames(path)
        of = self if is_of_features else self.of_videos
        try:
            return self._of_features(path, asked) if is_of_features else of._of_file(path, asked)
        except DecodeError as error:
            return [{"error": str(error)}]

    def _of_file(
        self, path: str | AnyPath, asked: _Asked, progress: Progress | None = None
    ) -> list[Answer]:
        with self._opened(path) as reader:
            if asked.window is None:
                return self._answers(self.scores(reader), asked)
            watched = self._watched(reader, asked.window, asked.stride, progress)
        if asked.rule is not None:
            return [segment.to_json() for segment in watched.segments(asked.rule)]
        best = replace(asked, top=1)
        return [
            {"start": window.start, "end": window.end} | answer
            for i, window in enumerate(watched.windows)
            for answer in self._named({h: of[i] for h, of in watched.probabilities.items()}, best)
        ]

    @contextmanager
    def _opened(self, path: str | AnyPath, num_frames: int | None = None) -> Iterator[FrameReader]:
        data, modality = self.trained.recipe.data, self.trained.model.spec.modality
        try:
            opened = open_samples(
                path, modality, backend=data.backend, num_frames=num_frames, settings=data.flow
            )
            with opened as reader:
                if told := doubt(len(reader), reader.announced, modality):
                    _log.warning("%s is %s", path, told)
                yield reader
        except (MemoryError, RuntimeError) as error:
            if not memory_ran_out(error):
                raise
            raise DecodeError(f"{path}: too large for the memory", "scale it down") from error

    def _of_clip(self, frames: Frames, asked: _Asked) -> list[Answer]:
        flow = self.trained.recipe.data.flow
        clip = samples_of(FramesInMemory(frames), self.trained.model.spec.modality, flow)
        return self._answers(self.scores(clip), asked)

    def _of_features(self, video: str | Path | np.ndarray | Tensor, asked: _Asked) -> list[Answer]:
        if asked.window is not None:
            raise RunError(
                f"a window of {asked.window:g} s is asked for, but features have no seconds",
                "windows are of videos",
            )
        vectors = as_features(video, self.trained.model.spec.encoder.in_channels)
        indices = self.trained.recipe.test.sampling.indices(len(vectors))
        name = video if isinstance(video, str | Path) else "the clip"
        return self._answers(self._score_views(vectors[torch.from_numpy(indices)], name), asked)

    def _watched(
        self, reader: FrameReader, window: float, stride: float | None, progress: Progress | None
    ) -> WindowScores:
        recipe, scores = self.trained.recipe, list[Scores]()
        times = reader.timestamps()
        check_window(times, window, reader.path)
        found = list(windows(times, window, stride_of(window, stride), reader.path))
        sampling = at_rate(recipe.test.sampling, reader.fps)
        indices = [of.first + sampling.indices(of.last - of.first) for of in found]
        views = views_of_windows(reader, indices, recipe.test.crop)
        done = 0
        while batch := list(islice(views, clips_at_once(recipe))):
            scores.append(self.score_batch(torch.stack(batch), [reader.path] * len(batch)))
            done += len(batch)
            if progress:
                progress(done, len(found))
        by_head = {head: torch.cat([of[head] for of in scores]) for head in scores[0]}
        return self.of_windows(found, by_head, times)

    def _score(self, frames: Frames, indices: np.ndarray, clip: object) -> Scores:
        recipe = self.trained.recipe
        clips = frames.reshape(*indices.shape, *frames.shape[1:])
        return self._score_views(torch.cat([recipe.test.crop(each) for each in clips]), clip)

    def _score_views(self, views: Tensor, clip: object) -> Scores:
        return {head: of[0] for head, of in self.score_batch(views[None], [clip]).items()}

    def _answers(self, scores: Scores, asked: _Asked) -> list[Answer]:
        recipe = self.trained.recipe
        return self._named(
            {head: probabilities_of_head(recipe, head, of) for head, of in scores.items()}, asked
        )

    def _named(self, probabilities: Scores, asked: _Asked) -> list[Answer]:
        answers: list[Answer] = []
        for head, of_class in probabilities.items():
            names = self.trained.classes[head]
            best = of_class.topk(min(asked.top, len(names)))
            about = {"head": head} if len(probabilities) > 1 else {}
            every = dict(zip(names, of_class.tolist(), strict=True))
            more = {"scores": every} if asked.all_scores else {}
            for score, index in zip(best.values.tolist(), best.indices.tolist(), strict=True):
                answers.append(about | {"label": names[index], "score": score} | more)
        return answers


def probabilities_of_head(recipe: Recipe, head: str, scores: Tensor) -> Tensor:
    """What the scores [... k] of a head of the recipe's model mean."""
    of_each = head in recipe.model.several
    return probabilities(scores, average=recipe.test.average, several=of_each)


def _shows_frames(video: str | Path | np.ndarray | Tensor) -> bool:
    """Whether it is a video, or pictures, and no features."""
    if isinstance(video, str | Path):
        return not holds_features(str(video))
    return video.ndim == 4


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


def _below(path: Path) -> list[str]:
    """The clips in the folders of a folder, from it; none in what is a clip itself."""
    found = clips_below(path) if path.is_dir() else []
    return [] if found == ["."] else found


def videos_in(folder: Path) -> list[Path]:
    """The video files in a folder, sorted; none for a file or a folder of frames."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if VIDEO.fullmatch(path.name))
