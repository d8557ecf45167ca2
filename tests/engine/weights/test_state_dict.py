"""The state dict is found in whatever a training script wrapped around it, and nothing is run."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from marey.engine.weights.checkpoint import load_weights
from marey.engine.weights.state_dict import unwrapped
from marey.errors import CheckpointError

WEIGHTS = {"conv.weight": torch.ones(2), "conv.bias": torch.zeros(2)}


@pytest.mark.parametrize(
    "content",
    [
        WEIGHTS,
        {"state_dict": WEIGHTS},
        {"model_state": WEIGHTS, "cfg": "A: 1"},
        {"net": WEIGHTS, "acc": 90.1, "epoch": 3},
        {"network": WEIGHTS, "optimizer": {"state": {}, "param_groups": []}},
        {"model": {"state_dict": WEIGHTS}},
        {f"module.{name}": w for name, w in WEIGHTS.items()},
        {"state_dict": {f"model.{name}": w for name, w in WEIGHTS.items()}},
        {"state_dict": {f"module.net.{name}": w for name, w in WEIGHTS.items()}},
    ],
)
def test_wrappers_and_prefixes_are_taken_off(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pth")
    assert set(load_weights(tmp_path / "x.pth")) == set(WEIGHTS)


def test_two_networks_in_one_file_are_not_chosen_between(tmp_path: Path) -> None:
    torch.save({"teacher": WEIGHTS, "student": WEIGHTS}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"what it holds: teacher, student.*state dict alone"):
        load_weights(tmp_path / "x.pth")


def test_what_lay_where_is_told() -> None:
    found = unwrapped({"model": {"net": WEIGHTS, "best": 1}, "epoch": 3})
    assert found.inside == ("model", "net")
    assert found.beside == {"epoch": 3, "best": 1}


def test_the_losses_that_mmengine_keeps_beside_the_weights_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class HistoryBuffer:
        def __init__(self) -> None:
            self._log_history, self._count_history = np.arange(3.0), np.ones(3)

        def mean(self) -> float:
            return 0.0

        def __getstate__(self) -> dict[str, Any]:
            return self.__dict__ | {"statistics_methods": {"mean": HistoryBuffer.mean}}

    name = "mmengine.logging.history_buffer"
    module = types.ModuleType(name)
    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = name, "HistoryBuffer"
    HistoryBuffer.mean.__module__, HistoryBuffer.mean.__qualname__ = name, "HistoryBuffer.mean"
    module.HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mmengine", types.ModuleType("mmengine"))
    monkeypatch.setitem(sys.modules, "mmengine.logging", types.ModuleType("mmengine.logging"))
    monkeypatch.setitem(sys.modules, name, module)
    content = {"state_dict": WEIGHTS, "message_hub": {"log_scalars": {"loss": HistoryBuffer()}}}
    torch.save(content, tmp_path / "epoch_3.pth")
    monkeypatch.undo()
    assert set(load_weights(tmp_path / "epoch_3.pth")) == set(WEIGHTS)


def test_an_owner_is_told_how_to_save_plain_weights(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "ema": torch.nn.Linear(2, 2)}, tmp_path / "x.pth")
    with pytest.raises(
        CheckpointError, match=r"object of torch\..*\.Linear in 'ema', whose code"
    ) as e:
        load_weights(tmp_path / "x.pth")
    assert 'torch.save(content["state_dict"], "plain.pth' in str(e.value.hint)


def test_an_object_beside_a_state_dict_is_left_unread(tmp_path: Path) -> None:
    torch.save({"state_dict": WEIGHTS, "net": torch.nn.Linear(2, 2)}, tmp_path / "x.pth")
    assert set(load_weights(tmp_path / "x.pth")) == set(WEIGHTS)
