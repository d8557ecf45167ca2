"""The official ImageNet weights: which file an encoder starts from, where it lies, how to get it.

Torchvision's and timm's files carry the first eight digits of their SHA-256 in their name. They are
looked for, in this order, in the folder that MAREY_WEIGHTS names, in ~/.cache/marey, in the cache
of torch.hub and in installed packages; only `download` goes to the network. These are the weights
that the papers start from ("IMAGENET1K_V1"), not the newer ones.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from importlib.metadata import distributions
from pathlib import Path

import torch

from marey.errors import CheckpointError, did_you_mean
from marey.models.encoder import Encoder
from marey.models.encoders.blresnet import BLResNetSpec
from marey.models.encoders.blvnet import BLVNetSpec
from marey.models.encoders.mobilenet import MobileNetV2Spec
from marey.models.encoders.motionformer import MotionformerSpec
from marey.models.encoders.resnet import ResNetSpec
from marey.models.encoders.rgb_difference import RGBDifferenceSpec
from marey.models.encoders.tdn import TDNSpec
from marey.recipes.recipe import Recipe
from marey.storage.asking import patience

_SERVER = "https://download.pytorch.org/models/"
_TIMM = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-vitjx/"


@dataclass(frozen=True)
class Official:
    """A file of weights, once named `older`; without a `url` it has to be fetched by hand."""

    name: str
    file: str
    older: str = ""
    url: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """Every name that the file may have."""
        return tuple(filter(None, (self.file, self.older)))

    @property
    def digits(self) -> tuple[str, ...]:
        """The first digits of its SHA-256, by each of its names."""
        return tuple(Path(file).stem.rpartition("-")[2] for file in self.files)

    @property
    def how(self) -> str:
        """How to get it, in words."""
        if self.url:
            return f"marey weights get {self.name}, or from {self.url}"
        return "by hand: the README of IBM/BigLittleNet links it"


def _torchvision(name: str, digits: str, older: str = "") -> Official:
    file = f"{name}-{digits}.pth"
    return Official(name, file, f"{name}-{older}.pth" if older else "", _SERVER + file)


def _timm(name: str, file: str) -> Official:
    """A ViT of Google's as timm first published it: what Motionformer starts from."""
    return Official(name, file, url=_TIMM + file)


def _biglittle(name: str) -> Official:
    """A bLResNet as IBM/BigLittleNet published it: what bLVNet starts from."""
    return Official(name, f"ImageNet-{name}.pth.tar")


OFFICIAL = {
    official.name: official
    for official in (
        _torchvision("resnet18", "f37072fd", "5c106cde"),
        _torchvision("resnet34", "b627a593", "333f7ec4"),
        _torchvision("resnet50", "0676ba61", "19c8e357"),
        _torchvision("resnet101", "63fe2227", "5d3b4d8f"),
        _torchvision("resnet152", "394f9c45", "b121ed2d"),
        _torchvision("resnext50_32x4d", "7cdf4587"),
        _torchvision("resnext101_32x8d", "8ba56ff5"),
        _torchvision("wide_resnet50_2", "95faca4d"),
        _torchvision("wide_resnet101_2", "32ee1156"),
        _torchvision("mobilenet_v2", "b0353104"),
        _timm("vit_base_patch16_224", "jx_vit_base_p16_224-80ecf9dd.pth"),
        _timm("vit_large_patch16_224", "jx_vit_large_p16_224-4ee7a4dc.pth"),
        _biglittle("bLResNet-50-a2-b4"),
        _biglittle("bLResNet-101-a2-b4"),
    )
}


def starting_weights(recipe: Recipe) -> Path | None:
    """The file that the recipe starts from, or None; CheckpointError says where to put it."""
    if not recipe.weights:
        return None
    if recipe.weights == "imagenet":
        return find(official_for(recipe.model.encoder))
    if recipe.weights.startswith("from:"):
        source = recipe.weights.removeprefix("from:")
        raise CheckpointError(
            f"{recipe.name} starts from the weights of {source}",
            f"train that, or convert its published checkpoint, and give them: --weights FILE; "
            f"marey recipes show {source} explains it",
        )
    return Path(recipe.weights)


def official_for(encoder: Encoder) -> Official:
    """The official weights of the encoder's picture network; CheckpointError if there are none."""
    name = ""
    match encoder:
        case RGBDifferenceSpec(encoder=pictures):
            return official_for(pictures)
        case ResNetSpec(depth=depth, groups=groups, width_per_group=width, channels=64):
            kind = {(1, 64): "resnet{}", (1, 128): "wide_resnet{}_2"}
            name = kind.get((groups, width), "resnext{}_" + f"{groups}x{width}d").format(depth)
        case TDNSpec(depth=depth, channels=64):
            name = f"resnet{depth}"
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
        f"there are no official ImageNet weights for {encoder}", "give a file: --weights FILE"
    )


def named(name: str) -> Official:
    """The official weights of this name; CheckpointError suggests the nearest."""
    if name not in OFFICIAL:
        raise CheckpointError(
            f"there are no official weights '{name}'", did_you_mean(name, OFFICIAL)
        )
    return OFFICIAL[name]


def find(official: Official) -> Path:
    """Where the file lies on this machine, its checksum verified; nothing is downloaded.

    Raises:
        CheckpointError: it is not here, and where to put it; or it is damaged.
    """
    if (path := local_file(official)) is not None:
        return path
    raise CheckpointError(
        f"the ImageNet weights {official.file} are not on this machine",
        f"get them ({official.how}) and put the file into {download_folder()}",
    )


def local_file(official: Official) -> Path | None:
    """Where the file lies, or None; CheckpointError if it is damaged."""
    path = next((path for path in _candidates(official) if path.is_file()), None)
    if path is not None:
        _verify(path, official)
    return path


def download(official: Official, folder: Path | None = None) -> Path:
    """Fetch the file into `folder`, by default `download_folder()`; the path, once it is checked.

    A bar on standard error shows how far it is.

    Raises:
        CheckpointError: there is no plain download, no network, or another file at its place.
    """
    folder = folder or download_folder()
    if not official.url:
        raise CheckpointError(
            f"{official.file} is not to be had by a plain download",
            f"get it ({official.how}) and put it into {folder}",
        )
    path = folder / official.file
    if path.is_file():
        _verify(path, official)
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        wait = patience()
        with _socket_timeout(min(wait.read_seconds, wait.seconds)):
            torch.hub.download_url_to_file(official.url, str(path), official.digits[0])
    except (OSError, ValueError, HTTPException, RuntimeError) as error:  # the last: its checksum
        raise CheckpointError(
            f"{official.url} could not be downloaded: {error}",
            f"fetch {official.file} where there is a network and put it into {folder}",
        ) from error
    return path


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """A time limit for servers that say nothing, since torch.hub has none of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def download_folder() -> Path:
    """Where downloads go, and where a person may put a file."""
    return Path(os.environ.get("MAREY_WEIGHTS") or Path.home() / ".cache" / "marey")


def _candidates(official: Official) -> Iterator[Path]:
    folders = (
        download_folder(),
        Path.home() / ".cache" / "marey",
        Path(torch.hub.get_dir()) / "checkpoints",
    )
    for folder in folders:
        yield from (folder / file for file in official.files)
    for distribution in distributions():
        for file in distribution.files or ():
            if file.name in official.files:
                yield Path(str(distribution.locate_file(file)))


def _verify(path: Path, official: Official) -> None:
    if not official.url:  # then its name has no digits
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(official.digits):
        raise CheckpointError(
            f"{path} is not {official.file}: its SHA-256 begins with {digest[:8]}, "
            f"expected {official.digits[0]}",
            "it is cut short or another file; delete it and get it again",
        )
