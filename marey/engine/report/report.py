"""The report of a run: one HTML file that needs no other, to read, print or send.

It is made from what lies in the run's folder, at any time: a part that is not there yet is replaced
by a sentence that says so. All numbers come from the files; nothing is computed on a device.
"""

from __future__ import annotations

import math
from pathlib import Path

from marey.engine.report.curves import comparison_curves, has_groups, report_curves
from marey.engine.report.frame_strips import (
    ClipPictures,
    clip_roots,
    shown_path,
    without_folders,
)
from marey.engine.report.groups import estimate_table, group_rule, known_groups
from marey.engine.report.head_part import head_part, several_part
from marey.engine.report.pages import Table, write_page
from marey.engine.report.run_files import RunFiles, read_run
from marey.engine.report.summary import (
    about,
    all_results,
    claim_table,
    environment_table,
    repeats_table,
    tiles,
    views_text,
)
from marey.metrics.groups import FEW
from marey.storage.atomic import refuse_existing

MAX_ROWS = 50


def write_report(
    run: str | Path,
    out: str | Path | None = None,
    results: str | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Write the report of a run as one HTML file, and say where.

    Args:
        run: the folder of a run, in whatever state.
        out: the file; by default RUN/report.html or, of an evaluation that was asked for, one
            beside it, RUN/results/NAME/report.html, where an earlier report is made anew.
        results: which evaluation it is about, by its name or split; by default the validation's.
        overwrite: whether a file `out` may be replaced.

    Raises:
        RunError: there is no run or no such evaluation, a file of it cannot be understood, or `out`
            is there already or cannot be written.
    """
    if out is not None:
        refuse_existing(Path(out), overwrite=overwrite)
    files = read_run(run, results)
    shown = [files.result] if files.result else []
    pictures = ClipPictures([root for result in shown for root in clip_roots(files, result)])
    unreadable, num_unreadable = _unreadable(files)
    trained = _trained(files)
    return write_page(
        Path(out) if out is not None else _place(files, run, results),
        "report.html",
        title=files.name,
        run=files,
        result=files.result,
        about=[row for result in shown for row in about(files, result)],
        tiles=[tile for result in shown for tile in tiles(result)],
        repeats=next(filter(None, map(repeats_table, shown)), None),
        claim=claim_table(files),
        measured_by=", ".join(views_text(result.facts) for result in shown),
        all_results=all_results(files),
        curves=report_curves(files)
        if trained == [files]
        else comparison_curves([run.name for run in trained], trained),
        num_diverged=sum(not math.isfinite(loss) for loss in files.column("train/loss")),
        has_group_curves=has_groups(trained),
        few=FEW,
        numbers=[
            (name, known and group_rule(known), estimate_table(r, name))
            for r in shown
            for name in r.facts.estimates
            for known in (known_groups(r, name),)
        ],
        heads=[
            head_part(files, r, head, pictures) for r in shown for head in r.heads if r.num_read
        ],
        several=[several_part(head) for r in shown for head in r.several if r.num_read],
        unreadable=unreadable,
        num_unlisted=num_unreadable - len(unreadable.rows),
        environment=environment_table(files),
    )


def _place(files: RunFiles, run: str | Path, results: str | None) -> Path:
    """Where the page goes, so that that of one evaluation does not replace that of another."""
    is_asked = results is not None or Path(run).resolve() != files.folder.resolve()
    if files.result is None or not is_asked:
        return files.folder / "report.html"
    return files.folder / "results" / files.result.name / "report.html"


def _trained(files: RunFiles) -> list[RunFiles]:
    """The run or, of one that sums up others, those of them that are there."""
    repeats = files.result.facts.repeats if files.result else None
    if repeats is None or files.epochs:
        return [files]
    folders = [files.folder / run.name for run in repeats.runs]
    return [read_run(folder) for folder in folders if folder.is_dir()]


def _unreadable(files: RunFiles) -> tuple[Table, int]:
    """The first clips that training or evaluation could not read, and how many there are."""
    met = [("training", clip) for clip in files.bad_clips]
    roots = [Path(files.recipe.data.root)]
    for result in files.results:
        roots += clip_roots(files, result)
        met += [(result.name, clip) for clip in result.facts.missing]
    rows = [
        (
            where,
            shown_path(clip.path, roots),
            without_folders(clip.reason, [*roots, Path(clip.path).parent]),
        )
        for where, clip in met[:MAX_ROWS]
    ]
    return Table(("met in", "clip", "reason"), rows), len(met)
