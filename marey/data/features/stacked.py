"""Several views of every clip, each kept in a file of its own, as if they stood in one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from marey.data.features.feature_file import About, FeatureFile, Rows, Vectors
from marey.errors import DecodeError


@dataclass(frozen=True, eq=False)
class StackedFeatures:
    """The vectors of a clip in the first of `parts`, then those in the second, and so on."""

    parts: tuple[FeatureFile, ...]

    @property
    def dim(self) -> int:
        """Numbers a vector has."""
        return self.parts[0].dim

    @property
    def dtype(self) -> np.dtype[Any]:
        """What the numbers are stored as."""
        return self.parts[0].dtype

    @property
    def about(self) -> About:
        """What made the first of them."""
        return self.parts[0].about

    def num_frames(self, row: int) -> int:
        """Vectors of a clip; DecodeError if it has none, or not as many in each part."""
        numbers = [part.num_frames(row) for part in self.parts]
        if len(set(numbers)) > 1:
            raise DecodeError(f"{self.parts[0].path}: row {row + 1} has views of unequal length")
        return sum(numbers)

    def read(self, row: int, indices: Rows) -> Vectors:
        """The vectors asked for, float32 [*indices d]; DecodeError if they are damaged."""
        number = self.parts[0].num_frames(row)
        vectors = np.empty((*indices.shape, self.dim), np.float32)
        for i, part in enumerate(self.parts):
            here = indices // number == i
            if here.any():
                vectors[here] = part.read(row, indices[here] % number)
        return vectors

    def take(self, rows: Rows) -> StackedFeatures:
        """The features of these rows, in that order."""
        return replace(self, parts=tuple(part.take(rows) for part in self.parts))
