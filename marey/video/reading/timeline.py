"""Which frame is shown when, and from which key frames a decoder can start.

A frame index means: the i-th frame that FFmpeg's decoder gives, in the order shown. Packets map to
frames one to one in a sound file only, so a timeline comes from decoding everything, or from the
packets alone when their number equals a frame count that is known already.

The clock is the frames' presentation time; where that runs backwards (AVI, chained Ogg) their
decoding time; where that does too, index / fps. Only the first kind can be used to seek.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

RAW_STREAM_FPS = 25.0
"""FFmpeg's own assumption for streams that carry no time at all."""

Stamp = int | None


@dataclass(frozen=True)
class Timeline:
    """All frames of a video in the order shown.

    `stamps` int64 [n]: presentation times in the stream's unit; empty when they cannot be trusted.
    `seconds` float64 [n]: from 0, never falling. `keys` [k]: indices of the frames one can start
    from, rising.
    """

    stamps: NDArray[np.int64]
    seconds: NDArray[np.float64]
    keys: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.seconds)

    def key_before(self, index: int) -> int:
        """The position in `keys` of the last key frame at or before `index`, or -1."""
        return int(np.searchsorted(self.keys, index, side="right")) - 1


def timeline_of_frames(
    shown: Sequence[Stamp],
    decoded: Sequence[Stamp],
    keys: Sequence[int],
    *,
    unit: Fraction,
    fps: float | None,
) -> Timeline:
    """The timeline of decoded frames: their `shown` (pts) and `decoded` (dts) stamps.

    `keys` holds the presentation stamp of every key packet.
    """
    for stamps in (shown, decoded):
        clock = _rising(stamps)
        if clock is not None:
            seconds = (clock - clock[0]).astype(np.float64) * float(unit)
            break
    else:
        seconds = np.arange(len(shown)) / (fps or RAW_STREAM_FPS)
    trusted = _rising(shown)
    if trusted is None or (np.diff(trusted) == 0).any():
        none = np.empty(0, dtype=np.int64)
        return Timeline(none, seconds, none)
    return Timeline(trusted, seconds, _key_positions(trusted, keys))


def timeline_of_packets(
    shown: Sequence[Stamp],
    keys: Sequence[int],
    *,
    unit: Fraction,
    num_frames: int,
) -> Timeline | None:
    """The timeline by packets alone, or None where they do not stand for `num_frames` frames."""
    if len(shown) != num_frames or None in shown:
        return None
    stamps = np.sort(np.array(shown, dtype=np.int64))
    if (np.diff(stamps) == 0).any():
        return None
    seconds = (stamps - stamps[0]).astype(np.float64) * float(unit)
    return Timeline(stamps, seconds, _key_positions(stamps, keys))


def _rising(stamps: Sequence[Stamp]) -> NDArray[np.int64] | None:
    if None in stamps:
        return None
    array = np.array(stamps, dtype=np.int64)
    return array if (np.diff(array) >= 0).all() else None


def _key_positions(stamps: NDArray[np.int64], keys: Sequence[int]) -> NDArray[np.int64]:
    """The rising indices of the key packets that became a frame."""
    return np.flatnonzero(np.isin(stamps, np.array(keys, dtype=np.int64)))
