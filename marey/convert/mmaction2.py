"""mmaction2: TSN and TSM, on ResNets and on MobileNetV2.

backbone.layer1.0.conv1.conv.weight      convolution and norm are parts of one module
backbone.layer1.0.conv1.conv.net.weight  TSM's wrapper, around the convolution
backbone.layer2.1.conv.0.net.bn.weight   MobileNetV2 in stages; the wrapper is around the module
cls_head.fc_cls                          the classifier

Its non-local blocks are not read: embedded Gaussian and dot product have the same tensors.
"""

from __future__ import annotations

import re

from marey.convert.repository import Repository, Settings, Shapes
from marey.convert.shapes import mobilenet_of, model_of, num_blocks, resnet_of
from marey.convert.tsm import shift_of, with_shift
from marey.errors import CheckpointError
from marey.models.encoders.mobilenet import ROWS
from marey.models.temporal.temporal_pool import TemporalPool
from marey.models.temporal.tsm import TSM
from marey.models.video_model import ModelSpec


def rename(name: str) -> str | None:
    """Our name of a tensor or module of one of its ResNets."""
    name = re.sub(r"\.net(?=\.|$)", "", name).removeprefix("backbone.")
    name = re.sub(r"downsample\.(conv|bn)", lambda m: f"downsample.{_PART[m[1]]}", name)
    name = re.sub(r"conv(\d)\.(conv|bn)", r"\2\1", name)
    return _encoder_or_head(name)


def rename_mobilenet(name: str) -> str | None:
    """Our name of a tensor or module of its MobileNetV2."""
    name = re.sub(r"\.net(?=\.|$)", "", name).removeprefix("backbone.")
    name = re.sub(r"^conv([12])\.(conv|bn)", _end, name)
    name = re.sub(r"^layer(\d)\.(\d+)\.conv\.(\d)\.(conv|bn)", _inside, name)
    return _encoder_or_head(name)


_PART = {"conv": "0", "bn": "1"}


def _end(match: re.Match[str]) -> str:
    """The first and the last convolution."""
    feature = 0 if match[1] == "1" else 1 + sum(row[2] for row in ROWS)
    return f"features.{feature}.{_PART[match[2]]}"


def _inside(match: re.Match[str]) -> str:
    """Torchvision nests convolution and norm but for the last pair of a block."""
    stage, block, position, part = int(match[1]), int(match[2]), int(match[3]), match[4]
    feature = 1 + sum(row[2] for row in ROWS[: stage - 1]) + block
    is_last = position == (1 if stage == 1 else 2)
    at = f"{position + int(_PART[part])}" if is_last else f"{position}.{_PART[part]}"
    return f"features.{feature}.conv.{at}"


def _encoder_or_head(name: str) -> str:
    head = name.removeprefix("cls_head.fc_cls")
    return f"heads.label{head}" if head != name else f"encoder.{name}"


def _is_resnet(shapes: Shapes) -> bool:
    stem = shapes.get("backbone.conv1.conv.weight", ())
    return len(stem) == 4 and stem[-1] == 7


def _is_mobilenet(shapes: Shapes) -> bool:
    return "backbone.conv1.conv.weight" in shapes and "backbone.conv2.conv.weight" in shapes


def _spec(ours: Shapes, shapes: Shapes, settings: Settings) -> ModelSpec:
    if any(".non_local_block." in name for name in shapes):
        raise CheckpointError(
            "it has non-local blocks, whose kind (embedded Gaussian or dot product) is in no tensor"
        )
    shift = shift_of(shapes, num_blocks(ours))
    pools = any(name.startswith("backbone.layer2.net.") for name in shapes)
    ops = with_shift(shift, settings, *([TemporalPool(1)] if pools else []))
    return model_of(resnet_of(ours), ops, ours, settings)


def _mobilenet_spec(ours: Shapes, shapes: Shapes, settings: Settings) -> ModelSpec:
    shift = TSM() if any(".conv.0.net." in name for name in shapes) else None
    return model_of(mobilenet_of(ours), with_shift(shift, settings), ours, settings)


REPOSITORY = Repository("mmaction2", _is_resnet, rename, _spec)
MOBILENET = Repository("mmaction2-mobilenetv2", _is_mobilenet, rename_mobilenet, _mobilenet_spec)
"""Apart from the ResNets, because the two give the name ``backbone.conv1`` to different layers."""
