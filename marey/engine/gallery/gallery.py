"""The clips of a manifest as a page: thumbnails that play, found by class, split, fault and answer.

    show.html            the page: what is known of every clip stands in it, as JSON
    show.media/          the pictures and videos, which it asks for as they come into sight

Nothing else is needed, and nothing is fetched: the two can be copied, and opened from a disk. Its
policy (Content-Security-Policy) lets no other script run than the page's own, whatever a file or a
class is called.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from marey.data.checks.check import STATUSES, CheckReport, Status
from marey.data.checks.probe import Probes
from marey.data.manifest.manifest import Manifest
from marey.engine.gallery.answers import RunAnswers
from marey.engine.gallery.looks import Look, make_looks
from marey.errors import ManifestError, counted
from marey.jobs.executors import PROCESSES, Executor
from marey.jobs.parts import Progress
from marey.storage.atomic import write_text
from marey.terminal import visible

MOST = 5000
"""Clips of a page, unless more are asked for."""
NOT_READ = ("unreadable", "not-measured")


@dataclass(frozen=True)
class Gallery:
    """A page that was written."""

    path: Path
    folder: Path
    """Of its pictures and videos."""
    num_clips: int
    """How many are on it."""
    drawn: str
    """Which these are of all that there are, in words; empty if they are all."""
    faults: Mapping[Status, int]
    """Status of `marey data check` -> clips; those without clips are left out, and `ok`."""
    num_bytes: int
    """Of the pictures and videos."""


def write_gallery(
    manifest: Manifest,
    path: Path,
    *,
    most: int = MOST,
    seed: int = 0,
    answers: RunAnswers | None = None,
    executor: Executor = PROCESSES,
    timeout_seconds: float = 60.0,
    progress: Progress | None = None,
) -> Gallery:
    """Write the page of the clips to the file `path`, and their pictures to a folder beside it.

    What was made before of the same clips stays, so that a page that was interrupted goes on.

    Args:
        most: clips that are shown; of more some are drawn, as many of each class as there are
            (`drawn`).
        seed: of the draw.
        answers: those of a run, by rows of `manifest`.
        executor: the processes that decode.
        timeout_seconds: how long a file may take without a frame (`Executor.answers`).
        progress: called with clips (done, total).

    Raises:
        ManifestError: the clips are features, which have no pictures; there are none; or the page
            cannot be written.
        KeyboardInterrupt: with a note of what is kept.
    """
    if manifest.features is not None:
        raise ManifestError(
            f"{manifest.source} holds features, which have no pictures",
            "give the manifest of the videos that they were made of",
        )
    if not len(manifest):
        raise ManifestError(f"{manifest.source} holds no clips to show")
    rows = drawn(manifest, most, seed)
    shown = manifest.take(rows)
    folder = path.with_name(f"{path.stem}.media")
    try:
        looks = make_looks(
            shown, folder, executor=executor, timeout_seconds=timeout_seconds, progress=progress
        )
    except KeyboardInterrupt as stop:
        made = f"the pictures made so far are kept in {folder}"
        stop.add_note(f"{path} is not written; {made}, and the same command goes on")
        raise
    probes = Probes(len(shown), ((row, look.probe) for row, (_, look) in enumerate(looks)))
    report = CheckReport(shown, path, probes, min_frames=2)
    page = _page_values(shown, looks, report, answers, rows)
    note = ""
    if len(rows) < len(manifest):
        how = "drawn evenly over the classes" if manifest.labels else "drawn at random"
        note = f"{len(rows):,} of {counted(len(manifest), 'clip')}, {how}"
    write_text(path, _rendered(page | {"media": quote(folder.name), "note": note}))
    faults: dict[Status, int] = {
        status: n for status, n in report.counts.items() if n and status != "ok"
    }
    num_bytes = sum(file.stat().st_size for file in folder.iterdir())
    return Gallery(path, folder, len(rows), note, faults, num_bytes)


def drawn(manifest: Manifest, most: int, seed: int) -> np.ndarray:
    """Rows, int64 [min(n, most)] in order: of every class the same number, or all that it has.

    Classes are those of the first head, of a clip of several its first.
    """
    order = np.random.default_rng(seed).permutation(len(manifest))
    if len(manifest) <= most:
        return np.sort(order)
    labels = next(iter(manifest.labels.values()), np.zeros(len(manifest), np.int64))
    classes = (labels.argmax(axis=1) if labels.ndim == 2 else labels)[order]
    by_class = np.argsort(classes, kind="stable")
    firsts = np.searchsorted(classes[by_class], classes[by_class])
    turns = np.empty(len(order), np.int64)  # the how-manieth of its class each is
    turns[by_class] = np.arange(len(order)) - firsts
    return np.sort(order[np.argsort(turns, kind="stable")[:most]])


def _page_values(
    manifest: Manifest,
    looks: Sequence[tuple[str, Look]],
    report: CheckReport,
    answers: RunAnswers | None,
    rows: np.ndarray,
) -> dict[str, Any]:
    """What the page is told, as JSON; see `templates/gallery.js`."""
    splits = None if manifest.splits is None else manifest.splits.to_pylist()
    labels = {
        head: [np.flatnonzero(of).tolist() for of in values]
        if values.ndim == 2
        else [[of] for of in values.tolist()]
        for head, values in manifest.labels.items()
    }
    statuses, clips = report.statuses.tolist(), []
    texts = [*manifest.texts()]
    common = _common_folder(texts)
    for row, (key, look) in enumerate(looks):
        status = STATUSES[statuses[row]]
        answered = {} if answers is None else answers.heads
        span = manifest.span(row)
        clips.append(
            {
                "path": visible(texts[row][len(common) :]),
                "span": "" if span is None else str(span),
                "labels": [of[row] for of in labels.values()],
                "split": None if splits is None else splits[row],
                "seconds": round(look.seconds, 2),
                "frames": int(look.probe.frames),
                "size": [int(look.probe.width), int(look.probe.height)],
                "key": "" if status in NOT_READ else key,
                "plays": look.plays,
                "faster": round(look.faster, 1),
                "fault": "" if status == "ok" else status,
                "reason": visible(_bare(report.reason(row), str(manifest.path(row)))),
                "answers": [_told(answered.get(head, {}), int(rows[row])) for head in labels],
            }
        )
    return {
        "title": Path(str(manifest.source)).name,
        "heads": [
            {"name": visible(head), "classes": [visible(name) for name in manifest.classes[head]]}
            for head in labels
        ],
        "run": "" if answers is None else answers.name,
        "clips": clips,
    }


def _told(answers: Mapping[int, Any], row: int) -> list[object] | None:
    """The answer to one clip: class, probability, whether it is right; None if it has none."""
    if row not in answers:
        return None
    of = answers[row]
    return [visible(of.label), round(of.confidence, 4), of.is_right]


def _common_folder(paths: Sequence[str]) -> str:
    """The folder that all of them begin with, if they are absolute: the page does without it."""
    if not all(Path(path).is_absolute() for path in paths):
        return ""
    return os.path.commonpath([str(Path(path).parent) for path in paths]).rstrip("/") + "/"


def _bare(reason: str, path: str) -> str:
    """A reason without the path that stands beside it, which names folders of this machine."""
    return reason.removeprefix(f"{path}: ").replace(path, Path(path).name)


def _rendered(page: Mapping[str, Any]) -> str:
    style, script = (_TEMPLATES.get_template(f"gallery.{kind}").render() for kind in ("css", "js"))
    return _TEMPLATES.get_template("gallery.html").render(
        page=page, style=style, script=script, hash_of=_hash_of
    )


def _hash_of(text: str) -> str:
    """What a content security policy calls an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


_TEMPLATES = Environment(
    loader=ChoiceLoader(
        [PackageLoader("marey.engine.gallery"), PackageLoader("marey.engine.report")]
    ),
    autoescape=lambda name: name is not None and name.endswith(".html"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
