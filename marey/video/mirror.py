"""The mirror image of a clip, whatever it shows."""

from __future__ import annotations

from torch import Tensor

from marey.modality import modality_of


def mirrored(frames: Tensor) -> Tensor:
    """Frames uint8 [... c h w], left and right exchanged; of flow (c = 10) x is inverted, 255 - x.

    What a sample shows is told by its channels (`marey.modality.modality_of`). **Deviates** in
    nothing from TSN's flip of flow, by which no motion (128) becomes 127.
    """
    flipped = frames.flip(-1)
    if frames.ndim >= 3 and modality_of(frames.shape[-3]) == "flow":
        flipped[..., 0::2, :, :] = 255 - flipped[..., 0::2, :, :]
    return flipped
