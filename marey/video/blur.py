"""Gaussian blur as SimCLR has it (arXiv 2002.05709, appendix A): a strength a clip.

    sigma ~ U(0.1, 2.0);  the kernel is a tenth of the picture's height, and of odd length

A kernel is cut off there and sums to 1; beyond an edge the picture is mirrored.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIGMA = (0.1, 2.0)
"""Least and largest, in pixels."""


def blurred(frames: Tensor, sigma: Tensor) -> Tensor:
    """Float frames [b t c h w], each clip blurred by its own sigma [b] in pixels."""
    b, t, c, height, width = frames.shape
    radius = min(max(height // 20, 1), height - 1, width - 1)
    if radius < 1:
        return frames
    x = torch.arange(-radius, radius + 1, device=frames.device, dtype=frames.dtype)
    kernel = torch.exp(-(x**2) / (2 * sigma.to(x)[:, None] ** 2))
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    # clips stand as channels, so that each has a kernel of its own
    images = frames.transpose(0, 1).reshape(t, b * c, height, width)
    images = F.pad(images, (radius,) * 4, mode="reflect")
    each = kernel.repeat_interleave(c, dim=0)[:, None]
    images = F.conv2d(images, each[:, :, :, None], groups=b * c)
    images = F.conv2d(images, each[:, :, None, :], groups=b * c)
    return images.reshape(t, b, c, height, width).transpose(0, 1)
