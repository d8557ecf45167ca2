"""Low-rank adaptation (LoRA, arXiv 2106.09685): an encoder learns by a few small matrices.

    y = W x + (alpha / rank) B A x        A: rank x in, B: out x rank, which begins at 0

W stays as it is. peft puts A and B beside the layers (`pip install marey[hf]`); once they are
learned they are added to W, so that a model that is evaluated or given away has none and needs no
peft. A convolution is a linear layer of its window: A has its kernel, B is 1 x 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from marey.models.depth import blocks
from marey.models.encoder import EncoderModule
from marey.types import check_counts, check_numbers


@dataclass(frozen=True, kw_only=True)
class LoRA:
    """Which layers of an encoder learn by additions, and of which rank.

    Args:
        rank: of the additions.
        alpha: their weight, times the rank.
        dropout: probability with which a number that goes into an addition is left out.
        layers: a regular expression for the whole names of layers in the encoder; by default all
            linear layers and 1 x 1 convolutions of its blocks.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    layers: str = ""

    def __post_init__(self) -> None:
        check_counts(rank=self.rank)
        check_numbers(above=0, alpha=self.alpha)
        check_numbers(at_least=0, below=1, dropout=self.dropout)
        try:
            re.compile(self.layers)
        except re.error as error:
            raise ValueError(
                f"layers is '{self.layers}', no regular expression: {error}"
            ) from error


def add_lora(encoder: EncoderModule, lora: LoRA) -> None:
    """Put fresh additions beside the layers of `encoder` that `lora` means.

    ValueError if there are none, or peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ValueError(f"LoRA needs peft ({error}). hint: pip install 'marey[hf]'") from error
    names = _layers(encoder, lora)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules="|".join(map(re.escape, names)),
    )
    inject_adapter_in_model(config, encoder)


def is_lora(name: str) -> bool:
    """Whether a parameter of this name is one of an addition.

    >>> is_lora("encoder.blocks.0.mlp.fc1.lora_A.default.weight")
    True
    """
    return ".lora_A." in name or ".lora_B." in name


def weight_of(layer: nn.Linear) -> Tensor:
    """The weight of a layer with the additions beside it, for whoever takes a part of it."""
    addition = getattr(layer, "get_delta_weight", None)  # peft's
    return layer.weight if addition is None else layer.weight + addition("default")


def without_lora(weights: Mapping[str, Tensor], lora: LoRA | None) -> dict[str, Tensor]:
    """`weights` with the additions of `lora` added to the layers, under the layers' own names.

    Weights without additions come back as they are. ValueError if there are some, and no `lora`.
    """
    merged = {_plain(name): value for name, value in weights.items() if not is_lora(name)}
    for name, a in weights.items():
        if ".lora_A." not in name:
            continue
        if lora is None:
            raise ValueError(f"{name} is an addition of LoRA, and nothing says of which weight")
        b, layer = weights[name.replace(".lora_A.", ".lora_B.")], name.partition(".lora_A.")[0]
        weight = merged[f"{layer}.weight"]
        addition = (b.flatten(1).float() @ a.flatten(1).float()).view_as(weight)
        merged[f"{layer}.weight"] = weight + (lora.alpha / lora.rank * addition).to(weight)
    return merged


def _plain(name: str) -> str:
    return name.replace(".base_layer.", ".")


def _layers(encoder: EncoderModule, lora: LoRA) -> list[str]:
    """The names of the layers that are meant; ValueError if there are none."""
    inside = {module for block in blocks(encoder) for module in block.modules()}
    known = {n: m for n, m in encoder.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    if lora.layers:
        names = [name for name in known if re.fullmatch(lora.layers, name)]
    else:
        names = [name for name, m in known.items() if m in inside and _is_linear(m)]
    if not names:
        raise ValueError(
            f"LoRA finds no layer '{lora.layers or 'linear, or 1 x 1 convolution'}' in the "
            f"encoder, whose layers are {', '.join(list(known)[:5])} ..."
        )
    return names


def _is_linear(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Conv2d):
        return layer.kernel_size == (1, 1) and layer.groups == 1
    return True
