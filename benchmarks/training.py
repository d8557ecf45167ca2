"""A step of training (forward, backward, optimiser): the published code, and ours in several modes.

    python -m benchmarks.training --json FILE [--models tsm-r50 ...] [--modes plain ...]

| mode | is |
|---|---|
| plain | our model, eager float32, its filters channels last |
| bf16 | the same under autocast to bfloat16, as `--amp` |
| checkpointed | blocks computed again in backward, as `--checkpoint` |
| recomputed | norms, ReLUs and TAMs computed again in backward, as `recompute=true` |
| fused-optimizer | torch's optimiser of one kernel |
| compiled | torch.compile of the model: only if asked for, it takes minutes |

Both sides have the same weights, clips and labels, and no dropout, so that they can be compared:
`max_error` is that of the logits of the first step, `gradient_error` that of its gradient at the
first layer: rounding in another order of memory alone, which norms and ReLUs enlarge on the way
back, makes it 1e-3 to 1e-2 (tests compare gradients in double precision). `kept_bytes` is what
forward leaves for backward, `peak_bytes` the most of a whole step, both without weights; they are
counted, not sampled.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.budget import Budget
from benchmarks.memory import kept_bytes, peak_bytes
from benchmarks.paired import relative_error, side_by_side
from benchmarks.reference.catalog import MODELS, Compared
from benchmarks.reference.weights import made_up_clips
from benchmarks.rows import NO_TIME, Row, add_options, report, row
from marey.engine.machine import matmul_flops
from marey.models.checkpointing import checkpointed
from marey.models.layout import channels_last
from marey.models.profile import cost
from marey.models.recomputing import recomputed
from marey.models.video_model import VideoModel

MODES = ("plain", "bf16", "checkpointed", "recomputed", "fused-optimizer", "compiled")

DTYPES: Mapping[str, torch.dtype] = {"bf16": torch.bfloat16}
"""Of the products of a mode, by whose peak it is judged; float32 where nothing stands."""


STEPS_OF_MEMORY = 2
"""How many steps it takes to count what one keeps."""


@dataclass(frozen=True)
class Batch:
    """What a step is made on."""

    clips: int
    size: int


BATCHES: Mapping[str, Batch] = {
    "tsm-r50": Batch(4, 112),
    "blvnet-tam-50": Batch(2, 112),
    "motionformer-b": Batch(1, 160),
}


class Step:
    """One step of a network on the same clips and labels, again and again."""

    def __init__(
        self,
        network: nn.Module,
        clip: Tensor,
        labels: Tensor,
        *,
        first: str,
        context: Callable[[], AbstractContextManager[object]] = nullcontext,
        fused: bool = False,
        compiled: bool = False,
    ) -> None:
        self.network = network.train()
        self.clip, self.labels, self.context = clip, labels, context
        self.first = network.get_parameter(first)
        self.optimizer = torch.optim.SGD(
            network.parameters(), lr=1e-4, momentum=0.9, weight_decay=5e-4, fused=fused or None
        )
        self.call = torch.compile(network) if compiled else network

    def __call__(self) -> tuple[Tensor, Tensor]:
        """The logits, and the gradient of the first layer."""
        self.optimizer.zero_grad(set_to_none=True)
        logits, loss = self.forward()
        torch.autograd.backward(loss)
        self.optimizer.step()
        assert self.first.grad is not None
        return logits.detach(), self.first.grad

    def forward(self) -> tuple[Tensor, Tensor]:
        """The logits, and the loss, from which backward starts."""
        with self.context():
            out = self.call(self.clip)
            logits = (out["label"] if isinstance(out, dict) else out).float()
            return logits, F.cross_entropy(logits, self.labels)

    def kept_bytes(self) -> int:
        """What forward leaves until backward has used it."""
        return kept_bytes(self.forward, self.network, given=[self.clip, self.labels])

    def peak_bytes(self) -> int:
        """The most that a step takes beside weights, momenta and the batch."""
        momenta = [m for state in self.optimizer.state.values() for m in state.values()]
        given = [self.clip, self.labels, *(m for m in momenta if isinstance(m, Tensor))]
        return peak_bytes(self, self.network, given=given)


def measure(
    name: str,
    compared: Compared,
    batch: Batch,
    modes: Sequence[str],
    *,
    rounds: int,
    within: float = math.inf,
) -> tuple[list[Row], dict[str, str]]:
    """The rows of one model, its modes beside the reference and each other; what is left out.

    within: seconds of all steps.
    """
    compared = compared.without_dropout()
    spec, (model, reference) = compared.spec, compared.build()
    clip = made_up_clips(spec, batch.size, batch.clips, seed=1)
    labels = torch.arange(batch.clips) % spec.heads[0].num_classes
    first, theirs = compared.first_layer(reference)
    steps = {"reference": Step(reference, clip, labels, first=theirs)}
    steps |= {mode: step_of(mode, model, clip, labels, first) for mode in modes}
    steps_too = within * (1 + rounds) / (1 + rounds + STEPS_OF_MEMORY)
    timings = side_by_side(steps, rounds=rounds, within=steps_too)
    left_out = {f"{name}, {mode}": NO_TIME for mode in modes if mode not in timings}
    modes = [mode for mode in modes if mode in timings]
    flop = 3 * 2e9 * cost(spec, batch.size).gmacs * batch.clips
    peaks = {mode: matmul_flops(DTYPES.get(mode, torch.float32)) for mode in modes}
    kept, most = steps["reference"].kept_bytes(), steps["reference"].peak_bytes()
    rows = []
    for mode in modes:
        timing, beside = timings[mode], timings["reference"]
        logits, gradient = map(relative_error, timing.output, beside.output)
        more: dict[str, float | int | str] = {
            "gradient_error": gradient,
            "peak_share": flop / timing.cpu_seconds / peaks[mode],
        }
        if mode != "compiled":  # what is compiled is no sequence of operations to be counted
            more |= _memory(steps[mode], kept, most)
        rows.append(replace(row(name, mode, timing, beside, max_error=logits), more=more))
    return rows, left_out


def step_of(
    mode: str,
    model: VideoModel,
    clip: Tensor,
    labels: Tensor,
    first: str,
    *,
    compiled: bool = False,
) -> Step:
    """The step of a mode, of a copy of `model`."""
    network = channels_last(deepcopy(model))
    contexts: Mapping[str, Callable[[], AbstractContextManager[object]]] = {
        "bf16": lambda: torch.autocast(clip.device.type, torch.bfloat16),
        "checkpointed": lambda: checkpointed(network.encoder),
        "recomputed": recomputed,
    }
    return Step(
        network,
        clip,
        labels,
        first=first,
        context=contexts.get(mode, nullcontext),
        fused=mode == "fused-optimizer",
        compiled=compiled or mode == "compiled",
    )


def _memory(step: Step, kept: int, most: int) -> dict[str, float | int | str]:
    """Bytes of a step, beside those of the reference."""
    own_kept, own_most = step.kept_bytes(), step.peak_bytes()
    return {
        "kept_bytes": own_kept,
        "kept_ratio": own_kept / kept,
        "peak_bytes": own_most,
        "peak_ratio": own_most / most,
    }


def main(words: Sequence[str] | None = None) -> None:
    """Measure what `words`, or those of the command line, ask for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training", description="A step of training, model by model."
    )
    parser.add_argument("--models", nargs="+", choices=BATCHES, default=list(BATCHES))
    usual = [mode for mode in MODES if mode != "compiled"]
    parser.add_argument("--modes", nargs="+", choices=MODES, default=usual)
    parser.add_argument("--size", type=int, help="pixels of a side; by default the model's own")
    parser.add_argument("--clips", type=int, help="of a batch; by default the model's own")
    add_options(parser)
    asked = parser.parse_args(words)
    torch.set_num_threads(asked.threads)
    budget = Budget.of(60 * asked.minutes)
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    for done, name in enumerate(asked.models):
        batch = BATCHES[name]
        batch = replace(batch, size=asked.size or batch.size, clips=asked.clips or batch.clips)
        frames = MODELS[name].spec.frames
        print(
            f"{name}, {batch.clips} x {frames} x {batch.size}: {', '.join(asked.modes)}", flush=True
        )
        within = budget.share(1 / (len(asked.models) - done)).left
        made, not_made = measure(
            name, MODELS[name], batch, asked.modes, rounds=asked.rounds, within=within
        )
        rows += made
        left_out |= not_made
    report("training", rows, asked.json, left_out)


if __name__ == "__main__":
    main()
