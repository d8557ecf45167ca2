"""`marey train --folds` and `--seeds`: one recipe trained several times, and what it prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape

from marey.cli.metric_tables import print_tested
from marey.cli.shared import console, saved_when_stopped
from marey.cli.tables import print_table

if TYPE_CHECKING:
    from marey.engine.results_file import Results
    from marey.engine.train.plan import Plan


def train_and_print(
    plan: Plan,
    *,
    folds: bool,
    seeds: int,
    device: str | None,
    quiet: bool,
    trackers: Sequence[str] = (),
) -> None:
    """Train what is not trained yet of the folds and seeds of a plan; print the summary."""
    from marey.engine.experiments.repeats import SUMMARY, Repetition, train_repeatedly

    how = Repetition(
        folds=folds,
        seeds=seeds,
        device=device,
        quiet=quiet,
        trackers=tuple(trackers),
        say=(lambda _: None) if quiet else console.print,
    )
    if not quiet:
        for note in plan.notes:
            console.print(escape(note))
    with saved_when_stopped():
        results = train_repeatedly(plan.recipe, plan.work_dir, how)
    print_repeats(results)
    console.print(f"written: {plan.work_dir / SUMMARY}")


def print_repeats(results: Results) -> None:
    """Print the numbers of each run, how they differ, and those of all together."""
    from marey.engine.report.pages import of_numbers
    from marey.metrics.catalog import headlines, interval_text
    from marey.metrics.intervals import Estimate

    repeats = results.repeats
    assert repeats is not None
    named = headlines(repeats.spread)
    rows = []
    for run in repeats.runs:
        numbers = (each.metric.number(run.metrics[key]) for key, each in named.items())
        rows.append([run.name, *numbers, f"{run.num_clips:,}"])
    means = (each.metric.number(repeats.spread[key].mean) for key, each in named.items())
    rows.append([f"mean of {len(repeats.runs)}", *means, ""])
    print_table(
        of_numbers(rows, (repeats.kind, *(each.heading for each in named.values()), "clips"))
    )
    for key, each in named.items():
        over = repeats.spread[key]
        around = interval_text(Estimate(over.mean, over.low, over.high, 0, 0))
        line = f"{each.title}: over {repeats.kind} {each.metric.number(over.mean)} ({around})"
        if estimate := results.estimate(key):
            of = "all clips pooled" if repeats.kind == "folds" else "the clips, mean of the runs"
            line += f"; {of} {each.metric.number(estimate.value)} ({interval_text(estimate)})"
        console.print(escape(line))
    console.print("in brackets: 95 % intervals")
    print_tested(results)
