"""VideoLT's losses, weights and margins against what its code computed.

That code ran in float32; its sums over 1004 classes round at some 1e-7 of the largest term.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from marey.longtail.class_balanced import class_weights
from marey.longtail.ldam import class_margins
from marey.longtail.objective import Objective
from marey.longtail.sigmoid import (
    BinaryCrossEntropy,
    SigmoidClassBalanced,
    SigmoidEQL,
    SigmoidFocal,
    SigmoidLDAM,
)
from tests.conftest import goldens
from tests.parity.golden import golden_rule, read

FOLDER = goldens() / "lmr"
VALUES: dict[str, Any] = (
    read(FOLDER / "videolt.json").values if (FOLDER / "videolt.json").is_file() else {}
)
pytestmark = pytest.mark.skipif(not VALUES, reason=f"no goldens at {FOLDER}; set MAREY_GOLDENS")

LOSSES: dict[tuple[str, str], Objective] = {
    ("BCELoss", ""): BinaryCrossEntropy(),
    ("FocalLoss", ""): SigmoidFocal(),
    ("CBLoss", ""): SigmoidClassBalanced(),
    ("LDAM", "weight None"): SigmoidLDAM(),
    ("LDAM", "reset_epoch(0)"): SigmoidLDAM(),
    ("LDAM", "reset_epoch(60)"): SigmoidLDAM(beta=0.9999),
}
STORED = [row for row in VALUES.get("losses", []) if row["loss"] != "EQL"]
EQL = [row for row in VALUES.get("losses", []) if row["loss"] == "EQL"]


@pytest.fixture(scope="module")
def counts(shared_dir: Path) -> Tensor:
    lines = (shared_dir / "data/annotations/videolt/count-labels-train.lst").read_text()
    return torch.tensor([int(float(line.split()[2])) for line in lines.splitlines()])


def scores_and_targets() -> tuple[Tensor, Tensor]:
    """`loss_input` of the file."""
    rule = golden_rule(FOLDER)
    targets = torch.from_numpy(rule.golden_input((6, 1004), 202)).gt(2.8).float()
    targets[torch.arange(6), 37 * torch.arange(6)] = 1
    assert targets.sum() == VALUES["loss_input"]["positives"]
    return torch.from_numpy(2 * rule.golden_input((6, 1004), 201)).requires_grad_(), targets


def loss_of(spec: Objective, counts: Tensor, scores: Tensor, targets: Tensor) -> Tensor:
    loss: Tensor = spec.build({"label": counts}).losses["label"](scores, targets)
    return loss


@pytest.mark.parametrize("row", STORED, ids=lambda r: f"{r['loss']} {r['reduce']} {r['variant']}")
def test_values_and_gradients_are_upstreams(row: dict[str, Any], counts: Tensor) -> None:
    scores, targets = scores_and_targets()
    loss = loss_of(LOSSES[row["loss"], row["variant"]], counts, scores, targets)
    loss = loss if row["reduce"] == "mean" else loss * scores.numel()
    loss.backward()
    assert scores.grad is not None
    assert loss.item() == pytest.approx(row["value"], rel=1e-5)
    assert float(scores.grad.abs().sum()) == pytest.approx(row["grad_abs_sum"], rel=1e-5)
    torch.testing.assert_close(
        scores.grad.flatten()[:6], torch.tensor(row["grad_first"]), rtol=1e-4, atol=1e-9
    )


def test_eql_with_given_draws_is_upstreams(counts: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    (row,) = [row for row in EQL if row["variant"]]
    drops = torch.from_numpy(golden_rule(FOLDER).golden_input((6, 1004), 203)) > 0
    monkeypatch.setattr(torch, "rand_like", lambda x: torch.where(drops, 0.0, 1.0).to(x))
    loss = loss_of(SigmoidEQL(), counts, *scores_and_targets())
    assert loss.item() == pytest.approx(row["value"], rel=1e-5)


@pytest.mark.parametrize("row", [r for r in EQL if not r["variant"]], ids=lambda r: r["reduce"])
def test_eql_lies_where_upstreams_own_draws_lie(row: dict[str, Any], counts: Tensor) -> None:
    scores, targets = scores_and_targets()
    unit = 1 if row["reduce"] == "mean" else scores.numel()
    torch.manual_seed(0)
    losses = [loss_of(SigmoidEQL(), counts, scores, targets).item() * unit for _ in range(200)]
    assert min(losses) < row["value"] < max(losses)


def test_class_weights_are_upstreams(counts: Tensor) -> None:
    wanted = VALUES["cbloss_weights"]
    weights = class_weights(counts, wanted["beta"])
    assert weights[:8].tolist() == pytest.approx(wanted["first"], rel=1e-6)
    assert float(weights.sum()) == pytest.approx(wanted["sum"])


def test_margins_are_upstreams(counts: Tensor) -> None:
    wanted = VALUES["ldam_m_list"]
    margins = class_margins(counts, wanted["max_m"])
    assert margins[:8].tolist() == pytest.approx(wanted["first"], rel=1e-6)
    assert float(margins.max()) == wanted["max"]
    assert float(margins.min()) == pytest.approx(wanted["min"], rel=1e-6)
    assert SigmoidLDAM().scale == wanted["s"]
