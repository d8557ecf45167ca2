"""Still pictures: the bytes of an image file, read and written.

JPEG is read with libjpeg-turbo (simplejpeg), which gives the very pixels of Pillow, with which the
published loaders read; FFmpeg's JPEG decoder differs from it by up to 8 grey levels where chroma is
enlarged. What libjpeg-turbo does not read (12 bits, lossless, odd subsampling) is refused. All
other kinds are read with FFmpeg's codecs, which are exact.

JPEG is written with FFmpeg's encoder, whose scale of quantisers is that of the published tools.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
import simplejpeg
from av.codec import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import Interpolation

from marey.errors import DecodeError, counted
from marey.storage.url import AnyPath
from marey.video.reading.pixels import (
    MOST_PIXELS,
    Matrix,
    Picture,
    Size,
    ToRGB,
    require_size,
    upright,
)

JPEG, SCAN = b"\xff\xd8", b"\xff\xda"
CODECS = {
    b"\x89PNG": "png",
    b"RIFF": "webp",
    b"BM": "bmp",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
}
"""How other image files begin, and FFmpeg's decoder for each; suffixes lie more often."""
ROUNDED = Interpolation.BILINEAR | Interpolation.ACCURATE_RND
"""Without the flag FFmpeg cuts luma and chroma down: grey becomes a level darker, and pink."""
MOST_BYTES = 1 << 29
"""Of an image file: more than the largest picture has without compression."""
MOST_SCANS = 100
"""Of a progressive JPEG, in each of which all its pixels are gone over; encoders write about 10."""
PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
QUALITY = range(1, 32)
"""FFmpeg's scale of JPEG quantisers, the best first; the published tools write 1 or 2."""
MOST_PIXELS_A_BYTE = 1024
"""A byte of JPEG holds at most: 8 codes of one bit, each of a block of 8 x 8, is half of it."""
AGAIN = "extract it again"


def decode_image(data: bytes, name: str | AnyPath) -> Picture:
    """The picture in `data`, upright [h w 3], by what its first bytes say it is.

    Raises:
        DecodeError: it is no image, damaged or of a kind that is not read; names `name`.
    """
    if data.startswith(JPEG):
        return decode_jpeg(data, name)
    codec = next((codec for magic, codec in CODECS.items() if data.startswith(magic)), None)
    if codec is None:
        raise DecodeError(f"{name}: not an image ({counted(len(data), 'byte')})", AGAIN)
    if codec == "png":
        data = b"".join(_png_pixels(data))
    decoder = CodecContext.create(codec, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.thread_count = 1
    # half an image is an error, not half grey
    decoder.options = {"err_detect": "explode", "max_pixels": str(MOST_PIXELS)}
    try:
        frame = decoder.decode(Packet(data))[0]
    except (av.FFmpegError, IndexError) as error:
        raise DecodeError(f"{name}: a damaged image", AGAIN) from error
    return ToRGB(require_size(name, (frame.width, frame.height)))(frame)


def _png_pixels(data: bytes) -> Iterator[bytes]:
    """The parts of a PNG that make its pixels: a text among others may be a bomb of zeros."""
    yield data[:8]
    start = 8
    while start + 12 <= len(data):
        length = int.from_bytes(data[start : start + 4])
        end = start + 12 + length
        if data[start + 4 : start + 8] in PNG_PIXELS:
            yield data[start:end]
        start = end


def decode_jpeg(data: bytes, name: str | AnyPath) -> Picture:
    """The picture in the JPEG `data`, upright [h w 3]; DecodeError names `name`."""
    header = _read_header(data)
    if header.is_progressive and data.count(SCAN) > MOST_SCANS:
        raise DecodeError(f"{name}: over {MOST_SCANS} scans in a JPEG", AGAIN)
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data, strict=False)
        if width * height > MOST_PIXELS_A_BYTE * len(data):
            raise ValueError(f"{width} x {height} pixels cannot be in {len(data)} bytes")
        require_size(name, (width, height))
        picture: Picture = simplejpeg.decode_jpeg(data, "CMYK" if header.parts == 4 else "RGB")
    except (ValueError, KeyError) as error:  # a KeyError where there is no header
        reason = f"a damaged image, or JPEG of a kind that is not read ({error})"
        raise DecodeError(f"{name}: {reason}", AGAIN) from error
    if header.parts == 4:  # stored as Adobe's programs do, with 255 for no ink
        picture = (picture[..., :3].astype(np.uint16) * picture[..., 3:] // 255).astype(np.uint8)
    return picture if header.turn == _TURNS[0] else upright(picture, header.turn)


def encode_jpeg(picture: Picture, *, quality: int = 2) -> bytes:
    """The picture [h w 3] as a baseline JPEG file, 4:2:0; `quality` is from 1, the best, to 31."""
    if quality not in QUALITY:
        raise ValueError(f"quality is {quality}, expected 1 (best) to 31")
    encoder = CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.height, encoder.width, _ = picture.shape
    encoder.pix_fmt, encoder.time_base = "yuvj420p", Fraction(1, 25)
    encoder.thread_count = 1
    encoder.options = {name: str(quality) for name in ("qmin", "qmax")}
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    yuv = frame.reformat(format="yuvj420p", interpolation=ROUNDED, threads=1)
    (packet,) = encoder.encode(yuv)
    return bytes(packet)


def plain_jpeg_size(data: bytes) -> Size | None:
    """Width and height of a JPEG of 8-bit colour that stands upright as stored; None of others."""
    header = _read_header(data)
    is_plain = (header.bits, header.parts, header.turn) == (8, 3, _TURNS[0])
    return header.size if is_plain else None


class _Header(NamedTuple):
    """What the segments before the pixels of a JPEG say; zeros if there are none."""

    size: Size
    bits: int
    parts: int
    """Components: 1 is grey, 3 colour, 4 CMYK."""
    turn: Matrix
    is_progressive: bool


_TURNS: tuple[Matrix, ...] = (
    *((1, 0, 0, 1), (-1, 0, 0, 1), (-1, 0, 0, -1), (1, 0, 0, -1)),
    *((0, 1, 1, 0), (0, 1, -1, 0), (0, -1, -1, 0), (0, -1, 1, 0)),
)
"""Exif's orientations 1 to 8, of which the last four lie on their side."""


def _read_header(data: bytes) -> _Header:
    turn, offset = _TURNS[0], 2 if data.startswith(JPEG) else len(data)
    while offset + 10 <= len(data) and data[offset] == 0xFF:
        marker, length = data[offset + 1], int.from_bytes(data[offset + 2 : offset + 4])
        if marker == 0xE1 and data[offset + 4 : offset + 10] == b"Exif\0\0":
            turn = _exif_turn(data[offset + 10 : offset + 2 + length])
        if marker in (0xC0, 0xC1, 0xC2):  # start of frame
            bits, height, width, parts = struct.unpack(">BHHB", data[offset + 4 : offset + 10])
            return _Header((width, height), bits, parts, turn, marker == 0xC2)
        offset += 2 + length
    return _Header((0, 0), 0, 0, turn, is_progressive=True)


def _exif_turn(exif: bytes) -> Matrix:
    """The orientation among the tags of Exif data; none where they cannot be read."""
    order = ">" if exif.startswith(b"MM") else "<"
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for number in range(count):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, start + 2 + 12 * number)
            if tag == 0x0112 and 1 <= value <= len(_TURNS):
                return _TURNS[value - 1]
    except struct.error:
        pass
    return _TURNS[0]
