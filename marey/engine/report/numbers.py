"""What a report says in numbers, for other programs: `marey report --json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from marey.engine.report.evaluations import HeadResult, Result
from marey.engine.report.run_files import read_run
from marey.metrics.calibration import bins_for, reliability, temperature_scaling
from marey.metrics.detection import detections
from marey.metrics.label_errors import label_suspects


def report_numbers(run: str | Path, results: str | None = None) -> dict[str, Any]:
    """What was tested and its numbers; of each head its classes, calibration and suspects.

    Args and errors are those of `write_report`.
    """
    files = read_run(run, results)
    result = files.result
    about: dict[str, Any] = {"run": files.name, "folder": str(files.folder)}
    if result is None:
        return about | {"results": None}
    facts = result.facts
    names = ("metrics", "estimates", "num_clips", "num_missing", "chosen", "role", "repeats")
    return (
        about
        | {"results": result.name, "split": result.split, "other_clips": facts.other_clips}
        | {name: getattr(facts, name) for name in names}
        | {
            "heads": {
                head.name: {
                    "classes": dict(
                        zip(head.classes, detections(head.probabilities, head.targets), strict=True)
                    )
                }
                | (_of_one_class(result, head) if isinstance(head, HeadResult) else {})
                for head in result.all_heads
                if result.num_read
            }
        }
    )


def _of_one_class(result: Result, head: HeadResult) -> dict[str, Any]:
    sure = np.log(np.maximum(head.probabilities, np.finfo(np.float32).tiny))
    num_bins = bins_for(len(head.labels))
    bins = reliability(head.probabilities, head.labels, num_bins)
    return {
        "confusions": head.confusions.tolist(),
        "calibration_error": bins.expected_calibration_error,
        "temperature_scaling": temperature_scaling(sure, head.labels, num_bins),
        "label_suspects": [
            {
                "clip": result.paths[each.row] if result.paths else str(each.row),
                "span": result.spans[each.row],
                "label": head.classes[head.labels[each.row]],
                "looks_like": head.classes[each.looks_like],
                "margin": each.margin,
            }
            for each in label_suspects(head.probabilities, head.labels)
        ],
    }
