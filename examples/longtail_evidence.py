"""Train every long-tail method from the same start, on features, and print means and intervals.

    python examples/longtail_evidence.py OUT lt-0.arrow lt-1.arrow ...   one long-tailed file a seed

For each file a hidden layer and a classifier learn by plain cross-entropy. From these weights every
method goes on for as many epochs at the same rate. Intervals are of 95 % over the files (Student's
t); gains are paired, file by file. A run that is in OUT already is not trained again.
docs/longtail.md has what this gave.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from marey.data.loading.samplers import ClassBalanced
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.results_file import read_results
from marey.engine.train.loop import train
from marey.longtail.lmr import LMR
from marey.longtail.logit_adjustment import BalancedSoftmax, LogitAdjustment
from marey.models.encoders.features import LateAverageSpec
from marey.recipes.features import MLP
from marey.recipes.optim import AdamW, Cosine
from marey.recipes.recipe import Recipe, Stage

FIRST = Stage(epochs=30, optim=AdamW(lr=1e-3, weight_decay=1e-4), schedule=Cosine())
START = replace(
    MLP,
    model=replace(MLP.model, encoder=LateAverageSpec(hidden=256)),
    stages=(FIRST,),
    batch_size=32,
)
NEW_HEADS = replace(FIRST, sampler=ClassBalanced(), reset_heads=True)
STAGES = {
    "CE": FIRST,
    "balanced softmax": replace(FIRST, objective=BalancedSoftmax()),
    "logit adjustment, tau 1.5": replace(FIRST, objective=LogitAdjustment(1.5)),
    "cRT": replace(NEW_HEADS, trainable="heads"),
    "mixup": NEW_HEADS,
    "classes alike, new heads": NEW_HEADS,
    "+ mixing (LMR, l = h = 0)": replace(NEW_HEADS, objective=LMR(l=0, h=0, mix=1.0)),
    "+ rebuilding (LMR, mix = 0)": replace(NEW_HEADS, objective=LMR(mix=0)),
    "LMR, paper": replace(NEW_HEADS, objective=LMR()),
    "LMR, paper, l = 1": replace(NEW_HEADS, objective=LMR(l=1.0)),
    "LMR, released": replace(NEW_HEADS, objective=LMR(variant="released")),
    "LMR, paper, heads only": replace(NEW_HEADS, objective=LMR(), trainable="heads"),
}
NUMBERS = ("class_avg", "head", "tail", "few")
T95 = (0, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)
"""Student's t of 95 %, by degrees of freedom."""


def second(method: str, start: Path) -> Recipe:
    """The recipe that goes on by `method` from the weights of the run `start`."""
    augment = replace(START.augment, mixup=0.2 if method == "mixup" else 0.0)
    weights = str(start / "checkpoints" / "last.pt")
    return replace(START, stages=(STAGES[method],), augment=augment, weights=weights)


def measure(recipe: Recipe, data: Path, seed: int, folder: Path) -> tuple[float, ...]:
    """Class average, head, tail and few-shot accuracy in percent, of a run in `folder`."""
    results = folder / "results" / "val" / "results.json"
    if not results.exists():
        recipe = recipe.with_data(str(data))
        recipe = replace(recipe, seed=seed, save_best="acc/top1", smooth=1)
        evaluate_folder(EvalOptions(folder=train(recipe, folder, quiet=True)), results.parent)
    return tuple(read_results(results).metric(f"acc/{name}") for name in NUMBERS)


def interval(values: np.ndarray) -> str:
    """Mean and half the 95 % interval over the last axis' seeds."""
    n = len(values)
    if n == 1:
        return f"{values.mean():.1f}"
    half = T95[min(n, len(T95)) - 1] * values.std(ddof=1) / n**0.5
    return f"{values.mean():.1f} ± {half:.1f}"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    args = parser.parse_args(words)
    torch.set_num_threads(1)  # the networks are small: a second thread waits more than it works
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in STAGES}
    for seed, data in enumerate(args.files):
        start = args.out / f"{data.stem}-start"
        measure(START, data, seed, start)
        for name in STAGES:
            folder = args.out / f"{data.stem}-{name.replace(' ', '_').replace(',', '')}"
            found[name].append(measure(second(name, start), data, seed, folder))
    table = {name: np.array(rows) for name, rows in found.items()}
    print(f"| | {' | '.join(NUMBERS)} | few, gain over cRT |\n|---|---|---|---|---|---|")
    for name, rows in table.items():
        cells = [interval(rows[:, i]) for i in range(len(NUMBERS))]
        gain = interval(rows[:, -1] - table["cRT"][:, -1])
        print(f"| {name} | {' | '.join(cells)} | {gain} |")


if __name__ == "__main__":
    main()
