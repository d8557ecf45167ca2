"""LMR's other similarities, and LMR for clips of several classes: against plain torch."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from marey.engine.train.optim import build_optimizer
from marey.errors import RecipeError
from marey.longtail.joint import JointRows
from marey.longtail.lmr import LMR, LMRObjective
from marey.longtail.lmr_several import SigmoidLMR
from marey.longtail.objective import LearnsBeside
from marey.longtail.sigmoid import SigmoidFocal
from marey.models import Head, ModelSpec, ResNetSpec
from marey.recipes.optim import SGD
from marey.recipes.schema import from_yaml, to_yaml
from tests.longtail.test_lmr_laws import OneLayer

COUNTS = torch.tensor([900, 60, 30, 5])
Learned = Literal["q", "q_k"]


def met(spec: LMR, width: int = 8) -> LMRObjective:
    torch.manual_seed(0)
    objective = spec.build({"label": COUNTS})
    objective.meet(width)
    return objective


def rebuilt_plainly(x: Tensor, y: Tensor, s: Tensor, c: Tensor, few: int) -> Tensor:
    """Equations 3 to 5, clip by clip."""
    rows = []
    for i in range(len(x)):
        helps = [j for j in range(len(x)) if j != i and COUNTS[y[j]] > few]
        if not helps:
            rows.append(x[i])
            continue
        w = torch.softmax(s[i, helps], dim=0)
        rows.append(c[y[i]] * (w @ x[helps]) + (1 - c[y[i]]) * x[i])
    return torch.stack(rows)


@pytest.mark.parametrize("attention", ["cos_sim", "q", "q_k"])
@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_other_similarities_are_those_of_the_release(
    attention: Literal["cos_sim", "q", "q_k"], scale: float
) -> None:
    """Features of absolute sum 1, through one layer, two or none; never divided by D."""
    objective = met(LMR(attention=attention, scale=scale, bank=0))
    x, y = torch.randn(9, 8), torch.randint(4, (9,))
    one = x / x.abs().sum(dim=1, keepdim=True)
    a, b = one, one
    if attention != "cos_sim":
        q = objective.q_linear
        k = objective.k_linear if attention == "q_k" else q
        assert q is not None
        assert k is not None
        a, b = one @ q.weight.T + q.bias, one @ k.weight.T + k.bias
    expected = rebuilt_plainly(x, y, scale * a @ b.T, objective.weights, few=20)
    torch.testing.assert_close(objective.rebuilt(x, y, JointRows((9,))), expected)


@pytest.mark.parametrize("attention", ["q", "q_k"])
def test_layers_of_an_attention_start_as_the_releases_and_learn_beside_the_model(
    attention: Learned,
) -> None:
    objective = met(LMR(attention=attention, scale=30.0), width=512)
    assert isinstance(objective, LearnsBeside)
    own = dict(objective.named_parameters())
    assert set(own) == {
        f"{name}_linear.{leaf}" for name in attention.split("_") for leaf in ("weight", "bias")
    }
    assert own["q_linear.weight"].std().item() == pytest.approx(0.02, rel=0.05)
    model = ModelSpec(ResNetSpec(18), num_segments=1, heads=(Head("label", 4),)).build()
    optimizer = build_optimizer(model, SGD(lr=1.0), objective=objective)
    assert optimizer.param_groups[-1]["name"] == "objective"
    assert len(optimizer.param_groups[-1]["params"]) == len(own)
    before = own["q_linear.weight"].detach().clone()
    small = OneLayer(512, {"label": 4})
    nn.init.normal_(small.heads["label"].weight)
    objective(small, torch.randn(9, 1, 512), {"label": torch.arange(9) % 4}).backward()
    assert all(p.grad is not None for p in own.values())
    optimizer.step()
    assert not torch.equal(own["q_linear.weight"], before)


def test_an_attention_that_learns_nothing_has_no_group() -> None:
    model = ModelSpec(ResNetSpec(18), num_segments=1, heads=(Head("label", 4),)).build()
    optimizer = build_optimizer(model, SGD(), objective=met(LMR()))
    assert "objective" not in {group["name"] for group in optimizer.param_groups}


def test_what_was_learned_is_kept_in_checkpoints() -> None:
    one, other = met(LMR(attention="q_k")), met(LMR(attention="q_k"))
    nn.init.normal_(one.k_linear.weight)  # type: ignore[union-attr]
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.k_linear.weight, one.k_linear.weight)  # type: ignore[union-attr]


def test_an_attention_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="attention is 'k', expected 'static' or 'cos_sim'"):
        LMR(attention="k")  # type: ignore[arg-type]


# --- several classes a clip ---------------------------------------------------------------------


def several_plainly(x: Tensor, has: Tensor, z: float, c: Tensor, h: float, few: int) -> Tensor:
    """The equations of `marey.longtail.lmr_several`, clip by clip."""
    normed = F.layer_norm(x, x.shape[1:])
    sets = [row.nonzero().flatten().tolist() for row in has]
    rows = []
    for i in range(len(x)):
        share = max((float(c[label]) for label in sets[i]), default=h)
        helps = [
            j
            for j in range(len(x))
            if j != i and sets[j] and all(int(COUNTS[label]) > few for label in sets[j])
        ]
        if not helps:
            rows.append(x[i])
            continue
        w = torch.softmax(z * normed[helps] @ normed[i] / x.shape[1], dim=0)
        rows.append(share * (w @ x[helps]) + (1 - share) * x[i])
    return torch.stack(rows)


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 9), st.sampled_from([None, 1.0, 20.0]))
def test_clips_of_several_classes_are_rebuilt_as_defined(
    seed: int, n: int, scale: float | None
) -> None:
    torch.manual_seed(seed)
    x, has = torch.randn(n, 8), torch.rand(n, 4) < 0.4
    objective = SigmoidLMR(bank=0, scale=scale).build({"label": COUNTS})
    expected = several_plainly(x, has, scale or 16.0, objective.weights, objective.spec.h, few=20)
    found = objective.rebuilt(x, objective.told(has.float()), JointRows((n,)))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("bank", [0, 3])
def test_with_one_class_a_clip_it_is_lmr_but_for_the_loss(bank: int) -> None:
    one, several = (kind(bank=bank).build({"label": COUNTS}) for kind in (LMR, SigmoidLMR))
    for step in range(4):
        torch.manual_seed(step)
        x, y = torch.randn(6, 8), torch.randint(4, (6,))
        outs = []
        for objective, labels in ((one, y), (several, F.one_hot(y, 4).float()), (several, y)):
            if objective is several and labels is y and bank:
                continue  # it would be in the bank twice
            torch.manual_seed(step)
            outs.append(objective.mixed(x, {"label": labels}))
        for features, soft in outs[1:]:
            torch.testing.assert_close(features, outs[0][0])
            torch.testing.assert_close(soft["label"], outs[0][1]["label"])


def test_the_loss_is_the_mean_binary_cross_entropy_of_mixed_labels() -> None:
    objective = SigmoidLMR().build({"label": COUNTS})
    model = OneLayer(8, {"label": 4})
    x, has = torch.randn(6, 1, 8), (torch.rand(6, 4) < 0.4).float()
    torch.manual_seed(1)
    loss = objective(model, x, {"label": has})
    torch.manual_seed(1)
    again = SigmoidLMR().build({"label": COUNTS})
    features, soft = again.mixed(model.features(x).mean(dim=1), {"label": has})
    p = torch.sigmoid(model.classify(features[:, None])["label"])
    y = soft["label"]
    torch.testing.assert_close(loss, -(y * p.log() + (1 - y) * (1 - p).log()).mean())
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())
    expected = F.binary_cross_entropy_with_logits(model(x)["label"], has)
    torch.testing.assert_close(objective.eval()(model, x, {"label": has}), expected)


def test_labels_outside_of_no_and_yes_are_refused() -> None:
    objective = SigmoidLMR().build({"label": COUNTS})
    with pytest.raises(RecipeError, match="labels of 'label' are -1 to 2, expected 0"):
        objective.mixed(torch.randn(2, 8), {"label": torch.tensor([[0.0, 2, 0, 0], [0, 0, 0, -1]])})


def test_it_goes_through_yaml_and_takes_several_labels() -> None:
    spec = SigmoidLMR(l=0.3, attention="cos_sim", loss=SigmoidFocal(0.5))
    assert from_yaml(SigmoidLMR, to_yaml(spec)) == spec
    assert spec.several_labels
    assert not LMR().several_labels
