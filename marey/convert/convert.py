"""From a checkpoint of another code base to a release of ours, with nothing left open or over.

    read_weights_file -> state dict -> whose is it? -> what model? -> our names -> strict fit -> DIR

The whole of the file is accounted for: every tensor is used, or dropped on purpose by the rule of
its repository and listed. What the tensors cannot tell is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from marey.convert import (
    arp,
    beside,
    biglittle,
    blvnet,
    gc,
    gst,
    mmaction2,
    motionformer,
    motionformer_counts,
    release_recipe,
    tdn,
    torchvision,
    tsm,
    videolt,
)
from marey.convert.converted import Converted
from marey.convert.evidence import Evidence, measured, others, with_value
from marey.convert.file_names import told_by_path
from marey.convert.repository import Repository, Settings, Shapes, renamed
from marey.data.manifest.classes import read_classes
from marey.engine.weights.checkpoint import check_fit
from marey.engine.weights.class_counts import Counts, write_class_counts
from marey.engine.weights.read_file import read_weights_file
from marey.engine.weights.state_dict import Unwrapped, state_dict_of, unwrapped
from marey.engine.weights.trained import refuse_occupied, write_release
from marey.engine.weights.usable import check_tensors, check_weights
from marey.errors import CheckpointError, did_you_mean, first_few
from marey.models.encoders.features import FeatureEncoder
from marey.models.encoders.motionformer import MotionformerSpec
from marey.models.video_model import ModelSpec
from marey.recipes.recipe import Recipe
from marey.recipes.schema import from_plain

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
    videolt.REPOSITORY,
)


_CONFIGURATIONS = ("cfg", "config", "meta")
"""The entries in which code bases keep what `Repository.told` reads."""


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
        labels: a file of class names, one a line; None takes those beside the weights, or calls the
            classes 0, 1, 2...

    Raises:
        CheckpointError: the file cannot be read, is of no known repository, does not say enough or
            does not fit its model tensor by tensor.
    """
    refuse_occupied(out)
    found = unwrapped(read_weights_file(path))
    weights = state_dict_of(found.content, path)
    check_tensors(weights, path)
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    source = named(repository) if repository else recognised(shapes, path)
    check_weights({name: w for name, w in weights.items() if source.rename(name)}, path)
    evidence = _evidence(settings or Settings(), found, source, path)
    evidence, spec, differing = _believed(evidence, source, shapes, path)
    known = evidence.settings
    recipe = _recipe(spec, out.name, known, source, path)
    used = {name for name in known.given() if _decides(name, spec, source, shapes, known)}
    _refuse_unused(evidence.set, used, path)
    counts = _counted(source, weights, found, spec, path)
    names = None if labels else beside.class_names(found.beside)
    weights = source.parts(weights, spec)
    ours = fitted(weights, source, spec, path)
    converted = Converted(
        repository=source.name,
        recipe=recipe,
        views=_views(spec, known, source.name),
        num_tensors=len(weights),
        inside=found.inside,
        dropped=tuple(name for name in weights if source.rename(name) is None),
        from_set=evidence.set,
        from_cfg={k: v for k, v in evidence.cfg.settings.items() if k in used - set(evidence.set)},
        from_name={
            k: v
            for k, v in evidence.name.settings.items()
            if k in used - set(evidence.set) - set(evidence.cfg.settings)
        },
        differing=differing,
        assumed=(*source.assumed(spec, known, evidence.cfg), *evidence.usual(used)),
        notes={
            **source.notes(spec, known, evidence.cfg),
            "class counts": motionformer_counts.in_words(counts, weights, found.beside),
            "class names": beside.in_words(names, spec.heads) if names else "",
            "averages": beside.averages(found.beside, found.inside),
        },
        name_read=evidence.name_read,
        absent_counters=len(set(ours) - {source.rename(name) for name in weights}),
        not_read=tuple(
            name for name in found.beside if not (evidence.cfg and name in _CONFIGURATIONS)
        ),
    )
    write_release(
        out,
        converted.recipe,
        ours,
        _classes(labels, names, spec),
        converted.card(path.name),
        made_by=converted.facts(),
    )
    if counts:
        write_class_counts(counts, out)
    return converted


def _evidence(settings: Settings, found: Unwrapped, source: Repository, path: Path) -> Evidence:
    """What is said of the checkpoint; CheckpointError where two say different things."""
    try:
        cfg = source.told(found.beside)
        from_plain(Settings, dict(cfg.settings), source=f"{path}, its configuration")  # its types
        name, read = told_by_path(path)
        evidence = Evidence(set=settings.given(), cfg=cfg, name=name, name_read=read)
        evidence.check_agreement()
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error.message}", error.hint) from error
    return evidence


def _counted(
    source: Repository,
    weights: Mapping[str, Tensor],
    found: Unwrapped,
    spec: ModelSpec,
    path: Path,
) -> Mapping[str, Counts]:
    """The training clips of every class that the file says; CheckpointError if it says two."""
    try:
        return source.class_counts(weights, found.beside, spec)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error.message}", error.hint) from error


def _believed(
    evidence: Evidence, source: Repository, shapes: Shapes, path: Path
) -> tuple[Evidence, ModelSpec, tuple[str, ...]]:
    """What is to be believed, the model by it, and what the file's name says otherwise.

    The name is not believed in anything if it names other temporal ops than the tensors have.
    """
    marks = source.marks(shapes)
    if not (doubts := evidence.doubts(marks)):
        spec = spec_of(source, shapes, evidence.settings, path)
        doubts = evidence.doubts(measured(spec))
    if doubts:
        spec = _without_name(evidence, doubts, source, shapes, path)
        return evidence.without_name(), spec, tuple(doubts.values())
    try:
        return evidence, spec, evidence.against_tensors({**measured(spec), **marks})
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error.message}", error.hint) from error


def _without_name(
    evidence: Evidence, doubts: Mapping[str, str], source: Repository, shapes: Shapes, path: Path
) -> ModelSpec:
    """The model by what else is said; CheckpointError if only the name says enough.

    The hint asks for what the name says, but where that is in doubt.
    """
    try:
        return _model_of(source, shapes, evidence.without_name().settings)
    except CheckpointError as error:
        hint = error.hint or ""
        for key, value in evidence.name.settings.items():
            if not (key in ("shift_div", "place") and "shift" in doubts):
                hint = re.sub(rf"--set {key}=\w+", f"--set {key}={str(value).lower()}", hint)
        raise CheckpointError(
            f"{path}: {evidence.name_read} says {'; '.join(doubts.values())}. Either it is the "
            "name of another model, in which segments, shift and views are wrong, too, or a part "
            f"of the model is not in the file. So nothing is taken from the name, and "
            f"{error.message}",
            hint,
        ) from error


def _refuse_unused(said: Mapping[str, Any], used: Collection[str], path: Path) -> None:
    """CheckpointError for what is said and decides nothing; a data set is a fact by itself."""
    unused = [f"{k}={value}" for k, value in said.items() if k not in {*used, "data"}]
    if unused:
        raise CheckpointError(
            f"{path}: --set {' '.join(unused)} decides nothing in this model",
            f"what decides something: {', '.join(sorted(used)) or 'nothing; leave --set out'}",
        )


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


def recipe_of(spec: ModelSpec, name: str, settings: Settings, repository: str = "") -> Recipe:
    """A recipe that tests the model as its code base did; CheckpointError if none is possible."""
    try:
        if isinstance(spec.encoder, MotionformerSpec):
            return motionformer.recipe_of(spec, name, settings)
        if isinstance(spec.encoder, FeatureEncoder):
            return videolt.recipe_of(spec, name)
        return release_recipe.recipe_of(spec, name, settings, repository)
    except ValueError as error:
        raise CheckpointError(f"it cannot be tested as is said: {error}") from error


def _recipe(
    spec: ModelSpec, name: str, settings: Settings, source: Repository, path: Path
) -> Recipe:
    """The recipe of the release; the CheckpointError names the file."""
    try:
        return recipe_of(spec, name, settings, source.name)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error.message}", error.hint) from error


def _views(spec: ModelSpec, settings: Settings, repository: str) -> str:
    if isinstance(spec.encoder, MotionformerSpec | FeatureEncoder):
        return ""
    return release_recipe.views_in_words(spec, settings, repository)


def spec_of(source: Repository, shapes: Shapes, settings: Settings, path: Path) -> ModelSpec:
    """The model of this repository that the shapes give; CheckpointError if there is none."""
    try:
        return _model_of(source, shapes, settings)
    except CheckpointError as error:
        raise CheckpointError(
            f"{path} (repository {source.name}): {error.message}", error.hint
        ) from error


def _model_of(source: Repository, shapes: Shapes, settings: Settings) -> ModelSpec:
    """The same, whose error does not name the file."""
    try:
        return source.model_of(shapes, settings)
    except LookupError as error:
        raise _of_another(source, shapes) from error
    except (ValueError, ZeroDivisionError) as error:  # odd shapes, or a bad --set
        raise CheckpointError(f"it is no model of this code base: {error}") from error


def _of_another(source: Repository, shapes: Shapes) -> CheckpointError:
    """That tensors are missing by which models of this repository are told, and whose these are."""
    likely = [other.name for other in REPOSITORIES if other.recognises(shapes)]
    others = [name for name in likely if name != source.name]
    return CheckpointError(
        f"it has not the tensors by which models of {source.name} are told; it has "
        f"{first_few(shapes)}" + (f", as {' and '.join(others)} write them" if others else ""),
        f"--from {others[0]}" if others else "it is of another code base, or a part is missing",
    )


def _decides(
    name: str, spec: ModelSpec, source: Repository, shapes: Shapes, settings: Settings
) -> bool:
    """Whether model or recipe would be others, or none, had something else been said of `name`."""
    recipe = recipe_of(spec, "", settings, source.name)
    for value in others(name, getattr(settings, name)):
        other = with_value(settings, name, value)
        try:
            spec = spec_of(source, shapes, other, Path())
            if recipe_of(spec, "", other, source.name) != recipe:
                return True
        except (CheckpointError, ValueError):
            return True
    return False


def fitted(
    weights: Mapping[str, Tensor], source: Repository, spec: ModelSpec, path: Path
) -> dict[str, Tensor]:
    """The complete state dict of the model; CheckpointError lists what does not fit."""
    try:
        with torch.device("meta"):
            own = spec.build().state_dict()
        ours = renamed(weights, source.rename, own)
    except (ValueError, RuntimeError) as error:  # no place for an op, one name twice, a huge shape
        raise CheckpointError(f"{path}: {error}") from error
    counters = {name for name in own if name.endswith("num_batches_tracked")}
    ours |= {name: torch.zeros((), dtype=torch.int64) for name in counters - set(ours)}
    called = {name: theirs for theirs in weights if (name := source.rename(theirs))}
    check_fit(own, ours, source=path, called=called)
    return {name: weight.to(own[name].dtype) for name, weight in ours.items()}


def _classes(
    labels: Path | None, named: beside.ClassNames | None, spec: ModelSpec
) -> dict[str, Sequence[str]]:
    """The class names of each head: those in the list, or beside the weights, or numbers."""
    if named and beside.usable(named, spec.heads):
        return {spec.heads[0].name: named.names}
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
