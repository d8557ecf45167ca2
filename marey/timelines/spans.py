"""Spans of one video: what a person marked in it, or what a model found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Spans:
    """Spans of classes in one video, which may overlap.

    Args:
        starts, ends: seconds, float64 [n].
        classes: int64 [n].
        scores: float64 [n], how sure a model is; 1 of what a person marked.
    """

    starts: Floats
    ends: Floats
    classes: Integers
    scores: Floats

    @classmethod
    def of(cls, rows: Iterable[tuple[float, float, int] | tuple[float, float, int, float]]) -> Self:
        """Those of rows (start, end, class), with a score each or 1.

        >>> Spans.of([(0.0, 2.5, 1), (2.5, 4.0, 0, 0.7)]).scores
        array([1. , 0.7])
        """
        table = np.array([(*row[:3], row[3] if len(row) > 3 else 1.0) for row in rows], np.float64)
        starts, ends, classes, scores = table.reshape(-1, 4).T
        return cls(starts, ends, classes.astype(np.int64), scores)

    def __len__(self) -> int:
        return len(self.starts)

    def rows(self) -> list[tuple[float, float, int]]:
        """The start, end and class of each, rounded to milliseconds."""
        starts, ends = (each.round(3).tolist() for each in (self.starts, self.ends))
        return list(zip(starts, ends, self.classes.tolist(), strict=True))

    def shown_at(self, moments: Floats, num_classes: int) -> Bools:
        """Whether each class is shown at each moment (seconds), bool [m k]; ends are exclusive."""
        shown = np.zeros((len(moments), num_classes), bool)
        for start, end, number in zip(self.starts, self.ends, self.classes, strict=True):
            shown[(start <= moments) & (moments < end), number] = True
        return shown
