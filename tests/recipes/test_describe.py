"""`marey recipes show` says all that a recipe is: each field has a line, or a part of one."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from marey.data.loading.samplers import ClassBalanced
from marey.longtail.sigmoid import BinaryCrossEntropy
from marey.models import TSM, AttentivePoolSpec, Head, ModelSpec, ResNetSpec
from marey.models.lora import LoRA
from marey.recipes.describe import facts
from marey.recipes.optim import AdamW, Cosine, Warmup
from marey.recipes.recipe import Claim, DataSpec, Recipe, Stage, TestViews, Views
from marey.timelines.decisions import MeanOfLast
from marey.video.augment import Augment
from marey.video.crops import CenterCrop, ThreeCrop
from marey.video.sampling.segments import Segments

RECIPE = Recipe(
    name="one",
    model=ModelSpec(ResNetSpec(18), heads=(Head("label", 5),)),
    checkpoint_every=2,
    save_best="val/loss",
)
OF_A_RECIPE: dict[str, Any] = {
    "model": ModelSpec(ResNetSpec(34)),
    "data": DataSpec(train="clips.csv"),
    "train": Views(Segments(8), CenterCrop(224)),
    "test": TestViews(Segments(8), ThreeCrop(224)),
    "val": TestViews(Segments(8), ThreeCrop(224)),
    "eval_every": 3,
    "augment": Augment(mixup=0.2),
    "stages": (Stage(), Stage()),
    "batch_size": 7,
    "accumulate": 2,
    "lr_batch_size": 64,
    "clip_grad": 3.0,
    "ema": 0.9,
    "sync_bn": True,
    "precise_bn": 200,
    "amp": True,
    "checkpointing": True,
    "recompute": True,
    "compile": True,
    "shard": True,
    "checkpoint_every": 3,
    "checkpoints_kept": 2,
    "save_best": "acc/top1",
    "smooth": 5,
    "patience": 4,
    "weights": "imagenet",
    "seed": 3,
    "claim": Claim(top1=50.0, source="a paper"),
    "decision": MeanOfLast(3),
}
OF_A_STAGE: dict[str, Any] = {
    "epochs": 3,
    "max_steps": 100,
    "optim": AdamW(),
    "schedule": Cosine(),
    "warmup": Warmup(3),
    "sampler": ClassBalanced(),
    "objective": BinaryCrossEntropy(),
    "trainable": "heads",
    "last_blocks": 1,
    "reset_heads": True,
    "normalize_heads": 0.5,
}
OF_A_MODEL: dict[str, Any] = {
    "encoder": ResNetSpec(34),
    "temporal": (TSM(),),
    "num_segments": 4,
    "modality": "flow",
    "neck": AttentivePoolSpec(num_heads=2, width=4, over="frames"),
    "heads": (Head("label", 5, several=True),),
    "dropout": 0.25,
    "partial_bn": True,
    "lora": LoRA(rank=1),
    "head_std": None,
    "consensus": "max",
}


def test_the_fields_here_are_all_of_them() -> None:
    assert {each.name for each in fields(Recipe)} == {"name", *OF_A_RECIPE}
    assert {each.name for each in fields(Stage)} == {*OF_A_STAGE}
    assert {each.name for each in fields(ModelSpec)} == {*OF_A_MODEL}


@pytest.mark.parametrize("field", OF_A_RECIPE)
def test_each_field_of_a_recipe_is_said(field: str) -> None:
    assert facts(replace(RECIPE, **{field: OF_A_RECIPE[field]})) != facts(RECIPE)


@pytest.mark.parametrize("field", OF_A_STAGE)
def test_each_field_of_a_stage_is_said(field: str) -> None:
    stage = Stage(**{field: OF_A_STAGE[field]})
    assert facts(replace(RECIPE, stages=(stage,))) != facts(RECIPE)


@pytest.mark.parametrize("field", OF_A_MODEL)
def test_each_field_of_a_model_is_said(field: str) -> None:
    changes: dict[str, Any] = {field: OF_A_MODEL[field]}
    recipe: dict[str, Any] = {}
    if field == "modality":
        changes["encoder"] = ResNetSpec(18, in_channels=10)
        recipe["augment"] = Augment(mean=(0.5,), std=(0.25,))
    if field == "num_segments":
        recipe = {"train": Views(Segments(4)), "test": TestViews(Segments(4))}
    changed = replace(RECIPE, model=replace(RECIPE.model, **changes), **recipe)
    said, before = facts(changed), facts(RECIPE)
    word = {"modality": "input", "num_segments": "input"}.get(field)
    assert said[word] != before[word] if word else said != before


def test_what_is_as_by_default_has_no_line_of_its_own() -> None:
    plain = replace(RECIPE, checkpoint_every=None, save_best="")
    assert not {"batch norms", "computes", "keeps", "seed", "clips"} & facts(plain).keys()
    said = facts(replace(RECIPE, sync_bn=True, precise_bn=200))["batch norms"]
    assert said == (
        "of the clips of all processes (sync_bn), measured over 200 batches before an epoch is "
        "validated (precise_bn)"
    )
