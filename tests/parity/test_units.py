"""Single modules of bLVNet-TAM and action-recognition-pytorch, and three steps of training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from marey.convert.blvnet import with_counted_taps
from marey.engine.train.optim import build_optimizer
from marey.models import TAM
from marey.models.temporal.tam import Aggregation
from marey.models.temporal.temporal_pool import MaxPoolTime, MeanPoolTime
from marey.recipes.optim import SGD
from tests.conftest import goldens
from tests.parity.golden import Golden, read
from tests.parity.specs import rename_of
from tests.parity.test_goldens import clip_of, loaded

PATH = goldens() / "blvnet/units.json"
UNITS: dict[str, Any] = read(PATH).values if PATH.is_file() else {}


def rows(*tables: str) -> pytest.MarkDecorator:
    """One test a row; without the file, one that is skipped with the reason."""
    found = [row for table in tables for row in UNITS.get(table, [])]
    absent = pytest.param(None, marks=pytest.mark.skip(reason=f"no {PATH}; set MAREY_GOLDENS"))
    return pytest.mark.parametrize("row", found or [absent], ids=name_of)


def name_of(row: dict[str, Any] | None) -> str:
    shown = ("mode", "frames", "blending_frames", "duration", "blending_method", "dw_conv")
    return "-".join(str(row[key]) for key in shown if key in row) if row else "none"


@rows("tam", "arp_tam")
@torch.no_grad()
def test_a_tam_is_upstreams(row: dict[str, Any]) -> None:
    golden = Golden(PATH, row)
    spec = TAM(
        row["blending_frames"],
        row.get("blending_method", "sum"),
        depthwise=row.get("dw_conv", True),
    )
    module = Aggregation(spec, row["input_shape"][1], row["duration"])
    own = module.state_dict()
    taps = {with_counted_taps(name): weight for name, weight in golden.weights().items()}
    module.load_state_dict({name: taps[name].reshape(own[name].shape) for name in taps})
    assert len(taps) == row["blending_frames"]
    close(module(golden.input()), row["output"])


@rows("arp_temporal_pooling")
def test_temporal_pooling_is_upstreams_and_takes_two_frames_too(row: dict[str, Any]) -> None:
    pool = (MaxPoolTime if row["mode"] == "max" else MeanPoolTime)(row["frames"])
    x = Golden(PATH, row).input()
    if "error" in row:  # a third of the sum: nothing about two frames forbids it
        clips = x.unflatten(0, (-1, row["frames"]))
        torch.testing.assert_close(pool(x), clips[:, :2].sum(dim=1) / 3)
    else:
        assert list(pool(x).shape) == row["output_shape"]
        close(pool(x), row["output"])


@pytest.mark.skipif(not UNITS, reason=f"no {PATH}; set MAREY_GOLDENS")
def test_three_training_steps_of_blvnet_tam_are_upstreams() -> None:
    golden = training()
    step, rename = golden.values, rename_of(golden)
    model = loaded(golden).double().train()
    optimizer = build_optimizer(
        model, SGD(lr=0.01, momentum=0.9, weight_decay=5e-4, nesterov=True, groups="one")
    )
    clip, target = clip_of(golden).double(), torch.tensor(step["target"])
    losses = []
    for number in range(3):
        optimizer.zero_grad()
        logits = model(clip)["label"]
        loss = F.cross_entropy(logits, target)
        loss.backward()
        if number == 0:
            close(logits[:, :8].detach(), step["logits_first8_step0"])
            for name, wanted in step["grad_step0"].items():
                gradient = model.get_parameter(str(rename(name))).grad
                assert gradient is not None
                assert gradient.norm().item() == pytest.approx(wanted["norm"], rel=1e-9), name
                close(gradient.flatten()[:3], wanted["first"])
        losses.append(loss.item())
        optimizer.step()
    assert losses == pytest.approx(step["loss_steps_0_1_2"], rel=1e-9)
    state = model.state_dict()
    for name, norm in step["after_3_steps"].items():
        assert state[str(rename(name))].norm().item() == pytest.approx(norm, rel=1e-9), name


def training() -> Golden:
    """The model of the file's training steps: its tensors are those of the models' files."""
    step = UNITS["train_step"]
    twin = read(PATH.parent / "blvnet-tam-50-a2-b4-f8x2_dropout0_64.json")
    assert twin.config["dropout"] == step["config"]["dropout"] == 0
    return Golden(PATH, {**step, "model": "bLVNet_TAM", "state_dict": twin.values["state_dict"]})


def close(tensor: Tensor, wanted: object) -> None:
    got = tensor.detach().double()
    atol = 1e-9 if tensor.dtype == torch.float64 else 1e-6
    np.testing.assert_allclose(got, np.reshape(wanted, got.shape), rtol=0, atol=atol)
