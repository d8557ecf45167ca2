"""A video of the frames that were looked at, with what was said of them burnt in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer

from marey.engine.environment import installed
from marey.errors import RunError
from marey.storage.atomic import make_folder, refuse_existing, run_error, writing
from marey.terminal import visible
from marey.video.reading.pixels import Picture, scaled

SUFFIXES = (".mp4", ".mkv")
LINES_A_PICTURE = 18
"""How many lines of a caption would fill a picture."""
SMALLEST_LETTERS = 9
"""Pixels that a line is high at least."""
TICK = Fraction(1, 1000)
BREAK_TICKS = 40
"""Between frames where the stream begins anew, so that the video goes on."""


class CaptionedVideo:
    """Writes a video frame by frame; what there is can be played if it is never closed.

    The file begins with the first frame, so that a source without one leaves none. Its size is that
    of the first picture, to which others are scaled. Each frame is shown at its own time.

    Raises:
        RunError: Pillow, which draws the letters, is not installed; the file is there already
            (unless `overwrite`), or cannot be written; its name says no format that is written
            here.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        if not installed("pillow"):
            raise RunError(f"{path} cannot be written: no pillow: pip install 'marey[deploy]'")
        if path.suffix.lower() not in SUFFIXES:
            raise RunError(f"{path}: a video of captions is a {' or a '.join(SUFFIXES)}")
        refuse_existing(path, overwrite=overwrite)
        self._path, self._overwrite = path, overwrite
        self._container: OutputContainer | None = None
        self._stream: Any = None
        self._begun, self._last = 0, -1

    def add(self, picture: Picture, seconds: float, lines: Sequence[str]) -> None:
        """The next frame [h w 3] at `seconds`, with `lines` at its lower edge."""
        with _writing(self._path):
            self._add(picture, seconds, lines)

    def _add(self, picture: Picture, seconds: float, lines: Sequence[str]) -> None:
        if self._container is None:
            self._container = self._open(picture)
        fitted = scaled(picture, (self._stream.width, self._stream.height))
        frame = av.VideoFrame.from_ndarray(captioned(fitted, lines), format="rgb24")
        tick = round(seconds / TICK) - self._begun
        if self._last >= 0 and tick < self._last - BREAK_TICKS:  # time jumped back
            self._begun += tick - self._last - BREAK_TICKS
            tick = self._last + BREAK_TICKS
        self._last = frame.pts = max(tick, self._last + 1)
        frame.time_base = TICK
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what the encoder still holds, if there is anything."""
        if self._container is not None:
            with _writing(self._path), self._container as container:
                container.mux(self._stream.encode())

    def _open(self, picture: Picture) -> OutputContainer:
        make_folder(self._path.parent, run_error)
        refuse_existing(self._path, overwrite=self._overwrite)  # FFmpeg writes over what came since
        # fragments, which are whole as they are written: a stream may be ended by anything
        is_mp4 = self._path.suffix.lower() == ".mp4"
        fragments = {"movflags": "frag_keyframe+empty_moov"} if is_mp4 else {}
        container = av.open(str(self._path), "w", options=fragments)
        height, width, _ = picture.shape
        options = {"preset": "veryfast", "crf": "21", "bf": "0"}  # else all would be shown later
        self._stream = container.add_stream("libx264", rate=30, options=options)
        self._stream.width, self._stream.height = max(2, width // 2 * 2), max(2, height // 2 * 2)
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = TICK
        return container


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """What FFmpeg or the disk says of a file that is written becomes a RunError."""
    with writing(path, run_error):
        try:
            yield
        except av.FFmpegError as error:
            raise OSError(error.errno, error.strerror) from error


def captioned(picture: Picture, lines: Sequence[str]) -> Picture:
    """The picture [h w 3] with lines of white letters on a dark band at its lower edge."""
    from PIL import Image, ImageDraw, ImageFont

    height, width, _ = picture.shape
    size = max(SMALLEST_LETTERS, height // LINES_A_PICTURE)
    image = Image.fromarray(np.ascontiguousarray(picture))
    draw = ImageDraw.Draw(image, "RGBA")
    top = height - round(size * (1.3 * len(lines) + 0.3))
    draw.rectangle((0, top, width, height), fill=(0, 0, 0, 170))
    font = ImageFont.load_default(size)
    for number, line in enumerate(lines):
        place = (size // 2, top + round(size * (1.3 * number + 0.2)))
        draw.text(place, visible(line), font=font, fill=(255, 255, 255, 255))
    return np.asarray(image)
