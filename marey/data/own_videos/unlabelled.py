"""Clips without labels: what a trained model is to look at, from whatever lists it.

| source                    | what it holds                                                     |
|---------------------------|-------------------------------------------------------------------|
| NAME.csv, .parquet, .arrow| a manifest, also NAME.tsv; its labels, if it has any, are not read  |
| NAME.txt, .lst, .list     | a path a line                                                     |
| a folder                  | its videos and folders of frames, at any depth, in order          |
| anything else             | one clip                                                          |
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from marey.data.features.feature_file import SUFFIXES
from marey.data.manifest.columns import Values
from marey.data.manifest.faults import clip_text, raise_faults
from marey.data.manifest.location import BESIDE, Location
from marey.data.manifest.manifest import Manifest
from marey.data.manifest.paths import Folders, stray_faults
from marey.data.manifest.read import read_manifest
from marey.data.own_videos.folders import clips_below
from marey.errors import ManifestError
from marey.storage.arrow_files import map_file
from marey.storage.encodings import NotText, decode_text, is_plain
from marey.storage.url import AnyPath, Url, any_path

MANIFESTS = (".csv", ".tsv", ".parquet", ".pq", *SUFFIXES)
LISTS = (".txt", ".lst", ".list")


def lists_clips(source: str | AnyPath) -> bool:
    """Whether `source` is the name of a manifest or a list, and so no clip itself."""
    return any_path(source).suffix.lower() in (*MANIFESTS, *LISTS)


def read_clips(
    source: str | AnyPath,
    *,
    split: str | None = None,
    at: Location = BESIDE,
) -> Manifest:
    """The clips of a manifest, a list, a folder or one video, without labels; see the module.

    Whether the files are there is not asked: one that is missing costs that clip, when it is read.

    Args:
        split: of a manifest, the clips of one split.
        at: where the clips of a manifest or list lie, as `read_manifest` has it.

    Raises:
        ManifestError: there are no clips, or a file that lists them cannot be read.
    """
    path = any_path(source)
    if path.suffix.lower() in MANIFESTS:
        return read_manifest(path, split=split, heads={}, at=at)
    if isinstance(path, Url):
        raise ManifestError(f"{path} is no manifest", "list the clips in a file NAME.csv")
    if path.suffix.lower() in LISTS:
        return _of_list(path, at.root)
    if path.is_dir():
        paths = clips_below(path)
        if not paths:
            raise ManifestError(f"{path} holds no videos", "give another folder, or a list")
        return _manifest(path, path, paths)
    if not Folders(path.parent).has(path.name):  # also inside a pack
        raise ManifestError(f"{path} does not exist", "give a manifest, a list, a folder or video")
    return _manifest(path, path.parent, [path.name])


def _of_list(path: Path, root: str | AnyPath | None) -> Manifest:
    start = path.parent if root is None else any_path(root)
    manifest = _manifest(path, start, _read_lines(path))
    if root is not None:
        raise_faults(stray_faults(manifest, [start]), partial(_lines, path))
    return manifest


def _read_lines(path: Path) -> pa.ChunkedArray:
    """The lines that are not empty, ten million of them in seconds."""
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(_plain(path)),
            read_options=pa.csv.ReadOptions(column_names=["path"]),
            parse_options=pa.csv.ParseOptions(delimiter="\x1f", quote_char=False),
            convert_options=pa.csv.ConvertOptions(column_types={"path": pa.large_string()}),
        )
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror or error}") from error
    except NotText as error:
        raise ManifestError(f"{path} is {error}", error.remedy) from error
    except pa.ArrowInvalid as error:
        if not path.stat().st_size:
            raise ManifestError(f"{path}: the list is empty", "give one path a line") from error
        raise ManifestError(f"{path} is not a list of paths: {error}", "save as UTF-8") from error
    if not table.num_rows:
        raise ManifestError(f"{path}: the list is empty", "give one path a line")
    return pa.chunked_array([table["path"].combine_chunks()])


def _plain(path: Path) -> pa.Buffer:
    """The bytes of the list as UTF-8: its own, or those of the text that it is."""
    data = map_file(path)
    if is_plain(bytes(data[:4096])):
        return data
    text = decode_text(bytes(data)).text
    return pa.py_buffer(text.encode("utf-8", "surrogateescape"))


def _lines(path: Path, rows: Sequence[int]) -> list[str]:
    return [f"{path}: path {row + 1}" for row in rows]


def _manifest(source: Path, root: AnyPath, paths: Values) -> Manifest:
    try:
        return Manifest.from_columns(source, root, {"path": paths}).with_feature_files()
    except UnicodeEncodeError as error:
        raise ManifestError(
            f"{source}: the name of a file is not UTF-8: {clip_text(str(error.object))}",
            "rename it",
        ) from error
