"""An ensemble: the weighted mean of what several models say of the same clips.

    s = sum over members of w_m s_m / sum of w_m       (TSM's --coeff divides by their number)

Clips are matched by what they are called, never by where they stand in a list; classes by name. A
clip that any member lacks is missing for all: it is listed with those that lack it, and counts as
wrong. Nothing here knows of models: members are evaluations, made just now or read back.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from marey.engine.inference.evaluate import Evaluation
from marey.engine.inference.measures import probabilities_of
from marey.engine.inference.member_clips import identities, missing_of_any, on_all_clips
from marey.engine.inference.members import (
    Member,
    common_groups,
    with_common_classes,
)
from marey.engine.inference.probabilities import Average
from marey.engine.inference.scoring import ScoreArrays
from marey.errors import RunError, counted
from marey.metrics.catalog import Scores

log = logging.getLogger("marey")


@dataclass(frozen=True, eq=False)
class Combined:
    """Members on the clips of all of them, and the mean of their scores."""

    members: tuple[Member, ...]
    result: Evaluation
    matched_by: str
    """What clips are matched by, in words."""


def combine(members: Sequence[Member], average: Average) -> Combined:
    """The mean of the members' scores, of every clip that one of them has.

    Args:
        members: two or more, with weights of `checked_weights`.
        average: what is averaged; probabilities are those of a member's mean logits, if that is
            what it has.

    Raises:
        RunError: heads, classes or labels that are not the same, no clip that all have, logits of a
            member that has probabilities.
    """
    check_average({member.name: member.evaluation.average for member in members}, average)
    members = with_common_classes(members)
    if average == "logits":
        _check_kinds(members)
    matched_by, keys = identities(members)
    members = on_all_clips(members, keys)
    _say_twins(members)
    total = sum(member.weight for member in members)
    scores: ScoreArrays = {
        head: np.asarray(
            sum(m.weight / total * _as(average, m, head).astype(np.float64) for m in members),
            np.float32,
        )
        for head in members[0].evaluation.scores
    }
    first = members[0].evaluation
    result = replace(
        first,
        scores=scores,
        missing=missing_of_any(members),
        average=average,
        trained_on=common_groups([member.evaluation.trained_on for member in members], scores),
    )
    return Combined(tuple(members), result, matched_by)


def checked_weights(weights: Sequence[float], num_members: int) -> tuple[float, ...]:
    """The weights, one a member; equal ones if there are none. ValueError for others.

    >>> checked_weights([], 2), checked_weights([1, 1.5], 2)
    ((1.0, 1.0), (1.0, 1.5))
    """
    if not weights:
        return (1.0,) * num_members
    if len(weights) != num_members:
        given = counted(len(weights), "weight")
        raise ValueError(f"{given} for {num_members} models, expected one for each")
    for weight in weights:
        if not (np.isfinite(weight) and weight >= 0):
            raise ValueError(f"a weight is {weight:g}, expected a number of at least 0")
    if not sum(weights):
        raise ValueError("all weights are 0, expected one above 0")
    if not np.isfinite(sum(weights)):  # each would be nothing of it
        raise ValueError("the weights are too large to be added")
    return tuple(map(float, weights))


def common_average(averages: Mapping[str, Average]) -> Average:
    """What the views of all models, by their names, are averaged of; RunError if that differs."""
    (first, ours), *others = averages.items()
    for other, theirs in others:
        if theirs != ours:
            raise RunError(
                f"the views of {first} are averaged as {ours}, those of {other} as {theirs}",
                "say what is averaged over the models (average): probs takes the softmax of the "
                "logits, logits needs all tested with test.average=logits",
            )
    return ours


def check_average(averages: Mapping[str, Average], wanted: Average) -> None:
    """RunError if logits are wanted of a model that has probabilities."""
    for name, average in averages.items():
        if average == "probs" and wanted == "logits":
            raise RunError(
                f"{name} has the mean of its views' probabilities, no logits",
                "test it with test.average=logits, or average probabilities (average: probs)",
            )


def _check_kinds(members: Sequence[Member]) -> None:
    """RunError if logits of a head are of each class alone in one member, and not in another."""
    first, *others = members
    for head in first.evaluation.scores:
        for other in others:
            if other.evaluation.is_of_each(head) != first.evaluation.is_of_each(head):
                raise RunError(
                    f"{first.name} and {other.name}: one was trained for one class of '{head}' a "
                    "clip, the other for several, so that their logits have no mean",
                    "average probabilities (average: probs)",
                )


def _as(average: Average, member: Member, head: str) -> Scores:
    """The member's scores [n k] as what is averaged."""
    own, scores = member.evaluation.average, member.evaluation.scores[head]
    if own == average:
        return scores
    return probabilities_of(scores, own, several=member.evaluation.is_of_each(head))


def _say_twins(members: Sequence[Member]) -> None:
    """Warn of members that say the same of every clip."""
    for i, one in enumerate(members):
        for other in members[i + 1 :]:
            pairs = zip(
                one.evaluation.scores.values(), other.evaluation.scores.values(), strict=True
            )
            if all(np.array_equal(a, b, equal_nan=True) for a, b in pairs):
                log.warning(
                    "%s and %s give the same scores for every clip: is it one model twice?",
                    one.name,
                    other.name,
                )
