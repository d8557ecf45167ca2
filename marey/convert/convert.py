"""From a checkpoint of another code base to a release of ours, with nothing left open or over.

    read_weights_file -> state dict -> whose is it? -> what model? -> our names -> strict fit -> DIR

The whole of the file is accounted for: every tensor is used, or dropped on purpose by the rule of
its repository and listed. What the tensors cannot tell is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from marey.convert import (
    arp,
    biglittle,
    blvnet,
    gc,
    gst,
    mmaction2,
    motionformer,
    tdn,
    torchvision,
    tsm,
)
from marey.convert.file_names import settings_in_name
from marey.convert.repository import Repository, Settings, Shapes, renamed
from marey.convert.state_dict import check_numbers, state_dict_of, unwrapped
from marey.data.manifest.classes import read_classes
from marey.engine.weights.checkpoint import check_fit
from marey.engine.weights.read_file import read_weights_file
from marey.engine.weights.trained import refuse_occupied, write_release
from marey.errors import CheckpointError, did_you_mean, first_few
from marey.models.encoders.blvnet import BLVNetSpec
from marey.models.encoders.motionformer import MotionformerSpec
from marey.models.video_model import ModelSpec
from marey.recipes.recipe import Recipe, TestViews, Views
from marey.video.augment import Augment
from marey.video.crops import CenterCrop
from marey.video.sampling.blvnet import Uniform
from marey.video.sampling.segments import Sampling, Segments

REPOSITORIES: tuple[Repository, ...] = (
    tsm.REPOSITORY,
    gc.REPOSITORY,
    gc.EARLIER,
    gst.REPOSITORY,
    tdn.REPOSITORY,
    blvnet.REPOSITORY,
    biglittle.REPOSITORY,
    arp.REPOSITORY,
    motionformer.REPOSITORY,
    mmaction2.REPOSITORY,
    mmaction2.MOBILENET,
    torchvision.REPOSITORY,
)


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What was found in a checkpoint, and the release that came of it."""

    repository: str
    recipe: Recipe
    num_tensors: int
    dropped: tuple[str, ...] = ()
    from_name: Mapping[str, Any] = field(default_factory=dict)
    not_needed: Mapping[str, Any] = field(default_factory=dict)
    """Settings that decide nothing here."""
    absent_counters: int = 0
    """Batch counters that files of before 2018 lack; nothing but momentum=None reads them."""
    not_read: tuple[str, ...] = ()
    """What stands beside the state dict: the optimiser, or averaged weights."""

    def facts(self) -> dict[str, str]:
        """What was found, as a person reads it."""
        spec = self.recipe.model
        temporal = ", ".join(map(str, spec.temporal)) or "no temporal op"
        heads = ", ".join(f"{head.num_classes} classes" for head in spec.heads)
        num_dropped = len(self.dropped)
        facts = {
            "repository": self.repository,
            "model": f"{spec.encoder}, {temporal}",
            "input": f"{spec.num_segments} segments, {spec.frames} frames",
            "output": heads,
            "tensors": f"{self.num_tensors}, all used"
            + (f" but {num_dropped}" if num_dropped else ""),
            "dropped": first_few(self.dropped) if num_dropped else "",
            "from its name": _pairs(self.from_name),
            "not needed": _pairs(self.not_needed),
            "absent": f"{self.absent_counters} batch counters" if self.absent_counters else "",
            "not read": ", ".join(self.not_read),
        }
        return {name: fact for name, fact in facts.items() if fact}


def convert(
    path: Path,
    out: Path,
    *,
    repository: str | None = None,
    settings: Settings | None = None,
    labels: Path | None = None,
) -> Converted:
    """Write the checkpoint at `path` as a release to the new folder `out`; what was found in it.

    Args:
        path: a file of weights, as its authors published or trained it.
        out: a folder that does not exist or is empty.
        repository: whose it is; None tries all that are known.
        settings: what its tensors do not tell; they go before what its name says.
        labels: a file of class names, one a line; None calls the classes 0, 1, 2...

    Raises:
        CheckpointError: the file cannot be read, is of no known repository, does not say enough or
            does not fit its model tensor by tensor.
    """
    refuse_occupied(out)
    content, beside = unwrapped(read_weights_file(path))
    weights = state_dict_of(content, path)
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    source = named(repository) if repository else recognised(shapes, path)
    given, in_name = (settings or Settings()).given(), settings_in_name(path.name).given()
    known = Settings(**in_name | given)
    spec = spec_of(source, shapes, known, path)
    used = {name for name in known.given() if _decides(name, spec, source, shapes, known)}
    weights = source.parts(weights, spec)
    check_numbers({name: w for name, w in weights.items() if source.rename(name)}, path)
    ours = fitted(weights, source, spec, path)
    converted = Converted(
        repository=source.name,
        recipe=recipe_of(spec, out.name, known),
        num_tensors=len(weights),
        dropped=tuple(name for name in weights if source.rename(name) is None),
        from_name={k: v for k, v in in_name.items() if k in used - set(given)},
        not_needed={k: v for k, v in given.items() if k not in used},
        absent_counters=len(set(ours) - {source.rename(name) for name in weights}),
        not_read=beside,
    )
    write_release(out, converted.recipe, ours, _classes(labels, spec), _card(converted, path))
    return converted


def named(name: str) -> Repository:
    """The repository of this name; CheckpointError suggests the nearest."""
    known = {repository.name: repository for repository in REPOSITORIES}
    if name not in known:
        raise CheckpointError(f"there is no repository '{name}'", did_you_mean(name, known))
    return known[name]


def recognised(shapes: Shapes, path: Path) -> Repository:
    """The one repository whose checkpoints look like this; CheckpointError for none or several."""
    if any(name.startswith("encoder.") for name in shapes):
        raise CheckpointError(
            f"{path} has marey's own names", "it needs no conversion: --weights takes it"
        )
    likely = [repository for repository in REPOSITORIES if repository.recognises(shapes)]
    if len(likely) == 1:
        return likely[0]
    known = ", ".join(repository.name for repository in likely or REPOSITORIES)
    if likely:
        raise CheckpointError(f"{path} may be of {known}", f"say which: --from {likely[0].name}")
    raise CheckpointError(
        f"{path} is of no repository known here (its tensors: {first_few(shapes)})",
        f"known: {known}; --from NAME tries one of them all the same",
    )


def recipe_of(spec: ModelSpec, name: str, settings: Settings) -> Recipe:
    """A recipe that tests the model on one centre clip; how it was trained is not known."""
    if isinstance(spec.encoder, MotionformerSpec):
        return motionformer.recipe_of(spec, name, settings)
    frames = sampling_of(spec)
    short_side = 224 if isinstance(spec.encoder, BLVNetSpec) else 256
    is_flow = spec.encoder.in_channels != 3
    return Recipe(
        name=name,
        model=spec,
        train=Views(frames),
        test=TestViews(frames, CenterCrop(224, short_side)),
        augment=Augment(mean=(0.5,), std=(0.226,)) if is_flow else Augment(),
    )


def sampling_of(spec: ModelSpec) -> Sampling:
    """Frames spread evenly; TDN's five follow each other, bLVNet's are those it was tested with."""
    if isinstance(spec.encoder, BLVNetSpec):
        return Uniform(spec.frames, variant="upstream")
    return Segments(spec.num_segments, spec.encoder.frames_per_segment)


def spec_of(source: Repository, shapes: Shapes, settings: Settings, path: Path) -> ModelSpec:
    """The model of this repository that the shapes give; CheckpointError if there is none."""
    try:
        return source.model_of(shapes, settings)
    except CheckpointError as error:
        raise CheckpointError(
            f"{path} (repository {source.name}): {error.message}", error.hint
        ) from error
    except (ValueError, LookupError, ZeroDivisionError) as error:  # odd shapes, or a bad --set
        raise CheckpointError(
            f"{path} is no model of repository {source.name}: {type(error).__name__}, {error}"
        ) from error


def _decides(
    name: str, spec: ModelSpec, source: Repository, shapes: Shapes, settings: Settings
) -> bool:
    """Whether model or recipe would be others, or not be known, had `name` not been said."""
    unsaid = replace(settings, **{name: None})
    try:
        other = recipe_of(spec_of(source, shapes, unsaid, Path()), "", unsaid)
        return other != recipe_of(spec, "", settings)
    except CheckpointError:
        return True


def fitted(
    weights: Mapping[str, Tensor], source: Repository, spec: ModelSpec, path: Path
) -> dict[str, Tensor]:
    """The complete state dict of the model; CheckpointError lists what does not fit."""
    try:
        with torch.device("meta"):
            own = spec.build().state_dict()
        ours = renamed(weights, source.rename, own)
    except ValueError as error:  # an op that finds no place, a name that two tensors get
        raise CheckpointError(f"{path}: {error}") from error
    counters = {name for name in own if name.endswith("num_batches_tracked")}
    ours |= {name: torch.zeros((), dtype=torch.int64) for name in counters - set(ours)}
    called = {name: theirs for theirs in weights if (name := source.rename(theirs))}
    check_fit(own, ours, source=path, called=called)
    return {name: weight.to(own[name].dtype) for name, weight in ours.items()}


def _classes(labels: Path | None, spec: ModelSpec) -> dict[str, Sequence[str]]:
    """The class names of each head: those in the file, or numbers."""
    numbers = {head.name: [str(n) for n in range(head.num_classes)] for head in spec.heads}
    if labels is None:
        return dict(numbers)
    names = read_classes(labels)
    if [len(names)] != [head.num_classes for head in spec.heads]:
        counts = " and ".join(str(head.num_classes) for head in spec.heads)
        raise CheckpointError(
            f"{labels} names {len(names)} classes, the checkpoint has {counts}",
            "one name a line, in the order in which the model was trained"
            + ("; without --labels classes are numbers" if len(spec.heads) > 1 else ""),
        )
    return {spec.heads[0].name: names}


def _card(converted: Converted, path: Path) -> str:
    facts = "\n".join(f"- {name}: {fact}" for name, fact in converted.facts().items())
    return f"""# {converted.recipe.name}

Converted by marey from `{path.name}`. `marey.load("this folder").predict("clip.mp4")`.

{facts}

How it was trained is not in the file; the recipe in config.json tests one clip, centre crop.
"""


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
