"""An evaluation as it was written, read back: predictions.parquet and the results.json beside it.

Or what `marey predict` wrote of clips with labels, whose file says itself what its scores are.

The scores stand in the former; class names, which scores these are, the clips that could not be
read and the groups of classes in the latter. Without it classes have only numbers, a clip that is
not in the file is unknown, and what was averaged over views is read off the scores where only one
reading is possible.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from marey.data.manifest.classes import unnamed
from marey.data.manifest.columns import BOUNDS
from marey.data.manifest.manifest import Manifest
from marey.engine.inference.evaluate import Evaluation
from marey.engine.inference.predictions import Predictions, read_predictions
from marey.engine.inference.probabilities import Average
from marey.engine.results_file import FILE as RESULTS
from marey.engine.results_file import ClassGroups, MissingClip, Results, read_results
from marey.errors import RunError, counted
from marey.metrics.catalog import Scores
from marey.metrics.groups import Groups
from marey.storage.url import any_path
from marey.terminal import visible

DUMP = "predictions.parquet"
log = logging.getLogger("marey")


@dataclass(frozen=True)
class StoredGroups:
    """The groups of classes that results.json names; the counts they are made of stay in the run.

    Args:
        named: head -> its groups.
    """

    named: Mapping[str, ClassGroups] = field(default_factory=dict)

    def groups(self, head: str) -> Groups | None:
        """The groups of a head; None if there are none."""
        return self.named[head].groups if head in self.named else None

    def class_groups(self, head: str) -> ClassGroups | None:
        """The same as results.json holds them."""
        return self.named.get(head)


@dataclass(frozen=True, eq=False)
class Stored:
    """An evaluation that was read back, and what results.json says of it besides."""

    path: Path
    """Of the predictions."""
    evaluation: Evaluation
    facts: Results
    """Empty without a results.json."""


def dump_of(path: Path) -> Path | None:
    """The predictions that `path` means: a Parquet file, or a result's folder or results.json.

    None for what may be a model; RunError for a file of answers without the scores of all classes.
    """
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".pq"):
        return path
    if path.name == RESULTS:
        return path.with_name(DUMP)
    if suffix in (".csv", ".tsv", ".json", ".jsonl", ".pkl") and path.is_file():
        raise RunError(
            f"{path} does not hold the scores of all classes as marey writes them",
            f"give the {DUMP} of marey eval, or of marey predict --out NAME.parquet; a list of "
            "clips to test on is no model, but a manifest",
        )
    is_result = (path / DUMP).is_file() and (path / RESULTS).is_file()
    return path / DUMP if is_result else None


def read_stored(path: Path) -> Stored:
    """The evaluation whose predictions lie at `path`.

    Clips that could not be read are those that results.json lists with their labels; an earlier
    marey did not write these, and then it is said that such clips do not count.

    Raises:
        RunError: the file is not what an evaluation writes, or is not of the results beside it; or
            there are none, and its scores may be logits as well as probabilities.
    """
    clips = read_predictions(path)
    beside = path.with_name(RESULTS)
    is_said = clips.facts is not None or beside.is_file()
    facts = clips.facts or (read_results(beside) if is_said else Results())
    lost = _lost(path, clips, facts)
    if not clips.ids and not lost:
        raise RunError(f"{path} holds no clip, expected scores a clip")
    _refuse_others(path, clips, facts)
    order = np.argsort(_rows(clips, lost), kind="stable")
    manifest = _manifest(path, clips, lost, facts).take(order)
    scores = {head: _with_missing(of, len(lost))[order] for head, (of, _) in clips.heads.items()}
    reasons = [*[None] * len(clips.ids), *(each.reason or "could not be read" for each in lost)]
    missing = {new: reasons[old] for new, old in enumerate(order.tolist()) if reasons[old]}
    average = facts.average if is_said else _seen_average(path, clips)
    groups = StoredGroups(facts.groups)
    several = None if facts.several is None else frozenset(facts.several)
    found = Evaluation(manifest, scores, missing, average, groups, several=several)
    return Stored(path, found, facts)


def _lost(path: Path, clips: Predictions, facts: Results) -> list[MissingClip]:
    """The clips that could not be read, and whose labels are known."""
    known = [each for each in facts.missing if each.labels.keys() == clips.heads.keys()]
    if unknown := facts.num_missing - len(known):
        log.warning(
            "%s: %s could not be read, of which results.json has no labels: counted only if "
            "another model has them",
            path,
            counted(unknown, "clip"),
        )
    return known


def _refuse_others(path: Path, clips: Predictions, facts: Results) -> None:
    """RunError if results.json was not written with the predictions."""
    if facts.num_clips is None:
        return
    counts = {head: scores.shape[1] for head, (scores, _) in clips.heads.items()}
    named = {head: len(facts.classes[head]) for head in counts if head in facts.classes}
    wrong = named.items() - counts.items()
    if wrong or len(clips.ids) + facts.num_missing != facts.num_clips:
        raise RunError(
            f"{path} holds {counted(len(clips.ids), 'clip')} of {counts}, what is said of it is "
            f"{facts.num_clips - facts.num_missing} of {named}",
            "they are not of one evaluation: evaluate again",
        )


def _rows(clips: Predictions, lost: Sequence[MissingClip]) -> list[int]:
    """The row in its manifest of each clip that was read, then of those that were not."""
    are_rows = all(each.isdecimal() for each in clips.ids)
    read = map(int, clips.ids) if are_rows else range(len(clips.ids))
    return [*read, *(len(clips.ids) if each.row is None else each.row for each in lost)]


def _manifest(
    path: Path, clips: Predictions, lost: Sequence[MissingClip], facts: Results
) -> Manifest:
    """The clips that were read, then those that were not."""
    paths = [*(clips.paths or clips.ids), *(each.path for each in lost)]
    root = _root(paths, facts.root)
    spans = [*clips.spans, *((each.start, each.end) for each in lost)]
    starts, ends = BOUNDS[facts.span_unit]
    columns = {
        "path": [each[len(root) :] for each in paths],
        starts: [start for start, _ in spans],
        ends: [end for _, end in spans],
        "source": clips.sources and [*clips.sources, *(each.source for each in lost)],
        "id": clips.clip_ids and [*clips.clip_ids, *(each.clip_id for each in lost)],
    }
    labels = {
        head: np.concatenate([labels, _labels(lost, head, labels)])
        for head, (_, labels) in clips.heads.items()
    }
    classes = {
        head: facts.classes.get(head) or unnamed(scores.shape[1])
        for head, (scores, _) in clips.heads.items()
    }
    if all(start is end is None for start, end in spans):
        del columns[starts], columns[ends]
    return Manifest.from_columns(path, any_path(root or "."), columns | labels, classes)


def _root(paths: Sequence[str], known: str | None) -> str:
    """Where all paths start, with the slash behind it; "" if there is no such place."""
    if known and all(each.startswith(f"{visible(known)}/") for each in paths):
        return f"{visible(known)}/"
    if not paths:
        return ""
    first, last = min(paths), max(paths)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), None)
    common = first if same is None else first[:same]
    return common[: common.rfind("/") + 1]


def _labels(lost: Sequence[MissingClip], head: str, like: np.ndarray) -> np.ndarray:
    """The labels of clips that could not be read, int64 [m], or bool [m k] as `like` has them."""
    if like.ndim == 1:
        return np.array([each.labels[head][0] for each in lost], like.dtype)
    labels = np.zeros((len(lost), like.shape[1]), bool)
    for row, each in enumerate(lost):
        labels[row, list(each.labels[head])] = True
    return labels


def _with_missing(scores: Scores, num_missing: int) -> Scores:
    gaps = np.full((num_missing, scores.shape[1]), np.nan, np.float32)
    return np.concatenate([scores, gaps])


def _seen_average(path: Path, clips: Predictions) -> Average:
    """What scores are of which nobody says, and that it was seen; RunError where they may be both.

    Those of each clip sum to 1 if they are probabilities, one of which is right; some are below 0
    or above 1 if they are logits. Probabilities of several classes do neither, as logits may.
    """
    scores = [of for of, _ in clips.heads.values()]
    if all((of >= 0).all() and np.allclose(of.sum(axis=1), 1, atol=1e-3) for of in scores):
        seen: Average = "probs"
        told = "probabilities, as they sum to 1 in every clip"
    elif any(((of < 0) | (of > 1)).any() for of in scores):
        seen, told = "logits", "logits, as some are below 0 or above 1"
    else:
        raise RunError(
            f"{path} has no {RESULTS} beside it, and its scores, all from 0 to 1, may be "
            "probabilities of several classes a clip, or logits",
            f'write {{"average": "probs"}} or {{"average": "logits"}} into {RESULTS} beside it',
        )
    log.warning("%s has no %s beside it: its scores are taken for %s", path, RESULTS, told)
    return seen
