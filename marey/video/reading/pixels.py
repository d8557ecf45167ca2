"""Pictures as they are shown: upright, with square pixels, of one size.

Rules, in this order:

- *Square pixels.* A picture of sample aspect ratio s is widened by s (s > 1) or made taller by
  1/s (s < 1), rounded to whole pixels, so that nothing is lost. A ratio beyond 1:8 or 8:1 is a
  fault of the file and counts as 1:1.
- *One size.* Pictures of another size than the video's first (a stream may change its resolution)
  are scaled to the first one's.
- *Upright.* The display matrix of the file is applied, to the nearest quarter turn, with mirroring;
  a matrix without inverse (all zeros, as some muxers write) counts as none.
- *Colour.* FFmpeg's own conversion to 8-bit RGB: matrix and range as the stream says; depths over 8
  bits are cut to 8, HDR is not tone-mapped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias, cast

import av
import numpy as np
from av.buffer import Buffer
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from marey.errors import DecodeError

Picture: TypeAlias = NDArray[np.uint8]
"""uint8 [h w 3]"""
Size: TypeAlias = tuple[int, int]
"""Width and height in pixels."""
Matrix: TypeAlias = tuple[int, int, int, int]
"""(a, b, c, d) of x' = a x + c y, y' = b x + d y, the turn from stored to shown."""

WIDEST_PIXEL = 8
MOST_PIXELS = 1 << 27
"""Of a picture, some more than 16K video has: 384 MiB. A file of few bytes may claim more."""
LONGEST = 256
"""One side in the other."""
QUARTER_TURNS: tuple[Matrix, ...] = ((1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))
"""Turns by 0, 90, 180 and 270 degrees, counter-clockwise."""


def require_size(name: object, size: Size) -> Size:
    """`size`, which a picture of `name` may have.

    `DecodeError` for more than `MOST_PIXELS`, and for a strip: its short side, at the size that
    networks see, would make the other that much longer.
    """
    short, long = sorted(size)
    if short * long > MOST_PIXELS or long > LONGEST * max(short, 1):
        raise DecodeError(
            f"{name}: a picture of {size[0]} x {size[1]}, expected at most {MOST_PIXELS:,} pixels,"
            f" and one side at most {LONGEST} times the other",
            "is the size true? if so, scale it down once, before training",
        )
    return size


def square_size(width: int, height: int, aspect: Fraction | None) -> Size:
    """The size at which pixels of sample aspect ratio `aspect` become square.

    >>> square_size(720, 576, Fraction(16, 15)), square_size(100, 100, Fraction(1, 2))
    ((768, 576), (100, 200))
    """
    if not aspect or not Fraction(1, WIDEST_PIXEL) <= aspect <= WIDEST_PIXEL:
        return width, height
    if aspect > 1:
        return round(width * aspect), height
    return width, round(height / aspect)


@dataclass(frozen=True)
class ShortSide:
    """The size at which the shorter side has `pixels`; the other follows, rounded half up.

    Smaller pictures are enlarged only with `enlarge`. `even`: both sides even, as 4:2:0 video
    wants it.

    >>> ShortSide(256, enlarge=True)((427, 240)), ShortSide(256)((427, 240))
    ((455, 256), (427, 240))
    """

    pixels: int
    enlarge: bool = False
    even: bool = False

    def __post_init__(self) -> None:
        if self.pixels < 2:
            raise ValueError(f"pixels is {self.pixels}, expected at least 2")

    def __call__(self, size: Size) -> Size:
        """Width and height that a picture of `size` gets."""
        short = min(size)
        if short > self.pixels or (self.enlarge and short < self.pixels):
            size = _rounded(size[0] * self.pixels, short), _rounded(size[1] * self.pixels, short)
        if not self.even:
            return size
        return max(size[0] // 2, 1) * 2, max(size[1] // 2, 1) * 2


def _rounded(number: int, divisor: int) -> int:
    return (2 * number + divisor) // (2 * divisor)


class ToRGB:
    """Decoded pictures of one video -> uint8 [h w 3] arrays of one size, turned upright.

    The turn of the first picture holds for all.
    """

    def __init__(self, size: Size) -> None:
        self._size = size
        self._matrix: Matrix | None = None
        self._scaler = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> Picture:
        """The picture [h w 3]; it may share its pixels with `frame`."""
        width, height = self._size
        rgb = self._scaler.reformat(frame, width=width, height=height, format="rgb24", threads=1)
        if self._matrix is None:
            self._matrix = display_matrix(frame)
        return upright(rgb.to_ndarray().view(np.uint8), self._matrix)


def scaled(picture: Picture, size: Size) -> Picture:
    """`picture` at another width and height (bilinear); itself if it has them."""
    height, width, _ = picture.shape
    if (width, height) == size:
        return picture
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return frame.reformat(*size, threads=1).to_ndarray().view(np.uint8)


def display_matrix(frame: av.VideoFrame) -> Matrix:
    """The turn that the file asks for.

    PyAV ties a frame whose side data was looked at into a cycle, which holds its pixels until the
    garbage collector passes; so this looks at a copy of 8 x 8 pixels.
    """
    copy = VideoReformatter().reformat(
        frame, width=8, height=8, format="gray", interpolation=Interpolation.POINT, threads=1
    )
    try:
        side_data = cast(Mapping[str, Buffer], copy.side_data)  # PyAV's stub knows one key only
        matrix = bytes(side_data["DISPLAYMATRIX"])
    except KeyError:
        return QUARTER_TURNS[0]
    except ValueError:  # PyAV meets a kind of side data it has no name for: the angle is left
        return QUARTER_TURNS[round(frame.rotation / 90) % 4]
    a, b, _, c, d = np.frombuffer(matrix, dtype=np.int32)[:5].tolist()
    return a, b, c, d


def upright(picture: Picture, matrix: Matrix) -> Picture:
    """A view of `picture` [h w 3], turned and mirrored as the display matrix says."""
    a, b, c, d = matrix
    if a * d == b * c:
        return picture
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return picture[:: _sign(d), :: _sign(a)]
    return picture.swapaxes(0, 1)[:: _sign(b), :: _sign(c)]


def _sign(value: int) -> int:
    return -1 if value < 0 else 1
