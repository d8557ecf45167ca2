"""Small real videos made on the spot: frame i carries the number i, so a decoded index is visible.

path = write_video(tmp_path / "a.mp4", numbered(30))
assert number_of(frame) == 7
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""uint8 [h w 3]"""

BITS = 12
TICK = Fraction(1, 600)
"""The unit of `times`: a multiple of most frame rates."""


def numbered(count: int, *, width: int = 64, height: int = 48, first: int = 0) -> list[Picture]:
    """Pictures `first`, `first` + 1, ... with their numbers as 3 x 4 black and white fields.

    The grey between the fields rises with the number too.
    """
    return [_numbered(i, width, height) for i in range(first, first + count)]


def _numbered(number: int, width: int, height: int) -> Picture:
    picture = np.full((height, width, 3), 40 + number % 160, dtype=np.uint8)
    for bit in range(BITS):
        rows, columns = _field(bit, width, height)
        picture[rows, columns] = 255 if number >> bit & 1 else 0
    return picture


def _field(bit: int, width: int, height: int) -> tuple[slice, slice]:
    row, column = divmod(bit, 4)
    top, left = row * height // 3, column * width // 4
    return slice(top + 1, top + height // 3 - 1), slice(left + 1, left + width // 4 - 1)


def number_of(frame: torch.Tensor | Picture) -> int:
    """The number in a frame [3 h w] or picture [h w 3] of `numbered`, however compressed."""
    picture = frame.permute(1, 2, 0).numpy() if isinstance(frame, torch.Tensor) else frame
    height, width, _ = picture.shape
    fields = (picture[_field(bit, width, height)].mean() > 127 for bit in range(BITS))
    return sum(int(lit) << bit for bit, lit in enumerate(fields))


def numbers_of(frames: torch.Tensor) -> list[int]:
    """The numbers in frames [t 3 h w]."""
    return [number_of(frame) for frame in frames]


def grey(count: int, *, width: int = 16, height: int = 16) -> list[Picture]:
    """Plain pictures, picture i of grey level 8 i + 16: for sizes too small for numbers."""
    return [np.full((height, width, 3), 8 * i + 16, dtype=np.uint8) for i in range(count)]


def write_video(
    path: Path,
    pictures: Sequence[Picture],
    *,
    fps: int = 10,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    gop: int = 12,
    b_frames: int = 0,
    times: Sequence[float] | None = None,
    rotation: int | None = None,
    aspect: Fraction | None = None,
    options: Mapping[str, str] | None = None,
) -> Path:
    """`path`, now a video of `pictures`; the suffix names the container.

    `times`: when each picture is shown, in seconds (else at `fps`). `rotation`: degrees,
    counter-clockwise, that a player must turn the stored pictures. `aspect`: width of a pixel over
    its height.
    """
    height, width, _ = pictures[0].shape
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        context = stream.codec_context
        context.thread_count = 1
        context.gop_size = gop
        context.max_b_frames = b_frames
        context.time_base = TICK if times is not None else Fraction(1, fps)
        context.options = _options(codec, b_frames) | dict(options or {})
        if aspect is not None:
            context.sample_aspect_ratio = aspect
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for i, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.time_base = context.time_base
            frame.pts = i if times is None else round(times[i] / TICK)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _options(codec: str, b_frames: int) -> dict[str, str]:
    if codec == "libx264":
        return {"preset": "ultrafast", "crf": "12", "sc_threshold": "0", "bf": str(b_frames)}
    if codec == "libx265":
        return {"preset": "ultrafast", "crf": "12", "x265-params": "log-level=none:pools=none"}
    if codec == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # errors only
        return {"preset": "12", "crf": "20"}
    if codec.startswith("libvpx"):
        return {"deadline": "realtime", "cpu-used": "8", "crf": "12"}
    return {}


def write_sound(path: Path) -> Path:
    """`path`, now a quarter of a second of silence and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_folder(
    folder: Path, pictures: Iterable[Picture], *, template: str = "img_{:05d}.jpg", base: int = 1
) -> Path:
    """`folder`, now with one image file a picture, numbered from `base`."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, picture in enumerate(pictures, start=base):
        name = template.format(i)
        codec, pix_fmt = ("png", "rgb24") if name.endswith("png") else ("mjpeg", "yuvj444p")
        (folder / name).write_bytes(encode_image(picture, codec=codec, pix_fmt=pix_fmt))
    return folder


def encode_image(picture: Picture, *, codec: str = "mjpeg", pix_fmt: str = "yuvj444p") -> bytes:
    """One picture as the bytes of an image file."""
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.height, encoder.width, _ = picture.shape
    encoder.pix_fmt, encoder.time_base = pix_fmt, Fraction(1, 25)
    encoder.options = {"qmin": "2", "qmax": "2"} if codec == "mjpeg" else {}
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt)
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode()])


def remux(source: Path, target: Path, *, spoil: Iterable[int] = ()) -> Path:
    """`target`, a copy of `source` in which the packets numbered in `spoil` are noise."""
    noise = set(spoil)
    rng = np.random.default_rng(0)
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for i, packet in enumerate(old.demux(video=0)):
            if packet.dts is None:
                continue
            if i in noise:
                spoiled = av.Packet(rng.bytes(packet.size))
                spoiled.pts, spoiled.dts, spoiled.time_base = (
                    packet.pts,
                    packet.dts,
                    packet.time_base,
                )
                packet = spoiled
            packet.stream = stream
            new.mux(packet)
    return target
