"""One clip through each model: the published code, ours, and what else could run it.

    python -m benchmarks.inference --json FILE [--models tsm-r50 ...] [--modes fused ...]

| mode | is |
|---|---|
| plain | the model that is trained, eager, its filters channels last |
| fused | `marey.models.fused.fused` of it |
| onnxruntime, openvino | the plain model exported to them, where they are installed |
| compiled | the fused form through torch.compile, frozen: only if asked for, it takes minutes |

All of them see the same clip and have the same weights; `max_error` is to the reference's logits.
`peak_share` is the model's arithmetic (`marey.models.profile.cost`) by the second, as a share of
what a product of matrices reached in this run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor

from benchmarks.paired import relative_error, side_by_side
from benchmarks.reference.catalog import MODELS, Compared
from benchmarks.reference.weights import made_up_clips
from benchmarks.rows import Row, add_options, report, row
from benchmarks.runtimes import RUNTIMES, Call, exported, installed
from marey.engine.machine import matmul_flops
from marey.models.fused import fused
from marey.models.layout import channels_last
from marey.models.profile import cost
from marey.models.video_model import VideoModel
from marey.types import Scores

MODES = ("plain", "fused", "compiled", *RUNTIMES)


def measure(
    name: str,
    compared: Compared,
    modes: Sequence[str],
    *,
    rounds: int,
    seconds: float = 0.0,
    size: int | None = None,
) -> list[Row]:
    """The rows of one model, its modes timed beside the reference and each other."""
    size = size or compared.size
    model, reference = compared.build()
    clip = made_up_clips(compared.spec, size, batch=1, seed=1)
    ways = {"reference": partial(_logits, reference, clip)} | _ways(modes, model, clip)
    with torch.inference_mode():
        timings = side_by_side(ways, rounds=rounds, seconds=seconds)
    flop, peak = 2e9 * cost(compared.spec, size).gmacs, matmul_flops()
    theirs = timings.pop("reference")
    return [
        row(
            name,
            mode,
            timing,
            theirs,
            max_error=relative_error(timing.output, theirs.output),
            peak_share=flop / timing.cpu_seconds / peak,
        )
        for mode, timing in timings.items()
    ]


def _ways(modes: Sequence[str], model: VideoModel, clip: Tensor) -> dict[str, Call]:
    """The call of each mode, made ready; `model` stays as it is."""
    ways: dict[str, Call] = {}
    if "plain" in modes:
        ways["plain"] = partial(_logits, channels_last(deepcopy(model)), clip)
    if "fused" in modes:
        ways["fused"] = partial(_logits, fused(model), clip)
    if "compiled" in modes:
        ways["compiled"] = partial(_logits, _compiled(fused(model)), clip)
    if runtimes := [mode for mode in modes if mode in RUNTIMES]:
        with exported(model, clip) as path:
            ways |= {mode: RUNTIMES[mode](path, clip) for mode in runtimes}
    return ways


def _compiled(model: VideoModel) -> Callable[[Tensor], Scores]:
    """The model's weights written into its code, as constants, which needs no gradients."""
    import torch._inductor.config as inductor

    inductor.freezing = True
    compiled: Callable[[Tensor], Scores] = torch.compile(model)
    return compiled


def _logits(network: Callable[[Tensor], Tensor | Scores], clip: Tensor) -> Tensor:
    out = network(clip)
    return out["label"] if isinstance(out, dict) else out


def main(words: Sequence[str] | None = None) -> None:
    """Measure what `words`, or those of the command line, ask for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.inference", description="One clip through each model."
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    usual = ["plain", "fused", *installed()]
    parser.add_argument("--modes", nargs="+", choices=MODES, default=usual)
    parser.add_argument("--size", type=int, help="pixels of a side; by default the model's own")
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="of each model, rounds are added until then; 10"
    )
    add_options(parser)
    asked = parser.parse_args(words)
    torch.set_num_threads(asked.threads)
    rows: list[Row] = []
    for name in asked.models:
        print(f"{name}: {', '.join(asked.modes)} beside the reference", flush=True)
        rows += measure(
            name,
            MODELS[name],
            asked.modes,
            rounds=asked.rounds,
            seconds=asked.seconds,
            size=asked.size,
        )
    report("inference", rows, asked.json)


if __name__ == "__main__":
    main()
