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
from marey.video.reading.flow import (
    ONE_PICTURE,
    PUBLISHED,
    ComputedFlow,
    FlowSettings,
    holds_flow,
    open_flow,
)
from marey.video.reading.frame_reader import FrameReader, Indices
from marey.video.reading.pixels import Picture, ShortSide
from marey.video.reading.reader import Backend, Span, open_video
from marey.video.reading.runs import runs_of


def open_samples(
    path: str | AnyPath,
    modality: Modality,
    *,
    backend: Backend = "pyav",
    span: Span | None = None,
    num_frames: int | None = None,
    settings: FlowSettings = PUBLISHED,
) -> FrameReader:
    """The samples of the video at `path`, open: a context that closes it.

    Args and errors as `open_video` and `open_flow`. DecodeError too if the video shows something
    else, or is a single picture, which has no motion.
    """
    if modality == "flow":
        flow = open_flow(path, backend=backend, span=span, num_frames=num_frames, settings=settings)
        return Stacked(flow, STACKS[modality].frames)
    video = open_video(path, backend=backend, span=span, num_frames=num_frames)
    try:
        if holds_flow(video):
            raise DecodeError(
                f"{path}: optical flow, not pictures (modality {modality})",
                "give the videos, or a model of modality flow",
            )
        return samples_of(video, modality)
    except BaseException:
        video.close()
        raise


def samples_of(
    video: FrameReader, modality: Modality, settings: FlowSettings = PUBLISHED
) -> FrameReader:
    """The samples of an open video of pictures, which they own; errors as `open_samples`."""
    if modality == "rgb":
        return video
    if modality == "flow":
        video = ComputedFlow(video, settings)
    elif len(video) == 1:
        raise DecodeError(f"{video.path}: {ONE_PICTURE}", "give a video")
    return Stacked(video, STACKS[modality].frames)


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
