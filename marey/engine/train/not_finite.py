"""Where a loss or a weight that is no number comes from, for the error that ends the run."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from marey.data.manifest.manifest import Manifest
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


def loss_error(loss: float, step: int, clips: Manifest, rows: Tensor, term: str) -> RunError:
    """What ends a run at `step`, whose clips are these `rows` of the training clips."""
    named = (
        " ".join(map(str, filter(None, (clips.path(row), clips.span(row)))))
        for row in rows.tolist()
    )
    return RunError(
        f"the loss is {loss} at step {step}: the first term at fault is {term}. Of the clips "
        + ", ".join(named),
        "lower the learning rate or look at these clips; the last checkpoint is good",
    )


def refuse_not_finite(model: nn.Module, state: Mapping[str, Tensor], step: int) -> None:
    """RunError for weights of `model` that are no numbers in the `state` that is to be saved."""
    for name, _ in model.named_parameters():
        if not state[name].isfinite().all():
            raise RunError(
                f"the weights {name} are not finite after step {step}, although the loss was",
                "lower the learning rate or set clip_grad; the last checkpoint is good",
            )
