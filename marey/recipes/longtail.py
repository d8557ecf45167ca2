"""Other losses and second stages for unequal classes: recipes made of another, ``tsm-r18+crt``.

``+longtail`` is what docs/longtail.md found best: the recipe as it is, learned by logit adjustment
(arXiv 2007.07314). The others follow the recipe with a stage.

What the second stage of cRT, LWS and tau-normalisation learns on is the features of the first
(arXiv 1910.09217); in deferred re-weighting (arXiv 1906.07413) and LMR (arXiv 2304.01143) the whole
network goes on at a low rate. Ten epochs and a cosine are those of 1910.09217;
`stages.1.epochs=...` says otherwise.

**Deviates**: the second stage of deferred re-weighting follows a whole first one, whose schedule it
leaves alone, by a quarter of its epochs at a hundredth of its rate; in the paper it is the last
fifth of a schedule that falls to a hundredth there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from marey.data.loading.repeated import Repeated
from marey.data.loading.samplers import ClassBalanced, InstanceBalanced
from marey.errors import RecipeError
from marey.longtail.class_balanced import ClassBalancedLoss, Focal
from marey.longtail.ldam import LDAM
from marey.longtail.lmr import LMR
from marey.longtail.lmr_several import SigmoidLMR
from marey.longtail.logit_adjustment import BalancedSoftmax, LogitAdjustment
from marey.longtail.objective import CrossEntropy, Objective
from marey.longtail.sigmoid import BinaryCrossEntropy, SigmoidClassBalanced, SigmoidLDAM
from marey.recipes.optim import Cosine, Optim, StepDecay, Warmup
from marey.recipes.recipe import Recipe, Stage

BETA = 0.9999
"""How fast clips of a class repeat each other, in the re-weighting of LDAM-DRW."""


TAU = 1.25
"""The strength of ``+longtail``: few-shot classes gain, and the mean over classes does not lose."""


def longtail(base: Recipe, tau: float = TAU) -> Recipe:
    """`base`, its scores adjusted by the class frequencies wherever it learns by cross-entropy.

    A stage that draws classes alike stays as it is: it knows of no frequencies. RecipeError if
    nothing would be changed.
    """
    stages = tuple(_adjusted(stage, tau) for stage in base.stages)
    if stages == base.stages:
        losses = ", ".join(sorted({type(stage.objective).__name__ for stage in base.stages}))
        raise RecipeError(
            f"+longtail changes the cross-entropy of clips drawn as they come, and {base.name} has "
            f"none: it learns by {losses or 'nothing'}",
            "docs/longtail-methods.md has losses for clips of several classes",
        )
    return replace(base, name=f"{base.name}+longtail", stages=stages, claim=None)


def crt(base: Recipe) -> Recipe:
    """`base`, then a stage that learns new heads on classes drawn alike: classifier re-training."""
    stage = _classifier_stage(base)
    return _followed_by(base, "crt", replace(stage, trainable="heads", reset_heads=True))


def lws(base: Recipe) -> Recipe:
    """`base`, then a stage that learns a factor for each class's scores on classes drawn alike."""
    return _followed_by(base, "lws", replace(_classifier_stage(base), trainable="scales"))


def tau_normalised(base: Recipe, tau: float = 0.7) -> Recipe:
    """`base`, then the weights of each class divided by their norm to the power `tau`.

    Nothing is learned. `tau` is to be chosen on validation clips: 0 changes the biases alone, 1
    makes all norms equal.
    """
    stage = replace(base.stages[-1], epochs=0, max_steps=None, warmup=Warmup(), normalize_heads=tau)
    stage = replace(stage, trainable="heads", last_blocks=None, reset_heads=False)
    return _followed_by(base, "tau", stage)


def deferred(base: Recipe, beta: float = BETA) -> Recipe:
    """`base`, then a slow stage whose loss weighs classes by their effective number (DRW)."""
    last = _whole_stage(base)
    stage = replace(
        last,
        epochs=max(1, last.epochs // 4),
        max_steps=last.max_steps and max(1, last.max_steps // 4),
        optim=_slowed(last.optim, 100),
        schedule=StepDecay(()),
        warmup=Warmup(),
        objective=reweighted(last.objective, beta),
        reset_heads=False,
        normalize_heads=None,
    )
    return _followed_by(base, "drw", stage)


def lmr(base: Recipe, objective: LMR | None = None) -> Recipe:
    """`base`, then a stage with LMR and new heads, as long, at a tenth of the rate.

    The clips are those of all classes alike. With `stages.1.trainable=heads` it is LMR on cRT.
    After a loss for clips of several classes it is `SigmoidLMR`.
    """
    last = _whole_stage(base)
    kind = SigmoidLMR if last.objective.several_labels else LMR
    stage = replace(
        last,
        optim=_slowed(last.optim, 10),
        warmup=Warmup(),
        sampler=ClassBalanced(),
        objective=objective or kind(),
        reset_heads=True,
        normalize_heads=None,
    )
    return _followed_by(base, "lmr", stage)


SECOND_STAGES: dict[str, Callable[[Recipe], Recipe]] = {
    "crt": crt,
    "lws": lws,
    "tau": tau_normalised,
    "drw": deferred,
    "lmr": lmr,
}
"""Word after the plus sign of a recipe's name -> the function that adds the stage."""
CHANGES: dict[str, Callable[[Recipe], Recipe]] = {"longtail": longtail, **SECOND_STAGES}
"""Those, and the word that changes the loss of the stages there are."""


def reweighted(objective: Objective, beta: float) -> Objective:
    """`objective` with classes weighted by `beta`; RecipeError if it has no weighted form."""
    if isinstance(objective, LDAM | SigmoidLDAM | Focal):
        return replace(objective, beta=beta)
    if isinstance(objective, CrossEntropy):
        return ClassBalancedLoss(beta, objective.label_smoothing)
    if isinstance(objective, BinaryCrossEntropy):
        return SigmoidClassBalanced(beta)
    raise RecipeError(
        f"{type(objective).__name__} has no form with class weights, which drw needs",
        "take it of LDAM, Focal, CrossEntropy, SigmoidLDAM or BinaryCrossEntropy",
    )


def _adjusted(stage: Stage, tau: float) -> Stage:
    """The stage, its cross-entropy adjusted if it draws clips as they come."""
    loss, sampler = stage.objective, stage.sampler
    while isinstance(sampler, Repeated):  # copies change no frequency
        sampler = sampler.sampler
    if not isinstance(loss, CrossEntropy) or not isinstance(sampler, InstanceBalanced):
        return stage
    return replace(stage, objective=LogitAdjustment(tau, loss.label_smoothing))


def _for_classes_alike(loss: Objective) -> Objective:
    """A loss for classes drawn alike: one that corrects for their frequencies would do so twice."""
    if isinstance(loss, BalancedSoftmax | LogitAdjustment):
        return CrossEntropy(loss.label_smoothing)
    return loss


def _slowed(optim: Optim, times: float) -> Optim:
    """The optimiser at a rate that is so many times smaller."""
    spec: Any = optim  # a dataclass, which a protocol cannot say
    slower: Optim = replace(spec, lr=optim.lr / times)
    return slower


def _whole_stage(base: Recipe) -> Stage:
    """The last stage in which all weights learn; of a recipe without one the last."""
    return next((s for s in reversed(base.stages) if s.trainable == "all"), base.stages[-1])


def _classifier_stage(base: Recipe) -> Stage:
    return replace(
        base.stages[-1],
        epochs=10,
        max_steps=None,
        schedule=Cosine(),
        warmup=Warmup(),
        sampler=ClassBalanced(),
        objective=_for_classes_alike(base.stages[-1].objective),
        last_blocks=None,
        reset_heads=False,
        normalize_heads=None,
    )


def _followed_by(base: Recipe, suffix: str, stage: Stage) -> Recipe:
    return replace(base, name=f"{base.name}+{suffix}", stages=(*base.stages, stage), claim=None)
