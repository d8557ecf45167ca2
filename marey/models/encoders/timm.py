"""Any CNN of timm as a frame encoder: an extra, `pip install marey[timm]`.

    ModelSpec(TimmSpec("convnext_tiny"), (TSM(),))

The network is timm's own. Its residual blocks are known by module and class (`_BLOCKS`). An op that
stands beside one of their layers is put in a sequence with it, under the name of the layer:

    blocks.1.0.conv_pw.weight  ->  blocks.1.0.conv_pw.layer.weight, blocks.1.0.conv_pw.residual_in.*

All known blocks have stage_in, block_in, residual_in and block_out, those of ResNet inner sites
too. A stage is a run of blocks that timm keeps in one container. timm needs a torchvision made for
the torch that is installed; without one it does not import.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from marey.models.encoder import EncoderModule
from marey.models.layout import cells, fold_time, unfold_time
from marey.models.sites import SITES, Block, Site, TemporalOp, numbered, site_modules
from marey.types import Clip, check_counts


@dataclass(frozen=True)
class TimmSpec:
    """The network that timm knows by `name`, less its classifier, with fresh weights.

    Start it with `VideoModel.load_encoder(timm.create_model(name, pretrained=True).state_dict())`.
    """

    name: str = "convnext_tiny"
    in_channels: int = 3

    def __post_init__(self) -> None:
        check_counts(in_channels=self.in_channels)

    frames_per_segment: ClassVar[int] = 1

    def build(self, temporal: Sequence[TemporalOp], num_segments: int) -> TimmEncoder:
        """The encoder with `temporal` placed in its blocks; ValueError if timm or it is missing."""
        return TimmEncoder(self, temporal, num_segments)

    def create(self) -> nn.Module:
        """timm's network, untouched."""
        try:
            import timm
        except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision of another torch
            raise ValueError(
                f"timm cannot be imported ({error}); `pip install marey[timm]`, with "
                "a torchvision made for this torch"
            ) from error
        if not timm.is_model(self.name):
            raise ValueError(f"name is '{self.name}', expected one of timm.list_models()")
        network: nn.Module = timm.create_model(self.name, num_classes=0, in_chans=self.in_channels)
        return network


class TimmEncoder(EncoderModule):
    """Frame features of clips: [b t c h w] -> [b t' d]; t' < t where time is pooled."""

    def __init__(self, spec: TimmSpec, temporal: Sequence[TemporalOp], num_frames: int) -> None:
        super().__init__()
        self.network = spec.create()
        self.classifiers = _classifiers(self.network)
        with torch.device("meta"):
            calls, self.num_features = _trace(spec.create().eval(), spec.in_channels)
        self.paths = [call.path for call in calls]
        blocks = _blocks(calls, temporal, num_frames)
        if temporal and not blocks:
            raise ValueError(
                f"timm's '{spec.name}' has no block that is known here; known are "
                f"{', '.join(_BLOCKS)}"
            )
        self.surrounded: list[str] = []
        for call, sites in zip(calls, site_modules(temporal, blocks), strict=True):
            self._put(call.path, sites)
        self.num_frames = blocks[-1].num_frames if blocks else num_frames

    def forward(self, clip: Clip) -> Tensor:
        """Features [b t' d] of clips [b t c h w]."""
        return unfold_time(self.network(fold_time(clip)), self.num_frames)

    def tokens(self, clip: Clip) -> Tensor:
        """Cells or patches before they are pooled: [b t c h w] -> [b t' n d].

        ValueError of a network that has other features there.
        """
        x: Tensor = self.network.forward_features(fold_time(clip))  # type: ignore[operator]
        if x.ndim == 4 and x.shape[1] == self.num_features:
            return cells(x, self.num_frames)
        if x.ndim == 3 and x.shape[2] == self.num_features:
            return unfold_time(
                x[:, getattr(self.network, "num_prefix_tokens", 0) :], self.num_frames
            )
        raise ValueError(
            f"this network of timm's gives {list(x.shape)} before it pools, expected cells or "
            f"patches of {self.num_features} numbers. hint: a neck over frames"
        )

    def from_image_model(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """timm's own `weights`, less the classifier's, under the names that layers have here."""
        return {
            self._renamed(key): weight
            for key, weight in weights.items()
            if not key.startswith(self.classifiers)
        }

    def blocks_by_stage(self) -> list[list[nn.Module]]:
        """Its known blocks, with the ops around them, by the containers that timm keeps them in."""
        runs = groupby(self.paths, lambda path: path.rpartition(".")[0])
        return [[self.network.get_submodule(path) for path in run] for _, run in runs]

    def _renamed(self, key: str) -> str:
        for path in self.surrounded:  # layers stand before the block they are in
            if key.startswith(f"{path}."):
                key = f"{path}.layer{key.removeprefix(path)}"
        return f"network.{key}"

    def _put(self, path: str, sites: Mapping[Site, nn.Module]) -> None:
        block = self.network.get_submodule(path)
        if "conv2" in sites:
            block.conv2 = sites["conv2"]
        for name, order in _BLOCKS[_kind(block)].items():
            self._surround(f"{path}.{name}", order, sites)
        self._surround(path, _OUTSIDE, sites)

    def _surround(self, path: str, order: Sequence[str], sites: Mapping[Site, nn.Module]) -> None:
        modules: dict[str, nn.Module] = {at: sites[at] for at in SITES if at in sites}
        if not any(at in modules for at in order):
            return
        modules["layer"] = self.network.get_submodule(path)
        parent, _, name = path.rpartition(".")
        sequence = nn.Sequential(OrderedDict((at, modules[at]) for at in order if at in modules))
        setattr(self.network.get_submodule(parent), name, sequence)
        self.surrounded.append(path)


# Layers of a kind of block, and what may stand before and after each.
_RESNET = {
    "conv1": ("residual_in", "layer"),
    "act1": ("after_bn1", "layer", "after_relu1"),
}
_BLOCKS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "resnet.BasicBlock": _RESNET,
    "resnet.Bottleneck": _RESNET
    | {"conv2": ("layer", "after_conv2"), "act2": ("after_bn2", "layer")},
    "regnet.Bottleneck": {"conv1": ("residual_in", "layer")},
    "res2net.Bottle2neck": {"conv1": ("residual_in", "layer")},
    "resnest.ResNestBottleneck": {"conv1": ("residual_in", "layer")},
    "convnext.ConvNeXtBlock": {"conv_dw": ("residual_in", "layer")},
    "inception_next.MetaNeXtBlock": {"token_mixer": ("residual_in", "layer")},
    "_efficientnet_blocks.DepthwiseSeparableConv": {"conv_dw": ("residual_in", "layer")},
    "_efficientnet_blocks.EdgeResidual": {"conv_exp": ("residual_in", "layer")},
    "_efficientnet_blocks.InvertedResidual": {"conv_pw": ("residual_in", "layer")},
    "_efficientnet_blocks.UniversalInvertedResidual": {"dw_start": ("residual_in", "layer")},
}
_OUTSIDE = ("stage_in", "block_in", "layer", "block_out")


class _Call(NamedTuple):
    """A block as it was met when the network ran once."""

    path: str
    block: nn.Module
    in_channels: int
    out_channels: int
    stride: int


def _kind(block: nn.Module) -> str:
    return f"{type(block).__module__.rpartition('.')[2]}.{type(block).__name__}"


def _trace(network: nn.Module, in_channels: int) -> tuple[list[_Call], int]:
    """The known blocks in the order in which they run, and the number of features."""
    paths = {block: path for path, block in network.named_modules() if _kind(block) in _BLOCKS}
    calls: list[_Call] = []

    def met(block: nn.Module, args: tuple[Tensor], y: Tensor) -> None:
        x, stride = args[0], args[0].shape[2] // y.shape[2]
        calls.append(_Call(paths[block], block, x.shape[1], y.shape[1], stride))

    for block in paths:
        block.register_forward_hook(met)
    size = _config(network)["input_size"][1:]
    features = network(torch.empty(1, in_channels, *size))
    return calls, features.shape[1]


def _blocks(calls: Sequence[_Call], temporal: Sequence[TemporalOp], num_frames: int) -> list[Block]:
    runs = groupby(calls, lambda call: call.path.rpartition(".")[0])
    blocks = (_block(call, stage) for stage, (_, run) in enumerate(runs) for call in run)
    return numbered(blocks, temporal, num_frames)


def _block(call: _Call, stage: int) -> Block:
    convs = [module for module in call.block.children() if isinstance(module, nn.Conv2d)]
    return Block(
        kind=type(call.block).__name__,
        stage=stage,
        in_channels=call.in_channels,
        mid_channels=convs[0].out_channels if convs else call.in_channels,
        out_channels=call.out_channels,
        stride=max((conv.stride[0] for conv in convs), default=call.stride),
        groups=max((conv.groups for conv in convs), default=1),
        has_skip=getattr(call.block, "has_skip", True),
        sites=_sites(call.block),
    )


def _sites(block: nn.Module) -> tuple[Site, ...]:
    known = {at for order in (*_BLOCKS[_kind(block)].values(), _OUTSIDE) for at in order}
    if "after_conv2" in known:
        known.add("conv2")
    return tuple(site for site in SITES if site in known)


def _classifiers(network: nn.Module) -> tuple[str, ...]:
    names = _config(network)["classifier"] or ()
    return tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))


def _config(network: nn.Module) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", network.pretrained_cfg)
