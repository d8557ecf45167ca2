"""The models that are compared, each with its reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from benchmarks.reference.tsm import TSMMobileNetV2, tsm_resnet50
from benchmarks.reference.weights import Rename, fill, load
from marey.convert import tsm
from marey.models import TSM, Head, MobileNetV2Spec, ModelSpec, ResNetSpec
from marey.models.video_model import VideoModel

CLASSES = 174
HEADS = (Head("label", CLASSES),)
"""Of Something-Something, of which most of these models are published."""


@dataclass(frozen=True)
class Compared:
    """A model of ours and the network that it is compared with.

    `reference` makes that network for a spec; `rename` tells which tensor of ours is which of it.
    """

    spec: ModelSpec
    reference: Callable[[ModelSpec], nn.Module]
    rename: Rename
    size: int = 224

    def build(self, *, seed: int = 0) -> tuple[VideoModel, nn.Module]:
        """Both with the same weights, in evaluation mode."""
        torch.manual_seed(seed)
        model, reference = self.spec.build(), self.reference(self.spec)
        fill(model, seed)
        load(reference, model, self.rename)
        return model.eval(), reference.eval()


MODELS: Mapping[str, Compared] = {
    "tsm-r50": Compared(
        ModelSpec(ResNetSpec(50), (TSM(),), heads=HEADS),
        lambda spec: tsm_resnet50(spec.num_segments, CLASSES),
        tsm.rename,
    ),
    "tsm-mobilenetv2": Compared(
        ModelSpec(MobileNetV2Spec(), (TSM(),), heads=HEADS),
        lambda spec: TSMMobileNetV2(spec.num_segments, CLASSES),
        tsm.rename,
    ),
}
