"""action-recognition-pytorch: TSN, TAM-ResNet and I3D-ResNet, with torchvision's names.

layer1.0.tam.prev_se.fc1.weight     the TAM before the first convolution of every block; taps other
layer1.0.tam.blending_layers.0.fc1  than three are counted
conv1, layer1.0.conv2: [o i 3 k k]  I3D
pool1                               the pooling before layer2, which has no tensors
fc                                  the classifier

Its TSN has the tensors of a picture network and is recognised as torchvision's.
"""

from __future__ import annotations

import re
from typing import Literal

from marey.convert.blvnet import num_taps, with_counted_taps
from marey.convert.naming import told_by_arch
from marey.convert.repository import Repository, Settings, Shapes, Told, by_rules
from marey.convert.shapes import model_of, resnet_of
from marey.convert.tsm import encoder_or_head
from marey.models.encoder import Encoder
from marey.models.encoders.i3d import I3DResNetSpec
from marey.models.sites import TemporalOp
from marey.models.temporal.tam import TAM
from marey.models.temporal.temporal_pool import TemporalPool
from marey.models.video_model import ModelSpec


def rename(name: str) -> str | None:
    """Our name of one of its tensors or modules."""
    name = re.sub(r"^pool(\d)$", lambda m: f"layer{int(m[1]) + 1}.0.stage_in", name)
    return encoder_or_head(with_counted_taps(by_rules(name, {"tam": "residual_in"})))


def pooling(how: Literal["none", "max", "avg"]) -> tuple[TemporalOp, ...]:
    """Half the frames before each of the last three stages: what a temporal stride is in 2-D."""
    if how == "none":
        return ()
    return tuple(TemporalPool(stage, "max" if how == "max" else "mean") for stage in (1, 2, 3))


def _recognises(shapes: Shapes) -> bool:
    has_tam = re.compile(r"layer1\.0\.tam\.(curr_se|blending_layers\.0)\.fc1\.weight")
    is_i3d = len(shapes.get("layer1.0.conv2.weight", ())) == 5 and "fc.weight" in shapes
    return is_i3d or any(map(has_tam.fullmatch, shapes))


def _spec(ours: Shapes, shapes: Shapes, settings: Settings) -> ModelSpec:
    is_i3d = len(shapes["layer1.0.conv2.weight"]) == 5
    settings.need("num_segments", "temporal_stride", *([] if is_i3d else ["blending"]))
    assert settings.temporal_stride is not None
    resnet = resnet_of(ours)
    encoder: Encoder = resnet
    ops: tuple[TemporalOp, ...] = ()
    if is_i3d:
        encoder = I3DResNetSpec(
            resnet.depth,
            in_channels=resnet.in_channels,
            temporal_stride=settings.temporal_stride != "none",
        )
    else:
        depthwise = ours["encoder.layer1.0.residual_in.taps.0"][1] == 1
        tam = TAM(num_taps(ours), settings.blending or "sum", "reference", depthwise)
        ops = (tam, *pooling(settings.temporal_stride))
    return model_of(encoder, ops, ours, settings)


def _assumed(spec: ModelSpec, settings: Settings, _told: Told) -> tuple[str, ...]:
    """How an odd number of frames is halved, where a TAM would be told another."""
    frames = spec.num_segments
    blends = any(isinstance(op, TAM) for op in spec.temporal)
    if settings.temporal_stride in (None, "none") or not blends or frames % 8 == 0:
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
"""IBM's action-recognition-pytorch, less its Inception, I3D-GoogLeNet and S3D networks."""
