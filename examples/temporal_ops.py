"""Train the same thin network with each way to look at time, and print mean and spread of seeds.

    python examples/temporal_ops.py MANIFEST OUT [--seeds 3] [--epochs 8] [--segments 4] [--size 64]

What is alike in all: depth, width, segments, epochs, rates, order of the clips. TDN takes five
frames a segment and bLVNet two, as they must. A run that is in OUT already is not trained again.
docs/temporal-ops.md has what this gave.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

import torch

from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.results_file import read_results
from marey.engine.train.loop import train
from marey.models import (
    GST,
    TAM,
    TSM,
    BLVNetSpec,
    GroupContext,
    LongTermDifference,
    ModelSpec,
    ResNetSpec,
    TDNSpec,
)
from marey.recipes.demo import DEMO_TSN
from marey.recipes.recipe import Recipe, TestViews, Views
from marey.video.crops import CenterCrop
from marey.video.sampling.segments import Segments

THIN = ResNetSpec(26, channels=16)
SHIFT = TSM(shift_div=4)
MODELS = {
    "TSN": ModelSpec(THIN),
    "TSM": ModelSpec(THIN, (SHIFT,)),
    "TAM": ModelSpec(THIN, (TAM(),)),
    "GST": ModelSpec(THIN, (GST(),)),
    "GC-TSN": ModelSpec(THIN, (GroupContext(),)),
    "GC-TSM": ModelSpec(THIN, (SHIFT, GroupContext())),
    "TDN": ModelSpec(TDNSpec(26, channels=16), (LongTermDifference(),)),
    "bLVNet-TAM": ModelSpec(BLVNetSpec(50, channels=16)),
}


def recipes(args: argparse.Namespace) -> Iterator[tuple[str, Recipe]]:
    """The recipe of every model and seed."""
    crop = CenterCrop(args.size, resize=args.size)
    for name, model in MODELS.items():
        model = replace(model, num_segments=args.segments, heads=(), dropout=0.0)
        sampling = Segments(args.segments, model.encoder.frames_per_segment)
        for seed in range(args.seeds):
            recipe = replace(
                DEMO_TSN,
                name=name.lower(),
                model=model,
                train=Views(sampling, crop),
                test=TestViews(sampling, crop),
                stages=(replace(DEMO_TSN.stages[0], epochs=args.epochs),),
                seed=seed,
                save_best="acc/top1",
                smooth=1,
            )
            yield name, recipe.with_data(str(args.manifest))


def top1(recipe: Recipe, folder: Path) -> float:
    """Percent of the validation clips."""
    results = folder / "results" / "val" / "results.json"
    if not results.exists():
        evaluate_folder(EvalOptions(folder=train(recipe, folder, quiet=True)), results.parent)
    return read_results(results).metric("acc/top1")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path)
    for option, default in (("seeds", 3), ("epochs", 8), ("segments", 4), ("size", 64)):
        parser.add_argument(f"--{option}", type=int, default=default)
    args = parser.parse_args(words)
    torch.set_num_threads(1)  # the networks are small: a second thread waits more than it works
    found: dict[str, list[float]] = {}
    for name, recipe in recipes(args):
        percent = top1(recipe, args.out / f"{recipe.name}-{recipe.seed}")
        found.setdefault(name, []).append(percent)
        print(f"{name}, seed {recipe.seed}: {percent:.1f}", flush=True)
    print("\n| | mean | spread | seeds |\n|---|---|---|---|")
    for name, values in found.items():
        spread = f"{stdev(values):.1f}" if len(values) > 1 else ""
        each = ", ".join(f"{v:.1f}" for v in values)
        print(f"| {name} | {mean(values):.1f} | {spread} | {each} |")


if __name__ == "__main__":
    main()
