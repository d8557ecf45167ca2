"""The official ImageNet weights: which file an encoder starts from.

These are the weights that the papers start from ("IMAGENET1K_V1"), not the newer ones.
"""

from __future__ import annotations

from marey.engine.weights.published import PublishedFile
from marey.errors import CheckpointError
from marey.models.encoder import Encoder
from marey.models.encoders.blresnet import BLResNetSpec
from marey.models.encoders.blvnet import BLVNetSpec
from marey.models.encoders.bninception import BNInceptionSpec
from marey.models.encoders.googlenet import GoogLeNetSpec
from marey.models.encoders.inception_v3 import InceptionV3Spec
from marey.models.encoders.mobilenet import MobileNetV2Spec
from marey.models.encoders.motionformer import MotionformerSpec
from marey.models.encoders.r2plus1d import R2Plus1DSpec
from marey.models.encoders.resnet import ResNetSpec
from marey.models.encoders.rgb_difference import RGBDifferenceSpec
from marey.models.encoders.tdn import TDNSpec

_SERVER = "https://download.pytorch.org/models/"
_TIMM = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-vitjx/"


def _torchvision(name: str, digits: str, mebibytes: float, older: str = "") -> PublishedFile:
    file = f"{name}-{digits}.pth"
    return PublishedFile(
        name=name,
        file=file,
        older=f"{name}-{older}.pth" if older else "",
        url=_SERVER + file,
        mebibytes=mebibytes,
        licence="BSD-3-Clause",
        source="torchvision 0.29.1, models/resnet.py, mobilenetv2.py, googlenet.py, inception.py",
    )


def _pretrainedmodels() -> PublishedFile:
    """BN-Inception as Caffe trained it, which TSN and TSM start from."""
    server = "http://data.lip6.fr/cadene/pretrainedmodels/"
    file = "bn_inception-52deb4733.pth"
    return PublishedFile(
        name="bn_inception",
        file=file,
        page=f"{server}{file}, which is not to be had by https",
        licence="BSD-3-Clause",
        source="pretrainedmodels/models/bninception.py of Cadene/pretrained-models.pytorch",
    )


def _timm(name: str, file: str) -> PublishedFile:
    """A ViT of Google's as timm first published it: what Motionformer starts from."""
    return PublishedFile(
        name=name,
        file=file,
        url=_TIMM + file,
        licence="Apache-2.0",
        source="release v0.1-vitjx of rwightman/pytorch-image-models",
    )


def _biglittle(name: str) -> PublishedFile:
    """A bLResNet as IBM/BigLittleNet published it: what bLVNet starts from."""
    page = "the README of IBM/BigLittleNet links it"
    return PublishedFile(name=name, file=f"ImageNet-{name}.pth.tar", page=page, source=page)


OFFICIAL = {
    official.name: official
    for official in (
        _torchvision("resnet18", "f37072fd", 44.661, "5c106cde"),
        _torchvision("resnet34", "b627a593", 83.275, "333f7ec4"),
        _torchvision("resnet50", "0676ba61", 97.781, "19c8e357"),
        _torchvision("resnet101", "63fe2227", 170.511, "5d3b4d8f"),
        _torchvision("resnet152", "394f9c45", 230.434, "b121ed2d"),
        _torchvision("resnext50_32x4d", "7cdf4587", 95.789),
        _torchvision("resnext101_32x8d", "8ba56ff5", 339.586),
        _torchvision("wide_resnet50_2", "95faca4d", 131.82),
        _torchvision("wide_resnet101_2", "32ee1156", 242.896),
        _torchvision("mobilenet_v2", "b0353104", 13.555),
        _torchvision("googlenet", "1378be20", 49.731),
        _torchvision("inception_v3_google", "0cc3c7bd", 103.903, "1a9a5a14"),
        _pretrainedmodels(),
        _timm("vit_base_patch16_224", "jx_vit_base_p16_224-80ecf9dd.pth"),
        _timm("vit_large_patch16_224", "jx_vit_large_p16_224-4ee7a4dc.pth"),
        _biglittle("bLResNet-50-a2-b4"),
        _biglittle("bLResNet-101-a2-b4"),
    )
}


def official_for(encoder: Encoder) -> PublishedFile:
    """The official weights of the encoder's picture network; CheckpointError if there are none."""
    name = ""
    match encoder:
        case RGBDifferenceSpec(encoder=pictures):
            return official_for(pictures)
        case R2Plus1DSpec():
            pass  # between its filters stand other channels than a picture network has
        case ResNetSpec(depth=depth, groups=groups, width_per_group=width, channels=64):
            kind = {(1, 64): "resnet{}", (1, 128): "wide_resnet{}_2"}
            name = kind.get((groups, width), "resnext{}_" + f"{groups}x{width}d").format(depth)
        case TDNSpec(depth=depth, channels=64):
            name = f"resnet{depth}"
        case GoogLeNetSpec(channels=64):
            name = "googlenet"
        case InceptionV3Spec(channels=32):
            name = "inception_v3_google"
        case BNInceptionSpec(channels=64):
            name = "bn_inception"
        case MobileNetV2Spec(width=1.0):
            name = "mobilenet_v2"
        case MotionformerSpec(depth=12, width=768, patch=16, mlp_ratio=4, qkv_bias=True):
            name = "vit_base_patch16_224"
        case MotionformerSpec(depth=24, width=1024, patch=16, mlp_ratio=4, qkv_bias=True):
            name = "vit_large_patch16_224"
        case (
            BLVNetSpec(depth=50 | 101, alpha=2, beta=4, channels=64)
            | BLResNetSpec(depth=50 | 101, alpha=2, beta=4, groups=1, channels=64)
        ):
            name = f"bLResNet-{encoder.depth}-a{encoder.alpha}-b{encoder.beta}"
    if name in OFFICIAL:
        return OFFICIAL[name]
    raise CheckpointError(
        f"there are no official ImageNet weights for {encoder}", "give a file (--weights FILE)"
    )
