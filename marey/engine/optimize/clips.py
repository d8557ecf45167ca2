"""Real clips as the model takes them: to try forms on, and others to fit 8 bits to."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from marey.data.manifest.join import read_manifests
from marey.data.manifest.location import Location
from marey.data.manifest.manifest import Manifest
from marey.data.own_videos.unlabelled import read_clips
from marey.engine.inference.scoring import view_batches
from marey.engine.weights.trained import Trained
from marey.errors import ManifestError
from marey.recipes.compatible import check_clips
from marey.recipes.recipe import Recipe
from marey.recipes.resolve import dealt
from marey.recipes.val_views import one_view
from marey.types import Clip
from marey.video.augment import normalize

Rows: TypeAlias = npt.NDArray[np.int64]

FITTED = 16
"""Clips that numbers of 8 bits are fitted to: their ranges change little with more."""


@dataclass(frozen=True, kw_only=True)
class WantedClips:
    """Which clips, and how many.

    Args:
        manifest: as `marey predict` takes them; by default those that the model was validated on.
        split: rows to take of it; by default val of the model's own, all of a `manifest`.
        calibration: clips that 8 bits are fitted to; by default others of the same list.
        num_clips: to try on.
        workers: processes that read them; by default as many as the recipe says.
    """

    manifest: str | None = None
    split: str | None = None
    calibration: str | None = None
    num_clips: int = 32
    workers: int | None = None


@dataclass(frozen=True, eq=False)
class ClipsToTry:
    """One view of each clip, [n t c h w], normalised."""

    tried: Clip
    fitted: Clip


def clips_to_try(
    trained: Trained, recipe: Recipe, wanted: WantedClips, device: torch.device
) -> ClipsToTry:
    """Clips from all over the lists, on `device`.

    Args:
        trained: whose validation clips are taken by default, and whose classes the lists have.
        recipe: whose test views show them.
        wanted: which, and how many.
        device: where they go.

    Raises:
        ManifestError: nothing says which clips, they are not what the model takes, or none can be
            read.
    """
    listed = _listed(trained, wanted.manifest, wanted.split)
    rows = np.arange(len(listed))
    tried = _spread(rows, wanted.num_clips)
    rest = np.setdiff1d(rows, tried)
    if wanted.calibration is not None:
        others = _listed(trained, wanted.calibration, None)
    else:
        others = listed.take(rest) if len(rest) >= FITTED else listed
    fitted = others.take(_spread(np.arange(len(others)), FITTED))
    return ClipsToTry(
        *(
            _read(manifest, recipe, wanted.workers).to(device)
            for manifest in (listed.take(tried), fitted)
        )
    )


def _spread(rows: Rows, most: int) -> Rows:
    """At most so many of the rows, from first to last: lists are often in order of classes."""
    places = np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(np.int64)
    return rows[places]


def _listed(trained: Trained, source: str | None, split: str | None) -> Manifest:
    data = trained.recipe.data
    if source is not None:
        at = Location(None, urls=data.urls)
        found = read_clips(source, split=split, at=at, classes=trained.classes).manifest
    elif data.val_lists:
        lists = read_manifests(data.val_lists, heads=trained.classes, at=data.location)
        found = dealt(lists, data).select(split or "val")
    else:
        raise ManifestError("nothing says on which clips to try", "name some (--manifest)")
    if found.features is not None:
        raise ManifestError(f"{found.source} holds features", "give the videos (--manifest)")
    check_clips(trained.model.spec, found, trained.recipe)
    return found


def _read(manifest: Manifest, recipe: Recipe, workers: int | None) -> Clip:
    """One view of each clip that can be read."""
    looked = replace(recipe, test=one_view(recipe.test))
    views: list[Clip] = []
    reasons: list[str] = []
    with closing(view_batches(manifest, looked, workers=workers, batch_size=1)) as batches:
        for batch in batches:
            views += [batch.clip[:, 0]] if len(batch.rows) else []
            reasons += [reason for _, reason in batch.failures]
    if not views:
        raise ManifestError(
            f"{manifest.source}: no clip could be read; the first: {reasons[0]}",
            "marey data check lists them all",
        )
    pixels = recipe.augment
    return normalize(torch.cat(views), pixels.mean, pixels.std, channel_order=pixels.channel_order)
