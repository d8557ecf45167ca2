"""Layout: how time joins the batch and leaves it again, and channels last in memory.

clip  [b t c h w]  -- fold_time -->    frames [b*t c h w]    frames of a clip stay adjacent
any   [b*t ...]    -- unfold_time -->  [b t ...]
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def fold_time(clip_btchw: Tensor) -> Tensor:
    """Frames [b*t ...] of clips [b t ...], the frames of a clip adjacent."""
    return clip_btchw.flatten(0, 1)


def unfold_time(frames: Tensor, num_frames: int) -> Tensor:
    """Clips [b t ...] of frames [b*t ...], `num_frames` to a clip."""
    return frames.view(-1, num_frames, *frames.shape[1:])


def cells(maps_nchw: Tensor, num_frames: int) -> Tensor:
    """The cells [b t h*w c] of the maps [b*t c h w] of clips of `num_frames`."""
    return unfold_time(maps_nchw.flatten(2).transpose(1, 2), num_frames)


class OnClips(nn.Module):
    """A module on frames [b*t c h w] of clips of `num_frames`, which `print` shows."""

    num_frames: int

    def extra_repr(self) -> str:
        """What `print` shows: of a layer its own, and the frames."""
        shown = super().extra_repr()
        return ", ".join(filter(None, (shown, f"num_frames={self.num_frames}")))


def split_axis(x: Tensor, axis: int, *sizes: int) -> Tensor:
    """`x` with `axis` taken apart into axes of `sizes`, of which one may be -1 (the rest)."""
    return torch.unflatten(x, axis, sizes)


def channels_last(module: AnyModule) -> AnyModule:
    """`module` with its 2-D filters stored channels last, in place: faster on CPU and GPU alike.

    By parameter rank, since `module.to(memory_format=...)` refuses a network with a 3-D filter.
    What goes into a convolution that oneDNN cannot train so (`_is_unsafe`) is turned back.
    """
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    for conv in module.modules():
        if _is_unsafe(conv) and _channels_first not in conv._forward_pre_hooks.values():
            conv.register_forward_pre_hook(_channels_first)
    return module


def _is_unsafe(conv: nn.Module) -> bool:
    """Whether the gradient of its filters is written beyond their memory, of maps channels last.

    oneDNN's kernels for AVX2 (of torch 2.13) do so for 1x1 filters that leave places out and have
    fewer input channels than a vector has numbers: in networks far thinner than published ones.
    """
    vector = 16  # numbers of AVX-512; AVX2 has 8
    return (
        isinstance(conv, nn.Conv2d)
        and conv.kernel_size == (1, 1)
        and conv.stride != (1, 1)
        and conv.in_channels < vector
    )


def _channels_first(conv: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:  # noqa: ARG001
    return tuple(each.contiguous() for each in given)
