"""The options of a timeline, which `marey predict`, `marey eval` and `marey serve` share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marey.cli.shared import above_zero, errors, refused_values

if TYPE_CHECKING:
    from marey.timelines.segments import SegmentRule

    Rule = SegmentRule | None
else:  # what a rule is made of is not loaded before one is asked for
    Rule = None

Stride = Annotated[
    float | None,
    typer.Option(parser=above_zero, metavar="SECONDS", help="default: half a window"),
]
_OF_A_RULE: dict[str, Any] = {
    "smooth": Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="of a timeline: average scores over so long"),
    ],
    "threshold": Annotated[
        str | None,
        typer.Option(
            metavar="P[,CLASS=P...]",
            help="of a timeline: the probability that a segment reaches (0; 0.5 of several labels)",
        ),
    ],
    "hold": Annotated[
        float | None, typer.Option(metavar="P", help="and the lower one by which it goes on")
    ],
    "background": Annotated[
        str | None,
        typer.Option(metavar="CLASS", help="of a timeline: the class that is no segment"),
    ],
    "merge": Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="of a timeline: the longest gap within a segment"),
    ],
    "min_duration": Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="of a timeline: shorter segments are left out"),
    ],
}
"""The options that `rule_of` takes, by name."""


def with_rule(command: Callable[..., None]) -> Callable[..., None]:
    """The command, with the options of a `SegmentRule` in place of its argument `rule`."""
    own = inspect.signature(command, eval_str=True)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    options = [
        inspect.Parameter(name, kind, default=None, annotation=of)
        for name, of in _OF_A_RULE.items()
    ]

    @wraps(command)
    def run(**given: Any) -> None:
        of_rule = {name: given.pop(name) for name in _OF_A_RULE}
        command(rule=rule_of(**of_rule), **given)

    parameters = [
        new
        for each in own.parameters.values()
        for new in (options if each.name == "rule" else [each])
    ]
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    others = {name: of for name, of in command.__annotations__.items() if name != "rule"}
    run.__annotations__ = others | _OF_A_RULE
    return run


def say_unseen(window: float, stride: float | None) -> None:
    """Say what of a video is in no window, if the options leave out anything."""
    from marey.engine.inference.windows import stride_of, unseen

    if gap := unseen(window, stride_of(window, stride)):
        errors.print(f"{gap}: nothing is said of them")


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
    with refused_values(min_duration="--min-duration"):
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
