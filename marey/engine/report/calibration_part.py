"""What a report says of calibration: how sure a model is, how often right, what a temperature does.

A temperature is proposed only where it helps: where both the calibration error and the negative
log-likelihood are seen to fall on clips that it was not fitted to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from marey.engine.inference.calibrate import FEWEST_CLIPS
from marey.engine.report.charts.charts import reliability_chart
from marey.engine.report.evaluations import HeadResult, Result
from marey.engine.report.run_files import RunFiles
from marey.engine.results_file import Calibrated
from marey.engine.weights.calibration import FILE, calibration_in
from marey.metrics.calibration import (
    TemperatureScaling,
    bins_for,
    is_at_bound,
    reliability,
    temperature_scaling,
)
from marey.metrics.intervals import difference_interval


def calibration_part(files: RunFiles, result: Result, head: HeadResult) -> dict[str, Any]:
    """The sentences of a head and its diagram of reliability."""
    num_bins = bins_for(len(head.labels))
    bins = reliability(head.probabilities, head.labels, num_bins)
    error = bins.expected_calibration_error
    return {
        "sureness": f"{_sureness(head)} The expected calibration error, which is the mean distance "
        f"of the two in {num_bins} bins by how sure it is, is {error:.1f} %.",
        "reliability": reliability_chart(bins, title="Reliability"),
        "temperature": " ".join(_temperature(files, result, head, num_bins)),
    }


def _sureness(head: HeadResult) -> str:
    """Whether it is surer than right, where these clips show it."""
    gaps = 100.0 * (head.confidences.astype(np.float64) - head.right)
    points = float(gaps.mean())
    low, high = difference_interval(points, float(gaps.var()) / len(gaps), len(gaps))
    means = (
        f"On average the model is {100 * head.confidences.mean():.1f} % sure and "
        f"{100 * head.right.mean():.1f} % right"
    )
    if low > 0:
        return f"{means}: it is surer than right, by {low:.1f} to {high:.1f} points (95 %)."
    if high < 0:
        return f"{means}: it is less sure than right, by {-high:.1f} to {-low:.1f} points (95 %)."
    return f"{means}: these clips do not show that it is more or less sure than right."


def _temperature(files: RunFiles, result: Result, head: HeadResult, num_bins: int) -> Iterator[str]:
    """What a temperature did to these scores or would do, and how to apply it if that helps."""
    facts = result.facts
    if of := facts.calibration.get(head.name):
        yield (
            f"These scores are calibrated: logits are divided by a temperature of "
            f"{of.temperature:.2f}, measured on {of.measured_on}, which changes no answer."
        )
        yield from _measured("On these clips", of)
        return
    if facts.role == "training" or result.split == "train":
        yield "The model learned from these clips and is surer of them than of others."
        return
    scaling = _scaling(head, num_bins)
    if scaling is None:
        return
    if is_at_bound(scaling.temperature):
        yield (
            "No temperature from 0.05 to 20 suits these clips best, as is so where all answers are "
            "right."
        )
        return
    yield (
        f"Dividing the logits by a temperature changes no answer, but how sure the model is. For "
        f"these clips {scaling.temperature:.2f} is best. What that is worth on others is measured "
        f"by halves of them, each with the temperature that is best for the other half: the "
        f"calibration error {_change(scaling)}. {_verdict(scaling)}."
    )
    tried = [
        (each.name, of)
        for each in files.results
        if each is not result and each.facts.chosen == facts.chosen
        if (of := each.facts.calibration.get(head.name))
        if of.nll_before is not None
    ]
    for name, of in tried:
        yield f"One of {of.temperature:.2f}, measured on {of.measured_on}, was applied to others."
        yield from _measured(f"In results/{name}", of)
    if _helps(scaling) and all(_helps(of) for _, of in tried):
        yield _proposal(files, result)
    else:
        yield "So none is proposed."


def _scaling(head: HeadResult, num_bins: int) -> TemperatureScaling | None:
    """None of fewer clips than a temperature is measured on."""
    if len(head.labels) < FEWEST_CLIPS:
        return None
    sure = np.log(np.maximum(head.probabilities, np.finfo(np.float32).tiny))
    return temperature_scaling(sure, head.labels, num_bins)


def _measured(where: str, of: Calibrated) -> Iterator[str]:
    """What a temperature changed, where that was measured."""
    if of.nll_before is None:
        return
    advice = "" if any(_lower(of)) else ": the scores are better without it"
    yield f"{where} the calibration error {_change(of)}. {_verdict(of)}{advice}."


def _change(of: Calibrated | TemperatureScaling) -> str:
    return (
        f"goes from {of.ece_before:.1f} to {of.ece_after:.1f} %, and the negative log-likelihood "
        f"from {of.nll_before:.3f} to {of.nll_after:.3f}"
    )


def _lower(of: Calibrated | TemperatureScaling) -> tuple[bool, bool]:
    """Whether calibration error and log-likelihood fall, by the digits that are shown."""
    pairs = ((of.ece_before, of.ece_after, 1), (of.nll_before, of.nll_after, 3))
    first, second = (
        before is not None and after is not None and round(after, digits) < round(before, digits)
        for before, after, digits in pairs
    )
    return first, second


def _helps(of: Calibrated | TemperatureScaling) -> bool:
    return all(_lower(of))


def _verdict(of: Calibrated | TemperatureScaling) -> str:
    return {
        (True, True): "Both are better",
        (True, False): "Only the calibration error is better",
        (False, True): "Only the log-likelihood is better",
        (False, False): "Neither is better",
    }[_lower(of)]


def _proposal(files: RunFiles, result: Result) -> str:
    """How a temperature comes to be applied to the model of this result."""
    facts = result.facts
    if facts.members:
        return "It would be of a single model: an ensemble is not calibrated."
    if facts.repeats:
        runs = facts.repeats
        return (
            f"The {runs.kind} are {len(runs.runs)} models, each with a temperature of its own: "
            f"marey eval RUN/{runs.runs[0].name} --calibrate."
        )
    if (files.folder / FILE).is_file():
        kept = calibration_in(files.folder).in_words()
        return f"{FILE} of this run has: {kept}. marey eval and predict --calibrated apply it."
    return (
        "To use it: this evaluation once more with --calibrate measures the temperature on all of "
        "these clips; --calibrated then applies it to others, of marey eval and predict."
    )
