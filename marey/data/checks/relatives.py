"""Clips that are nearly the same: copies, and parts of one take by a camera that stands still.

Each frame is a grey picture of 16 x 16 (`marey.data.checks.prints`), less its mean and of length 1,
so that neither size, brightness nor compression counts for much, in the 64 principal components of
the set. Two clips are relatives if two frames of either have a frame of the other, as it is or
mirrored, that correlates with it by `ALIKE` or more. Frames of one grey are like none.

So clips of one camera that stands still are found. Where that joins more than a fifth of a set, as
of mouths or of one room, what all its clips have in common says nothing of any two: then components
are divided by their deviation over the set, the less so the fewer clips it has, and what is found
are copies and parts of one take.

Measured on copies of 20 clips of UT-Interaction and of 200 of mouths, on which `ALIKE` was chosen,
too: those of half the size, mirrored, brighter, darker, squashed, or the middle 60 % are all found;
of first halves 100 and 99.5 %, at crf 40 100 and 92.5 %, of what is mirrored, halved, trimmed and
at crf 35 100 and 45 %; of those that lack a tenth of width and height 10 and 0 %. Of 2,200 clips of
mouths as they are, 5 of 1,265 pairs are of two speakers.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from marey.data.manifest.manifest import Manifest
from marey.jobs.parts import Progress

ALIKE = 0.95
_LEAST_FRAMES = 2
"""Of either clip, that have one like them: a title is in many clips."""
_COMPONENTS = 64
_PRIOR = 30
"""Clips that a set must have before deviations of its own count for half."""
_LARGEST = 0.2
"""Share of the clips that may be joined before it is asked what they have in common."""
_SAMPLE = 1000
"""Clips of a large set by which that is asked first."""
_FLAT = 3.0
"""Deviation in grey levels below which a picture shows nothing."""
_BLOCK = 64
"""Clips that are compared with all others at a time."""


@dataclass(frozen=True)
class Relatives:
    """Which clips are nearly the same."""

    pairs: np.ndarray
    """Rows int64 [p 2], the first below the second, rising."""
    groups: np.ndarray
    """The first row of those that each is related to, itself if to none; int64 [n]."""
    copies: np.ndarray
    """Those pairs whose files have the same bytes, each clip with the first, int64 [c 2]."""

    @property
    def related(self) -> np.ndarray:
        """Rows that have a relative, int64."""
        return np.unique(self.pairs)


def find_relatives(
    prints: np.ndarray, copies: np.ndarray, *, progress: Progress | None = None
) -> Relatives:
    """The relatives among clips with these pictures (uint8 [n t h w]).

    Args:
        copies: rows [c 2] of the same bytes.
        progress: called with clips (done, total) that have been compared.
    """
    num_clips = len(prints)
    ways = [0.0, num_clips / (num_clips + _PRIOR)]
    some = prints[np.linspace(0, num_clips - 1, min(num_clips, _SAMPLE)).astype(int)]
    if num_clips > _SAMPLE and _is_joined(linked(_SAMPLE, np.concatenate([*_pairs(some, 0.0)]))):
        ways = ways[1:]
    for own in ways:
        found = [copies.reshape(-1, 2), *_pairs(prints, own, progress)]
        pairs = np.unique(np.concatenate(found), axis=0)
        groups = linked(num_clips, pairs)
        if not _is_joined(groups):
            break
    return Relatives(pairs, groups, copies)


def same_bytes(manifest: Manifest, rows: Sequence[int] | np.ndarray) -> np.ndarray:
    """Pairs [c 2] of places in `rows` whose whole files have the same bytes, each with its first.

    Only files of this machine are looked at, and read only where their sizes are the same.
    """
    of_size: dict[int, list[tuple[int, Path]]] = defaultdict(list)
    for place, row in enumerate(rows):
        path = manifest.path(int(row))
        if isinstance(path, Path) and path.is_file() and manifest.span(int(row)) is None:
            of_size[path.stat().st_size].append((place, path))
    first: dict[bytes, int] = {}
    pairs = []
    for same in of_size.values():
        for place, path in same if len(same) > 1 else ():
            with path.open("rb") as file:
                earlier = first.setdefault(hashlib.file_digest(file, "sha256").digest(), place)
            if earlier != place:
                pairs.append((earlier, place))
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def linked(num_rows: int, pairs: np.ndarray) -> np.ndarray:
    """The first row of those that pairs (int64 [p 2]) join, directly or by others, int64 [n].

    >>> linked(5, np.array([[1, 3], [3, 4]]))
    array([0, 1, 2, 1, 1])
    """
    first = np.arange(num_rows)
    while len(pairs):
        lower = np.minimum(*first[pairs].T)
        after = first.copy()
        for side in pairs.T:
            np.minimum.at(after, side, lower)
        after = after[after]
        if (after == first).all():
            break
        first = after
    return first


def _is_joined(groups: np.ndarray) -> bool:
    """Whether one group (int64 [n]) has more of the clips than may be."""
    return bool(np.bincount(groups).max() > _LARGEST * len(groups))


def _pairs(
    prints: np.ndarray, own: float, progress: Progress | None = None
) -> Iterator[np.ndarray]:
    """Rows int64 [p 2] that are alike, a block of clips with those after it at a time.

    own: how much the deviations of this set count, from 0 to 1.
    """
    num_clips, num_frames = prints.shape[:2]
    plain, mirrored = _described(prints, own)
    for start in range(0, num_clips, _BLOCK):
        stop = min(start + _BLOCK, num_clips)
        block = plain[start * num_frames : stop * num_frames]
        for others in (plain, mirrored):
            rest = others[start * num_frames :]
            frames, theirs = np.nonzero(block @ rest.T >= ALIKE)
            yield start + _enough(frames, theirs, num_frames, num_clips - start)
        if progress is not None:
            progress(stop, num_clips)


def _enough(frames: np.ndarray, theirs: np.ndarray, per_clip: int, num_clips: int) -> np.ndarray:
    """The clips [p 2] of frames that are alike which have several on either side."""
    pairs = frames // per_clip * num_clips + theirs // per_clip
    kept: np.ndarray | None = None
    for side in (frames, theirs):
        of_frame = np.unique(pairs * per_clip + side % per_clip) // per_clip
        names, counts = np.unique(of_frame, return_counts=True)
        enough = names[counts >= _LEAST_FRAMES]
        kept = enough if kept is None else np.intersect1d(kept, enough, assume_unique=True)
    assert kept is not None
    found = np.stack([kept // num_clips, kept % num_clips], axis=1)
    return found[found[:, 0] < found[:, 1]]


def _described(prints: np.ndarray, own: float) -> tuple[np.ndarray, np.ndarray]:
    """Each frame, and each mirrored, as float32 [n*t d] of length 1, or 0 if it shows nothing."""
    plain, mirrored = (_unit(_flat(each)) for each in (prints, prints[..., ::-1]))
    both = np.concatenate([plain, mirrored])
    mean = both.mean(axis=0) * own
    centred = both - mean
    covariance = centred.T @ centred / len(centred)
    scale = float(np.trace(covariance)) / len(covariance) or 1.0
    values, vectors = np.linalg.eigh(covariance)
    largest = np.argsort(-values)[:_COMPONENTS]
    # 3 * scale keeps the noise of small components down
    deviation = np.sqrt(values[largest].clip(0) * own + scale * (1 - own) + 3 * scale)
    basis = (vectors[:, largest] / deviation).astype(np.float32)
    shown = plain.any(axis=1, keepdims=True), mirrored.any(axis=1, keepdims=True)
    one, other = (_unit((each - mean) @ basis) for each in (plain, mirrored))
    return one * shown[0], other * shown[1]


def _flat(prints: np.ndarray) -> np.ndarray:
    """Pictures less their mean, float32 [n*t h*w]; 0 for one that shows nothing."""
    pixels = prints.reshape(-1, prints.shape[-2] * prints.shape[-1]).astype(np.float32)
    pixels -= pixels.mean(axis=1, keepdims=True)
    return np.where(pixels.std(axis=1, keepdims=True) < _FLAT, np.float32(0), pixels)


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
