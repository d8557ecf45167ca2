"""Which of the measured forms is taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from marey.engine.runtimes.optimized import Row
from marey.errors import RunError

Keeps: TypeAlias = Literal["exact", "close"]

AS_FAST = 1.03
"""Forms within 3 % of the fastest are as fast: more is not measured, and then others count."""


def kept(row: Row, keeps: Keeps, limit: float) -> bool:
    """Whether a form was measured and keeps what is asked."""
    if row.left_out or row.difference is None or row.agreement is None:
        return False
    return row.difference <= limit if keeps == "exact" else row.agreement >= limit


def fastest(rows: Sequence[Row], keeps: Keeps, limit: float, most_start: float) -> Row:
    """The fastest of the forms that keep what is asked; of those as fast, the first to start.

    Args:
        rows: of the table.
        keeps: "exact": `limit` is the largest difference; "close": the least agreement.
        limit: see above.
        most_start: seconds that a form may take from the weights to the first scores.

    Raises:
        RunError: none is left.
    """
    times = [
        (row.latency_seconds, row.start_seconds, row)
        for row in rows
        if kept(row, keeps, limit)
        and row.latency_seconds is not None
        and row.start_seconds is not None
        and row.start_seconds <= most_start
    ]
    if not times:
        raise RunError(
            f"no form starts within {most_start:g} s and keeps "
            + (f"{limit:g} of the largest logit" if keeps == "exact" else f"{limit:g} % of top-1"),
            "allow a later start (--start), or larger differences (--exact, --close)",
        )
    best = min(latency for latency, _, _ in times)
    as_fast = [(start, row) for latency, start, row in times if latency <= AS_FAST * best]
    return min(as_fast, key=lambda each: each[0])[1]
