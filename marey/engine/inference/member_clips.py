"""The clips of an ensemble: those of all its members, matched by what they are called.

Two lists of one data set may differ in their order, in where the clips lie (frames here, optical
flow there) and in clips that one lacks. So a clip is known by its id; where a list has none, by its
path and span; where paths differ, by what they are below the root of each list.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from marey.data.manifest.columns import BOUNDS
from marey.data.manifest.manifest import Manifest
from marey.engine.inference.members import Member, Rows
from marey.errors import RunError

Keys: TypeAlias = list[Hashable]


def identities(members: Sequence[Member]) -> tuple[str, list[Keys]]:
    """By what clips are matched, and what that is for every clip of every member.

    The first by which each clip of a member is another one, and some clips are in all members.
    """
    manifests = [member.evaluation.manifest for member in members]
    for words, named in _IDENTITIES.items():
        keys = [named(manifest) for manifest in manifests]
        if any(each is None or len({*each}) < len(each) for each in keys):
            continue
        found = [each for each in keys if each is not None]
        if set.intersection(*({*each} for each in found)):
            roots = " and ".join(dict.fromkeys(str(manifest.root) for manifest in manifests))
            return words.format(roots=roots), found
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


# --- what a clip is called ------------------------------------------------------------


def _ids(clips: Manifest) -> Keys | None:
    """What the data set calls them, if it does so for every clip, each otherwise."""
    ids = [] if clips.ids is None else clips.ids.to_pylist()
    return ids if ids and all(ids) else None


def _spanned(clips: Manifest, names: Iterable[str]) -> Keys:
    spans = (clips.span(row) for row in range(len(clips)))
    return [(name, span) for name, span in zip(names, spans, strict=True)]


def _places(clips: Manifest) -> Keys:
    return _spanned(clips, (str(clips.path(row)) for row in range(len(clips))))


def _names(clips: Manifest) -> Keys:
    return _spanned(clips, clips.texts())


def _stems(clips: Manifest) -> Keys:
    """Their paths without the ending of the file, which folders of frames do not have."""
    return _spanned(clips, (str(PurePosixPath(text).with_suffix("")) for text in clips.texts()))


_IDENTITIES: Mapping[str, Callable[[Manifest], Keys | None]] = {
    "their ids": _ids,
    "their paths": _places,
    "their paths below {roots}": _names,
    "their paths below {roots}, without the endings of files": _stems,
}
"""What a clip may be called, in words, the surest first."""


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
                    f"{len(wrong)} of {len(both)} clips have another label of '{head}' in "
                    f"{other.name} than in {first.name}; the first is {a.path(clip)}: "
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
