"""What an open video is, whatever it is stored in: its length, its frames by index, its clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from marey.errors import counted
from marey.storage.url import AnyPath
from marey.types import Frames
from marey.video.reading.pixels import Picture, ShortSide

Indices: TypeAlias = Sequence[int] | NDArray[np.int64]


class FrameReader(ABC):
    """An open video: a file, a folder of frames, a clip of a pack, or a span of one of them.

    Readers are contexts that close themselves. Indices are 0-based and count the frames that
    decode, in the order they are shown.
    """

    path: AnyPath
    """Where the video lies."""
    fps: float | None
    """Frames a second; None where nobody knows, as of a folder of frames."""
    announced: int = 0
    """Frames that the file says it has, whatever decodes; 0 where it does not say."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of frames that decode (found by decoding, if it was not given)."""

    @abstractmethod
    def pictures(self, indices: Indices, scale: ShortSide | None = None) -> Iterator[Picture]:
        """Pictures uint8 [h w 3], one at a time, in the order asked, scaled if asked for."""

    @abstractmethod
    def timestamps(self) -> NDArray[np.float64]:
        """When each frame is shown, in seconds from the first: [len], never falling.

        Raises:
            DecodeError: the video carries no time, as a folder of frames.
        """

    def read(self, indices: Indices) -> Frames:
        """Frames uint8 [t 3 h w] in the order asked, upright, with square pixels.

        Only these frames are held in memory, and each is decoded once.

        Args:
            indices: t frames in any order, repeats allowed.

        Raises:
            ValueError: an index is outside of the video, or the reader is closed.
            DecodeError: a frame cannot be read; names the file and the reason.
        """
        wanted, slots = np.unique(self.checked(indices), return_inverse=True)
        frames = self.gather(wanted)
        in_order = np.array_equal(slots, np.arange(len(wanted)))
        return (frames if in_order else frames[slots]).contiguous()

    def gather(self, indices: NDArray[np.int64]) -> Frames:
        """As `read`, in memory channels last, as decoded: crops of it are twice as fast."""
        import torch  # here: who asks for lengths or pictures alone does not wait for it

        frames: NDArray[np.uint8] | None = None
        for slot, picture in enumerate(self.pictures(indices)):
            if frames is None:
                frames = np.empty((len(indices), *picture.shape), dtype=np.uint8)
            frames[slot] = picture
        assert frames is not None, "no pictures"
        return torch.from_numpy(frames).permute(0, 3, 1, 2)

    def checked(self, indices: Indices) -> NDArray[np.int64]:
        """`indices` as int64 [t]; ValueError if empty, not whole, or outside of the video."""
        array, length = np.asarray(indices), self.known_length()
        if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
            raise ValueError(
                f"{self.path}: frame indices are {indices!r}, expected one or more integers"
            )
        low, high = array.min(), array.max()
        if low < 0 or (length is not None and high >= length):
            known = "an unknown number of frames" if length is None else counted(length, "frame")
            raise ValueError(
                f"{self.path}: no frame {low if low < 0 else high}, the video has {known},"
                " counted from 0"
            )
        return array.astype(np.int64)

    def known_length(self) -> int | None:
        """The number of frames, where no decoding is needed to know it."""
        return len(self)

    def close(self) -> None:  # noqa: B027  # most have nothing to let go of
        """Let go of the file; closing twice is fine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
