"""bLVNet-TAM, BigLittleNet and action-recognition-pytorch: their arguments as a `ModelSpec`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from marey.convert.arp import pooling
from marey.models import (
    TAM,
    BLResNetSpec,
    BLVNetSpec,
    GoogLeNetSpec,
    Head,
    I3DInceptionSpec,
    I3DResNetSpec,
    ModelSpec,
    ResNetSpec,
    S3DResNetSpec,
    S3DSpec,
)
from marey.models.encoder import Encoder
from marey.models.sites import TemporalOp
from tests.parity.golden import Golden
from tests.parity.options import check_known, only

BLVNET = {
    *("depth", "alpha", "beta", "groups", "num_classes", "dropout", "blending_frames"),
    *("input_channels", "modality", "tam", "frames_per_group"),
}
ARP = {
    *("num_classes", "dropout", "without_t_stride", "pooling_method", "groups", "depth"),
    *("temporal_module_name", "dw_conv", "blending_frames", "blending_method", "dw_t_conv"),
    *("backbone_net", "frames_per_group", "modality", "input_channels", "no_dw_conv"),
    *("network_name", "prefix", "threed_data"),
}
BLRESNET = {"depth", "alpha", "beta", "num_classes", "basewidth", "cardinality"}
INERT = {
    *("dataset", "model_name", "blending_method", "partial_freeze_bn", "input_shape", "dw_conv"),
    *("disable_scaleup", "dense_sampling", "random_sampling", "consensus"),
    *("batch_size", "lr", "lr_scheduler", "lr_steps", "momentum", "wd", "weight_decay", "epochs"),
    *("nesterov", "clip_gradient", "start_epoch", "resume", "evaluate", "datadir", "logdir"),
    *("workers", "gpu", "print_freq", "show_model", "num_crops", "num_clips", "augmentor_ver"),
    *("mean", "std", "sync_bn", "multiprocessing_distributed", "pretrained"),
    *("imagenet_blnet_pretrained", "imagenet_pretrained", "no_imagenet_pretrained"),
}
"""What the constructors store and never ask, what is said of data and training, and which weights
they begin with, in whose place a golden file has its own."""


def blvnet(golden: Golden) -> ModelSpec:
    """`groups` counts frames; without TAM is a golden file's own option."""
    config = golden.config
    known(config, BLVNET)
    only(config, {"frames_per_group": (1,)})
    tam = TAM(config.get("blending_frames", 3)) if config.get("tam", True) else None
    return ModelSpec(
        encoder=BLVNetSpec(
            config.get("depth", 50),
            alpha=config.get("alpha", 2),
            beta=config.get("beta", 4),
            in_channels=_channels(config),
            tam=tam,
        ),
        num_segments=config.get("groups", 16) // 2,
        heads=(Head("label", config.get("num_classes", 1000)),),
        dropout=config.get("dropout", 0.5),
    )


def blresnet(golden: Golden) -> ModelSpec:
    """One picture, a clip of one frame."""
    config = golden.config
    known(config, BLRESNET)
    return ModelSpec(
        encoder=BLResNetSpec(
            config.get("depth", 50),
            alpha=config["alpha"],
            beta=config["beta"],
            groups=config.get("cardinality", 1),
            width_per_group=config.get("basewidth", 64),
        ),
        num_segments=1,
        heads=(Head("label", config.get("num_classes", 1000)),),
    )


def arp_resnet(golden: Golden) -> ModelSpec:
    """TSN or TAM-ResNet; `groups` counts frames."""
    config = golden.config
    encoder = ResNetSpec(config["depth"], in_channels=_channels(config))
    return arp_model(config, encoder, _arp_ops(config, "residual_in"))


def arp_inception(golden: Golden) -> ModelSpec:
    """TSN or TAM on GoogLeNet."""
    encoder = GoogLeNetSpec(_channels(golden.config))
    return arp_model(golden.config, encoder, _arp_ops(golden.config, "block_out"))


def _arp_ops(
    config: Mapping[str, Any], place: Literal["residual_in", "block_out"]
) -> tuple[TemporalOp, ...]:
    known(config, ARP)
    only(config, {"temporal_module_name": (None, "TSN", "TAM")})
    ops: tuple[TemporalOp, ...] = ()
    if config.get("temporal_module_name") == "TAM":
        depthwise = config.get("dw_conv", not config.get("no_dw_conv", False))
        taps, method = config.get("blending_frames", 3), config.get("blending_method", "sum")
        ops += (TAM(taps, method.lower(), depthwise=depthwise, place=place),)
    if not config.get("without_t_stride", False):
        ops += pooling(config.get("pooling_method", "max").lower())
    return ops


def arp_on_clips(golden: Golden) -> ModelSpec:
    """A 3-D network; the arguments of the TAM mean nothing to it."""
    config = golden.config
    known(config, ARP)
    channels, strides = _channels(config), not config.get("without_t_stride", False)
    separable = {"depthwise": config.get("dw_t_conv", False)} if "s3d" in golden.builder else {}
    if golden.builder in ("arp.i3d", "arp.s3d"):
        on_googlenet = I3DInceptionSpec if golden.builder == "arp.i3d" else S3DSpec
        reduce = "mean" if config.get("pooling_method", "max").lower() == "avg" else "max"
        encoder = on_googlenet(channels, temporal_stride=strides, reduce=reduce, **separable)
        return arp_model(config, encoder, ())
    on_resnet = I3DResNetSpec if golden.builder == "arp.i3d_resnet" else S3DResNetSpec
    of = {"in_channels": channels, "temporal_stride": strides, **separable}
    return arp_model(config, on_resnet(config["depth"], **of), ())


def _channels(config: Mapping[str, Any]) -> int:
    """Of a frame: RGB, or five (x, y) of flow."""
    of_modality = 10 if config.get("modality", "rgb").lower() == "flow" else 3
    return int(config.get("input_channels", of_modality))


def arp_model(
    config: Mapping[str, Any], encoder: Encoder, ops: tuple[TemporalOp, ...]
) -> ModelSpec:
    """Heads, frames and dropout are those of every model."""
    heads = (Head("label", config.get("num_classes", 1000)),)
    return ModelSpec(
        encoder,
        ops,
        num_segments=config["groups"],
        heads=heads,
        dropout=config.get("dropout", 0.5),
    )


def known(config: Mapping[str, object], keys: set[str]) -> None:
    """AssertionError for an option nobody knows."""
    check_known(config, {*keys, *INERT})
