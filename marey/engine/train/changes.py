"""What of a recipe may change between two sittings of one run, and what may not, and why.

A run goes on with the weights, the optimiser's memory and the order of clips of its checkpoint.
What these do not depend on may change at any time (and is named when it does); what they depend on
is refused. Stages that have not begun may be anything, stages that are over stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from marey.errors import RecipeError, counted
from marey.recipes.recipe import Recipe
from marey.recipes.schema import to_plain

TABLE: tuple[tuple[tuple[str, ...], str], ...] = (
    # places of a recipe, and why they may not change: empty if they may. The first row that fits.
    (("name", "claim*", "data.*", "train.*", "test.*", "val*", "augment.*", "decision*"), ""),
    (("model.dropout", "model.head_std"), ""),
    (
        (
            "batch_size",
            "accumulate",
            "lr_batch_size",
            "clip_grad",
            "checkpoint_every",
            "checkpoints_kept",
            "precise_bn",
            "sync_bn",
            "amp",
            "checkpointing",
            "recompute",
            "compile",
            "shard",
            "save_best",
            "smooth",
            "patience",
            "eval_every",
        ),
        "",
    ),
    (("model*",), "the weights are those of this model"),
    (("weights",), "a run takes them when it begins"),
    (("ema",), "the average of the weights began with the run"),
    (("seed", "stages.*.sampler*"), "the order of the clips follows from it"),
    (("stages.*.epochs", "stages.*.max_steps", "stages.*.schedule*", "stages.*.warmup.*"), ""),
    (
        (
            *("stages.*.optim.groups", "stages.*.optim.head_lr5"),
            *("stages.*.optim.calibrator_lr", "stages.*.optim.layer_decay"),
        ),
        "what the optimiser remembers of the weights is kept by these groups",
    ),
    (("stages.*.optim.*",), ""),
    (("stages.*.optim",), "what the optimiser remembers of the weights is of this kind"),
    (
        ("stages.*.trainable", "stages.*.last_blocks"),
        "the optimiser remembers the weights that the stage trains",
    ),
    (("stages.*.objective*",), "what it has learned or measured is in the checkpoint"),
    (("stages.*.reset_heads", "stages.*.normalize_heads"), "it was done when the stage began"),
)
MEASURES = ("val*", "save_best", "smooth")
"""What decides, beside the clips that validate, which epoch is the best."""

FOLLOWED = ("val*", "stages.*.schedule*")
"""What decides, beside these clips, how rates follow validation."""


@dataclass(frozen=True)
class Change:
    """A place of the recipe, as overrides name it, and its values."""

    where: str
    before: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.where} {_short(self.before)} -> {_short(self.now)}"

    def touches(self, patterns: tuple[str, ...]) -> bool:
        """Whether it is one of these places."""
        return any(fnmatchcase(self.where, pattern) for pattern in patterns)


def changes(
    before: Recipe, now: Recipe, *, stage: int, epoch: int, hint: str, steps: int = 0
) -> list[Change]:
    """What differs, for a run that has come to `epoch` (begun or not) of `stage`, by `steps` of it.

    Raises:
        RecipeError: something that may not; all such places are named.
    """
    old, new = to_plain(before), to_plain(now)
    if len(new["stages"]) <= stage:
        raise RecipeError(
            f"the recipe has {counted(len(new['stages']), 'stage')}, the run is in stage {stage}",
            hint,
        )
    begun = stage + 1
    old["stages"], new["stages"] = old["stages"][:begun], new["stages"][:begun]
    found = list(_differences(old, new))
    refused = [f"{each}: {reason}" for each in found if (reason := _why_not(each, stage))]
    if refused:
        raise RecipeError("a run that goes on cannot change " + "; nor ".join(refused), hint)
    under_way, epochs = now.stages[stage], now.stages[stage].epochs
    if under_way.max_steps is not None:
        if under_way.max_steps < min(steps, before.stages[stage].max_steps or steps):
            raise RecipeError(
                f"stages.{stage}.max_steps is {under_way.max_steps}, the run has taken {steps} of "
                "it",
                f"give {steps} or more",
            )
    elif epochs < min(epoch, before.stages[stage].epochs):
        raise RecipeError(
            f"stages.{stage}.epochs is {epochs}, the run has begun epoch {epoch} of it",
            f"give {epoch} or more",
        )
    return found


def differences(before: Recipe, now: Recipe) -> list[Change]:
    """All places in which two recipes differ."""
    return list(_differences(to_plain(before), to_plain(now)))


def _why_not(change: Change, stage: int) -> str:
    """Why a change is refused; empty if it is not."""
    words = change.where.split(".")
    if words[0] == "stages" and len(words) > 1 and int(words[1]) < stage:
        return "this stage is over"
    reasons = (reason for places, reason in TABLE if change.touches(places))
    return next(reasons, "nothing says that it may")


def _differences(one: Any, other: Any, where: str = "") -> Iterator[Change]:
    """Where two plain values differ; names of classes are left out of the places."""
    if isinstance(one, dict) and isinstance(other, dict) and list(one) == list(other):
        for key in one:
            is_class = key.rpartition(".")[2][:1].isupper()
            inside = where if is_class else f"{where}.{key}".lstrip(".")
            yield from _differences(one[key], other[key], inside)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from _differences(a, b, f"{where}.{i}")
    elif one != other and repr(one) != repr(other):  # nan is not itself
        yield Change(where, one, other)


def _short(value: Any) -> str:
    """A value in a word or two: of a class with fields, its name."""
    if isinstance(value, dict) and len(value) == 1:
        return str(next(iter(value)))
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
