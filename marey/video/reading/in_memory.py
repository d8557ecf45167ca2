"""Frames that are in memory already, read as a video."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from marey.errors import DecodeError
from marey.storage.url import any_path
from marey.types import Frames
from marey.video.reading.frame_reader import FrameReader, Indices
from marey.video.reading.pixels import Picture, ShortSide, scaled


class FramesInMemory(FrameReader):
    """A `FrameReader` over frames uint8 [t c h w]."""

    def __init__(self, frames: Frames, name: str = "the clip") -> None:
        self.path, self.fps = any_path(name), None
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def pictures(self, indices: Indices, scale: ShortSide | None = None) -> Iterator[Picture]:
        """Pictures [h w c], one at a time, in the order asked; see `FrameReader`."""
        for index in self.checked(indices).tolist():
            picture: Picture = self._frames[index].permute(1, 2, 0).cpu().numpy()
            height, width, _ = picture.shape
            yield scaled(picture, scale((width, height))) if scale else picture

    def timestamps(self) -> NDArray[np.float64]:
        """Never: an array carries no time, so this raises `DecodeError`."""
        raise DecodeError(f"{self.path}: frames in memory have no times", "give the file")
