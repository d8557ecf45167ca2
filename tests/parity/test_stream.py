"""The streaming form against what upstream's online network computed, frame by frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from marey.models.stream import streaming
from tests.parity.golden import Golden, golden_rule
from tests.parity.test_goldens import MODELS, each, loaded


@each([golden for golden in MODELS if "logits_per_frame" in golden.values])
def test_a_stream_gives_upstreams_logits_and_leaves_its_buffers(golden: Golden) -> None:
    stream, rule = streaming(loaded(golden).double()), golden_rule(golden.path.parent)
    frames, logits = golden.input().double(), []
    buffers = stream.first_buffers(*frames.shape[-2:])
    assert [list(buffer.shape) for buffer in buffers] == golden.values["buffer_shapes"]
    with torch.no_grad():
        for frame in frames:
            now, *left = stream(frame[None], *buffers)
            logits.append(now[0].numpy())
            buffers = tuple(left)
    np.testing.assert_allclose(logits, golden.values["logits_per_frame"], rtol=0, atol=1e-9)
    for buffer, wanted in zip(buffers, golden.values["buffer_probe_last_frame"], strict=True):
        assert rule.probe(buffer.numpy())["mean"] == pytest.approx(wanted["mean"], rel=1e-9)
        np.testing.assert_allclose(rule.probe(buffer.numpy())["at"], wanted["at"], atol=1e-12)
