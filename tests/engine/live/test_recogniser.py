from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from marey.engine.inference.predict import Predictor
from marey.engine.live.frame_by_frame import Carried
from marey.engine.live.recogniser import Answer, LiveRecogniser, live_recogniser
from marey.engine.live.sight import Sight
from marey.engine.weights.calibration import Calibration
from marey.engine.weights.trained import Trained
from marey.errors import RecipeError, RunError
from marey.models import TSM, Head, ModelSpec, ResNetSpec
from marey.models.encoders.features import FeaturesSpec
from marey.models.sites import TemporalOp
from marey.models.video_model import Consensus
from marey.recipes.recipe import Recipe, TestViews, Views
from marey.timelines.decisions import Decision, HighestOfLast, MeanOfLast, PublishedDemo
from marey.types import Frames
from marey.video.augment import Augment, normalize
from marey.video.crops import CenterCrop, Crop, ThreeCrop
from marey.video.sampling.segments import Clips, Segments
from tests.models.fused.lively import enliven

LABELS = ("up", "down", "left", "right", "still")
PAST: tuple[TemporalOp, ...] = (TSM(direction="past"),)
BOTH: tuple[TemporalOp, ...] = (TSM(),)
AS_IT_COMES = MeanOfLast(1)
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


SMALL = CenterCrop(32, 40)


@cache
def predictor(
    ops: tuple[TemporalOp, ...] = PAST,
    *,
    frames: int = 4,
    crop: Crop = SMALL,
    average: str = "logits",
    clips: int = 1,
    several: bool = False,
) -> Predictor:
    """An untrained model with logits that differ, in colours that no default has."""
    spec = ModelSpec(
        ResNetSpec(18, channels=8), ops, num_segments=frames, heads=(Head("label", 5, several),)
    )
    torch.manual_seed(0)
    model = enliven(spec.build())
    recipe = Recipe(
        name="tiny",
        model=spec,
        train=Views(Segments(frames)),
        test=TestViews(Segments(frames, clips=clips), crop, average),
        augment=Augment(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25), channel_order="bgr"),
    )
    made = Predictor(Trained(recipe, model, {"label": LABELS}), torch.device("cpu"))
    with torch.no_grad():  # else all pictures are of one class
        model.get_parameter("heads.label.bias").sub_(offline(made, pictures(8)).mean(dim=(0, 1)))
    return made


def pictures(number: int, height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 206, (number, 1, 1, 3))
    return (colours + rng.integers(0, 50, (number, height, width, 3))).astype(np.uint8)


def answers_to(
    recogniser: LiveRecogniser, video: np.ndarray, seconds: list[float] | None = None
) -> list[Answer]:
    """All answers to one stream of 10 frames a second."""
    stream, found = recogniser.begin(), []
    for picture, when in zip(video, seconds or np.arange(len(video)) / 10, strict=True):
        [answer] = recogniser.step([(stream, picture, float(when))])
        assert not isinstance(answer, RunError)
        if answer is not None:
            found.append(answer)
    return found


def offline(of: Predictor, video: np.ndarray) -> torch.Tensor:
    """Logits of every frame and crop of the whole video as one clip, [s t k]."""
    recipe, model = of.trained.recipe, of.trained.model.with_frames(len(video))
    views = recipe.test.crop(torch.from_numpy(video).permute(0, 3, 1, 2))
    pixels = recipe.augment
    clip = normalize(views, pixels.mean, pixels.std, channel_order=pixels.channel_order)
    with torch.no_grad():
        logits: torch.Tensor = model.heads["label"](model.features(clip))
    return logits


@pytest.mark.parametrize("crop", [SMALL, ThreeCrop(32, 32)])
def test_each_frame_gets_what_the_clip_of_all_frames_gives_it(crop: Crop) -> None:
    of, video = predictor(crop=crop), pictures(6)
    recogniser = live_recogniser(of, AS_IT_COMES)
    assert recogniser.by == "frame"
    found = np.stack([answer.scores for answer in answers_to(recogniser, video)])
    wanted = offline(of, video).mean(dim=0).softmax(dim=1).numpy()
    np.testing.assert_allclose(found, wanted, **CLOSE)


def test_the_mean_of_all_frames_is_what_evaluation_says_of_the_clip() -> None:
    of, video = predictor(), pictures(4)
    last = answers_to(live_recogniser(of), video)[-1]
    [best, *_] = of.predict(video, top=1)
    assert (last.label, last.score) == (best["label"], pytest.approx(best["score"], abs=1e-5))


def test_probabilities_of_crops_are_averaged_where_the_recipe_does() -> None:
    of, video = predictor(crop=ThreeCrop(32, 32), average="probs"), pictures(3)
    found = np.stack([a.scores for a in answers_to(live_recogniser(of, AS_IT_COMES), video)])
    wanted = offline(of, video).softmax(dim=2).mean(dim=0).numpy()
    np.testing.assert_allclose(found, wanted, **CLOSE)


def test_streams_of_a_batch_do_not_see_each_other() -> None:
    recogniser = live_recogniser(predictor(), AS_IT_COMES)
    videos = [pictures(5, seed=1), pictures(5, 40, 90, seed=2), pictures(5, 64, 44, seed=3)]
    alone = [answers_to(recogniser, video) for video in videos]
    streams = [recogniser.begin() for _ in videos]
    for i in range(5):
        taking_part = [n for n in range(3) if not (i == 2 and n == 1)]  # one of them misses a turn
        found = recogniser.step([(streams[n], videos[n][i], i / 10) for n in taking_part])
        for n, answer in zip(taking_part, found, strict=True):
            if n != 1 or i < 2:
                assert isinstance(answer, Answer)
                np.testing.assert_allclose(answer.scores, alone[n][i].scores, **CLOSE)


@pytest.mark.parametrize("ops", [PAST, BOTH])
def test_time_that_jumps_back_begins_the_stream_anew(ops: tuple[TemporalOp, ...]) -> None:
    windows = {} if ops is PAST else {"window_seconds": 0.4, "stride_seconds": 0.1}
    recogniser = live_recogniser(predictor(ops), **windows)
    video = pictures(4)
    fresh = answers_to(recogniser, video)
    stream = recogniser.begin()
    for seconds, picture in enumerate(pictures(3, seed=5), start=100):
        recogniser.step([(stream, picture, seconds)])
    again = [recogniser.step([(stream, video[i], i / 10)])[0] for i in range(4)]
    assert stream.num_restarts == 1
    for one, other in zip(fresh, filter(None, again), strict=True):
        assert isinstance(other, Answer)
        np.testing.assert_array_equal(one.scores, other.scores)


@pytest.mark.parametrize("ops", [PAST, BOTH])
def test_pictures_may_change_their_size(ops: tuple[TemporalOp, ...]) -> None:
    recogniser = live_recogniser(predictor(ops))
    stream = recogniser.begin()
    for i, size in enumerate([(48, 64), (20, 20), (300, 61)]):
        recogniser.step([(stream, pictures(1, *size)[0], float(i))])


def test_a_window_gets_what_prediction_says_of_its_frames() -> None:
    of = predictor(BOTH, crop=ThreeCrop(32, 32), clips=2)
    video = pictures(12)
    recogniser = live_recogniser(of, AS_IT_COMES, window_seconds=0.5, stride_seconds=0.3)
    assert recogniser.by == "window"
    assert "the last 0.5 s every 0.3 s, as 2 x 3 views of 4 frames" in recogniser.about
    found = answers_to(recogniser, video)
    assert [round(answer.seconds, 6) for answer in found] == [0.3, 0.6, 0.9]
    for answer, (first, last) in zip(found, [(0, 3), (1, 6), (4, 9)], strict=True):
        scores = of.predict(video[first : last + 1], top=1, all_scores=True)[0]["scores"]
        np.testing.assert_allclose(answer.scores, list(scores.values()), **CLOSE)


def test_a_stride_may_be_longer_than_the_window_and_says_what_is_unseen() -> None:
    recogniser = live_recogniser(predictor(BOTH), window_seconds=0.3, stride_seconds=1.0)
    assert recogniser.about.split("; ")[0].endswith(" (0.7 s of every 1 s are in no window)")
    found = answers_to(recogniser, pictures(25))
    assert [answer.seconds for answer in found] == [1.0, 2.0]


def test_a_window_holds_few_frames_of_a_clock_that_stands_still() -> None:
    recogniser = live_recogniser(predictor(BOTH), window_seconds=0.1, stride_seconds=0.1)
    stream = recogniser.begin()
    for picture in pictures(40, 16, 16):
        recogniser.step([(stream, picture, 1.0)])
    assert len(stream.kept.frames) == 12


def test_a_stream_that_was_away_for_long_is_looked_at_once() -> None:
    recogniser = live_recogniser(predictor(BOTH), window_seconds=1.0, stride_seconds=0.5)
    times = [0.0, 0.4, 60.0, 60.1, 60.6]
    found = answers_to(recogniser, pictures(5), times)
    assert [answer.seconds for answer in found] == [60.0, 60.6]


def test_a_calibrated_model_is_as_sure_as_its_temperature_says() -> None:
    of, video = predictor(), pictures(1)
    warm = replace(of, calibration=Calibration(temperatures={"label": 2.0}))
    [sure], [less] = (
        answers_to(live_recogniser(of), video),
        answers_to(live_recogniser(warm), video),
    )
    roots = np.sqrt(sure.scores)
    np.testing.assert_allclose(less.scores, roots / roots.sum(), **CLOSE)


def test_classes_of_which_a_clip_may_have_several_have_chances_of_their_own() -> None:
    of, video = predictor(several=True), pictures(1)
    [answer] = answers_to(live_recogniser(of), video)
    np.testing.assert_allclose(answer.scores, offline(of, video)[0, 0].sigmoid().numpy(), **CLOSE)


def test_what_is_said_is_smooth_and_what_is_raw_is_not() -> None:
    of, video = predictor(), pictures(8)
    held = answers_to(live_recogniser(of, MeanOfLast(1, times=1e9)), video)
    assert {answer.label for answer in held} == {held[0].label}
    best = offline(of, video)[0].argmax(dim=1).tolist()
    assert [answer.raw_label for answer in held] == [LABELS[index] for index in best]
    assert len(set(best)) > 1


def test_an_answer_is_json() -> None:
    [answer] = answers_to(live_recogniser(predictor()), pictures(1))
    plain = answer.to_json(top=2)
    assert list(plain) == ["seconds", "label", "score", "head", "raw_label", "raw_score", "top"]
    assert plain["top"][0] == [answer.label, round(answer.score, 6)]
    assert "top" not in answer.to_json()


def test_the_rule_is_that_of_the_recipe_unless_another_is_asked_for() -> None:
    of = predictor()
    assert live_recogniser(of).decision == MeanOfLast(4)
    assert live_recogniser(predictor(BOTH)).decision == MeanOfLast(1)
    recipe = replace(of.trained.recipe, decision=MeanOfLast(7))
    of = replace(of, trained=replace(of.trained, recipe=recipe))
    assert live_recogniser(of).decision == MeanOfLast(7)
    assert live_recogniser(of, MeanOfLast(3)).decision == MeanOfLast(3)


def by(consensus: Consensus, **recipe: Any) -> Predictor:
    """The model that looks back, with another consensus of its frames."""
    of = predictor()
    spec = replace(of.trained.model.spec, consensus=consensus)
    model = spec.build().eval()
    model.load_state_dict(of.trained.model.state_dict())
    changed = replace(of.trained.recipe, model=spec, **recipe)
    return replace(of, trained=replace(of.trained, recipe=changed, model=model))


@pytest.mark.parametrize("consensus", ["avg", "max", 2])
def test_frames_are_taken_together_as_the_model_takes_them(consensus: Consensus) -> None:
    of, video = by(consensus), pictures(4)
    recogniser = live_recogniser(of)
    last = answers_to(recogniser, video)[-1]
    [best, *_] = of.predict(video, top=1)
    assert (last.label, last.score) == (best["label"], pytest.approx(best["score"], abs=1e-5))
    assert recogniser.about.endswith(f"decides by {recogniser.decision}")


@pytest.mark.parametrize("rule", [MeanOfLast(3), HighestOfLast(3, highest=2), PublishedDemo()])
def test_a_rule_that_takes_frames_together_otherwise_is_refused(rule: Decision) -> None:
    for of, given in ((by("max"), rule), (by("max", decision=rule), None)):
        with pytest.raises(
            RecipeError, match=r"but the model takes its frames by model\.consensus=max"
        ):
            live_recogniser(of, given)
    with pytest.raises(RecipeError, match="consensus=avg"):
        live_recogniser(by("avg"), HighestOfLast(3))
    assert live_recogniser(by("max"), AS_IT_COMES).decision == AS_IT_COMES
    windows = replace(predictor(BOTH).trained.model.spec, consensus="max")
    whole = replace(predictor(BOTH).trained, model=windows.build().eval())
    of = replace(predictor(BOTH), trained=whole)
    assert live_recogniser(of, MeanOfLast(3)).decision == MeanOfLast(3)


def test_the_highest_share_of_a_class_is_no_logit() -> None:
    views = replace(predictor().trained.recipe.test, average="probs")
    with pytest.raises(RecipeError, match=r"of logits, but test\.average is probs"):
        live_recogniser(by("max", test=views))


def overflowing() -> Predictor:
    """A model of whose scores none is a number."""
    of = predictor()
    model = enliven(of.trained.model.spec.build())
    torch.nn.init.constant_(model.get_parameter("heads.label.weight"), 3e38)
    return replace(of, trained=replace(of.trained, model=model))


def test_scores_that_are_no_numbers_are_an_error_of_their_stream() -> None:
    recogniser = live_recogniser(overflowing())
    stream = recogniser.begin()
    [error] = recogniser.step([(stream, pictures(1)[0], 0.0)])
    assert isinstance(error, RunError)
    assert "the scores of 'label' are not finite" in str(error)
    assert stream.num_restarts == 1
    assert not any(buffer.any() for buffer in stream.kept.buffers)


WHITE = np.full((48, 64, 3), 255, np.uint8)


@dataclass(frozen=True)
class OfWhiteNothing:
    """Of a white picture the scores are no numbers, nor are those after it if it is remembered."""

    sight: Sight

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sight, name)

    def look(self, frames: Sequence[tuple[Any, Frames, float]]) -> list[Tensor | None]:
        found = self.sight.look(frames)
        for i, (kept, crops, _) in enumerate(frames):
            if crops.min() == 255 and isinstance(kept, Carried):
                kept.buffers = tuple(buffer * torch.nan for buffer in kept.buffers)
            if (scores := found[i]) is not None and crops.min() == 255:
                found[i] = scores * torch.nan
        return found


def of_white_nothing(ops: tuple[TemporalOp, ...] = PAST) -> LiveRecogniser:
    recogniser = live_recogniser(predictor(ops), AS_IT_COMES)
    recogniser._sight = OfWhiteNothing(recogniser._sight)
    return recogniser


def test_a_stream_without_numbers_costs_the_others_nothing_and_itself_its_past() -> None:
    recogniser = of_white_nothing()
    good, bad = pictures(5, seed=1), pictures(5, seed=2)
    bad[2] = WHITE
    alone, anew = answers_to(recogniser, good), answers_to(recogniser, bad[3:])
    streams = recogniser.begin(), recogniser.begin()
    for i in range(5):
        steps = [(streams[0], good[i], i / 10), (streams[1], bad[i], i / 10)]
        first, second = recogniser.step(steps)
        assert isinstance(first, Answer)
        np.testing.assert_allclose(first.scores, alone[i].scores, **CLOSE)
        assert isinstance(second, RunError) == (i == 2)
        if i > 2:
            assert isinstance(second, Answer)
            np.testing.assert_allclose(second.scores, anew[i - 3].scores, **CLOSE)
    assert [stream.num_restarts for stream in streams] == [0, 1]


def test_a_model_of_several_heads_asks_for_one() -> None:
    of = predictor()
    spec = replace(of.trained.model.spec, heads=(Head("verb", 5), Head("noun", 3)))
    classes = {"verb": LABELS, "noun": LABELS[:3]}
    two = replace(of, trained=replace(of.trained, model=spec.build().eval(), classes=classes))
    with pytest.raises(
        RunError,
        match=r"several heads \(verb, noun\).*hint: say which: --head verb, or head='verb'",
    ):
        live_recogniser(two)
    with pytest.raises(RunError, match="no head 'nuon'.*did you mean 'noun'"):
        live_recogniser(two, head="nuon")
    assert live_recogniser(two, head="noun").labels == LABELS[:3]


def test_what_cannot_be_streamed_is_refused() -> None:
    of = predictor()
    with pytest.raises(
        RunError,
        match=r"window of 2 s was asked for \(--window, or window_seconds\), but tiny only",
    ):
        live_recogniser(of, window_seconds=2.0)
    with pytest.raises(
        RecipeError,
        match="decision: PublishedDemo is a rule .* 27 classes.*hint: MeanOf",
    ):
        live_recogniser(of, PublishedDemo())
    features = ModelSpec(FeaturesSpec(4), heads=(Head("label", 5),)).build().eval()
    with pytest.raises(RecipeError, match="takes features, and is no part of a model of videos"):
        live_recogniser(replace(of, trained=replace(of.trained, model=features)))


@pytest.mark.parametrize(
    ("picture", "seconds", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), 0.0, r"picture is float32 \[4, 4, 3\]"),
        (np.zeros((3, 4, 4), np.uint8), 0.0, r"picture is uint8 \[3, 4, 4\]"),
        (np.zeros((0, 4, 3), np.uint8), 0.0, r"\[0, 4, 3\], which is empty"),
        (np.zeros((4, 4, 3), np.uint8), float("nan"), "seconds is nan, expected a finite number"),
    ],
)
def test_what_is_no_frame_is_refused(picture: np.ndarray, seconds: float, message: str) -> None:
    recogniser = live_recogniser(predictor())
    with pytest.raises(ValueError, match=message):
        recogniser.step([(recogniser.begin(), picture, seconds)])


def test_a_picture_may_be_turned_or_not_ours_to_write() -> None:
    recogniser = live_recogniser(predictor())
    [picture] = pictures(1)
    locked = picture.copy()
    locked.flags.writeable = False
    for same in (
        picture[::-1, ::-1].copy()[::-1, ::-1],
        picture.swapaxes(0, 1).copy().swapaxes(0, 1),
        locked,
    ):
        answers = [recogniser.step([(recogniser.begin(), x, 0.0)])[0] for x in (picture, same)]
        np.testing.assert_array_equal(*(of.scores for of in answers if isinstance(of, Answer)))


def test_a_stream_has_one_frame_in_a_step() -> None:
    recogniser = live_recogniser(predictor())
    stream, picture = recogniser.begin(), pictures(1)[0]
    with pytest.raises(ValueError, match="two frames in one step"):
        recogniser.step([(stream, picture, 0.0), (stream, picture, 0.1)])
    assert recogniser.step([]) == []


def test_other_samplings_pick_in_windows_too() -> None:
    of = predictor(BOTH)
    test = replace(of.trained.recipe.test, sampling=Clips(4, 2, clips=3))
    recipe = replace(of.trained.recipe, test=test)
    of = replace(of, trained=replace(of.trained, recipe=recipe))
    assert len(answers_to(live_recogniser(of), pictures(30))) > 2
