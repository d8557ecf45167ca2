"""What clips that are tested were to the weights: whether they trained or chose them.

Weights know all clips of either kind by a digest. A part of them, or the same in another order, is
found by the paths in the manifests that the run was trained on, where these still hold the same.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TypeAlias

from marey.data.manifest.join import read_manifests
from marey.data.manifest.manifest import Manifest
from marey.engine.results_file import Chosen, Role
from marey.engine.weights.clip_facts import clip_facts
from marey.errors import MareyError
from marey.recipes.recipe import DataSpec
from marey.recipes.resolve import dealt
from marey.storage.url import AnyPath
from marey.video.reading.reader import Span

Places: TypeAlias = set[tuple[str, Span | None]]


def role_of(clips: Manifest, chosen: Chosen, data: DataSpec) -> tuple[Role, int]:
    """What `clips` were to the weights, and how many of them; ``("", 0)`` as far as one can tell.

    Args:
        clips: those that are tested.
        chosen: what is known of the weights.
        data: what their run was trained on.
    """
    if whole := chosen.role_of(clip_facts(clips).clips):
        return whole, len(clips)
    tested = places_of(clips)
    roles: tuple[tuple[Role, str, tuple[str, ...], str], ...] = (
        ("training", chosen.trained_on, data.train_lists, "train"),
        ("choice", chosen.clips, data.val_lists, "val"),
    )
    for role, digest, lists, split in roles:
        if shared := len(tested & _known(data, lists, split, digest)):
            return role, shared
    return "", 0


def shared_clips(
    clips: Manifest, data: DataSpec, lists: tuple[str, ...], split: str, digest: str
) -> int:
    """How many of `clips` are those of a split of manifests, as far as one can tell.

    digest: of all clips of the split; without a split, of the manifests.
    """
    if clip_facts(clips).clips == digest:
        return len(clips)
    return len(places_of(clips) & _known(data, lists, split, digest))


def _known(data: DataSpec, lists: tuple[str, ...], split: str, digest: str) -> Places:
    """The clips of a split, if they are those of the digest; none if the lists are gone."""
    if not digest or not lists:
        return set()
    try:
        clips = dealt(read_manifests(lists, at=data.location), data)
        clips = clips.select(split) if split else clips
    except MareyError:
        return set()
    return places_of(clips) if clip_facts(clips).clips == digest else set()


def places_of(clips: Manifest) -> Places:
    """Where the clips lie, however their paths are written; links of folders are followed."""
    folder = cache(os.path.realpath)  # there are few, and each costs some calls of the system

    def place(path: AnyPath) -> str:
        return str(Path(folder(path.parent), path.name)) if isinstance(path, Path) else str(path)

    return {(place(clips.path(row)), clips.span(row)) for row in range(len(clips))}
