"""The commands about models: convert, recipes, models, weights. See `marey.cli`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

console = Console(highlight=False, soft_wrap=True)


def convert(
    file: Annotated[Path, typer.Argument(help="checkpoint of another code base")],
    out: Annotated[Path, typer.Option(help="new folder")],
    repository: Annotated[
        str | None, typer.Option("--from", metavar="REPO", help="whose it is, if it is not known")
    ] = None,
    say: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="what tensors do not tell: num_segments=8"),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="class names, one a line")] = None,
) -> None:
    """Make a release of a published checkpoint, to predict with and to evaluate."""
    from marey.convert.convert import convert as run
    from marey.convert.repository import Told
    from marey.recipes.schema import override

    told = override(Told(), say or [])
    found = run(file, out, repository=repository, told=told, labels=labels)
    for name, fact in found.facts().items():
        console.print(f"{name:15} {escape(fact)}")
    console.print(f"written: {out}")
