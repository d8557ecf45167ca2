"""action-recognition-pytorch: TAM, I3D and S3D on ResNets and GoogLeNet, with torchvision's names.

layer1.0.tam.prev_se.fc1.weight     the TAM before the first convolution of every block; taps other
layer1.0.tam.blending_layers.0.fc1  than three are counted
conv1, layer1.0.conv2: [o i 3 k k]  I3D
layer1.0.conv2_t (conv1_t)          S3D-ResNet: what looks along time, depthwise if [o 1 3 1 1]
tam1, tam3a                         the TAMs behind the parts of inception_v1
inception3a.branch2.1.conv: 5 axes  I3D on GoogLeNet; S3D, where there is a conv_t beside it
pool1                               the pooling before layer2, which has no tensors
fc                                  the classifier

Its TSN has the tensors of a picture network and is recognised as torchvision's.
"""

from __future__ import annotations

import re
from typing import Literal

from marey.convert.blvnet import with_counted_taps
from marey.convert.naming import told_by_arch
from marey.convert.repository import Repository, Settings, Shapes, Told, by_rules
from marey.convert.shapes import inception_of, model_of, resnet_of
from marey.convert.tsm import encoder_or_head
from marey.models.encoder import Encoder
from marey.models.encoders.googlenet import GoogLeNetSpec
from marey.models.encoders.googlenet_clips import I3DInceptionSpec, S3DSpec
from marey.models.encoders.i3d import I3DResNetSpec
from marey.models.encoders.r2plus1d import S3DResNetSpec
from marey.models.encoders.resnet import ResNetSpec
from marey.models.sites import TemporalOp
from marey.models.temporal.tam import TAM
from marey.models.temporal.temporal_pool import TemporalPool
from marey.models.video_model import ModelSpec


def rename(name: str) -> str | None:
    """Our name of one of its tensors or modules."""
    name = re.sub(r"^pool(\d)$", lambda m: f"layer{int(m[1]) + 1}.0.stage_in", name)
    name = re.sub(r"^tam(\d)(\w?)(?=\.|$)", _behind, name)
    return encoder_or_head(with_counted_taps(by_rules(name, {"tam": "residual_in"})))


def _behind(match: re.Match[str]) -> str:
    part = "inception" if match[2] else "conv"
    return f"{part}{match[1]}{match[2]}.block_out"


def pooling(how: Literal["none", "max", "avg"]) -> tuple[TemporalOp, ...]:
    """Half the frames before each of the last three stages: what a temporal stride is in 2-D."""
    if how == "none":
        return ()
    return tuple(TemporalPool(stage, "max" if how == "max" else "mean") for stage in (1, 2, 3))


def _recognises(shapes: Shapes) -> bool:
    has_tam = re.compile(r"(layer1\.0\.tam|tam1)\.(curr_se|blending_layers\.0)\.fc1\.weight")
    looks_at_clips = any(len(shapes.get(name, ())) == 5 for name in _MIDDLE)
    return ("fc.weight" in shapes and looks_at_clips) or any(map(has_tam.fullmatch, shapes))


_MIDDLE = ("layer1.0.conv2.weight", "inception3a.branch2.1.conv.weight")
"""Filters that have an axis of time in its 3-D networks."""


def _spec(ours: Shapes, shapes: Shapes, settings: Settings) -> ModelSpec:
    inception = inception_of(ours)
    if any(len(shapes.get(name, ())) == 5 for name in _MIDDLE):
        settings.need("num_segments", "temporal_stride")
        pictures = inception or resnet_of(ours)
        encoder = _on_clips(pictures, ours, settings)
        return model_of(encoder, (), ours, settings)
    place: Literal["residual_in", "block_out"] = "block_out" if inception else "residual_in"
    taps = f"encoder.{'conv1' if inception else 'layer1.0'}.{place}.taps."
    depthwise = ours[f"{taps}0"][1] == 1  # a KeyError says that these are not its tensors
    settings.need("num_segments", "temporal_stride", "blending")
    assert settings.temporal_stride is not None
    number = sum(re.fullmatch(rf"{re.escape(taps)}\d+", name) is not None for name in ours)
    tam = TAM(number, settings.blending or "sum", "reference", depthwise, place)
    ops = (tam, *pooling(settings.temporal_stride))
    return model_of(inception or resnet_of(ours), ops, ours, settings)


def _on_clips(pictures: Encoder, ours: Shapes, settings: Settings) -> Encoder:
    """The 3-D network of this one of pictures."""
    strides = settings.temporal_stride != "none"
    along_time = [shape for name, shape in ours.items() if re.search(r"conv\d?_t\.weight$", name)]
    depthwise = any(shape[1] == 1 for shape in along_time)
    if isinstance(pictures, GoogLeNetSpec):
        how = settings.temporal_stride if strides else settings.pooling
        on_googlenet = I3DInceptionSpec(
            *(pictures.in_channels, pictures.channels),
            temporal_stride=strides,
            reduce="mean" if how == "avg" else "max",
        )
        return S3DSpec(**vars(on_googlenet), depthwise=depthwise) if along_time else on_googlenet
    assert isinstance(pictures, ResNetSpec)
    on_resnet = I3DResNetSpec(
        pictures.depth, in_channels=pictures.in_channels, temporal_stride=strides
    )
    return S3DResNetSpec(**vars(on_resnet), depthwise=depthwise) if along_time else on_resnet


def _assumed(spec: ModelSpec, settings: Settings, _told: Told) -> tuple[str, ...]:
    """How frames are pooled where nothing says it, or where theirs are pooled otherwise."""
    if settings.temporal_stride in (None, "none"):
        has_pools = isinstance(spec.encoder, I3DInceptionSpec | S3DSpec)
        if has_pools and settings.pooling is None:
            return ("its poolings take the maximum, else --set pooling=avg",)
        return ()
    frames = spec.num_segments
    blends = any(isinstance(op, TAM) for op in spec.temporal)
    if not blends or frames % 8 == 0:
        return ()
    halved = ", ".join(str(-(-frames // n)) for n in (2, 4, 8))
    theirs = ", ".join(str(frames // n) for n in (2, 4, 8))
    return (
        f"{frames} frames are halved to {halved} for pooling and TAMs alike; the published code "
        f"tells its TAMs {theirs}, so that its scores are others",
    )


REPOSITORY = Repository(
    name="arp",
    recognises=_recognises,
    rename=rename,
    spec=_spec,
    told=told_by_arch,
    assumed=_assumed,
)
"""IBM's action-recognition-pytorch."""
