"""Whether a model that says 80 % is right 80 % of the time (arXiv 1706.04599)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reliability:
    """Bins of equal width over the confidence of the answers; empty bins have NaN means."""

    counts: npt.NDArray[np.int64]
    confidence: Floats
    """Mean confidence of each bin, 0 to 1."""
    accuracy: Floats
    """Share of right answers of each bin, 0 to 1."""

    @property
    def expected_calibration_error(self) -> float:
        """Mean distance of confidence and accuracy over the clips, in percent; NaN without any."""
        total = self.counts.sum()
        gaps = np.nan_to_num(np.abs(self.confidence - self.accuracy))
        return float(100 * (gaps * self.counts).sum() / total) if total else float("nan")


def reliability(
    probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64], num_bins: int = 15
) -> Reliability:
    """Bins of the highest probability [n k] of each clip against whether that class is its label.

    A bin holds its upper edge: 15 bins are (0, 1/15], (1/15, 2/15], ... as in the paper.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    bins = np.clip(np.ceil(confidence * num_bins).astype(np.int64) - 1, 0, num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    with np.errstate(invalid="ignore"):
        means = [
            np.bincount(bins, weights=values, minlength=num_bins) / counts
            for values in (confidence, right)
        ]
    return Reliability(counts, *means)
