"""Torchvision's video networks that are built here: R(2+1)D-18 and S3D.

stem.0, stem.3              R(2+1)D's stem: in space, along time; stem.1 and stem.4 are their norms
layer1.0.conv1.0.0 .3       a pair of filters, with the norm .1 between them; conv1.1 is the last
features.5.branch1.1.0.0    S3D: branches count from 0, a pair are two rows of filter and norm
fc, classifier.1            the classifier, S3D's a 1x1x1 convolution
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from marey.convert.repository import Repository, Settings, Shapes
from marey.convert.shapes import heads_of
from marey.models.encoder import Encoder
from marey.models.encoders.googlenet import TABLE
from marey.models.encoders.googlenet_clips import S3DSpec
from marey.models.encoders.r2plus1d import R2Plus1DSpec
from marey.models.video_model import ModelSpec


def rename(name: str) -> str | None:
    """Our name of one of its tensors or modules."""
    head = re.sub(r"^(fc|classifier\.1)(?=\.|$)", "heads.label", name)
    if head != name:
        return head
    return f"encoder.{s3d_name(name) if name.startswith('features.') else r2plus1d_name(name)}"


def r2plus1d_name(name: str) -> str:
    """The name here of a tensor of r2plus1d_18.

    >>> r2plus1d_name("layer1.0.conv2.0.3.weight")
    'layer1.0.conv2_t.weight'
    """
    if match := re.match(r"stem\.(\d)\.(.*)", name):
        return f"{_STEM[match[1]]}.{match[2]}"
    if match := re.match(r"(layer\d\.\d)\.conv(\d)\.(0\.[013]|1)\.(.*)", name):
        kind, suffix = _PAIR[match[3]]
        return f"{match[1]}.{kind}{match[2]}{suffix}.{match[4]}"
    return name


_STEM = {"0": "conv1.conv", "1": "conv1.bn", "3": "conv1.conv_t", "4": "bn1"}
_PAIR = {"0.0": ("conv", ""), "0.1": ("bn", ""), "0.3": ("conv", "_t"), "1": ("bn", "_t")}


def s3d_name(name: str) -> str:
    """The name here of a tensor of s3d.

    >>> s3d_name("features.5.branch1.1.0.1.bias")
    'inception3a.branch2.1.bn.bias'
    """
    match = re.fullmatch(r"features\.(\d+)\.(?:branch(\d)\.)?((?:\d\.)+)(\w+)", name)
    if not match:
        return name
    part, branch, numbers, leaf = match.groups()
    path = [_PARTS[part]]
    *outer, layer = numbers.rstrip(".").split(".")
    if branch is not None:
        path.append(f"branch{int(branch) + 1}")
        path += outer[: branch != "0"]
        outer = outer[branch != "0" :]
    suffix = "_t" if outer == ["1"] else ""
    return ".".join([*path, ("conv", "bn")[int(layer)] + suffix, leaf])


_PARTS = {"0": "conv1", "2": "conv2", "3": "conv3"} | {
    number: f"inception{block}"
    for number, block in zip(("5", "6", "8", "9", "10", "11", "12", "14", "15"), TABLE, strict=True)
}


def _recognises(shapes: Shapes) -> bool:
    is_r2plus1d = "stem.3.weight" in shapes and "layer1.0.conv1.0.3.weight" in shapes
    return is_r2plus1d or len(shapes.get("features.5.branch1.1.0.0.weight", ())) == 5


def _spec(ours: Shapes, shapes: Shapes, settings: Settings) -> ModelSpec:
    settings.need("num_segments")
    encoder: Encoder = S3DSpec(form="torchvision")
    dropout = 0.2
    if "stem.0.weight" in shapes:
        depth = 34 if "layer1.2.conv1.0.0.weight" in shapes else 18
        encoder, dropout = R2Plus1DSpec(depth), 0.0
    return ModelSpec(encoder, num_segments=settings.segments, heads=heads_of(ours), dropout=dropout)


def _flat_head(weights: Mapping[str, Tensor], spec: ModelSpec) -> dict[str, Tensor]:  # noqa: ARG001
    """S3D's classifier as a matrix."""
    return {
        name: weight.flatten(1) if name == "classifier.1.weight" else weight
        for name, weight in weights.items()
    }


REPOSITORY = Repository(
    name="torchvision-video",
    recognises=_recognises,
    rename=rename,
    spec=_spec,
    parts=_flat_head,
)
