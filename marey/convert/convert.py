"""From a checkpoint of another code base to a release of ours, with nothing left open or over.

    read_weights_file -> state dict -> whose is it? -> what model? -> our names -> strict fit -> DIR

The whole of the file is accounted for: every tensor is used, or dropped on purpose by the rule of
its repository and listed. What the tensors cannot tell is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from marey.convert import beside, motionformer_counts
from marey.convert.converted import Converted
from marey.convert.evidence import Evidence, measured
from marey.convert.file_names import told_by_path
from marey.convert.fitting import decides, fitted, model_of, recipe_of, spec_of, views_in_words
from marey.convert.repositories import named, recognised
from marey.convert.repository import Repository, Settings, Shapes
from marey.data.manifest.classes import read_classes
from marey.engine.weights.class_counts import write_class_counts
from marey.engine.weights.read_file import read_weights_file
from marey.engine.weights.state_dict import Unwrapped, state_dict_of, unwrapped
from marey.engine.weights.trained import refuse_occupied, write_release
from marey.engine.weights.usable import check_tensors, check_weights
from marey.errors import CheckpointError, counted
from marey.models.video_model import ModelSpec
from marey.recipes.schema import from_plain

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
    with _errors_of(path):
        recipe = recipe_of(spec, out.name, known, source.name)
        counts = source.class_counts(weights, found.beside, spec)
    used = {name for name in known.given() if decides(name, spec, source, shapes, known)}
    _refuse_unused(evidence.set, used, path)
    names = None if labels else beside.class_names(found.beside)
    weights = source.parts(weights, spec)
    ours = fitted(weights, source, spec, path)
    converted = Converted(
        repository=source.name,
        recipe=recipe,
        views=views_in_words(spec, known, source.name),
        num_tensors=len(weights),
        inside=found.inside,
        dropped=tuple(name for name in weights if source.rename(name) is None),
        from_set=evidence.set,
        from_cfg=evidence.of_cfg(used),
        from_name=evidence.of_name(used),
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


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """A CheckpointError of the block names the file."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error.message}", error.hint) from error


def _evidence(settings: Settings, found: Unwrapped, source: Repository, path: Path) -> Evidence:
    """What is said of the checkpoint; CheckpointError where two say different things."""
    with _errors_of(path):
        cfg = source.told(found.beside)
        from_plain(Settings, dict(cfg.settings), source=f"{path}, its configuration")  # its types
        name, read = told_by_path(path)
        evidence = Evidence(set=settings.given(), cfg=cfg, name=name, name_read=read)
        evidence.check_agreement()
    return evidence


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
    with _errors_of(path):
        return evidence, spec, evidence.against_tensors({**measured(spec), **marks})


def _without_name(
    evidence: Evidence, doubts: Mapping[str, str], source: Repository, shapes: Shapes, path: Path
) -> ModelSpec:
    """The model by what else is said; CheckpointError if only the name says enough.

    The hint asks for what the name says, but where that is in doubt.
    """
    try:
        return model_of(source, shapes, evidence.without_name().settings)
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
            f"{labels} names {counted(len(names), 'class')}, the checkpoint has {counts}",
            "one name a line, in the order in which the model was trained"
            + ("; without --labels classes are numbers" if len(spec.heads) > 1 else ""),
        )
    return {spec.heads[0].name: names}
