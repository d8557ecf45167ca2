"""Laws of LMR: what holds for any counts, any batch and any order of it."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from marey.errors import RecipeError
from marey.longtail import lmr, lmr_released
from marey.longtail.joint import JointRows
from marey.longtail.lmr import LMR, LMRObjective, as_distribution, contributions, similarity
from marey.longtail.lmr_several import SigmoidLMR
from marey.longtail.logit_adjustment import LogitAdjustment
from marey.longtail.objective import CrossEntropy, PerHead
from marey.longtail.sigmoid import BinaryCrossEntropy, SigmoidFocal
from marey.types import Labels, Scores

counts = st.lists(st.integers(0, 3000), min_size=1, max_size=6).map(torch.tensor)
seeds = st.integers(0, 2**31)
variants = st.sampled_from(["paper", "released"])


class OneLayer(nn.Module):
    """Features are the clip, [b t d]; a linear classifier for each head."""

    def __init__(self, width: int, num_classes: dict[str, int]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.heads = nn.ModuleDict({h: nn.Linear(width, k) for h, k in num_classes.items()})

    def features(self, clip: Tensor) -> Tensor:
        return clip * self.scale

    def classify(self, x: Tensor) -> Scores:
        return {name: head(x).mean(dim=1) for name, head in self.heads.items()}

    def forward(self, clip: Tensor) -> Scores:
        return self.classify(self.features(clip))


def drawn(seed: int, n: int, num_classes: int, width: int = 8) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    return torch.randn(n, width), torch.randint(num_classes, (n,))


@given(counts, st.floats(0, 1), st.floats(0.01, 3), st.floats(0, 10) | st.none())
def test_weights_of_the_paper_never_rise_with_the_count(
    counts: Tensor, h: float, d: float, eps: float | None
) -> None:
    c = lmr.class_weights(counts, l=1.0, h=h, d=d, eps=eps)
    present = counts.clamp(min=int(counts[counts > 0].min()) if counts.any() else 1)
    order = present.argsort()
    assert (c[order].diff() <= 0).all()
    rarest = c[present == present.min()]
    expected = 1.0 if present.max() > present.min() else h
    assert rarest.tolist() == pytest.approx([expected] * len(rarest))
    assert (c >= h - 1e-6).all()


def test_the_released_weights_give_least_to_the_rarest_verb_of_epic() -> None:
    counts = torch.tensor([1, 2, 100, 10000])
    released = lmr_released.class_weights(counts, l=1.0, h=0.01, d=0.15, eps=None)
    assert released.argmin() == 0
    assert released[3] > 0.3
    assert lmr.class_weights(counts, l=1.0, h=0.01, d=0.15, eps=None).argmax() == 0


@settings(max_examples=40)
@given(counts, seeds, st.integers(1, 9), st.integers(0, 9))
def test_rows_of_the_reconstruction_sum_to_one_without_self_and_few_shot(
    counts: Tensor, seed: int, n: int, older: int
) -> None:
    keys, classes = drawn(seed, older + n, len(counts))
    own, helps = lmr.own_columns(n, older + n), (counts > 20)[classes]
    assert torch.equal(keys[own], keys[older:])
    w = lmr.attention(similarity(keys[older:], keys), helps, own)
    assert (w[torch.arange(n), own] == 0).all()
    assert (w[:, ~helps] == 0).all()
    alone = helps.sum() - helps[own].int() == 0
    torch.testing.assert_close(w.sum(dim=1), (~alone).float())
    r = lmr.reconstruct(keys[older:], keys, w, torch.full((n,), 0.7))
    assert torch.equal(r[alone], keys[older:][alone])


@settings(max_examples=40)
@given(counts, seeds, st.integers(1, 9), variants, st.floats(0, 1))
def test_mixed_labels_of_all_heads_are_distributions(
    counts: Tensor, seed: int, n: int, variant: str, share: float
) -> None:
    x, y = drawn(seed, n, len(counts))
    spec = LMR(mix=share, variant=variant, eps=3.0)
    all_counts = {"verb": counts, "noun": torch.tensor([5, 50])}
    if variant == "released" and len(counts.unique()) == 1:
        with pytest.raises(RecipeError, match="divide by 0 .* variant='paper' is defined"):
            spec.build(all_counts)
        return
    _, soft = spec.build(all_counts).mixed(x, {"verb": y, "noun": torch.zeros_like(y)})
    for labels in soft.values():
        assert (labels >= 0).all()
        torch.testing.assert_close(labels.sum(dim=1), torch.ones(n))


@settings(max_examples=40)
@given(counts, seeds, st.integers(1, 7), st.sampled_from([0, 1, 3]))
def test_the_paper_variant_is_finite_for_all_counts(
    counts: Tensor, seed: int, n: int, bank: int
) -> None:
    objective = LMR(bank=bank).build({"label": counts})
    model = OneLayer(8, {"label": len(counts)})
    for step in range(3):
        x, y = drawn(seed + step, n, len(counts))
        loss = objective(model, x[:, None], {"label": y})
        loss.backward()
        assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@settings(max_examples=40)
@given(counts, seeds, st.integers(2, 9), st.sampled_from([0, 2]))
def test_the_order_of_a_batch_does_not_matter(counts: Tensor, seed: int, n: int, bank: int) -> None:
    one = LMR(bank=bank, few=5).build({"label": counts})
    other = copy.deepcopy(one)
    order = torch.randperm(n)
    for step in range(3):
        x, y = drawn(seed + step, n, len(counts))
        a, b = (
            o.rebuilt(x[i], y[i], JointRows((n,)))
            for o, i in ((one, torch.arange(n)), (other, order))
        )
        torch.testing.assert_close(a[order], b)
    partner, kept = torch.randint(n, (n,)), torch.rand(n)
    moved = order.argsort()[partner[order]]  # where the partner of each clip stands now
    mixed = lmr.mix(a, partner, kept)
    torch.testing.assert_close(mixed[order], lmr.mix(b, moved, kept[order]))


@settings(max_examples=40)
@given(seeds)
def test_outside_of_training_nothing_is_done(seed: int) -> None:
    counts = {"label": torch.tensor([3, 40, 500])}
    x, y = drawn(seed, 5, 3)
    objective, model = LMR().build(counts).eval(), OneLayer(8, {"label": 3})
    plain = CrossEntropy().build(counts)
    clip, labels = x[:, None], {"label": y}
    assert objective(model, clip, labels) == plain(model, clip, labels)
    assert not objective.bank.batches


@pytest.mark.parametrize(
    ("kind", "loss"), [(LMR, LogitAdjustment(1.5)), (SigmoidLMR, SigmoidFocal(0.5))]
)
def test_its_loss_may_be_that_of_another_method(kind: type[LMR], loss: PerHead) -> None:
    """Of clips that are neither rebuilt nor mixed it is that method; else of the mixed ones."""
    counts = {"label": torch.tensor([3, 40, 500])}
    x, y = drawn(3, 6, 3)
    clip, labels, model = x[:, None], {"label": y}, OneLayer(8, {"label": 3})
    plain = loss.build(counts)
    idle = kind(l=0, h=0, mix=0, loss=loss).build(counts)
    torch.testing.assert_close(idle(model, clip, labels), plain(model, clip, labels))
    torch.manual_seed(0)
    found = kind(mix=1, loss=loss).build(counts)(model, clip, labels)
    torch.manual_seed(0)
    mixed, soft = kind(mix=1).build(counts).mixed(x, labels)
    scores = model.classify(mixed[:, None])
    torch.testing.assert_close(found, plain.losses["label"](scores["label"], soft["label"]))


def test_a_loss_for_other_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="is Binary.*several labels .* SigmoidLMR"):
        LMR(loss=BinaryCrossEntropy())
    with pytest.raises(ValueError, match="is CrossEntropy, for one label .* in LMR"):
        SigmoidLMR(loss=CrossEntropy())


def test_what_was_published_has_no_scale_where_none_is_given() -> None:
    assert LMR().z == SigmoidLMR().z == 16
    assert LMR(variant="released").z == LMR(attention="cos_sim").z == 1
    assert LMR(variant="released", scale=3).z == LMR(scale=3).z == 3


@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_the_mask_of_self_moves_with_the_bank(scale: float) -> None:
    """The release masks the first batch, so that from the second on a clip rebuilds itself."""
    spec = LMR(l=1.0, h=1.0, bank=2, scale=scale)
    objective = spec.build({"label": torch.tensor([30, 30])})
    (first, y), (x, _) = drawn(0, 3, 2), drawn(1, 3, 2)
    objective.rebuilt(first, y, JointRows((3,)))
    keys = torch.cat((first, x))
    s = scale * similarity(x, keys)
    s[:, 3:].fill_diagonal_(-torch.inf)
    torch.testing.assert_close(objective.rebuilt(x, y, JointRows((3,))), s.softmax(dim=1) @ keys)
    assert lmr_released.own_columns(3, 6).tolist() == [0, 1, 2]


def test_the_bank_forgets_the_oldest_batch_and_travels_in_a_state_dict() -> None:
    counts = {"label": torch.tensor([30, 300, 3])}
    one, other = (LMR(bank=2).build(counts) for _ in range(2))
    for step in range(4):
        one.mixed(*batch(step))
    assert len(one.bank.rows()[0]) == 10
    torch.testing.assert_close(one.bank.rows()[0][5:], batch(3)[0])
    other.load_state_dict(one.state_dict())
    torch.manual_seed(9)
    a, _ = one.mixed(*batch(4))
    torch.manual_seed(9)
    b, _ = other.mixed(*batch(4))
    assert torch.equal(a, b)


def batch(seed: int, n: int = 5) -> tuple[Tensor, Labels]:
    torch.manual_seed(seed)
    return torch.randn(n, 8), {"label": torch.randint(3, (n,))}


def test_gradients_flow_through_keys_only_without_a_bank() -> None:
    counts = {"label": torch.tensor([30, 300])}
    for bank in (0, 2):
        x = torch.randn(2, 8, requires_grad=True)
        objective = LMR(l=1.0, h=1.0, bank=bank).build(counts)
        objective.rebuilt(x, torch.tensor([0, 1]), JointRows((2,)))[0].sum().backward()
        assert x.grad is not None
        assert bool(x.grad[1].any()) == (bank == 0)


def test_a_clip_of_several_classes_is_refused() -> None:
    objective = LMR().build({"label": torch.tensor([30, 300, 3])})
    several = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    with pytest.raises(RecipeError, match="one class each, but the labels of 'label' do not sum"):
        objective.mixed(torch.randn(2, 8), {"label": several})


def test_labels_mixed_before_count_for_their_largest_class() -> None:
    counts = {"label": torch.tensor([30, 300, 3])}
    soft = torch.tensor([[0.6, 0.4, 0.0], [0.0, 0.3, 0.7]])
    x, objective = torch.randn(2, 8), LMR(mix=0.0).build(counts)
    _, labels = objective.mixed(x, {"label": soft})
    assert torch.equal(labels["label"], soft)
    assert objective.bank.rows()[1].tolist() == [0, 2]


def test_rarity_is_that_of_the_chosen_head() -> None:
    counts = {"verb": torch.tensor([3, 300]), "noun": torch.tensor([30, 3, 300])}
    assert LMR().build(counts).is_few.tolist() == [True, False]
    assert LMR(head="noun").build(counts).is_few.tolist() == [False, True, False]
    with pytest.raises(RecipeError, match="LMR's head is 'nuon'. hint: did you mean 'noun'"):
        LMR(head="nuon").build(counts)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"l": 0.1, "h": 0.2}, "h is 0.2 and l 0.1"),
        ({"d": 0.0}, "d is 0.0"),
        ({"d": math.nan}, "d is nan"),
        ({"eps": math.inf}, "eps is inf"),
        ({"bank": -1}, "bank is -1"),
        ({"mix": 1.5}, "mix is 1.5"),
    ],
)
def test_parameters_out_of_range_are_refused(fault: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=f"{message}.*expected"):
        LMR(**fault)


@settings(max_examples=40)
@given(counts, seeds, st.integers(1, 30))
def test_contributions_are_from_frequent_classes_to_classes_that_have_clips(
    counts: Tensor, seed: int, n: int
) -> None:
    x, y = drawn(seed, n, len(counts))
    given_by = contributions(x, y, counts <= 20)
    assert (given_by[:, counts <= 20] == 0).all()
    sums = given_by.sum(dim=1)
    assert (sums <= 1 + 1e-5).all()
    rebuilt_rows = torch.bincount(y[(counts <= 20)[y]], minlength=len(counts)) > 0
    if (counts > 20)[y].any():
        torch.testing.assert_close(sums[rebuilt_rows], torch.ones(int(rebuilt_rows.sum())))


def test_a_rare_clip_is_rebuilt_from_the_class_it_resembles() -> None:
    near, far = torch.eye(8)[0], torch.eye(8)[1]
    x = torch.stack([near, near, far])
    given_by = contributions(x, torch.tensor([0, 1, 2]), torch.tensor([True, False, False]))
    assert given_by[0, 1] > given_by[0, 2] > 0
    assert F.cosine_similarity(x[0], x[1], dim=0) == 1


def test_the_released_variant_compares_by_the_final_norm() -> None:
    counts = {"label": torch.tensor([3, 40, 500])}
    model = OneLayer(8, {"label": 3})
    model.encoder = Normed()
    x, y = drawn(0, 6, 3)
    for variant, used in (("paper", False), ("released", True)):
        objective: LMRObjective = LMR(bank=0, variant=variant).build(counts)
        model.zero_grad()
        objective(model, x[:, None], {"label": y}).backward()
        assert (model.encoder.final_norm.weight.grad is not None) == used


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.final_norm = nn.LayerNorm(8)


def test_one_hot_labels_are_class_indices() -> None:
    y = torch.tensor([0, 2, 1])
    assert torch.equal(as_distribution(y, 3), as_distribution(F.one_hot(y, 3), 3))
