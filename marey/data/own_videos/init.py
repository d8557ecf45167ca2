"""From whatever lists your videos to a manifest with a split: `marey data init`.

The source is a folder of class folders, a csv, a list of another toolbox, or a folder with one
list a split. What it was read as, how it was split and what was left out is said, not assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from marey.data.lists.epic import in_frames
from marey.data.lists.manifest_of import count_notes
from marey.data.lists.wanted_columns import AS_NAMED, ROLES, WantedColumns
from marey.data.manifest.classes import classes_file
from marey.data.manifest.manifest import SPLITS, Manifest
from marey.data.manifest.read import read_manifest
from marey.data.manifest.spellings import spelling_notes
from marey.data.manifest.write import write_manifest
from marey.data.own_videos.class_doubts import refuse_free_text
from marey.data.own_videos.files import (
    absent_notes,
    count_frames,
    located,
    meant_files,
    none_read,
    refuse_empty_spans,
    refuse_header_as_clip,
    refuse_outside,
)
from marey.data.own_videos.folds import FoldFacts
from marey.data.own_videos.given_columns import given_columns
from marey.data.own_videos.labels import class_files, read_labels
from marey.data.own_videos.look_alikes import LookAlikes, find_look_alikes
from marey.data.own_videos.name_groups import Groups, groups_by_name, groups_by_pattern
from marey.data.own_videos.record import command_of, write_record
from marey.data.own_videos.source import read_source
from marey.data.own_videos.splits import Division, SplitRule, divide, leak_notes
from marey.errors import ManifestError
from marey.jobs.executors import Processes
from marey.jobs.parts import Progress
from marey.storage.atomic import refuse_existing, write_csv

BY_DEFAULT = SplitRule()
OCCUPIED = "give another folder; --overwrite, or overwrite=True, replaces what is there"


@dataclass(frozen=True, kw_only=True)
class InitReport:
    """The manifest that was made, and what there is to say about it."""

    source: Path
    manifest: Manifest
    path: Path
    format: str
    """What the source was read as."""
    columns: Mapping[str, str]
    """What columns were read as -> their names."""
    left: tuple[str, ...]
    """Columns of which nothing was used."""
    ignored: tuple[str, ...]
    """Those that were asked to be left."""
    split: str
    """What it was split by."""
    folds: tuple[FoldFacts, ...]
    """What each fold got, if there are any."""
    near: LookAlikes | None
    """Which clips are nearly the same; None if that was not looked for."""
    notes: tuple[str, ...]
    rejects: tuple[tuple[str, str], ...]
    """(path, reason) of every clip left out; also in rejects.csv beside the manifest."""

    @property
    def facts(self) -> dict[str, object]:
        """What init.json beside the manifest says of it."""
        return {
            "source": str(self.source),
            "read_as": self.format,
            "columns": dict(self.columns),
            "left": self.left,
            "ignored": self.ignored,
            "split_by": self.split,
            "splits": self.manifest.split_counts(),
            "folds": [asdict(fold) for fold in self.folds],
            "near_duplicates": self.near and self.near.facts,
            "notes": self.notes,
            "left_out": len(self.rejects),
        }

    @property
    def as_json(self) -> dict[str, object]:
        """What `marey data init --json` says: init.json, and what lies beside it."""
        rejects = [{"path": path, "reason": reason} for path, reason in self.rejects]
        return (
            {"path": str(self.path), "clips": len(self.manifest)} | self.facts | {"faults": rejects}
        )


def init_dataset(
    source: str | Path,
    out: str | Path,
    *,
    rule: SplitRule = BY_DEFAULT,
    wanted: WantedColumns = AS_NAMED,
    root: str | Path | None = None,
    names: str | Path | None = None,
    layout: str | None = None,
    probe: bool = True,
    overwrite: bool = False,
    num_workers: int | None = None,
    timeout_seconds: float = 60.0,
    progress: Progress | None = None,
    looked: Progress | None = None,
) -> InitReport:
    """The manifest of the clips in `source`, written as manifest.csv with labels.txt in `out`.

    Messages call options as the command does: --columns and --ignore are `wanted`, those of the
    split (--val, --test, --folds, --group, --group-by, --val-where, --test-where) are fields of
    `rule`, others have the same names here.

    Args:
        wanted: what the columns of a list are, and which do not matter, where names do not tell.
        root: where the paths of a list start (default: its folder).
        names: the file of class names (default: one beside the list, if there is one).
        layout: what the folders of a folder are, as `own_videos.layout` has it, whatever lists lie
            there (default: what their names and structure say).
        probe: whether every file is decoded: then its frames are counted, and those that cannot be
            read are left out and listed in rejects.csv. Without, no file is opened or asked for,
            and none has to be there.
        progress: called with files (done, total) that are opened to count their frames.
        looked: called with clips (done, total) that are looked at, then compared, to find near
            duplicates.

    Raises:
        ManifestError: lines do not fit, clips are given twice, there is no clip, or there is a
            manifest.csv already (unless `overwrite`).
    """
    source, target = Path(source), Path(out) / "manifest.csv"
    refuse_existing(target, ManifestError, overwrite=overwrite, another="folder")
    start = Path(root) if root else source if source.is_dir() else source.parent
    listing, notes = read_source(
        source, wanted, root=start if root else None, layout=layout, opens=probe
    )
    listing = in_frames(listing, start)
    refuse_empty_spans(listing)
    given = given_columns(listing, replace(rule, group=None) if rule.group_by else rule, wanted)
    notes = [*listing.notes, *notes]
    files, head = class_files(listing, names), listing.heads[0]
    sure = head in {*files, *wanted.roles} or bool(wanted.line or listing.class_names)
    refuse_free_text(listing, head, said=sure)
    labels, classes = read_labels(listing, files, notes)
    if not overwrite:
        _keep_classes(classes, target.parent)
    meant = meant_files(listing, start, planned=not probe)
    if not wanted.line:
        refuse_header_as_clip(listing, meant[0])
    if root is not None:
        refuse_outside(listing, start, meant)
    notes += spelling_notes([row.path for row in listing.rows], meant)
    notes += absent_notes(listing, meant)
    manifest, rejects = located(listing, start, meant)
    manifest = manifest.with_columns(labels, classes)
    if probe:
        manifest, said = count_frames(
            manifest,
            listing,
            rejects,
            left=given.left,
            said=wanted.roles,
            num_workers=num_workers,
            timeout_seconds=timeout_seconds,
            progress=progress,
        )
        notes += said
    kept = np.array([row for row in range(len(listing)) if row not in rejects], np.int64)
    if not len(kept):
        raise none_read(listing, start, rejects[0])
    manifest = manifest.take(kept)
    claimed = [listing.rows[row].num_frames for row in kept]
    notes += count_notes(claimed, list(map(manifest.num_frames, range(len(kept)))) if probe else ())
    columns = {name: [values[row] for row in kept] for name, values in listing.columns.items()}
    videos = [] if rule.group is None or rule.group_by else _videos(manifest)
    named = Groups(given.group, columns[given.group]) if given.group else None
    if rule.group_by:
        named = groups_by_pattern(list(manifest.texts()), rule.group_by)
    groups = named or next(iter(videos), None)
    stratum, class_names = _stratum(manifest), next(iter(manifest.classes.values()))
    decides = not (given.split or rule.val_where or rule.test_where)
    near, done = None, ""
    if probe and rule.near_duplicates:
        near, said = find_look_alikes(
            manifest,
            [class_names[label] for label in stratum],
            executor=Processes(num_workers),
            timeout_seconds=timeout_seconds,
            progress=looked,
        )
        notes += said
        if near and len(near.relatives.pairs) and decides:
            if named:  # a person's word
                done = near.apart(named)
            elif rule.group is not None:
                groups, done = near.kept_together(groups)
    division = divide(
        stratum,
        rule,
        columns=columns,
        split=given.split,
        fold=given.fold,
        groups=groups,
        names=class_names,
    )
    write_manifest(_divided(manifest, division), target)
    left_out = tuple((listing.rows[row].path, rejects[row]) for row in sorted(rejects))
    _write_pairs(target.with_name("rejects.csv"), ("path", "reason"), left_out)
    if near:
        near.write(target.with_name("near-duplicates.csv"))
        notes += near.notes(division.sides, division.folds, done)
    notes += [groups.note] if groups and groups.note and decides else []
    if named and videos:
        notes += leak_notes(division.sides, videos[0])
    used = {**wanted.roles, **listing.used}
    if listing.source.is_file():  # else the split is that of folders or of lists, and no column
        roles = (("split", given.split), ("group", given.group), ("fold", given.fold))
        used |= {role: column for role, column in roles if column}
    used = {role: used[role] for role in ROLES if role in used}
    report = InitReport(
        source=source,
        manifest=read_manifest(target),
        path=target,
        format=listing.format,
        columns=used,
        left=given.left,
        ignored=given.ignored,
        split=division.how,
        folds=division.fold_facts,
        near=near,
        notes=tuple(dict.fromkeys([*notes, *division.notes])),
        rejects=left_out,
    )
    again = command_of(
        source,
        target.parent,
        used=used,
        ignored=given.ignored,
        rule=rule,
        shares=division.shares,
        root=root,
        names=names,
        layout=layout,
        probe=probe,
    )
    write_record(target.parent, report.facts, again)
    return report


# --- classes ------------------------------------------------------------------------------------


def _keep_classes(classes: Mapping[str, tuple[str, ...]], folder: Path) -> None:
    """ManifestError if a file of other class names would be written over."""
    for head, names in classes.items():
        file = classes_file(folder, head)
        if file.exists() and file.read_text("utf-8", "replace").split("\n") != [*names, ""]:
            raise ManifestError(
                f"{file} holds other class names, which other manifests there may need", OCCUPIED
            )


def _stratum(manifest: Manifest) -> np.ndarray:
    """The class by which each clip is split: its own, or the rarest of several."""
    head = next(iter(manifest.labels))
    labels = manifest.labels[head]
    if not manifest.has_several(head):
        return labels
    rarest: np.ndarray = np.where(labels, manifest.class_counts(head), len(labels) + 1).argmin(1)
    return rarest


# --- what is written ----------------------------------------------------------------------------


def _videos(manifest: Manifest) -> list[Groups]:
    """The videos that clips are cut from, by their names, and the files that have several."""
    paths, names = list(manifest.texts()), next(iter(manifest.classes.values()))
    by_name = groups_by_name(paths, [names[label] for label in _stratum(manifest)])
    several = len(set(paths)) < len(paths)
    note = "clips of one file stay together; --group none divides them"
    return [*([by_name] if by_name else []), *([Groups("file", paths, note)] if several else [])]


def _divided(manifest: Manifest, division: Division) -> Manifest:
    groups = None if division.groups == list(manifest.texts()) else division.groups
    splits = [SPLITS[side] for side in division.sides]
    return manifest.with_columns({"split": splits, "group": groups, "fold": division.folds})


def _write_pairs(path: Path, names: tuple[str, str], pairs: Sequence[tuple[str, str]]) -> None:
    """A list of two columns, as of clips left out; none from an earlier time stays."""
    if pairs:
        write_csv(path, names, pairs)
    else:
        path.unlink(missing_ok=True)
