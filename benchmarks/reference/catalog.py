"""The models that are compared, each with its reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from benchmarks.reference.blvnet import BLVNetTAM
from benchmarks.reference.group_context import gc_tsm_resnet50
from benchmarks.reference.motionformer import Motionformer
from benchmarks.reference.tdn import TDNResNet50
from benchmarks.reference.tsm import TSMMobileNetV2, tsm_resnet50
from benchmarks.reference.weights import Parts, Rename, fill, load
from marey.convert import blvnet, gc, motionformer, tdn, tsm
from marey.models import (
    TSM,
    BLVNetSpec,
    GroupContext,
    Head,
    LongTermDifference,
    MobileNetV2Spec,
    ModelSpec,
    MotionformerSpec,
    ResNetSpec,
    TDNSpec,
)
from marey.models.video_model import VideoModel

CLASSES = 174
HEADS = (Head("label", CLASSES),)
"""Of Something-Something, of which most of these models are published."""


@dataclass(frozen=True)
class Compared:
    """A model of ours and the network that it is compared with.

    `reference` makes that network for a spec; `rename` and `parts` tell which tensor of ours is
    which of it (`load`); clips are of `size` pixels.
    """

    spec: ModelSpec
    reference: Callable[[ModelSpec], nn.Module]
    rename: Rename
    parts: Parts | None = None
    size: int = 224

    def build(self, *, seed: int = 0, device: str = "cpu") -> tuple[VideoModel, nn.Module]:
        """Both with the same weights, in evaluation mode."""
        torch.manual_seed(seed)
        model, reference = self.spec.build(), self.reference(self.spec)
        fill(model, seed)
        load(reference, model, self.rename, self.parts)
        return model.eval().to(device), reference.eval().to(device)

    def without_dropout(self) -> Compared:
        """The same network, nothing of which is left out at random while it trains."""
        encoder = self.spec.encoder
        if isinstance(encoder, MotionformerSpec):
            encoder = replace(encoder, drop_path=0.0)
        return replace(self, spec=replace(self.spec, encoder=encoder, dropout=0.0))

    def first_layer(self, reference: nn.Module) -> tuple[str, str]:
        """The name of the first layer's weight, ours and that of `reference`."""
        first = next(name for name, p in reference.named_parameters() if p.ndim > 3)
        own = self.rename(first)
        assert own is not None
        return own, first


def _blvnet(spec: ModelSpec) -> nn.Module:
    assert isinstance(spec.encoder, BLVNetSpec)
    return BLVNetTAM(spec.encoder.depth, spec.num_segments, CLASSES, spec.dropout)


def _motionformer(spec: ModelSpec) -> nn.Module:
    assert isinstance(spec.encoder, MotionformerSpec)
    return Motionformer(spec.encoder, spec.num_segments, CLASSES)


MODELS: Mapping[str, Compared] = {
    "tsm-r50": Compared(
        ModelSpec(ResNetSpec(50), (TSM(),), heads=HEADS),
        lambda spec: tsm_resnet50(spec.num_segments, CLASSES, spec.dropout),
        tsm.rename,
    ),
    "gc-tsm-r50": Compared(
        ModelSpec(ResNetSpec(50), (TSM(alternate="stage"), GroupContext()), heads=HEADS),
        lambda spec: gc_tsm_resnet50(spec.num_segments, CLASSES, spec.dropout),
        lambda name: gc.rename(tsm.unwrapped(name)),
    ),
    "tsm-mobilenetv2": Compared(
        ModelSpec(MobileNetV2Spec(), (TSM(),), heads=HEADS),
        lambda spec: TSMMobileNetV2(spec.num_segments, CLASSES, spec.dropout),
        tsm.rename,
    ),
    "blvnet-tam-50": Compared(
        ModelSpec(BLVNetSpec(50), heads=HEADS),
        _blvnet,
        blvnet.rename,
    ),
    "tdn-r50": Compared(
        ModelSpec(TDNSpec(50), (LongTermDifference(),), heads=HEADS),
        lambda spec: TDNResNet50(spec.num_segments, CLASSES, spec.dropout),
        tdn.rename,
    ),
    "motionformer-b": Compared(
        ModelSpec(MotionformerSpec(), num_segments=16, heads=HEADS, dropout=0.0),
        _motionformer,
        motionformer.rename,
        motionformer.parts,
    ),
}
"""By name, in the order in which they are reported."""

BLVNET_TAM_101 = Compared(ModelSpec(BLVNetSpec(101), heads=HEADS), _blvnet, blvnet.rename)
"""Beside the others where there is a GPU."""
