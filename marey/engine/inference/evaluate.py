"""Evaluation: every view of every clip is scored, views are averaged, then pure functions count.

A clip that cannot be read is missing: it is listed with the reason, counts as a wrong answer, and
is never replaced by another. So a number stands for the whole list that was asked for; the numbers
over the readable clips alone stand beside it as `metrics_readable`. A loss is of readable clips.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from marey.data.manifest.manifest import Manifest
from marey.engine.inference.measures import (
    UNKNOWN,
    ClassCounts,
    by_head,
    estimates_of_heads,
    is_of_each,
    metrics_of_heads,
    probabilities_of,
)
from marey.engine.inference.probabilities import logits_of_each
from marey.engine.inference.scoring import ScoreArrays, check_heads, score_clips
from marey.errors import counted
from marey.jobs.parts import Progress
from marey.metrics.catalog import Subsets
from marey.metrics.intervals import Estimate
from marey.models.fused import fused
from marey.models.video_model import VideoModel
from marey.recipes.recipe import Recipe


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """The scores of the clips of a manifest, and the numbers that follow from them."""

    manifest: Manifest
    scores: ScoreArrays
    missing: dict[int, str] = field(default_factory=dict)
    """Row -> reason."""
    average: Literal["logits", "probs"] = "logits"
    trained_on: ClassCounts = UNKNOWN
    """What says which classes are head, tail and few-shot; metrics of groups need it."""
    subsets: Subsets = field(default_factory=dict)
    """Parts of the clips that have numbers of their own, those of EPIC-KITCHENS."""

    several: frozenset[str] | None = None
    """Heads whose scores are of each class alone, as their model says; None where nobody does."""

    def __repr__(self) -> str:
        """Of what it is: its numbers are `metrics`, and its arrays would fill a screen."""
        clips = counted(len(self.manifest), "clip")
        return f"Evaluation({clips} of {self.manifest.source}, {len(self.missing)} missing)"

    @property
    def metrics(self) -> dict[str, float]:
        """Key -> number over all clips, as `marey.metrics.catalog` has them."""
        return metrics_of_heads(
            self._counted, self.manifest.labels, self.trained_on, self.average, self.subsets
        )

    @cached_property
    def estimates(self) -> dict[str, dict[str, Estimate]]:
        """Head -> number -> its value, its interval, and the classes and clips it rests on.

        Those of all heads at once stand under ""."""
        return estimates_of_heads(
            self._counted, self.manifest.labels, self.trained_on, self.average, self.subsets
        )

    @property
    def named_estimates(self) -> dict[str, Estimate]:
        """The estimates under the names that `metrics` has."""
        if len(self.estimates) == 1:
            return next(iter(self.estimates.values()))
        return by_head(self.estimates)

    @property
    def probabilities(self) -> ScoreArrays:
        """Head -> how sure the model is of each class [n k]; NaN for a clip without scores."""
        return {
            head: probabilities_of(scores, self.average, several=self.is_of_each(head))
            for head, scores in self.scores.items()
        }

    def is_of_each(self, head: str) -> bool:
        """Whether the scores of a head are of each class alone (`measures.is_of_each`)."""
        return is_of_each(head, self.manifest.labels[head], self.several)

    @property
    def shared_out(self) -> list[str]:
        """Heads that share 1 among the classes of clips that have several."""
        return [h for h in self.scores if self.manifest.has_several(h) and not self.is_of_each(h)]

    @cached_property
    def _counted(self) -> ScoreArrays:
        """The scores that numbers are of: where clips have several classes, of each class alone."""
        if self.average == "probs":
            return self.scores
        own = {
            head: logits_of_each(torch.from_numpy(self.scores[head])).numpy()
            for head in self.shared_out
        }
        return self.scores | own

    @property
    def readable_rows(self) -> npt.NDArray[np.int64]:
        """The rows [m] of the manifest that could be read, in order."""
        return np.setdiff1d(np.arange(len(self.manifest)), list(self.missing))

    @property
    def readable(self) -> Evaluation:
        """The same of the clips that could be read, as if the list held no others."""
        return self._of_rows(self.readable_rows)

    @property
    def by_source(self) -> dict[str, Evaluation]:
        """The same of the clips of each source, if the manifest says where they come from."""
        sources = self.manifest.sources
        if sources is None:
            return {}
        codes, names = sources.indices.to_numpy(), sources.dictionary.to_pylist()
        rows_of = {name: np.flatnonzero(codes == code) for code, name in enumerate(names)}
        return {name: self._of_rows(rows) for name, rows in sorted(rows_of.items()) if len(rows)}

    def _of_rows(self, rows: npt.NDArray[np.int64]) -> Evaluation:
        old = enumerate(rows.tolist())
        return replace(
            self,
            manifest=self.manifest.take(rows),
            scores={name: values[rows] for name, values in self.scores.items()},
            missing={new: self.missing[row] for new, row in old if row in self.missing},
            subsets={
                name: {head: clips[rows] for head, clips in of.items()}
                for name, of in self.subsets.items()
            },
        )


def evaluate(
    model: VideoModel,
    manifest: Manifest,
    recipe: Recipe,
    *,
    device: torch.device | str = "cpu",
    workers: int | None = None,
    batch_size: int | None = None,
    trained_on: ClassCounts = UNKNOWN,
    progress: Progress | None = None,
) -> Evaluation:
    """The scores of `model` for every clip of `manifest`, and the numbers that follow from them.

    They are those of its `fused` form, which rounds otherwise.

    Args:
        model: on `device` already.
        recipe: says how clips are shown: `test` (the views and how they are averaged), mean and
            std of `augment` (test clips are not changed otherwise), `amp`, and the backend.
        workers: processes that read clips, 0 for none; by default as many as the recipe says.
        batch_size: clips that are scored at once; by default as many as the recipe says.
        trained_on: training clips of every class, for the numbers of head, tail and few.
        progress: called with clips (done, total).

    Raises:
        ManifestError: if the clips are not what the model takes, or their labels not its heads'.
    """
    check_heads(model, manifest)
    scores, missing = score_clips(
        fused(model.with_frames(recipe.test.sampling.frames)),
        manifest,
        recipe,
        device=device,
        workers=workers,
        batch_size=batch_size,
        progress=progress,
    )
    several = model.spec.several
    return Evaluation(manifest, scores, missing, recipe.test.average, trained_on, several=several)
