"""VideoLT's aggregators, frame sampling, FrameStack and mixup against what its code computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from marey.models.features import FeatureEncoder, LateAverageSpec, NetVLADSpec
from marey.models.profile import num_parameters
from marey.models.video_model import Head, ModelSpec
from tests.conftest import goldens
from tests.parity.golden import golden_rule, read

FOLDER = goldens() / "lmr"
VALUES: dict[str, Any] = (
    read(FOLDER / "videolt.json").values if (FOLDER / "videolt.json").is_file() else {}
)
pytestmark = pytest.mark.skipif(not VALUES, reason=f"no goldens at {FOLDER}; set MAREY_GOLDENS")

NAMES = {
    "project": "heads.label",
    "pred_fc": "heads.label",
    "vlad.gate_weight": "encoder.gate",
    "vlad.activation_fc": "encoder.assign",
    "vlad.bn1": "encoder.assign_norm",
    "hidden_fc": "encoder.hidden",
    "bn1": "encoder.norm",
    "bn2": "encoder.hidden_norm",
    "fc1": "encoder.fc1",
}


def drawn(shape: list[int] | tuple[int, ...], seed: int) -> Tensor:
    return torch.from_numpy(golden_rule(FOLDER).golden_input(shape, seed))


def ours(name: str) -> str:
    theirs = next(prefix for prefix in NAMES if name.startswith(prefix))
    return NAMES[theirs] + name.removeprefix(theirs)


@pytest.mark.parametrize("golden", VALUES.get("models", []), ids=lambda golden: golden["model"])
def test_aggregators_give_the_logits_of_videolt(golden: dict[str, Any]) -> None:
    dim, num_classes = golden["config"]["feature_dim"], golden["config"]["num_class"]
    late = golden["model"] == "NonlinearClassifier"
    encoder: FeatureEncoder = LateAverageSpec(dim) if late else NetVLADSpec(dim)
    model = ModelSpec(encoder, heads=(Head("label", num_classes),), dropout=0.0).build()
    weights = golden_rule(FOLDER).state_dict(golden["state_dict"])
    model.load_state_dict({ours(name): torch.from_numpy(w) for name, w in weights.items()})
    assert num_parameters(model) == golden["params"]
    model.train("train" in golden["config"]["mode"])
    with torch.no_grad():
        logits = model(drawn(golden["input_shape"], 0))["label"]
    np.testing.assert_allclose(logits.numpy(), golden["logits"], rtol=0, atol=2e-5)
