"""cRT, LWS and tau-normalisation: what learns, what stays, and that ordinary models come out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from marey.engine.train.optim import build_scales_optimizer, set_rates
from marey.longtail.decouple import normalize_heads, set_trainable, training_mode
from marey.models.video_model import Head, ModelSpec, VideoModel
from marey.recipes.optim import SGD, AdamW, Optim
from tests.tiny import TinySpec

HEADS = (Head("verb", 5), Head("noun", 3))
PLAIN = SGD(lr=0.1, groups="plain", head_lr5=False)


def model_of() -> VideoModel:
    torch.manual_seed(0)
    model = ModelSpec(TinySpec(), num_segments=2, heads=HEADS, dropout=0).build()
    for head in model.heads.values():
        torch.nn.init.normal_(head.weight)
        torch.nn.init.normal_(head.bias)
    set_trainable(model, "scales")
    training_mode(model, "scales")
    return model


def batches(steps: int = 3) -> list[tuple[Tensor, Tensor, Tensor]]:
    rng = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(4, 2, 3, 16, 16, generator=rng),
            torch.randint(5, (4,), generator=rng),
            torch.randint(3, (4,), generator=rng),
        )
        for _ in range(steps)
    ]


def loss_of(scores: dict[str, Tensor], verb: Tensor, noun: Tensor) -> Tensor:
    return F.cross_entropy(scores["verb"], verb) + F.cross_entropy(scores["noun"], noun)


@pytest.mark.parametrize("spec", [PLAIN, AdamW(lr=0.1)], ids=["SGD", "AdamW"])
def test_scales_learn_as_factors_of_the_scores_would(spec: Optim) -> None:
    model, fixed = model_of(), model_of()
    optimizer = build_scales_optimizer(model, spec)
    factors = {head.name: torch.ones(head.num_classes, requires_grad=True) for head in HEADS}
    kind = torch.optim.SGD if isinstance(spec, SGD) else torch.optim.AdamW
    options = {"momentum": 0.9} if isinstance(spec, SGD) else {"betas": spec.betas}
    plain = kind(list(factors.values()), lr=0.1, weight_decay=0, **options)
    for clip, *labels in batches():
        loss_of(model(clip), *labels).backward()
        scores = {name: factors[name] * x for name, x in fixed(clip).items()}
        loss_of(scores, *labels).backward()
        optimizer.step()
        plain.step()
        optimizer.zero_grad()
        plain.zero_grad()
    for name, factor in factors.items():
        assert (factor.detach() - 1).abs().max() > 0.01
        for part in ("weight", "bias"):
            folded, start = (getattr(m.heads[name], part) for m in (model, fixed))
            wanted = factor.reshape(-1, *[1] * (start.ndim - 1)) * start
            torch.testing.assert_close(folded, wanted)


def test_what_scales_give_is_an_ordinary_model() -> None:
    model = model_of()
    optimizer = build_scales_optimizer(model, PLAIN)
    clip, *labels = batches()[0]
    loss_of(model(clip), *labels).backward()
    optimizer.step()
    other = model_of()
    other.load_state_dict(model.state_dict(), strict=True)
    torch.testing.assert_close(other(clip), model(clip))
    assert all(head.weight.grad is None for head in model.heads.values())


def test_scales_go_on_from_a_state_dict_with_the_same_bits() -> None:
    whole, first, second = model_of(), model_of(), model_of()

    def learn(model: VideoModel, optimizer: torch.optim.Optimizer, part: slice) -> None:
        set_rates(optimizer, 0.7)
        for clip, *labels in batches(4)[part]:
            loss_of(model(clip), *labels).backward()
            optimizer.step()
            optimizer.zero_grad()

    learn(whole, build_scales_optimizer(whole, PLAIN), slice(4))
    halfway = build_scales_optimizer(first, PLAIN)
    learn(first, halfway, slice(2))
    second.load_state_dict(first.state_dict())
    resumed = build_scales_optimizer(second, PLAIN)
    resumed.load_state_dict(halfway.state_dict())
    learn(second, resumed, slice(2, 4))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


@given(st.floats(0, 1))
def test_normalised_weights_have_norms_to_the_power_that_is_left(tau: float) -> None:
    model = model_of()
    before = {name: head.weight.detach().clone() for name, head in model.heads.items()}
    normalize_heads(model, tau)
    for name, head in model.heads.items():
        torch.testing.assert_close(head.weight.norm(dim=1), before[name].norm(dim=1) ** (1 - tau))
        directions = F.cosine_similarity(head.weight, before[name])
        torch.testing.assert_close(directions, torch.ones_like(directions))
        assert not head.bias.any()


def test_weights_of_nothing_stay_nothing() -> None:
    model = model_of()
    with torch.no_grad():
        model.heads["verb"].weight[2] = 0
    normalize_heads(model, 1.0)
    assert not model.heads["verb"].weight[2].any()
    assert model.heads["verb"].weight.isfinite().all()
