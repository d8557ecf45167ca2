"""Several runs side by side: a table for the terminal, and one HTML page with the plots."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from marey.engine.report.charts.charts import Bar, Point, bars, scatter
from marey.engine.report.curves import comparison_curves
from marey.engine.report.evaluations import HeadResult, Result
from marey.engine.report.gains import Gain, Pairs, gain_table, gains, pair
from marey.engine.report.groups import group_comparisons, group_tables, known_groups
from marey.engine.report.pages import Table, count, of_numbers, with_interval, write_page
from marey.engine.report.run_files import RunFiles, read_run
from marey.engine.report.summary import views_cell
from marey.engine.results_file import ClassGroups, Results
from marey.errors import counted as plural
from marey.metrics.catalog import DASH, METRICS, Named, headlines

MAX_BARS = 30


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs and their names, which tell them apart; the others are measured against the first."""

    names: list[str]
    runs: list[RunFiles]

    @property
    def results(self) -> list[tuple[str, Result]]:
        """Name and evaluation of the runs that were evaluated."""
        pairs = zip(self.names, self.runs, strict=True)
        return [(name, run.result) for name, run in pairs if run.result is not None]

    @property
    def headlines(self) -> dict[str, Named]:
        """The keys of the numbers above all others that any run has, in the catalog's order."""
        named = headlines(key for _, result in self.results for key in result.facts.metrics)
        return dict(sorted(named.items(), key=lambda pair: METRICS.index(pair[1].metric)))

    @property
    def table(self) -> Table:
        """A row a run, each number with its interval; a dash where the run does not say."""
        headings = [named.heading for named in self.headlines.values()]
        header: Sequence[str] = (
            "run",
            "results",
            *headings,
            "params",
            "GMACs a view",
            "clips × crops × frames",
            "epochs",
            "recipe",
        )
        rows = [self._row(name, run) for name, run in zip(self.names, self.runs, strict=True)]
        if all(run.recipe.name in ("", run.name) for run in self.runs):
            header, rows = header[:-1], [row[:-1] for row in rows]
        words = {0, 1, header.index("clips × crops × frames"), header.index("epochs") + 1}
        return Table(header, rows, {*range(len(header))} - words)

    @property
    def groups(self) -> list[Table]:
        """Frequent and rare classes, a table a head; empty if the first run knows of none."""
        return group_tables(self.results if self.runs[0].result else [])

    @cached_property
    def pairs(self) -> dict[str, Pairs]:
        """Name of each other run -> the clips that it and the first have read."""
        if self.runs[0].result is None:
            return {}
        (_, first), *others = self.results
        return {name: pair(first, other) for name, other in others}

    @cached_property
    def gains(self) -> dict[str, list[Gain]]:
        """Name of each other run -> what it gains over the first on these clips."""
        if self.runs[0].result is None:
            return {}
        (_, first), *others = self.results
        known = {head: known_groups(first, head) for head in first.facts.groups}
        groups = {head: of.groups for head, of in known.items() if of}
        return {name: gains(first, other, self.pairs[name], groups) for name, other in others}

    @property
    def tables(self) -> list[Table]:
        """All that a terminal shows: the runs, what they gain, frequent and rare classes."""
        gained = gain_table(self.names[0], self.gains, self.pairs)
        return [self.table, *([gained] if gained else []), *self.groups]

    @property
    def as_json(self) -> dict[str, Any]:
        """What the tables and warnings say, for other programs."""
        return {
            "runs": [
                {
                    "run": name,
                    "folder": str(run.folder),
                    "results": run.result.name if run.result else None,
                    "split": run.result.split if run.result else None,
                    "other_clips": run.result.facts.other_clips if run.result else None,
                    "epochs": len(run.epochs),
                }
                | _numbers(run.result)
                for name, run in zip(self.names, self.runs, strict=True)
            ],
            "gains": [
                {"run": name, "over": self.names[0]} | asdict(gain)
                for name, of in self.gains.items()
                for gain in of
            ],
            "warnings": self.warnings,
        }

    @property
    def warnings(self) -> list[str]:
        """Why the numbers cannot simply be compared: sentences, none if they can."""
        sentences = [
            _not_evaluated(name, run)
            for name, run in zip(self.names, self.runs, strict=True)
            if run.result is None
        ]
        sentences += [
            f"clips that could not be read when {name} was evaluated: {len(result.facts.missing)}."
            for name, result in self.results
            if result.facts.missing
        ]
        sentences += [f"{n}: {r.facts.caution}." for n, r in self.results if r.facts.caution]
        return [*sentences, *self._differences, *_curve_warning(self)]

    def write(self, out: str | Path) -> Path:
        """Write the page to the file `out`, and say where; RunError if that is not possible."""
        names, runs = self.names, self.runs
        first = runs[0].result
        results = self.results if first else []
        return write_page(
            Path(out),
            "comparison.html",
            title=" and ".join(names) if len(names) < 4 else f"{len(names)} runs",
            warnings=self.warnings,
            runs=self.table,
            curves=comparison_curves(names, runs),
            cost=_cost(self),
            gains=gain_table(names[0], self.gains, self.pairs),
            numbers=group_tables(results, [head.name for head in first.several] if first else ()),
            groups=group_comparisons(results, runs[0].class_counts, self.gains),
            several_heads=first is not None and len(first.heads) > 1,
            classes=_class_differences(self),
            clips=_clip_differences(self),
            first=names[0],
            max_bars=MAX_BARS,
        )

    def _row(self, name: str, run: RunFiles) -> tuple[str, ...]:
        facts = run.result.facts if run.result else Results()
        numbers = [
            with_interval(each.metric.number(facts.metric(key)), facts.estimate(key))
            for key, each in self.headlines.items()
        ]
        cost = count(facts.parameters), count(facts.gmacs_per_view)
        tested = " ".join(filter(None, [run.result.name, _clips(facts)])) if run.result else DASH
        trained = str(len(run.epochs) or DASH), run.recipe.name or DASH
        return (name, tested, *numbers, *cost, views_cell(facts), *trained)

    @property
    def _differences(self) -> list[str]:
        """A sentence for each thing in which evaluations are not like the first."""
        if not self.results:
            return []
        (first_name, first), *others = self.results
        on_others = {n: words for n, r in others if (words := self._other_clips(n, r))}
        sentences = []
        for what, value in _MUST_AGREE:
            unlike = [name for name, result in others if value(result) != value(first)]
            if what == SPLIT:  # the same clips may be called otherwise
                unlike = [name for name in unlike if name in on_others]
            if unlike:
                sentences.append(
                    f"{what} of {', '.join(unlike)} is not that of {first_name}: "
                    "the numbers do not measure the same thing."
                )
        return [*sentences, *on_others.values()]

    def _other_clips(self, name: str, other: Result) -> str:
        """A sentence where a run was not tested on the clips of the first; else empty."""
        first_name, first = self.results[0]
        if not first.num_read or not other.num_read:  # nothing knows the clips one by one
            if first.facts.data_hash == other.facts.data_hash:
                return ""
            return f"The test data of {name} is not that of {first_name} (by its hash)."
        pairs = self.pairs.get(name, Pairs())
        ours, theirs = first.num_read - pairs.matched, other.num_read - pairs.matched
        lost = pairs.matched - len(pairs) if pairs.by and len(pairs) else 0
        parts = [
            f"{ours} of {_number(first)} of {first_name} are not in {name}" if ours else "",
            f"{theirs} of {other.num_read} of {name} are not in {first_name}" if theirs else "",
            f"{lost} that are in both have other labels" if lost else "",
        ]
        said = "; ".join(filter(None, parts))
        return f"{said}: only gains are of the same clips." if said else ""


def read_comparison(runs: Iterable[str | Path], results: str | None = None) -> Comparison:
    """The runs in these folders, in the order given.

    Args:
        runs: folders of runs, or of evaluations (RUN/results/NAME).
        results: which evaluation of each, by its name or split; by default the validation's.

    Raises:
        ValueError: there is none.
        RunError: one is not the folder of a run, a file of it cannot be understood, or it has no
            such evaluation.
    """
    files = [read_run(run, results) for run in runs]
    if not files:
        raise ValueError("there are 0 runs to compare, expected at least 1")
    first = next((run.result for run in files if run.result), None)
    if first:
        files = [
            replace(run, result=run.result.in_order_of(first)) if run.result else run
            for run in files
        ]
    plain = [run.name for run in files]
    names = [
        f"{run.folder.resolve().parent.name}/{name}" if plain.count(name) > 1 else name
        for name, run in zip(plain, files, strict=True)
    ]
    if len({*names}) < len(names):  # one run twice, or folders whose last two names are alike
        names = [
            f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name
            for i, name in enumerate(names)
        ]
    return Comparison(names, files)


def _not_evaluated(name: str, run: RunFiles) -> str:
    """A sentence that says how it is evaluated, or what of it can be shown."""
    if run.results:
        return (
            f"{name} was evaluated on its training clips alone (results/{run.results[0].name}): "
            f"marey eval {run.folder} tests it on others."
        )
    checkpoints = run.folder / "checkpoints"
    if checkpoints.is_dir() and not any(checkpoints.glob("*.pt")):
        return f"{name} is not trained yet: marey train --resume --work-dir {run.folder} goes on."
    return f"{name} has not been evaluated: marey eval {run.folder} does it."


SPLIT = "The evaluation (its split)"
_MUST_AGREE: tuple[tuple[str, Callable[[Result], object]], ...] = (
    (SPLIT, lambda result: result.split or result.name),
    ("The list of classes", lambda result: result.facts.classes or dict(result.classes)),
    ("Which classes are frequent and rare", lambda result: _as_sets(result.facts.groups)),
)


def _as_sets(groups: Mapping[str, ClassGroups]) -> dict[str, object]:
    """What two runs must agree on; the order of classes that are as frequent as each other is no
    difference.
    """
    return {
        head: (known.rule, known.train, {name: {*of} for name, of in known.classes.items()})
        for head, known in groups.items()
    }


def _curve_warning(comparison: Comparison) -> list[str]:
    """A sentence where runs did not validate by the same views while they trained."""
    pairs = zip(comparison.names, comparison.runs, strict=True)
    views = {name: run.recipe.validated_by for name, run in pairs if run.epochs}
    known = {name: of for name, of in views.items() if of}
    first = next(iter(known), "")
    others = [name for name, of in known.items() if of != known[first]]
    if not others:
        return []
    return [
        f"{', '.join(others)} validated in training by other views than {first}: "
        "compare the results, not the curves."
    ]


def _cost(comparison: Comparison) -> Markup | None:
    """The first of the headlines over the cost; None where no run has both."""
    if not comparison.headlines:
        return None
    key, named = next(iter(comparison.headlines.items()))
    points = []
    for name, result in comparison.results:
        value, cost = result.facts.metric(key), result.facts.gmacs_per_view
        if cost is not None and not math.isnan(value):
            tip = f"{name}: {named.metric.text(value)}, {cost:.2f} GMACs a view"
            points.append(Point(cost, value, tip, label=name))
    title = f"{named.metric.heading} and GMACs a view"
    y_range = (0, 100) if named.metric.unit == "%" else None
    return scatter(points, title=title, x_label="GMACs a view", y_range=y_range) if points else None


def _class_differences(comparison: Comparison) -> list[Markup | str]:
    """A chart a run of the classes it does better or worse than the first, or why there is none."""
    first, names = _main_head(comparison.runs[0]), comparison.names
    charts: list[Markup | str] = []
    for name, run in zip(names[1:], comparison.runs[1:], strict=True):
        head = _main_head(run)
        if first is None:
            continue
        if head is None:
            charts.append(f"{name} has no clips of its own to compare class by class.")
            continue
        if head.classes != first.classes:
            charts.append(f"{name} and {names[0]} do not have the same classes.")
            continue
        gains = head.accuracies - first.accuracies
        order = [i for i in np.argsort(-np.abs(gains), kind="stable") if not math.isnan(gains[i])]
        shown = sorted(order[:MAX_BARS], key=lambda i: -gains[i])
        values = [Bar(head.classes[i], float(gains[i])) for i in shown]
        title = f"{name} over {names[0]}"
        charts.append(bars(values, title=title, signed=True, x_label="difference in points"))
    return charts


def _clip_differences(comparison: Comparison) -> Table | None:
    """How many clips one run gets right and another does not."""
    first, rows = _main_head(comparison.runs[0]), []
    for name, run in zip(comparison.names, comparison.runs, strict=True):
        head, pairs = _main_head(run), comparison.pairs.get(name, Pairs())
        if first and head and len(pairs):
            both = list(zip(first.right[pairs.first], head.right[pairs.other], strict=True))
            rows.append((name, *(both.count(outcome) for outcome in _OUTCOMES)))
    names = ("both right", f"only {comparison.names[0]}", "only this run", "both wrong")
    return of_numbers(rows, ("run", *names)) if rows else None


_OUTCOMES = ((True, True), (True, False), (False, True), (False, False))


def _main_head(run: RunFiles) -> HeadResult | None:
    return run.result.heads[0] if run.result and run.result.heads else None


def _numbers(result: Result | None) -> dict[str, Any]:
    if result is None:
        return {}
    facts = result.facts
    names = ("metrics", "estimates", "num_clips", "num_missing", "chosen", "views", "parameters")
    return {name: getattr(facts, name) for name in (*names, "gmacs_per_view")}


def _clips(facts: Results) -> str:
    return "" if facts.num_clips is None else f"({plural(facts.num_clips, 'clip')})"


def _number(result: Result) -> str:
    return plural(result.num_read, "clip")
