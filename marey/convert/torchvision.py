"""Torchvision's picture networks (ResNet, ResNeXt, MobileNetV2), as TSN of one frame.

conv1  layer1.0.conv1  fc                    ResNets; also TSN of action-recognition-pytorch, which
                                             may pool time
features.2.conv.0.0    classifier.1          MobileNetV2
"""

from __future__ import annotations

import re

from marey.convert.arp import pooling
from marey.convert.naming import told_by_arch
from marey.convert.repository import Repository, Settings, Shapes
from marey.convert.shapes import IMAGENET, heads_of, mobilenet_of, resnet_of
from marey.models.video_model import ModelSpec


def rename(name: str) -> str | None:
    """Our name of one of its tensors or modules."""
    head = re.sub(r"^(fc|classifier\.1)(?=\.|$)", "heads.label", name)
    return head if head != name else f"encoder.{name}"


def _recognises(shapes: Shapes) -> bool:
    if "classifier.1.weight" in shapes:
        return "features.1.conv.0.0.weight" in shapes
    stem = len(shapes.get("conv1.weight", ()))
    known = re.compile(r"(conv1|bn1|layer\d\.\d+\.(conv\d|bn\d|downsample\.\d)|fc)\.\w+")
    return stem == 4 and "fc.weight" in shapes and all(map(known.fullmatch, shapes))


def _spec(ours: Shapes, _: Shapes, settings: Settings) -> ModelSpec:
    is_resnet = "encoder.conv1.weight" in ours
    heads = heads_of(ours)
    if heads[0].num_classes != IMAGENET:
        settings.need("num_segments", *(["temporal_stride"] if is_resnet else []))
    return ModelSpec(
        encoder=resnet_of(ours) if is_resnet else mobilenet_of(ours),
        temporal=pooling(settings.temporal_stride or "none"),
        num_segments=settings.num_segments or 1,
        heads=heads,
    )


REPOSITORY = Repository(
    name="torchvision", recognises=_recognises, rename=rename, spec=_spec, told=told_by_arch
)
