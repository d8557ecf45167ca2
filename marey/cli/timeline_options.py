"""The options of a timeline, which `marey predict --window` and `marey eval --window` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from marey.cli.shared import above_zero, refused_values

if TYPE_CHECKING:
    from marey.timelines.segments import SegmentRule

Stride = Annotated[
    float | None,
    typer.Option(parser=above_zero, metavar="SECONDS", help="default: half a window"),
]
Smooth = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="of a timeline: average scores over so long"),
]
Threshold = Annotated[
    str | None,
    typer.Option(
        metavar="P[,CLASS=P...]",
        help="of a timeline: the probability that a segment reaches (0; 0.5 of several labels)",
    ),
]
Hold = Annotated[
    float | None, typer.Option(metavar="P", help="and the lower one by which it goes on")
]
Background = Annotated[
    str | None, typer.Option(metavar="CLASS", help="of a timeline: the class that is no segment")
]
Merge = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="of a timeline: the longest gap within a segment"),
]
MinDuration = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="of a timeline: shorter segments are left out"),
]


def rule_of(
    *,
    smooth: float | None,
    threshold: str | None,
    hold: float | None,
    background: str | None,
    merge: float | None,
    min_duration: float | None,
) -> SegmentRule | None:
    """The rule that options give; None if none of them is given. BadParameter for a wrong value."""
    if all(of is None for of in (smooth, threshold, hold, background, merge, min_duration)):
        return None
    from marey.timelines.segments import SegmentRule

    of_all, thresholds = _thresholds(threshold or "")
    with refused_values():
        return SegmentRule(
            smooth=smooth or 0.0,
            threshold=of_all,
            thresholds=thresholds,
            hold=hold,
            background=background or "",
            merge=merge or 0.0,
            min_duration=min_duration or 0.0,
        )


def _thresholds(text: str) -> tuple[float | None, tuple[tuple[str, float], ...]]:
    """The threshold of all classes, if there is one, and those of some.

    >>> _thresholds("0.4,fall=0.2")
    (0.4, (('fall', 0.2),))
    """
    of_all, some = None, []
    for part in filter(None, text.split(",")):
        name, _, number = part.rpartition("=")
        try:
            value = float(number)
        except ValueError as error:
            raise typer.BadParameter(
                f"--threshold {text}: {number!r} is no probability; expected P or CLASS=P,"
                " with commas between"
            ) from error
        if name:
            some.append((name.strip(), value))
        else:
            of_all = value
    return of_all, tuple(some)
