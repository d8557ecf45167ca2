"""A video as a model of some modality reads it: frame i is the sample that begins with frame i.

    with open_samples("a.mp4", "rgbdiff") as video:
        samples = video.read([0, 8])          # uint8 [2 18 h w]: pictures 0 to 5, and 8 to 13

So all that picks, reads and cuts frames does so with samples. There are as many as begin before the
last frame that the last of them needs; a video with too few frames for one has one sample, which
repeats the last frame (`marey.modality`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from marey.errors import DecodeError
from marey.modality import STACKS, Modality
from marey.storage.url import AnyPath
from marey.video.reading.frame_reader import FrameReader, Indices
from marey.video.reading.pixels import Picture, ShortSide
from marey.video.reading.reader import Backend, Span, open_video


def open_samples(
    path: str | AnyPath,
    modality: Modality,
    *,
    backend: Backend = "pyav",
    span: Span | None = None,
    num_frames: int | None = None,
) -> FrameReader:
    """The samples of the video at `path`, open: a context that closes it.

    Args and errors as `open_video`. DecodeError too if the video shows something else, or is a
    single picture, of which there are no differences.
    """
    video = open_video(path, backend=backend, span=span, num_frames=num_frames)
    return _closed_on_error(video, modality)


def samples_of(video: FrameReader, modality: Modality) -> FrameReader:
    """The samples of an open video, which they own; DecodeError as `open_samples`."""
    if modality == "rgb":
        return video
    if len(video) == 1:
        raise DecodeError(
            f"{video.path}: a single picture, which has no motion (modality {modality})",
            "give a video",
        )
    return Stacked(video, STACKS[modality].frames)


def _closed_on_error(video: FrameReader, modality: Modality) -> FrameReader:
    try:
        return samples_of(video, modality)
    except BaseException:
        video.close()
        raise


class Stacked(FrameReader):
    """A `FrameReader` whose frame i is frames i to i + `length` - 1 of another one, which it owns.

    Their channels stand one behind the other: [h w length*c].
    """

    def __init__(self, base: FrameReader, length: int) -> None:
        self.path, self.fps = base.path, base.fps
        self._base, self._length = base, length

    def __len__(self) -> int:
        return max(1, len(self._base) - self._length + 1)

    def pictures(self, indices: Indices, scale: ShortSide | None = None) -> Iterator[Picture]:
        """Stacks [h w length*c], one at a time, in the order asked; see `FrameReader`."""
        runs = runs_of(self._base, self.checked(indices), self._length, scale)
        yield from (np.concatenate(run, axis=2) for run in runs)

    def timestamps(self) -> NDArray[np.float64]:
        """When each sample begins, in seconds from the first."""
        return self._base.timestamps()[: len(self)]

    def close(self) -> None:
        """Close the video."""
        self._base.close()


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
