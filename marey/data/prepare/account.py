"""What `marey data prepare` did, as tables beside the manifest.

rejects.csv      rows of annotation files that do not fit: file, line, value, reason, remedy
missing.csv      clips without a video or folder, and those that do not decode, with the reason
unlabelled.csv   clips whose labels are not published: path, split
prepare.json     data set, licence, annotation files with sha256, counts, the files written
prepare.md       the same for people
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from marey.data.datasets.dataset import AnnotationForm, DataSet
from marey.data.lists.annotations import Annotations
from marey.data.lists.rejects import Reject
from marey.data.manifest.faults import NUM_SHOWN, FaultLine, clip_text, fault_error
from marey.data.prepare.present_clips import PresentClips, SplitCoverage
from marey.errors import ManifestError, counted
from marey.storage.atomic import write_csv, write_text
from marey.video.mirrored_classes import flip_pairs

FACTS = "prepare.json"


@dataclass(frozen=True)
class Account:
    """What a data set says and what there is of it, to be written down."""

    dataset: DataSet
    form: AnnotationForm
    files: Annotations
    root: Path
    """Below which the clips lie."""
    present: PresentClips

    @property
    def rejects(self) -> list[Reject]:
        """The rows of annotation files that do not fit."""
        return self.files.rejects

    @cached_property
    def coverage(self) -> dict[str, SplitCoverage]:
        """What there is of every split."""
        return self.present.coverage()

    @cached_property
    def missing(self) -> list[tuple[str, str, str]]:
        """Split, name and reason of every clip that is left out."""
        return self.present.missing()

    @property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        """Head -> class names."""
        return self.present.index.classes

    @cached_property
    def notes(self) -> list[str]:
        """What a person should know."""
        published = [
            f"split {split} has {counted(self.coverage[split].clips, 'clip')} here, {count:,} are "
            "published"
            for split, count in self.dataset.published.items()
            if split in self.coverage and self.coverage[split].clips != count
        ]
        return [*self.dataset.notes, *self.files.notes, *published, *self.present.notes()]

    @property
    def facts(self) -> dict[str, object]:
        """All of it as JSON has it."""
        dataset = self.dataset
        return {
            "data set": dataset.name,
            "title": dataset.title,
            "licence": dataset.licence,
            "source": dataset.source,
            "root": str(self.root),
            "read as": self.form.title,
            "annotations": {str(path): digest for path, digest in self.files.digests.items()},
            "classes": {head: len(names) for head, names in self.classes.items()},
            "flip": {head: _flip(names) for head, names in self.classes.items()},
            "coverage": {split: asdict(counts) for split, counts in self.coverage.items()},
            "rejected rows": len(self.rejects),
            "notes": self.notes,
        }


def coverage_rows(coverage: Mapping[str, SplitCoverage]) -> list[tuple[str, ...]]:
    """The coverage table as text, a row a split, with a header."""
    rows: list[tuple[str, ...]] = [("split", "clips", "found", "missing", "unreadable")]
    for split, counts in coverage.items():
        some = f"{counts.answered:,} with labels" if counts.answered else "no labels"
        name = split if counts.labelled else f"{split} ({some})"
        numbers = (counts.clips, counts.found, counts.missing, counts.unreadable)
        rows.append((name, *(f"{number:,}" for number in numbers)))
    return rows


def reject_error(rejects: Sequence[Reject]) -> ManifestError:
    """The error of the rows that do not fit: the first five and their number."""
    first = [
        FaultLine(str(row.line), f"{clip_text(row.value)}: {row.reason}", row.remedy)
        for row in rejects[:NUM_SHOWN]
    ]
    return fault_error(first, len(rejects))


def write_rejects(folder: Path, rejects: Sequence[Reject]) -> None:
    """rejects.csv, or none if there are no rejects."""
    rows = [(*row.line, row.value, row.reason, row.remedy) for row in rejects]
    _write_or_remove(folder / "rejects.csv", ("file", "line", "value", "reason", "remedy"), rows)


def write_missing(folder: Path, missing: Sequence[tuple[str, str, str]]) -> None:
    """missing.csv, or none if nothing is missing."""
    _write_or_remove(folder / "missing.csv", ("split", "name", "reason"), missing)


def write_facts(folder: Path, account: Account, names: Sequence[str]) -> None:
    """prepare.md, then prepare.json: with it all files named there are whole."""
    written = [name for name in names if (folder / name).is_file()]
    facts = account.facts | {"written": {name: _sha256(folder / name) for name in written}}
    write_text(folder / "prepare.md", _markdown(account, written))
    write_text(folder / FACTS, json.dumps(facts, indent=2) + "\n")


def made_of(folder: Path) -> str | None:
    """The name of the data set that was prepared in `folder` before; None if none was."""
    try:
        facts = json.loads((folder / FACTS).read_bytes())
        return str(facts["data set"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _write_or_remove(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    if rows:
        write_csv(path, columns, rows)
    else:
        path.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flip(names: Sequence[str]) -> object:
    """Pairs of classes that trade places in a mirrored clip; or why it cannot be mirrored."""
    try:
        return [list(pair) for pair in flip_pairs(names)]
    except ValueError as error:
        return str(error)


def _markdown(account: Account, names: Sequence[str]) -> str:
    dataset = account.dataset
    head, *rows = coverage_rows(account.coverage)
    lines = [f"# {dataset.title}", "", f"Licence: {dataset.licence}. From: {dataset.source}.", ""]
    lines += [f"Read as {account.form.title}; clips below {account.root}.", ""]
    lines += ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["", f"Rows of annotation files that do not fit: {len(account.rejects):,}.", ""]
    lines += [f"- {note}" for note in account.notes]
    lines += ["", "| annotation file | sha256 |", "|---|---|"]
    lines += [f"| {path} | {digest} |" for path, digest in account.files.digests.items()]
    return "\n".join([*lines, "", f"Written: {', '.join(names)}.", ""])
