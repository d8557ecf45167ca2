"""Architectures of Hugging Face transformers that are encoders here, and the clips they take.

What transformers is not needed for: which class of it a `model_type` means, and what of a
configuration decides which clips a network takes, as its config.json states it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from marey.errors import counted
from marey.types import check_segments

Pool: TypeAlias = Literal["class", "patches", "both", "own"]


class Kind(NamedTuple):
    """What is to be known of an architecture beside its configuration.

    `network`: transformers' class. `blocks`: where its blocks are. `pool`: what a clip or frame
    comes to, "own" by a layer of its own. `size`, `patch`, `frames`: those of a configuration that
    does not say them; 0 frames are those of pictures. `resized`: whether places are resized
    (bicubic) for pictures of other sizes; "never" takes none, "rotary" any.
    """

    network: str
    blocks: str = "encoder.layer"
    pool: Pool = "class"
    class_tokens: int = 1
    size: int = 224
    patch: int = 16
    frames: int = 0
    resized: Literal["never", "when asked", "always", "rotary"] = "when asked"


KINDS: Mapping[str, Kind] = {
    "videomae": Kind(
        network="VideoMAEForVideoClassification",
        blocks="videomae.encoder.layer",
        pool="own",
        class_tokens=0,
        frames=16,
        resized="never",
    ),
    "vjepa2": Kind(
        network="VJEPA2Model",
        blocks="encoder.layer",
        pool="patches",
        class_tokens=0,
        size=256,
        frames=64,
        resized="never",
    ),
    "timesformer": Kind(network="TimesformerModel", frames=8, resized="never"),
    "vivit": Kind(network="VivitModel", blocks="layers", frames=32, resized="never"),
    "hiera": Kind(network="HieraModel", blocks="encoder.stages", pool="own", class_tokens=0),
    "dinov2": Kind(network="Dinov2Model", pool="both", patch=14, resized="always"),
    "dinov2_with_registers": Kind(
        network="Dinov2WithRegistersModel", pool="both", resized="always"
    ),
    "dinov3_vit": Kind(network="DINOv3ViTModel", blocks="model.layer", resized="rotary"),
    "clip_vision_model": Kind(
        network="CLIPVisionModel", blocks="encoder.layers", pool="own", patch=32
    ),
    "siglip_vision_model": Kind(
        network="SiglipVisionModel", blocks="encoder.layers", pool="own", class_tokens=0
    ),
    "vit": Kind(network="ViTModel", blocks="layers"),
}
"""By the `model_type` of a configuration."""


class Architecture(NamedTuple):
    """A `model_type` of transformers, and what its config.json states."""

    name: str
    stated: Mapping[str, Any]

    @property
    def kind(self) -> Kind:
        """What is known of it beside that."""
        return KINDS[self.name]

    @property
    def takes_clips(self) -> bool:
        """Whether it looks at a clip as a whole; otherwise frame by frame."""
        return self.kind.frames > 0

    @property
    def trained_frames(self) -> int:
        """Frames of the clips that the configuration is for; 0 of pictures."""
        frames = self.stated.get("num_frames", self.stated.get("frames_per_clip"))
        return int(frames or self.kind.frames) if self.takes_clips else 0

    @property
    def trained_size(self) -> int:
        """Pixels of a side of the pictures that the configuration is for."""
        size = self.stated.get("image_size", self.stated.get("crop_size")) or self.kind.size
        return int(min(size) if isinstance(size, list) else size)

    def on_clips(self, frames: int, size: int) -> str:
        """What is otherwise on such clips than on those of the configuration, in words.

        ValueError says why they cannot be taken.
        """
        check_segments(num_segments=frames)
        return "; ".join(filter(None, (self._on_frames(frames), self._on_size(size))))

    def _on_frames(self, frames: int) -> str:
        if frames == self.trained_frames or not self.takes_clips:
            return ""
        tubelet = self.stated.get("tubelet_size", 2)
        pretrained = f"{self.name} is made for clips of {counted(self.trained_frames, 'frame')}"
        if self.name == "vivit":
            raise ValueError(
                f"{pretrained}: each of their tokens has a learned place of its own, so that it "
                f"cannot take {frames}"
            )
        if self.name == "timesformer":
            return f"{pretrained}: its times (time_embeddings) are resized to {frames} (nearest)"
        if frames % int(tubelet):
            there = counted(frames, "frame")
            raise ValueError(f"{there}, expected whole tokens of {tubelet} frames each")
        rule = "rotations" if self.name == "vjepa2" else "waves"
        return f"{pretrained}: the places of {frames} follow from the same {rule}"

    def _on_size(self, size: int) -> str:
        trained, kind = self.trained_size, self.kind
        if size == trained:
            return ""
        if kind.resized == "never":
            raise ValueError(f"{self.name} is made for {trained} pixels, and takes no {size}")
        if size % self.patch:
            raise ValueError(f"{size} pixels are not whole patches of {self.patch}")
        if kind.resized == "rotary":
            return ""
        return f"the places of {self.name} for {trained} pixels are resized to {size} (bicubic)"

    @property
    def patch(self) -> int:
        """Pixels of a side that a picture must have a multiple of."""
        if self.name == "hiera":
            stride = min(self.stated.get("patch_stride", [4, 4]))
            depth = len(self.stated.get("depths", [2, 3, 16, 3]))
            unit = self.stated.get("masked_unit_size", [8, 8])
            query = self.stated.get("query_stride", [2, 2])
            return int(stride * max(min(unit), min(query) ** (depth - 1)))
        patch = self.stated.get("patch_size", self.kind.patch)
        return int(min(patch) if isinstance(patch, list) else patch)
