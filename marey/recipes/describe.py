"""Recipes in words: what a row is, how it is trained and tested, and what it must reach."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

from marey.errors import counted
from marey.modality import IN_WORDS
from marey.models.encoders.features import FeatureEncoder
from marey.models.video_model import Head, ModelSpec
from marey.recipes.ensembles import Ensemble
from marey.recipes.protocols import protocol_of
from marey.recipes.recipe import Claim, DataSpec, Recipe, Stage
from marey.recipes.val_views import val_views, views_in_words


def with_some_head(spec: ModelSpec) -> ModelSpec:
    """The model itself, or with 400 classes and 2048 features if it waits for those of the data."""
    if isinstance(spec.encoder, FeatureEncoder) and spec.encoder.dim is None:
        spec = replace(spec, encoder=replace(spec.encoder, dim=2048))
    return spec if spec.heads else replace(spec, heads=(Head(),))


def brief(value: object) -> str:
    """A value as an expression, without what is as it is by default: ``TSM(8)``, ``AdamW()``.

    A number or word that comes first is always shown: it is what names the thing.
    """
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return repr(value)
    shown = []
    for i, field in enumerate(dataclasses.fields(value)):
        item = getattr(value, field.name)
        if i == 0 and isinstance(item, int | float | str):
            shown.append(brief(item))
        elif field.repr and item != _default(field):
            shown.append(f"{field.name}={brief(item)}")
    return f"{type(value).__name__}({', '.join(shown)})"


def model_in_words(spec: ModelSpec) -> str:
    """Encoder, ops, LoRA and neck: ``ResNetSpec(50) + TSM(8)``."""
    more = (part for part in (spec.lora, spec.neck) if part is not None)
    return " + ".join(map(brief, (spec.encoder, *spec.temporal, *more)))


def model_in_short(spec: ModelSpec) -> str:
    """The same by names alone, with the depth of a network: ``ResNet 50 + TSM``."""
    more = (part for part in (spec.lora, spec.neck) if part is not None)
    names = [type(part).__name__.removesuffix("Spec") for part in (*spec.temporal, *more)]
    first = next(iter(vars(spec.encoder).values()), None)
    depth = f" {first}" if type(first) is int else ""
    encoder = type(spec.encoder).__name__.removesuffix("Spec") + depth
    return " + ".join([encoder, *names])


def frames_in_words(recipe: Recipe) -> str:
    """Frames of a clip in training and, where a test has others, in the test: ``5 (test 8)``."""
    trained, tested = recipe.model.frames, recipe.tested_model.frames
    return str(trained) if trained == tested else f"{trained} (test {tested})"


def claim_in_words(claim: Claim | None) -> str:
    """The accuracy that is claimed: ``71.2 / 90.1``, or ``51.6 mAP``."""
    if claim is None:
        return ""
    if claim.top1 is None:
        return f"{claim.mean_ap} mAP"
    return f"{claim.top1}" + (f" / {claim.top5}" if claim.top5 else "")


def facts(recipe: Recipe) -> dict[str, str]:
    """All that `marey recipes show` says, by its name."""
    spec, claim = recipe.model, recipe.claim
    sampling, test = recipe.test.sampling, recipe.test
    facts = {
        "model": model_in_words(spec),
        "input": _input(recipe),
        "heads": _heads(spec),
        "starts from": _start(recipe.weights),
        **{f"stage {i}": _stage(stage) for i, stage in enumerate(recipe.stages)},
        "batch": f"{recipe.batch_size} a process"
        + (f", {recipe.accumulate} batches a step" if recipe.accumulate > 1 else "")
        + (f"; rates are for {recipe.lr_batch_size}" if recipe.lr_batch_size else ""),
        "regularised by": f"dropout {spec.dropout}"
        + (", frozen batch norms" if spec.partial_bn else "")
        + (f", gradients clipped at {recipe.clip_grad:g}" if recipe.clip_grad else ""),
        **_unusual(recipe),
        "trained on": f"{brief(recipe.train.sampling)}, {brief(recipe.train.crop)}, "
        f"{brief(recipe.augment)}",
        "protocol": protocol_of(recipe) or "none of those with a name",
        "tested on": f"clips x crops: {sampling.clips} x {test.crop.views}; "
        f"{brief(sampling)}, {brief(test.crop)}; mean of {test.average}",
        "validated on": _validation(recipe),
    }
    if spec.takes_features:
        facts |= {
            "trained on": f"{brief(recipe.train.sampling)}, {brief(recipe.augment)}",
            "tested on": f"{brief(sampling)} of every clip",
            "starts from": "nothing; the features are those of a trained network",
        }
    return facts | (_claim_facts(claim) if claim else {"claim": "none"})


def ensemble_facts(row: Ensemble) -> dict[str, str]:
    """All that `marey recipes show` says of an ensemble, by its name."""
    members = {f"member {i}": _member(member) for i, member in enumerate(row.members, start=1)}
    weights = ", ".join(f"{weight:g}" for weight in row.weights)
    facts = {
        **members,
        "weights": weights or "equal",
        "average": f"mean of the members' {_SCORES[row.average]}",
        **_claim_facts(row.claim),
    }
    commands = {f"command {i}": text for i, text in enumerate(row.commands(), start=1)}
    return facts | commands


_SCORES = {"logits": "logits", "probs": "probabilities"}


def _member(member: Recipe) -> str:
    test = member.test
    return (
        f"{member.name}; clips x crops: {test.sampling.clips} x {test.crop.views}; "
        f"{brief(test.sampling)}, {brief(test.crop)}; mean of {test.average}"
    )


def _unusual(recipe: Recipe) -> dict[str, str]:
    """What most recipes leave as it is by default, of one that does not."""
    measured, kept = recipe.precise_bn, recipe.checkpoint_every
    words = {
        "clips": [brief(recipe.data) if recipe.data != DataSpec() else ""],
        "batch norms": [
            "of the clips of all processes (sync_bn)" * recipe.sync_bn,
            f"measured over {measured:,} batches before an epoch is validated (precise_bn)"
            if measured
            else "",
        ],
        "tested weights": [f"a moving average, of decay {recipe.ema:g}" if recipe.ema else ""],
        "computes": [
            _AMP[recipe.amp],
            "blocks twice (checkpointing)" * recipe.checkpointing,
            "norms twice (recompute)" * recipe.recompute,
            "by torch.compile" * recipe.compile,
            "with weights shared out over the processes (shard)" * recipe.shard,
        ],
        "keeps": [
            f"every {counted(kept, 'epoch')} a checkpoint, the newest {recipe.checkpoints_kept}"
            if kept
            else "",
            f"the best epoch by {recipe.save_best}, {_smooth(recipe)}" if recipe.save_best else "",
        ],
        "stage ends": [
            f"after {counted(recipe.patience, 'validation')} without a better "
            f"{recipe.save_best or 'val/loss'}, {_smooth(recipe)}"
            if recipe.patience
            else ""
        ],
        "seed": [str(recipe.seed) if recipe.seed else ""],
        "of a stream": [f"said by {brief(recipe.decision)}" if recipe.decision else ""],
    }
    facts = {name: ", ".join(filter(None, of)) for name, of in words.items()}
    return {name: fact for name, fact in facts.items() if fact}


_AMP = {"auto": "", True: "in bfloat16 where that is safe", False: "in float32"}


def _smooth(recipe: Recipe) -> str:
    return f"a mean of {counted(recipe.smooth, 'validation')}"


def _validation(recipe: Recipe) -> str:
    val = val_views(recipe)
    every = "epoch" if recipe.eval_every == 1 else f"{recipe.eval_every} epochs"
    return f"{views_in_words(val)}, every {every}: {brief(val.sampling)}, {brief(val.crop)}"


def _input(recipe: Recipe) -> str:
    spec = recipe.model
    if spec.takes_features:
        return f"features of {spec.encoder.in_channels or 'any number of'} numbers a frame"
    size, channels = recipe.train.crop.size, spec.encoder.in_channels
    shown = "" if spec.modality == "rgb" else f" of {IN_WORDS[spec.modality]}"
    of_frame = f"{counted(channels, 'channel')}{shown}"
    return f"{frames_in_words(recipe)} frames of {size} pixels, {of_frame}"


def _claim_facts(claim: Claim) -> dict[str, str]:
    cost = [
        f"{claim.params_millions:.2f} M parameters" if claim.params_millions else "",
        f"{claim.gmacs_per_view:.2f} GMACs a view of 224 pixels" if claim.gmacs_per_view else "",
    ]
    facts = {
        "claim": f"mAP {claim.mean_ap}"
        if claim.top1 is None
        else f"top-1 {claim.top1}" + (f", top-5 {claim.top5}" if claim.top5 else ""),
        "source": claim.source,
        "cost": ", ".join(filter(None, cost)),
        "note": claim.note,
    }
    return {name: fact for name, fact in facts.items() if fact}


def _heads(spec: ModelSpec) -> str:
    """Names and classes, and how their weights are drawn where it is not as usual."""
    several = {False: "", True: ", several a clip"}
    names = ", ".join(f"{h.name} ({h.num_classes}{several[h.several]})" for h in spec.heads)
    if spec.head_std is None:
        drawn = ", drawn as torch does"
    else:
        is_usual = spec.head_std == ModelSpec().head_std
        drawn = "" if is_usual else f", drawn with deviation {spec.head_std:g}"
    of = {"avg": "", "max": ", the highest of the frames"}
    consensus = of.get(str(spec.consensus), f", the mean of the {spec.consensus} highest of frames")
    return (names or "those of the manifest") + drawn + consensus


def _start(weights: str) -> str:
    if weights == "imagenet":
        return "the official ImageNet weights (marey weights)"
    if weights.startswith("from:"):
        return f"the weights of {weights.removeprefix('from:')}, given by --weights FILE"
    return weights or "nothing"


def _stage(stage: Stage) -> str:
    usual = Stage()
    epochs = counted(stage.epochs, "epoch")
    if stage.max_steps is not None:
        epochs = f"{counted(stage.max_steps, 'step')}, at the rates of {epochs}"
    words = [epochs, repr(stage.optim), repr(stage.schedule)]  # defaults too
    for part in ("warmup", "sampler", "objective"):
        if getattr(stage, part) != getattr(usual, part):
            words.append(brief(getattr(stage, part)))
    if stage.reset_heads:
        words.append("new heads")
    if stage.normalize_heads is not None:
        words.append(f"heads divided by norm^{stage.normalize_heads:g}")
    if stage.epochs and stage.trainable != usual.trainable:
        words.append(_LEARNS[stage.trainable])
    if stage.last_blocks is not None:
        words.append(f"learns the last {counted(stage.last_blocks, 'block')}, and what is behind")
    return ", ".join(words)


_LEARNS = {
    "all": "learns all",
    "neck": "learns behind the frozen encoder",
    "heads": "learns heads alone",
    "scales": "learns scales alone",
}


def _default(field: dataclasses.Field[object]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
