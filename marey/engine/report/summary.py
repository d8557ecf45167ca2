"""A run in a few numbers: the top of its report, and the lines of it that other pages show."""

from __future__ import annotations

import math
from pathlib import Path

from marey.engine.report.evaluations import Result
from marey.engine.report.pages import Table, count, of_numbers, with_interval
from marey.engine.report.run_files import RunFiles
from marey.engine.results_file import Results, frames_in_words
from marey.metrics.catalog import DASH, METRICS, headlines, interval_text
from marey.metrics.intervals import Estimate

NOT_RECORDED = "not recorded"
"""What stands for what an earlier marey did not write."""


def about(files: RunFiles, result: Result) -> list[tuple[str, str]]:
    """What the numbers are of: the evaluation, its split and clips, and the weights tested."""
    facts = result.facts
    recipe = [("recipe", files.recipe.name)] if files.recipe.name not in ("", files.name) else []
    rows = [
        *recipe,
        ("results", result.name),
        *_clips(result),
    ]
    if facts.repeats:
        return [*rows, ("tested", _REPEATED[facts.repeats.kind].format(len(facts.repeats.runs)))]
    if facts.members:
        return [*rows, *((m.name, m.chosen.in_words() or NOT_RECORDED) for m in facts.members)]
    rows.append(("tested", facts.chosen.in_words() or f"epoch and choice {NOT_RECORDED}"))
    return [*rows, *_calibrated(facts)]


def _clips(result: Result) -> list[tuple[str, str]]:
    """Split and number of the clips; of others than the run's own, what these are called."""
    facts = result.facts
    clips = NOT_RECORDED if facts.num_clips is None else f"{facts.num_clips:,}"
    if facts.other_clips:
        split = [("split", result.split)] if result.split else []
        return [*split, ("clips", f"{clips} of {facts.other_clips}")]
    return [("split", result.split or NOT_RECORDED), ("clips", clips)]


def _calibrated(facts: Results) -> list[tuple[str, str]]:
    """What the scores were divided by, a row a head."""
    return [
        (
            f"calibrated {head}" if len(facts.calibration) > 1 else "calibrated",
            f"logits divided by {of.temperature:.2f}, measured on {of.measured_on}",
        )
        for head, of in facts.calibration.items()
    ]


_REPEATED = {
    "folds": "{} folds, each by the run that it was left out of; the numbers are of all clips",
    "seeds": "{} seeds, on the same clips; the numbers are means over the runs",
}


def repeats_table(result: Result) -> Table | None:
    """A row for each fold or seed, then their mean with Student's interval; None of one run."""
    repeats = result.facts.repeats
    if repeats is None:
        return None
    named = headlines(repeats.spread)
    rows = [
        (
            run.name,
            *(each.metric.number(run.metrics.get(key, math.nan)) for key, each in named.items()),
            DASH if run.num_clips is None else f"{run.num_clips:,}",
        )
        for run in repeats.runs
    ]
    spreads = [
        (each.metric.number(repeats.spread[key].mean), repeats.spread[key])
        for key, each in named.items()
    ]
    means = [with_interval(number, spread) for number, spread in spreads]
    header = (repeats.kind[:-1], *(each.heading for each in named.values()), "clips")
    return of_numbers([*rows, (f"mean of {len(rows)}", *means, "")], header)


def tiles(result: Result) -> list[tuple[str, str, str]]:
    """The numbers above all others: what it is, its value, a remark, which is its interval."""
    facts, missing = result.facts, len(result.facts.missing)
    of = "" if facts.num_clips is None else f" of {facts.num_clips}"
    return [
        *(
            (named.title, named.metric.text(facts.metric(key)), _interval(facts.estimate(key)))
            for key, named in headlines(facts.metrics).items()
        ),
        ("missing clips", str(missing), f"{missing}{of} unreadable"),
        ("parameters", count(facts.parameters), ""),
        ("GMACs a view", count(facts.gmacs_per_view), f"{count(facts.gmacs_total)} a clip"),
        ("views", *_views(facts)),
    ]


def _interval(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"95 %: {interval_text(estimate)}"


def claim_table(files: RunFiles) -> Table | None:
    """What the recipe claims beside what was measured; None without either."""
    claim = files.recipe.claim
    if claim is None or files.result is None:
        return None
    facts = files.result.facts
    claimed = {"acc/top1": claim.top1, "acc/top5": claim.top5, "mAP": claim.mean_ap}
    rows = [
        *(
            (row.heading, claimed[row.key], facts.metric(row.key))
            for row in METRICS
            if row.key in claimed
        ),
        ("parameters (M)", claim.params_millions, facts.parameters and facts.parameters / 1e6),
        ("GMACs a view", claim.gmacs_per_view, facts.gmacs_per_view),
    ]
    cells = [
        (name, f"{paper:.2f}", DASH, DASH)
        if measured is None or math.isnan(measured)
        else (name, f"{paper:.2f}", f"{measured:.2f}", f"{measured - paper:+.2f}")
        for name, paper, measured in rows
        if paper is not None
    ]
    return of_numbers(cells, ("", "claimed", "measured", "difference"))


def all_results(files: RunFiles) -> Table | None:
    """All evaluations of a run, the newest first; None where it has but one."""
    if len(files.results) < 2:
        return None
    named = headlines(key for result in files.results for key in result.facts.metrics)
    rows = []
    for name, facts in ((result.name, result.facts) for result in files.results):
        numbers = [
            with_interval(each.metric.number(facts.metric(key)), facts.estimate(key))
            for key, each in named.items()
        ]
        rows.append((name, *numbers, views_text(facts), len(facts.missing)))
    header = ("result", *(each.heading for each in named.values()), "views", "missing")
    return Table(header, rows, set(range(1, len(header))) - {len(header) - 2})


def environment_table(files: RunFiles) -> Table:
    """Data, decoder and versions of the evaluation."""
    facts = files.result.facts if files.result else Results()
    rows: list[tuple[str, object]] = [
        ("manifest", Path(facts.manifest).name if facts.manifest else None),
        ("data hash", facts.data_hash),
        ("decoder", facts.decoder),
        ("average over views", facts.average if files.result else None),
        ("protocol", facts.protocol),
        ("segments", facts.other_segments or None),
    ]
    rows += [(f"segments of {m.name}", m.other_segments) for m in facts.members if m.other_segments]
    rows += (facts.versions or files.environment.get("versions") or files.environment).items()
    return Table(("", ""), [row for row in rows if isinstance(row[1], str | int | float)])


def views_text(facts: Results) -> str:
    """The test views in words: clips x crops of so many frames, and their protocol's name."""
    return ", ".join(filter(None, _views(facts)))


def views_cell(facts: Results) -> str:
    """The test views in a cell: clips×crops×frames, and their protocol if they have a name."""
    views = (facts.views.clips, facts.views.crops, facts.views.frames)
    cell = "×".join(str(number) for number in views if number is not None) or DASH
    return f"{cell} ({facts.protocol})" if facts.protocol else cell


def _views(facts: Results) -> tuple[str, str]:
    """Clips x crops; the frames of a clip, and the name of the protocol."""
    views = facts.views
    about = ", ".join(filter(None, [frames_in_words(views), facts.protocol]))
    return f"{views.clips or '?'} × {views.crops or '?'}", about
