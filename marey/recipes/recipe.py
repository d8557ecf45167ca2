"""A recipe is a value: everything that decides what a run computes, and the number it must reach.

It is plain data (frozen dataclasses, comparable, hashable), goes to YAML and back without loss
(`marey.recipes.schema`), and is written beside the weights of every run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from marey.data.loading.samplers import InstanceBalanced, Sampler
from marey.data.manifest.location import Location
from marey.longtail.objective import CrossEntropy, Objective
from marey.models.video_model import ModelSpec
from marey.recipes.optim import SGD, Optim, Schedule, StepDecay, Warmup
from marey.video.augment import Augment
from marey.video.crops import CenterCrop, Crop, MultiScaleCrop
from marey.video.sampling.segments import Sampling, Segments


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stretch of training with its own optimiser, sampler, objective and trainable part.

    It begins by changing the heads, if told so: `reset_heads` gives them fresh weights,
    `normalize_heads` divides the weights of every class by their norm to that power. `trainable`
    "scales" learns one factor a class for them. A stage of no epochs does no more than its
    beginning. What its checkpoint best.pt holds is the best of the last stage.
    """

    epochs: int = 50
    optim: Optim = field(default_factory=SGD)
    schedule: Schedule = field(default_factory=StepDecay)
    warmup: Warmup = field(default_factory=Warmup)
    sampler: Sampler = field(default_factory=InstanceBalanced)
    objective: Objective = field(default_factory=CrossEntropy)
    trainable: Literal["all", "heads", "scales"] = "all"
    reset_heads: bool = False
    normalize_heads: float | None = None

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise ValueError(f"epochs is {self.epochs}, expected 0 or more")
        if self.normalize_heads is not None and not 0 <= self.normalize_heads < math.inf:
            raise ValueError(f"normalize_heads is {self.normalize_heads}, expected 0 or more")

    def lr_factor(self, epoch: float) -> float:
        """What every learning rate is multiplied by at `epoch` of this stage."""
        warm = self.warmup.epochs
        return self.warmup.factor(epoch) * self.schedule.factor(epoch, self.epochs, warm)


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """Which manifests a run reads; a manifest with a `split` column serves for both.

    Manifests and roots may be urls. `more` are joined to `train` (`marey.data.manifest.join`).
    `roots` are pairs of a source and the root of its clips, for sources that have one of their own;
    `urls` are what paths that are urls themselves may begin with.
    """

    train: str = ""
    val: str = ""
    root: str = ""
    more: tuple[str, ...] = ()
    roots: tuple[tuple[str, str], ...] = ()
    urls: tuple[str, ...] = ()
    backend: Literal["pyav", "torchcodec"] = "pyav"
    workers: int = 2
    bad_clip_budget: float = 0.01

    def __post_init__(self) -> None:
        Location(roots=dict(self.roots), urls=self.urls)  # which refuses both
        if self.more and not self.train:
            raise ValueError(f"more is {self.more} without a manifest `train` to join")

    @property
    def location(self) -> Location:
        """Where the clips lie."""
        return Location(self.root or None, dict(self.roots), self.urls)

    @property
    def train_lists(self) -> tuple[str, ...]:
        """The manifests of the training clips."""
        return (self.train, *self.more)

    @property
    def val_lists(self) -> tuple[str, ...]:
        """The manifests of the clips that validate."""
        return (self.val,) if self.val and self.val != self.train else self.train_lists


@dataclass(frozen=True)
class Views:
    """How a video becomes clips: which frames, which part of the picture."""

    sampling: Sampling = field(default_factory=Segments)
    crop: Crop = field(default_factory=MultiScaleCrop)


@dataclass(frozen=True)
class TestViews:
    """The test protocol: clips x crops, and what is averaged over them."""

    __test__ = False  # its name would make pytest collect it

    sampling: Sampling = field(default_factory=Segments)
    crop: Crop = field(default_factory=CenterCrop)
    average: Literal["logits", "probs"] = "logits"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The published number a row must reach, in percent, and where it was published.

    Clips of one class have a top-1 accuracy; those of several, mean average precision (`mean_ap`).

    The GMACs are those of one view of 224 x 224 pixels, whatever the size of the test views: that
    is what papers give. `note` says what is known of the number besides, and what differs here.
    """

    top1: float | None
    source: str
    top5: float | None = None
    params_millions: float | None = None
    gmacs_per_view: float | None = None
    note: str = ""
    mean_ap: float | None = None

    def __post_init__(self) -> None:
        if (self.top1 is None) == (self.mean_ap is None):
            raise ValueError(f"top1 is {self.top1} and mean_ap {self.mean_ap}, expected one")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One way to train and test one model.

    `model.heads` may be empty: then a run takes them from the manifest's classes. The total batch
    is `batch_size` x processes x `accumulate`; rates are scaled linearly from `lr_batch_size` to it
    unless that is None. `save_best` names the number of the validation set by which best.pt is
    kept, such as acc/class_avg; without a name it is the mean average precision, or top-1.
    """

    name: str
    model: ModelSpec
    data: DataSpec = field(default_factory=DataSpec)
    train: Views = field(default_factory=Views)
    test: TestViews = field(default_factory=TestViews)
    augment: Augment = field(default_factory=Augment)
    stages: tuple[Stage, ...] = field(default_factory=lambda: (Stage(),))
    batch_size: int = 32
    accumulate: int = 1
    lr_batch_size: int | None = 32
    clip_grad: float | None = 20.0
    ema: float | None = None
    amp: bool = False
    save_best: str = ""
    weights: str = ""
    seed: int = 0
    claim: Claim | None = None

    def __post_init__(self) -> None:
        wanted = self.model.frames
        for part, views in (("train", self.train), ("test", self.test)):
            if self.model.takes_features:
                _refuse_crops(part, views)
            elif views.sampling.frames != wanted:
                raise ValueError(
                    f"{part}.sampling gives {views.sampling.frames} frames, the model takes "
                    f"{wanted}. hint: they change together, as does model.num_segments"
                )
        if self.model.takes_features and self.augment.changes_pixels:
            raise ValueError(
                "augment changes pixels, but the model takes features, which only "
                "mixup changes. hint: change the videos"
            )
        if self.train.crop.views != 1:
            raise ValueError(f"train.crop gives {self.train.crop.views} views, expected one")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, expected 0 or more")
        if self.batch_size < 1 or self.accumulate < 1:
            raise ValueError(
                f"batch_size is {self.batch_size} and accumulate {self.accumulate}, "
                "expected at least 1"
            )

    @property
    def epochs(self) -> int:
        """Epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def with_data(self, train: str, val: str = "") -> Recipe:
        """The same recipe on other manifests."""
        return replace(self, data=replace(self.data, train=train, val=val or train))


def _refuse_crops(part: str, views: Views | TestViews) -> None:
    if views.crop.views != 1:
        raise ValueError(
            f"{part}.crop is {views.crop}, but the model takes features, of which "
            "nothing can be cut. hint: CenterCrop"
        )
