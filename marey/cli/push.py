"""The command `marey push`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from marey.cli import options as opt
from marey.cli.shared import console, refused_values
from marey.cli.weights import at_hand

if TYPE_CHECKING:
    from marey.engine.weights.share import Shared


def push(
    model: opt.Model,
    name: Annotated[str, typer.Argument(metavar="ORG/NAME", help="repository of the hub")],
    licence: Annotated[
        str, typer.Option("--license", metavar="ID", help="its licence: apache-2.0, mit ...")
    ] = "",
    data: Annotated[
        str, typer.Option(metavar="NAME", help="what it was trained and validated on")
    ] = "",
    private: Annotated[bool, typer.Option("--private", help="nobody else sees it")] = False,
    message: Annotated[str, typer.Option("-m", "--message", help="of the commit")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show what would be sent, and send nothing")
    ] = False,
    download: opt.Download = False,
) -> None:
    """Share a model on the hub of Hugging Face, without where its clips lie.

    The token is the one of `hf auth login` or HF_TOKEN.
    """
    from marey.engine.weights.hub_card import Said
    from marey.engine.weights.share import push as send
    from marey.engine.weights.trained import load_trained

    trained = load_trained(at_hand(model, download=download))
    said = Said(name=name, licence=licence, data=data)
    with refused_values():
        shared = send(trained, said, private=private, message=message, dry_run=dry_run, say=_show)
    if dry_run:
        console.print(f"\n{shared.card}", markup=False)
    console.print(f"sent: {shared.url}" if shared.url else "nothing was sent: --dry-run")


def _show(shared: Shared) -> None:
    for file, size in shared.files.items():
        console.print(f"{file:22} {size:>14,} bytes", markup=False)
    if shared.left_out:
        console.print(f"left out: {escape(', '.join(shared.left_out))}")
    for note in shared.notes:
        console.print(f"note: {escape(note)}")
