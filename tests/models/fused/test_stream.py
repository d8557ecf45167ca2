from __future__ import annotations

import pytest
import torch
from torch import Tensor

from marey.models import TSM, MobileNetV2Spec, ResNetSpec
from marey.models.encoder import Encoder
from marey.models.fused import fused
from marey.models.stream import StreamingModel, streaming
from tests.models.fused.lively import EXACT, clips, difference, lively

PAST = (TSM(direction="past"),)


def online(stream: StreamingModel, clip: Tensor) -> Tensor:
    """Logits of every frame, fed one by one [b t k]."""
    logits, buffers = [], stream.first_buffers(*clip.shape[3:], batch=len(clip))
    for frame in clip.unbind(1):
        now, *left = stream(frame, *buffers)
        logits.append(now)
        buffers = tuple(left)
    return torch.stack(logits, dim=1)


@pytest.mark.parametrize("encoder", [MobileNetV2Spec(0.25), ResNetSpec(26, channels=16)])
def test_a_fused_stream_gives_what_the_plain_one_and_the_clip_give(encoder: Encoder) -> None:
    model = lively(encoder, PAST)
    plain, clip = streaming(model), clips(model)
    form = fused(plain)
    assert form.memory is not plain.memory
    with torch.no_grad():
        streamed = online(form, clip)
        assert difference(online(plain, clip), streamed) < EXACT
        whole = fused(model)
        assert difference(whole.heads["label"](whole.features(clip)), streamed) < EXACT
