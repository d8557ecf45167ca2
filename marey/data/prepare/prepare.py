"""From the official annotations of a data set and its media to a manifest: `marey data prepare`.

Nothing is downloaded and nothing is guessed: rows that do not fit, clips that are not there and
clips that do not decode are left out, counted and listed. What is written depends on the
annotations and the media alone, so repeating it gives the same bytes; each file is replaced as a
whole, prepare.json last, and the folder is locked meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from marey.data.checks.probe_journal import probe_once
from marey.data.datasets.dataset import DataSet
from marey.data.manifest.classes import classes_file
from marey.data.manifest.write import write_manifest
from marey.data.prepare.account import (
    Account,
    made_of,
    reject_error,
    write_facts,
    write_missing,
    write_rejects,
)
from marey.data.prepare.find_forms import read_annotations
from marey.data.prepare.present_clips import present_clips
from marey.data.prepare.valid_clips import valid_clips
from marey.errors import ManifestError, counted
from marey.jobs.executors import Executor, Processes
from marey.jobs.parts import Progress
from marey.jobs.shards import WHOLE, Shard
from marey.storage.atomic import make_folder
from marey.storage.lock import locked


@dataclass(frozen=True)
class MediaFolder:
    """Where the media lie and how they are looked at."""

    root: Path
    layout: str | None = None
    """In place of the data set's own layouts."""
    probe: bool = True
    """Whether every clip is opened and its frames counted."""
    executor: Executor = Processes()  # noqa: RUF009
    timeout_seconds: float = 60.0


@dataclass(frozen=True)
class Prepared:
    """The manifest that was made and what there is to say about it."""

    manifest: Path | None
    """None if this was one of several shards and others have yet to probe their share."""
    account: Account


def prepare(
    dataset: DataSet,
    media: MediaFolder,
    out: Path,
    *,
    annotations: Path | None = None,
    strict: bool = False,
    overwrite: bool = False,
    shard: Shard = WHOLE,
    progress: Progress | None = None,
) -> Prepared:
    """What was written to `out`: manifest.csv, class names and an account of what there is.

    Args:
        annotations: the folder of the annotation files (default: the root of the media).
        strict: whether a row that does not fit is an error, after rejects.csv is written, and is
            not only left out.
        shard: which share of the clips this process probes.

    Raises:
        ManifestError: there are no annotations or no clips, or `out` holds another manifest
            (unless `overwrite`).
        RunError: another process prepares the same folder.
    """
    media = replace(media, root=media.root.absolute())
    if media.layout:
        dataset = replace(dataset, layouts=(media.layout,))
    _begin(out, dataset, overwrite=overwrite)
    lock = f"prepare-{shard.index}-of-{shard.count}" if not shard.is_whole else "prepare"
    with locked(out / f".{lock}.lock", f"prepares {out}"):
        index, files, form = read_annotations(dataset, annotations or media.root, root=media.root)
        clips = valid_clips(index, files, media.root)
        write_rejects(out, files.rejects)
        if files.rejects and strict:
            raise reject_error(files.rejects)
        present = present_clips(dataset, index, clips, media.root)
        if media.probe:
            present.probes = probe_once(
                present.manifest,
                out,
                thorough=False,
                executor=media.executor,
                shard=shard,
                timeout_seconds=media.timeout_seconds,
                progress=progress,
            )
        account = Account(dataset, form, files, media.root, present)
        if present.probes is not None and not present.probes.seen.all():  # by other shards
            return Prepared(None, account)
        if shard.is_whole:
            return Prepared(_write(account, out), account)
        with locked(out / ".prepare.lock", f"prepares {out}", wait_seconds=-1):
            return Prepared(_write(account, out), account)


def _write(account: Account, out: Path) -> Path:
    """Write all files, the manifest late and prepare.json last."""
    present = account.present
    manifest = present.labelled()
    if not len(manifest):
        raise ManifestError(
            f"none of {counted(len(present.rows), 'clip')} found can be read and has a label",
            f"{out / 'missing.csv'} has the reasons",
        )
    write_missing(out, account.missing)
    unlabelled, path = present.unlabelled(), out / "unlabelled.csv"
    if len(unlabelled):
        write_manifest(unlabelled, path)
    else:
        path.unlink(missing_ok=True)
    write_manifest(manifest, out / "manifest.csv")
    labels = [classes_file(out, head).name for head in account.classes]
    tables = ("rejects.csv", "missing.csv", "unlabelled.csv")
    write_facts(out, account, ["manifest.csv", *labels, *tables])
    return out / "manifest.csv"


def _begin(out: Path, dataset: DataSet, *, overwrite: bool) -> None:
    """Make the folder; ManifestError if it holds a manifest that is not of this data set."""
    make_folder(out)
    made = made_of(out)
    if (out / "manifest.csv").exists() and made != dataset.name and not overwrite:
        what = f"a manifest of {made}" if made else "a manifest that was not prepared"
        raise ManifestError(
            f"{out} holds {what}",
            "give another folder; --overwrite, or overwrite=True, replaces what is there",
        )
