"""A recipe is a value: everything that decides what a run computes, and the number it must reach.

It is plain data (frozen dataclasses, comparable, hashable), goes to YAML and back without loss
(`marey.recipes.schema`), and is written beside the weights of every run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from marey.data.loading.samplers import InstanceBalanced, Sampler
from marey.data.manifest.location import Location
from marey.errors import counted
from marey.longtail.objective import CrossEntropy, Objective
from marey.modality import IMAGENET_MEAN, IMAGENET_STD, STACKS
from marey.models.encoder import MadeForClips
from marey.models.video_model import ModelSpec
from marey.recipes.optim import SGD, Optim, Schedule, StepDecay, Warmup
from marey.timelines.decisions import Decision
from marey.types import check_counts, check_numbers
from marey.video.augment import Augment
from marey.video.crops import CenterCrop, Crop, MultiScaleCrop
from marey.video.reading.flow import FlowSettings
from marey.video.sampling.segments import Sampling, Segments


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stretch of training with its own optimiser, sampler, objective and trainable part.

    Args:
        epochs: how long; in a stage of 0 epochs only the heads change.
        max_steps: end after so many steps of the optimiser instead, however many epochs that are;
            what schedule and warm-up say of `epochs` is stretched or pressed over them.
        optim: the optimiser, made anew at the beginning.
        schedule: what its rates are multiplied by as the stage goes on.
        warmup: a rise of the rates before that.
        sampler: which clips an epoch is made of.
        objective: what is minimised.
        trainable: "all" weights; the "neck" and the heads behind a frozen encoder; the "heads"
            alone; or their "scales": one factor a class.
        last_blocks: of "all", what lies before the encoder's last so many blocks stays as it is, in
            evaluation mode.
        reset_heads: begin with fresh weights in the heads.
        normalize_heads: begin by dividing the weights of every class by their norm to this power.
    """

    epochs: int = 50
    max_steps: int | None = None
    optim: Optim = field(default_factory=SGD)
    schedule: Schedule = field(default_factory=StepDecay)
    warmup: Warmup = field(default_factory=Warmup)
    sampler: Sampler = field(default_factory=InstanceBalanced)
    objective: Objective = field(default_factory=CrossEntropy)
    trainable: Literal["all", "neck", "heads", "scales"] = "all"
    last_blocks: int | None = None
    reset_heads: bool = False
    normalize_heads: float | None = None

    def __post_init__(self) -> None:
        check_numbers(at_least=0, epochs=self.epochs, normalize_heads=self.normalize_heads)
        check_numbers(at_least=1, last_blocks=self.last_blocks, max_steps=self.max_steps)
        if self.max_steps is not None and not self.epochs:
            raise ValueError(
                f"max_steps is {self.max_steps}, of a stage of no epochs, which has no steps. "
                "hint: epochs=1, over which its schedule stretches"
            )
        if self.last_blocks is not None and self.trainable != "all":
            raise ValueError(
                f"last_blocks is {self.last_blocks}, of an encoder that does not learn (trainable="
                f"{self.trainable}). hint: trainable=all"
            )

    def num_steps(self, of_epoch: int) -> int:
        """How many steps the stage has, of epochs of so many."""
        return self.max_steps or self.epochs * of_epoch

    def lr_factor(self, epoch: float) -> float:
        """What every learning rate is multiplied by at `epoch` of this stage."""
        warm = self.warmup.epochs
        return self.warmup.factor(epoch) * self.schedule.factor(epoch, self.epochs, warm)


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """Which manifests a run reads, files or urls, and how.

    Args:
        train: the manifest to train on.
        val: that to validate on; by default the rows of split val in those to train on.
        fold: the clips that validate are those of this number in the column `fold`, and those of
            the other folds train; None goes by the splits.
        root: the folder or url below which clips lie; by default that of the manifest.
        more: manifests that are joined to `train` (`marey.data.manifest.join`).
        roots: pairs of a source and the root of its clips, for sources that have their own.
        urls: what paths that are urls themselves may begin with; not beside `roots`.
        backend: what decodes videos.
        flow: how optical flow is computed, where a model of that modality is shown videos.
        workers: processes that read clips; 0 reads them in the process that trains, None has as
            many as the machine has cores for (`marey.jobs.cores`).
        bad_clip_budget: the share of training clips that may be unreadable, from 0 to 1.
        clip_seconds: how long a worker may compute on one clip without a frame, or rest; then it
            is one it cannot read.
    """

    train: str = ""
    val: str = ""
    fold: int | None = None
    root: str = ""
    more: tuple[str, ...] = ()
    roots: tuple[tuple[str, str], ...] = ()
    urls: tuple[str, ...] = ()
    backend: Literal["pyav", "torchcodec"] = "pyav"
    flow: FlowSettings = field(default_factory=FlowSettings)
    workers: int | None = None
    bad_clip_budget: float = 0.01
    clip_seconds: float = 60.0

    def __post_init__(self) -> None:
        Location(roots=dict(self.roots), urls=self.urls)  # which refuses both
        check_numbers(at_least=0, workers=self.workers, fold=self.fold)
        check_numbers(at_least=0, at_most=1, bad_clip_budget=self.bad_clip_budget)
        check_numbers(above=0, clip_seconds=self.clip_seconds)
        if self.more and not self.train:
            raise ValueError(f"more is {self.more} without a manifest `train` to join")
        if self.fold is not None and self.val_lists != self.train_lists:
            raise ValueError(
                f"fold is {self.fold} and val {self.val}: a fold is of the clips to train on. "
                "hint: leave out val"
            )

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
    """How a video becomes the clips to train on: which frames, and which part of the picture."""

    sampling: Sampling = field(default_factory=Segments)
    crop: Crop = field(default_factory=MultiScaleCrop)


@dataclass(frozen=True)
class TestViews:
    """How a video is tested: clips x crops, and which scores are averaged over them."""

    __test__ = False  # its name would make pytest collect it

    sampling: Sampling = field(default_factory=Segments)
    crop: Crop = field(default_factory=CenterCrop)
    average: Literal["logits", "probs"] = "logits"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The published number a row must reach, in percent, and where it was published.

    Args:
        top1: top-1 accuracy, for clips of one class each; None for clips of several.
        source: where the number was published.
        top5: top-5 accuracy.
        params_millions: parameters.
        gmacs_per_view: multiply-adds, in billions, of one view of 224 x 224 pixels, whatever the
            size of the test views: that is what papers give.
        note: what is known of the number besides, and what differs here.
        mean_ap: mean average precision, for clips of several classes each.
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

    Args:
        name: that of the row, and of the folder of its runs.
        model: network and heads; without heads a run takes them from the manifest's classes.
        data: the manifests.
        train: clips to train on.
        test: the clips of a test, whose numbers are those that are published; of another number of
            segments than those to train on where the model takes them (`ModelSpec.with_segments`).
        val: those that validate a run while it trains; None takes one view, see
            `marey.recipes.val_views`.
        eval_every: epochs of a stage from one validation to the next; its last one validates too.
        augment: what happens to the pixels of a training clip, and how all are normalised.
        stages: what training consists of, one after the other.
        batch_size: clips a process reads at a time.
        accumulate: batches a step: it takes `batch_size` x `accumulate` x processes clips.
        lr_batch_size: the clips a step that learning rates are meant for; they are scaled linearly
            to those of the run. None does not scale them.
        clip_grad: the largest norm of a gradient; None does not clip it.
        ema: the decay of a moving average of the weights, which is then what is tested.
        sync_bn: of several processes, normalise by the clips of all together (by torch's
            SyncBatchNorm, which is of GPUs alone). On one process it does nothing.
        precise_bn: before an epoch is validated and saved, measure the statistics of batch norms
            anew over so many batches of a process, those of an epoch at most, see
            `marey.engine.train.precise_bn`; None leaves the moving averages.
        amp: compute in bfloat16 where that is safe; "auto" does if a few steps say, where the run
            begins, that it is faster there, and the run keeps what it chose.
        checkpointing: compute the inside of the encoder's blocks twice rather than keep it: less
            memory, a third more time, the same numbers.
        recompute: compute norms with their ReLUs, and TAMs, twice rather than keep what they made:
            less memory for a few percent more time, the same numbers but for rounding.
        compile: have `torch.compile` make the encoder's training step, in the first of a run: a
            minute or two for steps that are faster on most GPUs, and slower on many CPUs.
        shard: have each process of several keep a share of the weights, gradients and the
            optimiser's memory, and put the weights of a block together while it computes the block
            (FSDP2): for encoders that leave no room beside them. On one process it does nothing.
        checkpoint_every: epochs of a stage from one checkpoint that is kept to the next, each as
            checkpoints/epoch-0010.pt, from which the run may go on; None keeps the last alone.
        checkpoints_kept: the newest so many of these stay.
        save_best: the metric of the clips that validate by which an epoch is chosen and kept as
            best.pt, such as acc/class_avg or val/loss; by default none is, and the weights at the
            end are the model.
        smooth: the validations whose mean is compared where an epoch is chosen, or training is to
            end early: the last so many, as a single one of few clips is chance.
        patience: validations of a stage without a better mean, of `save_best` or else of val/loss,
            after which the stage ends; None goes through all epochs.
        weights: what to start from: a file, "imagenet", "from:ROW" for the weights of another row,
            which are to be given, or nothing.
        seed: of everything random.
        claim: the published number.
        decision: which class is said of a stream, after each answer of the model; None leaves it to
            `marey stream`.

    Raises:
        ValueError: parts that do not go together, such as views of frames the model does not take.
    """

    name: str
    model: ModelSpec
    data: DataSpec = field(default_factory=DataSpec)
    train: Views = field(default_factory=Views)
    test: TestViews = field(default_factory=TestViews)
    val: TestViews | None = None
    eval_every: int = 1
    augment: Augment = field(default_factory=Augment)
    stages: tuple[Stage, ...] = field(default_factory=lambda: (Stage(),))
    batch_size: int = 32
    accumulate: int = 1
    lr_batch_size: int | None = 32
    clip_grad: float | None = 20.0
    ema: float | None = None
    sync_bn: bool = False
    precise_bn: int | None = None
    amp: bool | Literal["auto"] = "auto"
    checkpointing: bool = False
    recompute: bool = False
    compile: bool = False
    shard: bool = False
    checkpoint_every: int | None = None
    checkpoints_kept: int = 5
    save_best: str = ""
    smooth: int = 3
    patience: int | None = None
    weights: str = ""
    seed: int = 0
    claim: Claim | None = None
    decision: Decision | None = None

    def __post_init__(self) -> None:
        frames, takes_features = self.model.frames, self.model.takes_features
        if not takes_features and self.train.sampling.frames != frames:
            raise ValueError(
                f"train.sampling gives {counted(self.train.sampling.frames, 'frame')}, the model "
                f"takes {frames}. hint: they change together, as does model.num_segments; "
                "test.sampling alone says on how many a trained model is tested"
            )
        for part, views in (("train", self.train), ("test", self.test), ("val", self.val)):
            if views is not None and takes_features:
                _refuse_crops(part, views)
            elif views is not None:
                _model_for(part, views, self.model)
        self.clips_in_words()
        if self.model.takes_features and self.augment.changes_pixels:
            raise ValueError(
                "augment changes pixels, but the model takes features, which only "
                "mixup changes. hint: change the videos"
            )
        for number, stage in enumerate(self.stages):
            if takes_features and stage.last_blocks is not None:
                raise ValueError(
                    f"stages.{number}.last_blocks is {stage.last_blocks}, but the model takes "
                    "features, whose encoder has learned. hint: a recipe of videos"
                )
        if not self.stages:
            raise ValueError("stages is empty, expected at least one")
        self._check_compile()
        self._check_shard()
        self._check_modality()
        self._check_sync_bn()
        values = len(self.augment.mean)
        if self.model.encoder.in_channels == 3 and 3 % values:  # not those of optical flow
            raise ValueError(f"augment.mean has {values} values, expected 1, or 3 (r, g, b)")
        if self.train.crop.views != 1:
            raise ValueError(f"train.crop gives {self.train.crop.views} views, expected one")
        check_counts(
            batch_size=self.batch_size, accumulate=self.accumulate, eval_every=self.eval_every
        )
        check_counts(smooth=self.smooth, checkpoints_kept=self.checkpoints_kept)
        check_numbers(at_least=1, checkpoint_every=self.checkpoint_every)
        check_numbers(at_least=1, lr_batch_size=self.lr_batch_size, patience=self.patience)
        check_numbers(at_least=1, precise_bn=self.precise_bn)
        check_numbers(above=0, clip_grad=self.clip_grad)
        check_numbers(at_least=0, below=1, ema=self.ema)
        check_numbers(at_least=0, seed=self.seed)

    def _check_modality(self) -> None:
        modality, plan = self.model.modality, self.augment
        if modality == "rgb":
            return
        stack = STACKS[modality]
        if (plan.mean, plan.std) == (IMAGENET_MEAN, IMAGENET_STD) or stack.channels % len(
            plan.mean
        ):
            raise ValueError(
                f"augment.mean is {plan.mean}, of pictures, but model.modality is {modality}. "
                f"hint: augment.mean={list(stack.mean)} augment.std={list(stack.std)}, which "
                f"modality={modality} sets as well"
            )
        of_pictures = ("randaugment", "brightness", "contrast", "saturation", "grey")
        if modality == "flow" and (found := [name for name in of_pictures if getattr(plan, name)]):
            raise ValueError(
                f"augment has {' and '.join(found)}, of pictures, but model.modality is flow. "
                "hint: flip, blur, erase, mixup and cutmix are of flow as well"
            )
        if modality == "flow" and plan.channel_order != "rgb":
            raise ValueError(
                f"augment.channel_order is {plan.channel_order}, but flow has no colours. "
                "hint: channel_order=rgb"
            )

    def _check_compile(self) -> None:
        asked = [name for name in ("compile", "checkpointing", "recompute") if getattr(self, name)]
        if len(asked) > 1:
            raise ValueError(f"{' and '.join(asked)} exclude each other. hint: leave all but one")
        if not self.compile:
            return
        if self.model.takes_features or self.model.over == "tokens":
            raise ValueError(
                "compile is of an encoder that gives frame features of videos, which this model "
                "does not train. hint: compile=false"
            )

    def _check_sync_bn(self) -> None:
        if not self.sync_bn:
            return
        if self.model.partial_bn:
            raise ValueError(
                "sync_bn is true, but model.partial_bn leaves all batch norms but the first as "
                "they are. hint: leave out one of the two"
            )
        if self.recompute:
            raise ValueError(
                "sync_bn and recompute exclude each other: what a norm made is then computed again "
                "without the other processes. hint: recompute=false, or checkpointing=true"
            )

    def _check_shard(self) -> None:
        if not self.shard:
            return
        first, model = self.stages[0], self.model
        unfit = {
            f"{len(self.stages)} stages": len(self.stages) > 1,
            f"stages.0.trainable={first.trainable}": first.trainable != "all",
            f"stages.0.last_blocks={first.last_blocks}": first.last_blocks is not None,
            "model.lora": model.lora is not None,
            "model.partial_bn=true": model.partial_bn,
            f"ema={self.ema}": self.ema is not None,
            "sync_bn=true": self.sync_bn,
            f"precise_bn={self.precise_bn}": self.precise_bn is not None,
            "compile=true": self.compile,
            "recompute=true": self.recompute,
            "a model of features": model.takes_features,
        }
        if found := [name for name, is_unfit in unfit.items() if is_unfit]:
            raise ValueError(
                f"shard is true, of a recipe that has {' and '.join(found)}; expected one stage "
                "that trains all weights of an encoder of videos, and no average of them. "
                "hint: shard=false, or leave that out"
            )

    @property
    def tested_model(self) -> ModelSpec:
        """The model on the frames of the test views, which may be others than those of training."""
        return _model_for("test", self.test, self.model)

    def clips_in_words(self) -> str:
        """In what its clips are others than the encoder was made for; empty if it does not say.

        ValueError says why the encoder cannot take them.
        """
        encoder = self.model.encoder
        words: dict[str, None] = {}
        if isinstance(encoder, MadeForClips):
            for part, views in (("train", self.train), ("test", self.test), ("val", self.val)):
                if views is None:
                    continue
                try:
                    said = encoder.on_clips(views.sampling.frames, views.crop.size)
                except ValueError as error:
                    raise ValueError(f"{part}: {error}") from error
                words |= {said: None}
        return "; ".join(filter(None, words))

    @property
    def in_bfloat16(self) -> bool:
        """Whether it computes in bfloat16; not where `amp` is yet to be decided by a run."""
        return self.amp is True

    @property
    def epochs(self) -> int:
        """Epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def with_data(self, train: str, val: str = "") -> Recipe:
        """The same recipe on other manifests."""
        return replace(self, data=replace(self.data, train=train, val=val or train))


def _model_for(part: str, views: Views | TestViews, model: ModelSpec) -> ModelSpec:
    """`model` on the frames of `views`; ValueError if it takes only those of its training."""
    frames = views.sampling.frames
    try:
        return model.with_frames(frames)
    except ValueError as error:
        raise ValueError(
            f"{part}.sampling gives {counted(frames, 'frame')}, the model is trained on "
            f"{model.frames}: {error}. hint: {part}.sampling of {counted(model.frames, 'frame')}"
        ) from error


def _refuse_crops(part: str, views: Views | TestViews) -> None:
    if views.crop.views != 1:
        raise ValueError(
            f"{part}.crop is {views.crop}, but the model takes features, of which "
            "nothing can be cut. hint: CenterCrop"
        )
