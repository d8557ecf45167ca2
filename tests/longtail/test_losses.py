"""The losses on scores: their laws, plainly written formulas, gradients, classes without clips."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from marey.longtail.class_balanced import ClassBalancedLoss, Focal, class_weights
from marey.longtail.eql import EQL
from marey.longtail.ldam import LDAM, class_margins
from marey.longtail.logit_adjustment import BalancedSoftmax, LogitAdjustment
from marey.longtail.objective import CrossEntropy, Objective
from marey.longtail.sigmoid import (
    BinaryCrossEntropy,
    SigmoidClassBalanced,
    SigmoidEQL,
    SigmoidFocal,
    SigmoidLDAM,
)

COUNTS = torch.tensor([500, 60, 20, 3])
ONE_LABEL: tuple[Objective, ...] = (
    CrossEntropy(),
    CrossEntropy(0.1),
    Focal(),
    Focal(0.5, 0.99, 0.1),
    ClassBalancedLoss(0.99),
    LDAM(),
    LDAM(scale=3, beta=0.99),
    EQL(),
    EQL(label_smoothing=0.1),
    BalancedSoftmax(),
    BalancedSoftmax(0.1),
    LogitAdjustment(1.5),
    LogitAdjustment(label_smoothing=0.2),
)
SEVERAL: tuple[Objective, ...] = (
    BinaryCrossEntropy(),
    SigmoidFocal(),
    SigmoidFocal(0.5),
    SigmoidClassBalanced(),
    SigmoidLDAM(scale=2),
    SigmoidLDAM(scale=2, beta=0.99),
    SigmoidEQL(drop=0.5),
)
EQUAL_COUNTS_GIVE_CROSS_ENTROPY: tuple[Objective, ...] = (
    Focal(gamma=0, beta=0.99),
    ClassBalancedLoss(),
    LDAM(max_margin=0, beta=0.999),
    EQL(few=6),
    EQL(few=7, drop=0),
    BalancedSoftmax(),
    LogitAdjustment(2.0),
)
EQUAL_COUNTS_GIVE_BINARY: tuple[Objective, ...] = (
    SigmoidFocal(gamma=0),
    SigmoidClassBalanced(),
    SigmoidLDAM(max_margin=0, scale=1, beta=0.9),
    SigmoidEQL(few=6, drop=1),
    SigmoidEQL(few=7, drop=0),
)


def loss_of(spec: Objective, counts: Tensor = COUNTS) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of one head; draws are the same at every call."""
    module = spec.build({"label": counts}).losses["label"].double()

    def loss(scores: Tensor, target: Tensor) -> Tensor:
        torch.manual_seed(5)
        value: Tensor = module(scores, target)
        return value

    return loss


def scores_and_target(num_classes: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    scores = 2 * torch.randn(6, num_classes, generator=rng, dtype=torch.float64)
    return scores, torch.randint(num_classes, (6,), generator=rng)


def mixed(target: Tensor, num_classes: int = 4) -> Tensor:
    hot = F.one_hot(target, num_classes).double()
    return 0.7 * hot + 0.3 * hot.roll(1, 0)


@pytest.mark.parametrize("spec", [*ONE_LABEL, *SEVERAL], ids=repr)
@pytest.mark.parametrize("soft", [False, True])
def test_gradients_are_those_of_the_loss(spec: Objective, soft: bool) -> None:
    scores, target = scores_and_target()
    loss = loss_of(spec)
    y = mixed(target) if soft else target
    assert torch.autograd.gradcheck(lambda z: loss(z, y), scores.requires_grad_())


@pytest.mark.parametrize("spec", [*ONE_LABEL, *SEVERAL], ids=repr)
def test_a_class_index_is_its_one_hot_label(spec: Objective) -> None:
    scores, target = scores_and_target()
    loss = loss_of(spec)
    torch.testing.assert_close(loss(scores, target), loss(scores, F.one_hot(target, 4).double()))


@pytest.mark.parametrize("spec", ONE_LABEL, ids=repr)
@settings(max_examples=10)
@given(shift=st.floats(-50, 50), seed=st.integers(0, 999))
def test_a_constant_added_to_all_scores_changes_no_softmax_loss(
    spec: Objective, shift: float, seed: int
) -> None:
    scores, target = scores_and_target(seed=seed)
    loss = loss_of(spec)
    torch.testing.assert_close(loss(scores + shift, target), loss(scores, target))


@pytest.mark.parametrize("spec", [*ONE_LABEL[:7], *ONE_LABEL[9:], *SEVERAL[:-1]], ids=repr)
@settings(max_examples=10)
@given(st.permutations(range(4)))
def test_the_order_of_the_classes_does_not_matter(spec: Objective, order: list[int]) -> None:
    assert not isinstance(spec, EQL | SigmoidEQL), "they draw one number a class, in their order"
    scores, target = scores_and_target()
    other = torch.tensor(order)
    moved = loss_of(spec, COUNTS[other])(scores[:, other], other.argsort()[target])
    torch.testing.assert_close(moved, loss_of(spec)(scores, target))


@pytest.mark.parametrize("spec", [*ONE_LABEL, *SEVERAL], ids=repr)
@pytest.mark.parametrize("counts", [[9, 0, 4, 1], [5, 0, 0, 0], [7, 7, 7, 7]])
@pytest.mark.parametrize("size", [1.0, 1e4])
def test_classes_without_clips_and_sure_scores_give_finite_losses_and_gradients(
    spec: Objective, counts: list[int], size: float
) -> None:
    scores, _ = scores_and_target()
    scores = (size * scores.float()).requires_grad_()
    module = spec.build({"label": torch.tensor(counts)}).losses["label"]
    value = module(scores, torch.zeros(6, dtype=torch.int64))
    value.backward()
    assert scores.grad is not None
    assert value.isfinite()
    assert value >= -1e-6
    assert scores.grad.isfinite().all()


@pytest.mark.parametrize("spec", EQUAL_COUNTS_GIVE_CROSS_ENTROPY, ids=repr)
@pytest.mark.parametrize("soft", [False, True])
def test_equal_counts_leave_cross_entropy(spec: Objective, soft: bool) -> None:
    scores, target = scores_and_target()
    y = mixed(target) if soft else target
    loss = loss_of(spec, torch.full((4,), 7))
    torch.testing.assert_close(loss(scores, y), F.cross_entropy(scores, y))


@pytest.mark.parametrize("spec", EQUAL_COUNTS_GIVE_BINARY, ids=repr)
def test_equal_counts_leave_binary_cross_entropy(spec: Objective) -> None:
    scores, _ = scores_and_target()
    y = (scores_and_target(seed=1)[0] > 1).double()
    torch.testing.assert_close(
        loss_of(spec, torch.full((4,), 7))(scores, y), F.binary_cross_entropy_with_logits(scores, y)
    )


def test_focal_is_its_formula() -> None:
    scores, target = scores_and_target()
    p = scores.softmax(1)[torch.arange(6), target]
    torch.testing.assert_close(
        loss_of(Focal(gamma=2))(scores, target), (-((1 - p) ** 2) * p.log()).mean()
    )


def test_class_balanced_weights_are_the_inverse_effective_numbers() -> None:
    weights = class_weights(COUNTS, 0.9)
    effective = (1 - 0.9 ** COUNTS.double()) / (1 - 0.9)
    torch.testing.assert_close(weights * effective, (weights * effective)[:1].expand(4))
    assert weights.sum() == pytest.approx(4)
    scores, target = scores_and_target()
    plain = F.cross_entropy(scores, target, reduction="none")
    torch.testing.assert_close(
        loss_of(ClassBalancedLoss(0.9))(scores, target).float(),
        (weights[target] * plain).mean().float(),
    )


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=9), st.floats(0, 0.99999))
def test_a_class_without_clips_changes_no_other_weight_or_margin(
    counts: list[int], beta: float
) -> None:
    with_one_more = torch.tensor([*counts, 0])
    weights = class_weights(with_one_more, beta)
    torch.testing.assert_close(weights[:-1], class_weights(with_one_more[:-1], beta))
    margins = class_margins(with_one_more, 0.5)
    torch.testing.assert_close(margins[:-1], class_margins(with_one_more[:-1], 0.5))
    assert weights[-1] == margins[-1] == 0


def test_ldam_takes_the_margin_off_the_right_score_alone() -> None:
    scores, target = scores_and_target()
    margins = 0.5 * (COUNTS.double() / 3) ** -0.25
    shifted = scores.clone()
    shifted[torch.arange(6), target] -= margins[target]
    torch.testing.assert_close(
        loss_of(LDAM(scale=30))(scores, target).float(),
        F.cross_entropy(30 * shifted, target).float(),
    )


@given(st.integers(0, 999))
def test_a_larger_margin_never_lowers_the_loss(seed: int) -> None:
    scores, target = scores_and_target(seed=seed)
    small, large = (loss_of(LDAM(max_margin=m))(scores, target) for m in (0.2, 0.5))
    assert large >= small


def test_balanced_softmax_weighs_the_exponentials_by_the_counts() -> None:
    scores, target = scores_and_target()
    weighed = COUNTS * scores.exp()
    p = (weighed / weighed.sum(1, keepdim=True))[torch.arange(6), target]
    torch.testing.assert_close(
        loss_of(BalancedSoftmax())(scores, target).float(), -p.log().mean().float()
    )


def test_logit_adjustment_is_cross_entropy_at_tau_0_and_balanced_softmax_at_tau_1() -> None:
    scores, target = scores_and_target()
    losses = [loss_of(LogitAdjustment(tau))(scores, target) for tau in (0, 1)]
    torch.testing.assert_close(losses[0], F.cross_entropy(scores, target))
    torch.testing.assert_close(losses[1], loss_of(BalancedSoftmax())(scores, target))


def test_eql_leaves_rare_classes_out_of_the_denominator_of_others() -> None:
    scores, target = scores_and_target()
    keeps = F.one_hot(target, 4).bool() | (COUNTS > 20)
    log_sum = scores.masked_fill(~keeps, -torch.inf).logsumexp(1)
    torch.testing.assert_close(
        loss_of(EQL(few=20, drop=1))(scores, target),
        (log_sum - scores[torch.arange(6), target]).mean(),
    )


def test_eql_drops_as_often_as_it_says() -> None:
    module = SigmoidEQL(few=100, drop=0.25).build({"label": torch.tensor([5])}).losses["label"]
    torch.manual_seed(0)
    full = F.softplus(torch.tensor(1.0))
    kept = module(torch.ones(20_000, 1), torch.zeros(20_000, 1)) / full
    assert float(kept) == pytest.approx(0.75, abs=0.02)  # six standard deviations


class Scorer(nn.Module):
    """Scores that are given."""

    def __init__(self, **scores: Tensor) -> None:
        super().__init__()
        self.scores = scores

    def features(self, clip: Tensor) -> Tensor:
        return clip

    def classify(self, x: Tensor) -> dict[str, Tensor]:
        return self.scores

    def forward(self, clip: Tensor) -> dict[str, Tensor]:
        return self.classify(clip)


@pytest.mark.parametrize("spec", [*ONE_LABEL, *SEVERAL], ids=repr)
def test_each_head_has_its_own_counts_and_losses_add_up_in_float32(spec: Objective) -> None:
    counts = {"verb": COUNTS, "noun": torch.tensor([1, 9, 90])}
    labels = {"verb": scores_and_target()[1], "noun": scores_and_target(3)[1]}
    scores = {"verb": scores_and_target()[0].half(), "noun": scores_and_target(3)[0].half()}
    objective = spec.build(counts)
    torch.manual_seed(5)
    both = objective(Scorer(**scores), torch.empty(0), labels)
    torch.manual_seed(5)
    each = [objective.losses[head](scores[head].float(), labels[head]) for head in labels]
    assert both.dtype == torch.float32
    assert both == sum(each)
    assert not objective.state_dict()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Focal(gamma=-1), "gamma is -1"),
        (lambda: SigmoidFocal(gamma=-1), "gamma is -1"),
        (lambda: ClassBalancedLoss(beta=1), "beta is 1, expected 0 <= beta < 1"),
        (lambda: LDAM(max_margin=-1), "max_margin is -1"),
        (lambda: SigmoidLDAM(scale=0), "scale is 0"),
        (lambda: EQL(drop=2), "drop is 2, expected 0 to 1"),
        (lambda: SigmoidEQL(drop=-1), "drop is -1"),
        (lambda: LogitAdjustment(tau=float("nan")), "tau is nan"),
    ],
)
def test_an_impossible_value_is_refused(make: Callable[[], Objective], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
