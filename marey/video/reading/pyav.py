"""A video file read with PyAV, which carries its own FFmpeg.

*Counting.* A frame index is a place in the sequence that FFmpeg's decoder gives, so `len` decodes
the file once (without the loop filter, which changes pixels and not the count). Damaged packets are
passed over as FFmpeg does: what decodes, counts.

*Seeking.* To reach a frame the reader decodes on, or jumps to the last key frame before it where
that decodes fewer frames and the codec's key frames are sure to stand alone. After a jump every
frame must carry the time stamp that the timeline holds for its index; at the first that does not,
the reader starts over from frame 0 and never jumps again in this file. So a jump is a matter of
speed only.

One thread decodes: the loader's workers are the parallel part.
"""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np
from numpy.typing import NDArray

from marey.errors import DecodeError, counted
from marey.storage.url import AnyPath
from marey.video.reading.decoding import count_frames, decoded, no_frames, scan_packets
from marey.video.reading.ffmpeg_stream import OpenStream, announced_frames, open_stream
from marey.video.reading.frame_reader import FrameReader, Indices
from marey.video.reading.pixels import (
    Picture,
    ShortSide,
    Size,
    ToRGB,
    require_size,
    square_size,
)
from marey.video.reading.timeline import Timeline

WHOLE_KEYS = frozenset({"av1", "ffv1", "h264", "hevc", "mjpeg", "mpeg2video", "mpeg4", "vp9"})
"""Codecs whose key frames need nothing from before; VP8's do, its segmentation map lives on."""
JUMP_COST = 4
"""What a jump costs, in decoded frames: emptying the decoder and filling it again."""
SCAN_FROM = 32
"""How far ahead a frame must lie before the packets are scanned for key frames."""
RECOUNT = "correct num_frames; `marey data init` counts again"


class VideoFile(FrameReader):
    """A `FrameReader` over the first video stream of a file that is not a cover picture."""

    def __init__(self, path: AnyPath, *, num_frames: int | None = None) -> None:
        self.path = path
        self._promised = num_frames
        self._timeline: Timeline | None = None
        self._scanned = False
        self._to_rgb: dict[ShortSide | None, ToRGB] = {}
        self._opened: OpenStream | None = None
        opened = self._start_over()
        stream = opened.stream
        self._jumps = stream.codec.canonical_name in WHOLE_KEYS  # until a jump lands wrong
        self._declared: Size = stream.width, stream.height
        self._aspect = stream.sample_aspect_ratio
        rate = stream.average_rate or stream.guessed_rate
        self.fps = float(rate) if rate else None
        self.announced = announced_frames(opened)

    def __len__(self) -> int:
        return len(self._counted()) if self._promised is None else self._promised

    def pictures(self, indices: Indices, scale: ShortSide | None = None) -> Iterator[Picture]:
        """Pictures [h w 3], one at a time, in the order asked; see `FrameReader`."""
        for index in self.checked(indices).tolist():
            yield self._picture(index, scale)

    def checked(self, indices: Indices) -> NDArray[np.int64]:
        """Checked indices; ValueError too if the reader is closed."""
        self._check_open()
        return super().checked(indices)

    def timestamps(self) -> NDArray[np.float64]:
        """When each frame is shown, in seconds from the first: [len]."""
        return (self._from_packets() or self._counted()).seconds

    def close(self) -> None:
        """Let go of the file."""
        self._frames: Iterator[av.VideoFrame] = iter(())
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _check_open(self) -> None:
        if self._opened is None:
            raise ValueError(f"{self.path}: the reader is closed")

    def known_length(self) -> int | None:
        """The promised number of frames, or the one counted; None if there is neither."""
        if self._promised is not None or self._timeline is None:
            return self._promised
        return len(self._timeline)

    def _counted(self) -> Timeline:
        """The timeline by decoding everything, once; `DecodeError` if the promise was wrong."""
        if self._timeline is None:
            self._check_open()
            timeline = count_frames(self.path, self.fps)
            if self._promised not in (None, len(timeline)):
                raise DecodeError(
                    f"{self.path}: {len(timeline)} frames decode, {self._promised} were promised",
                    RECOUNT,
                )
            self._timeline = timeline
        return self._timeline

    def _from_packets(self) -> Timeline | None:
        """The timeline without decoding, where packets and the promised count agree."""
        if self._timeline is None and self._promised is not None and not self._scanned:
            self._check_open()
            self._timeline = scan_packets(self.path, self._promised)
            self._scanned = True
        return self._timeline

    # Moving through the file. `_next` is the index of the frame that `_frames` gives next.

    def _start_over(self) -> OpenStream:
        """Stand before frame 0, in a file opened anew: exact for every format."""
        self.close()
        self._opened = open_stream(self.path)
        self._frames = decoded(self._opened)
        self._next = 0
        self._jumped = False
        return self._opened

    def _jump(self, timeline: Timeline, key: int) -> None:
        """Stand before the key frame number `key`, or before frame 0 if the format cannot."""
        assert self._opened is not None
        self._frames = iter(())
        stamp = int(timeline.stamps[timeline.keys[key]])
        try:
            self._opened.container.seek(stamp, stream=self._opened.stream)
        except av.FFmpegError:
            self._distrust()
            return
        self._frames = decoded(self._opened)
        self._next = int(timeline.keys[key])
        self._jumped = True

    def _distrust(self) -> None:
        self._jumps = False
        self._start_over()

    def _approach(self, index: int) -> None:
        """Stand at or before `index`, as near as is worth it."""
        ahead = index - self._next
        if 0 <= ahead <= JUMP_COST:
            return
        timeline = self._timeline
        if self._jumps and timeline is None and (ahead < 0 or ahead > SCAN_FROM):
            timeline = self._from_packets()
        key = timeline.key_before(index) if self._jumps and timeline is not None else -1
        if key > 0 and timeline is not None:
            if ahead < 0 or int(timeline.keys[key]) - self._next > JUMP_COST:
                self._jump(timeline, key)
        elif ahead < 0:
            self._start_over()

    def _frame(self, index: int) -> av.VideoFrame:
        """The decoded frame number `index`."""
        self._approach(index)
        while True:
            frame = next(self._frames, None)
            if self._jumped and self._timeline is not None:
                due = int(self._timeline.stamps[self._next])
                if frame is not None and frame.pts is not None and frame.pts < due:
                    continue  # landed early, or a frame shown before the key frame
                if frame is None or frame.pts != due:
                    self._distrust()
                    continue
            if frame is None:
                raise self._ended(index)
            self._next += 1
            if self._next > index:
                return frame

    def _ended(self, index: int) -> DecodeError | ValueError:
        if self._next == 0:
            return no_frames(self.path)
        if self.known_length() is None:
            there = counted(self._next, "frame")
            return ValueError(f"{self.path}: no frame {index}, the video has {there}")
        return DecodeError(
            f"{self.path}: frame {index} of {self.known_length()} cannot be read, the video ends"
            f" after {counted(self._next, 'frame')}",
            RECOUNT,
        )

    def _picture(self, index: int, scale: ShortSide | None) -> Picture:
        frame = self._frame(index)
        if scale not in self._to_rgb:
            size = square_size(*self._first_size(frame, index), self._aspect)
            self._to_rgb[scale] = ToRGB(require_size(self.path, scale(size) if scale else size))
        try:
            return self._to_rgb[scale](frame)
        except av.FFmpegError as error:
            raise DecodeError(
                f"{self.path}: frame {index} ({frame.format.name}) has no RGB form:"
                f" {error.strerror}",
                "re-encode it as H.264, yuv420p",
            ) from error

    def _first_size(self, frame: av.VideoFrame, index: int) -> Size:
        """The stored size of frame 0: the declared one, unless `frame` casts doubt on it."""
        size = frame.width, frame.height
        if index == 0 or size == self._declared:
            return size
        with open_stream(self.path) as opened:
            first = next(decoded(opened))
            return first.width, first.height
