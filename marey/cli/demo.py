"""The command `marey demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marey.cli.shared import console


def demo(
    out: Annotated[Path, typer.Option(help="folder for videos, runs and report")] = Path(
        "marey-demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="of everything random")] = 0,
) -> None:
    """Render videos, train TSN and TSM on them, and show that order matters (a few minutes)."""
    from marey.cli.report import print_comparison
    from marey.engine.demo import run_demo

    run_demo(out, seed=seed, say=console.print, table=print_comparison)
