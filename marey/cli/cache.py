"""The command `marey cache`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from marey.cli.shared import console
from marey.cli.tables import AsJson, print_json, print_table


def cache(
    parts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[features|releases|weights]...", help="default: all of it"),
    ] = None,
    empty: Annotated[bool, typer.Option("--empty", help="remove it, when it has asked")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what is kept and can be made or fetched again, and its size; --empty removes it."""
    from marey.engine.cached import cache_parts, size_in_words
    from marey.engine.report.pages import Table

    kept = {part.name: part for part in cache_parts()}
    if unknown := [name for name in parts or () if name not in kept]:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(kept)}")
    wanted = [part for name, part in kept.items() if not parts or name in parts]
    if as_json and empty:
        raise typer.BadParameter("--json shows what is kept; leave out --empty")
    if as_json:
        print_json(
            [
                {"part": part.name, "folder": str(part.folder), "entries": len(part.entries)}
                | {"bytes": part.num_bytes}
                for part in wanted
            ]
        )
        return
    cells = tuple(
        (part.name, f"{len(part.entries):,}", size_in_words(part.num_bytes), str(part.folder))
        for part in wanted
    )
    print_table(Table(("part", "entries", "size", "folder"), cells))
    if not empty:
        return
    full = [part for part in wanted if part.entries]
    if not full:
        console.print("there is nothing to remove")
        return
    named = " and ".join(f"{part.name} ({part.in_words()})" for part in full)
    if not yes:
        typer.confirm(f"remove {named}?", abort=True)
    for part in full:
        part.empty()
    console.print(f"removed: {escape(named)}")
