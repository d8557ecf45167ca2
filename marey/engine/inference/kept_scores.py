"""Scores of clips of which a frozen encoder's features are kept: these go straight to the heads."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from marey.data.manifest.manifest import Manifest
from marey.engine.inference.encoded import KeptFeatures
from marey.engine.inference.scoring import ScoreArrays, score_clips
from marey.jobs.parts import Progress


def is_kept(kept: KeptFeatures, clips: Manifest) -> npt.NDArray[np.bool_]:
    """Of which clips [n] features are kept that give the scores of the videos.

    Those of tokens do not: they are kept in half precision.
    """
    found = np.zeros(len(clips), bool)
    if clips.features is not None or kept.model.spec.takes_features:
        return found
    if kept.about["per"] == "frame" and kept.folder.is_dir():
        found[:] = True
        found[kept.missing(clips)] = False
    return found


def score_kept(
    kept: KeptFeatures,
    clips: Manifest,
    *,
    workers: int | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> tuple[ScoreArrays, dict[int, str]]:
    """As `score_clips` by the model of `kept`, whose encoder looks at the others alone."""
    there = is_kept(kept, clips)
    score = partial(
        score_clips,
        kept.model,
        recipe=kept.recipe,
        device=kept.device,
        workers=workers,
        batch_size=batch_size,
    )
    if not there.any():
        return score(clips, progress=progress)
    old, new = np.flatnonzero(there), np.flatnonzero(~there)
    scores, missing = score(kept.of(clips.take(old)))
    missing = {int(old[row]): reason for row, reason in missing.items()}
    whole = {
        head: np.full((len(clips), of.shape[1]), np.nan, of.dtype) for head, of in scores.items()
    }
    for head, of in scores.items():
        whole[head][old] = of
    if progress:
        progress(len(old), len(clips))
    if len(new):
        others, unread = score(
            clips.take(new),
            progress=progress and (lambda done, _: progress(len(old) + done, len(clips))),
        )
        missing |= {int(new[row]): reason for row, reason in unread.items()}
        for head, of in others.items():
            whole[head][new] = of
    return whole, missing
