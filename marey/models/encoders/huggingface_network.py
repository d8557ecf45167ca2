"""Networks of Hugging Face transformers as encoders (see `marey.models.encoders.huggingface`).

What a configuration may ask of transformers beside its architecture (other kernels, quantised
weights, code of its own) is left out: it may come from a stranger, with a release.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from marey.models.encoder import EncoderModule
from marey.models.encoders.huggingface_kinds import Architecture
from marey.models.layout import fold_time, split_axis, unfold_time
from marey.types import Clip

FRESH = ("fc_norm.", "pooler.", "classifier.", "predictor.")
"""How weights are named that a checkpoint may lack: of its classifier, and what is not used."""


class HuggingFaceEncoder(EncoderModule):
    """Features [b 1 d] of clips [b t c h w], or [b t d] where frames are looked at one by one."""

    def __init__(self, architecture: Architecture, num_frames: int) -> None:
        super().__init__()
        self.architecture, self.num_frames = architecture, num_frames
        self.kind = architecture.kind
        config = config_of(architecture, num_frames)
        self.network = _network(architecture, config)
        config.num_frames = num_frames  # by which TimeSformer's blocks tell frames apart
        self.class_tokens = self.kind.class_tokens + getattr(config, "num_register_tokens", 0)
        self.hidden = int(getattr(self.network, "num_features", config.hidden_size))
        self.num_features = self.hidden * (2 if self.kind.pool == "both" else 1)
        tubelet = getattr(config, "tubelet_size", 1)
        self.tubelet = int(tubelet[0] if isinstance(tubelet, list | tuple) else tubelet)

    @property
    def token_features(self) -> int:
        """The numbers of a patch; of DINOv2 half of what a frame comes to."""
        return self.hidden

    def only_pooled(self) -> list[nn.Module]:
        """The layer by which a clip or frame comes to one vector, if it has one."""
        layer = getattr(self.network, _POOLING.get(self.architecture.name, ""), None)
        return [] if layer is None else [layer]

    def blocks_by_stage(self) -> list[list[nn.Module]]:
        """Its blocks, each a stage."""
        top = attrgetter(self.kind.blocks)(self.network)
        if self.architecture.name == "hiera":
            return [[layer] for stage in top for layer in stage.layers]
        return [[block] for block in top]

    def forward(self, clip: Clip) -> Tensor:
        """Features [b t' d] of clips [b t c h w]; t' is 1 where they are looked at as a whole."""
        hidden, own = self._look(clip)
        pooled = self._pooled(hidden, own)
        return (
            pooled[:, None]
            if self.architecture.takes_clips
            else unfold_time(pooled, self.num_frames)
        )

    def tokens(self, clip: Clip) -> Tensor:
        """Patches of the last layer: [b t c h w] -> [b t' n d], n places of each t'.

        Of clips t' is t / frames of a token, of pictures t. Class and register tokens are left out.
        """
        return self.places(self._look(clip)[0])

    @property
    def blocks_keep_places(self) -> bool:
        """Whether the tokens between its blocks are those of `places`, in their order."""
        return self.architecture.name != "hiera"  # whose last blocks have them by windows

    def places(self, hidden: Tensor) -> Tensor:
        """The patches [b t' n d] among tokens [m s d], as its last block meets and gives them."""
        patches = hidden[:, self.class_tokens :]
        if not self.architecture.takes_clips:
            return unfold_time(patches, self.num_frames)
        times = self.num_frames // self.tubelet
        if self.architecture.name == "timesformer":  # whose tokens go place by place
            return split_axis(patches, 1, -1, times).transpose(1, 2)
        return split_axis(patches, 1, times, -1)

    def from_image_model(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """transformers' own `weights` of this architecture, under the names they have here."""
        own = self.state_dict()
        named = {f"network.{name}": weight for name, weight in weights.items()}
        return {name: weight for name, weight in named.items() if name in own}

    def _look(self, clip: Clip) -> tuple[Tensor, Tensor | None]:
        """Tokens of the last layer [n tokens d], and what a layer of its own makes of them."""
        self.architecture.on_clips(clip.shape[1], clip.shape[-1])
        if self.architecture.name == "videomae":
            hidden = self.network.videomae(clip).last_hidden_state
            return hidden, None
        if self.architecture.takes_clips:
            more = {"skip_predictor": True} if self.architecture.name == "vjepa2" else {}
            return self.network(clip, **more).last_hidden_state, None
        other = clip.shape[-1] != self.architecture.trained_size
        ask = other and self.kind.resized == "when asked"
        keywords = {"interpolate_pos_encoding": True} if ask else {}
        seen = self.network(fold_time(clip), **keywords)
        return seen.last_hidden_state, getattr(seen, "pooler_output", None)

    def _pooled(self, hidden: Tensor, own: Tensor | None) -> Tensor:
        if self.kind.pool == "own" and own is not None:
            return own
        mean = hidden[:, self.class_tokens :].mean(dim=1)
        if self.kind.pool == "both":
            return torch.cat((hidden[:, 0], mean), dim=1)
        if self.kind.pool == "class":
            return hidden[:, 0]
        if self.architecture.name == "videomae":
            norm = self.network.fc_norm
            return hidden[:, 0] if norm is None else norm(mean)
        return mean


_POOLING = {
    "videomae": "fc_norm",
    "hiera": "pooler",
    "clip_vision_model": "post_layernorm",
    "siglip_vision_model": "head",
}
"""Where an architecture has a layer by which alone a clip or frame comes to one vector."""


def _network(architecture: Architecture, config: Any) -> Any:
    """transformers' network of `config` with fresh weights, less what no feature needs."""
    make = getattr(transformers(), architecture.kind.network)
    network = make(config, **without_pooler(architecture))
    if architecture.name == "vjepa2":
        network.predictor = None
    for module in network.modules():
        if getattr(module, "mask_token", None) is not None:
            module.mask_token = None
    return network


def without_pooler(architecture: Architecture) -> dict[str, bool]:
    """The keyword of transformers that leaves out a layer behind the class token."""
    return {"add_pooling_layer": False} if architecture.name in ("vit", "vivit") else {}


def transformers() -> Any:
    """The library; ValueError says how to install it."""
    try:
        import transformers as library
    except ImportError as error:
        raise ValueError(
            f"an encoder of Hugging Face needs transformers ({error}). hint: pip install "
            "'marey[hf]'"
        ) from error
    return library


def config_of(architecture: Architecture, num_frames: int) -> Any:
    """transformers' configuration, without a classifier; of VideoMAE for so many frames.

    ValueError for one that transformers does not take.
    """
    name, library = architecture.name, transformers()
    from huggingface_hub.errors import StrictDataclassError

    stated = {key: fact for key, fact in architecture.stated.items() if not _is_asked(key)}
    stated |= {"num_labels": 0}
    if name == "videomae":  # whose places are no weights
        stated["num_frames"] = num_frames
    try:
        config = library.AutoConfig.for_model(name, **stated)
    except (TypeError, ValueError, AttributeError, StrictDataclassError) as error:
        raise ValueError(f"transformers takes no such {name}: {error}") from error
    if getattr(config, "attention_type", "") == "space_only":
        raise ValueError("a TimeSformer that looks at space only is not taken")
    return config


def _is_asked(key: str) -> bool:
    """Whether a configuration asks by `key` for how a network is loaded or run."""
    return key.startswith("_") or key.endswith("_implementation") or key in _ASKED


_ASKED = ("auto_map", "quantization_config", "dtype", "torch_dtype", "output_attentions")
