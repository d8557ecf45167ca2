"""One tiny specimen of every kind of model: an eighth to a quarter of the published width."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from marey.models import (
    GST,
    TAM,
    TSM,
    BLResNetSpec,
    BLVNetSpec,
    BNInceptionSpec,
    Divided,
    ECal,
    GoogLeNetSpec,
    GroupContext,
    Head,
    I3DInceptionSpec,
    I3DResNetSpec,
    Joint,
    LongTermDifference,
    MobileNetV2Spec,
    ModelSpec,
    MotionformerSpec,
    NonLocal,
    Nystrom,
    Orthoformer,
    Performer,
    R2Plus1DSpec,
    ResNetSpec,
    S3DResNetSpec,
    S3DSpec,
    TDNSpec,
    TemporalPool,
    Trajectory,
    VideoModel,
)
from marey.models.encoder import Encoder
from marey.models.encoders.attention import Attention
from marey.models.encoders.frame_attention import FrameAttention
from marey.models.sites import TemporalOp

R26, FLOW, MOBILE = (
    ResNetSpec(26, channels=16),
    ResNetSpec(26, in_channels=10, channels=16),
    MobileNetV2Spec(0.1),
)
BLR, BLV = BLResNetSpec(50, channels=16), BLVNetSpec(50, tam=TAM(init="reference"), channels=16)
TDN, I3D = TDNSpec(26, channels=16), I3DResNetSpec(26, channels=16)
BEFORE_CONV2 = ("after_bn2", "after_bn1", "after_bn1", "after_bn1")


def tiny(encoder: Encoder, *ops: TemporalOp, num_segments: int = 4) -> ModelSpec:
    return ModelSpec(encoder, ops, num_segments=num_segments, heads=(Head("label", 6),))


def transformer(attention: Attention, *, tubelet: int = 2) -> ModelSpec:
    spec = MotionformerSpec(attention, depth=2, width=32, num_heads=4, tubelet=tubelet)
    return replace(tiny(spec), dropout=0.0)


def trajectory(frames: FrameAttention) -> ModelSpec:
    return transformer(Trajectory(frames=frames), tubelet=1)


BLIND = {
    "tsn": tiny(R26),
    "tsn-basic-blocks": tiny(ResNetSpec(18, channels=16)),
    "tsn-resnext": tiny(ResNetSpec(26, groups=8, width_per_group=16, channels=16)),
    "tsn-flow": tiny(FLOW),
    "tsn-mobilenet": tiny(MOBILE),
    "tsn-blresnet": tiny(BLR),
    "tsn-bninception": tiny(BNInceptionSpec(channels=8)),
    "tsn-nl": tiny(R26, NonLocal()),
    "ecal-g-tsn": tiny(R26, GroupContext("G")),
    "ecal-s-tsn": tiny(R26, GroupContext("S")),
    "earlier-ecal-g-tsn": tiny(R26, ECal("G")),
    "earlier-ecal-s-tsn": tiny(R26, ECal("S", kernels="31")),
}
"""Those that take a clip for a heap of frames: whatever they mix over time forgets the order."""

ORDERED = {
    "tsm": tiny(R26, TSM()),
    "tsm-block": tiny(R26, TSM(4, "block_in")),
    "tsm-out": tiny(R26, TSM(place="block_out")),
    "tsm-past": tiny(R26, TSM(direction="past")),
    "tsm-flow": tiny(FLOW, TSM()),
    "tsm-nl": tiny(R26, TSM(), NonLocal()),
    "tsm-pool": tiny(R26, TSM(), TemporalPool()),
    "tsm-mobilenet": tiny(MOBILE, TSM()),
    "tsm-blresnet": tiny(BLR, TSM()),
    "pool": tiny(R26, TemporalPool(), TemporalPool(2, "mean")),
    "tsm-bninception": tiny(BNInceptionSpec(channels=8), TSM(place="block_in")),
    "tam-googlenet": tiny(GoogLeNetSpec(channels=8), TAM(init="reference", place="block_out")),
    "tam": tiny(R26, TAM(init="reference")),
    "tam-max-of-full": tiny(R26, TAM(4, "max", "reference", depthwise=False)),
    "gst": tiny(R26, GST()),
    "gst-large": tiny(R26, GST(beta=1)),
    "gst-mobilenet": tiny(MOBILE, GST()),
    "gc-tsn": tiny(R26, GroupContext()),
    "gc-tsm": tiny(R26, TSM(), GroupContext()),
    "gc-gst": tiny(R26, GST(), GroupContext(site="after_conv2", norm=False, loop=True)),
    "gc-mobilenet": tiny(MOBILE, GroupContext(loop=True)),
    "ecal-l-tsn": tiny(R26, GroupContext("L")),
    "ecal-t-tsn": tiny(R26, GroupContext("T")),
    "earlier-ecal-l-tsn": tiny(R26, ECal("L")),
    "earlier-ecal-t-tsm": tiny(R26, TSM(), ECal("T", kernels="31")),
    "tdn": tiny(TDN, LongTermDifference(), num_segments=2),
    "gc-tdn": tiny(TDN, LongTermDifference(), GroupContext(site=BEFORE_CONV2), num_segments=2),
    "i3d": tiny(I3D),
    "i3d-strided": tiny(I3DResNetSpec(18, channels=16, temporal_stride=True), num_segments=5),
    "i3d-nl": tiny(I3D, NonLocal()),
    "i3d-googlenet": tiny(I3DInceptionSpec(channels=8)),
    "s3d": tiny(S3DSpec(channels=8)),
    "r2plus1d": tiny(R2Plus1DSpec(channels=8), num_segments=8),
    "s3d-resnet": tiny(S3DResNetSpec(26, channels=8)),
    "blvnet": tiny(BLVNetSpec(50, tam=None, channels=16), num_segments=2),
    "blvnet-tam": tiny(BLV, num_segments=2),
    "blvnet-tam-flow": tiny(
        BLVNetSpec(50, alpha=4, beta=2, in_channels=10, channels=16), num_segments=3
    ),
    "motionformer": transformer(Trajectory()),
    "motionformer-corrected": transformer(Trajectory("corrected")),
    "motionformer-orthoformer": trajectory(Orthoformer(5)),
    "motionformer-nystrom": trajectory(Nystrom(5)),
    "motionformer-performer": trajectory(Performer(16)),
    "vit-divided": transformer(Divided()),
    "vit-joint": transformer(Joint()),
}
KINDS = BLIND | ORDERED
VARIANTS = (
    *("tsn-basic-blocks", "tsn-resnext", "tsn-nl", "tsm-block", "tsm-out", "tsm-past", "tsm-pool"),
    *("tsm-flow", "tsm-blresnet", "gst-mobilenet", "gc-mobilenet", "blvnet-tam-flow"),
    *("ecal-g-tsn", "ecal-s-tsn", "ecal-l-tsn", "ecal-t-tsn"),
    *("tsn-flow", "tsn-mobilenet", "gc-tsn", "gc-gst", "blvnet"),
    *("motionformer-corrected", "motionformer-nystrom", "vit-joint"),
    *("tsn-bninception", "tam-googlenet", "i3d-googlenet", "s3d-resnet"),
)
"""Kinds that are put together of modules of which others are made, too."""


def random_model(spec: ModelSpec) -> VideoModel:
    """A model, in float64, whose every weight matters: heads and norms are not at their start.

    Its norms have met a clip like `random_clip`, so that signals neither fade nor grow with depth.
    """
    torch.manual_seed(0)
    model = spec.build().double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1.0
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight)
    for name, parameter in model.named_parameters():
        if ".taps." in name:
            nn.init.normal_(parameter, mean=0.3, std=0.5 / parameter[0].numel() ** 0.5)
        elif name.endswith("temp_embed"):
            nn.init.normal_(parameter)
    with torch.no_grad():
        model(random_clip(spec, batch=2, seed=99))
    return model.eval()


def random_clip(spec: ModelSpec, batch: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, spec.frames, spec.encoder.in_channels, 32, 32)
    return torch.randn(shape, generator=generator, dtype=torch.float64)
