"""What we know of a code base whose checkpoints we read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from marey.errors import CheckpointError
from marey.models.video_model import ModelSpec
from marey.types import check_numbers

Rules: TypeAlias = Mapping[str, str | Callable[[re.Match[str]], str]]
"""Pattern -> what becomes of the words of a name that it matches, in the order of use."""
Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
"""Upstream name -> shape, of a whole state dict, without the ``module.`` of DataParallel."""
Data: TypeAlias = Literal[
    "k400", "k600", "ssv1", "ssv2", "jester", "ucf101", "hmdb51", "diving48", "egtea",
    "mini-ssv2", "mini-k400", "mini-mit",
]  # fmt: skip
"""The data sets of `marey.recipes.published.CLASSES`."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a person, or a file's name, says of a checkpoint, because its tensors cannot.

    None is not said. `shift_div` 0 means that nothing is shifted; `place` is where a shift stands
    whose tensors do not tell; `loop` whether calibrated channel groups rotate from block to block;
    `temporal_stride` how the frames are halved before each of the last three stages (3-D
    convolutions stride in time unless it is none); `pooling` what the poolings of a 3-D Inception
    network take that does not; `blending` how a TAM joins its taps; `values` what trajectory
    attention sums, `num_heads` in how many heads, `approximation` how it finds its places and by
    how many `landmarks`, `activation` what follows the layer before the classifier, `drop_path` how
    often training leaves out its branches, `size` the pixels of a clip, `stride` how far apart its
    frames are at 30 a second (60 in EPIC-KITCHENS), `clips` and `crops` how many are tested,
    `mean`, `std` and `channel_order` how pixels come in; `trained` is which of its heads learned
    anything. `non_local` is the kind of non-local blocks whose tensors fit two kinds. `data` is the
    data set it was trained on and `sampling` which frames of a video: one of each of its segments,
    the same and tested on their beginnings too ("twice"), or of a dense window.
    """

    num_segments: int | None = None
    shift_div: int | None = None
    place: Literal["blockres", "block"] | None = None
    loop: bool | None = None
    temporal_stride: Literal["none", "max", "avg"] | None = None
    pooling: Literal["max", "avg"] | None = None
    blending: Literal["sum", "max"] | None = None
    values: Literal["released", "corrected"] | None = None
    num_heads: int | None = None
    approximation: Literal["none", "orthoformer"] | None = None
    landmarks: int | None = None
    activation: Literal["tanh", "gelu", "relu"] | None = None
    size: int | None = None
    stride: float | None = None
    clips: int | None = None
    crops: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channel_order: Literal["rgb", "bgr"] | None = None
    drop_path: float | None = None
    trained: Literal["verb", "noun", "both"] | None = None
    non_local: Literal["embedded_gaussian", "dot_product", "gaussian"] | None = None
    data: Data | None = None
    sampling: Literal["segments", "twice", "dense"] | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that no model has, which would read as not said."""
        check_numbers(
            at_least=1,
            num_segments=self.num_segments,
            num_heads=self.num_heads,
            landmarks=self.landmarks,
            size=self.size,
            clips=self.clips,
            crops=self.crops,
        )
        check_numbers(above=0, stride=self.stride)

    def given(self) -> dict[str, Any]:
        """Those that are said, by name."""
        values = {of.name: getattr(self, of.name) for of in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def segments(self) -> int:
        """`num_segments`, once `need` has asked for it."""
        assert self.num_segments is not None
        return self.num_segments

    def need(self, *names: str, because: str = "", **usual: str) -> None:
        """CheckpointError that asks for those of `names` that are not said, all at once.

        `usual` are answers to show in place of the most common ones, and `because` is why it could
        be either.
        """
        unsaid = [name for name in names if getattr(self, name) is None]
        if unsaid:
            meanings = "; ".join(f"{name} ({_MEANING[name][0]})" for name in unsaid)
            silent = [name for name in unsaid if name not in ("num_segments", "size")]
            wrong = f"A wrong {' or '.join(silent)} gives wrong scores without any error"
            tells = [f"the tensors do not tell {meanings}", because, wrong if silent else ""]
            raise CheckpointError(
                ". ".join(filter(None, tells)),
                "say it: "
                + " ".join(f"--set {name}={usual.get(name, _MEANING[name][1])}" for name in unsaid),
            )


_MEANING = {
    "num_segments": ("segments of a clip", "8"),
    "shift_div": ("C/shift_div channels shift each way, 0 is no shift: a TSN", "8"),
    "place": ("where the shift stands, blockres or block", "blockres"),
    "temporal_stride": ("how time is halved before stages 2 to 4: none, max or avg", "none"),
    "blending": ("how a TAM joins its taps, sum or max", "sum"),
    "values": ("what trajectory attention sums, released as in all published", "released"),
    "num_heads": ("heads of attention", "12"),
    "size": ("pixels of a side of a clip", "224"),
    "stride": (
        "frames from one of a clip to the next at 30 a second (60 in EPIC-KITCHENS), or "
        "--set sampling=segments where they are spread over the video, as for Something-Something",
        "4",
    ),
    "trained": (
        "which heads learned anything: LMR's models of EPIC-KITCHENS learned verbs alone, so that "
        "what their nouns say means nothing; verb, noun or both",
        "verb",
    ),
    "landmarks": ("landmarks or features of the Orthoformer", "128"),
    "non_local": (
        "the kind of its non-local blocks, embedded Gaussian or dot product: their tensors are "
        "the same",
        "embedded_gaussian",
    ),
    "loop": (
        "whether the calibrated groups rotate from block to block, --loop upstream: true in "
        "GC-GST's script, false in those of GC-TSN and GC-TSM",
        "false",
    ),
}


def by_rules(name: str, rules: Rules) -> str:
    """`name` after each rule in turn: a pattern of whole words between dots, and what they become.

    >>> by_rules("layer1_bak.0.conv", {r"(layer\\d)_bak": r"\\1", "conv": "conv1"})
    'layer1.0.conv1'
    """
    for pattern, ours in rules.items():
        name = re.sub(rf"(?<![^.])(?:{pattern})(?![^.])", ours, name)
    return name


@dataclass(frozen=True)
class Told:
    """What the name of a file says, or the configuration that lies beside the weights in it."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    by_tensors: Mapping[str, Any] = field(default_factory=dict)
    """What the tensors tell as well, under the names that `measured` has."""
    usual: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    """Settings that follow only by what is usual there -> why."""

    def __bool__(self) -> bool:
        return bool(self.settings or self.by_tensors)


def _as_they_are(weights: Mapping[str, Tensor], spec: ModelSpec) -> dict[str, Tensor]:  # noqa: ARG001
    return dict(weights)


def _nothing_told(beside: Mapping[str, Any]) -> Told:  # noqa: ARG001
    return Told()


def _no_marks(shapes: Shapes) -> Mapping[str, Any]:  # noqa: ARG001
    return {}


def _no_notes(
    spec: ModelSpec,  # noqa: ARG001
    settings: Settings,  # noqa: ARG001
    told: Told,  # noqa: ARG001
) -> Mapping[str, str]:
    return {}


def _nothing_counted(
    weights: Mapping[str, Tensor],  # noqa: ARG001
    beside: Mapping[str, Any],  # noqa: ARG001
    spec: ModelSpec,  # noqa: ARG001
) -> Mapping[str, npt.NDArray[np.int64]]:
    return {}


def _nothing_assumed(spec: ModelSpec, settings: Settings, told: Told) -> tuple[str, ...]:  # noqa: ARG001
    return ()


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A code base: how to know its checkpoints, and how to read them.

    `rename` gives our name of one of its tensors or modules, and None for a tensor that is dropped
    on purpose. `spec` is the model that shapes, under our names and under theirs, and settings
    describe: CheckpointError asks for what is still open (`Settings.need`). `told` reads what lies
    beside the weights, and `assumed` says what neither tensors nor it tell, and has one usual
    answer; `notes` are facts that a person should know besides, by what they are of.
    `class_counts` are the training clips of every class by head, where the file says them. `marks`
    are what names of tensors tell of temporal ops, whatever is said: a file's name
    is held against them.
    """

    name: str
    recognises: Callable[[Shapes], bool]
    rename: Callable[[str], str | None]
    spec: Callable[[Shapes, Shapes, Settings], ModelSpec]
    parts: Callable[[Mapping[str, Tensor], ModelSpec], dict[str, Tensor]] = _as_they_are
    told: Callable[[Mapping[str, Any]], Told] = _nothing_told
    assumed: Callable[[ModelSpec, Settings, Told], tuple[str, ...]] = _nothing_assumed
    marks: Callable[[Shapes], Mapping[str, Any]] = _no_marks
    notes: Callable[[ModelSpec, Settings, Told], Mapping[str, str]] = _no_notes
    class_counts: Callable[
        [Mapping[str, Tensor], Mapping[str, Any], ModelSpec], Mapping[str, npt.NDArray[np.int64]]
    ] = _nothing_counted

    def model_of(self, shapes: Shapes, settings: Settings) -> ModelSpec:
        """The model whose checkpoint has these `shapes`."""
        ours = {name: shape for theirs, shape in shapes.items() if (name := self.rename(theirs))}
        return self.spec(ours, shapes, settings)


def renamed(
    weights: Mapping[str, Tensor], rename: Callable[[str], str | None], ours: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """`weights` under our names, less those dropped on purpose.

    A convolution of theirs over one frame, or over one pixel in a last axis, may be one of ours
    without that axis. ValueError if two tensors get one name.
    """
    out: dict[str, Tensor] = {}
    for theirs, weight in weights.items():
        name = rename(theirs)
        if name is None:
            continue
        if name in out:
            raise ValueError(f"'{theirs}' and another tensor are both renamed to '{name}'")
        out[name] = _fitted(weight, ours[name].shape) if name in ours else weight
    return out


def _fitted(weight: Tensor, shape: torch.Size) -> Tensor:
    """`weight` without one axis of length 1 if that makes it `shape`: of time, or a last one."""
    theirs = tuple(weight.shape)
    if theirs[-1:] == (1,) and theirs[:-1] == shape:
        return weight.reshape(shape)
    if len(theirs) == 5 and theirs[2] == 1 != shape[-1] and theirs[:2] + theirs[3:] == shape:
        return weight.reshape(shape)
    return weight
