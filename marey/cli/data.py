"""The commands `marey data`, of which four stand in files of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from marey.cli import options as opt
from marey.cli.pack import data_extract, data_flow, data_pack, data_verify
from marey.cli.prepare import data_prepare
from marey.cli.shared import (
    console,
    errors,
    executor_of_workers,
    progress_bar,
    progress_bars,
    read_clips_of,
    with_usual_options,
)
from marey.cli.tables import AsJson, print_json
from marey.errors import counted
from marey.jobs.shards import WHOLE

if TYPE_CHECKING:
    from marey.data.checks.stats import Stats
    from marey.data.manifest.manifest import Manifest
    from marey.jobs.executors import Executor
    from marey.storage.url import AnyPath
    from marey.terminal import Terminal

MOST_REJECTS, MOST_SHOWN = 3, 5
"""Clips left out, and sizes or rates, that are shown; a file, or --json, has them all."""
data_app = typer.Typer(
    help="Clips and their manifests: make, check, show, pack and describe them.",
    no_args_is_help=True,
)


@data_app.command("init")
def data_init(
    source: Annotated[Path, typer.Argument(help="folder of class folders, list, tool's export")],
    out: Annotated[Path, typer.Argument(help="folder for manifest.csv and labels.txt")],
    root: Annotated[Path | None, typer.Option(help="where the paths of a list start")] = None,
    names: Annotated[Path | None, typer.Option(help="class names: one a line, or id,name")] = None,
    layout: Annotated[
        str | None, typer.Option(help="what folders are: '{split}/{class}/{name}'")
    ] = None,
    columns: opt.Columns = None,
    ignore: opt.Ignore = None,
    val: Annotated[
        float | None, typer.Option(help="share of the clips; default: 0.2, or one fold")
    ] = None,
    test: Annotated[
        float | None, typer.Option(help="share of the clips; default: 0.2 of 100 groups or more")
    ] = None,
    folds: Annotated[
        int, typer.Option(min=0, metavar="K", help="parts that validate in turn; 5 is usual")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="of the split")] = 0,
    group: Annotated[str, typer.Option(help="column that stays together; auto, none")] = "auto",
    group_by: Annotated[
        str | None, typer.Option(help="the group in each name: '{group}_*', or a regex '(s\\d+)'")
    ] = None,
    near_duplicates: Annotated[
        bool, typer.Option(help="look for clips that are nearly the same, and keep them together")
    ] = True,
    val_where: Annotated[str | None, typer.Option(help="column:value,value goes to val")] = None,
    test_where: Annotated[str | None, typer.Option(help="column:value,value goes to test")] = None,
    probe: opt.Probe = True,
    overwrite: opt.Overwrite = False,
    as_json: AsJson = False,
    workers: opt.Workers = None,
    timeout: opt.Timeout = 60.0,
) -> None:
    """Make a manifest of your videos, with a split that keeps groups together."""
    from marey.data.lists.wanted_columns import WantedColumns
    from marey.data.own_videos.init import init_dataset
    from marey.data.own_videos.record import shown_columns
    from marey.data.own_videos.splits import SplitRule, parse_where

    rule = SplitRule(
        val=val,
        test=test,
        folds=folds,
        seed=seed,
        group=None if group == "none" else group,
        group_by=group_by,
        near_duplicates=near_duplicates,
        val_where=parse_where(val_where) if val_where else None,
        test_where=parse_where(test_where) if test_where else None,
    )
    with progress_bars("opening files", "comparing clips") as (opened, looked):
        made = init_dataset(
            source,
            out,
            rule=rule,
            wanted=WantedColumns.parse(columns, ignore),
            root=root,
            names=names,
            layout=layout,
            probe=probe,
            overwrite=overwrite,
            num_workers=workers,
            timeout_seconds=timeout,
            progress=opened,
            looked=looked,
        )
    if as_json:
        print_json(made.as_json)
        return
    console.print(f"read as: {escape(made.format)}")
    if made.columns:
        console.print(f"columns: {escape(shown_columns(made.columns))}")
    for word, unused in (("left", made.left), ("ignored", made.ignored)):
        if unused:
            console.print(f"{word}: {escape(', '.join(f'`{name}`' for name in unused))}")
    counts = ", ".join(f"{n:,} {name}" for name, n in made.manifest.split_counts().items())
    console.print(f"split by {escape(made.split)}: {counts}")
    for fold in made.folds:
        console.print(f"  {escape(fold.line)}")
    for note in made.notes:
        console.print(f"note: {escape(note)}")
    if made.rejects:
        for path, reason in made.rejects[:MOST_REJECTS]:
            is_named = reason.partition(": ")[0].endswith(path)
            errors.print(f"left out: {escape(reason if is_named else f'{path}: {reason}')}")
        errors.print(f"{counted(len(made.rejects), 'clip')} left out; see {out / 'rejects.csv'}")
    console.print(f"written: {made.path}")


@data_app.command("check")
def data_check(
    manifest: Annotated[
        str, typer.Argument(help="manifest or list, also without labels: a file or a url")
    ],
    out: Annotated[
        Path | None, typer.Option(help="default: check.csv beside it, made anew there")
    ] = None,
    overwrite: opt.Overwrite = False,
    root: opt.Root = None,
    columns: opt.Columns = None,
    ignore: opt.Ignore = None,
    near_duplicates: Annotated[
        bool,
        typer.Option(
            "--near-duplicates", help="also look for clips that are nearly the same, across splits"
        ),
    ] = False,
    as_json: AsJson = False,
    workers: opt.Workers = None,
    timeout: opt.Timeout = 60.0,
    executor: opt.Executor = "local",
    address: opt.Address = None,
    shard: opt.Share = WHOLE,
) -> None:
    """Decode every clip wholly, in parallel, and write down what is wrong with each."""
    from marey.data.checks.check import check_manifest
    from marey.data.lists.wanted_columns import WantedColumns
    from marey.data.manifest.location import Location
    from marey.data.own_videos.unlabelled import is_manifest, read_clips

    told = errors if as_json else console
    wanted, at = WantedColumns.parse(columns, ignore), Location(root)
    if is_manifest(manifest, wanted):
        clips = read_clips_of(manifest, at)
    else:
        read = read_clips(manifest, wanted=wanted, at=at)
        for line in read.lines():
            told.print(escape(line))
        clips = read.manifest
    processes = executor_of_workers(executor, address, workers)
    with progress_bar("checking") as progress:
        report = check_manifest(
            clips,
            out,
            executor=processes,
            shard=shard,
            timeout_seconds=timeout,
            progress=progress,
            overwrite=overwrite,
        )
    is_earlier = report.complete and not report.probes.seen.all()
    if is_earlier:
        told.print(f"{report.path} is there already, made from the same clips")
    elif not as_json:
        for status, count in report.counts.items():
            if count:
                console.print(f"{count:8,} {status}")
    if not report.complete:
        told.print(f"{report.path} comes when the other shards are done too")
    elif not is_earlier:
        told.print(f"written: {report.path}")
    near = None
    if near_duplicates and report.complete:
        beside = report.path.with_name("near-duplicates.csv")
        near = _look_alikes(clips, beside, processes, timeout, told)
    if as_json:
        print_json(report.as_json | {"near_duplicates": near})
    if len(report.bad_rows) and report.complete:
        raise typer.Exit(1)


def _look_alikes(
    clips: Manifest, path: Path, executor: Executor, timeout_seconds: float, told: Terminal
) -> dict[str, Any] | None:
    """Print what there is to say of near duplicates among the clips, and write down the pairs.

    What is found comes back as JSON has it; None if it could not be looked for.
    """
    from marey.data.own_videos.look_alikes import look_alikes_of

    with progress_bar("comparing clips") as progress:
        near, notes = look_alikes_of(
            clips, executor=executor, timeout_seconds=timeout_seconds, progress=progress
        )
    for note in notes:
        told.print(f"note: {escape(note)}")
    if not near:
        return None
    near.write(path)
    return near.facts


@data_app.command("show")
def data_show(
    manifest: opt.ManifestFile,
    out: Annotated[
        Path | None,
        typer.Option(
            help="page NAME.html, or a folder for it; default: show.html beside it, made anew there"
        ),
    ] = None,
    overwrite: opt.Overwrite = False,
    run: Annotated[
        Path | None,
        typer.Option(help="whose answers are shown: folder of a run, or RUN/results/NAME"),
    ] = None,
    split: Annotated[str | None, typer.Option(help="clips of one split; default: all")] = None,
    root: opt.Root = None,
    most: Annotated[
        int, typer.Option(min=1, metavar="N", help="clips; of more some are drawn, by class")
    ] = 5000,
    seed: Annotated[int, typer.Option(min=0, help="of the draw")] = 0,
    as_json: AsJson = False,
    workers: opt.Workers = None,
    timeout: opt.Timeout = 60.0,
) -> None:
    """Write the clips as a page: they play, and are found by class, split, fault and answer."""
    from marey.data.manifest.location import Location
    from marey.engine.gallery.answers import read_answers
    from marey.engine.gallery.gallery import write_gallery
    from marey.errors import ManifestError
    from marey.storage.atomic import refuse_existing

    clips = read_clips_of(manifest, Location(root))
    if split is not None:
        clips = clips.take(clips.rows_of(split))
    page = _page_path(clips.source, out)
    refuse_existing(page, ManifestError, overwrite=overwrite or out is None)
    answers = read_answers(run, clips) if run else None
    if answers and not as_json:
        console.print(f"answers of {escape(answers.name)}, by {answers.matched_by}")
    with progress_bar("making pictures") as progress:
        made = write_gallery(
            clips,
            page,
            most=most,
            seed=seed,
            answers=answers,
            executor=executor_of_workers("local", None, workers),
            timeout_seconds=timeout,
            progress=progress,
        )
    if as_json:
        print_json(asdict(made) | {"clips": len(clips)})
        return
    if made.drawn:
        console.print(f"shown: {made.drawn}; --most shows more")
    for status, count in made.faults.items():
        console.print(f"{count:8,} {status}")
    size = f"{made.num_bytes / 1e6:,.1f} MB"
    console.print(f"written: {made.path} and {made.folder.name} ({size}); open it in a browser")


def _page_path(source: AnyPath, out: Path | None) -> Path:
    """Where the page goes that is asked for as a file or a folder, or else beside the manifest."""
    if out is None:
        return _beside(source, "show.html", "--out")
    return out if out.suffix.lower() in (".html", ".htm") else out / "show.html"


@data_app.command("stats")
def data_stats(
    manifest: opt.ManifestFile,
    plot: Annotated[
        Path | None, typer.Option(help="SVG; default: stats.svg beside it, made anew there")
    ] = None,
    overwrite: opt.Overwrite = False,
    sample: Annotated[int, typer.Option(min=0, help="files to open for their size")] = 200,
    as_json: AsJson = False,
    workers: opt.Workers = None,
    timeout: opt.Timeout = 60.0,
) -> None:
    """Count clips, lengths and sizes, say how unequal the classes are, and plot them."""
    from marey.data.checks.stats import stats as describe
    from marey.data.manifest.read import read_manifest
    from marey.engine.report.charts.manifest_charts import manifest_svg
    from marey.errors import ManifestError
    from marey.storage.atomic import manifest_error, refuse_existing, write_text

    clips = read_manifest(manifest)
    page = plot or _beside(clips.source, "stats.svg", "--plot")
    is_one = len(clips.labels) == 1
    paths = {h: page if is_one else page.with_stem(f"{page.stem}.{h}") for h in clips.labels}
    for path in paths.values():
        refuse_existing(path, ManifestError, overwrite=overwrite or plot is None)
    with progress_bar("opening files") as progress:
        executor = executor_of_workers("local", None, workers)
        facts = describe(
            clips, sample=sample, executor=executor, timeout_seconds=timeout, progress=progress
        )
    if as_json:
        print_json(facts.as_json)
    else:
        console.print(_stats_table(facts), soft_wrap=False)
    failure = partial(manifest_error, hint="give --plot FILE, where it may be written")
    for head, counts in facts.heads.items():
        write_text(paths[head], manifest_svg(facts, counts), failure)
        (errors if as_json else console).print(f"written: {paths[head]}")


def _stats_table(facts: Stats) -> Table:
    from marey.data.checks.stats import long_tail_lines

    table = Table("what", "value")
    splits = ", ".join(f"{name} {count:,}" for name, count in facts.splits.items())
    table.add_row("clips", f"{facts.num_clips:,}" + (f" ({splits})" if splits else ""))
    for head, counts in facts.heads.items():
        most, least = int(counts.total.max()), int(counts.total.min())
        table.add_row(f"classes of {head}", f"{len(counts.classes):,}, {counts.num_empty} empty")
        table.add_row("clips a class", f"{least:,} to {most:,}; imbalance {counts.imbalance:.1f}")
        for what, value in long_tail_lines(counts):
            table.add_row(what, value)
    for unit, quantiles, num_clips in (
        ("frames", facts.frames, facts.num_known),
        ("seconds", facts.seconds, len(facts.durations)),
    ):
        lengths = ", ".join(f"{q * 100:g} %: {value:g}" for q, value in quantiles.items())
        of_what = f"percentiles of {counted(num_clips, 'clip')}: {lengths}"
        table.add_row(f"{unit} a clip", of_what if lengths else "unknown")
    sizes = _most_frequent([(f"{w}x{h}", n) for (w, h), n in facts.sizes])
    table.add_row(f"sizes ({facts.num_opened:,} opened)", sizes or "none could be read")
    rates = _most_frequent([(f"{fps:g}" if fps else "unknown", n) for fps, n in facts.fps])
    table.add_row("frames a second", rates or "none could be read")
    table.add_row("unreadable", str(facts.num_unreadable))
    if facts.num_unmeasured:
        table.add_row("not measured in time", str(facts.num_unmeasured))
    return table


def _most_frequent(values: Sequence[tuple[str, int]]) -> str:
    """The first few values with their clips, and how many others there are.

    >>> _most_frequent([("a", 9), ("b", 7), ("c", 3), ("d", 2), ("e", 1), ("f", 1), ("g", 1)])
    'a (9), b (7), c (3), d (2), e (1) and 2 others (2)'
    """
    shown = ", ".join(f"{value} ({clips:,})" for value, clips in values[:MOST_SHOWN])
    others = values[MOST_SHOWN:]
    if not others:
        return shown
    clips = sum(clips for _, clips in others)
    return f"{shown} and {counted(len(others), 'other')} ({clips:,})"


def _beside(source: AnyPath, name: str, option: str) -> Path:
    from marey.errors import ManifestError

    if isinstance(source, Path):
        return source.with_name(name)
    raise ManifestError(f"{source} lies in a store: no {name} beside it", f"give {option} {name}")


@data_app.command("convert")
def data_convert(
    manifest: Annotated[str, typer.Argument(help="CSV, Parquet or Arrow: a file or a url")],
    out: Annotated[Path, typer.Argument(help="NAME.arrow, NAME.parquet or NAME.csv")],
    overwrite: opt.Overwrite = False,
) -> None:
    """Check a manifest and write it as another kind; .arrow opens at once, whatever its size."""
    from marey.data.manifest.read import read_manifest
    from marey.data.manifest.write import write_manifest
    from marey.errors import ManifestError
    from marey.storage.atomic import refuse_existing

    refuse_existing(out, ManifestError, overwrite=overwrite)
    clips = read_manifest(manifest)
    write_manifest(clips, out)
    console.print(f"written: {out}, {counted(len(clips), 'clip')}")


@data_app.command("longtail")
def data_longtail(
    manifest: opt.ManifestFile,
    out: Annotated[Path, typer.Option(help="manifest to write: CSV or Parquet")],
    head_percent: Annotated[float | None, typer.Option(help="head classes, % of all")] = None,
    few_percent: Annotated[float | None, typer.Option(help="few-shot classes, % of all")] = None,
    imbalance: Annotated[float | None, typer.Option(help="largest class to smallest")] = None,
    max_count: Annotated[int | None, typer.Option(help="clips of the largest class")] = None,
    exponent: Annotated[float | None, typer.Option(help="of the fall; SSv2-LT's is 7")] = None,
    rank_by: Annotated[
        Literal["count", "random"], typer.Option(help="which classes become large")
    ] = "count",
    head: Annotated[str | None, typer.Option(help="whose classes; default: the first")] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the clips that stay")] = 0,
    overwrite: opt.Overwrite = False,
) -> None:
    """Take training clips away until the classes are long-tailed; validation and test stay."""
    from marey.data.longtail.profile import Wish
    from marey.data.longtail.split import write_long_tail

    wish = Wish(head_percent, few_percent, imbalance, max_count, exponent)
    tail, account = write_long_tail(
        manifest, out, wish, head=head, rank_by=rank_by, seed=seed, overwrite=overwrite
    )
    pareto, made = tail.pareto, tail.profile
    console.print(
        f"n = {pareto.largest} * x ** -{pareto.exponent:g}, x from 1 to "
        f"{pareto.imbalance ** (1 / pareto.exponent):.4g}"
    )
    what = "labels of training clips" if tail.several else "training clips"
    console.print(f"{what}: {tail.before.sum():,} before, {made.num_clips:,} after")
    if short := int((tail.after < tail.wanted).sum()):
        console.print(
            f"{short} of {counted(len(tail.wanted), 'class')} have fewer clips than wanted, "
            f"{(tail.wanted - tail.after).sum():,} in all: the others show full classes too"
        )
    console.print(
        f"H {made.head_percent:.1f} %  F {made.few_percent:.1f} %  imbalance {made.imbalance:.1f}"
    )
    console.print(f"written: {out} and {account}")


data_app.command("prepare")(data_prepare)
data_app.command("extract")(data_extract)
data_app.command("pack")(data_pack)
data_app.command("flow")(data_flow)
data_app.command("verify")(data_verify)
with_usual_options(
    data_app,
    quiet={
        "init",
        "check",
        "convert",
        "show",
        "prepare",
        "extract",
        "pack",
        "flow",
        "verify",
        "longtail",
    },
)
