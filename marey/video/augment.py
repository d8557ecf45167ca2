"""Appearance, changed on the device: a batch of uint8 clips -> normalised clips and labels.

What is drawn for clip i comes from `seeds[i]` alone and is drawn on the CPU with NumPy, so a clip
looks the same in any batch, on any device, alone or beside others. Only mixup and CutMix look
further: weight and box come from `seeds[i]`, the partner is the next clip of the batch.

Mixup: arXiv 1710.09412. CutMix: arXiv 1905.04899. Random erasing: arXiv 1708.04896. Grey and blur:
SimCLR, arXiv 2002.05709. Left and right are labels in
Something-Something and Jester: `flip="swap"` mirrors those clips and exchanges the two labels.

**Deviates**: Group Contextualization and TDN swap the labels of Something-Something by three fixed
pairs of numbers, right only for one order of the classes, and mirror Jester without a swap; here
`flip_pairs` derives the pairs from the class names. Contrast is about the mean grey of the whole
clip, not of each frame, and erasing fills with the mean colour (0 once normalised).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from marey.errors import counted
from marey.modality import IMAGENET_MEAN as IMAGENET_MEAN
from marey.modality import IMAGENET_STD as IMAGENET_STD
from marey.modality import STACKS, modality_of
from marey.models.layout import split_axis
from marey.types import Clip, Labels, check_numbers
from marey.video.blur import SIGMA, blurred
from marey.video.cutmix import area, boxes
from marey.video.mirror import mirrored
from marey.video.mirrored_classes import flip_pairs as flip_pairs
from marey.video.rand_augment import RandAugment, rand_augment

ChannelOrder: TypeAlias = Literal["rgb", "bgr"]

_STREAM = 1  # beside the seed, so that a flip is independent of the crop drawn from the same seed
_MORE = 4  # what came later; frames and crops are drawn from 2, RandAugment from 3
_ERASE_AREA = (0.02, 1 / 3)  # of the frame
_ERASE_RATIO = (0.3, 1 / 0.3)  # height / width
_GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma


@dataclass(frozen=True, kw_only=True)
class Augment:
    """How the appearance of training clips varies; the default only normalises.

    `flip`: "plain" mirrors half of the clips; "swap" also exchanges the labels of `flip_pairs` in
    head `flip_head` (see `flip_pairs()`; None is "not derived yet" and refused when flipping).
    `brightness`, `contrast`, `saturation`: x draws a factor from [max(0, 1 - x), 1 + x], one for
    all frames of a clip. `grey`: probability that a clip loses its colours; `blur`: that it is
    blurred, after them (`marey.video.blur`). `erase`: probability that one rectangle is blanked in
    all frames.
    `mixup`: alpha of Beta(alpha, alpha), one weight a clip; 0 is off.
    `cutmix`: alpha of Beta(alpha, alpha), one box a clip, which shows the next clip in all frames;
    labels are mixed by its area. Beside mixup each clip is mixed by one of the two, as often by
    either (timm's switch_prob of 0.5).
    `randaugment`: changes of shape and colour, made before all others.
    `mean`, `std`: in units of a pixel range of 0 to 1.
    `channel_order`: in which order the model takes the channels, and `mean` and `std` name them;
    "bgr" for one that was trained on OpenCV's frames.
    """

    flip: Literal["none", "plain", "swap"] = "none"
    flip_pairs: tuple[tuple[int, int], ...] | None = None
    flip_head: str = "label"
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    grey: float = 0.0
    blur: float = 0.0
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    randaugment: RandAugment | None = None
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    channel_order: ChannelOrder = "rgb"

    def __post_init__(self) -> None:
        check_numbers(at_least=0, brightness=self.brightness, contrast=self.contrast)
        check_numbers(at_least=0, saturation=self.saturation, mixup=self.mixup)
        check_numbers(at_least=0, cutmix=self.cutmix)
        check_numbers(at_least=0, at_most=1, erase=self.erase, grey=self.grey, blur=self.blur)
        if not self.mean or len(self.mean) != len(self.std):
            raise ValueError(
                f"mean has {counted(len(self.mean), 'value')} and std {len(self.std)}, "
                "expected one a channel"
            )
        for value in self.mean:
            check_numbers(mean=value)
        for value in self.std:
            check_numbers(above=0, std=value)

    @property
    def changes_pixels(self) -> bool:
        """Whether it does more than to normalise, in the model's order of channels, and to mix."""
        return self != replace(self.normalisation, mixup=self.mixup)

    @property
    def normalisation(self) -> Augment:
        """What of it every picture is given, in a test too."""
        return Augment(mean=self.mean, std=self.std, channel_order=self.channel_order)


def normalize(
    clip: Tensor,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    dtype: torch.dtype = torch.float32,
    channel_order: ChannelOrder = "rgb",
) -> Tensor:
    """(clip / 255 - mean) / std [... c h w]; computed in float32, given as `dtype`.

    Of a sample of RGB difference (18 channels: 6 pictures) it gives the 15 channels of the
    differences of those that follow each other, which `mean` and `std` are of.

    Args:
        clip: uint8 [... c h w], 0 to 255; it stays as it is.
        mean, std: one value a channel, or fewer that repeat (5 stacked RGB frames, flow), in units
            of a range of 0 to 1 and for the channels as the model takes them.
        dtype: of what comes back.
        channel_order: in which the model takes the channels.

    Raises:
        ValueError: the clip is not uint8, or `mean` and `std` do not divide its channels.
    """
    if clip.dtype != torch.uint8:
        raise ValueError(f"clip is {clip.dtype}, expected uint8 (0 to 255)")
    pixels = _ordered(clip, channel_order).to(torch.float32)
    return _standardize(_compared(pixels), mean, std).to(dtype)


def augment(
    clip: Tensor,
    labels: Labels,
    plan: Augment,
    seeds: npt.NDArray[np.int64],
    *,
    num_classes: Mapping[str, int] | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[Clip, Labels]:
    """The clips as `plan` changes them, normalised, and their labels, on the device of the clips.

    Features have no appearance: `mixup` is all of the plan that changes them.

    Args:
        clip: uint8 [b t c h w], or features, float [b t d]; it stays as it is. The six pictures of
            a sample of RGB difference are changed alike, before they are compared.
        labels: head -> int64 [b] or float [b k]; mixed they come back as float [b k].
        plan: which changes there are, and how strong.
        seeds: int64 [b] >= 0; what is drawn for a clip depends on its seed alone.
        num_classes: head -> k, which mixup and CutMix need.
        dtype: of the clips that come back.

    Raises:
        ValueError: clips, labels and plan do not go together.
    """
    _check(clip, labels, plan, seeds, num_classes)
    if clip.is_floating_point() and not plan.mixup:
        return clip, labels
    draws = _Draws(seeds, plan)
    if clip.is_floating_point():
        return _mixed(clip, labels, plan, draws, num_classes)
    clip, per_sample = _one_by_one(clip)
    if plan.randaugment:
        clip = rand_augment(clip, plan.randaugment, seeds)
    if plan.flip != "none":
        flipped = torch.from_numpy(draws.flip < 0.5).to(clip.device)
        clip = torch.where(_per_clip(flipped), mirrored(clip), clip)
        if plan.flip == "swap":
            swapped = _swap(labels[plan.flip_head], flipped, plan.flip_pairs or ())
            labels = labels | {plan.flip_head: swapped}
    pixels = _jitter(clip.to(torch.float32), plan, draws)
    pixels = _ordered(pixels, plan.channel_order)
    if per_sample > 1:
        pixels = split_axis(pixels, 1, -1, per_sample).flatten(2, 3)
    pixels = _standardize(_compared(pixels), plan.mean, plan.std)
    if plan.erase:
        pixels.masked_fill_(_erased(draws, plan.erase, pixels), 0.0)
    pixels, labels = _mixed(pixels, labels, plan, draws, num_classes)
    return pixels.to(dtype), labels


# --- draws -----------------------------------------------------------------------------------


class _Draws:
    """Uniform numbers from 0 to 1, each [b], one row a seed.

    All of them are always drawn, so turning one change on leaves the others as they were.
    """

    def __init__(self, seeds: npt.NDArray[np.int64], plan: Augment) -> None:
        rngs = [np.random.default_rng([int(seed), _STREAM]) for seed in seeds]
        alpha, cut_alpha = plan.mixup, plan.cutmix
        uniform = np.stack([rng.random(9) for rng in rngs], axis=1)
        self.flip, self.brightness, self.contrast, self.saturation = uniform[:4]
        self.erase, self.area, self.ratio, self.top, self.left = uniform[4:]
        self.mixup = np.array([rng.beta(alpha, alpha) if alpha else 1.0 for rng in rngs])
        if not (plan.grey or plan.blur or plan.cutmix):
            return
        rngs = [np.random.default_rng([int(seed), _MORE]) for seed in seeds]
        uniform = np.stack([rng.random(6) for rng in rngs], axis=1)
        self.grey, self.blur, self.sigma, switch, self.cut_row, self.cut_column = uniform
        self.is_cut = switch < (0.5 if alpha else 1.0)
        kept = np.array([rng.beta(cut_alpha, cut_alpha) if cut_alpha else 1.0 for rng in rngs])
        self.cut = np.where(self.is_cut, 1 - kept, 0.0)
        if cut_alpha:
            self.mixup = np.where(self.is_cut, 1.0, self.mixup)


# --- on the device ---------------------------------------------------------------------------


def _mixed(
    clip: Tensor,
    labels: Labels,
    plan: Augment,
    draws: _Draws,
    num_classes: Mapping[str, int] | None,
) -> tuple[Tensor, Labels]:
    """Clips of any shape and their labels under mixup and CutMix, if the plan has them."""
    if not (plan.mixup or plan.cutmix):
        return clip, labels
    weight = draws.mixup
    mixed = clip
    if plan.mixup:
        mixed = _mix(clip, torch.from_numpy(weight).to(clip).reshape(-1, *[1] * (clip.ndim - 1)))
    if plan.cutmix:
        height, width = clip.shape[-2:]
        box = boxes(draws.cut, draws.cut_row, draws.cut_column, height=height, width=width)
        mixed = torch.where(_inside(box, clip), clip[_following(clip)], mixed)
        weight = weight * (1 - area(box) / (height * width))
    of_label = torch.from_numpy(weight).to(clip)[:, None]
    return mixed, {
        head: _mix(_one_hot(label, (num_classes or {})[head]), of_label)
        for head, label in labels.items()
    }


def _per_clip(x_b: Tensor) -> Tensor:
    return x_b.reshape(-1, 1, 1, 1, 1)


def _swap(labels: Tensor, flipped: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
    partner = labels
    if labels.ndim == 2:
        classes = torch.arange(labels.shape[1], device=labels.device)
        return torch.where(flipped[:, None], labels[:, _swap(classes, classes >= 0, pairs)], labels)
    for a, b in pairs:
        partner = partner.masked_fill(labels == a, b).masked_fill(labels == b, a)
    return torch.where(flipped, partner, labels)


def _jitter(pixels: Tensor, plan: Augment, draws: _Draws) -> Tensor:
    """Brightness, contrast, saturation, grey, blur, in this order, of float pixels 0..255."""

    def factor(strength: float, uniform: npt.NDArray[np.float64]) -> Tensor:
        low = max(0.0, 1 - strength)
        return _per_clip(torch.from_numpy(low + uniform * (1 + strength - low)).to(pixels))

    if plan.brightness:
        pixels.mul_(factor(plan.brightness, draws.brightness)).clamp_(0, 255)
    if plan.contrast:
        mean = _grey(pixels).mean(dim=(1, 2, 3, 4), keepdim=True)
        pixels.sub_(mean).mul_(factor(plan.contrast, draws.contrast)).add_(mean).clamp_(0, 255)
    if plan.saturation:
        grey = _grey(pixels)
        pixels.sub_(grey).mul_(factor(plan.saturation, draws.saturation)).add_(grey).clamp_(0, 255)
    if plan.grey:
        is_grey = _per_clip(torch.from_numpy(draws.grey < plan.grey).to(pixels.device))
        pixels = torch.where(is_grey, _grey(pixels), pixels)
    for row in np.flatnonzero(draws.blur < plan.blur) if plan.blur else ():
        # one at a time: beside others a clip would be rounded otherwise than alone
        sigma = torch.tensor([np.interp(draws.sigma[row], (0, 1), SIGMA)])
        pixels[row : row + 1] = blurred(pixels[row : row + 1], sigma)
    return pixels


def _grey(pixels: Tensor) -> Tensor:
    red, green, blue = pixels.unbind(-3)
    return (_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue).unsqueeze(-3)


def _ordered(pixels: Tensor, channel_order: ChannelOrder) -> Tensor:
    """RGB pixels [... c h w] in another order of the channels."""
    if channel_order == "rgb":
        return pixels
    channels = pixels.shape[-3]
    if modality_of(channels) not in ("rgb", "rgbdiff"):
        raise ValueError(f"channel_order is 'bgr', the clip has {channels} channels, expected 3")
    return split_axis(pixels, pixels.ndim - 3, -1, 3).flip(-3).flatten(-4, -3)


def _one_by_one(clip: Tensor) -> tuple[Tensor, int]:
    """Samples [b t c h w] as their pictures [b t*n 3 h w], and n; others as they are, and 1."""
    if modality_of(clip.shape[2]) != "rgbdiff":
        return clip, 1
    stack = STACKS["rgbdiff"]
    return split_axis(clip, 2, stack.frames, stack.planes).flatten(1, 2), stack.frames


def _compared(pixels: Tensor) -> Tensor:
    """Samples of RGB difference [... 18 h w] as their differences [... 15 h w], others as they are.

    x_i+1 - x_i of each picture and the next, as TSN's `_get_diff` has them.
    """
    if modality_of(pixels.shape[-3]) != "rgbdiff":
        return pixels
    planes = STACKS["rgbdiff"].planes
    return pixels[..., planes:, :, :] - pixels[..., :-planes, :, :]


def _standardize(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(pixels / 255 - mean) / std, in place: half the time of new tensors on a CPU."""
    channels = pixels.shape[-3]
    if len(mean) != len(std) or not mean or channels % len(mean):
        raise ValueError(
            f"mean has {counted(len(mean), 'value')} and std {len(std)}; "
            f"the clip has {counted(channels, 'channel')}, a multiple of both expected"
        )
    mean_c, std_c = (
        torch.tensor(values, device=pixels.device).repeat(channels // len(values))[:, None, None]
        for values in (mean, std)
    )
    return pixels.mul_(1 / (255 * std_c)).sub_(mean_c / std_c)


def _erased(draws: _Draws, probability: float, pixels: Tensor) -> Tensor:
    """Where the rectangle of each clip lies, bool [b 1 1 h w]."""
    height, width = pixels.shape[-2:]
    of_frame = np.interp(draws.area, (0, 1), _ERASE_AREA) * height * width
    ratio = np.exp(np.interp(draws.ratio, (0, 1), np.log(_ERASE_RATIO)))
    h = np.sqrt(of_frame * ratio).round().clip(1, height) * (draws.erase < probability)
    w = np.sqrt(of_frame / ratio).round().clip(1, width)
    top, left = np.floor(draws.top * (height - h + 1)), np.floor(draws.left * (width - w + 1))
    return _inside(np.stack([top, top + h, left, left + w]), pixels)


def _inside(box: npt.NDArray[Any], pixels: Tensor) -> Tensor:
    """Where the box of each clip lies, bool [b 1 1 h w], of its edges [4 b] as `boxes` gives."""
    height, width = pixels.shape[-2:]
    top, bottom, left, right = (_per_clip(edge) for edge in torch.from_numpy(box).to(pixels))
    y = torch.arange(height, device=pixels.device)[:, None]
    x = torch.arange(width, device=pixels.device)
    return (y >= top) & (y < bottom) & (x >= left) & (x < right)


def _one_hot(labels: Tensor, num_classes: int) -> Tensor:
    if labels.ndim == 2:
        return labels
    zeros = torch.zeros(len(labels), num_classes, device=labels.device)
    return zeros.scatter_(1, labels[:, None], 1.0)  # unlike functional.one_hot, no device sync


def _mix(x: Tensor, weight: Tensor) -> Tensor:
    """weight * x[i] + (1 - weight) * x[i + 1]; the last clip's partner is the first."""
    return torch.lerp(x[_following(x)], x, weight)


def _following(x: Tensor) -> Tensor:
    """The next row of each, by which, unlike with roll or cat, clips stay channels last."""
    return torch.arange(1, len(x) + 1, device=x.device) % len(x)


def _check(
    clip: Tensor,
    labels: Labels,
    plan: Augment,
    seeds: npt.NDArray[np.int64],
    num_classes: Mapping[str, int] | None,
) -> None:
    pixels = clip.dtype == torch.uint8 and clip.ndim == 5
    features = clip.is_floating_point() and clip.ndim == 3
    if not (pixels or features) or len(seeds) != len(clip):
        raise ValueError(
            f"clip is {clip.dtype} {tuple(clip.shape)} with {counted(len(seeds), 'seed')}, "
            "expected uint8 [b t c h w] and b seeds, or features float [b t d]"
        )
    if features and plan.changes_pixels:
        raise ValueError(f"the plan changes pixels, the clip is features: {plan}")
    is_coloured = features or modality_of(clip.shape[2]) in ("rgb", "rgbdiff")
    if (plan.contrast or plan.saturation or plan.grey or plan.randaugment) and not is_coloured:
        what = "RandAugment needs" if plan.randaugment else "contrast, saturation and grey need"
        raise ValueError(f"{what} RGB, the clip has {counted(clip.shape[2], 'channel')}")
    if plan.flip == "swap" and plan.flip_pairs is None:
        raise ValueError(
            "flip='swap' without flip_pairs. hint: flip_pairs(class_names) derives them"
        )
    if plan.flip == "swap" and plan.flip_head not in labels:
        raise ValueError(f"flip_head is {plan.flip_head!r}, the labels are {sorted(labels)}")
    unknown = sorted(set(labels) - set(num_classes or {}))
    if (plan.mixup or plan.cutmix) and unknown:
        what = "mixup" if plan.mixup else "cutmix"
        raise ValueError(f"{what} needs num_classes of {unknown}, got {num_classes}")
