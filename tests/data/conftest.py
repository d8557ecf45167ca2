"""Tiny real videos, made here: frame i has grey level 16 + 4 i, so indices are visible."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest


def write_video(path: Path, num_frames: int = 12, size: tuple[int, int] = (48, 32)) -> Path:
    """An H.264 file of `num_frames` grey frames; `size` is width, height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=10, options={"crf": "4", "preset": "ultrafast"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for index in range(num_frames):
            grey = np.full((size[1], size[0], 3), 16 + 4 * index, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        file.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def make_video() -> Callable[..., Path]:
    """`write_video`, for tests that want more than one video."""
    return write_video


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 12 frames, made once; copy it where a test needs one."""
    return write_video(tmp_path_factory.mktemp("video") / "twelve.mp4")
