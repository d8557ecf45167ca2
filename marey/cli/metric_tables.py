"""Tables of metrics on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.table import Table

from marey.cli.shared import console

if TYPE_CHECKING:
    from marey.metrics.longtail import Estimate


def print_metrics(
    metrics: Mapping[str, float], estimates: Mapping[str, Estimate], title: str
) -> None:
    """Print a row a metric, with its interval and what it rests on where that is known."""
    from marey.metrics.catalog import find_metric, interval_text

    table = Table("metric", title, "95 % interval", "classes", "clips")
    for name, value in metrics.items():
        named = find_metric(name)
        row = [name, named.metric.number(value, digits=2) if named else f"{value:.4g}"]
        if name in estimates:
            estimate = estimates[name]
            row.append(interval_text(estimate, digits=2))
            row += [f"{estimate.num_classes:,}", f"{estimate.num_clips:,}"]
        table.add_row(*row)
    console.print(table)
