"""Square crops of a clip, all frames alike: uint8 [t, c, h, w] -> uint8 [s, t, c, size, size].

A crop is a frozen dataclass; its boxes are a pure function of the frame size and, in training, of
an `rng`, so they can be looked at without pixels. `s` is the number of crops (views) of a clip.

  - `CenterCrop`, `ThreeCrop`, `FiveCrop`, `TenCrop`: scale the short side to `resize`, then cut
    fixed boxes. "Full resolution" is `size=256, resize=256`. `resize=(240, 320)` forces height
    and width, whatever the aspect ratio (Group Contextualization's training and validation of
    TSN); `resize=None` cuts from the frame as it is.
  - `MultiScaleCrop`: TSN's training crop (arXiv 1608.00859): one of 13 places, one of the sizes
    short side x scale, width and height at most `max_distort` scales apart.
  - `RandomResizedCrop`: area and aspect ratio at random (Inception, arXiv 1409.4842).

Scaling is bilinear and antialiased, as Pillow's: at most one grey level apart. Where networks were
tested otherwise (Motionformer, torchvision's), `antialias=False` leaves that out. It stays in
uint8, which PyTorch does ten times as fast as float and closer to Pillow, fastest of all channels
last, as decoders give frames; the views keep the memory layout of the frames.

**Deviates**: a frame smaller than the crop is first enlarged until the crop fits (upstream cuts
outside the frame and so pads with black).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar, Literal, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from marey.types import Frames, check_counts, check_numbers
from marey.video.mirror import mirrored

Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels."""


@dataclass(frozen=True)
class Box:
    """A rectangle of a frame in pixels; `flip` mirrors what was cut out of it."""

    left: int
    top: int
    width: int
    height: int
    flip: bool = False

    def cut(self, frames: Tensor) -> Tensor:
        """The rectangle of every frame [..., height, width]."""
        inside = frames[..., self.top : self.top + self.height, self.left : self.left + self.width]
        return mirrored(inside) if self.flip else inside


class Crop(Protocol):
    """What cuts a clip into views: one of the classes below, or your own frozen dataclass."""

    @property
    def size(self) -> int:
        """Side of the square that comes out, in pixels."""
        ...

    @property
    def views(self) -> int:
        """Crops a clip gives (s)."""
        ...

    def __call__(self, frames: Frames, rng: np.random.Generator | None = None) -> Tensor:
        """The views, uint8 [s t c size size].

        Args:
            frames: uint8 [t c h w], in any memory layout; the views have the same.
            rng: draws the box in training; None in test, where a crop that draws raises ValueError.
        """
        ...


@dataclass(frozen=True)
class FixedCrop:
    """Scale, then cut the boxes that `places` names, in quarters of the free width and height."""

    size: int = 224
    resize: int | Size | None = 256
    _: KW_ONLY
    antialias: bool = True

    places: ClassVar[tuple[tuple[int, int], ...]]
    flips: ClassVar[tuple[bool, ...]] = (False,)

    def __post_init__(self) -> None:
        check_counts(size=self.size)
        smallest = self.resize if isinstance(self.resize, int) else min(self.resize or (self.size,))
        if smallest < self.size:
            raise ValueError(
                f"resize is {self.resize}, smaller than the crop (size {self.size}). "
                "hint: resize=None cuts from the frame as it is"
            )

    @property
    def views(self) -> int:
        """Crops a clip gives (s)."""
        return len(self.places) * len(self.flips)

    def scaled(self, height: int, width: int) -> Size:
        """(height, width) to which a frame is scaled before it is cut."""
        if isinstance(self.resize, tuple):
            return self.resize
        return short_side(height, width, self.resize or max(self.size, min(height, width)))

    def boxes(self, height: int, width: int) -> list[Box]:
        """The boxes [s] in a frame already scaled; a place comes first plain, then mirrored."""
        square = self.size, self.size
        return [
            at_place(place, square, (height, width), flip=flip)
            for place in self.places
            for flip in self.flips
        ]

    def __call__(self, frames: Frames, rng: np.random.Generator | None = None) -> Tensor:  # noqa: ARG002
        """The views, uint8 [s t c size size]; nothing is drawn from `rng`."""
        scaled = self._resized(frames)
        return torch.stack([box.cut(scaled) for box in self.boxes(*size_of(scaled))])

    def _resized(self, frames: Frames) -> Tensor:
        return resize(frames, self.scaled(*size_of(frames)), antialias=self.antialias)


class RandomCrop(ABC):
    """One view at random, in training; `tests` names the crops that test what it trains."""

    size: int
    views: ClassVar[int] = 1
    tests: ClassVar[str] = "CenterCrop or ThreeCrop"

    @abstractmethod
    def box(self, height: int, width: int, rng: np.random.Generator) -> Box:
        """A box at random in a frame of that size."""
        raise NotImplementedError

    def __call__(self, frames: Frames, rng: np.random.Generator | None = None) -> Tensor:
        """One view, uint8 [1 t c size size]; ValueError without an `rng`."""
        if rng is None:
            raise ValueError(
                f"{self} draws its square and got no rng. hint: test with {self.tests}"
            )
        return self.cut(frames, rng)[None]

    def cut(self, frames: Frames, rng: np.random.Generator) -> Tensor:
        """The view [t c size size]: a box, scaled."""
        return resize(self.box(*size_of(frames), rng).cut(frames), (self.size, self.size))


@dataclass(frozen=True)
class CenterCrop(FixedCrop):
    """One view: the middle, rounded half to even as the published code does."""

    places = ((2, 2),)

    def boxes(self, height: int, width: int) -> list[Box]:
        """The one box in a frame already scaled."""
        left, top = round((width - self.size) / 2), round((height - self.size) / 2)
        return [Box(left, top, self.size, self.size)]


@dataclass(frozen=True)
class ThreeCrop(FixedCrop):
    """Three views at half height: left, right, middle (upstream's `GroupFullResSample`).

    With `along="longer"` they are top, bottom, middle of a frame higher than wide, as in bLVNet-TAM
    and action-recognition-pytorch; three views of its full width would be one and the same.
    """

    along: Literal["width", "longer"] = "width"

    places = ((0, 2), (4, 2), (2, 2))

    def boxes(self, height: int, width: int) -> list[Box]:
        """The boxes [3] in a frame already scaled."""
        if self.along == "width" or height <= width:
            return super().boxes(height, width)
        across = super().boxes(width, height)
        return [Box(box.top, box.left, self.size, self.size) for box in across]


@dataclass(frozen=True)
class FiveCrop(FixedCrop):
    """Five views: the corners and the middle (upstream's `GroupOverSample` without flips)."""

    places = ((0, 0), (4, 0), (0, 4), (4, 4), (2, 2))


@dataclass(frozen=True)
class TenCrop(FiveCrop):
    """Ten views: each of the five, followed by its mirror image. Labels are not swapped."""

    flips = (False, True)


@dataclass(frozen=True)
class Mirrored:
    """The views of `crop`, each a mirror image. Labels are not swapped."""

    crop: Crop = field(default_factory=CenterCrop)

    @property
    def size(self) -> int:
        """Side of the square that comes out, in pixels."""
        return self.crop.size

    @property
    def views(self) -> int:
        """Crops a clip gives (s)."""
        return self.crop.views

    def __call__(self, frames: Frames, rng: np.random.Generator | None = None) -> Tensor:
        """The views, uint8 [s t c size size]."""
        return mirrored(self.crop(frames, rng))


@dataclass(frozen=True)
class MultiScaleCrop(RandomCrop):
    """One view at random: a size out of `scales`, one of 13 fixed places (TSN; not for testing).

    A side within 3 pixels of `size` becomes `size`, so that it is not scaled for nothing.
    """

    size: int = 224
    scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66)
    max_distort: int = 1

    # quarters of the free width and height, in the order of the published code
    places: ClassVar[tuple[tuple[int, int], ...]] = (
        *((0, 0), (4, 0), (0, 4), (4, 4), (2, 2), (0, 2), (4, 2), (2, 4), (2, 0)),
        *((1, 1), (3, 1), (1, 3), (3, 3)),
    )

    def __post_init__(self) -> None:
        check_counts(size=self.size)
        check_numbers(at_least=0, max_distort=self.max_distort)
        if not self.scales or not all(0 < scale <= 1 for scale in self.scales):
            raise ValueError(f"scales is {self.scales}, expected numbers above 0 and at most 1")

    def shapes(self, height: int, width: int) -> list[Size]:
        """Every (height, width) that may be drawn, in the order of the published code."""
        sides = [max(1, int(min(height, width) * scale)) for scale in self.scales]
        sides = [self.size if abs(side - self.size) < 3 else side for side in sides]
        return [
            (h, w)
            for i, h in enumerate(sides)
            for j, w in enumerate(sides)
            if abs(i - j) <= self.max_distort
        ]

    def box(self, height: int, width: int, rng: np.random.Generator) -> Box:
        """A box at random in a frame of that size."""
        shapes = self.shapes(height, width)
        h, w = shapes[rng.integers(len(shapes))]
        h, w = min(h, height), min(w, width)  # `size` may exceed the frame by 1 or 2 pixels
        place = self.places[rng.integers(len(self.places))]
        return at_place(place, (h, w), (height, width))


@dataclass(frozen=True)
class RandomResizedCrop(RandomCrop):
    """One view at random: `scale` of the area, `ratio` width / height (not for testing).

    Ten draws of area (uniform) and ratio (log-uniform); should none fit into the frame, the
    largest box in the middle whose ratio is allowed.
    """

    size: int = 224
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        check_counts(size=self.size)
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale is {self.scale}, expected 0 < low <= high <= 1")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError(f"ratio is {self.ratio}, expected 0 < low <= high")

    def box(self, height: int, width: int, rng: np.random.Generator) -> Box:
        """A box at random in a frame of that size."""
        low, high = np.log(self.ratio)
        for _ in range(10):
            area = height * width * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(low, high))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                left, top = rng.integers(width - w + 1), rng.integers(height - h + 1)
                return Box(int(left), int(top), w, h)
        w = max(1, min(width, round(height * self.ratio[1])))
        h = max(1, min(height, round(width / self.ratio[0])))
        return Box((width - w) // 2, (height - h) // 2, w, h)


def at_place(place: tuple[int, int], box: Size, frame: Size, *, flip: bool = False) -> Box:
    """A box (height, width) of a frame at (x, y) quarters of the width and height left free.

    A quarter is rounded down to whole pixels, so 4 of them may end 1 to 3 pixels short.
    """
    (x, y), (height, width) = place, box
    return Box(x * ((frame[1] - width) // 4), y * ((frame[0] - height) // 4), width, height, flip)


def any_square(size: int, height: int, width: int, rng: np.random.Generator) -> Box:
    """A square of `size` pixels at random in a frame; every place is as likely."""
    left, top = (
        int(rng.integers(0, free, endpoint=True)) for free in (width - size, height - size)
    )
    return Box(left, top, size, size)


def resize(frames: Frames, size: Size, *, antialias: bool = True) -> Tensor:
    """Frames [t c h w] scaled to (height, width): bilinear, in uint8."""
    if size_of(frames) == size:
        return frames
    return functional.interpolate(frames, size, mode="bilinear", antialias=antialias)


def short_side(height: int, width: int, side: int) -> Size:
    """(height, width) of a frame whose shorter side is scaled to `side`; the longer rounds down."""
    if height <= width:
        return side, int(side * width / height)
    return int(side * height / width), side


def size_of(frames: Tensor) -> Size:
    """(height, width) of frames [... h w]."""
    return frames.shape[-2], frames.shape[-1]
