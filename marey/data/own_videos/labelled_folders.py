"""Folders of clips with a file that says their labels: of Hugging Face, or of a labelling tool.

| folder                            | is                                                         |
|-----------------------------------|------------------------------------------------------------|
| `metadata.csv`, `.jsonl`, `.parquet` with `file_name`, at the top or in folders | Hugging Face |
| exports of one tool               | all of them together                                       |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet

from marey.data.lists.exports.json_text import json_lines
from marey.data.lists.exports.tools import TOOLS, read_export, tool_of
from marey.data.lists.listing import Listing, join_listings
from marey.data.lists.object_table import object_table
from marey.data.lists.rejects import FatalFaults, Faults, SourceLine
from marey.data.lists.tables import read_table
from marey.data.lists.text_file import TextFile, read_text
from marey.data.lists.wanted_columns import WantedColumns
from marey.data.manifest.header import NoLabels
from marey.data.own_videos.layout import split_in
from marey.data.own_videos.splits import split_name
from marey.errors import ManifestError, counted

_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_FILE_NAME = "file_name"
_SUFFIXES = {suffix for tool in TOOLS for suffix in tool.suffixes}
Objects: TypeAlias = list[tuple[SourceLine, Mapping[str, object]]]


def read_labelled_folder(
    folder: Path, wanted: WantedColumns, *, root: Path | None = None
) -> tuple[Listing, list[str]] | None:
    """The clips of a folder as a file in it lists them, and notes; None if there is no such file.

    Args:
        wanted: what a person says of the columns.
        root: where the paths of exports start (default: the folder).
    """
    metadata = [path for path in _metadata_files(folder) if _FILE_NAME in _names(path)]
    if metadata:
        return _hugging_face(folder, metadata, wanted)
    exports = [path for path in sorted(folder.iterdir()) if _is_export(path)]
    return _exports(folder, exports, wanted, root or folder) if exports else None


# --- Hugging Face -------------------------------------------------------------------------------


def _metadata_files(folder: Path) -> list[Path]:
    """Those at the top, or in folders of it, or in folders of those."""
    for pattern in ("", "*/", "*/*/"):
        files = [path for name in _METADATA for path in folder.glob(f"{pattern}{name}")]
        if files:
            return sorted(path for path in files if path.is_file())
    return []


def _hugging_face(
    folder: Path, files: list[Path], wanted: WantedColumns
) -> tuple[Listing, list[str]]:
    wanted = replace(wanted, roles={"path": _FILE_NAME, **wanted.roles})
    notes: list[str] = []
    parts: dict[str, Listing] = {}
    splits = {path: split_in(path.parent.name) if path.parent != folder else "" for path in files}
    if len({*splits.values()}) < len(files) or None in splits.values():
        names = ", ".join(str(path.relative_to(folder)) for path in files)
        raise ManifestError(
            f"{folder}: which split is whose is not said: {names}",
            "put one file of metadata at the top, or into each of train, validation and test",
        )
    for path, split in splits.items():
        try:
            listing = read_table(_table(path), ",", wanted)
        except NoLabels:
            if split != "test":
                raise
            notes.append(f"{path} has no labels and is left: `marey predict` takes its folder")
            continue
        start = path.parent.relative_to(folder)
        rows = [row._replace(path=(start / row.path).as_posix()) for row in listing.rows]
        shown = f"Hugging Face's {path.relative_to(folder)}, {counted(len(rows), 'row')}"
        parts[split or ""] = replace(listing, rows=rows, format=shown)
    if "" not in parts:
        form = "; ".join(part.format for part in parts.values())
        return replace(join_listings(folder, parts), format=form), notes
    return _split_by_folders(parts[""]), notes


def _split_by_folders(listing: Listing) -> Listing:
    """The listing with the splits that the first folders of all paths name, if they do."""
    splits = [split_name(row.path.partition("/")[0]) or "" for row in listing.rows]
    if "split" in listing.columns or not all(splits):
        return listing
    return replace(listing, columns=listing.columns | {"split": splits})


def _names(path: Path) -> list[str]:
    """The names of the columns of a file of metadata."""
    _, names = next(_table(path, Faults()).records(), (None, list[str]()))
    return [name.strip() for name in names]


def _table(path: Path, faults: Faults | None = None) -> TextFile:
    """A file of metadata as a table."""
    faults = FatalFaults() if faults is None else faults
    if path.suffix == ".parquet":
        file = TextFile(path, "", "", faults)
        return object_table(file, _parquet(path))
    file = read_text(path, faults)
    return object_table(file, list(json_lines(file))) if path.suffix == ".jsonl" else file


def _parquet(path: Path) -> Objects:
    """The rows, with the names of classes where their numbers are named in the file."""
    try:
        table = pa.parquet.read_table(path)
        rows = table.to_pylist()
        known = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    except (OSError, pa.ArrowException, ValueError, RecursionError) as error:
        raise ManifestError(
            f"{path}: not Parquet that can be read: {error}",
            "download it again; while it is fetched by Git LFS, a placeholder stands in its place",
        ) from error
    for name, names in _class_names(known).items():
        for row in rows:
            number = row.get(name)
            if isinstance(number, int) and 0 <= number < len(names):
                row[name] = names[number]
    return [(SourceLine(path), row) for row in rows]


def _class_names(known: object) -> dict[str, list[str]]:
    """Column -> its class names, as `datasets` writes them into the schema."""
    info = known.get("info") if isinstance(known, dict) else None
    features = info.get("features") if isinstance(info, dict) else None
    found = {}
    for name, feature in features.items() if isinstance(features, dict) else ():
        if isinstance(feature, dict) and isinstance(feature.get("names"), list):
            found[str(name)] = [str(each) for each in feature["names"]]
    return found


# --- labelling tools ----------------------------------------------------------------------------


def _is_export(path: Path) -> bool:
    if path.suffix.lower() not in _SUFFIXES or path.name.startswith(".") or not path.is_file():
        return False
    try:
        return tool_of(read_text(path, Faults())) is not None
    except ManifestError:
        return False


def _exports(
    folder: Path, paths: list[Path], wanted: WantedColumns, root: Path
) -> tuple[Listing, list[str]]:
    tools = {path: tool_of(read_text(path, Faults())) for path in paths}
    names = sorted({tool.name for tool in tools.values() if tool})
    if len(names) > 1:
        raise ManifestError(
            f"{folder} holds exports of {' and '.join(names)}", "name the file to read"
        )
    shown = ", ".join(path.name for path in paths[:3]) + ", ..." * (len(paths) > 3)
    note = f"read {shown} in {folder}, not its folders"
    listings: dict[str, Listing] = {}
    for path in paths:
        listing = read_export(read_text(path, FatalFaults()), wanted, root=root)
        assert listing is not None
        listings[path.name] = listing
    if len(paths) == 1:
        return listings[paths[0].name], [note]
    splits = [split_in(path.stem) for path in paths]
    if None not in splits and len({*splits}) == len(splits):
        parts = {
            split or "": listings[path.name] for split, path in zip(splits, paths, strict=True)
        }
        return join_listings(folder, parts), [note]
    whole = join_listings(folder, listings)
    columns = {name: cells for name, cells in whole.columns.items() if name != "split"}
    form = f"{counted(len(paths), 'export')} of {names[0]}, {counted(len(whole), 'row')}"
    shared = set.intersection(*({*listing.used.items()} for listing in listings.values()))
    return replace(whole, format=form, columns=columns, used=dict(sorted(shared))), [note]
