"""Where a loss that is no number comes from, for the error that ends the run."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from marey.errors import RunError
from marey.longtail.objective import HeadLosses, ScoringModel
from marey.types import Clip, Labels


def first_not_finite(model: ScoringModel, objective: nn.Module, clip: Clip, labels: Labels) -> str:
    """The first term on the way from the clip to the loss that is infinite or not a number.

    Runs the model once more as it stands, so it is for a run that has to stop anyway.
    """
    with torch.no_grad():
        terms: dict[str, Tensor] = {"the clips": clip}
        if isinstance(model, nn.Module):
            terms |= {f"the weights {name}": value for name, value in model.named_parameters()}
        x = model.features(clip)
        scores = model.classify(x)
        terms |= {"the features": x}
        terms |= {f"the scores of '{head}'": value for head, value in scores.items()}
        if isinstance(objective, HeadLosses):
            terms |= {
                f"the loss of '{head}'": objective.losses[head](scores[head].float(), y)
                for head, y in labels.items()
            }
    first = (name for name, value in terms.items() if not value.isfinite().all())
    return next(first, f"what {type(objective).__name__} makes of finite scores")


def loss_error(loss: float, step: int, rows: Tensor, term: str) -> RunError:
    """What ends a run at `step`, whose clips are these rows of the manifest."""
    return RunError(
        f"the loss is {loss} at step {step}, in rows {rows.tolist()}: the first term at fault is "
        f"{term}",
        "lower the learning rate or look at these clips; the last checkpoint is good",
    )
