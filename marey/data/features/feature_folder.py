"""Features that lie in a file a clip, as VideoLT hands them out, or in HDF5 files.

A manifest whose paths end in ``.npy`` holds such clips, each an array [t d], or [d]; so does one
whose paths lead into an HDF5 file, ``features.h5/any/name``. They are read where they lie, frame by
frame; `marey data pack` writes them into one mapped file, from which they come faster.
"""

from __future__ import annotations

import tokenize
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from marey.data.features.feature_file import (
    About,
    Features,
    Rows,
    Vectors,
    feature_schema,
    feature_writer,
)
from marey.errors import DecodeError, counted
from marey.storage.atomic import replacing
from marey.storage.faults import read_error
from marey.storage.regular import open_regular

HDF5 = (".h5", ".hdf5")


@dataclass(frozen=True, eq=False)
class FeatureFiles:
    """The features of every clip of a manifest, each found by its path."""

    root: Path
    paths: pa.ChunkedArray

    @cached_property
    def dim(self) -> int:
        """Numbers a frame has, as the first clip says."""
        with open_features(self._path(0)) as frames:
            return int(frames.shape[1])

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """What the numbers of the first clip are stored as, float32 at most."""
        with open_features(self._path(0)) as frames:
            return np.dtype(np.float16 if frames.dtype == np.float16 else np.float32)

    @property
    def about(self) -> About:
        """Nothing: such files do not say what made them."""
        return {}

    def num_frames(self, row: int) -> int:
        """Frames of a clip; DecodeError if it cannot be read."""
        with open_features(self._path(row)) as frames:
            return len(frames)

    def read(self, row: int, indices: Rows) -> Vectors:
        """The frames asked for, float32 [*indices d]."""
        path = self._path(row)
        with open_features(path) as frames:
            if frames.shape[1] != self.dim:
                raise DecodeError(
                    f"{path} has {counted(frames.shape[1], 'feature')} a frame, "
                    f"the first clip has {self.dim}"
                )
            rising, inverse = np.unique(indices, return_inverse=True)  # as HDF5 wants them
            vectors = np.asarray(frames[rising], dtype=np.float32)
        return vectors[inverse.reshape(indices.shape)]

    def take(self, rows: Rows) -> FeatureFiles:
        """The features of these rows, in that order."""
        return replace(self, paths=self.paths.take(pa.array(rows)))

    def _path(self, row: int) -> Path:
        return self.root / str(self.paths[row])


def holds_features(path: str) -> bool:
    """Whether a path of a manifest leads to features."""
    return path.endswith(".npy") or container(Path(path)) is not None


def container(path: Path) -> Path | None:
    """The HDF5 file that `path` leads into, if it does."""
    return next((folder for folder in path.parents if folder.suffix.lower() in HDF5), None)


@contextmanager
def open_features(path: Path) -> Iterator[Any]:
    """The features [t d] of one clip, still on the disk; DecodeError if there are none."""
    whole = container(path)
    hdf5 = None if whole is None else _hdf5()
    try:
        open_regular(whole or path).close()  # a named pipe would wait for ever
        if hdf5 is None or whole is None:
            yield _as_frames(path, np.load(path, mmap_mode="r", allow_pickle=False))
        else:
            with hdf5.File(whole) as file:
                yield _as_frames(path, _dataset(file, path.relative_to(whole).as_posix()))
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno:  # HDF5 has none where the file is damaged
            raise read_error(whole or path, error) from error
        raise DecodeError(f"{path}: {error}") from error


_DAMAGE = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, RuntimeError, OverflowError),
    *(SyntaxError, MemoryError, RecursionError, tokenize.TokenError),
)
"""What NumPy, whose headers are Python's text, and h5py raise of damaged files."""


def names_in(path: Path) -> list[str] | None:
    """The names that stand in an HDF5 file, or in a group of it; None if `path` leads into none."""
    whole = container(path / "any")
    if whole is None or not whole.is_file():
        return None
    group = path.relative_to(whole).as_posix()
    try:
        with _hdf5().File(whole) as file:
            if group == ".":
                return list(file)
            return list(file[group]) if group in file else []
    except _DAMAGE as error:
        raise DecodeError(f"{path}: {error}") from error


def _dataset(file: Any, name: str) -> Any:
    """What stands under `name` in an HDF5 file itself; ValueError for what lies in other files."""
    link = _hdf5().ExternalLink
    parts = name.split("/")
    above = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    if any(isinstance(file.get(part, getlink=True), link) for part in above):
        raise ValueError("a link into another file, which is not followed")
    found = file[name]
    if not hasattr(found, "shape"):
        raise ValueError("a group, no features")
    if found.is_virtual or found.external:
        raise ValueError("its numbers lie in another file, which is not opened")
    return found


def _as_frames(path: Path, array: Any) -> npt.NDArray[Any]:
    """[t d], also of one vector; DecodeError for another shape or for what are no numbers."""
    if array.ndim not in (1, 2) or array.dtype.kind != "f" or 0 in array.shape:
        raise DecodeError(f"{path} is {array.dtype} {list(array.shape)}, expected floats [t d]")
    frames: npt.NDArray[Any] = array if array.ndim == 2 else np.asarray(array)[None]
    return frames


def _hdf5() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise DecodeError("HDF5 files need h5py", "pip install 'marey[hdf5]'") from error
    return h5py


ROWS = 256
"""Clips that are in memory at a time."""


def pack_features(
    table: pa.Table,
    features: Features,
    classes: Mapping[str, tuple[str, ...]],
    out: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the rows of `table`, a manifest's, each with its features, in their precision.

    Rows that cannot be read stay in the file, without features and with the reason.
    """
    schema = feature_schema(
        table.schema,
        dim=features.dim,
        dtype=features.dtype,
        classes=classes,
        about=features.about,
    )
    with replacing(out) as file, feature_writer(file, schema) as writer:
        for start in range(0, len(table), ROWS):
            rows = range(start, min(start + ROWS, len(table)))
            vectors, errors = zip(*(_read(features, row) for row in rows), strict=True)
            writer.write(table.slice(start, len(rows)), list(vectors), list(errors))
            if progress is not None:
                progress(rows.stop, len(table))


def _read(features: Features, row: int) -> tuple[np.ndarray, str | None]:
    try:
        return features.read(row, np.arange(features.num_frames(row))), None
    except DecodeError as error:
        return np.zeros((0, features.dim), np.float32), str(error)
