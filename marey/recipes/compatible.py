"""Whether the clips of a manifest are what a model takes, and its labels what is minimised."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cache

import torch

from marey.data.manifest.manifest import Manifest
from marey.errors import ManifestError, RecipeError, RunError, counted
from marey.longtail.decouple import set_trainable, training_mode
from marey.longtail.lmr import LMR
from marey.modality import IN_WORDS, STACKS
from marey.models.depth import blocks
from marey.models.layers import norms_that_learn
from marey.models.video_model import ModelSpec, VideoModel
from marey.recipes.frozen import check_stored, is_frozen
from marey.recipes.recipe import Recipe, Stage
from marey.video.reading.flow import FlowSettings, flow_source

_log = logging.getLogger(__name__)


def built(model: ModelSpec) -> VideoModel:
    """The model with fresh weights; RecipeError if its parts do not go together, or lack timm."""
    try:
        return model.build()
    except (ValueError, ArithmeticError, RuntimeError, MemoryError) as error:  # the last two: size
        raise RecipeError(f"the recipe's model cannot be built: {error}") from error


def add_lora(model: VideoModel) -> None:
    """Let the model learn by LoRA if its spec says so; RecipeError if it cannot, or lacks peft."""
    try:
        model.add_lora()
    except ValueError as error:
        raise RecipeError(f"model.lora: {error}") from error


def check_tested(model: VideoModel, recipe: Recipe) -> None:
    """RecipeError if the model turns out not to take the frames by which it is tested."""
    for part, views in (("test", recipe.test), ("val", recipe.val)):
        try:
            model.with_frames(model.frames if views is None else views.sampling.frames)
        except ValueError as error:
            raise RecipeError(f"the model cannot take the views of {part}: {error}") from error


def check_learning(model: VideoModel, recipe: Recipe) -> None:
    """RecipeError if a stage cannot train of `model` what it is to, at the rates it is to.

    Or if no stage has what is to be measured of it.
    """
    if recipe.model.lora is not None and is_frozen(recipe):
        raise RecipeError(
            "model.lora adds to an encoder that no stage trains",
            "stages.0.trainable=all trains the additions alone; model.lora=null leaves them out",
        )
    place, num_norms = "checkpointing", 0
    try:
        if recipe.checkpointing:
            blocks(model.encoder)
        place = "shard"
        if recipe.shard:
            _check_shares(model)
        for number, stage in enumerate(recipe.stages):
            place = f"stages.{number}"
            set_trainable(model, stage.trainable, stage.last_blocks)
            stage.optim.param_groups(model)
            training_mode(model, stage.trainable, stage.last_blocks)
            num_norms += bool(stage.epochs) * len(norms_that_learn(model))
    except ValueError as error:
        raise RecipeError(f"{place}: {error}") from error
    asked = {"precise_bn=": recipe.precise_bn, "sync_bn=false": recipe.sync_bn}
    for remedy, value in asked.items():
        if value and not num_norms:
            raise RecipeError(
                f"{remedy.partition('=')[0]} is {value}, but no batch norm of the model learns",
                f"{remedy} leaves it out",
            )


def _check_shares(model: VideoModel) -> None:
    """ValueError if the parameters of `model` cannot be shared out by its blocks."""
    blocks(model.encoder)
    for name, weight in model.named_parameters():
        if not weight.ndim:
            raise ValueError(
                f"the parameter {name} is a single number, which cannot be shared out. "
                "hint: give it a shape of [1], or shard=false"
            )


def check_kept(recipe: Recipe, epochs: Sequence[int]) -> None:
    """RecipeError if checkpoints of more epochs are asked than any stage comes to, of `epochs`."""
    every, most = recipe.checkpoint_every, max(epochs)
    if every is not None and every > most:
        raise RecipeError(
            f"checkpoint_every is {every}, but no stage has more than {counted(most, 'epoch')}: no "
            "checkpoint would be kept",
            f"checkpoint_every={max(1, most // 2)}, or leave it out: the last is kept always",
        )


def check_has_effect(recipe: Recipe) -> None:
    """RecipeError if something is asked of how an encoder learns that does not learn."""
    if is_frozen(recipe):
        asked = {
            "checkpointing": recipe.checkpointing and "checkpointing=false",
            "recompute": recipe.recompute and "recompute=false",
            "model.partial_bn": recipe.model.partial_bn and "model.partial_bn=false",
        }
        for key, remedy in asked.items():
            if remedy:
                raise _without_effect(f"{key} is true", recipe.stages[0], 0, remedy)
    decays = [getattr(stage.optim, "layer_decay", 1.0) for stage in recipe.stages]
    learned = {
        decay
        for decay, stage in zip(decays, recipe.stages, strict=True)
        if stage.trainable == "all"
    }
    for number, (decay, stage) in enumerate(zip(decays, recipe.stages, strict=True)):
        if decay not in {1.0, *learned} and stage.trainable != "all":
            key = f"stages.{number}.optim.layer_decay"
            raise _without_effect(f"{key} is {decay:g}", stage, number, f"{key}=1")


def _without_effect(asked: str, stage: Stage, number: int, remedy: str) -> RecipeError:
    key = f"stages.{number}.trainable"
    return RecipeError(
        f"{asked}, but the encoder does not learn: {key} is {stage.trainable}",
        f"{remedy} leaves it out; {key}=all lets the encoder learn",
    )


def check_clips(model: ModelSpec, manifest: Manifest, recipe: Recipe) -> None:
    """ManifestError unless the clips of `manifest` are what `model` takes: frames or features.

    recipe: how clips are shown to the model. RunError if it is one of flow, which cannot be had.
    """
    features = manifest.features
    if features is None:
        if model.takes_features:
            raise ManifestError(
                f"{manifest.source} holds videos, the model takes features",
                "train a recipe that looks at each clip once and keeps what it saw "
                "(frozen-mobilenetv2 ...), or on the file that `marey features` makes",
            )
        check_readable(model)
        if model.modality == "flow":
            _say_source(manifest, recipe.data.flow)
    elif not model.takes_features:
        check_stored(model, manifest, recipe)
    elif features.dim != model.encoder.in_channels:
        raise ManifestError(
            f"{manifest.source} has {counted(features.dim, 'feature')} a frame, the model takes "
            f"{model.encoder.in_channels}",
            f"model.encoder.dim={features.dim} for a new model; a trained one needs the features "
            "of the network it was trained on",
        )


def check_readable(model: ModelSpec) -> None:
    """RunError unless videos can be read as `model` takes them: by its modality."""
    if (channels := model.encoder.in_channels) != STACKS[model.modality].channels:
        raise RunError(
            f"the model takes frames of {channels} channels, and does not say what they are "
            f"(model.modality is {model.modality})",
            "if it is optical flow, say modality: flow in its recipe; else give tensors: "
            "marey.load(FOLDER).trained.model(clip)",
        )


def _say_source(manifest: Manifest, flow: FlowSettings) -> None:
    """Say where the flow of the clips comes from, by the first; RunError if it cannot be had."""
    if len(manifest) and (source := flow_source(manifest.clip(0).path, flow)):
        _say(f"{manifest.source}: flow is {source}")


@cache
def _say(text: str) -> None:
    _log.warning(text)


def check_pictures(model: ModelSpec, what: str) -> None:
    """RunError unless `model` takes pictures one by one, as `what` shows them."""
    check_readable(model)
    if model.modality != "rgb":
        raise RunError(
            f"{what} shows pictures one by one, the model takes {IN_WORDS[model.modality]} "
            f"(modality {model.modality})",
            "marey predict and marey eval read it from videos",
        )


def check_same_features(one: Manifest, other: Manifest) -> None:
    """ManifestError if two files of features say that they were made differently."""
    if one.features is None or other.features is None:
        return
    for key in ("model", "weights", "views", "per"):
        ours, theirs = one.features.about.get(key), other.features.about.get(key)
        if ours and theirs and ours != theirs:
            raise ManifestError(
                f"{one.source} and {other.source} hold features of another {key}: {ours}; {theirs}",
                "make both with one `marey features` command, or one file of both splits",
            )


def check_classes(classes: Mapping[str, Sequence[str]], source: object) -> None:
    """RecipeError if every head has one class only, of which a clip has exactly one."""
    if classes and all(len(names) == 1 for names in classes.values()):
        only = " and ".join(f"'{names[0]}'" for names in classes.values())
        raise RecipeError(
            f"{source} has one class only, {only}: there is nothing to tell apart",
            "add clips of other classes; 'nothing' may be one",
        )


def check_objectives(recipe: Recipe, train_set: Manifest) -> None:
    """RecipeError unless the objectives of all stages can be built for these training labels."""
    heads = recipe.model.heads
    if not any(head.several for head in heads):
        check_classes({h.name: train_set.classes[h.name] for h in heads}, train_set.source)
    counts = {head.name: torch.from_numpy(train_set.class_counts(head.name)) for head in heads}
    several = [head.name for head in heads if head.several]
    for number, stage in enumerate(recipe.stages):
        stage.objective.build(counts)
        if isinstance(stage.objective, LMR) and recipe.model.consensus != "avg":
            raise RecipeError(
                f"stages.{number}.objective is LMR, which mixes the mean features of clips, and "
                f"model.consensus is {recipe.model.consensus}",
                "model.consensus=avg",
            )
        if several and not stage.objective.several_labels:
            fit = "SigmoidLMR" if isinstance(stage.objective, LMR) else "BinaryCrossEntropy"
            raise RecipeError(
                f"stages.{number}.objective is {type(stage.objective).__name__}, for clips of one "
                f"class, but clips have several of '{several[0]}'",
                f"stages.{number}.objective={fit}, or another for several labels",
            )
