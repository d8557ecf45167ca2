"""bLVNet-TAM, BigLittleNet and action-recognition-pytorch: their arguments as a `ModelSpec`."""

from __future__ import annotations

from typing import Any

from marey.convert.arp import pooling
from marey.models import TAM, BLResNetSpec, BLVNetSpec, Head, I3DResNetSpec, ModelSpec, ResNetSpec
from marey.models.sites import TemporalOp
from tests.parity.golden import Golden

BLVNET = {
    *("depth", "alpha", "beta", "groups", "num_classes", "dropout", "blending_frames"),
    *("input_channels", "pretrained", "dataset", "imagenet_blnet_pretrained", "model_name"),
    "tam",
}
ARP = {
    *("num_classes", "dropout", "without_t_stride", "pooling_method", "groups", "depth"),
    *("temporal_module_name", "dw_conv", "blending_frames", "blending_method", "dw_t_conv"),
    *("imagenet_pretrained", "backbone_net", "network_name"),
}
BLRESNET = {"depth", "alpha", "beta", "num_classes", "basewidth", "cardinality"}


def blvnet(golden: Golden) -> ModelSpec:
    """`groups` counts frames; without TAM is a golden file's own option."""
    config = golden.config
    known(config, BLVNET)
    assert not config.get("pretrained")
    assert not config.get("imagenet_blnet_pretrained")
    return ModelSpec(
        encoder=BLVNetSpec(
            config["depth"],
            alpha=config["alpha"],
            beta=config["beta"],
            in_channels=config.get("input_channels", 3),
            tam=TAM(config.get("blending_frames", 3)) if config.get("tam", True) else None,
        ),
        num_segments=config["groups"] // 2,
        heads=(Head("label", config["num_classes"]),),
        dropout=config["dropout"],
    )


def blresnet(golden: Golden) -> ModelSpec:
    """One picture, a clip of one frame."""
    config = golden.config
    known(config, BLRESNET)
    return ModelSpec(
        encoder=BLResNetSpec(
            config["depth"],
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
    ops: tuple[TemporalOp, ...] = ()
    if config.get("temporal_module_name") not in (None, "TSN"):
        assert config["temporal_module_name"] == "TAM"
        ops += (
            TAM(config["blending_frames"], config["blending_method"], depthwise=config["dw_conv"]),
        )
    if not config["without_t_stride"]:
        ops += pooling(config["pooling_method"].lower())
    return arp_model(config, ResNetSpec(config["depth"]), ops)


def arp_i3d_resnet(golden: Golden) -> ModelSpec:
    """The arguments of the TAM and of pooling are stored but mean nothing to it."""
    config = golden.config
    known(config, ARP)
    encoder = I3DResNetSpec(config["depth"], temporal_stride=not config["without_t_stride"])
    return arp_model(config, encoder, ())


def arp_model(
    config: dict[str, Any], encoder: ResNetSpec, ops: tuple[TemporalOp, ...]
) -> ModelSpec:
    assert not config.get("imagenet_pretrained")
    heads = (Head("label", config["num_classes"]),)
    return ModelSpec(
        encoder, ops, num_segments=config["groups"], heads=heads, dropout=config["dropout"]
    )


def known(config: dict[str, object], keys: set[str]) -> None:
    unknown = set(config) - keys
    assert not unknown, f"no rule for config {sorted(unknown)}"
