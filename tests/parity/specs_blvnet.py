"""bLVNet-TAM, BigLittleNet and action-recognition-pytorch: their arguments as a `ModelSpec`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marey.convert.arp import pooling
from marey.models import TAM, BLResNetSpec, BLVNetSpec, Head, I3DResNetSpec, ModelSpec, ResNetSpec
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
    known(config, ARP)
    only(config, {"temporal_module_name": (None, "TSN", "TAM")})
    ops: tuple[TemporalOp, ...] = ()
    if config.get("temporal_module_name") == "TAM":
        depthwise = config.get("dw_conv", not config.get("no_dw_conv", False))
        taps, method = config.get("blending_frames", 3), config.get("blending_method", "sum")
        ops += (TAM(taps, method.lower(), depthwise=depthwise),)
    if not config.get("without_t_stride", False):
        ops += pooling(config.get("pooling_method", "max").lower())
    return arp_model(config, ResNetSpec(config["depth"], in_channels=_channels(config)), ops)


def arp_i3d_resnet(golden: Golden) -> ModelSpec:
    """The arguments of the TAM and of pooling are stored but mean nothing to it."""
    config = golden.config
    known(config, ARP)
    encoder = I3DResNetSpec(
        config["depth"],
        in_channels=_channels(config),
        temporal_stride=not config.get("without_t_stride", False),
    )
    return arp_model(config, encoder, ())


def _channels(config: Mapping[str, Any]) -> int:
    """Of a frame: RGB, or five (x, y) of flow."""
    of_modality = 10 if config.get("modality", "rgb").lower() == "flow" else 3
    return int(config.get("input_channels", of_modality))


def arp_model(
    config: Mapping[str, Any], encoder: ResNetSpec, ops: tuple[TemporalOp, ...]
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
