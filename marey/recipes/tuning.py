"""How much of a pretrained encoder learns, each a recipe made of another: ``hf:FOLDER+lora``.

    +frozen     nothing: heads on features that stay as they are
    +last2      its last two blocks (any number), and what is behind them
    +lora       additions of low rank beside its layers (`marey.models.lora`)
    +full       all of it

Few clips ask for the first, many allow the last. All keep the clips of the base recipe and begin
from its weights, those of ImageNet if it has none; what learns in the encoder learns from random
crops, at a rate that falls with depth where whole blocks do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from marey.errors import RecipeError
from marey.models.lora import LoRA
from marey.recipes.optim import AdamW, Cosine, Warmup
from marey.recipes.recipe import Recipe, Stage
from marey.recipes.val_views import one_view
from marey.video.crops import RandomResizedCrop

EPOCHS = 50
"""Behind a frozen encoder, at least: they cost seconds."""
WORDS = ("frozen", "last1", "last2", "last4", "lora", "full")
"""Of `degree`; any number of blocks may follow "last"."""


def degree(word: str) -> Callable[[Recipe], Recipe] | None:
    """What ``NAME+word`` makes of a recipe; None if the word means no degree.

    >>> degree("last3").keywords
    {'number': 3}
    """
    if number := re.fullmatch(r"last([1-9]\d{0,3})", word):
        return partial(last_blocks, number=int(number[1]))
    return {"frozen": frozen, "lora": with_lora, "full": full}.get(word)


def frozen(base: Recipe) -> Recipe:
    """Heads learn on features of `base`'s encoder, from the pictures of its test."""
    optim = AdamW(lr=1e-3, weight_decay=1e-4)
    stage = _stage(base, optim, warmup=0.0)
    epochs = max(stage.epochs, EPOCHS)
    recipe = _with(base, "frozen", replace(stage, epochs=epochs, max_steps=None, trainable="neck"))
    return replace(
        recipe,
        model=replace(recipe.model, partial_bn=False),  # all its batch norms stay as they are
        train=replace(recipe.train, crop=one_view(base.test).crop),
    )


def last_blocks(base: Recipe, number: int) -> Recipe:
    """The last `number` blocks of the encoder learn, and what is behind them."""
    stage = _stage(base, AdamW(lr=1e-4, layer_decay=0.75), warmup=2.0)
    return _with(_cropped(base), f"last{number}", replace(stage, last_blocks=number))


def with_lora(base: Recipe, lora: LoRA | None = None) -> Recipe:
    """Additions to the encoder's layers learn, by default of rank 8."""
    stage = _stage(base, AdamW(lr=1e-3, weight_decay=1e-4), warmup=2.0)
    recipe = _with(_cropped(base), "lora", stage)
    return replace(recipe, model=replace(recipe.model, lora=lora or LoRA()))


def full(base: Recipe) -> Recipe:
    """All of the encoder learns."""
    stage = _stage(base, AdamW(lr=1e-4, layer_decay=0.75), warmup=2.0)
    return _with(_cropped(base), "full", stage)


def _stage(base: Recipe, optim: AdamW, *, warmup: float) -> Stage:
    """A stage of the clips and the objective of the first of `base`."""
    first = base.stages[0]
    return Stage(
        epochs=first.epochs,
        max_steps=first.max_steps,
        optim=optim,
        schedule=Cosine(),
        warmup=Warmup(epochs=min(warmup, first.epochs / 2)),
        sampler=first.sampler,
        objective=first.objective,
    )


def _cropped(base: Recipe) -> Recipe:
    crop = RandomResizedCrop(base.train.crop.size, scale=(0.5, 1.0))
    return replace(base, train=replace(base.train, crop=crop))


def _with(base: Recipe, word: str, stage: Stage) -> Recipe:
    if base.model.takes_features:
        raise RecipeError(
            f"{base.name}+{word}: {base.name} takes features, whose encoder stays as it is",
            f"a recipe of videos: frozen-mobilenetv2+{word} ...",
        )
    return replace(
        base,
        name=f"{base.name}+{word}",
        model=replace(base.model, lora=None),
        stages=(stage,),
        lr_batch_size=None,
        weights=base.weights or "imagenet",
        claim=None,
    )
