"""Videos to read, as data sets have them: moving noise with the spectrum of photographs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from marey.data.manifest.manifest import Manifest
from marey.data.manifest.read import read_manifest


@dataclass(frozen=True)
class Videos:
    """How the videos of a data set are coded."""

    codec: str
    suffix: str
    width: int
    height: int
    fps: int
    frames: int
    options: Mapping[str, str]


SSV2_LIKE = Videos(
    "libvpx-vp9", "webm", 426, 240, 12, 48, {"crf": "33", "cpu-used": "8", "deadline": "realtime"}
)
"""Four seconds with one key frame, as Something-Something is given away."""
KINETICS_LIKE = Videos(
    "libx264", "mp4", 340, 256, 30, 300, {"g": "250", "crf": "20", "preset": "veryfast"}
)
"""Ten seconds with a key frame every 250, as Kinetics is downloaded and scaled."""


def made_up(videos: Videos, folder: Path, count: int) -> Manifest:
    """`count` videos in the new folder `folder`, and their manifest, with `num_frames`."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["path,label,num_frames"]
    for number in range(count):
        name = f"{number}.{videos.suffix}"
        _write(folder / name, videos, rng)
        rows.append(f"{name},0,{videos.frames}")
    (folder / "manifest.csv").write_text("\n".join([*rows, ""]))
    return read_manifest(folder / "manifest.csv")


def _write(path: Path, videos: Videos, rng: np.random.Generator) -> None:
    """A window that moves over a scene which is larger, and begins anew at its end."""
    scene = _scene(rng)
    free = scene.shape[1] - videos.height, scene.shape[2] - videos.width
    with av.open(str(path), "w") as file:
        stream = file.add_stream(videos.codec, rate=videos.fps, options=dict(videos.options))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = videos.width, videos.height, "yuv420p"
        for t in range(videos.frames):
            top, left = 2 * t % free[0], 5 * t % free[1]
            view = scene[:, top : top + videos.height, left : left + videos.width]
            picture = np.ascontiguousarray(view.transpose(1, 2, 0))
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())


def _scene(rng: np.random.Generator) -> np.ndarray:
    """Pixels uint8 [3 512 1024]: noise whose amplitudes fall with frequency as in photographs."""
    noise = np.fft.rfft2(rng.standard_normal((3, 512, 1024)))
    y, x = np.meshgrid(np.fft.fftfreq(512), np.fft.rfftfreq(1024), indexing="ij")
    scene = np.fft.irfft2(noise / np.maximum(np.hypot(y, x), 1 / 512) ** 1.7)
    pixels: np.ndarray = np.clip(127 + 50 * scene / scene.std(), 0, 255).astype(np.uint8)
    return pixels
