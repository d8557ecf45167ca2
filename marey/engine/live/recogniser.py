"""The recogniser of streams: pictures as they come -> labels, by the model of a run or a release.

    recogniser = live_recogniser(marey.load("runs/tsm-online"))
    stream = recogniser.begin()
    for picture, seconds in camera:
        [answer] = recogniser.step([(stream, picture, seconds)])

A model that only looks back sees each frame once, and answers to each. Any other one sees a window
of the last seconds again and again. Either way frames are scaled, cut and normalised as the
recipe's test views are, and what is said is decided by a rule of `marey.timelines.decisions`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from marey.engine.inference.calibrate import calibrated_scores
from marey.engine.inference.predict import Predictor
from marey.engine.inference.probabilities import as_logits, probabilities
from marey.engine.inference.windows import stride_of
from marey.engine.live.answer import Answer as Answer
from marey.engine.live.frame_by_frame import FrameByFrame
from marey.engine.live.sight import LiveStream as LiveStream
from marey.engine.live.sight import Sight
from marey.engine.live.sliding_window import SlidingWindow
from marey.errors import RecipeError, RunError, did_you_mean
from marey.models.fused import fused
from marey.models.stream import streaming, why_not_streamed
from marey.models.video_model import ModelSpec
from marey.recipes.compatible import check_pictures
from marey.recipes.recipe import Recipe
from marey.timelines.decisions import Decision, HighestOfLast, MeanOfLast, PublishedDemo
from marey.types import Frames

WINDOW_SECONDS = 2.0
"""Of a window, unless another length is asked for."""
WINDOWS_A_WINDOW = 4
"""How many windows begin within one, unless another stride is asked for."""


Frame: TypeAlias = tuple[LiveStream, npt.NDArray[np.uint8], float]
"""A stream, its newest picture uint8 [h w 3], in RGB and of any size, and its time in seconds."""


class LiveRecogniser:
    """Labels of streams by one head of a model. It may be called from several threads."""

    def __init__(self, predictor: Predictor, sight: Sight, head: str, decision: Decision) -> None:
        trained = predictor.trained
        self.head = head
        self.labels = trained.classes[head]
        self.decision = decision.for_labels(self.labels)
        self._recipe = trained.recipe
        self._several = head in trained.recipe.model.several
        self._calibration, self._sight = predictor.calibration, sight
        self._one_at_a_time = threading.Lock()  # a model that streams has memory while it computes

    @property
    def by(self) -> Literal["frame", "window"]:
        """Whether each frame has an answer, or each window."""
        return self._sight.by

    @property
    def about(self) -> str:
        """How it looks, and by which rule it decides, in words."""
        return f"{self._sight.about}; decides by {self.decision}"

    def begin(self) -> LiveStream:
        """The state of a new stream."""
        return LiveStream(self._sight)

    def step(self, frames: Sequence[Frame]) -> list[Answer | RunError | None]:
        """The answers to one new frame of each of some streams, in one batch.

        None stands for a stream of which no window is due, an error for one whose scores are not
        finite: it has begun anew, as what is kept of it would spoil every answer to come. The
        others have their answers. A stream whose time jumps back begins anew with that frame
        (`LiveStream.num_restarts`).

        Raises:
            ValueError: two frames of one stream, a picture that is none, a time that is no number.
        """
        _check(frames)
        if not frames:
            return []
        with self._one_at_a_time, torch.inference_mode():
            for stream, _, seconds in frames:
                if seconds < stream.seconds:
                    stream.begin_anew()
                stream.seconds = seconds
            crop = self._recipe.test.crop
            crops = [crop(_as_frames(picture))[:, 0] for _, picture, _ in frames]
            found = self._sight.look(
                [(of[0].kept, views, of[2]) for of, views in zip(frames, crops, strict=True)]
            )
            return [
                None if scores is None else self._answer(stream, scores, seconds)
                for (stream, _, seconds), scores in zip(frames, found, strict=True)
            ]

    def _answer(self, stream: LiveStream, scores: Tensor, seconds: float) -> Answer | RunError:
        if not scores.isfinite().all():
            stream.begin_anew()
            return RunError(
                f"the scores of '{self.head}' are not finite",
                "the numbers inside the model overflow: look at how it was trained",
            )
        average = self._recipe.test.average
        of_head = calibrated_scores({self.head: scores[None]}, self._calibration, average)
        newest = of_head[self.head][0].double()
        # rules are of logits
        logits = as_logits(newest, average=average, several=self._several).cpu().numpy()
        stream.decided = now = self.decision.step(stream.decided, logits, seconds)
        smooth, raw = self._probabilities(now.logits), self._probabilities(logits)
        best = int(raw.argmax())
        return Answer(
            seconds=seconds,
            label=self.labels[now.said],
            score=float(smooth[now.said]),
            head=self.head,
            scores=smooth,
            raw_label=self.labels[best],
            raw_score=float(raw[best]),
            labels=self.labels,
        )

    def _probabilities(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        found = probabilities(torch.tensor(logits), average="logits", several=self._several)
        return found.float().numpy()


def live_recogniser(
    predictor: Predictor,
    decision: Decision | None = None,
    *,
    head: str | None = None,
    window_seconds: float | None = None,
    stride_seconds: float | None = None,
) -> LiveRecogniser:
    """The recogniser of streams by this model.

    Args:
        predictor: as `marey.load` gives it; one of features stands behind their encoder.
        decision: which class is said; by default that of `usual_decision`.
        head: the label to predict; it may be left out where there is only one.
        window_seconds: of a model that does not only look back; by default 2.
        stride_seconds: how often it looks at the last `window_seconds`; by default 4 times a
            window.

    Raises:
        RunError: no such head, a model of no pictures, windows for one that sees each frame once.
        RecipeError: the rule is none for these classes, or takes frames together in another way
            than the model does; or as `Predictor.of_videos`.
        CheckpointError: as `Predictor.of_videos`.
    """
    name = _called(predictor)
    predictor = predictor.of_videos
    trained = predictor.trained
    spec, recipe = trained.model.spec, trained.recipe
    check_pictures(spec, "a stream")
    head = _head(head, list(trained.classes), name)
    file = predictor.exported
    decision = decision or usual_decision(predictor)
    sight: Sight
    if not why_windows(predictor):
        for what, option, value in (
            ("a window", "--window, or window_seconds", window_seconds),
            ("a stride", "--stride, or stride_seconds", stride_seconds),
        ):
            if value is not None:
                raise RunError(
                    f"{what} of {value:g} s was asked for ({option}), but {name} only looks back: "
                    "it sees each frame once, and has no windows",
                    "leave it out",
                )
        _refuse_other_consensus(decision, recipe, head)
        model = fused(streaming(trained.model, head)) if file is None else file.stream
        sight = FrameByFrame(model, recipe, predictor.device)
    else:
        window = WINDOW_SECONDS if window_seconds is None else window_seconds
        stride = stride_of(window, stride_seconds, in_a_window=WINDOWS_A_WINDOW)
        sight = SlidingWindow(
            predictor.scorer, recipe, head, predictor.device, window=window, stride=stride
        )
    try:
        return LiveRecogniser(predictor, sight, head, decision)
    except ValueError as error:
        reason, _, hint = str(error).partition(". hint: ")
        raise RecipeError(f"decision: {reason}", hint) from error


def why_windows(predictor: Predictor) -> str:
    """Why it sees windows of a stream; empty if it sees each frame once."""
    file = predictor.exported
    if file is not None and file.facts.of == "clips":
        return f"{file.path} takes whole clips"
    return why_not_streamed(predictor.trained.model.spec)


def usual_decision(predictor: Predictor) -> Decision:
    """The rule of its recipe; where it has none, the consensus of as many frames as a clip has.

    That is what a model is trained by that sees each frame once: the mean of frames, or of the
    highest ones (`ModelSpec.consensus`). Windows are taken as they are.
    """
    recipe = predictor.trained.recipe
    if recipe.decision is not None:
        return recipe.decision
    return MeanOfLast(1) if why_windows(predictor) else _by_consensus(recipe.model)


def _by_consensus(spec: ModelSpec) -> MeanOfLast:
    """The rule by which the frames of a stream give what those of a clip give."""
    if spec.consensus == "avg":
        return MeanOfLast(spec.frames)
    return HighestOfLast(spec.frames, highest=1 if spec.consensus == "max" else spec.consensus)


def _refuse_other_consensus(decision: Decision, recipe: Recipe, head: str) -> None:
    """RecipeError for a rule that takes several frames together as the model was not trained to."""
    own = _by_consensus(recipe.model)
    if not isinstance(decision, MeanOfLast | PublishedDemo) or decision.answers == 1:
        return
    as_it_comes = "--answers 1, or MeanOfLast(1), takes each frame as it is"
    if getattr(decision, "highest", None) != getattr(own, "highest", None):
        raise RecipeError(
            f"decision is {decision}, but the model takes its frames by "
            f"model.consensus={recipe.model.consensus}",
            f"{own} is that; {as_it_comes}",
        )
    shares = recipe.test.average == "probs" and head not in recipe.model.several
    if isinstance(decision, HighestOfLast) and shares:
        # the highest logit of a class is not its highest share, which depends on the others
        raise RecipeError(
            f"decision is {decision}, of logits, but test.average is probs", as_it_comes
        )


def _called(predictor: Predictor) -> str:
    """What a person knows the model by: where it lies, or else the name of its recipe."""
    of, file = predictor.trained, predictor.exported
    return str((file.path if file else of.folder) or of.recipe.name)


def _head(asked: str | None, heads: list[str], name: str) -> str:
    if asked is None and len(heads) == 1:
        return heads[0]
    if asked is None:
        raise RunError(
            f"{name} has several heads ({', '.join(heads)}), and a stream is of one",
            f"say which: --head {heads[0]}, or head='{heads[0]}'",
        )
    if asked not in heads:
        raise RunError(f"{name} has no head '{asked}'", did_you_mean(asked, heads))
    return asked


def _as_frames(picture: npt.NDArray[np.uint8]) -> Frames:
    """The picture [h w 3] as a clip of one frame, uint8 [1 3 h w]; a copy if torch needs one."""
    return torch.from_numpy(np.require(picture, requirements=["C", "W"])).permute(2, 0, 1)[None]


def _check(frames: Sequence[Frame]) -> None:
    if len({id(stream) for stream, _, _ in frames}) < len(frames):
        raise ValueError("a stream has two frames in one step, expected one of each")
    for _, picture, seconds in frames:
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise ValueError(
                f"picture is {picture.dtype} {list(picture.shape)}, expected uint8 [h w 3]"
            )
        if not picture.size:
            raise ValueError(f"picture is {list(picture.shape)}, which is empty")
        if not math.isfinite(seconds):
            raise ValueError(f"seconds is {seconds}, expected a finite number")
