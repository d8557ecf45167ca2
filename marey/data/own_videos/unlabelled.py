"""Clips for a trained model to look at, from whatever lists them, with labels if it has some.

| source                    | what it holds                                                     |
|---------------------------|-------------------------------------------------------------------|
| NAME.parquet, .arrow, a csv with a column `path` | a manifest                                 |
| a folder with a manifest.csv                     | the same                                   |
| any other list            | what `marey data init` reads, labels or not (`line_readings`)     |
| a folder                  | its videos and folders of frames, at any depth, in order          |
| anything else             | one clip                                                          |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from marey.data.features.feature_file import SUFFIXES
from marey.data.lists.epic import in_frames
from marey.data.lists.exports.tools import XML
from marey.data.lists.listing import Listing
from marey.data.lists.lists import read_rows
from marey.data.lists.manifest_of import manifest_of, spans_of
from marey.data.lists.wanted_columns import AS_NAMED, WantedColumns
from marey.data.manifest.classes import unnamed
from marey.data.manifest.column_names import of_kind
from marey.data.manifest.columns import KNOWN, Values
from marey.data.manifest.faults import clip_text, raise_faults
from marey.data.manifest.formats import header_of
from marey.data.manifest.given import manifest_in
from marey.data.manifest.header import NoLabels
from marey.data.manifest.location import BESIDE, Location
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.paths import Folders, stray_faults, url_fault
from marey.data.manifest.read import placed, read_manifest
from marey.data.manifest.spellings import spelling_notes
from marey.data.manifest.time_names import looks_like_time, time_name
from marey.data.own_videos.files import meant_files, refuse_empty_spans
from marey.data.own_videos.folders import clips_below, each_clip
from marey.data.own_videos.kinetics_names import TIMES, by_clip_names
from marey.data.own_videos.layout import some
from marey.data.own_videos.line_readings import read_clip_lines
from marey.data.own_videos.model_labels import labels_of_model
from marey.data.own_videos.record import shown_columns
from marey.data.own_videos.source import lists_in
from marey.data.own_videos.splits import split_name
from marey.errors import ManifestError, counted
from marey.storage.arrow_files import map_file
from marey.storage.encodings import is_plain
from marey.storage.url import AnyPath, Url, any_path

TABLES = (".csv", ".tsv")
MANIFESTS = (*TABLES, ".parquet", ".pq", *SUFFIXES)
LISTS = (".txt", ".lst", ".list", ".json", ".jsonl", ".xlsx", ".xls", *XML)
MANY = 200_000
"""Of so many plain paths files are not looked for: ten million lines are read in seconds."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Clips:
    """What is to be looked at, and how it was read."""

    manifest: Manifest
    """With labels of the heads whose labels are classes of the model."""
    read_as: str
    columns: Mapping[str, str]
    """What columns were read as -> their names."""
    notes: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, object]:
        """What is written down of it."""
        return {"read_as": self.read_as, "columns": dict(self.columns), "notes": self.notes}

    def lines(self) -> Iterator[str]:
        """The same for a person to read."""
        yield f"read as: {self.read_as}"
        if self.columns:
            yield f"columns: {shown_columns(self.columns)}"
        yield from (f"note: {note}" for note in self.notes)


def lists_clips(source: str | AnyPath) -> bool:
    """Whether `source` is the name of a manifest or a list, and so no clip itself."""
    return any_path(source).suffix.lower() in (*MANIFESTS, *LISTS)


def read_clips(
    source: str | AnyPath | Sequence[str],
    *,
    wanted: WantedColumns = AS_NAMED,
    split: str | None = None,
    at: Location = BESIDE,
    classes: Mapping[str, Sequence[str]] | None = None,
) -> Clips:
    """The clips of a manifest, a list, a folder, one video or several; see the module.

    Whether the files are there is not asked: one that is missing costs that clip, when it is read.

    Args:
        wanted: what a person says of the columns or lines of a list.
        split: of a manifest or table, the clips of one split.
        at: where the clips of a manifest or list lie, as `read_manifest` has it.
        classes: head -> class names of a model, whose labels are kept.

    Raises:
        ManifestError: there are no clips, a file that lists them cannot be read, or it may be read
            in two ways.
    """
    if not isinstance(source, str | Path | Url):
        if beside := [each for each in source if lists_clips(each)]:
            raise ManifestError(f"{beside[0]} is a list, beside other files", "give it alone")
        paths = each_clip(source)
        return _plain(Path("files"), Path(), paths, counted(len(paths), "file"))
    path = any_path(source)
    if is_manifest(path, wanted):
        return _of_manifest(path, split, at, classes or {})
    if isinstance(path, Url):
        raise ManifestError(f"{path} is no manifest", "list the clips in a file NAME.csv")
    if lists_clips(path):
        return _of_list(path, replace(wanted, needs_labels=False), split, at, classes)
    if wanted.roles or wanted.line or wanted.ignored:
        raise ManifestError(f"{path} is no list whose columns can be named", "leave out --columns")
    if path.is_dir():
        paths = clips_below(path)
        lists = some([each.name for each in lists_in(path)], end="")
        if not paths:
            remedy = (
                f"give one of its lists: {lists}" if lists else "give another folder, or a list"
            )
            raise ManifestError(f"{path} holds no videos", remedy)
        clips = _plain(path, path, paths, "a folder of clips")
        said = (f"did not read {lists} in it; a list is given by its name",) if lists else ()
        return replace(clips, notes=said)
    if not Folders(path.parent).has(path.name):  # also inside a pack
        raise ManifestError(f"{path} does not exist", "give a manifest, a list, a folder or video")
    return _plain(path, path.parent, [path.name], "one clip")


def is_manifest(source: str | AnyPath, wanted: WantedColumns = AS_NAMED) -> bool:
    """Whether a file is a manifest by its name and those of its columns, and no list of others.

    So is a folder that has one.
    """
    path = any_path(source)
    suffix = path.suffix.lower()
    if manifest_in(path):
        return wanted == AS_NAMED
    if suffix not in TABLES or isinstance(path, Url) or not path.is_file():
        return suffix in MANIFESTS
    if wanted != AS_NAMED:
        return False
    try:
        names = header_of(path)
    except ManifestError:  # of another encoding, or without a header
        return False
    others = [name for name in names if name not in KNOWN]
    return "path" in names and not any(time_name(n) or looks_like_time(n) for n in others)


def _of_manifest(
    path: AnyPath, split: str | None, at: Location, classes: Mapping[str, Sequence[str]]
) -> Clips:
    notes: list[str] = []
    try:
        heads = {head: tuple(names) for head, names in classes.items()}
        manifest = read_manifest(path, split=split, heads=heads, at=at)
        notes += _other_names(manifest, heads)
    except ManifestError as error:  # of the clips themselves it is raised again
        manifest = read_manifest(path, split=split, heads={}, at=at)
        notes += [] if isinstance(error, NoLabels) else [_left(error)]
    if notes:
        manifest = manifest.with_columns(dict.fromkeys(manifest.labels))
    with_labels = " with labels" if manifest.labels else ""
    form = f"a manifest{with_labels}, {counted(len(manifest), 'row')}"
    return Clips(manifest=manifest, read_as=form, columns={}, notes=tuple(notes))


def _left(error: ManifestError) -> str:
    return f"labels are left: {error.message.splitlines()[0]}"


def _other_names(manifest: Manifest, heads: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Why labels are left whose class names are not the model's."""
    return [
        f"labels are left: the classes of '{head}' are others than the model's"
        for head, names in heads.items()
        if manifest.classes[head] not in (names, unnamed(len(names)))
    ][:1]


# --- lists --------------------------------------------------------------------------------------


def _of_list(
    path: Path,
    wanted: WantedColumns,
    split: str | None,
    at: Location,
    classes: Mapping[str, Sequence[str]] | None,
) -> Clips:
    root = path.parent if at.root is None else any_path(at.root)
    if isinstance(root, Path) and not root.exists():
        raise ManifestError(f"--root {root} does not exist", "give the folder of the clips")
    if not wanted.line and (many := _many_paths(path)) is not None:
        return _plain(path, root, many, f"`path`, {counted(len(many), 'row')}")
    first = next(iter(classes.values()), ()) if classes and len(classes) == 1 else None
    lines = partial(read_clip_lines, root=root, line=wanted.line, classes=first)
    listing = _of_kinetics(path, wanted, root) or read_rows(
        path, wanted, root=root, read_lines=lines
    )
    listing = _of_split(listing, split)
    if isinstance(root, Path):
        listing = in_frames(listing, root)
    refuse_empty_spans(listing)
    meant = meant_files(listing, root)
    texts = [row.path for row in listing.rows]
    manifest = manifest_of(
        path,
        root,
        paths=[file.path or text for text, file in zip(texts, meant, strict=True)],
        ids=[row.id for row in listing.rows],
        spans=spans_of((row.start, row.end) for row in listing.rows),
        unit=listing.unit,
        num_frames=[None] * len(listing),  # what lists say is not what decodes here
        rates=np.array([np.nan if row.rate is None else row.rate for row in listing.rows]),
    )
    manifest = replace(placed(manifest, path, at), is_as_read=False)
    faults = [url_fault(manifest.paths), *stray_faults(manifest, [root] if at.is_given else [])]
    raise_faults(faults, lambda rows: [str(listing.rows[row].line) for row in rows])
    labels, said = labels_of_model(listing, classes or {})
    kept = {head: tuple((classes or {})[head]) for head in labels}
    notes = [*listing.notes, *spelling_notes(texts, meant), *said, *_repeats(listing, manifest)]
    if not listing.heads:
        notes.insert(0, "clips without labels")
    missing = [text for text, file in zip(texts, meant, strict=True) if file.path is None]
    if missing:
        without = counted(len(missing), "clip")
        notes.append(f"{without} without a file in {root}, as {clip_text(missing[0])}")
    return Clips(
        manifest=manifest.with_columns(labels, kept),
        read_as=listing.format,
        columns={role: name for role, name in listing.used.items() if name},
        notes=tuple(dict.fromkeys(notes)),
    )


def _of_kinetics(path: Path, wanted: WantedColumns, root: AnyPath) -> Listing | None:
    """The clips of a csv of Kinetics that are there by their names; None of any other list."""
    is_theirs = path.suffix.lower() in TABLES and not (
        wanted.roles or wanted.ignored or wanted.line
    )
    if not is_theirs or not path.is_file():
        return None
    try:
        names = header_of(path)
    except ManifestError:
        return None
    if not {"youtube_id", *TIMES} <= set(names):
        return None
    wanted = replace(wanted, ignored=TIMES)
    lines = partial(read_clip_lines, root=root)
    return by_clip_names(read_rows(path, wanted, root=root, read_lines=lines), root)


def _of_split(listing: Listing, split: str | None) -> Listing:
    """The rows of one split, if a column says splits; ManifestError if it has none of it."""
    name = listing.used.get("split") or next(iter(of_kind("split", [*listing.columns])), "")
    if split is None or not name:
        return listing
    cells = listing.columns[name]
    meant = {split, split_name(split) or split}
    rows = [row for row, cell in enumerate(cells) if {cell, split_name(cell)} & meant]
    if not rows:
        counts = ", ".join(f"{cell} ({count:,})" for cell, count in Counter(cells).items())
        raise ManifestError(f"{listing.source}: no rows of split {split!r}", f"it has {counts}")
    columns = {each: [of[row] for row in rows] for each, of in listing.columns.items()}
    return replace(listing, rows=[listing.rows[row] for row in rows], columns=columns)


def _repeats(listing: Listing, manifest: Manifest) -> list[str]:
    earlier = manifest.duplicates()
    if not earlier:
        return []
    row, before = next(iter(earlier.items()))
    lines = f"{listing.rows[row].line} and {listing.rows[before].line}"
    clips = counted(len(earlier), "clip")
    return [f"{clips} given again, as at {lines}: each has a row of its own"]


def _many_paths(path: Path) -> pa.ChunkedArray | None:
    """The lines of a long list of paths that can be nothing else; None of any other list."""
    try:
        data = map_file(path)
        if data.size < 2 * MANY or not is_plain(bytes(data[:4096])):
            return None
        table = pa.csv.read_csv(
            pa.BufferReader(data),
            read_options=pa.csv.ReadOptions(column_names=["path"]),
            parse_options=pa.csv.ParseOptions(delimiter="\x1f", quote_char=False),
            convert_options=pa.csv.ConvertOptions(column_types={"path": pa.large_string()}),
        )
    except (OSError, pa.ArrowInvalid):  # which is said where it is read as a list
        return None
    others = pc.any(pc.match_substring_regex(table["path"], r'[\t;, |{"<#]')).as_py()
    if others or len(table) < MANY or of_kind("path", [table["path"][0].as_py()]):
        return None
    return pa.chunked_array([table["path"].combine_chunks()])


def _plain(source: Path, root: AnyPath, paths: Values, read_as: str) -> Clips:
    try:
        manifest = Manifest.from_columns(source, root, {"path": paths}).with_feature_files()
    except UnicodeEncodeError as error:
        raise ManifestError(
            f"{source}: the name of a file is not UTF-8: {clip_text(str(error.object))}",
            "rename it",
        ) from error
    return Clips(manifest=manifest, read_as=read_as, columns={})
