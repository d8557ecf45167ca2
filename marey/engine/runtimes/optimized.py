"""What `marey optimize` found, as a value: optimized.json of the folder that it wrote.

RELEASE/optimized.json   which form is fastest, where, for which clips and weights, and the table
RELEASE/model.onnx       or what else the form needs

It holds for one machine, one size of clips and one set of weights, and says which.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from marey.engine.machine import Machine
from marey.errors import CheckpointError
from marey.storage.text_files import as_value, read_json, write_json

FILE = "optimized.json"
FORMAT = 1
REMEDY = "make it again: marey optimize"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one form is like; without numbers, why there are none."""

    form: str
    left_out: str = ""
    clips_per_second: float | None = None
    latency_seconds: float | None = None
    """Of one batch, the median."""
    cpu_seconds: float | None = None
    """Of all threads of the process, for one batch, the median."""
    start_seconds: float | None = None
    """From the weights to the first scores."""
    memory_bytes: int | None = None
    """By which the process grew at most when the form was opened and scored first."""
    difference: float | None = None
    """The largest to a logit of the plain model, in parts of the clip's largest logit."""
    agreement: float | None = None
    """Percent of clips whose most probable classes are those of the plain model."""


@dataclass(frozen=True, kw_only=True)
class Optimized:
    """What optimized.json says."""

    form: str
    keeps: Literal["exact", "close"]
    limit: float
    """Of the largest difference, or of the agreement."""
    machine: Machine
    weights: str
    """Their digest."""
    clip: tuple[int, ...]
    """[t c h w]."""
    files: dict[str, str] = field(default_factory=dict)
    """Name -> sha256 of what the form needs beside the weights."""
    num_clips: int = 0
    batch_size: int = 1
    table: tuple[Row, ...] = ()
    format: int = FORMAT

    def row(self, form: str) -> Row:
        """What the table says of a form."""
        return next(row for row in self.table if row.form == form)


def read_optimized(folder: Path) -> Optimized | None:
    """What optimized.json in `folder` says; None without one, CheckpointError if it is damaged."""
    path = folder / FILE
    if not path.is_file():
        return None
    facts = read_json(path, CheckpointError, REMEDY)
    if facts.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is of format {facts.get('format')}, this marey reads {FORMAT}", REMEDY
        )
    if isinstance(machine := facts.get("machine"), dict):
        facts["machine"] = _renamed(machine)
    return as_value(Optimized, facts, path, CheckpointError, REMEDY)


def _renamed(machine: dict[str, Any]) -> dict[str, Any]:
    """What a file says of its machine; earlier ones have `instructions`, and `device` "cpu"."""
    sets, device = machine.get("instructions"), machine.get("device", "cpu")
    earlier = {"instruction_sets": sets, "gpu": "" if device == "cpu" else device}
    return earlier | machine if sets is not None else machine


def write_optimized(found: Optimized, folder: Path) -> Path:
    """Write optimized.json into `folder`; returns its path."""
    write_json(folder / FILE, found)
    return folder / FILE


def file_digest(path: Path) -> str:
    """Sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
