"""The files of a list: found below the root, each once, and opened to count their frames."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Iterator, Sequence
from itertools import product
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from marey.data.checks.probe import Probes, probe_clips
from marey.data.lists.listing import Listing
from marey.data.lists.manifest_of import manifest_of, spans_of
from marey.data.lists.times import seconds
from marey.data.lists.wanted_columns import UNIT_OF
from marey.data.manifest.column_names import squashed
from marey.data.manifest.faults import clip_text
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.paths import VIDEO, leaves
from marey.data.manifest.spellings import MISSING, Meant, Spellings
from marey.data.manifest.time_names import time_name
from marey.errors import ManifestError, counted, first_few
from marey.jobs.executors import Processes
from marey.jobs.parts import Progress
from marey.storage.url import AnyPath


def meant_files(listing: Listing, root: AnyPath, *, planned: bool = False) -> list[Meant]:
    """The file that each row means.

    planned: whether files need not be there, and none is asked for.
    """
    files = Spellings(root, listed_only=planned)
    return [_meant(files, row.path, planned=planned) for row in listing.rows]


def _meant(files: Spellings, path: str, *, planned: bool) -> Meant:
    if not path:
        return Meant(None, reason="the path is empty")
    if re.match(r"\w+://|file:/", path):
        return Meant(None, reason="a url; give the path of its file here")
    if path.startswith("~/"):
        return Meant(None, reason="~ stands for a home folder in a shell alone; write the folder")
    return files.planned(path) if planned else files.find(path)


def absent_notes(listing: Listing, meant: Sequence[Meant]) -> list[str]:
    """What there is to say of files that are not there yet."""
    absent = [file.path for file in meant if file.is_planned and file.path]
    bare = [path for path in absent if not VIDEO.fullmatch(path)]
    in_seconds = listing.has_spans and listing.unit == "seconds"
    notes = []
    if absent:
        notes.append(
            f"{len(absent):,} of {counted(len(meant), 'clip')} not there yet, the first is"
            f" {absent[0]}; once they are, `marey data check` opens them all"
        )
    if bare:
        kind = "videos without one" if in_seconds else "folders of frames"
        notes.append(
            f"{len(bare):,} of these have no suffix of a video, as {bare[0]}, and are taken for"
            f" {kind}; if they become anything else, give this command again then"
        )
    return notes


def refuse_header_as_clip(listing: Listing, first: Meant) -> None:
    """ManifestError if the first line of a list, whose clip is not there, may name its columns.

    Its cells are words, and its label is of no other line, while those have labels in common.
    """
    form = listing.format
    if not form.startswith("`path label`, ") or "space-separated" in form or not first.is_planned:
        return
    row, *others = listing.rows
    cells = row.path, *row.labels.values()
    labels = [other.labels["label"] for other in others]
    if not all(map(_WORDS.fullmatch, cells)) or cells[1] in labels:
        return
    if len(set(labels)) < len(labels):
        columns = f"path={cells[0]},label={cells[1]}"
        raise ManifestError(
            f"{row.line}: {clip_text(','.join(cells))} may name the columns, or be a clip: no other"
            " has its label, and it is not there",
            f"--columns {shlex.quote(columns)}: it names them; --columns 'path label': a clip",
        )


_WORDS = re.compile(r"[^\W\d]+([ _-][^\W\d]+)*")
"""A cell that may name a column; with digits it is rather a clip."""


def refuse_empty_spans(listing: Listing) -> None:
    """ManifestError if a clip ends before it begins, or where it does."""
    rows = listing.rows
    listing.refuse(
        [n for n, row in enumerate(rows) if row.end is not None and row.end <= (row.start or 0)],
        lambda n: (
            f"the end, {rows[n].end:g}, is not after the start, {rows[n].start or 0:g}",
            "the end is not included; leave a cell empty for the end of the file",
        ),
    )


def none_read(listing: Listing, start: Path, reason: str) -> ManifestError:
    """The error that no clip of a list can be read; `reason` is that of the first."""
    paths = [row.path for row in listing.rows]
    path, hint = paths[0], f"paths start at {start}; give another root if the clips lie elsewhere"
    shared = os.path.commonprefix([[*_FOLDER.findall(path)] for path in paths])  # noqa: RUF071
    cuts = ["".join(shared[:count]) for count in range(len(shared) + 1)]
    local = re.match(r"[A-Za-z]:[\\/]|/|~/|file:/", path)
    found = _found(start, paths, cuts) if local or reason.startswith(MISSING) else None
    cut, folder = found or (cuts[-1], "")
    if "://" in path and not local:
        hint = "download the clips, and write their paths instead of urls"
    elif folder:
        take = f"take {clip_text(cut)} out of the paths, and give " if cut else ""
        hint = f"{take}--root {shlex.quote(str(start / folder))}, where clips are called so"
    elif cut and (found or local):
        hint = f"take {clip_text(cut)} out of the paths: they begin below {start}, or --root"
    elif Spellings(start).find(plain := unquote(path)).path is not None:
        hint = f"the paths are written as in urls: write {clip_text(plain)}"
    return ManifestError(
        f"{listing.source}: none of its {counted(len(listing), 'clip')} can be read; the first,"
        f" {clip_text(path)}: {reason}",
        hint,
    )


def _found(start: Path, paths: Sequence[str], cuts: Sequence[str]) -> tuple[str, str] | None:
    """One of the `cuts` and a folder in which the paths without it are those of files.

    None if there is none in `start` ("") or in a folder of it.
    """
    files, some = Spellings(start), paths[:: -(-len(paths) // _TRIED)]
    inner = sorted(name for name in files.names("") if (start / name).is_dir())
    for cut, folder in product(cuts, ["", *inner[:_TRIED]]):
        if any(path[len(cut) :].startswith("..") for path in some):
            continue  # it leads out of that folder
        ends = (f"{folder}/{path[len(cut) :]}".lstrip("/") for path in some)
        if all(files.find(end).path is not None for end in ends):
            return cut, folder
    return None


_FOLDER = re.compile(r"[^\\/]*[\\/]+")
_TRIED = 50
"""Paths, and folders, that are looked at for a remedy."""


def refuse_outside(listing: Listing, root: Path, meant: Sequence[Meant]) -> None:
    """ManifestError if a path leads out of the root."""
    pairs = zip(listing.rows, meant, strict=True)
    paths = [row.path if file.path is None else file.path for row, file in pairs]
    listing.refuse(
        [row for row, path in enumerate(paths) if leaves(root, path)],
        lambda row: (
            f"path {clip_text(paths[row])} is outside the root {root}",
            "give paths relative to the root",
        ),
    )


def located(
    listing: Listing, root: Path, meant: Sequence[Meant]
) -> tuple[Manifest, dict[int, str]]:
    """The manifest of all rows, its paths empty where there is no file; row -> why there is none.

    ManifestError if a clip is given twice, under the same id if there are ids: EPIC-KITCHENS and
    EGTEA have a few parts that were annotated twice, under two.
    """
    clips = listing.rows
    paths: list[str] = []
    rejects: dict[int, str] = {}
    for row, (path, _, reason, _) in enumerate(meant):
        if path is None:
            rejects[row] = reason
        elif re.search(r"[\r\n\0\ud800-\udfff]", path):  # what no line of a manifest can hold
            rejects[row] = "its name holds a line break or is not UTF-8: rename it"
        paths.append("" if row in rejects else path or "")
    manifest = manifest_of(
        listing.source,
        root,
        paths=paths,
        ids=[clip.id for clip in clips],
        spans=spans_of((clip.start, clip.end) for clip in clips),
        unit=listing.unit,
        num_frames=[clip.num_frames for clip in clips],
        rates=np.array([np.nan if clip.rate is None else clip.rate for clip in clips]),
    )
    earlier = manifest.duplicates()
    listing.refuse(
        sorted(earlier.keys() - rejects.keys()),
        lambda row: (
            f"{clip_text(clips[row].path)} was given before, at {clips[earlier[row]].line}",
            _twice_hint(listing),
        ),
    )
    return manifest, rejects


def _twice_hint(listing: Listing) -> str:
    """What may be done about clips that are given twice."""
    taken = *listing.used.values(), "split"
    others = ", ".join(f"`{name}`" for name in listing.columns if name and name not in taken)
    times = f"; if {others} say which part of a file is meant: --columns start=COLUMN,end=COLUMN"
    hint = "keep one line a clip, several classes as a|b"
    return hint + (times if others and not listing.has_spans else "")


def count_frames(
    manifest: Manifest,
    listing: Listing,
    rejects: dict[int, str],
    *,
    left: Sequence[str],
    said: Collection[str],
    num_workers: int | None,
    timeout_seconds: float,
    progress: Progress | None,
) -> tuple[Manifest, list[str]]:
    """The manifest with the frames that decode from every file, and what there is to say of spans.

    Adds to `rejects` what fails, and whole files that are cut off (`Probes.cut_off`); spans of such
    are kept where they can be read. ManifestError if most spans of a table end after their files,
    or some and all may be frames: then their times are of another unit; or if a column says frames
    of another rate than they have.

    Args:
        left: the columns of which nothing is used.
        said: the roles of columns that a person has named.
    """
    probed = probe_clips(
        manifest,
        np.array([row for row in range(len(manifest)) if row not in rejects], np.int64),
        thorough=False,
        executor=Processes(num_workers),
        timeout_seconds=timeout_seconds,
        progress=progress,
    )
    probes = Probes(len(manifest), probed)
    rejects |= probes.errors
    _refuse_other_rates(manifest, listing, probes, left)
    notes = [*_damage(manifest, probes, rejects), *_late_spans(manifest, listing, probes, said)]
    counts = np.where(probes.file_frames > 0, probes.file_frames, -1)
    return manifest.with_columns({"num_frames": counts}), notes


def _damage(manifest: Manifest, probes: Probes, rejects: dict[int, str]) -> Iterator[str]:
    """What there is to say of files that hold little of what they should; adds to `rejects`."""
    is_cut, frames = probes.cut_off, probes.file_frames
    spans = np.array([manifest.span(row) is not None for row in range(len(manifest))], bool)
    fewer = ~is_cut & (10 * frames < 9 * probes.announced) & (frames > 0)
    still = ~is_cut & ~fewer & ~spans & (frames == 1)
    cut = np.flatnonzero(is_cut & ~spans).tolist()
    rejects |= {row: f"cut off or damaged: {probes.told(row)}" for row in cut}
    for rows, what in (
        (is_cut & ~spans, "left out as cut off or damaged"),
        (is_cut & spans & ~probes.failed, "kept of files that are cut off or damaged"),
        (fewer, "kept with fewer frames than the files announce"),
        (still, "of one frame, in which nothing moves"),
    ):
        if named := np.flatnonzero(rows).tolist():
            told = (f"{manifest.paths[row]} ({probes.told(row)})" for row in named)
            shown = map(str, manifest.paths.take(pa.array(named))) if rows is still else told
            yield f"{counted(len(named), 'clip')} {what}: {first_few(shown, most=3)}"
    if unknown := int((~probes.measured).sum()):
        yield (
            f"{counted(unknown, 'clip')} not measured in time, and left out, which says nothing of"
            " the files: more --timeout (timeout_seconds=) may read them"
        )


def _refuse_other_rates(
    manifest: Manifest, listing: Listing, probes: Probes, left: Sequence[str]
) -> None:
    """ManifestError if frames of spans are counted at another rate than their files have."""
    rates = [name for name in left if squashed(name) in ("fps", "framerate", "framespersecond")]
    if manifest.starts is None or manifest.unit != "frames" or not rates:
        return
    cells = listing.columns[rates[0]]
    said = np.array([seconds(cell) or 0 for cell in cells])
    other = (said > 0) & (probes.fps > 0) & (np.abs(said - probes.fps) > 0.02 * said)
    if other.any():
        row = int(np.flatnonzero(other)[0])
        raise ManifestError(
            f"{listing.rows[row].line}: `{rates[0]}` is {cells[row]}, but the file has"
            f" {probes.fps[row]:g} frames a second, as {other.sum():,} of"
            f" {counted(len(other), 'clip')}",
            f"if frames are counted at `{rates[0]}`, divide by it and give seconds; if they are"
            f" those of the file: --ignore {shlex.quote(rates[0])}",
        )


def _late_spans(
    manifest: Manifest, listing: Listing, probes: Probes, said: Collection[str]
) -> list[str]:
    """What there is to say of spans that end, or begin, after their files do."""
    if manifest.starts is None:
        return []
    rates = probes.fps if manifest.unit == "seconds" else np.ones(len(manifest))
    with np.errstate(divide="ignore", invalid="ignore"):
        lengths = np.where(rates > 0, probes.file_frames / rates, 0)
    bounds = np.fmax(manifest.starts, manifest.starts if manifest.ends is None else manifest.ends)
    opened = (lengths > 0) & ~np.isnan(bounds) & ~probes.cut_off
    slack = 1 if manifest.unit == "frames" else 0.1
    late = opened & (bounds > lengths + slack)
    if not late.any():
        return []
    columns = [name for role, name in listing.used.items() if role in UNIT_OF]
    frames = _as_frames(manifest, listing, said) & opened & (bounds <= probes.file_frames)
    # whole seconds may round up the length of a file
    are_frames = bool((frames == opened).all() and (late & (bounds > lengths + 1)).any())
    if columns and (are_frames or 2 * late.sum() > opened.sum()):
        row = int(np.flatnonzero(late & (bounds > lengths + are_frames))[0])
        other = ""
        if are_frames:
            count = counted(int(probes.file_frames[row]), "frame")
            other = f" s, which has {count}: all are whole numbers, and may be frames"
        shown = " and ".join(f"`{name}`" for name in columns)
        raise ManifestError(
            f"{listing.rows[row].line}: {shown} are read as {manifest.unit}, and {late.sum():,} of"
            f" {counted(opened.sum(), 'clip')} would end after the file; the first at"
            f" {bounds[row]:g} of {lengths[row]:.4g}{other}",
            "name their unit: --columns start=COLUMN,end=COLUMN is seconds, start_frame and"
            f" end_frame are frames, start_ms and end_ms; --ignore {','.join(columns)} leaves them",
        )
    late[[*probes.errors]] = False  # those are left out
    cut = int(late.sum())
    return [f"{counted(cut, 'clip')} cut short at the end of the file"] if cut else []


def _as_frames(manifest: Manifest, listing: Listing, said: Collection[str]) -> np.ndarray:
    """Which clips' times, read as seconds, may be frames: bool [n], whole numbers.

    None where a person, or the name of a column, says that they are seconds.
    """
    columns = [name for role, name in listing.used.items() if role in UNIT_OF and role not in said]
    names = [found for name in columns if (found := time_name(name))]
    by_name = any("seconds" in name.context.split() for name in names)
    if manifest.unit != "seconds" or by_name or not columns:
        return np.zeros(len(manifest), bool)
    times = [of for of in (manifest.starts, manifest.ends) if of is not None]
    whole: np.ndarray = np.all([np.isnan(of) | (of == np.floor(of)) for of in times], axis=0)
    return whole
