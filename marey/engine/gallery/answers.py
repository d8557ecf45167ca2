"""What a run answered of the clips of a manifest, found by what the clips are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from marey.data.manifest.manifest import Manifest
from marey.engine.inference.clip_identity import ClipNames, common_keys
from marey.engine.report.run_files import read_run
from marey.errors import RunError


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The surest class of a head for one clip."""

    label: str
    confidence: float
    """Its probability."""
    is_right: bool
    """Whether it is a class of the clip, as the run's evaluation has its labels."""


@dataclass(frozen=True, eq=False)
class RunAnswers:
    """The answers of an evaluation."""

    name: str
    """Of the run and its evaluation."""
    matched_by: str
    """What the clips were found by, in words."""
    heads: Mapping[str, Mapping[int, Answer]]
    """Head -> row of the manifest -> answer; rows that were not evaluated are left out."""


def read_answers(run: Path, manifest: Manifest, results: str | None = None) -> RunAnswers:
    """What the run, or one of its evaluations (RUN/results/NAME), answered of these clips.

    Raises:
        RunError: there is no evaluation, or it is of none of these clips.
    """
    files = read_run(run, results)
    result = files.result
    if result is None or not result.num_read:
        raise RunError(f"{run} has no evaluation with answers", f"marey eval {run} makes one")
    common = common_keys([ClipNames.of(manifest), result.clip_names()])
    if common is None:
        raise RunError(
            f"the results '{result.name}' of {run} are of none of the clips of {manifest.source}, "
            "or clips have the same name",
            f"give the manifest that was evaluated: {result.facts.manifest or 'unknown'}",
        )
    words, (own, theirs) = common
    row_of = {key: row for row, key in enumerate(own)}
    places = [(row_of[key], at) for at, key in enumerate(theirs) if key in row_of]
    heads: dict[str, dict[int, Answer]] = {}
    for head in result.all_heads:
        best = head.probabilities.argmax(axis=1)
        right = head.targets[np.arange(len(best)), best]
        heads[head.name] = {
            row: Answer(
                label=head.classes[best[at]],
                confidence=float(head.probabilities[at, best[at]]),
                is_right=bool(right[at]),
            )
            for row, at in places
        }
    return RunAnswers(f"{files.name}, {result.name}", words, heads)
