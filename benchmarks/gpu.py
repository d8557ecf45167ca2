"""What a GPU makes of our models and of the published code, in one run of at most eight minutes.

    python -m benchmarks.gpu --json FILE          (make bench-gpu)

    training    TSM-R50, bLVNet-TAM-101 and Motionformer-B: the reference in float32 (TF32) and
                under bf16 autocast, ours under bf16 autocast
    inference   the same, one clip and a batch at a time, and the fused form in float32 and bf16
    memory      the largest batch that fits, of the reference and of ours
    tests       those that are marked gpu
    compiled    training and inference once more, through torch.compile, in the time that is left

Nothing is downloaded. What became of a part, for which there may be no time, stands in ``parts`` of
the file, which is written after each of them; largest batches and their bytes in ``memory``.
`ratio` is to the reference in TF32, `bf16_ratio` to the reference under autocast, both by wall
time. Both have cuDNN try its algorithms, as the published code does and `marey train` does not.
`peak_share` is of what a product of matrices in bfloat16 reached in this run.
``--device cpu --tiny`` runs the same script anywhere, for its test.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from benchmarks.paired import Timing, relative_error, side_by_side
from benchmarks.reference.catalog import BLVNET_TAM_101, MODELS, Compared
from benchmarks.reference.weights import made_up_clips
from benchmarks.rows import Row, row, show, write
from benchmarks.training import Step, step_of
from marey.engine.machine import matmul_flops
from marey.models.encoders.motionformer import MotionformerSpec
from marey.models.fused import fused
from marey.models.profile import cost
from marey.types import Scores

COMPARED: Mapping[str, Compared] = {
    "tsm-r50": MODELS["tsm-r50"],
    "blvnet-tam-101": BLVNET_TAM_101,
    "motionformer-b": MODELS["motionformer-b"],
}
CLIPS: Mapping[str, int] = {"tsm-r50": 32, "blvnet-tam-101": 16, "motionformer-b": 8}
"""Of a batch in training: what the reference has room for in 80 GB."""

FAULTS = (RuntimeError, subprocess.TimeoutExpired)
"""Out of memory, no compiler, a test that fails: the other parts go on."""

Network: TypeAlias = Callable[[Tensor], "Tensor | Scores"]


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    device: str
    rounds: int = 7
    size: int | None = None
    training_clips: int | None = None
    inference_clips: tuple[int, ...] = (1, 32)
    most_clips: int = 4096
    tests: bool = True

    def pixels(self, compared: Compared) -> int:
        """Of a side of a model's clips."""
        return self.size or compared.size

    def clips(self, name: str) -> int:
        """Of a training batch."""
        return self.training_clips or CLIPS[name]


TINY = Sizes("cpu", 1, 32, 2, (1, 2), most_clips=2, tests=False)
TINY_MOTIONFORMER = MotionformerSpec(depth=2, width=48, num_heads=3)


@dataclass
class Run:
    """The rows so far, and what became of each part."""

    models: Mapping[str, Compared]
    sizes: Sizes
    ends: float
    path: Path | None
    matmul_flops: Mapping[str, float]
    rows: list[Row] = field(default_factory=list)
    parts: dict[str, str] = field(default_factory=dict)
    memory: dict[str, dict[str, int]] = field(default_factory=dict)

    def part(self, name: str, make: Callable[[], Iterable[Row]], *, needs: float) -> None:
        """Add the rows of a part, if the seconds that it needs are left."""
        left, start = self.ends - time.monotonic(), time.monotonic()
        if left < needs:
            self.parts[name] = f"left out: {left:.0f} s were left, it may need {needs:.0f}"
        else:
            try:
                self.rows.extend(make())
                self.parts[name] = f"{time.monotonic() - start:.0f} s"
            except FAULTS as error:
                self.parts[name] = f"failed: {str(error).strip().splitlines()[0]}"
        gc.collect()
        if self.sizes.device != "cpu":
            torch.cuda.empty_cache()
        print(f"{name}: {self.parts[name]}", flush=True)
        if self.path is not None:
            kept = ("matmul_flops", "parts", "memory")
            write("gpu", self.rows, self.path, {name: getattr(self, name) for name in kept})


def training(name: str, run: Run, *, compiled: bool = False) -> Iterator[Row]:
    """Steps of the reference and of ours, each of whose clips a second are told."""
    sizes, compared = run.sizes, run.models[name].without_dropout()
    model, reference = compared.build(device=sizes.device)
    clip, labels = _batch(compared, sizes, sizes.clips(name))
    first, theirs = compared.first_layer(reference)
    autocast = partial(torch.autocast, torch.device(sizes.device).type, torch.bfloat16)
    steps = {
        "reference": Step(reference, clip, labels, first=theirs),
        "reference-bf16": Step(reference, clip, labels, first=theirs, context=autocast),
        "bf16": step_of("bf16", model, clip, labels, first),
    }
    if compiled:
        steps["compiled-bf16"] = step_of("bf16", model, clip, labels, first, compiled=True)
    ways = {mode: partial(_first_output, step) for mode, step in steps.items()}
    kind = "training, compiled" if compiled else "training"
    yield from _rows(f"{name} {kind}", run, compared, ways, len(clip), passes=3)


def inference(name: str, clips: int, run: Run, *, compiled: bool = False) -> Iterator[Row]:
    """A batch of so many clips through the reference and the forms of ours."""
    sizes, compared = run.sizes, run.models[name]
    model, reference = compared.build(device=sizes.device)
    clip, _ = _batch(compared, sizes, clips)
    half = clip.to(torch.bfloat16)
    forms: dict[str, tuple[Network, Tensor]] = {
        "reference": (reference, clip),
        "reference-bf16": (_autocast(reference, sizes.device), clip),
        "fused": (fused(model), clip),
        "fused-bf16": (fused(model).to(torch.bfloat16), half),
    }
    if compiled:  # whose graphs of kernels spare a single clip the launching of each
        small = fused(model).to(torch.bfloat16)
        forms["compiled-bf16"] = (torch.compile(small, mode="reduce-overhead"), half)
    ways = {mode: partial(_logits, network, x) for mode, (network, x) in forms.items()}
    kind = "inference, compiled" if compiled else "inference"
    yield from _rows(f"{name} {kind} x {clips}", run, compared, ways, clips, passes=1)


def largest_batch(name: str, run: Run) -> tuple[Row, ...]:
    """The largest batches under bf16 that a step has room for, and what they take of it."""
    sizes, compared = run.sizes, run.models[name].without_dropout()
    model, reference = compared.build(device=sizes.device)
    first, theirs = compared.first_layer(reference)
    autocast = partial(torch.autocast, torch.device(sizes.device).type, torch.bfloat16)

    def of_reference(clip: Tensor, labels: Tensor) -> Step:
        return Step(reference, clip, labels, first=theirs, context=autocast)

    def of_ours(clip: Tensor, labels: Tensor) -> Step:
        return step_of("bf16", model, clip, labels, first)

    found = {}
    for mode, make in {"reference": of_reference, "ours": of_ours}.items():
        fitting = partial(_peak_of, make, compared, sizes)
        clips, used = _largest(fitting, sizes.clips(name), sizes.most_clips)
        found[f"{mode}_clips"], found[f"{mode}_bytes"] = clips, used
    run.memory[name] = found
    return ()


def _peak_of(
    make: Callable[[Tensor, Tensor], Step], compared: Compared, sizes: Sizes, clips: int
) -> int | None:
    """The most bytes of a step of so many clips; None if there is no room for it."""
    try:
        step = make(*_batch(compared, sizes, clips))
        step()
        return step.peak_bytes()
    except torch.OutOfMemoryError:
        return None
    finally:
        gc.collect()
        if sizes.device != "cpu":
            torch.cuda.empty_cache()


def _largest(peak: Callable[[int], int | None], clips: int, most: int) -> tuple[int, int]:
    """The largest batch that was found to fit and its bytes; (0, 0) if not even `clips` do.

    It is `clips` doubled as long as they fit, and then half or a quarter more.
    """
    best, used = 0, 0
    while clips <= most and (found := peak(clips)) is not None:
        best, used, clips = clips, found, 2 * clips
    for share in (1.5, 1.25):
        if best and best * 2 <= most and (found := peak(int(best * share))) is not None:
            return int(best * share), found
    return best, used


def gpu_tests() -> tuple[Row, ...]:
    """Those that are marked gpu; RuntimeError with the last line if they do not pass."""
    words = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    print(done.stdout)
    if done.returncode:
        raise RuntimeError((done.stdout.strip() or done.stderr.strip()).splitlines()[-1])
    return ()


def _rows(
    name: str,
    run: Run,
    compared: Compared,
    ways: Mapping[str, Callable[[], Tensor]],
    clips: int,
    *,
    passes: int,
) -> Iterator[Row]:
    device = run.sizes.device
    timings = side_by_side(ways, rounds=run.sizes.rounds, warm_up=2, device=device)
    flop = passes * 2e9 * cost(compared.spec, run.sizes.pixels(compared)).gmacs * clips
    for mode, timing in timings.items():
        seconds = timing.seconds(device)
        made = _row(name, mode, timing, timings["reference"], device)
        yield replace(
            made,
            more={
                "clips_per_second": clips / seconds,
                "bf16_ratio": timings["reference-bf16"].seconds(device) / seconds,
                "peak_share": flop / seconds / run.matmul_flops["bfloat16"],
            },
        )


def _row(name: str, mode: str, timing: Timing[Tensor], beside: Timing[Tensor], device: str) -> Row:
    error = relative_error(timing.output.float(), beside.output.float())
    return row(name, mode, timing, beside, max_error=error, device=device)


def _batch(compared: Compared, sizes: Sizes, clips: int) -> tuple[Tensor, Tensor]:
    spec, pixels = compared.spec, sizes.pixels(compared)
    labels = torch.arange(clips, device=sizes.device) % spec.heads[0].num_classes
    return made_up_clips(spec, pixels, clips, seed=1, device=sizes.device), labels


def _first_output(step: Step) -> Tensor:
    return step()[0]


def _autocast(network: nn.Module, device: str) -> Network:
    def call(clip: Tensor) -> Tensor:
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            logits: Tensor = network(clip)
            return logits

    return call


@torch.inference_mode()
def _logits(network: Network, clip: Tensor) -> Tensor:
    out = network(clip)
    return out["label"] if isinstance(out, dict) else out


def main(words: Sequence[str] | None = None) -> None:
    """Measure what `words`, or those of the command line, ask for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description="Our models on a GPU."
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=7.5, help="parts begin until then; 7.5")
    parser.add_argument("--tiny", action="store_true", help="small clips, to see that it runs")
    parser.add_argument("--models", nargs="+", choices=COMPARED, default=list(COMPARED))
    asked = parser.parse_args(words)
    if asked.device != "cpu" and not torch.cuda.is_available():
        parser.error("there is no GPU here; --device cpu --tiny shows that the script runs")
    if asked.json is not None:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
    torch.set_float32_matmul_precision("high")  # TF32, as the reference is run on such GPUs
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True  # as the published code does
    sizes = replace(TINY, device=asked.device) if asked.tiny else Sizes(asked.device)
    models = dict(COMPARED)
    if asked.tiny:
        large = models["motionformer-b"]
        models["motionformer-b"] = replace(
            large, spec=replace(large.spec, encoder=TINY_MOTIONFORMER)
        )
    peaks = {
        str(dtype).removeprefix("torch."): matmul_flops(dtype, asked.device)
        for dtype in (torch.float32, torch.bfloat16)
    }
    run = Run(models, sizes, time.monotonic() + 60 * asked.minutes, asked.json, peaks)
    for name in asked.models:
        run.part(f"{name} training", partial(training, name, run), needs=45)
    for name in asked.models:
        for clips in sizes.inference_clips:
            part = partial(inference, name, clips, run)
            run.part(f"{name} inference x {clips}", part, needs=20)
    for name in asked.models:
        run.part(f"{name} memory", partial(largest_batch, name, run), needs=40)
    if sizes.tests:
        run.part("tests", gpu_tests, needs=60)
    if not asked.tiny:
        for name in asked.models:
            part = partial(training, name, run, compiled=True)
            run.part(f"{name} training, compiled", part, needs=100)
            part = partial(inference, name, 1, run, compiled=True)
            run.part(f"{name} inference, compiled", part, needs=60)
    show(run.rows)


if __name__ == "__main__":
    main()
