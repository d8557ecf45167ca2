"""What several commands share: two consoles, a progress bar, options. See `marey.cli`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

# typer reads these at run time and wants Optional
Overrides = Annotated[
    list[str] | None, typer.Argument(help="stages.0.optim.lr=0.02 ...", metavar="[KEY=VALUE]...")
]
Workers = Annotated[int | None, typer.Option("-j", "--workers", help="loader processes")]
BatchSize = Annotated[int | None, typer.Option("-b", "--batch-size", help="clips a process")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; default: what is there")]
Split = Annotated[str, typer.Option(help="rows to take, if the manifest has a split column")]
ManifestFile = Annotated[Path, typer.Argument(help="manifest: CSV, Parquet or Arrow")]


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A function of (done, total) that draws how far it is, on a terminal only."""
    from rich.progress import Progress

    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def device_or_default(name: str | None) -> str:
    """`name`, or the device of this machine."""
    import torch

    return name or ("cuda" if torch.cuda.is_available() else "cpu")
