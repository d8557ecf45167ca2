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
from typing import Any, ClassVar

from marey.models.encoders.huggingface_kinds import KINDS, Architecture
from marey.models.encoders.huggingface_network import HuggingFaceEncoder
from marey.models.sites import TemporalOp
from marey.types import check_counts, check_numbers


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
            stated = json.loads(self.config)
        except (ValueError, RecursionError):
            stated = None
        if not isinstance(stated, dict):
            raise ValueError(f"config is {self.config!r:.60}, expected a JSON object")
        known = Architecture(self.kind, stated)
        try:
            numbers = known.trained_frames, known.trained_size, known.patch, self.in_channels
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"config states no numbers of frames and pixels: {error}") from error
        check_numbers(at_least=0, trained_frames=numbers[0])
        check_counts(trained_size=numbers[1], patch=numbers[2], num_channels=numbers[3])

    @cached_property
    def architecture(self) -> Architecture:
        """What `kind` and `config` say."""
        return Architecture(self.kind, json.loads(self.config))

    @property
    def in_channels(self) -> int:
        """Channels of a frame."""
        return int(self.architecture.stated.get("num_channels", 3))

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> HuggingFaceEncoder:
        """The module for clips of `num_segments` frames; ValueError says why there is none."""
        if temporal:
            raise ValueError("an encoder of transformers has no blocks to place temporal ops in")
        self.on_clips(num_segments, self.architecture.trained_size)
        return HuggingFaceEncoder(self.architecture, num_segments)

    def on_segments(self, num_segments: int, trained: int) -> str:  # noqa: ARG002
        """What is otherwise on `num_segments` than in pretraining; see `on_clips`."""
        return self.on_clips(num_segments, self.architecture.trained_size)

    def on_clips(self, frames: int, size: int) -> str:
        """What is otherwise on such clips than on those of the configuration, in words.

        ValueError says why they cannot be taken.
        """
        return self.architecture.on_clips(frames, size)


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
