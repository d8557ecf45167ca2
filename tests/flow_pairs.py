"""Optical flow as other tools write it: a picture of x and one of y a field."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from marey.video.reading.jpeg import encode_jpeg


def write_pairs(folder: Path, of: np.ndarray, template: str = "flow_{}_{:05d}.jpg") -> Path:
    """The folder, with fields uint8 [t h w 2] in it."""
    for index, field in enumerate(of, start=1):
        for axis, plane in zip("xy", np.moveaxis(field, 2, 0), strict=True):
            file = folder / template.format(axis, index)
            file.parent.mkdir(parents=True, exist_ok=True)
            grey = np.repeat(plane[..., None], 3, axis=2)
            file.write_bytes(encode_jpeg(grey, quality=1))
    return folder
