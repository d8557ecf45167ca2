"""One clip through each model: the published code, ours, and every form that it has here.

    python -m benchmarks.inference --json FILE [--models tsm-r50 ...] [--forms fused ...]

| mode | is |
|---|---|
| plain | the model that is trained, eager, its filters channels last |
| fused | our own mode: what evaluation and prediction run |
| onnxruntime, openvino, compiled, bf16, ... | the other forms that `marey optimize` tries |
| optimize, exact | the form that it takes where 1e-4 of the largest logit may differ |
| optimize, close | the one that it takes where 0.5 % of the clips may be classified otherwise |

All see the same clips, another one each round, and have the same weights; `max_error` is to the
reference's logits, the largest of all these clips, and `agreement` the percentage of them whose
class is the same: of weights that were filled by a rule, whose logits lie close together, so that
a trained model agrees more. What is of 8 bits was fitted to one clip, and `optimize` chooses by
processor time here, as all ratios are.

`peak_bytes` is the most that the tensors of one call take at one time, beside weights and clip, as
counted, and `peak_ratio` the share of the reference's; of `plain` and `fused`, whose operations
torch runs one by one.
`process_bytes` is by what the process grew until a form gave its first logits, weights included,
where the system tells. `peak_share` is the model's arithmetic (`marey.models.profile.cost`) by the
second, as a share of what a product of matrices in float32 reached in this run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import torch
from torch import Tensor, nn

from benchmarks.budget import Budget
from benchmarks.memory import peak_bytes
from benchmarks.paired import relative_error, side_by_side
from benchmarks.reference.catalog import MODELS, Compared
from benchmarks.reference.weights import made_up_clips
from benchmarks.rows import NO_TIME, Row, add_options, report, row
from marey.engine.machine import matmul_flops
from marey.engine.optimize.choose import Keeps, fastest
from marey.engine.optimize.measure import HOPELESS, Opened, opened
from marey.engine.optimize.optimize import Wanted
from marey.engine.runtimes import optimized
from marey.engine.runtimes.catalog import find_form
from marey.errors import RunError
from marey.models.layout import channels_last
from marey.models.profile import cost
from marey.models.video_model import VideoModel
from marey.types import Scores

FORMS = (
    *("plain", "fused", "onnxruntime", "openvino", "compiled", "bf16"),
    *("onnxruntime-int8", "openvino-bf16", "bf16-compiled"),
)
"""Those of a CPU, in the order in which they are made as long as there is time."""
COUNTED = ("plain", "fused")
"""Those whose operations torch runs one by one, so that their tensors can be counted."""
LIMITS: Mapping[Keeps, float] = {"exact": Wanted.limit, "close": 99.5}
CALLS_TO_OPEN = 4
"""Of a form: its first, as a batch and alone, and one that tells how long it takes."""
COMPILING_SECONDS = 30.0
"""What a compiled form may need until its first scores, as it cannot be stopped midway."""
SAME_FOR_ALL = 30.0
"""GMACs: a model gets its share of the time by its own and these, for what is made beforehand."""


class Network(Protocol):
    """A reference, or a form of ours."""

    def __call__(self, clip: Tensor, /) -> Tensor | Scores:
        """Logits [b k], or those of every head."""
        ...


@dataclass
class Way:
    """A network that is given the clips in turn, and what it made of each."""

    network: Network
    clips: Sequence[Tensor]
    logits: list[Tensor] = field(default_factory=list)

    def __call__(self) -> Tensor:
        """The logits of the next clip."""
        out = self.network(self.clips[len(self.logits) % len(self.clips)])
        self.logits.append(out["label"] if isinstance(out, dict) else out)
        return self.logits[-1]

    def error(self, other: Way) -> float:
        """The largest `relative_error` of a clip."""
        return max(map(relative_error, self.logits, other.logits))

    def agreement(self, other: Way) -> float:
        """Percent of the clips whose classes are those of the other."""
        pairs = zip(self.logits, other.logits, strict=True)
        same = [bool((ours.argmax(1) == theirs.argmax(1)).all()) for ours, theirs in pairs]
        return 100 * sum(same) / len(same)


def measure(
    name: str,
    compared: Compared,
    forms: Sequence[str],
    budget: Budget,
    *,
    rounds: int,
    seconds: float = 0.0,
    size: int | None = None,
) -> tuple[list[Row], dict[str, str]]:
    """The rows of one model, its forms beside the reference and each other; what is left out."""
    size = size or compared.size
    model, reference = compared.build()
    clips = [made_up_clips(compared.spec, size, batch=1, seed=1 + i) for i in range(1 + rounds)]
    with TemporaryDirectory() as folder, torch.no_grad():
        began = time.monotonic()
        reference(clips[0])
        first = time.monotonic() - began
        found, left_out = _made(
            channels_last(model), forms, clips[0], Path(folder), budget, first, rounds
        )
        ways = {form.name: Way(form.run, clips) for form in found}
        theirs = Way(reference, clips)
        timings = side_by_side(
            {"reference": theirs} | ways, rounds=rounds, seconds=seconds, within=budget.left
        )
    beside, most = timings["reference"], _peak(reference, clips[0])
    left_out |= {mode: NO_TIME for mode in ways if mode not in timings}
    found = [form for form in found if form.name in timings]
    flop = 2e9 * cost(compared.spec, size).gmacs / matmul_flops()
    rows = []
    for form in found:
        mode, timing, way = form.name, timings[form.name], ways[form.name]
        more: dict[str, float] = {
            "agreement": way.agreement(theirs),
            "peak_share": flop / timing.cpu_seconds,
        }
        if mode in COUNTED and isinstance(form.run.run, nn.Module):
            own = _peak(form.run.run, clips[0])
            more |= {"peak_bytes": own, "peak_ratio": own / most}
        if form.memory_bytes is not None:
            more["process_bytes"] = form.memory_bytes
        made = row(name, mode, timing, beside, max_error=way.error(theirs))
        rows.append(replace(made, more=more))
    for keeps, limit in LIMITS.items():
        try:
            rows.append(_taken(found, rows, keeps, limit))
        except RunError as error:
            left_out[f"optimize, {keeps}"] = error.message
    return rows, {f"{name}, {mode}": why for mode, why in left_out.items()}


def _made(
    model: VideoModel,
    forms: Sequence[str],
    clip: Tensor,
    folder: Path,
    budget: Budget,
    reference_seconds: float,
    rounds: int,
) -> tuple[list[Opened], dict[str, str]]:
    """The forms that can be had here and in time, the first in any case; why not the others."""
    found: list[Opened] = []
    left_out: dict[str, str] = {}
    ours = 0.0
    for name in forms:
        each = ours / len(found) if found else reference_seconds
        calls = (1 + rounds) * (reference_seconds + ours + each) + CALLS_TO_OPEN * each
        if found and budget.left < calls + COMPILING_SECONDS * ("compiled" in name):
            left_out[name] = NO_TIME
            continue
        form = find_form(name)
        assert form is not None, "FORMS are those of the catalog"
        made = opened(form, model, clip, folder, {})
        if isinstance(made, optimized.Row):
            left_out[name] = made.left_out
            continue
        began = time.monotonic()
        made.run(clip)
        taken = time.monotonic() - began
        if taken > HOPELESS * reference_seconds:
            left_out[name] = f"over {HOPELESS:g} times as slow as the reference"
            continue
        found.append(made)
        ours += taken
    return found, left_out


def _peak(network: nn.Module, clip: Tensor) -> int:
    """The most bytes at one time of a call, beside weights and clip."""
    with torch.no_grad():
        return peak_bytes(partial(network, clip), network, given=[clip])


def _taken(forms: Sequence[Opened], rows: Sequence[Row], keeps: Keeps, limit: float) -> Row:
    """The row of the form that `marey optimize` takes; RunError if none keeps what is asked."""
    table = [
        optimized.Row(
            form=form.name,
            latency_seconds=own.cpu_seconds,
            start_seconds=form.start_seconds,
            difference=own.max_error,
            agreement=float(own.more["agreement"]),
        )
        for form, own in zip(forms, rows, strict=False)
    ]
    name = fastest(table, keeps, limit, Wanted.most_start).form
    own = next(each for each in rows if each.mode == name)
    return replace(own, mode=f"optimize, {keeps}", more={**own.more, "form": name})


def main(words: Sequence[str] | None = None) -> None:
    """Measure what `words`, or those of the command line, ask for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.inference", description="One clip through each model."
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--size", type=int, help="pixels of a side; by default the model's own")
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="of each model, rounds are added until then; 10"
    )
    add_options(parser)
    asked = parser.parse_args(words)
    torch.set_num_threads(asked.threads)
    budget = Budget.of(60 * asked.minutes)
    weights = {name: SAME_FOR_ALL + cost(MODELS[name].spec).gmacs for name in asked.models}
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    for name in asked.models:
        print(f"{name}: {', '.join(asked.forms)} beside the reference", flush=True)
        part = budget.share(weights[name] / sum(weights.values()))
        del weights[name]
        made, not_made = measure(
            name,
            MODELS[name],
            asked.forms,
            part,
            rounds=asked.rounds,
            seconds=asked.seconds,
            size=asked.size,
        )
        rows += made
        left_out |= not_made
    report("inference", rows, asked.json, left_out)


if __name__ == "__main__":
    main()
