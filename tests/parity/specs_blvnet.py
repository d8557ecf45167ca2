"""bLVNet-TAM, BigLittleNet and action-recognition-pytorch: their arguments as a `ModelSpec`."""

from __future__ import annotations

from marey.models import TAM, BLResNetSpec, BLVNetSpec, Head, ModelSpec
from tests.parity.golden import Golden

BLVNET = {
    *("depth", "alpha", "beta", "groups", "num_classes", "dropout", "blending_frames"),
    *("input_channels", "pretrained", "dataset", "imagenet_blnet_pretrained", "model_name"),
    "tam",
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
            config["alpha"],
            config["beta"],
            config.get("input_channels", 3),
            TAM(config.get("blending_frames", 3)) if config.get("tam", True) else None,
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
            config["alpha"],
            config["beta"],
            config.get("cardinality", 1),
            config.get("basewidth", 64),
        ),
        num_segments=1,
        heads=(Head("label", config.get("num_classes", 1000)),),
    )


def known(config: dict[str, object], keys: set[str]) -> None:
    unknown = set(config) - keys
    assert not unknown, f"no rule for config {sorted(unknown)}"
