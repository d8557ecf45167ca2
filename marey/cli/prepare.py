"""`marey data prepare`: official annotations and the media that are there, to a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from marey.cli import completion
from marey.cli import options as opt
from marey.cli.shared import console, errors, executor_of_workers, progress_bar
from marey.cli.tables import AsJson, print_json, print_table
from marey.jobs.shards import WHOLE

if TYPE_CHECKING:
    from marey.data.prepare.account import Account


def data_prepare(
    name: Annotated[
        str | None,
        typer.Argument(
            help="data set; without: the list of all", autocompletion=completion.datasets
        ),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="folder where the clips lie")] = None,
    annotations: Annotated[Path | None, typer.Option(help="folder; default: the root")] = None,
    out: Annotated[Path | None, typer.Option(help="for manifest.csv; default: ./NAME")] = None,
    layout: Annotated[str | None, typer.Option(help="a clip's place: 'frames/{name}'")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="fail if a row does not fit")] = False,
    probe: opt.Probe = True,
    overwrite: opt.Overwrite = False,
    as_json: AsJson = False,
    timeout: opt.Timeout = 60.0,
    workers: opt.Workers = None,
    executor: opt.Executor = "local",
    address: opt.Address = None,
    shard: opt.Share = WHOLE,
) -> None:
    """Make the manifest of a known data set from its official annotations; downloads nothing."""
    from marey.data.datasets.catalog import find_dataset
    from marey.data.prepare.prepare import MediaFolder, prepare

    if name is None:
        _list_all(as_json=as_json)
        return
    dataset = find_dataset(name)
    if root is None:
        raise typer.BadParameter("give the folder where the clips lie", param_hint="--root")
    where = executor_of_workers(executor, address, workers)
    media = MediaFolder(root, layout=layout, probe=probe, executor=where, timeout_seconds=timeout)
    target = out or Path(name)
    with progress_bar("opening clips") as progress:
        made = prepare(
            dataset,
            media,
            target,
            annotations=annotations,
            strict=strict,
            overwrite=overwrite,
            shard=shard,
            progress=progress,
        )
    if as_json:
        path = made.manifest and str(made.manifest)
        print_json({"path": path, "complete": path is not None} | made.account.facts)
        return
    _say(made.account, target)
    if made.manifest is None:
        console.print(f"{target} comes when the other shards are done too")
    else:
        console.print(f"written: {made.manifest}")


def _list_all(*, as_json: bool) -> None:
    """Print every data set; no table, which would cut the addresses."""
    from marey.data.datasets.catalog import DATASETS

    if as_json:
        names = ("name", "title", "licence", "source")
        print_json([{name: getattr(each, name) for name in names} for each in DATASETS])
        return
    for dataset in DATASETS:
        console.print(f"{dataset.name}: {escape(dataset.title)}", style="bold")
        console.print(f"    licence  {escape(dataset.licence)}")
        console.print(f"    from     {escape(dataset.source)}")
    console.print("marey downloads none of them: get the data, then give NAME --root DIR")


def _say(account: Account, out: Path) -> None:
    from marey.data.prepare.account import coverage_rows, reject_error
    from marey.engine.report.pages import of_numbers

    for path in account.files.digests:
        console.print(f"read: {escape(str(path))}")
    head, *rows = coverage_rows(account.coverage)
    print_table(of_numbers(rows, head))
    for note in account.notes:
        console.print(f"note: {escape(note)}")
    if account.rejects:
        errors.print(escape(reject_error(account.rejects).message))
        errors.print(f"rows that do not fit: {len(account.rejects):,}; see {out / 'rejects.csv'}")
    if account.missing:
        errors.print(f"clips left out: {len(account.missing):,}; see {out / 'missing.csv'}")
