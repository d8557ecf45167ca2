"""Protocols: the test views that papers and code bases give their numbers with, by name.

A name says whose it is, then clips x crops: ``tsm-2x3`` are two clips and three crops. Frames,
sizes and rates are those that a recipe trains with: "224" below is the size of its training crops
and "256" is 8/7 of it, so that a protocol serves models of any size; models that train on L
consecutive frames a segment (TDN) are tested on as many.

Each name means the repaired rule of `marey.video`; with ``-upstream`` after it, that of the
published code to the frame (their modules say where the two part). A recipe does not store the
name: `protocol_of` compares its test views with all of these, so what it says is always true.

Sources are the reference commits that `marey.recipes` names; clips x crops of bLVNet-TAM's Kinetics
rows are derived from the cost that they claim.

**Deviates**: TDN's ten clips of Kinetics are drawn anew in every run; `tdn-10x3` has one at each
tenth of the segments, `tdn-10x3-upstream` draws them once and for all.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from marey.errors import RecipeError, did_you_mean
from marey.recipes.recipe import Recipe, TestViews
from marey.video.crops import CenterCrop, Crop, TenCrop, ThreeCrop
from marey.video.motionformer_crops import UniformCrop
from marey.video.sampling.blvnet import Uniform
from marey.video.sampling.motionformer import RoundedSegments, TimedClips
from marey.video.sampling.repeated_draws import Drawn
from marey.video.sampling.resampled import ResampledClips
from marey.video.sampling.segments import (
    AllFrames,
    Dense,
    EvenFrames,
    Sampling,
    Segments,
    in_frames,
)

Variant: TypeAlias = Literal["repaired", "upstream"]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Named test views: a function of a recipe's model and of the views that it trains with."""

    stem: str
    sampling: Callable[[Recipe, Variant], Sampling]
    crop: Callable[[Recipe], Crop]
    about: str
    source: str
    average: Literal["logits", "probs"] = "logits"
    variant: Variant = "repaired"
    of_features: bool = False

    @property
    def name(self) -> str:
        """The stem, with the variant if it is upstream's."""
        return self.stem if self.variant == "repaired" else f"{self.stem}-upstream"

    def views(self, recipe: Recipe, frames: int | None = None) -> TestViews:
        """The test views for the model of `recipe`; ValueError says why it cannot take them.

        `frames` are those of a clip, where they are not to be those of training.
        """
        if recipe.model.takes_features != self.of_features:
            takes, has = ("videos", "features") if self.of_features else ("features", "videos")
            raise ValueError(f"the model takes {takes}, {self.name} has views of {has}")
        if frames is not None and not self.of_features:
            recipe = _as_if_trained_on(recipe, frames)
        sampling = self.sampling(recipe, self.variant)
        if frames is not None and sampling.frames != frames:
            has = f"{sampling.frames or 'all'} frames"
            raise ValueError(f"{self.name} has views of {has}, not of {frames}")
        test = TestViews(sampling, self.crop(recipe), self.average)
        replace(recipe, test=test)  # which checks that they fit together
        return test

    def applied(self, recipe: Recipe, frames: int | None = None) -> Recipe:
        """`recipe` with these test views; RecipeError if its model cannot take them."""
        try:
            return replace(recipe, test=self.views(recipe, frames))
        except ValueError as error:
            raise RecipeError(
                f"protocol {self.name} does not fit '{recipe.name}': {error}",
                "marey recipes protocols RUN lists those that do",
            ) from error


def protocol(name: str) -> Protocol:
    """The protocol of that name; RecipeError suggests the nearest."""
    known = {one.name: one for one in PROTOCOLS}
    if name not in known:
        near = did_you_mean(name, known, otherwise="marey recipes protocols lists them")
        raise RecipeError(f"no protocol '{name}'", near)
    return known[name]


def compatible_views(recipe: Recipe, frames: int | None = None) -> dict[str, TestViews]:
    """Name -> test views, of all protocols that the model of `recipe` can take."""
    views = {}
    for one in PROTOCOLS:
        with suppress(ValueError):  # which is the answer: this one it cannot take
            views[one.name] = one.views(recipe, frames)
    return views


def protocol_of(recipe: Recipe) -> str:
    """The name of the recipe's test views; empty if they are those of no protocol."""
    frames = recipe.test.sampling.frames
    others = None if frames == recipe.model.frames or recipe.model.takes_features else frames
    named = compatible_views(recipe, others).items()
    return next((name for name, views in named if views == recipe.test), "")


def _as_if_trained_on(recipe: Recipe, frames: int) -> Recipe:
    """`recipe` with clips of so many frames in training, from which those of a test follow."""
    train = replace(recipe.train, sampling=in_frames(recipe.train.sampling, frames))
    return replace(recipe, model=recipe.model.with_frames(frames), train=train)


# --- frames: (recipe, variant) -> sampling ---------------------------------------------------


def _segments(recipe: Recipe) -> tuple[int, int]:
    """(T, L): the segments of a clip, and the consecutive frames of each, as in training."""
    sampling = recipe.train.sampling
    length = sampling.frames_per_segment if isinstance(sampling, Segments | Uniform) else 1
    return recipe.model.frames // length, length


def _single_frames(recipe: Recipe) -> int:
    """Frames a clip has; ValueError for models that need consecutive ones."""
    segments, length = _segments(recipe)
    if length > 1:
        raise ValueError(f"the model takes {length} consecutive frames a segment")
    return segments


def _middles(recipe: Recipe, variant: Variant) -> Sampling:
    return Segments(*_segments(recipe), variant=variant)


def _middles_of(segments: int) -> Callable[[Recipe, Variant], Sampling]:
    """Middles of so many segments, whatever the model trained on."""

    def sampling(recipe: Recipe, variant: Variant) -> Sampling:
        _single_frames(recipe)
        return Segments(segments, variant=variant)

    return sampling


def _tdn_middles(recipe: Recipe, variant: Variant) -> Sampling:
    segments, length = _segments(recipe)
    if length == 1:
        raise ValueError("the model takes one frame a segment; hint: tsm-1x1")
    return Segments(
        segments, length, variant="upstream-val" if variant == "upstream" else "repaired"
    )


def _tdn_tenths(recipe: Recipe, variant: Variant) -> Sampling:
    if variant == "upstream":
        return Drawn(Segments(*_segments(recipe), variant="upstream"), clips=10)
    return Uniform(*_segments(recipe), clips=10)


def _twice(recipe: Recipe, variant: Variant) -> Sampling:
    return Segments(*_segments(recipe), clips=2, variant=variant)


def _dense(recipe: Recipe, variant: Variant) -> Sampling:
    return Dense(_single_frames(recipe), variant=variant)


def _windows(clips: int) -> Callable[[Recipe, Variant], Sampling]:
    """Windows of every second frame."""

    def sampling(recipe: Recipe, variant: Variant) -> Sampling:
        frames = _single_frames(recipe)
        return Dense(frames, span=2 * frames, clips=clips, variant=variant)

    return sampling


def _shared_place(recipe: Recipe, variant: Variant) -> Sampling:
    return Uniform(*_segments(recipe), variant=variant)


def _two_places(recipe: Recipe, variant: Variant) -> Sampling:
    return Uniform(*_segments(recipe), clips=2, variant=variant)


def _timed(recipe: Recipe, fps: int) -> TimedClips:
    trained = recipe.train.sampling
    clips = trained if isinstance(trained, TimedClips) else TimedClips(_single_frames(recipe))
    return replace(clips.at(fps), clips=10, variant="repaired")


def _fifteen_a_second(clips: int) -> Callable[[Recipe, Variant], Sampling]:
    def sampling(recipe: Recipe, variant: Variant) -> Sampling:
        return ResampledClips(_single_frames(recipe), rate=15, clips=clips, variant=variant)

    return sampling


def _motionformer(recipe: Recipe, variant: Variant) -> Sampling:
    return replace(_timed(recipe, 30), variant=variant)


def _epic(recipe: Recipe, variant: Variant) -> Sampling:
    return replace(
        _timed(recipe, 60), variant="upstream-epic" if variant == "upstream" else "repaired"
    )


def _motionformer_segments(recipe: Recipe, variant: Variant) -> Sampling:
    frames = _single_frames(recipe)
    return RoundedSegments(frames) if variant == "upstream" else Segments(frames)


def _evenly(num_frames: int) -> Callable[[Recipe, Variant], Sampling]:
    return lambda _recipe, _variant: EvenFrames(num_frames)


def _all_frames(_recipe: Recipe, _variant: Variant) -> Sampling:
    return AllFrames()


# --- pictures: recipe -> crop ----------------------------------------------------------------


def _crop(
    kind: Callable[..., Crop], *, full: bool = False, margin: bool = True, **options: str
) -> Callable[[Recipe], Crop]:
    """Crops of the size that models train on, or of the `full` picture, and that without a margin.

    The full picture is 256 pixels for models that train on 224, as much more for others.
    """

    def crop(recipe: Recipe) -> Crop:
        size = recipe.train.crop.size
        whole = round(size * 256 / 224)
        return kind(whole if full else size, whole if margin else size, **options)

    return crop


_center, _center_full = _crop(CenterCrop), _crop(CenterCrop, full=True)
_center_without_margin = _crop(CenterCrop, margin=False)
_three, _three_full = _crop(ThreeCrop), _crop(ThreeCrop, full=True)
_three_longer = _crop(ThreeCrop, full=True, along="longer")
_three_to_the_pixel = _crop(UniformCrop, margin=False)
_ten = _crop(TenCrop)


def _stretched(width: int) -> Callable[[Recipe], Crop]:
    """The centre of a frame scaled to 256 x `width` for models that train on 224, not antialiased.

    Those of other sizes have as much more or less.
    """

    def crop(recipe: Recipe) -> Crop:
        size = recipe.train.crop.size
        scaled = (round(size * 256 / 224), round(size * width / 224))
        return CenterCrop(size, scaled, antialias=False)

    return crop


def _uncut(_recipe: Recipe) -> Crop:
    return CenterCrop()


# --- the table -------------------------------------------------------------------------------

_TSN = "TSN, arXiv 1608.00859"
_TSM, _GC, _TDN = "TSM, arXiv 1811.08383", "GC, arXiv 2203.09694", "TDN, arXiv 2012.10071"
_BLVNET, _ARP = "bLVNet-TAM, arXiv 1912.00869", "action-recognition-pytorch, arXiv 2010.11757"
_TORCHVISION = "torchvision, references/video_classification"
_MOTIONFORMER, _VIDEOLT = "Motionformer, arXiv 2106.05392", "VideoLT, arXiv 2105.02668"


def _row(
    stem: str,
    sampling: Callable[[Recipe, Variant], Sampling],
    crop: Callable[[Recipe], Crop],
    about: str,
    source: str,
    average: Literal["logits", "probs"] = "logits",
) -> Protocol:
    return Protocol(
        stem=stem, sampling=sampling, crop=crop, about=about, source=source, average=average
    )


# what more than one name fits, as `tdn-1x1` and `tsm-1x1` do TDN, has the first of them
_REPAIRED = (
    _row("tdn-1x1", _tdn_middles, _center,
             "middles of the segments, 5 frames from each; centre 224 of 256", _TDN),
    _row("tdn-1x3", _tdn_middles, _three_full,
             "middles of the segments; three of the full 256 (Something-Something)", _TDN, "probs"),
    _row("tdn-10x3", _tdn_tenths, _three_full,
             "ten clips of the segments; three of the full 256 (Kinetics)", _TDN, "probs"),
    _row("tsn-25x10", _middles_of(25), _ten,
             "middles of 25 segments; corners, centre 224 of 256, all mirrored too", _TSN),
    _row("tsm-1x1", _middles, _center,
             "middles of the segments; centre 224 of 256 (TSN, TSM, GST)", _TSM),
    _row("tsm-1x10", _middles, _ten,
             "middles of the segments; corners, centre 224 of 256, all mirrored too", _TSM),
    _row("tsm-2x3", _twice, _three_full,
             "middles and beginnings; three of the full 256 (Something-Something)", _TSM),
    _row("tsm-2x3-224", _twice, _three,
             "middles and beginnings; three of 224 of 256, as the command beside it says", _TSM),
    _row("tsm-dense-10x3", _dense, _three_full,
             "ten windows of 64 frames; three of the full 256 (Kinetics)", _TSM),
    _row("gc-1x1", _middles, _center_full,
             "middles of the segments; centre of the full 256", _GC),
    _row("gc-2x1", _twice, _center_full,
             "middles and beginnings; centre of the full 256 (Something-Something)", _GC),
    _row("gc-2x1-224", _twice, _center,
             "middles and beginnings; centre 224 of 256, as the README's words say", _GC),
    _row("gc-dense-10x1", _dense, _center_full,
             "ten windows of 64 frames; centre of the full 256 (Kinetics)", _GC),
    _row("blvnet-1x1", _shared_place, _center_without_margin,
             "middles of the segments; centre 224 of 224 (disable_scaleup)", _BLVNET),
    _row("blvnet-dense-3x3", _windows(3), _three_longer,
             "three windows of every second frame; three of the full 256 (Kinetics)", _BLVNET),
    _row("arp-1x1", _shared_place, _center,
             "middles of the segments; centre 224 of 256 (mini sets)", _ARP),
    _row("arp-2x3", _two_places, _three_longer,
             "two clips of the segments; three of the full 256 (Something-Something)", _ARP),
    _row("arp-dense-10x3", _windows(10), _three_longer,
             "ten windows of every second frame; three of the full 256 (Kinetics)", _ARP),
    _row("motionformer-10x3", _motionformer, _three_to_the_pixel,
             "ten clips of equal time; three of 224 (Kinetics)", _MOTIONFORMER, "probs"),
    _row("motionformer-epic-10x3", _epic, _three_to_the_pixel,
             "the same, 60 frames a second where none are said", _MOTIONFORMER, "probs"),
    _row("motionformer-1x3", _motionformer_segments, _three_to_the_pixel,
             "middles of the segments; three of 224 (Something-Something)", _MOTIONFORMER, "probs"),
    _row("torchvision-5x1", _fifteen_a_second(5), _stretched(342),
             "five clips, 15 frames a second; centre 224 of 256 x 342, or 112 of 128 x 171",
             _TORCHVISION, "probs"),
    _row("torchvision-1x1", _fifteen_a_second(1), _stretched(256),
             "one clip, 15 frames a second; centre 224 of 256 x 256 (S3D)", _TORCHVISION, "probs"),
)  # fmt: skip
_FEATURES = (
    _row("videolt-150", _evenly(150), _uncut, "150 features, spread over the video", _VIDEOLT),
    _row("features-all", _all_frames, _uncut, "all features of a clip", "marey"),
)
PROTOCOLS = (
    *_REPAIRED,
    *(replace(one, variant="upstream") for one in _REPAIRED),
    *(replace(one, of_features=True) for one in _FEATURES),
)
"""All of them; the first that fits gives a recipe's test views their name."""
