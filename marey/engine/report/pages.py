"""Pages: HTML files that need no other, made from `templates/`.

Whatever a template shows is escaped, but for charts, which are `Markup`. A page is also well-formed
XML, so a test can parse it. Nothing is fetched. Its one script (`templates/page.js`) sorts tables,
filters by class and shows tips; without it everything is there to read.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined

from marey.engine.report.charts.svg import text
from marey.errors import counted
from marey.metrics.catalog import DASH
from marey.storage.atomic import run_error, write_text


@dataclass(frozen=True)
class Table:
    """Rows under a header; the columns in `numbers` are set flush right."""

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    numbers: Collection[int] = field(default_factory=frozenset)
    note: str = ""
    """A sentence about the numbers."""
    keys: int = 1
    """How many columns say what a row is of: they come again where a table is broken in two."""


def write_page(path: Path, template: str, **values: object) -> Path:
    """Write the page that `template` makes of the values to the file `path`, and say where."""
    write_text(path, TEMPLATES.get_template(template).render(values), run_error)
    return path


def percent(value: float | None) -> str:
    """A percentage with one digit, or a dash."""
    return DASH if value is None or math.isnan(value) else f"{value:.1f} %"


class Between(Protocol):
    """What has the ends of an interval."""

    @property
    def low(self) -> float:
        """The lower end, NaN where nothing is tested."""

    @property
    def high(self) -> float:
        """The upper end."""


def with_interval(number: str, estimate: Between | None) -> str:
    """A number as it is written, with its interval if it has one.

    >>> from marey.metrics.intervals import Interval
    >>> with_interval("66.7", Interval(30.0, 90.32))
    '66.7 (30.0–90.3)'
    """
    if estimate is None or math.isnan(estimate.low):
        return number
    return f"{number} ({estimate.low:.1f}–{estimate.high:.1f})"


def count(value: float | None) -> str:
    """A number in thousands or millions where it is large, or a dash.

    >>> count(23_512_128)
    '23.5 M'
    """
    if value is None:
        return DASH
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if suffix == 'k' else size):.1f} {suffix}"
    return f"{value:,.4g}"


def of_numbers(rows: Iterable[Sequence[object]], header: Sequence[str]) -> Table:
    """A table of which all columns but the first are numbers."""
    return Table(header, list(rows), range(1, len(header)))


TEMPLATES = Environment(
    loader=PackageLoader("marey.engine.report"),
    autoescape=True,
    finalize=text,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters |= {"percent": percent, "count": count}
TEMPLATES.globals |= {"counted": counted}
