from __future__ import annotations

import os
import subprocess
import sys

import torch

from marey.models import Head, ModelSpec, ResNetSpec
from marey.models.layout import channels_last

TRAINED = """
import torch
from tests.models.test_layout import thin
model = thin().train()
for _ in range(12):
    model(torch.randn(2, *model.spec.clip_shape(32)))["label"].logsumexp(1).sum().backward()
"""


def thin() -> torch.nn.Module:
    """A network whose second stage begins with a 1x1 filter of 4 channels that strides."""
    torch.manual_seed(0)
    spec = ModelSpec(ResNetSpec(18, channels=4), num_segments=2, heads=(Head("label", 3),))
    return channels_last(channels_last(spec.build()))


def test_thin_networks_are_trained_within_their_memory() -> None:
    # of its own, as it ends the process that writes beyond: glibc looks after each block
    environment = {**os.environ, "MALLOC_CHECK_": "3", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", TRAINED],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_only_what_cannot_be_trained_so_is_turned_back() -> None:
    hooks = {name: len(each._forward_pre_hooks) for name, each in thin().named_modules()}
    assert {name: hooks[name] for name in hooks if hooks[name]} == {
        "encoder.layer2.0.downsample.0": 1,
        "encoder.layer3.0.downsample.0": 1,
    }
