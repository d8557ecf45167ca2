"""Still pictures: the bytes of an image file, read and written.

JPEG is read with libjpeg-turbo where the extra `jpeg` (simplejpeg) is installed, which gives the
very pixels of Pillow, with which the published loaders read; else, as all other kinds, with
FFmpeg's codecs. Those are as exact; where chroma is enlarged their colour differs by some grey
levels (6 at most, 0.6 on average, on frames of real video). `jpeg_decoder` says which it is, and
runs note it. What is written is always FFmpeg's, from pictures that FFmpeg read.
"""

from __future__ import annotations

import struct
from fractions import Fraction

import av
import numpy as np
from av.codec import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

from marey.errors import DecodeError
from marey.storage.url import AnyPath
from marey.video.reading.pixels import ShortSide, Size, ToRGB

try:
    import simplejpeg
except ImportError:  # an extra
    simplejpeg = None

MAGIC = {
    b"\xff\xd8": "mjpeg",
    b"\x89PNG": "png",
    b"RIFF": "webp",
    b"BM": "bmp",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
}
"""How image files begin, and FFmpeg's decoder for each; suffixes lie more often."""
QUALITY = range(1, 32)
"""FFmpeg's scale of JPEG quantisers, the best first; the published tools write 1 or 2."""


class ImageDecoder:
    """The bytes of image files -> pictures; keeps what it opened for the next one."""

    def __init__(self) -> None:
        self._decoders: dict[str, VideoCodecContext] = {}

    def __call__(self, data: bytes, name: str | AnyPath) -> av.VideoFrame:
        """The picture in `data`, by what its first bytes say it is; DecodeError names `name`."""
        codec = next((codec for magic, codec in MAGIC.items() if data.startswith(magic)), None)
        if codec is None:
            raise DecodeError(f"{name}: not an image ({len(data)} bytes)", "extract it again")
        if codec not in self._decoders:
            self._decoders[codec] = _image_decoder(codec)
        packet = Packet(data)
        packet.is_keyframe = True  # or FFmpeg adds a PNG to the one before it
        try:
            return self._decoders[codec].decode(packet)[0]
        except (av.FFmpegError, IndexError) as error:
            raise DecodeError(f"{name}: a damaged image", "extract it again") from error

    def rgb(
        self, data: bytes, name: str | AnyPath, scale: ShortSide | None = None
    ) -> tuple[NDArray[np.uint8], Size]:
        """The picture in `data`, upright [h w 3] and scaled if asked for, and its stored size."""
        if scale is None and (picture := self.turbo(data, name)) is not None:
            return picture, (picture.shape[1], picture.shape[0])
        frame = self(data, name)
        size = frame.width, frame.height
        return ToRGB(scale(size) if scale else size)(frame), size

    def turbo(self, data: bytes, name: str | AnyPath) -> NDArray[np.uint8] | None:
        """The picture of a plain JPEG by libjpeg-turbo; None for other kinds, or without it."""
        return plain_jpeg(data, name) if plain_jpeg_size(data) else None

    def close(self) -> None:
        """Let go of the decoders."""
        self._decoders.clear()


class JpegEncoder:
    """Pictures uint8 [h w 3] of one size -> baseline JPEG files, 4:2:0; no picture's bytes depend
    on another's.
    """

    def __init__(self, size: Size, *, quality: int = 2) -> None:
        if quality not in QUALITY:
            raise ValueError(f"quality is {quality}, expected 1 (best) to 31")
        encoder = CodecContext.create("mjpeg", "w")
        assert isinstance(encoder, VideoCodecContext)
        encoder.width, encoder.height = size
        encoder.pix_fmt, encoder.time_base = "yuvj420p", Fraction(1, 25)
        encoder.thread_count = 1
        encoder.options = {name: str(quality) for name in ("qmin", "qmax")}
        self._encoder = encoder

    def __call__(self, picture: NDArray[np.uint8]) -> bytes:
        """The picture as the bytes of a file."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        (packet,) = self._encoder.encode(frame.reformat(format="yuvj420p", threads=1))
        return bytes(packet)


def jpeg_decoder() -> str:
    """What JPEG is read with: ``simplejpeg 1.9.0``, or ``FFmpeg``."""
    return "FFmpeg" if simplejpeg is None else f"simplejpeg {simplejpeg.__version__}"


def plain_jpeg(data: bytes, name: str | AnyPath) -> NDArray[np.uint8] | None:
    """The picture of a JPEG that is known to be plain, by libjpeg-turbo; None without it."""
    if simplejpeg is None:
        return None
    try:
        picture: NDArray[np.uint8] = simplejpeg.decode_jpeg(data)
    except ValueError as error:
        raise DecodeError(f"{name}: a damaged image", "extract it again") from error
    return picture


def plain_jpeg_size(data: bytes) -> Size | None:
    """Width and height of a JPEG of 8-bit colour that stands upright as stored (no Exif)."""
    place = 2 if data.startswith(b"\xff\xd8") else len(data)
    while place + 10 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4])
        if marker == 0xE1 and data[place + 4 : place + 8] == b"Exif":
            return None
        if marker in (0xC0, 0xC1, 0xC2):  # start of frame: bits, height, width, components
            bits, height, width, parts = struct.unpack(">BHHB", data[place + 4 : place + 10])
            return (width, height) if (bits, parts) == (8, 3) else None
        place += 2 + length
    return None


def _image_decoder(codec: str) -> VideoCodecContext:
    decoder = CodecContext.create(codec, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.thread_count = 1
    decoder.options = {"err_detect": "explode"}  # half a JPEG is an error, not half grey
    return decoder
