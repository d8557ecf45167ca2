"""What `marey stream` shows on a terminal: a line for each source, and what changed above them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from marey.cli.shared import console, errors

if TYPE_CHECKING:
    from rich.live import Live

    from marey.engine.live.watch import Seen

A_SECOND = 10
"""How often the lines are drawn at most."""


class Lines:
    """The newest answer of each source, drawn in place on a terminal.

    What is said is printed as a line of its own when it changes, and notices are. `quiet` shows
    notices alone.
    """

    def __init__(self, names: Sequence[str], *, quiet: bool) -> None:
        self._names, self._quiet = names, quiet
        self._newest: list[Seen | None] = [None] * len(names)
        self._said = [""] * len(names)
        self._drawn = 0.0
        self._live: Live | None = None
        if console.is_terminal and not quiet and not console.quiet:
            from rich.live import Live

            self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live:
            self._live.stop()

    def add(self, seen: Seen) -> None:
        """Show a frame that was looked at."""
        if seen.answer is None:
            return
        self._newest[seen.source] = seen
        if seen.answer.label != self._said[seen.source]:
            self._said[seen.source] = seen.answer.label
            if not self._quiet:
                console.print(self._line(seen), markup=False)
        if self._live and time.monotonic() - self._drawn > 1 / A_SECOND:
            self._drawn = time.monotonic()
            lines = [self._line(each) + _late(each) for each in self._newest if each]
            self._live.update(console.render_str("\n".join(lines), markup=False), refresh=True)

    def say(self, source: int, notice: str) -> None:
        """Print what happened to a source."""
        errors.print(f"{self._names[source]}: {notice}", markup=False)

    def captions(self, source: int) -> list[str]:
        """What is burnt into the newest frame of a source."""
        seen = self._newest[source]
        return [] if seen is None or seen.answer is None else [_said(seen)]

    def _line(self, seen: Seen) -> str:
        name = f"{self._names[seen.source]}: " if len(self._names) > 1 else ""
        return f"{name}{seen.shown.seconds:9.2f} s  {_said(seen)}"


def _said(seen: Seen) -> str:
    assert seen.answer is not None
    return f"{seen.answer.score:6.1%}  {seen.answer.label}"


def _late(seen: Seen) -> str:
    return f"   ({1000 * seen.latency:.0f} ms, {seen.dropped:,} dropped)"
