"""Frames that follow each other, from each of several starts, each frame read once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from marey.video.reading.frame_reader import FrameReader
from marey.video.reading.pixels import Picture, ShortSide


def runs_of(
    video: FrameReader, starts: NDArray[np.int64], length: int, scale: ShortSide | None = None
) -> Iterator[list[Picture]]:
    """From each of `starts` the `length` pictures that follow each other, the last one repeated.

    Each picture is read once; of starts that rise, no more than are needed are in memory.
    """
    frames = (starts[:, None] + np.arange(length)).clip(max=len(video) - 1)
    wanted = np.unique(frames)
    still = np.minimum.accumulate(frames[::-1, 0])[::-1]  # by this run and those after it
    pictures = zip(wanted.tolist(), video.pictures(wanted, scale), strict=True)
    held: dict[int, Picture] = {}
    for run, first in zip(frames, still.tolist(), strict=True):
        held = {index: picture for index, picture in held.items() if index >= first}
        last = int(run.max())
        while last not in held and (following := next(pictures, None)) is not None:
            held[following[0]] = following[1]
        yield [held[index] for index in run.tolist()]
