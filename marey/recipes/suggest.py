"""Which recipe suits some clips on some machine, and why: a pure function of what is known of both.

What is chosen is a recipe by its name and a few changes of it, so that one line of the command line
repeats it. The rules are few, and each says itself as a reason:

    start      pretrained weights that are here; from nothing only where that is asked for
    learns     the head alone where clips are few or there is no GPU, else all of the network
    frames     as many as the clips have, more where they last long
    size       of the pictures, not above what the weights saw
    batch      as the memory holds, and small enough for several steps an epoch
    epochs     as many as make enough steps; the rate rises over the first tenth of them
    flips      as the names of the classes allow
    classes    a clip may have several; those that are rare are named, with what helps
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass

from marey.errors import RecipeError, counted, first_few
from marey.longtail.decouple import set_trainable, training_mode
from marey.models.checkpointing import checkpointed
from marey.models.depth import blocks
from marey.models.profile import num_parameters, training_bytes
from marey.models.recomputing import recomputed
from marey.models.shapes import shapes_only
from marey.recipes.catalog import find
from marey.recipes.compatible import add_lora, check_classes
from marey.recipes.describe import with_some_head
from marey.recipes.frozen import is_frozen
from marey.recipes.recipe import DataSpec, Recipe
from marey.recipes.short_names import spelled_out
from marey.recipes.suggestion import Choice, Facts, Suggestion
from marey.recipes.val_views import override_with_val
from marey.storage.cache import missing_folder
from marey.video.mirrored_classes import flip_pairs, may_name_a_side


@dataclass(frozen=True)
class _Start:
    """Official weights, and the recipes that start from them."""

    weights: str
    frozen: str
    tuned: str


_ON_CPU = (
    _Start("mobilenet_v2", "frozen-mobilenetv2", "tsm-mobilenetv2"),
    _Start("resnet50", "frozen-r50", "tsm-r50"),
)
_ON_GPU = tuple(reversed(_ON_CPU))
FROM_NOTHING = "tsm-r18"

FEW_CLIPS, FEW_OF_A_CLASS = 2000, 50
"""Below either, a network that learns wholly forgets more than it gains."""
FEW_FROM_NOTHING = 5000
"""Below it nothing good comes of no weights at all."""
STEPS, MOST_EPOCHS, LEAST_EPOCHS = 2000, 50, 10
"""What learning wholly takes, and its bounds."""
STEPS_AN_EPOCH = 4
"""At least: a batch is no more than this part of the clips."""
MEMORY_SHARE = 0.4
"""Of the memory, for a step: the rest is for the loader, the optimiser and others."""
OF_FEATURES = ("batch_size", "objective")
"""What is decided where clips are features."""
UNEQUAL = 5
"""Times as many clips of a class as of another."""
SMALLEST = 128
"""Pixels of a picture, below which the weights are far from what they saw."""
LONG_SECONDS = 10.0
"""Clips that last longer have more frames."""
UNSEEN = "no clip could be opened to see"
START_WEIGHTS = tuple(start.weights for start in _ON_CPU)
"""The official weights that a suggestion may start from."""


def suggest(facts: Facts, given: Sequence[str] = (), *, from_scratch: bool = False) -> Suggestion:
    """The recipe that suits these facts.

    Args:
        facts: what is known of clips, machine and weights.
        given: ``key=value`` that is decided already; what it says is not chosen.
        from_scratch: start from nothing, whatever weights there are.

    Raises:
        RecipeError: no weights are at hand and starting from nothing is not asked for; says how to
            get some. Or there is one class only.
    """
    if not facts.several:
        check_classes(facts.class_names, " and ".join(facts.manifests))
    base, choices = _begin(facts, from_scratch)
    for name, rule in _RULES.items():
        so_far = [change for choice in choices for change in choice.changes]
        recipe = override_with_val(find(base), [*so_far, *given])
        if recipe.model.takes_features and name not in OF_FEATURES:
            continue
        if not _keys(recipe, given) & _keys(recipe, [f"{name}=2"]):
            choices += rule(facts, recipe)
    return Suggestion(
        base=base,
        changes=(*(change for choice in choices for change in choice.changes), *given),
        manifests=facts.manifests,
        reasons={choice.what: choice.why for choice in choices},
    )


def from_nothing(recipe: Recipe, num_clips: int) -> str:
    """A warning where a network is to learn all from a few clips; empty where it is not."""
    if recipe.weights or recipe.model.takes_features or num_clips >= FEW_FROM_NOTHING:
        return ""
    return (
        f"warning: {counted(num_clips, 'clip')}, from nothing: expect numbers near chance below "
        "some thousands of clips; a start from pretrained weights does far better (marey weights "
        "get mobilenet_v2, then marey train without a recipe)"
    )


def _keys(recipe: Recipe, changes: Sequence[str]) -> set[str]:
    """The full keys that are changed."""
    return {change.partition("=")[0] for change in spelled_out(recipe, changes)}


def _begin(facts: Facts, from_scratch: bool) -> tuple[str, list[Choice]]:
    """The recipe to change, and what it begins with and learns."""
    if facts.has_features:
        return "features-linear", [Choice("learns", "a linear layer: the clips are features")]
    if from_scratch:
        few = facts.num_train < FEW_FROM_NOTHING
        why = f", although clips are few for that ({facts.num_train:,})" if few else ""
        return FROM_NOTHING, [Choice("start", f"nothing, as was asked{why}")]
    frozen = _few(facts)
    if facts.start:
        new = [f"weights={json.dumps(facts.start)}", "model.heads=[]", "augment.flip_pairs=null"]
        new += _without_clips(find(facts.start).data)
        begins = Choice("start", facts.start, tuple(new))
        degree = "frozen" if frozen else "full"
        return f"{facts.start}+{degree}", [begins, _learns(facts, frozen)]
    starts = _ON_GPU if facts.gpu_bytes else _ON_CPU
    start = next((start for start in starts if start.weights in facts.weights), None)
    if start is None:
        first = starts[0].weights
        raise RecipeError(
            f"no pretrained weights are on this machine{missing_folder('MAREY_WEIGHTS')}, and few "
            "clips teach a network little without them",
            f"marey weights get {first} fetches the official ones, and MAREY_WEIGHTS may name a "
            "folder that has them; or start from a model of yours (--weights RUN), or from nothing "
            "(--from-scratch)",
        )
    begins = Choice("start", f"the official ImageNet weights {start.weights}, which are here")
    if frozen:
        return start.frozen, [begins, _learns(facts, frozen)]
    return start.tuned, [begins, _learns(facts, frozen, ("weights=imagenet",))]


def _without_clips(data: DataSpec) -> list[str]:
    """What leaves out the clips of a run: others are given."""
    here, plain = asdict(data), asdict(DataSpec(backend=data.backend, workers=data.workers))
    given = [name for name, value in plain.items() if here[name] != value and name != "train"]
    return [f"data.{name}={json.dumps(plain[name])}" for name in given]


def _few(facts: Facts) -> str:
    """Why the encoder is to stay as it is; empty where all of it is to learn."""
    largest = max((len(counts) for counts in facts.class_counts.values()), default=1)
    each = facts.num_train / max(largest, 1)
    if facts.num_train < FEW_CLIPS or each < FEW_OF_A_CLASS:
        return f"clips are few ({facts.num_train:,}, {each:.0f} a class)"
    return "" if facts.gpu_bytes else f"without a GPU {facts.num_train:,} clips take days otherwise"


def _learns(facts: Facts, frozen: str, changes: tuple[str, ...] = ()) -> Choice:
    if frozen:
        why = f"the head alone, on what the frozen encoder sees, which is kept: {frozen}"
    else:
        why = f"all of it: {facts.num_train:,} clips are enough, and there is a GPU"
    return Choice("learns", why, changes)


def _frames(facts: Facts, recipe: Recipe) -> list[Choice]:
    """Those of the recipe, fewer where clips have fewer, twice as many where they are long."""
    usual = recipe.model.frames
    if not facts.frames:
        return [Choice("frames", f"{usual}: as the recipe has it; {UNSEEN}")]
    length = f"the middle clip has {counted(facts.frames, 'frame')}"
    length += f" ({facts.seconds:.1f} s)" if facts.seconds else ""
    number = usual
    if facts.frames < usual:
        number = max(2, 2 ** (facts.frames.bit_length() - 1))
    elif facts.seconds > LONG_SECONDS and facts.frames >= 2 * usual:
        number = 2 * usual
    if number != usual and not _takes(recipe, f"frames={number}"):
        number = usual
    changes = () if number == usual else (f"frames={number}",)
    return [Choice("frames", f"{number}: {length}", changes)]


def _size(facts: Facts, recipe: Recipe) -> list[Choice]:
    """That of the recipe, which is that of its weights; less where pictures have half of it."""
    usual = size = recipe.test.crop.size
    if not facts.short_side:
        return [Choice("size", f"{usual} pixels: as the recipe has it; {UNSEEN}")]
    if 2 * facts.short_side <= usual:
        size = min(usual, max(SMALLEST, -(-facts.short_side // 32) * 32))
    changes = () if size == usual else (f"size={size}",)
    return [Choice("size", f"{size} pixels: the pictures have {facts.short_side}", changes)]


def _batch(facts: Facts, recipe: Recipe) -> list[Choice]:
    """The recipe's, halved until it fits the memory and is no more than a part of the clips."""
    usual, memory = recipe.batch_size, facts.gpu_bytes or facts.memory_bytes
    number, why = usual, "as the recipe has it"
    if recipe.stages[0].trainable != "all":  # then steps are of features, and small
        return [Choice("batch", f"{number}: {why}")]
    while number > 2 and number * STEPS_AN_EPOCH > facts.num_train:
        number //= 2
        why = f"for several steps an epoch of {counted(facts.num_train, 'clip')}"
    while number > 1 and memory and step_bytes(recipe, number) > MEMORY_SHARE * memory:
        number //= 2
        why = f"more would not fit {memory / 2**30:.0f} GiB of {_whose(facts)}"
    changes = () if number == usual else (f"batch_size={number}",)
    return [Choice("batch", f"{number}: {why}", changes)]


def step_bytes(
    recipe: Recipe,
    batch_size: int,
    clip_shape: Sequence[int] | None = None,
    *,
    processes: int = 1,
) -> int:
    """The memory of a step of the recipe's first stage in a process, counted without running it.

    Two more copies of what learns are for the optimiser. Behind a frozen encoder it is the encoder
    that needs the most, as it looks at clips.

    Of a recipe with `shard` each of several `processes` has its share of the weights and of the
    optimiser's copies, and two blocks whole: the one that it computes and the next. Gradients,
    which are shared out too, are counted whole.

    Args:
        recipe: with its data's heads, or without any.
        batch_size: clips.
        clip_shape: of one clip; by default that of its frames.
        processes: of the run.
    """
    spec = with_some_head(recipe.model)
    with shapes_only():
        model = spec.build()
        add_lora(model)
    stage = recipe.stages[0]
    set_trainable(model, stage.trainable, stage.last_blocks)
    training_mode(model, stage.trainable, stage.last_blocks)
    learn = sum(4 * w.numel() for w in model.parameters() if w.requires_grad)
    shape = (batch_size, *(clip_shape or spec.clip_shape(recipe.train.crop.size)))
    with (
        checkpointed(model.encoder) if recipe.checkpointing else nullcontext(),
        recomputed() if recipe.recompute else nullcontext(),
    ):
        alone = training_bytes(model, shape) + 2 * learn
    if not recipe.shard or processes == 1:
        return alone
    largest = max(map(num_parameters, blocks(model.encoder)))
    return alone - 3 * learn * (processes - 1) // processes + 2 * 4 * largest


def _epochs(facts: Facts, recipe: Recipe) -> list[Choice]:
    """Of a network that learns wholly: as many as make enough steps, with a warm-up."""
    if recipe.stages[0].trainable != "all":
        return []
    steps = max(1, facts.num_train // recipe.batch_size)
    epochs = max(LEAST_EPOCHS, min(MOST_EPOCHS, round(STEPS / steps)))
    warm = max(1, round(epochs / 10))
    why = f"{epochs}, {counted(steps, 'step')} each; the rate rises over the first {warm}"
    return [Choice("epochs", why, (f"epochs={epochs}", f"warmup={warm}"))]


def _classes(facts: Facts, _: Recipe) -> list[Choice]:
    """A loss a class where clips have several; that some are rare is said, and what helps."""
    if facts.several:
        why = "clips have several, each with a probability of its own"
        return [Choice("classes", why, ("objective=BinaryCrossEntropy",))]
    said = []
    for head, counts in facts.class_counts.items():
        names, most = facts.class_names[head], max(counts)
        few = min(filter(None, counts), default=0)
        if absent := [name for name, count in zip(names, counts, strict=True) if not count]:
            said.append(f"no clip to train on of {first_few(map(repr, absent))}")
        if few * UNEQUAL < most:
            name = names[counts.index(few)]
            said.append(
                f"unequal, {counted(few, 'clip')} of '{name}', {most:,} of the largest class; "
                "objective=BalancedSoftmax, said as well, favours the rare ones"
            )
    return [Choice("classes", "; ".join(said))] if said else []


def _flips(facts: Facts, recipe: Recipe) -> list[Choice]:
    """Mirror images where the names of the classes say what they are images of."""
    off = () if recipe.augment.flip == "none" else ("flip=none",)
    names = [name for of_head in facts.class_names.values() for name in of_head]
    if all(name.isdecimal() for name in names):
        return [Choice("flips", "none: numbers do not say whether classes have a side", off)]
    try:
        pairs = {head: flip_pairs(of_head) for head, of_head in facts.class_names.items()}
    except ValueError as error:
        return [Choice("flips", f"none: {str(error).partition(', so')[0]}", off)]
    sided = [head for head, found in pairs.items() if found]
    if not sided and (other := [name for name in names if may_name_a_side(name)]):
        why = f"none: {first_few(map(repr, other))} may name a side; flip=plain if it does not"
        return [Choice("flips", why, off)]
    if not sided:
        return [Choice("flips", "plain: no class name says left or right", ("flip=plain",))]
    if len(sided) > 1:
        return [Choice("flips", f"none: the classes of {' and '.join(sided)} have sides", off)]
    if recipe.stages[0].trainable != "all":
        why = f"none: the classes of {sided[0]} have sides, and what is kept has one label a clip"
        return [Choice("flips", why, off)]
    head = sided[0]
    first, second = (facts.class_names[head][i] for i in pairs[head][0])
    if is_frozen(recipe):
        why = f"none: mirrored, '{first}' is '{second}', and what is kept has one label"
        return [Choice("flips", why, off)]
    why = f"swap: mirrored, '{first}' is '{second}'"
    of_head = () if head == recipe.augment.flip_head else (f"augment.flip_head={head}",)
    return [Choice("flips", why, ("flip=swap", *of_head))]


_RULES: Mapping[str, Callable[[Facts, Recipe], list[Choice]]] = {
    "frames": _frames,
    "size": _size,
    "batch_size": _batch,
    "epochs": _epochs,
    "flip": _flips,
    "objective": _classes,
}
"""By the name of what each decides, unless it is given. Each sees what those before it decided."""


def _takes(recipe: Recipe, change: str) -> bool:
    """Whether the model of the recipe can be changed so."""
    try:
        with_some_head(override_with_val(recipe, [change]).model)
    except RecipeError:
        return False
    return True


def _whose(facts: Facts) -> str:
    return "the GPU" if facts.gpu_bytes else "memory"
