"""The command `marey optimize`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marey.cli import completion
from marey.cli import options as opt
from marey.cli import trial_options as trials
from marey.cli.bare_options import CLOSE
from marey.cli.shared import (
    above_zero,
    console,
    device_or_default,
    errors,
    progress_bar,
    refused_values,
)
from marey.cli.tables import AsJson, print_json, print_table
from marey.cli.weights import at_hand

if TYPE_CHECKING:
    from marey.engine.report.pages import Table
    from marey.engine.runtimes.optimized import Optimized, Row


def optimize(
    model: opt.Model,
    out: Annotated[
        Path | None,
        typer.Option(help="new folder: a release that any command takes; default: MODEL-optimized"),
    ] = None,
    manifest: trials.Manifest = None,
    split: trials.Split = None,
    calibration: trials.Calibration = None,
    exact: trials.Exact = None,
    close: Annotated[
        float | None,
        typer.Option(
            parser=above_zero,
            metavar="PERCENT",
            help=f"instead: of clips, whose first label stays; alone it means {CLOSE}",
        ),
    ] = None,
    form: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="try this one of plain, fused, compiled, bf16, bf16-compiled, bf16-graphs,"
            " onnxruntime, onnxruntime-int8, tensorrt, tensorrt-fp16, openvino, openvino-bf16;"
            " again for more; default: all",
            autocompletion=completion.forms,
        ),
    ] = None,
    start: Annotated[
        float,
        typer.Option(parser=above_zero, metavar="SECONDS", help="until the first scores, at most"),
    ] = 15.0,
    clips: trials.Clips = 32,
    seconds: Annotated[
        float,
        typer.Option(
            parser=above_zero, metavar="SECONDS", help="that trying may take, beside making"
        ),
    ] = 300.0,
    batch_size: opt.BatchSize = None,
    workers: opt.Workers = None,
    device: opt.Device = None,
    download: opt.Download = False,
    as_json: AsJson = False,
) -> None:
    """Try every form of a model on this machine, and keep the fastest that scores the same.

    predict, eval and marey.load use what it wrote; on another machine they fall back and say so.
    """
    from marey.engine.optimize.clips import WantedClips
    from marey.engine.optimize.optimize import Wanted, optimize_folder
    from marey.engine.runtimes.catalog import forms_named

    keeps, limit = trials.what_is_kept(exact, close)
    with refused_values():
        forms = forms_named(form or ())
    folder = at_hand(model, download=download)
    out = out or _beside(model, folder)
    with progress_bar("optimizing") as progress:
        found = optimize_folder(
            folder,
            out,
            Wanted(
                clips=WantedClips(
                    manifest=manifest,
                    split=split,
                    calibration=calibration,
                    num_clips=clips,
                    workers=workers,
                ),
                batch_size=batch_size or 1,
                seconds=seconds,
                keeps=keeps,
                limit=limit,
                most_start=start,
                device=device_or_default(device),
                forms=forms,
            ),
            progress=progress,
            say=lambda line: None if console.quiet else errors.print(line, markup=False),
        )
    if as_json:
        print_json(found)
        return
    print_table(_table(found))
    for row in found.table:
        if row.left_out:
            console.print(f"{row.form}: {row.left_out}", markup=False)
    console.print(f"fastest that keeps {_asked(found)}: {found.form}")
    console.print(f"written: {out}")


def _beside(model: Path, folder: Path) -> Path:
    """MODEL-optimized beside its folder; of published weights, which lie in the cache, here."""
    if folder != model:
        return Path(f"{model.name}-optimized")
    named = model if model.name not in ("", "..") else model.resolve()
    return named.with_name(f"{named.name}-optimized")


def _table(found: Optimized) -> Table:
    from marey.engine.report.pages import Table

    header = (
        *("form", "clips/s", "latency", "CPU time", "start", "memory", "difference"),
        *("same top-1", "kept"),
    )
    rows = [_cells(row, found) for row in found.table if row.latency_seconds is not None]
    return Table(header, rows, numbers=frozenset(range(1, 8)))


def _cells(row: Row, found: Optimized) -> tuple[str, ...]:
    from marey.engine.optimize.choose import kept

    assert row.latency_seconds is not None
    assert row.cpu_seconds is not None
    memory = "" if row.memory_bytes is None else f"{row.memory_bytes / 2**20:.0f} MiB"
    keeps = "no" if not kept(row, found.keeps, found.limit) else "yes"
    return (
        row.form,
        f"{row.clips_per_second:.2f}",
        f"{1000 * row.latency_seconds:.1f} ms",
        f"{1000 * row.cpu_seconds:.1f} ms",
        f"{row.start_seconds:.1f} s",
        memory,
        f"{row.difference:.1e}",
        f"{row.agreement:.1f} %",
        "written" if row.form == found.form else keeps,
    )


def _asked(found: Optimized) -> str:
    if found.keeps == "exact":
        return f"{found.limit:g} of the largest logit"
    return f"{found.limit:g} % of the first labels"
