"""A run in a few numbers: the top of its report, and how numbers are written there."""

from __future__ import annotations

import math
from pathlib import Path

from marey.engine.report.charts.html import paragraph, section, table, tag, text, tiles
from marey.engine.report.run_files import Result, RunFiles


def header(files: RunFiles) -> str:
    """The top of a report: name, headline numbers, claim and measurement, all evaluations."""
    result, epochs = files.result, len(files.epochs)
    planned = sum(int(stage.get("epochs", 0)) for stage in files.recipe.get("stages") or [])
    trained = f"{epochs} of {planned} epochs" if planned else f"{epochs} epochs"
    parts = [
        tag("h1", None, text(files.name)),
        paragraph(f"Trained for {trained}." if epochs else "No epoch is finished yet.", "note"),
    ]
    if not files.recipe_text:
        parts.append(paragraph("The run has no recipe.yaml, so its settings are unknown.", "note"))
    if result is None:
        return tag("header", None, *parts)
    facts, missing, clips = result.facts, len(result.missing), result.facts.get("num_clips")
    of = f" of {clips}" if clips is not None else ""
    parts.append(
        tiles(
            [
                *_headline(result),
                ("missing clips", str(missing), f"{missing}{of} unreadable"),
                ("parameters", count(facts.get("parameters")), ""),
                (
                    "GMACs a view",
                    count(facts.get("gmacs_per_view")),
                    f"{count(facts.get('gmacs_total'))} in all",
                ),
                ("views", *_views(result)),
            ]
        )
    )
    if missing:
        readable = result.metric("top1", of="metrics_readable")
        sentence = (
            f"{missing}{of} clips could not be read and count as wrong. They are listed below and "
            f"no other clip stands in for them; of the rest, {percent(readable)} are right."
        )
        parts.append(paragraph(sentence, "warning"))
    return tag("header", None, *parts, _claim(files, result), _all_results(files))


def _headline(result: Result) -> list[tuple[str, str, str]]:
    """The three numbers above all others: name, value, where they stand."""
    names = {"top-1": "top1", "top-5": "top5", "class average": "class_avg"}
    if result.metric("mAP") is not None:
        names = {name: name for name in ("mAP", "hit@1", "hit@5")}
    values = [percent(result.metric(metric)) for metric in names.values()]
    return list(zip(names, values, (f"results/{result.name}", "", ""), strict=True))


def provenance(files: RunFiles) -> str:
    """Data, decoder and versions of the newest evaluation."""
    result = files.result
    facts = result.facts if result else {}
    manifest = facts.get("manifest")
    rows: list[tuple[str, object]] = [
        ("manifest", Path(manifest).name if manifest else None),
        ("data hash", facts.get("data_hash")),
        ("decoder", facts.get("decoder")),
        ("average over views", facts.get("average")),
        ("protocol", facts.get("protocol")),
    ]
    versions = facts.get("versions") or files.environment.get("versions") or files.environment
    rows += [(str(k), v) for k, v in versions.items() if isinstance(v, str | int | float)]
    rows = [(name, value) for name, value in rows if value is not None]
    body = table(("", ""), rows) if rows else paragraph("Nothing is recorded.", "note")
    return section("What was measured, with what", body)


def percent(value: float | None) -> str:
    """A percentage with one digit, or a dash."""
    return "–" if value is None or math.isnan(value) else f"{value:.1f} %"


def count(value: float | None, *, unit: str = "") -> str:
    """A number in thousands or millions where it is large, or a dash.

    >>> count(23_512_128)
    '23.5 M'
    """
    if value is None:
        return "–"
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if suffix == 'k' else size):.1f} {suffix}{unit}"
    return f"{value:,.4g}{unit}"


def views_text(result: Result) -> str:
    """The test views in words: clips x crops of so many frames, and their protocol's name."""
    return ", ".join(filter(None, _views(result)))


def views_cell(result: Result) -> str:
    """The test views in a cell: clips×crops×frames, and their protocol if they have a name."""
    views, protocol = result.facts.get("views"), result.facts.get("protocol")
    if not isinstance(views, dict):
        return "–" if views is None else str(views)
    cell = "×".join(str(views[key]) for key in ("clips", "crops", "frames") if key in views)
    return f"{cell} ({protocol})" if protocol else cell


def _views(result: Result) -> tuple[str, str]:
    """Clips x crops; the frames of a clip, and the name of the protocol."""
    views, protocol = result.facts.get("views"), result.facts.get("protocol")
    if not isinstance(views, dict):
        return "–" if views is None else str(views), ""
    frames = f"{views['frames']} frames" if "frames" in views else ""
    about = ", ".join(filter(None, [frames, protocol]))
    return f"{views.get('clips', '?')} × {views.get('crops', '?')}", about


def _claim(files: RunFiles, result: Result) -> str:
    claim = files.recipe.get("claim")
    if not claim:
        return ""
    parameters = result.facts.get("parameters")
    rows = [
        ("top-1 (%)", claim.get("top1"), result.metric("top1")),
        ("top-5 (%)", claim.get("top5"), result.metric("top5")),
        ("mAP (%)", claim.get("mean_ap"), result.metric("mAP")),
        ("parameters (M)", claim.get("params_millions"), parameters and parameters / 1e6),
        ("GMACs a view", claim.get("gmacs_per_view"), result.facts.get("gmacs_per_view")),
    ]
    cells = [
        (name, f"{claimed:.2f}", f"{measured:.2f}", f"{measured - claimed:+.2f}")
        if measured is not None
        else (name, f"{claimed:.2f}", "–", "–")
        for name, claimed, measured in rows
        if claimed is not None
    ]
    return "".join(
        [
            tag("h3", None, "Claim and measurement"),
            table(("", "claimed", "measured", "difference"), cells, numbers={1, 2, 3}),
            paragraph(f"Claimed by {claim.get('source', 'an unnamed source')}.", "note"),
        ]
    )


def _all_results(files: RunFiles) -> str:
    if len(files.results) < 2:
        return ""
    rows = [
        (r.name, *(value for _, value, _ in _headline(r)), views_text(r), str(len(r.missing)))
        for r in files.results
    ]
    return "".join(
        [
            tag("h3", None, "All evaluations of this run, the newest first"),
            table(
                ("result", *(name for name, *_ in _headline(files.results[0])), "views", "missing"),
                rows,
                numbers={1, 2, 3, 5},
            ),
            paragraph(f"What follows looks at '{files.results[0].name}'.", "note"),
        ]
    )
