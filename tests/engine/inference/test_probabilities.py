"""How sure a model is, by the one rule that every command has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from marey.engine.inference.measures import probabilities_of
from marey.engine.inference.outputs.scored_clips import Said, ScoredClips
from marey.engine.inference.probabilities import Average, log_probabilities, probabilities

ODDS = np.log(np.array([[3.0, 1.0], [1.0, 1.0]], np.float32))
SHARES = np.array([[0.75, 0.25], [0.5, 0.5]], np.float32)


def written(scores: np.ndarray, average: Average, several: tuple[str, ...] = ()) -> ScoredClips:
    said = Said(classes={"label": "ab"}, average=average, several=several)
    return ScoredClips(
        source=Path("p.parquet"),
        said=said,
        rows=[0, 1],
        paths=["0", "1"],
        clip_ids=[None, None],
        spans=[(None, None)] * 2,
        scores={"label": scores},
        errors=[None, None],
    )


@pytest.mark.parametrize(("scores", "average"), [(ODDS, "logits"), (SHARES, "probs")])
def test_logits_and_probabilities_of_the_same_clips_are_as_sure(
    scores: np.ndarray, average: Average
) -> None:
    assert np.allclose(probabilities_of(scores, average, several=False), SHARES)
    assert np.allclose(written(scores, average).probabilities("label"), SHARES)
    assert np.allclose(
        log_probabilities(torch.tensor(scores), average=average).exp().numpy(), SHARES
    )


def test_clips_of_several_classes_have_a_chance_of_each() -> None:
    chances = np.array([[0.75, 0.5], [0.5, 0.5]])  # odds of 3 to 1, and of 1 to 1
    assert np.allclose(probabilities_of(ODDS, "logits", several=True), chances)
    assert np.allclose(written(ODDS, "logits", ("label",)).probabilities("label"), chances)


def test_a_clip_without_scores_has_no_probability() -> None:
    none = probabilities(torch.full((1, 2), float("nan")), average="logits")
    assert none.isnan().all()
