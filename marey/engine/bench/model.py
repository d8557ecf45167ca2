"""A network with random weights on random clips: forwards, and as it learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F

from marey.engine.machine import matmul_flops
from marey.engine.timing import forget_peak, peak_bytes, timed
from marey.models.fused import fused
from marey.models.layout import channels_last
from marey.models.profile import gmacs, num_parameters
from marey.models.video_model import ModelSpec, VideoModel

Amp: TypeAlias = bool | Literal["auto"]
"""Under autocast to bfloat16, in float32, or in the faster of the two."""
Form: TypeAlias = Literal["fused", "plain"]
"""As evaluation and prediction run a model, or as it is trained."""


@dataclass(frozen=True, kw_only=True)
class ModelSpeed:
    """What a model costs and how fast it runs here."""

    parameters: int
    gmacs: float
    """Of one clip: billions of multiply-accumulates, forwards."""
    batch_size: int
    form: Form
    amp: bool
    """Whether it computed in bfloat16 where that is safe."""
    median_seconds: float
    """Of one batch."""
    cpu_seconds: float
    """The median of one batch in processor time, all threads together."""
    peak_share: float
    """Of the arithmetic that a product of matrices reached in the same run. A step of training is
    counted as three times the forward pass."""
    peak_memory_bytes: int
    """On a GPU what tensors took at most; on a CPU the most this process ever held."""

    @property
    def clips_per_second(self) -> float:
        """Clips a second at this batch size."""
        return self.batch_size / self.median_seconds


def bench_model(
    spec: ModelSpec,
    *,
    size: int = 224,
    batch_size: int = 1,
    repeats: int = 10,
    device: str = "cpu",
    amp: Amp = False,
    form: Form = "fused",
) -> ModelSpeed:
    """Time the forward pass of `repeats` batches of random clips."""
    model = channels_last(spec.build()).to(device).eval()
    called = in_form(form, model)
    clip = torch.randn(batch_size, *spec.clip_shape(size), device=device)

    @torch.inference_mode()
    def forward(half: bool) -> None:
        with _computing(half, device):
            called(clip)

    return _measured(
        model, forward, size, batch_size, repeats, device, form=form, amp=amp, passes=1
    )


def in_form(form: Form, model: VideoModel) -> VideoModel:
    """A model in evaluation mode as evaluation and prediction run it, or as it is."""
    return fused(model) if form == "fused" else model


def bench_training(
    spec: ModelSpec,
    *,
    size: int = 224,
    batch_size: int = 1,
    repeats: int = 10,
    device: str = "cpu",
    amp: Amp = False,
) -> ModelSpeed:
    """Time `repeats` steps on random clips: forward, cross entropy, backward, SGD."""
    model = channels_last(spec.build()).to(device).train()
    clip = torch.randn(batch_size, *spec.clip_shape(size), device=device)
    labels = {
        head.name: torch.randint(head.num_classes, (batch_size,), device=device)
        for head in spec.heads
    }
    learned = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(learned, lr=1e-6, momentum=0.9)

    def step(half: bool) -> None:
        with _computing(half, device):
            scores = model(clip)
        losses = [F.cross_entropy(scores[head].float(), labels[head]) for head in labels]
        torch.autograd.backward(torch.stack(losses).sum())
        optimizer.step()
        optimizer.zero_grad()

    return _measured(
        model, step, size, batch_size, repeats, device, form="plain", amp=amp, passes=3
    )


def _computing(half: bool, device: str) -> torch.autocast:
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=half)


def _measured(
    model: VideoModel,
    call: Callable[[bool], None],
    size: int,
    batch_size: int,
    repeats: int,
    device: str,
    *,
    form: Form,
    amp: Amp,
    passes: int,
) -> ModelSpeed:
    forget_peak(device)
    tried = {
        half: timed(partial(call, half), repeats=repeats, device=device)
        for half in ((False, True) if amp == "auto" else (amp,))
    }
    half = min(tried, key=lambda each: tried[each].wall_seconds)
    times, per_clip = tried[half], gmacs(model, size)
    peak = matmul_flops(torch.bfloat16 if half else torch.float32, device)
    return ModelSpeed(
        parameters=num_parameters(model),
        gmacs=per_clip,
        batch_size=batch_size,
        form=form,
        amp=half,
        median_seconds=times.wall_seconds,
        cpu_seconds=times.cpu_seconds,
        peak_share=2e9 * per_clip * batch_size * passes / times.seconds(device) / peak,
        peak_memory_bytes=peak_bytes(device),
    )
