"""RandAugment: a few changes of shape and colour drawn at random (Cubuk et al., arXiv 1909.13719).

A clip draws its changes from its own seed and makes them in all of its frames. They are those of
``rand-m9-mstd0.5-inc1`` in pytorch-image-models, the set in which each grows with the magnitude;
its strength x is a tenth of that, and its sign is drawn. Each does to a frame what Pillow does to
an image, on the device of the clip.

**Deviates** from what Motionformer and LMR train with. There a magnitude above 10 counts as 10, at
which posterising keeps no bit and blackens the clip; here it is refused, and a bit is kept. There
the first frame draws changes of its own, and one coin decides on all changes of the others. There
frames are changed before they are cropped, here after, so that what a turn or a shift brings in
from outside the crop is grey (128).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from marey.types import check_numbers

Change = Callable[[Tensor, float], Tensor]
"""A clip uint8 [t 3 h w] and a strength from -1 to 1 -> the clip changed."""

_STREAM = 3  # beside the seed: `augment` draws from 1, frames and crops from 2
_FILL = 128
_SMOOTH = torch.tensor([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]) / 13
_LUMA = (19595, 38470, 7471)  # of 65536; ITU-R BT.601


@dataclass(frozen=True)
class RandAugment:
    """`num_ops` changes a clip, each made with `probability`.

    `magnitude` is from 0 to 10 and varies by a normal deviation of `magnitude_std`.
    """

    num_ops: int = 2
    magnitude: float = 9.0
    magnitude_std: float = 0.5
    probability: float = 0.5

    def __post_init__(self) -> None:
        check_numbers(at_least=0, num_ops=self.num_ops, magnitude_std=self.magnitude_std)
        check_numbers(at_least=0, at_most=10, magnitude=self.magnitude)
        check_numbers(at_least=0, at_most=1, probability=self.probability)

    def draw(self, seed: int) -> list[tuple[Change, float]]:
        """The changes of the clip of this seed, and the strength of each."""
        rng = np.random.default_rng([seed, _STREAM])
        changes = rng.integers(len(CHANGES), size=self.num_ops)
        wanted = rng.random(self.num_ops) < self.probability
        magnitudes = rng.normal(self.magnitude, self.magnitude_std, self.num_ops).clip(0, 10)
        signs = rng.choice((-1, 1), self.num_ops)
        drawn = zip(changes, wanted, signs * magnitudes / 10, strict=True)
        return [(CHANGES[change], float(x)) for change, is_wanted, x in drawn if is_wanted]


def rand_augment(clip: Tensor, plan: RandAugment, seeds: npt.NDArray[np.int64]) -> Tensor:
    """The clips, uint8 [b t 3 h w], each as its seed changes it; `clip` stays as it is."""
    changed = clip.clone()
    for frames, seed in zip(changed, seeds, strict=True):
        for change, x in plan.draw(int(seed)):
            frames.copy_(change(frames, x))
    return changed


# --- colour, of frames [t 3 h w] -------------------------------------------------------------


def autocontrast(clip: Tensor, _: float) -> Tensor:
    """Every channel of a frame stretched to reach from 0 to 255."""
    pixels = clip.int()
    low, high = pixels.amin((-2, -1), keepdim=True), pixels.amax((-2, -1), keepdim=True)
    stretched = (pixels - low) * 255 // (high - low).clamp_min(1)
    return torch.where(high > low, stretched, pixels).byte()


def equalize(clip: Tensor, _: float) -> Tensor:
    """Every channel of a frame with all values about equally often."""
    values = clip.flatten(0, 1).flatten(1).long()
    ones = torch.ones_like(values)
    counts = torch.zeros(len(values), 256, dtype=torch.long, device=clip.device)
    counts.scatter_add_(1, values, ones)
    last = counts.gather(1, values.amax(1, keepdim=True))
    step = (values.shape[1] - last) // 255
    below = counts.cumsum(1) - counts
    table = ((below + step // 2) // step.clamp_min(1)).clamp_max(255)
    return torch.where(step > 0, table.gather(1, values), values).byte().view_as(clip)


def invert(clip: Tensor, _: float) -> Tensor:
    """Its negative."""
    return 255 - clip


def posterize(clip: Tensor, x: float) -> Tensor:
    """The upper 4 to 1 bits of every value."""
    bits = max(1, 4 - int(4 * abs(x)))
    return clip & (0xFF << (8 - bits) & 0xFF)


def solarize(clip: Tensor, x: float) -> Tensor:
    """The negative of values from 256 - 256 x on."""
    return torch.where(clip.int() < 256 - int(256 * abs(x)), clip, 255 - clip)


def solarize_add(clip: Tensor, x: float) -> Tensor:
    """110 x more of values below 128."""
    return torch.where(clip < 128, clip + int(110 * abs(x)), clip)  # at most 127 + 110


def color(clip: Tensor, x: float) -> Tensor:
    """1 + 0.9 x times as far from grey."""
    return _blend(_grey(clip), clip, x)


def contrast(clip: Tensor, x: float) -> Tensor:
    """1 + 0.9 x times as far from the mean grey of the frame."""
    return _blend(_grey(clip).float().mean((-3, -2, -1), keepdim=True).add(0.5).floor(), clip, x)


def brightness(clip: Tensor, x: float) -> Tensor:
    """1 + 0.9 x times as far from black."""
    return _blend(torch.zeros_like(clip), clip, x)


def sharpness(clip: Tensor, x: float) -> Tensor:
    """1 + 0.9 x times as far from the frame made smooth."""
    smooth = clip.float()
    if min(clip.shape[-2:]) >= 3:
        pixels = smooth.flatten(0, 1).unsqueeze(1)
        inner = F.conv2d(pixels, _SMOOTH.to(pixels)[None, None]).add(0.5).floor()
        smooth[..., 1:-1, 1:-1] = inner.view(*clip.shape[:2], *inner.shape[-2:])
    return _blend(smooth, clip, x)


def _blend(without: Tensor, clip: Tensor, x: float) -> Tensor:
    """The clip with as much more, or less, of what it has and `without` lacks."""
    pixels = without.float()
    return torch.lerp(pixels.expand_as(clip), clip.float(), 1 + 0.9 * x).clamp(0, 255).byte()


def _grey(clip: Tensor) -> Tensor:
    red, green, blue = clip.int().unbind(-3)
    return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue + 0x8000 >> 16).unsqueeze(-3)


# --- shape -----------------------------------------------------------------------------------


def rotate(clip: Tensor, x: float) -> Tensor:
    """By 30 x degrees about the centre, counter-clockwise."""
    sin, cos = math.sin(math.radians(30 * x)), math.cos(math.radians(30 * x))
    y0, x0 = clip.shape[-2] / 2, clip.shape[-1] / 2
    from_centre = (cos, -sin, x0 - cos * x0 + sin * y0), (sin, cos, y0 - sin * x0 - cos * y0)
    return _warp(clip, *from_centre)


def shear_x(clip: Tensor, x: float) -> Tensor:
    """Each row by 0.3 x of its distance from the upper rim."""
    return _warp(clip, (1, 0.3 * x, 0), (0, 1, 0))


def shear_y(clip: Tensor, x: float) -> Tensor:
    """Each column by 0.3 x of its distance from the left rim."""
    return _warp(clip, (1, 0, 0), (0.3 * x, 1, 0))


def translate_x(clip: Tensor, x: float) -> Tensor:
    """By 0.45 x of the width, to the left."""
    return _warp(clip, (1, 0, 0.45 * x * clip.shape[-1]), (0, 1, 0))


def translate_y(clip: Tensor, x: float) -> Tensor:
    """By 0.45 x of the height, upwards."""
    return _warp(clip, (1, 0, 0), (0, 1, 0.45 * x * clip.shape[-2]))


def _warp(
    clip: Tensor, to_x: tuple[float, float, float], to_y: tuple[float, float, float]
) -> Tensor:
    """The pixel at (x, y) becomes what is at (a x + b y + c, d x + e y + f), by lines between."""
    height, width = clip.shape[-2:]
    y = torch.arange(height, device=clip.device)[:, None] + 0.5
    x = torch.arange(width, device=clip.device) + 0.5
    from_x = (to_x[0] * x + to_x[1] * y + to_x[2]) * (2 / width) - 1
    from_y = (to_y[0] * x + to_y[1] * y + to_y[2]) * (2 / height) - 1
    size = (height, width)
    grid = torch.stack((from_x.expand(size), from_y.expand(size)), dim=-1)
    pixels = clip.flatten(0, 1).float()[None]
    warped = F.grid_sample(pixels, grid[None], padding_mode="border", align_corners=False)
    inside = ((grid >= -1) & (grid < 1)).all(-1)
    return torch.where(inside, warped[0].add(0.5).view_as(clip), _FILL).byte()


CHANGES: tuple[Change, ...] = (
    *(autocontrast, equalize, invert, rotate, posterize, solarize, solarize_add, color, contrast),
    *(brightness, sharpness, shear_x, shear_y, translate_x, translate_y),
)
