"""`marey eval --window`: how right the timelines of a model are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from marey.cli.shared import console, errors, progress_bar, refused_values
from marey.cli.tables import print_json, print_table
from marey.cli.timeline_options import say_unseen
from marey.errors import counted, first_few

if TYPE_CHECKING:
    from marey.engine.inference.evaluate_run import EvalOptions
    from marey.engine.inference.timelines_file import HeadTimeline, TimelineResults
    from marey.timelines.segments import SegmentRule

SHOWN = ("0.1", "0.3", "0.5", "0.7")
"""The bounds of tIoU that the table of classes has; timelines.json has all."""


def print_timelines(
    tested: EvalOptions,
    window: float,
    stride: float | None,
    rule: SegmentRule | None,
    *,
    out: Path | None,
    as_json: bool,
) -> None:
    """Evaluate the timelines of a model, write timelines.json, and print what it says."""
    from marey.engine.inference.evaluate_timelines import evaluate_timelines
    from marey.engine.inference.seen_videos import TimelineOptions
    from marey.timelines.segments import SegmentRule

    say_unseen(window, stride)
    how = TimelineOptions(window_seconds=window, stride_seconds=stride, rule=rule or SegmentRule())
    with refused_values(), progress_bar("evaluating videos") as progress:
        results, path = evaluate_timelines(tested, how, out, progress=progress)
    if as_json:
        print_json(results)
    else:
        _print_results(results)
    for line in results.bad_spans:
        errors.print(f"counts for nothing: {escape(line)}")
    if missing := results.missing:
        reasons = first_few([video.error for video in missing], 3)
        errors.print(
            f"{counted(len(missing), 'video')} could not be read, and nothing is found there: "
            f"{escape(reasons)}"
        )
    (errors if as_json else console).print(f"written: {path}")


def _print_results(results: TimelineResults) -> None:
    read = [video for video in results.videos if not video.error]
    console.print(
        f"{counted(len(results.videos), 'video')} of {escape(results.manifest)},"
        f" {counted(results.num_clips, 'row')},"
        f" {sum(video.seconds or 0 for video in read):,.0f} s; windows of"
        f" {results.window_seconds:g} s every {results.stride_seconds:g} s"
    )
    for head, of in results.heads.items():
        title = head if len(results.heads) > 1 else ""
        _print_numbers(of, title)
        _print_classes(of, title)
    for line in filter(None, (results.weights, results.caution)):
        console.print(escape(line))


def _print_numbers(of: HeadTimeline, title: str) -> None:
    from marey.engine.report.pages import of_numbers as table
    from marey.metrics.catalog import interval_text

    rows = [
        [name, _number(each.value), interval_text(each), f"{each.num_classes:,}"]
        for name, each in of.estimates.items()
    ]
    print_table(table(rows, ("of timelines", "%", "95 % interval", "classes")), title=title)


def _print_classes(of: HeadTimeline, title: str) -> None:
    from marey.engine.report.pages import of_numbers as table

    rows = [
        [name, f"{each.num_marked:,}", f"{each.num_found:,}"]
        + [_number(each.precision[bound]) for bound in SHOWN]
        for name, each in of.classes.items()
    ]
    header = ("class", "marked", "found", *(f"AP@{bound}" for bound in SHOWN))
    print_table(table(rows, header), title=title)


def _number(value: float) -> str:
    from marey.metrics.catalog import DASH

    return DASH if value != value else f"{value:.1f}"  # NaN is no number
