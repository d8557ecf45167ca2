"""Whether a model that says 80 % is right 80 % of the time (Guo et al., arXiv 1706.04599).

Temperature scaling divides all logits by one number T, which changes no answer and makes a model
less sure (T > 1) or surer. T is that of the lowest negative log-likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from marey.metrics.accuracy import Labels, Scores

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


_BINS = ((300, 15), (100, 10), (0, 5))


def bins_for(num_clips: int) -> int:
    """How many bins so many clips fill: one of a few clips says nothing."""
    return next(bins for clips, bins in _BINS if num_clips >= clips)


class Fit(NamedTuple):
    """How well probabilities fit what is right."""

    nll: float
    """The mean negative log-likelihood."""
    ece: float
    """The expected calibration error, in percent."""


def fit_at(
    log_probabilities: Scores, labels: Labels, temperature: float = 1.0, num_bins: int = 0
) -> Fit:
    """The fit of clips [n k] at a temperature; by default in as many bins as they fill."""
    probabilities = _softmax(log_probabilities / temperature)
    bins = reliability(probabilities, labels, num_bins or bins_for(len(labels)))
    return Fit(_nll(probabilities, labels), bins.expected_calibration_error)


@dataclass(frozen=True, kw_only=True)
class TemperatureScaling:
    """What one temperature would change: negative log-likelihood, and calibration error in percent.

    Before and after are of the same clips, each half of which is scaled by the temperature of the
    other: so nothing is measured on what it was fitted to.
    """

    temperature: float
    """Of all clips."""
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float


def temperature_scaling(
    log_probabilities: Scores, labels: Labels, num_bins: int = 15
) -> TemperatureScaling | None:
    """The scaling of clips [n k] with labels int64 [n]; None of fewer than four clips.

    Args:
        log_probabilities: or logits: what is the same for all classes of a clip does not matter.
        labels: their classes.
        num_bins: of the calibration error.
    """
    if len(labels) < 4:
        return None
    half = np.empty(len(labels), np.int64)
    half[np.argsort(labels, kind="stable")] = np.arange(len(labels)) % 2  # alike in each class
    scaled = np.array(log_probabilities, np.float64)
    for side in (0, 1):
        others = half != side
        scaled[~others] /= fitted_temperature(log_probabilities[others], labels[others])
    before, after = (fit_at(x, labels, num_bins=num_bins) for x in (log_probabilities, scaled))
    return TemperatureScaling(
        temperature=fitted_temperature(log_probabilities, labels),
        nll_before=before.nll,
        nll_after=after.nll,
        ece_before=before.ece,
        ece_after=after.ece,
    )


_LOW, _HIGH = 0.05, 20.0


def is_at_bound(temperature: float) -> bool:
    """Whether a fitted temperature is the least or the greatest that is tried: none fits best."""
    return not 1.01 * _LOW < temperature < _HIGH / 1.01


def fitted_temperature(logits: Scores, labels: Labels) -> float:
    """The T of 0.05 to 20 at which `logits / T` have the lowest negative log-likelihood.

    >>> logits = np.log([[0.9, 0.1]] * 4)                     # 90 % sure, and 3 of 4 are right
    >>> t = fitted_temperature(logits, np.array([0, 0, 0, 1]))
    >>> np.round(np.exp(logits[0] / t) / np.exp(logits[0] / t).sum(), 3)
    array([0.75, 0.25])
    """
    low, high = np.log(_LOW), np.log(_HIGH)
    golden = (np.sqrt(5) - 1) / 2
    for _ in range(60):  # the likelihood has one maximum in 1 / T, so in log T too
        left, right = high - golden * (high - low), low + golden * (high - low)
        if _nll_at(np.exp(left), logits, labels) <= _nll_at(np.exp(right), logits, labels):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def _nll_at(temperature: float, logits: Scores, labels: Labels) -> float:
    """The same of logits over a temperature, exact where a probability rounds to one or nothing."""
    rows = np.arange(len(labels))
    gaps = (logits - logits[rows, labels][:, None]).astype(np.float64) / temperature
    gaps[rows, labels] = -np.inf
    top = gaps.max(axis=1)
    with np.errstate(invalid="ignore"):  # of one class, for which there is no temperature
        others = top + np.log(np.exp(gaps - top[:, None]).sum(axis=1))
    return float(np.logaddexp(0.0, others).mean())


def _softmax(logits: Scores) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _nll(probabilities: Floats, labels: Labels) -> float:
    own = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(own, np.finfo(np.float32).tiny)).mean())
