"""The clips of an ensemble: those of all its members, matched by what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from marey.data.manifest.columns import BOUNDS
from marey.data.manifest.manifest import Manifest
from marey.engine.inference.clip_identity import ClipNames, Keys, common_keys
from marey.engine.inference.members import Member, Rows
from marey.errors import RunError, counted


def identities(members: Sequence[Member]) -> tuple[str, list[Keys]]:
    """By what clips are matched, and what that is for every clip of every member.

    RunError if no clip is in all members. See `common_keys`.
    """
    manifests = [member.evaluation.manifest for member in members]
    if found := common_keys([ClipNames.of(manifest) for manifest in manifests]):
        return found
    first = ", ".join(
        f"'{member.evaluation.manifest.path(0)}' in {member.name}"
        if len(member.evaluation.manifest)
        else f"none in {member.name}"
        for member in members
    )
    raise RunError(
        f"no clip is in all models by its id or its path; the first are {first}",
        "give their manifests a column `id`, with what the data set calls each clip",
    )


def on_all_clips(members: Sequence[Member], keys: Sequence[Keys]) -> list[Member]:
    """The members on the clips that any of them has, in the order of the first."""
    union = {key: row for row, key in enumerate(dict.fromkeys(k for each in keys for k in each))}
    places = [np.array([union[key] for key in each], np.int64) for each in keys]
    _check_labels(members, places, len(union))
    clips = _joined([m.evaluation.manifest for m in members], places, len(union))
    return [_placed(m, clips, places[i]) for i, m in enumerate(members)]


def missing_of_any(members: Sequence[Member]) -> dict[int, str]:
    """Row -> which members lack the clip, and why."""
    reasons: dict[int, list[str]] = {}
    for member in members:
        for row, reason in member.evaluation.missing.items():
            reasons.setdefault(row, []).append(f"{member.name}: {reason}")
    return {row: "; ".join(of) for row, of in sorted(reasons.items())}


# --- one list of all clips ------------------------------------------------------------


def _check_labels(members: Sequence[Member], places: Sequence[Rows], num_clips: int) -> None:
    first, *others = members
    row_of = np.full(num_clips, -1)
    row_of[places[0]] = np.arange(len(places[0]))
    for other, place in zip(others, places[1:], strict=True):
        both = np.flatnonzero(row_of[place] >= 0)
        ours = row_of[place][both]
        a, b = first.evaluation.manifest, other.evaluation.manifest
        for head in first.evaluation.scores:
            same = a.labels[head][ours] == b.labels[head][both]
            wrong = np.flatnonzero(~(same if same.ndim == 1 else same.all(axis=1)))
            if len(wrong):
                clip = int(ours[wrong[0]])
                raise RunError(
                    f"{len(wrong)} of {counted(len(both), 'clip')} with another label of '{head}' "
                    f"in {other.name} than in {first.name}; the first is {a.path(clip)}: "
                    f"{_label(b, head, int(both[wrong[0]]))} and {_label(a, head, clip)}",
                    "an ensemble is tested on one set of labels",
                )


def _label(clips: Manifest, head: str, row: int) -> str:
    label = clips.labels[head][row]
    numbers = np.flatnonzero(label) if label.ndim else [int(label)]
    return " | ".join(f"'{clips.classes[head][number]}'" for number in numbers) or "none"


def _joined(clips: Sequence[Manifest], places: Sequence[Rows], num_clips: int) -> Manifest:
    """The manifest of all clips: the first, and below it what only others have."""
    first = clips[0]
    seen = np.zeros(num_clips, bool)
    seen[places[0]] = True
    if seen.all():
        return first
    tables, starts, ends = [_table(first)], *BOUNDS[first.unit]
    for manifest, place in zip(clips[1:], places[1:], strict=True):
        new = np.flatnonzero(~seen[place])
        seen[place] = True
        table = _table(manifest.take(new))
        kept = [n for n in table.column_names if n in {"path", "source", "id", starts, ends}]
        tables.append(table.select([*kept, *first.labels]))
    table = pa.concat_tables(tables, promote_options="default")
    columns = {name: table[name] for name in table.column_names}
    return Manifest.from_columns(first.source, Path(), columns, first.classes)


def _table(clips: Manifest) -> pa.Table:
    """The columns, with the whole paths."""
    paths = [str(clips.path(row)) for row in range(len(clips))]
    return clips.with_columns({"path": paths}).table


def _placed(member: Member, clips: Manifest, place: Rows) -> Member:
    """The member on all clips; those that it does not have are missing."""
    own = member.evaluation
    scores = {
        head: np.full((len(clips), of.shape[1]), np.nan, np.float32)
        for head, of in own.scores.items()
    }
    for head, of in own.scores.items():
        scores[head][place] = of
    lacks = np.setdiff1d(np.arange(len(clips)), place)
    missing = dict.fromkeys(lacks.tolist(), "not in its list")
    missing |= {int(place[row]): reason for row, reason in own.missing.items()}
    return replace(member, evaluation=replace(own, manifest=clips, scores=scores, missing=missing))
