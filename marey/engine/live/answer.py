"""What is said at a frame of a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Answer:
    """What is said at a frame of a stream."""

    seconds: float
    """The time of the frame."""
    label: str
    """What the rule of the recogniser decides."""
    score: float
    """The probability of `label`, after smoothing."""
    head: str
    """Whose classes these are."""
    scores: npt.NDArray[np.float32]
    """The probability [k] of every class, after smoothing."""
    raw_label: str
    """The best class by the newest scores alone."""
    raw_score: float
    """Its probability by the newest scores alone."""
    labels: tuple[str, ...]
    """The names of the classes [k]."""

    def top(self, number: int) -> list[tuple[str, float]]:
        """The most probable classes after smoothing, best first."""
        best = np.argsort(-self.scores, kind="stable")[:number]
        return [(self.labels[index], float(self.scores[index])) for index in best]

    def to_json(self, top: int = 0) -> dict[str, Any]:
        """The answer as JSON holds it; with the `top` classes, if there are to be any."""
        said = {
            "seconds": round(self.seconds, 3),
            "label": self.label,
            "score": round(self.score, 6),
            "head": self.head,
            "raw_label": self.raw_label,
            "raw_score": round(self.raw_score, 6),
        }
        pairs = [[label, round(score, 6)] for label, score in self.top(top)]
        return said | ({"top": pairs} if top else {})
