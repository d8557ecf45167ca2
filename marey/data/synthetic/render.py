"""A scene as two H.264 files: as it was drawn, and backwards.

Loads neither torch nor Arrow, so that the processes that render start at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from marey.data.h264 import write_h264
from marey.data.synthetic.scenes import Pixels, draw_scene

QUANTIZER = 20
"""Of every frame, from 0 (lossless) to 51: fine enough for pictures of 64 pixels."""


@dataclass(frozen=True, kw_only=True)
class Film:
    """What to draw, and where to write it forwards and backwards."""

    scene: str
    seed: tuple[int, ...]
    forwards: Path
    backwards: Path
    num_frames: int
    size: int
    fps: int


def shoot(film: Film) -> None:
    """Draw the scene and write both files."""
    rng = np.random.default_rng(film.seed)
    frames = draw_scene(film.scene, rng, num_frames=film.num_frames, size=film.size)
    write_video(film.forwards, frames, fps=film.fps)
    write_video(film.backwards, frames[::-1], fps=film.fps)


def write_video(path: Path, frames: Pixels, *, fps: int) -> None:
    """Write frames [t h w 3] as H.264, each coded on its own and all alike.

    With predicted frames, or a quantizer that adapts from frame to frame, the look of a decoded
    frame would depend on its place in the file.
    """
    write_h264(
        path,
        frames,
        range(len(frames)),
        time_base=Fraction(1, fps),
        rate=Fraction(fps),
        options={"preset": "veryfast", "qp": str(QUANTIZER), "g": "1"},
    )
