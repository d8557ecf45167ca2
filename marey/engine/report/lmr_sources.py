"""From which frequent classes LMR rebuilds the rarest, with a strip of frames of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from marey.engine.report.charts.html import paragraph, section, tag, text
from marey.engine.report.frame_strips import clip_roots, shown_path, strip_image
from marey.engine.report.run_files import Facts, Result, RunFiles
from marey.video.reading.reader import Span

MAX_SHOWN = 8
"""Few-shot classes in a report, the rarest first: each has some four strips."""


def sources_section(files: RunFiles, result: Result, head: str) -> str:
    """The part of a report on what `marey eval --reconstruction` found; empty without it."""
    facts = files.reconstruction
    if facts.get("head") != head:
        return ""
    rarest = sorted(facts["classes"], key=lambda found: int(found["training_clips"]))[:MAX_SHOWN]
    roots = clip_roots(files, result)
    unit = facts.get("span_unit", "seconds")
    return section(
        "What rare classes are rebuilt from",
        paragraph(
            f"LMR's weights of training clips, {facts['keys_per_class']} of each class, in "
            f"rebuilding classes of at most {facts['few_clips']} clips. They are near to even by "
            "design: 1.2 times is a fifth more than if all frequent classes weighed the same.",
            "note",
        ),
        *[_rare_class(found, roots, unit) for found in rarest],
    )


def _rare_class(found: Facts, roots: Sequence[Path], unit: str) -> str:
    rebuilt = tag("b", None, text(found["name"]))
    parts = [_figure(rebuilt, f", {found['training_clips']} training clips", found, roots, unit)]
    for source in found["sources"]:
        name = "from " + tag("b", None, text(source["name"]))
        words = f", {source['times_even']:.2f} times, {source['training_clips']:,} training clips"
        parts.append(_figure(name, words, source, roots, unit))
    return "".join([tag("h3", None, text(found["name"])), *parts])


def _figure(name: str, words: str, of: Facts, roots: Sequence[Path], unit: str) -> str:
    clip = of["clip"]
    start, end = clip["start"], clip["end"]
    span = None if start is end is None else Span(start, end, unit)  # type: ignore[arg-type]
    shown = shown_path(clip["path"], roots)
    caption = tag("figcaption", None, name, text(f"{words}. {shown}"))
    image = strip_image(clip["path"], span, roots, of["name"])
    return tag("figure", {"class": "strip"}, caption, image)
