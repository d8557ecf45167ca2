"""The options of what is tried on real clips, which `marey export` and `marey optimize` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from marey.cli.bare_options import EXACT
from marey.cli.shared import above_zero

if TYPE_CHECKING:
    from marey.engine.optimize.choose import Keeps

Manifest = Annotated[
    str | None,
    typer.Option(help="clips to try on, as predict takes them; default: those that validated"),
]
Split = Annotated[
    str | None, typer.Option(help="rows of it; default: val of the run's, all of --manifest")
]
Calibration = Annotated[
    str | None,
    typer.Option(
        metavar="MANIFEST", help="clips that 8 bits are fitted to; default: others of the same list"
    ),
]
Clips = Annotated[int, typer.Option(min=1, help="to try it on")]
Exact = Annotated[
    float | None,
    typer.Option(
        parser=above_zero,
        metavar="PART",
        help=f"of the largest logit, by which one may be off; default: {EXACT:g}",
    ),
]


def what_is_kept(
    exact: float | None, close: float | None, usual_close: float | None = None
) -> tuple[Keeps, float]:
    """What must be kept, and its limit: as was asked, else `usual_close` if there is one.

    BadParameter of both, as each says it alone.
    """
    if exact is not None and close is not None:
        raise typer.BadParameter("--exact and --close: one of them says what must be kept")
    if exact is None and close is None:
        close = usual_close
    return ("exact", exact or EXACT) if close is None else ("close", close)
