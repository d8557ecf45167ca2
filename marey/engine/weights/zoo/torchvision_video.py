"""Checkpoints of torchvision's video networks, as its documentation gives them.

Their tensors do not tell of how many frames a clip is: these are those of their recipes.
"""

from __future__ import annotations

from marey.engine.weights.published import PublishedFile

_SERVER = "https://download.pytorch.org/models/"


def _file(name: str, file: str, mebibytes: float, frames: int) -> PublishedFile:
    return PublishedFile(
        name=name,
        file=file,
        url=_SERVER + file,
        mebibytes=mebibytes,
        licence="BSD-3-Clause",
        source="torchvision, models/video/resnet.py and s3d.py",
        labels="k400",
        settings=(f"num_segments={frames}", "data=k400"),
    )


FILES = (
    _file("r2plus1d-r18-16f-k400", "r2plus1d_18-91a641e6.pth", 120.318, 16),
    _file("s3d-64f-k400", "s3d-d76dad2f.pth", 31.972, 64),
)
