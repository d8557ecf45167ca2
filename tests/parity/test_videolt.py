"""VideoLT's aggregators, frame sampling, FrameStack and mixup against what its code computed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from marey.convert import videolt
from marey.convert.repositories import recognised
from marey.convert.repository import Settings
from marey.longtail.framestack import mixed, shares, stacked
from marey.models.encoders.features import FeatureEncoder, LateAverageSpec, NetVLADSpec
from marey.models.profile import num_parameters
from marey.models.video_model import Head
from marey.video.augment import _mix
from marey.video.sampling.segments import EvenFrames
from tests.conftest import goldens
from tests.parity.golden import golden_rule, read

FOLDER = goldens() / "lmr"
VALUES: dict[str, Any] = (
    read(FOLDER / "videolt.json").values if (FOLDER / "videolt.json").is_file() else {}
)
pytestmark = pytest.mark.skipif(not VALUES, reason=f"no goldens at {FOLDER}; set MAREY_GOLDENS")


def drawn(shape: list[int] | tuple[int, ...], seed: int) -> Tensor:
    return torch.from_numpy(golden_rule(FOLDER).golden_input(shape, seed))


@pytest.mark.parametrize("golden", VALUES.get("models", []), ids=lambda golden: golden["model"])
def test_aggregators_give_the_logits_of_videolt(golden: dict[str, Any]) -> None:
    dim, num_classes = golden["config"]["feature_dim"], golden["config"]["num_class"]
    late = golden["model"] == "NonlinearClassifier"
    encoder: FeatureEncoder = LateAverageSpec(dim) if late else NetVLADSpec(dim)
    shapes = {name: tuple(shape) for name, shape in golden["state_dict"]}
    assert recognised(shapes, Path("x.pth")) is videolt.REPOSITORY
    spec = videolt.REPOSITORY.model_of(shapes, Settings())
    assert spec.encoder == encoder
    assert spec.heads == (Head("label", num_classes, several=True),)
    model = replace(spec, dropout=0.0).build()
    weights = golden_rule(FOLDER).state_dict(golden["state_dict"])
    ours = {videolt.rename(name): torch.from_numpy(w) for name, w in weights.items()}
    model.load_state_dict(ours)
    assert num_parameters(model) == golden["params"]
    model.train("train" in golden["config"]["mode"])
    with torch.no_grad():
        logits = model(drawn(golden["input_shape"], 0))["label"]
    np.testing.assert_allclose(logits.numpy(), golden["logits"], rtol=0, atol=2e-5)


@pytest.mark.parametrize("golden", VALUES.get("framestack", []), ids=lambda g: g["note"])
def test_framestack_takes_the_frames_that_videolt_takes(golden: dict[str, Any]) -> None:
    clip, target = (drawn(*call(golden[key])) for key in ("input", "target"))
    target, partner = (target > 0.7).float(), torch.tensor(golden["perm"])
    beta = shares(target, torch.tensor(golden["ap"]), partner)
    found = stacked(clip, partner, beta, golden["clip_length"])
    np.testing.assert_array_equal(found, np.array(golden["mixed_input"], np.float32))
    np.testing.assert_allclose(mixed(target, partner, beta), golden["mixed_target"], atol=1e-6)


@pytest.mark.parametrize("golden", VALUES.get("mixup", []))
def test_mixup_is_that_of_videolt_with_the_next_clip_as_partner(golden: dict[str, Any]) -> None:
    """The permutation is one cycle: in its order, each clip's partner is the next."""
    clip, perm = drawn(*call(golden["input"])), golden["perm"]
    order = [0]
    while perm[order[-1]] != 0:
        order.append(perm[order[-1]])
    for ours, theirs in ((clip, golden["mixed_input"]), (torch.eye(4), golden["mixed_target"])):
        found = _mix(ours[order], torch.tensor(golden["gamma"]))
        np.testing.assert_allclose(found, np.array(theirs)[order], atol=1e-6)


@pytest.mark.parametrize("golden", VALUES.get("uniform_sample", []))
def test_test_frames_are_those_of_videolt(golden: dict[str, Any]) -> None:
    (indices,) = EvenFrames(golden["uniform_length"]).indices(golden["frames"])
    assert indices.tolist() == golden["index"]


def call(text: str) -> tuple[tuple[int, ...], int]:
    """Shape and seed of `golden_input((4,6,3),301)`."""
    numbers = re.match(r"golden_input\(\(([\d,]+)\),(\d+)\)", text)
    assert numbers
    return tuple(map(int, numbers[1].split(","))), int(numbers[2])
