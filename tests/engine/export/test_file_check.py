"""How far a file is from its model is measured, or it is said why not."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from marey.engine.export.check import clip_differences
from marey.errors import RunError
from marey.types import Clip, Scores


def saying(value: float) -> Any:
    """What scores clips as a model or a file does: the third class by `value`, the others by 1."""

    def scores(clips: Clip) -> Scores:
        return {"label": torch.tensor([[1.0, 1.0, value]]).expand(len(clips), 3)}

    return scores


def test_the_difference_is_in_parts_of_the_largest_logit() -> None:
    found = clip_differences(saying(4.0), saying(3.0), torch.zeros(4, 1, 3, 2, 2))
    assert found.num_answers == 8  # alone, and three at once
    assert (found.max_abs, found.difference, found.agreement) == (1.0, 0.25, 100.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_scores_that_are_no_numbers_are_no_difference(value: float) -> None:
    clips = torch.zeros(2, 1, 3, 2, 2)
    with pytest.raises(RunError, match="the file gives scores of 'label' that are not finite"):
        clip_differences(saying(1.0), saying(value), clips)
    with pytest.raises(RunError, match="the model gives scores of 'label' that are not finite"):
        clip_differences(saying(value), saying(1.0), clips)
