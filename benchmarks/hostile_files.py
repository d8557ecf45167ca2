"""Files that strangers may send: bombs, lies, and what is no video at all."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream

from marey.video.reading.jpeg import encode_jpeg

HUGE = 100_000


def png(width: int, height: int) -> bytes:
    """A PNG whose header claims a size, with next to no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(100_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def jpeg(width: int, height: int) -> bytes:
    """A JPEG whose header claims a size of at most 65,535."""
    data = bytearray(encode_jpeg(np.zeros((16, 16, 3), np.uint8)))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", min(height, 65535), min(width, 65535))
    return bytes(data)


def video(
    name: str, *, size: tuple[int, int] = (64, 48), num_frames: int = 5, rate: int = 10
) -> bytes:
    """A plain video in a container of that name."""
    buffer = io.BytesIO()
    codec = {"gif": "gif", "avi": "rawvideo"}.get(name, "libx264")
    kind = "rgb8" if name == "gif" else "yuv420p"
    with av.open(buffer, "w", format=name) as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=rate))
        stream.width, stream.height, stream.pix_fmt = *size, kind
        picture = av.VideoFrame(*size, format="yuv420p")
        for plane in picture.planes:
            plane.update(bytes(plane.buffer_size))
        for number in range(num_frames):
            frame = picture.reformat(format=kind)
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def huge_avi() -> bytes:
    """An AVI whose headers claim 100,000 x 100,000 pixels."""
    data = video("avi")
    small, large = struct.pack("<II", 64, 48), struct.pack("<II", HUGE, HUGE)
    return data.replace(small, large)


def huge_mp4() -> bytes:
    """An MP4 whose boxes claim the largest frame that they can; its codec knows better."""
    data = bytearray(video("mp4"))
    at = data.index(b"avc1")
    data[at + 28 : at + 32] = struct.pack(">HH", 65535, 65535)
    at = data.index(b"tkhd")
    data[at + 80 : at + 88] = struct.pack(">II", 65535 << 16, 65535 << 16)
    return bytes(data)


def frame_bomb() -> bytes:
    """A GIF of few bytes and very many frames."""
    head, _, rest = video("gif", size=(16, 16), num_frames=2).partition(b"\x21\xf9")
    frame = b"\x21\xf9" + rest.partition(b"\x21\xf9")[0]
    return head + frame * 30_000 + b"\x3b"


def sound() -> bytes:
    """A file of sound alone."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), layout="mono")
        samples.sample_rate = 8000
        container.mux(stream.encode(samples))
    return buffer.getvalue()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "zeros": lambda: bytes(100_000),
    "text": lambda: b"hello, this is no video\n" * 100,
    "a playlist of this machine's files": lambda: b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
    "ffconcat": lambda: b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    "a web page": lambda: b"<!DOCTYPE html><html></html>",
    "png of 100,000 x 100,000": lambda: png(HUGE, HUGE),
    "png of 11,000 x 11,000": lambda: png(11_000, 11_000),
    "jpeg of 65,535 x 65,535": lambda: jpeg(HUGE, HUGE),
    "avi of 100,000 x 100,000": huge_avi,
    "mp4 of 100,000 x 100,000": huge_mp4,
    "a bomb of frames": frame_bomb,
    "sound": sound,
    "cut short": lambda: video("mp4")[:700],
    "a long video": lambda: video("matroska", size=(16, 16), num_frames=400, rate=10),
    "a slow video": lambda: video("matroska", size=(16, 16), num_frames=3, rate=1)[:-1],
}
"""By name, what makes them; most are refused, and a few are shown as what is left of them."""
