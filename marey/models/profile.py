"""What a model costs, counted without running it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from marey.models.video_model import VideoModel


def num_parameters(model: nn.Module) -> int:
    """How many numbers the model learns, frozen ones included."""
    return sum(parameter.numel() for parameter in model.parameters())


def gmacs(model: VideoModel, size: int = 224) -> float:
    """Billions of multiply-accumulates for one clip of `size` x `size` (papers' "FLOPs").

    Counted on the meta device, where nothing is computed, and with plain matrix products for
    attention: torch's counter does not see the fused kernels.
    """
    with torch.device("meta"):
        twin = model.spec.build().eval()
        clip = torch.empty(1, model.frames, model.spec.encoder.in_channels, size, size)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        twin(clip)
    return float(counter.get_total_flops()) / 2e9
