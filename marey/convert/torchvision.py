"""Torchvision's picture networks (ResNet, MobileNetV2, Inception), as TSN of one frame.

conv1  layer1.0.conv1  fc                    ResNets; also TSN of action-recognition-pytorch, which
                                             may pool time
features.2.conv.0.0    classifier.1          MobileNetV2
inception3a.branch1    fc                    GoogLeNet; also TSN on inception_v1 of the same
Mixed_5b.branch1x1     fc                    Inception v3
aux1, AuxLogits                              classifiers beside the last one: they are dropped
"""

from __future__ import annotations

import re

from marey.convert.arp import pooling
from marey.convert.naming import told_by_arch
from marey.convert.repository import Repository, Settings, Shapes
from marey.convert.shapes import IMAGENET, heads_of, inception_of, mobilenet_of, resnet_of
from marey.models.encoders import googlenet, inception_v3
from marey.models.encoders.googlenet import GoogLeNetSpec
from marey.models.video_model import ModelSpec


def rename(name: str) -> str | None:
    """Our name of one of its tensors or modules."""
    head = re.sub(r"^(fc|classifier\.1)(?=\.|$)", "heads.label", name)
    if head != name:
        return head
    ours = inception_v3.ours(name) if _V3.match(name) else googlenet.ours(name)
    return None if ours is None else f"encoder.{ours}"


_V3 = re.compile(r"Mixed_|Conv2d_|AuxLogits")


def _recognises(shapes: Shapes) -> bool:
    if "classifier.1.weight" in shapes:
        return "features.1.conv.0.0.weight" in shapes
    for block in ("inception3a.branch1.conv.weight", "Mixed_5b.branch1x1.conv.weight"):
        if len(shapes.get(block, ())) == 4:
            return "fc.weight" in shapes and not any(name.startswith("tam") for name in shapes)
    stem = len(shapes.get("conv1.weight", ()))
    known = re.compile(r"(conv1|bn1|layer\d\.\d+\.(conv\d|bn\d|downsample\.\d)|fc)\.\w+")
    return stem == 4 and "fc.weight" in shapes and all(map(known.fullmatch, shapes))


def _spec(ours: Shapes, _: Shapes, settings: Settings) -> ModelSpec:
    is_resnet, inception = "encoder.conv1.weight" in ours, inception_of(ours)
    heads = heads_of(ours)
    if heads[0].num_classes != IMAGENET:
        is_arps = is_resnet or isinstance(inception, GoogLeNetSpec)
        settings.need("num_segments", *(["temporal_stride"] if is_arps else []))
    network = resnet_of if is_resnet else mobilenet_of
    return ModelSpec(
        encoder=inception or network(ours),
        temporal=pooling(settings.temporal_stride or "none"),
        num_segments=settings.num_segments or 1,
        heads=heads,
    )


REPOSITORY = Repository(
    name="torchvision", recognises=_recognises, rename=rename, spec=_spec, told=told_by_arch
)
