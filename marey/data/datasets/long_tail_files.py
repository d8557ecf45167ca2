"""Which json of a long-tailed part is which split: SSv2-LT's and VideoLT-LT's (arXiv 2304.01143).

The release of LMR has a json for train, val and test each. Motionformer, which it trains with,
knows "train" and "validation" alone, and trains on the first and tests on the second. So those of
SSv2-LT are called train, trainval (its validation) and val or validation (its test set), over the
names of Something-Something's own: ``something-something-v2-validation.json`` may be either's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from marey.data.lists.annotations import Annotations
from marey.data.lists.rejects import Faults
from marey.data.lists.tables import template_of
from marey.data.lists.text_file import read_text
from marey.errors import ManifestError, counted

ROLES = ("train", "trainval", "val", "validation", "test")


@dataclass(frozen=True)
class Whole:
    """The balanced set that a long-tailed one is a part of."""

    title: str
    name: str
    """For `marey data prepare`."""
    counts: Mapping[str, int]
    """Split -> its clips: of train and val."""


def json_names(*prefixes: str) -> dict[str, str]:
    """Role -> the names that its file may have: with one of the prefixes, or with none."""
    return {role: " ".join(f"{prefix}{role}.json" for prefix in (*prefixes, "")) for role in ROLES}


def long_tail_files(files: Annotations, whole: Whole | None = None) -> dict[str, str]:
    """Split -> role of its file; why each is taken so is noted.

    whole: the set whose own files may lie there under the same names.

    Raises:
        ManifestError: a file may be that of two splits, or is one of the whole set.
    """
    counts = {role: len(_entries(files, role)) for role in ROLES if role in files}
    if whole is not None and counts.get("train") == whole.counts["train"]:
        raise ManifestError(
            f"{files['train']} has {counts['train']:,} clips: it is that of {whole.title} itself",
            f"put the json of the long-tailed part there; `marey data prepare {whole.name}` reads"
            " this one, and `marey data longtail` makes a long-tailed part of it",
        )
    own = "trainval" not in files and (whole is None or _has_labels(files, "test"))
    splits = _by_their_names(files) if own else _as_released(files, whole, counts)
    for role in ROLES:
        if role in files and role not in splits.values():
            files.notes.append(f"not read: {files[role].name}")
    return splits


def _by_their_names(files: Annotations) -> dict[str, str]:
    """Splits by the names of the files, where there is a test set, or no other that has a name."""
    _refuse_both(files, "val", "validation", "val")
    role = "val" if "val" in files else "validation"
    if role in files and "test" in files:
        files.notes.append(f"{files[role].name} is split val, {files['test'].name} is split test")
    parts = {"train": "train", "val": role, "test": "test"}
    return {split: role for split, role in parts.items() if role in files}


def _as_released(
    files: Annotations, whole: Whole | None, counts: Mapping[str, int]
) -> dict[str, str]:
    """Splits as the release of SSv2-LT has them."""
    if _has_labels(files, "test"):
        _refuse_both(files, "val", "test", "test")
        _refuse_both(files, "validation", "test", "test")
    if "trainval" not in files:
        _refuse_both(files, "val", "validation", "test")
    role = "val" if "val" in files else "validation"
    splits = {split: r for split, r in (("train", "train"), ("val", "trainval")) if r in files}
    if "trainval" in files:
        files.notes.append(f"{files['trainval'].name} is split val, as the release names it")
    if role not in files:
        return splits | ({"test": "test"} if _has_labels(files, "test") else {})
    if whole is not None and role == "validation" and counts[role] == whole.counts["val"]:
        raise ManifestError(
            f"{files[role]} has {counts[role]:,} clips, as many as {whole.title}'s validation set:"
            " to take it for the long-tailed test set would say numbers of another one",
            f"if it is the long-tailed test set, call it {_prefix(files)}val.json; if not, move it"
            " to another folder",
        )
    other = f"; {whole.title}'s own has {whole.counts['val']:,}" if whole is not None else ""
    files.notes.append(
        f"{files[role].name} is split test, as the release names it, because Motionformer tests on"
        f" that file: {counted(counts[role], 'clip')}{other}"
    )
    return splits | {"test": role}


def _refuse_both(files: Annotations, one: str, other: str, split: str) -> None:
    if one in files and other in files:
        raise ManifestError(
            f"{files[one]} and {files[other].name} may both be the {split} set",
            "the release calls its validation set trainval, and its test set val or validation;"
            " leave the one there that is meant",
        )


def _has_labels(files: Annotations, role: str) -> bool:
    """Whether clips of a file have a class; Something-Something's own test file has none."""
    entries = _entries(files, role) if role in files else []
    return any(template_of(entry) is not None for entry in entries)


def _entries(files: Annotations, role: str) -> list[dict[str, object]]:
    """The objects of a file; what does not fit is said when the file is read."""
    return [entry for _, entry in read_text(files[role], Faults()).objects()]


def _prefix(files: Annotations) -> str:
    return files["validation"].name.removesuffix("validation.json")
