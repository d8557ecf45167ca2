"""mmaction2: TSN and TSM, on ResNets and on MobileNetV2.

backbone.layer1.0.conv1.conv.weight      convolution and norm are parts of one module
backbone.layer1.0.conv1.conv.net.weight  TSM's wrapper, around the convolution
backbone.layer2.1.conv.0.net.bn.weight   MobileNetV2 in stages; the wrapper is around the module
backbone.layer2.0.non_local_block.*      beside a wrapped block, .block.*; of two kinds with the
                                         same tensors embedded Gaussian is read, dot product not
cls_head.fc_cls                          the classifier
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from marey.convert.repository import Repository, Settings, Shapes, Told, by_rules
from marey.convert.shapes import mobilenet_of, model_of, num_blocks, resnet_of
from marey.convert.tsm import (
    check_wrapped_whole,
    marks,
    matches,
    mobilenet_shift_of,
    shift_of,
    unwrapped,
    with_shift,
)
from marey.errors import CheckpointError
from marey.models.encoders.mobilenet import ROWS
from marey.models.temporal.nonlocal_block import NonLocal
from marey.models.temporal.temporal_pool import TemporalPool
from marey.models.video_model import ModelSpec


def rename(name: str) -> str | None:
    """Our name of a tensor or module of one of its ResNets."""
    name = by_rules(unwrapped(name).removeprefix("backbone."), _NON_LOCAL)
    name = re.sub(r"downsample\.(conv|bn)", lambda m: f"downsample.{_PART[m[1]]}", name)
    name = re.sub(r"conv(\d)\.(conv|bn)", r"\2\1", name)
    return _encoder_or_head(name)


def rename_mobilenet(name: str) -> str | None:
    """Our name of a tensor or module of its MobileNetV2."""
    name = unwrapped(name).removeprefix("backbone.")
    name = re.sub(r"^conv([12])\.(conv|bn)", _end, name)
    name = re.sub(r"^layer(\d)\.(\d+)\.conv\.(\d)\.(conv|bn)", _inside, name)
    return _encoder_or_head(name)


_NON_LOCAL = {
    r"non_local_block\.theta\.conv": "block_out.theta",
    r"non_local_block\.(phi|g)\.0\.conv": r"block_out.\1",
    r"non_local_block\.conv_out\.conv": "block_out.out",
    r"non_local_block\.conv_out\.bn": "block_out.bn",
}
_PART = {"conv": "0", "bn": "1"}


def parts(weights: Mapping[str, Tensor], spec: ModelSpec) -> dict[str, Tensor]:  # noqa: ARG001
    """`weights` with a bias of zeros where ours has one, before the norm of non-local blocks."""
    ends = ".non_local_block.conv_out.conv.weight"
    biases = {
        name.replace("weight", "bias"): weight.new_zeros(weight.shape[:1])
        for name, weight in weights.items()
        if name.endswith(ends) and weight.ndim
    }
    return biases | dict(weights)


def _end(match: re.Match[str]) -> str:
    """The first and the last convolution."""
    feature = 0 if match[1] == "1" else 1 + sum(row[2] for row in ROWS)
    return f"features.{feature}.{_PART[match[2]]}"


def _inside(match: re.Match[str]) -> str:
    """Torchvision nests convolution and norm but for the last pair of a block."""
    stage, block, position, part = int(match[1]), int(match[2]), int(match[3]), match[4]
    feature = _feature(stage, block)
    is_last = position == (1 if stage == 1 else 2)
    at = f"{position + int(_PART[part])}" if is_last else f"{position}.{_PART[part]}"
    return f"features.{feature}.conv.{at}"


def _feature(stage: int, block: int) -> int:
    """Torchvision's number of a block."""
    return 1 + sum(row[2] for row in ROWS[: stage - 1]) + block


def _encoder_or_head(name: str) -> str:
    head = name.removeprefix("cls_head.fc_cls")
    return f"heads.label{head}" if head != name else f"encoder.{name}"


def told(beside: Mapping[str, Any]) -> Told:
    """What the configuration says that mmengine and mmcv save in `meta`."""
    meta = beside.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    model = model_in(next((text for key in ("cfg", "config") if (text := meta.get(key))), ""))
    backbone, head = (part if isinstance(part := model.get(key), dict) else {} for key in _PARTS)
    if backbone.get("style", "pytorch") != "pytorch":
        raise CheckpointError(
            f"its configuration says style={backbone['style']!r}: strides on the 1x1 "
            "convolutions, which no ResNet of ours has"
        )
    shifts = backbone.get("type") in ("ResNetTSM", "MobileNetV2TSM")
    settings = {
        "num_segments": backbone.get("num_segments") or head.get("num_segments"),
        "shift_div": backbone.get("shift_div", 8) if shifts else None,
    }
    kind = _kind(backbone.get("non_local_cfg"))
    tensors = {"depth": backbone.get("depth"), "classes": head.get("num_classes")}
    return Told(_said(settings) | ({"non_local": kind} if kind else {}), _said(tensors))


def _kind(config: object) -> str | None:
    """That of the non-local blocks; CheckpointError for scores that are scaled."""
    if not isinstance(config, dict) or not isinstance(mode := config.get("mode"), str):
        return None
    if config.get("use_scale", True):
        raise CheckpointError(
            "its configuration says use_scale: scores of non-local blocks divided by sqrt(C), "
            "which no non-local block here does"
        )
    return mode


_PARTS = ("backbone", "cls_head")


def model_in(config: object) -> dict[str, Any]:
    """The `model` of a configuration: a node of mmengine, or a file in Python.

    Of a file only plain values are read.
    """
    if isinstance(config, dict) and isinstance(model := config.get("model"), dict):
        return model
    if not isinstance(config, str):
        return {}
    try:
        for line in ast.parse(config).body:
            if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "model":
                value = _plain(line.value)
                return value if isinstance(value, dict) else {}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    return {}


def _plain(node: ast.expr) -> object:
    """A constant, or a dict of them; None for anything else."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return {k.value: _plain(v) for k, v in pairs if isinstance(k, ast.Constant)}
        case ast.Call(func=ast.Name(id="dict"), keywords=words):
            return {word.arg: _plain(word.value) for word in words if word.arg}
    return None


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if isinstance(value, int | str) and value}


def assumed(spec: ModelSpec, _settings: Settings, told: Told) -> tuple[str, ...]:
    """What its configurations have, unless there is one, which says so."""
    attends = any(isinstance(op, NonLocal) for op in spec.temporal)
    usual = ["strides on the 3x3 convolutions (style='pytorch')"]
    usual += ["scores of non-local blocks are not divided by sqrt(C) (use_scale=False)"] * attends
    return () if told.by_tensors else tuple(usual)


def _is_resnet(shapes: Shapes) -> bool:
    stem = shapes.get("backbone.conv1.conv.weight", ())
    return len(stem) == 4 and stem[-1] == 7


def _is_mobilenet(shapes: Shapes) -> bool:
    return "backbone.conv1.conv.weight" in shapes and "backbone.conv2.conv.weight" in shapes


def _spec(ours: Shapes, shapes: Shapes, settings: Settings) -> ModelSpec:
    attending = _non_local_of(shapes, settings)
    check_wrapped_whole(shapes)
    shift = shift_of(shapes, num_blocks(ours))
    pools = any(name.startswith("backbone.layer2.net.") for name in shapes)
    ops = with_shift(shift, settings, *([TemporalPool(1)] if pools else []), *attending)
    return model_of(resnet_of(ours), ops, ours, settings)


def _non_local_of(shapes: Shapes, settings: Settings) -> tuple[NonLocal, ...]:
    """The non-local blocks, if it has any; CheckpointError for kinds that are not built."""
    found = list(matches(r"layer(\d)\.\d+\.non_local_block\.(\w+)", shapes))
    if not found:
        return ()
    settings.need("non_local", *([] if settings.num_segments else ["num_segments"]))
    kind = settings.non_local if any(m[2] == "theta" for m in found) else "gaussian"
    if kind != "embedded_gaussian":
        raise CheckpointError(
            f"its non-local blocks are of the kind {kind}, which is not built here",
            "known is embedded_gaussian",
        )
    return (NonLocal(tuple(sorted({int(match[1]) - 1 for match in found}))),)


def _mobilenet_spec(ours: Shapes, shapes: Shapes, settings: Settings) -> ModelSpec:
    check_wrapped_whole(shapes)
    encoder = mobilenet_of(ours)
    marked = r"layer(\d)\.(\d+)\.conv\.0\.net\."
    shift = mobilenet_shift_of(
        encoder, {_feature(int(m[1]), int(m[2])) for m in matches(marked, shapes)}
    )
    return model_of(encoder, with_shift(shift, settings), ours, settings)


REPOSITORY = Repository(
    name="mmaction2",
    recognises=_is_resnet,
    rename=rename,
    spec=_spec,
    told=told,
    assumed=assumed,
    marks=marks,
    parts=parts,
)
MOBILENET = Repository(
    name="mmaction2-mobilenetv2",
    recognises=_is_mobilenet,
    rename=rename_mobilenet,
    spec=_mobilenet_spec,
    told=told,
    marks=marks,
)
"""Apart from the ResNets, because the two give the name ``backbone.conv1`` to different layers."""
