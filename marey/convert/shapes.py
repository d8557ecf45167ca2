"""The parts of a model that the shapes of its tensors tell, under our names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Literal

from marey.convert.repository import Settings, Shapes
from marey.errors import CheckpointError
from marey.models.encoder import Encoder
from marey.models.encoders.googlenet import GoogLeNetSpec
from marey.models.encoders.inception_v3 import InceptionV3Spec
from marey.models.encoders.mobilenet import MobileNetV2Spec
from marey.models.encoders.resnet import BASIC, DEPTHS, ResNetSpec
from marey.models.sites import TemporalOp
from marey.models.video_model import Head, ModelSpec

IMAGENET = 1000
"""Classes by which a picture network is known that was not trained on videos."""


def num_blocks(names: Iterable[str]) -> tuple[int, ...]:
    """Blocks of every stage of a ResNet: (3, 4, 6, 3)."""
    matches = (re.match(r"encoder\.layer(\d)\.(\d+)\.", name) for name in names)
    blocks = Counter(stage for stage, _ in {match.groups() for match in matches if match})
    return tuple(blocks[stage] for stage in sorted(blocks))


def resnet_of(ours: Shapes) -> ResNetSpec:
    """The ResNet, ResNeXt or wide ResNet that has these blocks, widths and input channels."""
    is_bottleneck = "encoder.layer1.0.conv3.weight" in ours
    depths = num_blocks(ours)
    fitting = [d for d, n in DEPTHS.items() if n == depths and (d not in BASIC) == is_bottleneck]
    stem = ours.get("encoder.conv1.weight", ())
    if not fitting or len(stem) < 2:
        raise CheckpointError(
            f"its blocks a stage are {depths}, which no ResNet of ours has",
            f"known: {', '.join(f'ResNet-{depth} {n}' for depth, n in DEPTHS.items())}",
        )
    channels, in_channels = stem[:2]
    if not is_bottleneck:
        return ResNetSpec(fitting[0], in_channels=in_channels, channels=channels)
    mid = ours["encoder.layer1.0.conv1.weight"][0]
    conv2 = ours.get("encoder.layer1.0.conv2.weight")
    groups = mid // conv2[1] if conv2 else 1
    width = 64 * mid // (groups * channels)
    return ResNetSpec(fitting[0], groups, width, in_channels, channels)


def mobilenet_of(ours: Shapes) -> MobileNetV2Spec:
    """The MobileNetV2 of these widths and input channels."""
    stem = ours["encoder.features.0.0.weight"]
    projections = {
        int(match[1]): shape[0]
        for name, shape in ours.items()
        if (match := re.fullmatch(r"encoder\.features\.(\d+)\.conv\.[12]\.weight", name))
        and len(shape) == 4
    }
    widths = [stem[0], *(projections[feature] for feature in sorted(projections))]
    for width in (1.0, 0.75, 0.5, 0.35, 0.25, 0.1, 1.3, 1.4, 2.0):
        for rounding in _ROUNDINGS:
            spec = MobileNetV2Spec(width, stem[1], rounding)
            blocks = spec.blocks((), num_frames=1)
            if [spec.stem_channels, *(block.out_channels for block in blocks)] == widths:
                return spec
    raise CheckpointError(f"it is a MobileNetV2 of unknown widths: {widths[:3]} and so on")


_ROUNDINGS: tuple[Literal["nearest", "up"], ...] = ("nearest", "up")


def inception_of(ours: Shapes) -> GoogLeNetSpec | InceptionV3Spec | None:
    """The Inception network on pictures that has these first filters; None if it is none."""
    if googlenet := ours.get("encoder.conv1.conv.weight"):
        return GoogLeNetSpec(in_channels=googlenet[1], channels=googlenet[0])
    if v3 := ours.get("encoder.Conv2d_1a_3x3.conv.weight"):
        return InceptionV3Spec(in_channels=v3[1], channels=v3[0])
    return None


def heads_of(ours: Shapes) -> tuple[Head, ...]:
    """The one head; CheckpointError without a classifier."""
    weight = ours.get("heads.label.weight")
    if weight is None:
        raise CheckpointError("it has no classifier, so nothing could be predicted with it")
    return (Head("label", weight[0]),)


def model_of(
    encoder: Encoder,
    temporal: tuple[TemporalOp, ...],
    ours: Shapes,
    settings: Settings,
    dropout: float = 0.5,
) -> ModelSpec:
    """The model of as many segments as was said, with the one head whose classifier is there."""
    return ModelSpec(
        encoder, temporal, num_segments=settings.segments, heads=heads_of(ours), dropout=dropout
    )


def dropout_of(shapes: Shapes) -> float:
    """TSN's usual dropout, where its wrapper has put the classifier behind one; else none."""
    return 0.5 if "new_fc.weight" in shapes else 0.0
