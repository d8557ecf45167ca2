"""A video file read with TorchCodec, an extra (`pip install torchcodec`, and the system's FFmpeg).

TorchCodec's indices count packets; ours count what decodes. So the count is taken with PyAV where
it was not given, and a file where the two differ is refused: the same indices give the same frames
in both backends, or an error. TorchCodec leaves pixels as wide as they are stored; here they become
square by the rule of `marey.video.reading.pixels`, by bilinear interpolation.

What still differs, as of 0.13: full-range VP9 and AV1 come out with too much contrast, and it seeks
in VP8, whose key frames need not stand alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from marey.errors import DecodeError, counted
from marey.types import Frames
from marey.video.reading.decoding import count_frames, scan_packets
from marey.video.reading.ffmpeg_stream import open_stream
from marey.video.reading.frame_reader import FrameReader, Indices
from marey.video.reading.pixels import Picture, ShortSide, square_size

if TYPE_CHECKING:
    from torchcodec.decoders import VideoDecoder


class TorchCodecFile(FrameReader):
    """A `FrameReader` over the same stream that `VideoFile` reads."""

    def __init__(self, path: Path, *, num_frames: int | None = None) -> None:
        self.path = path
        with open_stream(path) as opened:
            stream = opened.stream
            index = stream.index
            self._stored = stream.width, stream.height
            self._aspect = stream.sample_aspect_ratio
            rate = stream.average_rate or stream.guessed_rate
        self.fps = float(rate) if rate else None
        self._num_frames = num_frames
        self._decoder: VideoDecoder | None = self._open(index)

    def __len__(self) -> int:
        if self._num_frames is None:
            self._num_frames = len(count_frames(self.path, self.fps))
        return self._num_frames

    def gather(self, indices: NDArray[np.int64]) -> Frames:
        """Frames uint8 [t 3 h w], all decoded in one call."""
        try:
            frames = self._agreeing().get_frames_at(indices.tolist()).data
        except RuntimeError as error:
            raise DecodeError(f"{self.path}: {_reason(error)}", "try backend 'pyav'") from error
        return self._squared(frames)

    def pictures(self, indices: Indices, scale: ShortSide | None = None) -> Iterator[Picture]:
        """Pictures [h w 3] in the order asked; this backend holds all of them, and scales none."""
        if scale is not None:
            raise ValueError("backend 'torchcodec' does not scale; use 'pyav'")
        yield from self.read(indices).permute(0, 2, 3, 1).numpy()

    def timestamps(self) -> NDArray[np.float64]:
        """When each frame is shown, in seconds from the first: [len]."""
        self._agreeing()
        timeline = scan_packets(self.path, len(self)) or count_frames(self.path, self.fps)
        return timeline.seconds

    def close(self) -> None:
        """Let go of the file."""
        self._decoder = None

    def _open(self, stream_index: int) -> VideoDecoder:
        decoder = _decoder()
        try:
            return decoder(self.path, stream_index=stream_index, num_ffmpeg_threads=1)
        except RuntimeError as error:
            raise DecodeError(f"{self.path}: {_reason(error)}", "try backend 'pyav'") from error

    def _agreeing(self) -> VideoDecoder:
        """The open decoder, whose frame count is ours."""
        if self._decoder is None:
            raise ValueError(f"{self.path}: the reader is closed")
        if len(self._decoder) != len(self):
            raise DecodeError(
                f"{self.path}: TorchCodec counts {counted(len(self._decoder), 'frame')}, "
                f"{len(self)} decode",
                "its indices would name other frames: use backend 'pyav' for this file",
            )
        return self._decoder

    def _squared(self, frames: Tensor) -> Tensor:
        """`frames` [t 3 h w], already upright, with square pixels."""
        size = square_size(*self._stored, self._aspect)
        if size == self._stored:
            return frames
        turned = frames.shape[-2:] == self._stored and self._stored[0] != self._stored[1]
        height, width = size if turned else size[::-1]
        scaled = interpolate(frames.float(), (height, width), mode="bilinear", antialias=True)
        return scaled.round_().clamp_(0, 255).to(torch.uint8)


def _decoder() -> type[VideoDecoder]:
    """TorchCodec's decoder, imported when a file is opened; ValueError if that is not possible."""
    try:
        from torchcodec.decoders import VideoDecoder
    except ImportError as error:
        raise ValueError(
            "backend 'torchcodec' is not installed; `pip install marey[torchcodec]`, or use 'pyav'"
        ) from error
    except RuntimeError as error:  # installed, but there is no FFmpeg that it can load
        raise ValueError(
            "backend 'torchcodec' cannot load FFmpeg's libraries; install FFmpeg 4 to 8 with the"
            " system's package manager and a torchcodec made for this torch, or use 'pyav'"
        ) from error
    found: type[VideoDecoder] = VideoDecoder
    return found


def _reason(error: RuntimeError) -> str:
    """TorchCodec's message without the place in its own source."""
    return re.sub(r"^\w+, \S+:\d+, ", "", str(error).strip())
