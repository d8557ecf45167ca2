"""A video encoder of Hugging Face transformers, as a source of features: `pip install marey[hf]`.

    ModelSpec(HuggingFaceSpec("folder/of/vjepa2"), num_segments=64)

VideoMAE, V-JEPA 2, TimeSformer, ViViT and others that take clips [b t c h w] are read from a folder
on this machine, as `save_pretrained` or a download leaves it (config.json, model.safetensors);
nothing is fetched and no code in the folder is run. A clip gives one vector, the mean of its
tokens, a class token included.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from marey.errors import CheckpointError
from marey.models.encoder import EncoderModule
from marey.models.sites import TemporalOp
from marey.types import Clip


@dataclass(frozen=True)
class HuggingFaceSpec:
    """The encoder in `folder`, with its weights."""

    folder: str

    in_channels: ClassVar[int] = 3
    frames_per_segment: ClassVar[int] = 1

    def build(
        self,
        temporal: Sequence[TemporalOp],
        num_segments: int,  # noqa: ARG002
    ) -> HuggingFaceEncoder:
        """The module; CheckpointError if the folder holds no such encoder."""
        if temporal:
            raise ValueError("an encoder of transformers has no blocks to place temporal ops in")
        return HuggingFaceEncoder(_load(Path(self.folder)))

    def on_segments(self, num_segments: int, trained: int) -> str:
        """ValueError: where tokens are in time is a table in most of these networks."""
        raise ValueError(
            f"{self.folder} holds a network of {trained} frames, which knows the places of their "
            f"tokens, not of {num_segments} frames"
        )


class HuggingFaceEncoder(EncoderModule):
    """One vector a clip, by a network of transformers: [b t c h w] -> [b 1 d]."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.num_features = int(network.config.hidden_size)

    def forward(self, clip: Clip) -> Tensor:
        """One vector a clip: [b t c h w] -> [b 1 d]."""
        return self.tokens(clip).mean(dim=2)

    def tokens(self, clip: Clip) -> Tensor:
        """The tokens of a whole clip, a class token included: [b t c h w] -> [b 1 n d]."""
        if hasattr(self.network, "get_vision_features"):  # V-JEPA 2, without its predictor
            tokens: Tensor = self.network.get_vision_features(clip)
        else:
            tokens = self.network(clip).last_hidden_state
        return tokens[:, None]


@dataclass(frozen=True)
class Input:
    """What an encoder was trained on."""

    num_frames: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def read_input(folder: Path) -> Input:
    """Frames, pixels and normalisation that the files in `folder` state."""
    config = _read(folder / "config.json")
    processors = [_read(path) for name in _PROCESSORS if (path := folder / name).is_file()]
    processor = {key: value for each in reversed(processors) for key, value in each.items()}
    frames = config.get("num_frames", config.get("frames_per_clip"))
    size = config.get("image_size", config.get("crop_size"))
    if not isinstance(frames, int) or not isinstance(size, int):
        raise CheckpointError(
            f"{folder / 'config.json'} states no number of frames and size of a picture",
            "it takes encoders of video: VideoMAE, V-JEPA 2, TimeSformer, ViViT",
        )
    colours = processor.get("image_mean", _MEAN), processor.get("image_std", _STD)
    for three in colours:
        if not isinstance(three, list | tuple) or not all(type(x) in (int, float) for x in three):
            raise CheckpointError(f"{folder}: {three!r:.80} is no mean or deviation of colours")
    mean, std = map(tuple, colours)
    return Input(frames, size, mean, std)


_PROCESSORS = ("preprocessor_config.json", "video_preprocessor_config.json")
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _read(path: Path) -> dict[str, Any]:
    hint = "give a folder that transformers' save_pretrained made"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"cannot read {path}: {error}", hint) from error
    if not isinstance(facts, dict):
        raise CheckpointError(f"{path} holds no names and values", hint)
    return facts


def _load(folder: Path) -> Any:
    try:
        import transformers
    except ImportError as error:
        raise CheckpointError(f"{folder} needs transformers", "pip install 'marey[hf]'") from error
    try:
        return transformers.AutoModel.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder}: {str(error).splitlines()[0]}") from error
