"""Rows of a list become a manifest: for `marey data init` and `marey data prepare`, here alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from marey.data.manifest.columns import BOUNDS, ID, Unit, Values
from marey.data.manifest.manifest import Manifest
from marey.errors import counted
from marey.storage.url import AnyPath


def manifest_of(
    source: Path,
    root: AnyPath,
    *,
    paths: Sequence[str],
    ids: Sequence[str],
    spans: np.ndarray,
    unit: Unit,
    num_frames: Sequence[int | None],
    rates: np.ndarray,
) -> Manifest:
    """A manifest without labels; a column of which no row knows anything is left out.

    Args:
        source: what the rows are of, for messages.
        paths: where each clip lies, from `root`.
        ids: what the list calls each clip, "" where it has no name for it.
        spans: start and end, float64 [n, 2] in `unit`, NaN where open; see `spans_of`.
        num_frames: of the whole file, as the list says.
        rates: frames a second of folders of frames, float64 [n], NaN for others.
    """
    columns: dict[str, Values | None] = {
        "path": paths,
        ID: ids if any(ids) else None,
        "num_frames": [count or None for count in num_frames] if any(num_frames) else None,
        "fps": None if np.isnan(rates).all() else rates,
    }
    if not np.isnan(spans).all():
        columns |= dict(zip(BOUNDS[unit], spans.T, strict=True))
    return Manifest.from_columns(source, root, columns)


def spans_of(bounds: Iterable[tuple[float | None, float | None]]) -> np.ndarray:
    """The start and end of every row, float64 [n, 2], NaN for None, which is open."""
    spans = [[np.nan if x is None else x for x in span] for span in bounds]
    return np.array(spans, np.float64).reshape(-1, 2)


def label_column(labels: Sequence[int | tuple[int, ...]], num_classes: int) -> np.ndarray:
    """Class indices int64 [n], or bool [n k] where clips may have several.

    >>> label_column([(0, 2), (1,)], 3).tolist()
    [[True, False, True], [False, True, False]]
    """
    if all(isinstance(label, int) for label in labels):
        return np.array(labels, np.int64)
    hot = np.zeros((len(labels), num_classes), bool)
    for row, label in enumerate(labels):
        hot[row, label] = True
    return hot


def count_notes(claimed: Sequence[int | None], decoded: Sequence[int | None]) -> list[str]:
    """What a person should know of the frames of clips, as a list says and as they decode.

    >>> count_notes([12, 7, None], [12, 8, 9])
    ['1 clip of another number of frames than annotated; the manifest has the number that decodes']
    >>> count_notes([12, None], [])
    ['frames of 1 clip are as the list says, not counted']
    """
    if not decoded:
        known = sum(count is not None for count in claimed)
        clips = counted(known, "clip")
        return [f"frames of {clips} are as the list says, not counted"] if known else []
    pairs = zip(claimed, decoded, strict=True)
    other = sum(count not in (None, in_file) for count, in_file in pairs if in_file)
    words = "of another number of frames than annotated; the manifest has the number that decodes"
    return [f"{counted(other, 'clip')} {words}"] if other else []
