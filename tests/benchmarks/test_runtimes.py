"""Other runtimes give the logits of the model that was exported to them."""

from __future__ import annotations

import pytest
import torch

from benchmarks.paired import relative_error
from benchmarks.runtimes import RUNTIMES, exported, installed
from marey.models import TSM, Head, ModelSpec, ResNetSpec

SPEC = ModelSpec(ResNetSpec(18, channels=8), (TSM(),), num_segments=2, heads=(Head("label", 5),))


@pytest.mark.skipif(not installed(), reason="no other runtime is installed")
def test_other_runtimes_give_the_same_logits() -> None:
    model, clip = SPEC.build().eval(), torch.randn(1, *SPEC.clip_shape(32))
    with torch.inference_mode():
        ours = model(clip)["label"]
    with exported(model, clip) as path:
        outputs = {name: RUNTIMES[name](path, clip)() for name in installed()}
    for name, theirs in outputs.items():
        assert relative_error(theirs, ours) < 1e-5, name
