"""The demo: does the order of time matter? TSN cannot see it, TSM can, all else equal."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from marey.data.manifest.read import read_manifest
from marey.data.synthetic.dataset import CLASSES, REVERSALS, appearance_ceiling, render_dataset
from marey.engine.inference.evaluate_run import EvalOptions, evaluate_folder
from marey.engine.inference.predict import load
from marey.engine.report.compare import Comparison, read_comparison
from marey.engine.report.report import write_report
from marey.engine.results_file import read_results
from marey.engine.train.loop import train
from marey.engine.weights.trained import refuse_occupied
from marey.recipes.demo import DEMO_TSM, DEMO_TSN


@dataclass(frozen=True)
class DemoResult:
    """Top-1 of both models on the validation clips, in percent, and what TSN can reach at most."""

    tsn: float
    tsm: float
    ceiling: float
    seconds: float
    report: Path


def run_demo(
    out: Path,
    *,
    seed: int = 0,
    say: Callable[[str], None] = print,
    table: Callable[[Comparison], None] | None = None,
) -> DemoResult:
    """Render, train, evaluate, compare, report and predict into the new folder `out`."""
    refuse_occupied(out)
    start = time.monotonic()
    torch.set_num_threads(1)  # the networks are small: a second thread waits more than it works
    say(f"rendering {len(CLASSES)} classes that differ only by the order of time ...")
    manifest = render_dataset(out / "data", seed=seed)
    runs, top1 = [], {}
    for recipe in (DEMO_TSN, DEMO_TSM):
        run = train(recipe.with_data(str(manifest)), out / recipe.name)
        _, path = evaluate_folder(EvalOptions(folder=run), run / "results" / "val")
        top1[recipe.name] = read_results(path).metric("acc/top1")
        runs.append(run)
    compared = read_comparison(runs)
    if table:
        table(compared)
    comparison = compared.write(out / "comparison.html")
    report = write_report(runs[-1])
    ceiling = appearance_ceiling(REVERSALS, CLASSES)
    say(f"without the order of frames at most {ceiling:.0f} % can be right on average")
    clips = read_manifest(manifest, split="val")
    say(f"predicting {clips.path(0)}, which shows '{CLASSES[clips.labels['label'][0]]}':")
    for answer in load(runs[-1]).predict_file(clips.path(0), top=3):
        say(f"  {answer['score']:6.1%}  {answer['label']}")
    say(f"report: {report}\ncomparison: {comparison}")
    seconds = time.monotonic() - start
    say(f"done in {seconds:.0f} s")
    tsn, tsm = (top1[recipe.name] for recipe in (DEMO_TSN, DEMO_TSM))
    return DemoResult(tsn, tsm, ceiling, seconds, report)
