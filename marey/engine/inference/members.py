"""The members of an ensemble, and their classes: matched by name, whatever their order."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from marey.data.manifest.classes import unnamed
from marey.engine.inference.evaluate import Evaluation
from marey.engine.inference.measures import ClassCounts
from marey.engine.inference.stored import StoredGroups
from marey.engine.results_file import ClassGroups
from marey.errors import RunError, counted, first_few

Rows: TypeAlias = npt.NDArray[np.int64]
log = logging.getLogger("marey")


@dataclass(frozen=True, eq=False)
class Member:
    """What one model says of its clips, and how much it counts."""

    name: str
    evaluation: Evaluation
    weight: float = 1.0


def check_classes(models: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    """RunError unless all models, by their names, have the same heads of the same classes.

    models: name -> head -> its classes, in any order; classes that have only numbers are anything.
    """
    (first, ours), *others = models.items()
    for other, theirs in others:
        if theirs.keys() != ours.keys():
            raise RunError(
                f"{first} has the heads {', '.join(sorted(ours))}, "
                f"{other} {', '.join(sorted(theirs))}",
                "an ensemble is of models with the same heads",
            )
    for head in ours:
        named = next((n for n in models if not _is_unnamed(models[n][head])), first)
        for other in models:
            _check_head(head, (named, models[named][head]), (other, models[other][head]))


def with_common_classes(members: Sequence[Member]) -> list[Member]:
    """All with the classes in one order: that of the first member that has names.

    RunError for heads and classes as `check_classes`, and for clips of one class beside clips of
    several.
    """
    check_classes({m.name: m.evaluation.manifest.classes for m in members})
    for head in members[0].evaluation.scores:
        for other in members[1:]:
            if has_several(members[0], head) != has_several(other, head):
                raise RunError(
                    f"clips have several classes of '{head}' in one of {members[0].name} and "
                    f"{other.name}, one class in the other"
                )
        named = next((m for m in members if not _is_unnamed(_classes(m, head))), members[0])
        members = [_with_classes(member, head, named) for member in members]
    return list(members)


def common_groups(trained_on: Sequence[ClassCounts], heads: Iterable[str]) -> StoredGroups:
    """The groups that all members which have any agree on."""
    agreed = {}
    for head in heads:
        known = [found for each in trained_on if (found := each.class_groups(head))]
        if known and all(_in_order(each) == _in_order(known[0]) for each in known):
            agreed[head] = known[0]
        elif known:
            log.warning(
                "the members were trained on different sets: no head, tail and few-shot classes of "
                "'%s'; a training manifest, where it is given, says of which set they are",
                head,
            )
    return StoredGroups(agreed)


def _in_order(groups: ClassGroups) -> ClassGroups:
    """The same with the classes by number, which stand by their counts in the model's own order."""
    return replace(groups, classes={name: sorted(of) for name, of in groups.classes.items()})


def has_several(member: Member, head: str) -> bool:
    """Whether its clips have several classes of the head."""
    return member.evaluation.manifest.has_several(head)


def _check_head(
    head: str, named: tuple[str, Sequence[str]], other: tuple[str, Sequence[str]]
) -> None:
    hint = "an ensemble is of models of the same classes"
    (one, ours), (two, theirs) = named, other
    if len(theirs) != len(ours):
        raise RunError(
            f"{one} has {counted(len(ours), 'class')} of '{head}', {two} {len(theirs)}", hint
        )
    if not _is_unnamed(theirs) and {*theirs} != {*ours}:
        only_one, only_two = (
            first_few(n for n in a if n not in {*b}) for a, b in ((ours, theirs), (theirs, ours))
        )
        raise RunError(
            f"the classes of '{head}' differ: only {one} has {only_one}, only {two} has {only_two}",
            hint,
        )


def _with_classes(member: Member, head: str, named: Member) -> Member:
    theirs, ours = _classes(member, head), _classes(named, head)
    if theirs == ours:
        return member
    if _is_unnamed(theirs):
        log.warning(
            "the classes of '%s' have only numbers in %s: class 0 is taken for '%s', as in %s, and "
            "so on",
            head,
            member.name,
            ours[0],
            named.name,
        )
        return _relabelled(member, head, ours, np.arange(len(ours)))
    where = {name: number for number, name in enumerate(theirs)}
    return _relabelled(member, head, ours, np.array([where[name] for name in ours]))


def _relabelled(member: Member, head: str, classes: tuple[str, ...], order: Rows) -> Member:
    """The same with these classes, whose number i is that of `order[i]` [k] until now."""
    evaluation = member.evaluation
    labels = evaluation.manifest.labels[head]
    labels = labels[:, order] if labels.ndim == 2 else np.argsort(order)[labels]
    groups = _known_groups(evaluation.trained_on, evaluation.scores)
    if head in groups:
        new = np.argsort(order)
        moved = {name: sorted(new[of].tolist()) for name, of in groups[head].classes.items()}
        groups[head] = replace(groups[head], classes=moved)
    evaluation = replace(
        evaluation,
        manifest=evaluation.manifest.with_columns({head: labels}, {head: classes}),
        scores=evaluation.scores | {head: evaluation.scores[head][:, order]},
        trained_on=StoredGroups(groups),
    )
    return replace(member, evaluation=evaluation)


def _classes(member: Member, head: str) -> tuple[str, ...]:
    return member.evaluation.manifest.classes[head]


def _is_unnamed(classes: Sequence[str]) -> bool:
    return tuple(classes) == unnamed(len(classes))


def _known_groups(trained_on: ClassCounts, heads: Iterable[str]) -> dict[str, ClassGroups]:
    groups = {head: trained_on.class_groups(head) for head in heads}
    return {head: of for head, of in groups.items() if of is not None}
