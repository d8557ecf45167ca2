"""Encoders of Hugging Face transformers, of videos and of pictures: `pip install marey[hf]`.

    find("hf:folder/of/dinov2").model          frames one by one, [b t c h w] -> [b t d]
    find("hf:folder/of/videomae").model        whole clips, [b t c h w] -> [b 1 d]

A spec holds the architecture's configuration, so that a run or a release needs neither the folder
nor the hub. What a clip or frame comes to is what the architecture's own classifier is given:

    of clips      TimeSformer, ViViT: class token; VideoMAE: mean of all tokens, normed
                  V-JEPA 2: mean of all tokens (its own classifier is an attentive pool)
    of pictures   ViT, DINOv3, CLIP: class token (CLIP's normed once more); SigLIP: its attention
                  pool; Hiera: mean of patches, normed; DINOv2: class token beside mean of patches

`tokens` are the patches of the last layer, class and register tokens left out.

**Deviates**: transformers' classifiers of CLIP and SigLIP take the mean of all patches, which these
were not trained by; here a picture comes to what the text was compared with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from marey.models.encoder import EncoderModule
from marey.models.layout import fold_time, split_axis, unfold_time
from marey.models.sites import TemporalOp
from marey.types import Clip, check_segments

Pool = Literal["class", "patches", "both", "own"]


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """What is to be known of an architecture beside its configuration.

    `network`: transformers' class. `blocks`: where its blocks are. `pool`: what a clip or frame
    comes to, "own" by a layer of its own. `size`, `patch`, `frames`: those of a configuration that
    does not say them. `resized`: whether it takes pictures of other sizes.
    """

    network: str
    blocks: str = "encoder.layer"
    pool: Pool = "class"
    class_tokens: int = 1
    size: int = 224
    patch: int = 16
    frames: int = 0
    """0: pictures."""
    resized: Literal["", "bicubic", "rotary"] = "bicubic"


KINDS: Mapping[str, _Kind] = {
    "videomae": _Kind(
        network="VideoMAEForVideoClassification",
        blocks="videomae.encoder.layer",
        pool="own",
        class_tokens=0,
        frames=16,
        resized="",
    ),
    "vjepa2": _Kind(
        network="VJEPA2Model",
        blocks="encoder.layer",
        pool="patches",
        class_tokens=0,
        size=256,
        frames=64,
        resized="",
    ),
    "timesformer": _Kind(network="TimesformerModel", frames=8, resized=""),
    "vivit": _Kind(network="VivitModel", blocks="layers", frames=32, resized=""),
    "hiera": _Kind(network="HieraModel", blocks="encoder.stages", pool="own", class_tokens=0),
    "dinov2": _Kind(network="Dinov2Model", pool="both", patch=14),
    "dinov2_with_registers": _Kind(network="Dinov2WithRegistersModel", pool="both"),
    "dinov3_vit": _Kind(network="DINOv3ViTModel", blocks="model.layer", resized="rotary"),
    "clip_vision_model": _Kind(
        network="CLIPVisionModel", blocks="encoder.layers", pool="own", patch=32
    ),
    "siglip_vision_model": _Kind(
        network="SiglipVisionModel", blocks="encoder.layers", pool="own", class_tokens=0
    ),
    "vit": _Kind(network="ViTModel", blocks="layers"),
}
"""By the `model_type` of a configuration."""

FRESH = ("fc_norm.", "pooler.", "classifier.", "predictor.")
"""How weights are named that a checkpoint may lack: of its classifier, and what is not used."""


@dataclass(frozen=True)
class HuggingFaceSpec:
    """The architecture `kind` (a `model_type` of transformers), with fresh weights.

    `config` is JSON: what its config.json states, less what has nothing to do with features
    (`stated_config`). transformers fills in what is not stated.
    """

    kind: str
    config: str = field(default="{}", repr=False)

    frames_per_segment: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind is '{self.kind}', expected one of {', '.join(KINDS)}")
        try:
            is_object = isinstance(json.loads(self.config), dict)
        except (ValueError, RecursionError):
            is_object = False
        if not is_object:
            raise ValueError(f"config is {self.config!r:.60}, expected a JSON object")

    @cached_property
    def stated(self) -> Mapping[str, Any]:
        """The configuration."""
        facts: dict[str, Any] = json.loads(self.config)
        return facts

    @property
    def in_channels(self) -> int:
        """Channels of a frame."""
        return int(self.stated.get("num_channels", self.stated.get("in_chans", 3)))

    @property
    def takes_clips(self) -> bool:
        """Whether it looks at a clip as a whole; otherwise frame by frame."""
        return KINDS[self.kind].frames > 0

    @property
    def trained_frames(self) -> int:
        """Frames of the clips that the configuration is for; 0 of pictures."""
        frames = self.stated.get("num_frames", self.stated.get("frames_per_clip"))
        return int(frames or KINDS[self.kind].frames) if self.takes_clips else 0

    @property
    def trained_size(self) -> int:
        """Pixels of a side of the pictures that the configuration is for."""
        size = self.stated.get("image_size", self.stated.get("crop_size")) or KINDS[self.kind].size
        return int(min(size) if isinstance(size, list) else size)

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> HuggingFaceEncoder:
        """The module for clips of `num_segments` frames; ValueError says why there is none."""
        if temporal:
            raise ValueError("an encoder of transformers has no blocks to place temporal ops in")
        self.on_clips(num_segments, self.trained_size)
        return HuggingFaceEncoder(self, num_segments)

    def on_segments(self, num_segments: int, trained: int) -> str:  # noqa: ARG002
        """What is otherwise on `num_segments` than in pretraining; see `on_clips`."""
        return self.on_clips(num_segments, self.trained_size)

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
        pretrained = f"{self.kind} is made for clips of {self.trained_frames} frames"
        if self.kind == "vivit":
            raise ValueError(
                f"{pretrained}: each of their tokens has a learned place of its own, so that it "
                f"cannot take {frames}"
            )
        if self.kind == "timesformer":
            return f"{pretrained}: its times (time_embeddings) are resized to {frames} (nearest)"
        if frames % int(tubelet):
            raise ValueError(f"{frames} frames are not whole tokens of {tubelet} frames each")
        rule = "rotations" if self.kind == "vjepa2" else "waves"
        return f"{pretrained}: the places of {frames} follow from the same {rule}"

    def _on_size(self, size: int) -> str:
        trained, kind = self.trained_size, KINDS[self.kind]
        if size == trained:
            return ""
        if not kind.resized:
            raise ValueError(f"{self.kind} is made for {trained} pixels, and takes no {size}")
        if size % self.patch:
            raise ValueError(f"{size} pixels are not whole patches of {self.patch}")
        if kind.resized == "rotary":
            return ""
        return f"the places of {self.kind} for {trained} pixels are resized to {size} (bicubic)"

    @property
    def patch(self) -> int:
        """Pixels of a side that a picture must have a multiple of."""
        if self.kind == "hiera":
            stride = min(self.stated.get("patch_stride", [4, 4]))
            depth = len(self.stated.get("depths", [2, 3, 16, 3]))
            unit = self.stated.get("masked_unit_size", [8, 8])
            query = self.stated.get("query_stride", [2, 2])
            return int(stride * max(min(unit), min(query) ** (depth - 1)))
        patch = self.stated.get("patch_size", KINDS[self.kind].patch)
        return int(min(patch) if isinstance(patch, list) else patch)


class HuggingFaceEncoder(EncoderModule):
    """Features [b 1 d] of clips [b t c h w], or [b t d] where frames are looked at one by one."""

    def __init__(self, spec: HuggingFaceSpec, num_frames: int) -> None:
        super().__init__()
        self.spec, self.num_frames = spec, num_frames
        self.kind = KINDS[spec.kind]
        config = _config(spec, num_frames)
        self.network = network_of(spec, config)
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

    def blocks_by_stage(self) -> list[list[nn.Module]]:
        """Its blocks, each a stage."""
        top = attrgetter(self.kind.blocks)(self.network)
        if self.spec.kind == "hiera":
            return [[layer] for stage in top for layer in stage.layers]
        return [[block] for block in top]

    def forward(self, clip: Clip) -> Tensor:
        """Features [b t' d] of clips [b t c h w]; t' is 1 where they are looked at as a whole."""
        hidden, own = self._look(clip)
        pooled = self._pooled(hidden, own)
        return pooled[:, None] if self.spec.takes_clips else unfold_time(pooled, self.num_frames)

    def tokens(self, clip: Clip) -> Tensor:
        """Patches of the last layer: [b t c h w] -> [b t' n d], n places of each t'.

        Of clips t' is t / frames of a token, of pictures t. Class and register tokens are left out.
        """
        hidden, _ = self._look(clip)
        patches = hidden[:, self.class_tokens :]
        if not self.spec.takes_clips:
            return unfold_time(patches, self.num_frames)
        times = self.num_frames // self.tubelet
        if self.spec.kind == "timesformer":  # whose tokens go place by place
            return split_axis(patches, 1, -1, times).transpose(1, 2)
        return split_axis(patches, 1, times, -1)

    def from_image_model(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """transformers' own `weights` of this architecture, under the names they have here."""
        own = self.state_dict()
        named = {f"network.{name}": weight for name, weight in weights.items()}
        return {name: weight for name, weight in named.items() if name in own}

    def _look(self, clip: Clip) -> tuple[Tensor, Tensor | None]:
        """Tokens of the last layer [n tokens d], and what a layer of its own makes of them."""
        self.spec.on_clips(clip.shape[1], clip.shape[-1])
        if self.spec.kind == "videomae":
            hidden = self.network.videomae(clip).last_hidden_state
            return hidden, None
        if self.spec.takes_clips:
            more = {"skip_predictor": True} if self.spec.kind == "vjepa2" else {}
            return self.network(clip, **more).last_hidden_state, None
        asks = self.spec.kind in ("vit", "clip_vision_model", "siglip_vision_model", "hiera")
        other = asks and clip.shape[-1] != self.spec.trained_size
        keywords = {"interpolate_pos_encoding": True} if other else {}
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
        if self.spec.kind == "videomae":
            norm = self.network.fc_norm
            return hidden[:, 0] if norm is None else norm(mean)
        return mean


def stated_config(facts: Mapping[str, Any]) -> HuggingFaceSpec:
    """The spec of what a config.json says; of CLIP and SigLIP the half that sees.

    ValueError if it is no architecture that is known here.
    """
    kind = facts.get("model_type")
    if kind in _HALVES:
        vision = facts.get("vision_config")
        facts = vision if isinstance(vision, dict) else {}
        kind = f"{kind}_vision_model"
    if kind not in KINDS:
        known = ", ".join(name.removesuffix("_vision_model") for name in KINDS)
        raise ValueError(f"its model_type is '{kind}', known here are {known}")
    kept = {name: value for name, value in facts.items() if name not in _BESIDE}
    return HuggingFaceSpec(str(kind), json.dumps(kept, sort_keys=True))


_HALVES = ("clip", "siglip")
_BESIDE = {
    *("model_type", "architectures", "_name_or_path", "transformers_version", "torch_dtype"),
    *("dtype", "id2label", "label2id", "num_labels", "problem_type", "_attn_implementation"),
    *("_commit_hash", "finetuning_task", "auto_map", "torchscript", "return_dict"),
    *("output_attentions", "output_hidden_states", "gradient_checkpointing"),
}
"""What a config.json says that is not of the architecture, or of its classifier."""


def network_of(spec: HuggingFaceSpec, config: Any) -> Any:
    """transformers' network of `config` with fresh weights, less what no feature needs."""
    network = _class(spec)(config, **without_pooler(spec))
    if spec.kind == "vjepa2":
        network.predictor = None
    for module in network.modules():
        if getattr(module, "mask_token", None) is not None:
            module.mask_token = None
    return network


def without_pooler(spec: HuggingFaceSpec) -> dict[str, bool]:
    """The keyword of transformers that leaves out a layer behind the class token."""
    return {"add_pooling_layer": False} if spec.kind in ("vit", "vivit") else {}


def _class(spec: HuggingFaceSpec) -> Any:
    return getattr(transformers(), KINDS[spec.kind].network)


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


def _config(spec: HuggingFaceSpec, num_frames: int) -> Any:
    """transformers' configuration; of VideoMAE and V-JEPA 2 for so many frames."""
    changed: dict[str, Any] = {"num_labels": 0}
    if spec.kind == "videomae":  # whose places are no weights
        changed["num_frames"] = num_frames
    library = transformers()
    from huggingface_hub.errors import StrictDataclassError

    try:
        config = library.AutoConfig.for_model(spec.kind, **(dict(spec.stated) | changed))
    except (TypeError, ValueError, AttributeError, StrictDataclassError) as error:
        raise ValueError(f"transformers takes no such {spec.kind}: {error}") from error
    if getattr(config, "attention_type", "") == "space_only":
        raise ValueError("a TimeSformer that looks at space only is not taken")
    return config
