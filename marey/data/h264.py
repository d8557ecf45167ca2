"""Pictures to an H.264 file in an mp4, by one thread, so that the bytes are the same anywhere.

Loads neither torch nor Arrow, so that processes that only render start at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

REPRODUCIBLE = {"x264-params": "cpu-independent=1"}
"""x264 plans quality over macroblocks by the instructions of the machine, with which some encodings
of the same narrow pictures had other bytes (9 of 192 at 76 x 64); in plain C none of 480 had."""


def write_h264(
    path: Path,
    pictures: Iterable[NDArray[np.uint8]],
    ticks: Iterable[int],
    *,
    time_base: Fraction,
    rate: Fraction,
    options: Mapping[str, str],
    movflags: str = "",
) -> tuple[int, int]:
    """Write pictures uint8 [h w 3] of one even size; returns their width and height.

    Args:
        ticks: when each is shown, in units of `time_base` seconds, rising.
        rate: the frames a second that the file declares.
        options: of the encoder libx264, as `ffmpeg -h encoder=libx264` lists them.
        movflags: of the mp4; ``+faststart`` puts its index in front.
    """
    pictures = iter(pictures)
    first = next(pictures)
    height, width, _ = first.shape
    container = {"movflags": movflags} if movflags else {}
    with av.open(f"file:{path}", "w", format="mp4", options=container) as mp4:
        stream = mp4.add_stream("libx264", rate=rate, options=REPRODUCIBLE | dict(options))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = time_base
        stream.codec_context.thread_count = 1
        for tick, picture in zip(ticks, chain([first], pictures), strict=True):
            rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            # by several threads, as the encoder would do it, one file in some hundred differs
            frame = rgb.reformat(format="yuv420p", threads=1)
            frame.pts, frame.time_base = int(tick), time_base
            mp4.mux(stream.encode(frame))
        mp4.mux(stream.encode())
    return width, height
