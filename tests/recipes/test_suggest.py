"""What is suggested follows from the facts, says why, and is repeated by its line."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from marey.errors import RecipeError
from marey.models.video_model import Head
from marey.recipes.catalog import find
from marey.recipes.recipe import DataSpec
from marey.recipes.schema import to_yaml
from marey.recipes.suggest import from_nothing, step_bytes, suggest
from marey.recipes.suggestion import Facts, Suggestion
from marey.recipes.val_views import override_with_val

FACTS = Facts(
    manifests=("my data/m.csv",),
    class_names={"label": ("hop", "skip")},
    class_counts={"label": (40, 56)},
    num_train=96,
    frames=90,
    seconds=3.0,
    short_side=240,
    memory_bytes=16 << 30,
    weights=("mobilenet_v2",),
)


def repeated(suggestion: Suggestion) -> None:
    """Its line gives the same recipe."""
    marey, train, base, *words = shlex.split(suggestion.command())
    changes, given = words[: words.index("--manifest")], words[words.index("--manifest") :]
    assert (marey, train, given) == ("marey", "train", ["--manifest", "my data/m.csv"])
    assert override_with_val(find(base), changes) == suggestion.recipe


def test_from_nothing_is_asked_for_and_warned_of() -> None:
    with pytest.raises(RecipeError, match=r"no pretrained weights .*marey weights get .*--from-sc"):
        suggest(replace(FACTS, weights=()))
    found = suggest(FACTS, from_scratch=True)
    assert (found.base, found.recipe.weights) == ("tsm-r18", "")
    repeated(found)
    assert from_nothing(found.recipe, 96).startswith("warning: 96 clips, from nothing")
    assert not from_nothing(found.recipe, 100_000)
    assert not from_nothing(find("features-linear"), 96)


def test_few_clips_leave_the_encoder_as_it_is() -> None:
    found = suggest(FACTS)
    assert (found.base, found.recipe.stages[0].trainable) == ("frozen-mobilenetv2", "neck")
    assert found.recipe.weights == "imagenet"
    assert "clips are few (96, 48 a class)" in found.reasons["learns"]
    assert suggest(replace(FACTS, weights=("resnet50",))).base == "frozen-r50"
    repeated(found)
    many = replace(FACTS, num_train=20_000, weights=("resnet50", "mobilenet_v2"))
    assert suggest(many).recipe.stages[0].trainable == "neck"  # on a CPU
    tuned = suggest(replace(many, gpu_bytes=80 << 30))
    assert (tuned.base, tuned.recipe.weights) == ("tsm-r50", "imagenet")
    repeated(tuned)


def test_a_frozen_encoder_looks_at_mirror_images_where_no_class_has_a_side() -> None:
    found = suggest(replace(FACTS, short_side=112))
    assert (found.recipe.augment.flip, found.recipe.test.crop.size) == ("plain", 128)
    sided = suggest(replace(FACTS, class_names={"label": ("go left", "go right")}))
    assert (sided.recipe.augment.flip, sided.recipe.test.crop.size) == ("none", 224)
    assert "one label a clip" in sided.reasons["flips"]
    repeated(found)


def test_a_model_of_ones_own_is_gone_on_from(tmp_path: Path) -> None:
    recipe = find("tsm-r18")
    recipe = replace(recipe, model=replace(recipe.model, heads=(Head("label", 7),)))
    recipe = recipe.with_data("old.csv", "val.csv")
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe), encoding="utf-8")
    found = suggest(replace(FACTS, start=str(tmp_path)))
    assert (found.recipe.model.heads, found.recipe.weights) == ((), str(tmp_path))
    again = override_with_val(find(found.base), [*found.changes, "data.train=new.csv"])
    assert again.data == DataSpec(train="new.csv")
    assert found.recipe.stages[0].trainable == "neck"
    repeated(found)


@pytest.mark.parametrize(
    ("names", "flip", "why"),
    [
        (("hop", "skip"), "plain", "no class name says left or right"),
        (("turn left", "turn right"), "swap", "mirrored, 'turn left' is 'turn right'"),
        (("turn left", "hop"), "none", "mirrored clips of 'turn left' belong to no class"),
        (("0", "1"), "none", "numbers do not say"),
        (("links abbiegen", "rechts abbiegen"), "none", "'links abbiegen', 'rechts abbiegen' may"),
        (("à gauche", "tourner"), "none", "'à gauche' may name a side"),
        (("hand_L", "hand_R"), "none", "may name a side"),
    ],
)
def test_flips_follow_the_names_of_classes(names: tuple[str, ...], flip: str, why: str) -> None:
    found = suggest(replace(FACTS, class_names={"label": names}), from_scratch=True)
    assert found.recipe.augment.flip == flip
    assert why in found.reasons["flips"]


def test_batch_epochs_and_frames_follow_clips_and_memory() -> None:
    few = suggest(FACTS, from_scratch=True).recipe
    assert few.batch_size * 4 <= 96
    assert few.stages[0].warmup.epochs == few.epochs / 10
    many = suggest(replace(FACTS, num_train=100_000), from_scratch=True).recipe
    assert (many.batch_size, many.epochs < few.epochs) == (32, True)
    small = suggest(replace(FACTS, memory_bytes=1 << 30), from_scratch=True)
    assert small.recipe.batch_size < few.batch_size
    assert "would not fit 1 GiB of memory" in small.reasons["batch"]
    assert suggest(replace(FACTS, frames=5), from_scratch=True).recipe.model.frames == 4
    long = replace(FACTS, frames=900, seconds=30.0)
    assert suggest(long, from_scratch=True).recipe.model.frames == 16


def test_what_is_given_is_not_chosen() -> None:
    given = ["stages.0.epochs=3", "batch_size=5", "augment.flip=none", "frames=4"]
    found = suggest(FACTS, given, from_scratch=True)
    assert not {"epochs", "batch", "flips", "frames"} & set(found.reasons)
    assert (found.recipe.epochs, found.recipe.batch_size, found.recipe.model.frames) == (3, 5, 4)
    repeated(found)


def test_rare_classes_are_named() -> None:
    found = suggest(replace(FACTS, class_counts={"label": (90, 6)}))
    assert "unequal, 6 clips of 'skip', 90 of the largest" in found.reasons["classes"]
    assert "classes" not in suggest(FACTS).reasons


def test_clips_of_several_classes_get_a_loss_for_each() -> None:
    for has_features in (False, True):
        found = suggest(replace(FACTS, several=True, has_features=has_features))
        assert found.recipe.stages[0].objective.several_labels
        repeated(found)


def test_features_get_a_linear_layer() -> None:
    found = suggest(replace(FACTS, has_features=True, frames=0, short_side=0, weights=()))
    assert found.base == "features-linear"
    repeated(found)


def test_a_step_takes_less_memory_where_less_learns_or_is_kept() -> None:
    full = find("tsn-r18+full")
    some = [find("tsn-r18+frozen"), find("tsn-r18+last1"), replace(full, checkpointing=True), full]
    taken = [step_bytes(recipe, 16) for recipe in some]
    assert taken == sorted(taken)
    assert len(set(taken)) == 4


def test_a_process_holds_a_share_of_what_is_shared_out() -> None:
    recipe = find("tsn-r18+full")
    shared, alone = replace(recipe, shard=True), step_bytes(recipe, 1)
    one, two, many = (step_bytes(shared, 1, processes=number) for number in (1, 2, 1000))
    weights, block = 4 * (11_176_512 + 400 * 513), 4 * 4_720_640  # of the last stage
    assert one == alone == step_bytes(recipe, 1, processes=2)
    assert alone - two == 3 * weights // 2 - 2 * block
    assert alone - many == 3 * weights * 999 // 1000 - 2 * block


def test_what_no_clip_shows_and_what_cannot_be_learned_is_said() -> None:
    unseen = suggest(replace(FACTS, frames=0, seconds=0.0, short_side=0))
    assert unseen.reasons["frames"] == "16: as the recipe has it; no clip could be opened to see"
    assert unseen.reasons["size"].startswith("224 pixels: as the recipe has it; no clip could")
    repeated(unseen)
    assert (
        suggest(replace(FACTS, frames=1)).reasons["frames"]
        == "2: the middle clip has 1 frame (3.0 s)"
    )
    absent = suggest(replace(FACTS, class_counts={"label": (0, 96)}))
    assert absent.reasons["classes"] == "no clip to train on of 'hop'"
    with pytest.raises(RecipeError, match="has one class only, 'hop'"):
        suggest(replace(FACTS, class_names={"label": ("hop",)}, class_counts={"label": (96,)}))
