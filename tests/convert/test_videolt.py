"""VideoLT's own checkpoints, as its training saves them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from marey.convert import videolt
from marey.convert.convert import convert
from marey.engine.weights.trained import load_trained
from marey.errors import CheckpointError
from marey.models.encoders.features import LateAverageSpec, NetVLADSpec
from marey.models.video_model import Head, ModelSpec
from marey.recipes.protocols import protocol as named
from tests.convert.upstream import filled

LATE = ModelSpec(
    LateAverageSpec(6),
    (),
    num_segments=60,
    heads=(Head("label", 5, several=True),),
    dropout=0.5,
    head_std=None,
)
VLAD = replace(LATE, encoder=NetVLADSpec(6, clusters=3, hidden=4), dropout=0.0)
THEIRS = {
    "heads.label": {"late": "project", "vlad": "pred_fc"},
    "encoder.gate": {"vlad": "vlad.gate_weight"},
    "encoder.assign_norm": {"vlad": "vlad.bn1"},
    "encoder.assign": {"vlad": "vlad.activation_fc"},
    "encoder.hidden_norm": {"vlad": "bn2"},
    "encoder.hidden": {"vlad": "hidden_fc"},
    "encoder.norm": {"vlad": "bn1"},
    "encoder.fc1": {"late": "fc1"},
}


def under_their_names(spec: ModelSpec, prefix: str = "") -> tuple[Any, dict[str, Any]]:
    model, kind = filled(spec), "vlad" if spec is VLAD else "late"
    theirs = {}
    for name, weight in model.state_dict().items():
        ours = next(ours for ours in THEIRS if name.startswith(ours))
        theirs[prefix + THEIRS[ours][kind] + name.removeprefix(ours)] = weight
    return model, theirs


@pytest.mark.parametrize("spec", [LATE, VLAD], ids=["NonlinearClassifier", "NetVLADModel"])
@pytest.mark.parametrize("wrapper", ["", "state_dict", "model", "model_state_dict", "net"])
def test_its_checkpoints_answer_the_same(spec: ModelSpec, wrapper: str, tmp_path: Path) -> None:
    model, theirs = under_their_names(spec, "module." if wrapper else "")
    optimizer = {"state": {0: {"step": 3}}, "param_groups": [{"lr": 1e-4}]}
    content = {wrapper: theirs, "optimizer": optimizer, "epoch": 94} if wrapper else theirs
    torch.save(content, tmp_path / "best.pth.tar")
    found = convert(tmp_path / "best.pth.tar", tmp_path / "out")
    assert (found.repository, found.recipe.model) == ("videolt", spec)
    assert "features a frame of the network it was trained on" in found.facts()["assumed"]
    trained = load_trained(tmp_path / "out")
    clip = torch.randn(2, 7, 6)
    with torch.no_grad():
        torch.testing.assert_close(trained.model(clip)["label"], model(clip)["label"])
    assert trained.recipe.test == named("videolt-150").applied(trained.recipe).test
    assert trained.recipe.train.sampling.frames == 60


def test_every_name_of_ours_comes_from_one_of_theirs() -> None:
    for spec in (LATE, VLAD):
        model, theirs = under_their_names(spec)
        assert {videolt.rename(name) for name in theirs} == set(model.state_dict())


def test_without_its_classifier_it_is_refused(tmp_path: Path) -> None:
    _, theirs = under_their_names(VLAD)
    torch.save({k: v for k, v in theirs.items() if "pred" not in k}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="no classifier"):
        convert(tmp_path / "x.pth", tmp_path / "out")
