"""Temperatures of a model: measured on some clips, applied to others.

    marey eval RUN --split val --calibrate      measures, into RUN/calibration.json
    marey eval RUN --split test --calibrated    divides the logits, and says what that changed

Numbers of the clips that measured a temperature would be too good, so these are refused; and so are
training clips, of which a model is surer than of any others.
"""

from __future__ import annotations

import torch

from marey.data.manifest.manifest import Manifest
from marey.engine.inference.clip_roles import shared_clips
from marey.engine.inference.evaluate import Evaluation
from marey.engine.inference.measures import log_probabilities_of
from marey.engine.inference.probabilities import Average, at_temperature
from marey.engine.inference.scoring import ScoreArrays
from marey.engine.results_file import Calibrated, Role
from marey.engine.weights.calibration import FILE, Calibration
from marey.errors import ManifestError, RunError, counted
from marey.metrics.calibration import fit_at, fitted_temperature, is_at_bound
from marey.recipes.recipe import DataSpec
from marey.types import Scores

FEWEST_CLIPS = 10
"""On which one number is measured at all; hundreds make it a good one."""


def measured(evaluation: Evaluation) -> dict[str, float]:
    """Head -> the temperature that suits these clips best, of those that could be read.

    RunError where there is none: clips of several classes, too few, or all answered right.
    """
    clips = evaluation.readable
    count, source = len(clips.manifest), clips.manifest.source
    if count < FEWEST_CLIPS:
        raise RunError(
            f"{source}: a temperature measured on {counted(count, 'clip')} says nothing",
            f"give at least {FEWEST_CLIPS}, better hundreds",
        )
    found = {}
    for head, scores in clips.scores.items():
        labels = clips.manifest.labels[head]
        if labels.ndim == 2:
            raise RunError(
                f"clips have several classes of '{head}', for which there is no one temperature"
            )
        found[head] = fitted_temperature(log_probabilities_of(scores, clips.average), labels)
        if is_at_bound(found[head]):
            right = int((scores.argmax(axis=1) == labels).sum())
            raise RunError(
                f"{source}: {right} of {counted(count, 'clip')} are answered right by '{head}': no"
                " temperature from 0.05 to 20 suits them best",
                "measure on clips of which the model gets most right, and not all",
            )
    return found


def calibrated_scores(scores: Scores, calibration: Calibration | None, average: Average) -> Scores:
    """The scores [n k] of each head of the calibrated model; as they are without a calibration."""
    if calibration is None:
        return scores
    temperatures = calibration.temperatures
    return {
        head: at_temperature(of, temperatures[head], average=average) for head, of in scores.items()
    }


def calibrated_arrays(
    scores: ScoreArrays, calibration: Calibration | None, average: Average
) -> ScoreArrays:
    """The same of arrays."""
    tensors = {head: torch.from_numpy(of) for head, of in scores.items()}
    found = calibrated_scores(tensors, calibration, average)
    return {head: of.numpy() for head, of in found.items()}


def changes(evaluation: Evaluation, calibration: Calibration) -> dict[str, Calibrated]:
    """Head -> what its temperature changed on the readable clips of a calibrated evaluation."""
    clips = evaluation.readable
    if not len(clips.manifest):
        return {}
    found = {}
    for head, scores in clips.scores.items():
        log, labels = log_probabilities_of(scores, clips.average), clips.manifest.labels[head]
        temperature = calibration.temperatures[head]
        before, after = fit_at(log, labels, 1 / temperature), fit_at(log, labels)  # undone, as is
        found[head] = Calibrated(
            temperature=temperature,
            measured_on=calibration.measured_on,
            nll_before=before.nll,
            nll_after=after.nll,
            ece_before=before.ece,
            ece_after=after.ece,
        )
    return found


def refuse_training_clips(clips: Manifest, role: Role, shared: int) -> None:
    """ManifestError if the weights learned from these clips, or from `shared` of them."""
    if role == "training":
        raise ManifestError(
            f"{clips.source}: the model learned from {shared:,} of these {_count(clips)}, and"
            " is surer of them than of others",
            "measure the temperature on others, such as those of split val",
        )


def refuse_clips_that_measured(clips: Manifest, calibration: Calibration, data: DataSpec) -> None:
    """ManifestError if any of these clips, as far as one can tell, measured the temperatures."""
    lists = (calibration.manifest,) if calibration.manifest else ()
    shared = shared_clips(clips, data, lists, calibration.split, calibration.clips)
    if shared:
        raise ManifestError(
            f"{shared:,} of {_count(clips)} of {clips.source} measured the temperature in"
            f" {FILE}: calibrated numbers of them would be too good",
            "evaluate other clips, such as those of split test, or measure it on others",
        )


def _count(clips: Manifest) -> str:
    return counted(len(clips), "clip")
