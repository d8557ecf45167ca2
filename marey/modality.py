"""What a clip shows: pictures, optical flow, or differences of pictures.

The modality of a model (`ModelSpec.modality`) is the one value from which follow what a sample of a
clip stacks, the channels that the network takes, how they are normalised, and what a mirror image
is. It is that of TSN (arXiv 1608.00859, section 3.2) and of TSM's trainer:

    modality   a sample is                              channels   mean, std of a range of 0 to 1
    rgb        a picture                                3          those of ImageNet
    flow       5 flow fields that follow each other,    10         0.5, 0.226
               x and y of each in turn
    rgbdiff    5 differences of 6 pictures that do      15         0, 1

A sample begins at any frame behind which the others of it still follow; a video too short for one
repeats its last frame. Flow is quantised to a byte (`marey.video.reading.flow`), so 0.5 is no
motion. Its mirror image has x inverted, 255 - x: what moved to the left moves to the right.
Differences are taken of pixels, on the device, after all changes of colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Modality: TypeAlias = Literal["rgb", "flow", "rgbdiff"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
STACKED = 5
"""Fields or differences of a sample."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """What a sample of a modality is made of."""

    frames: int
    """Frames of a reader that follow each other: pictures, or fields of flow."""
    planes: int
    """Channels of each of them."""
    channels: int
    """Those that the network takes."""
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def read(self) -> int:
        """Channels of a sample as it is read, uint8."""
        return self.frames * self.planes


STACKS: dict[Modality, Stack] = {
    "rgb": Stack(frames=1, planes=3, channels=3, mean=IMAGENET_MEAN, std=IMAGENET_STD),
    "flow": Stack(frames=STACKED, planes=2, channels=2 * STACKED, mean=(0.5,), std=(0.226,)),
    "rgbdiff": Stack(frames=STACKED + 1, planes=3, channels=3 * STACKED, mean=(0.0,), std=(1.0,)),
}

IN_WORDS: dict[Modality, str] = {
    "rgb": "pictures",
    "flow": "optical flow",
    "rgbdiff": "differences of pictures",
}


def modality_of(channels: int) -> Modality | None:
    """The modality whose samples have so many channels as they are read; None of others.

    >>> modality_of(10), modality_of(18), modality_of(4)
    ('flow', 'rgbdiff', None)
    """
    return next((name for name, stack in STACKS.items() if stack.read == channels), None)


def modality_for(channels: int) -> Modality | None:
    """The modality of which a network takes so many channels; None of others.

    >>> modality_for(10), modality_for(15), modality_for(18)
    ('flow', 'rgbdiff', None)
    """
    return next((name for name, stack in STACKS.items() if stack.channels == channels), None)
