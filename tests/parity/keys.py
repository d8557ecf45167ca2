"""From upstream's names of tensors and modules to ours, by general rules."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_NON_LOCAL = {"theta": "theta", "phi.0": "phi", "g.0": "g", "W.0": "out", "W.1": "bn"}


def our_name(name: str) -> str:
    """Our name of an upstream tensor or module, but for MobileNetV2's numbering."""
    name = re.sub(r"^(module\.)?(base_model\.)?", "", name)
    name = re.sub(r"\.(net|block)(?=\.|$)", "", name)  # TSM's wrappers
    for theirs, ours in _NON_LOCAL.items():
        name = re.sub(rf"\.nl\.{re.escape(theirs)}(?=\.|$)", f".block_out.{ours}", name)
    name = re.sub(r"\.nl$", ".block_out", name)
    head = re.sub(r"^(new_fc|fc|classifier)(?=\.|$)", "heads.label", name)
    return head if head != name else f"encoder.{name}"


def our_names(upstream: Mapping[str, Tensor]) -> dict[str, str]:
    """Upstream tensor name -> our name, for a whole state dict."""
    last = _last_convolutions(upstream)
    return {name: _torchvision_numbers(our_name(name), last) for name in upstream}


def our_weights(upstream: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The upstream tensors under our names; 1x1x1 convolutions lose an axis of length 1."""
    names = our_names(upstream)
    assert len(set(names.values())) == len(names), "two upstream tensors have one name of ours"
    weights = {names[name]: weight for name, weight in upstream.items()}
    return {
        name: weight.squeeze(-1) if name in ours and weight.ndim == ours[name].ndim + 1 else weight
        for name, weight in weights.items()
    }


def _last_convolutions(upstream: Mapping[str, Tensor]) -> dict[str, int]:
    """Block of MobileNetV2 -> the position of its last convolution, 3 or 6."""
    last: dict[str, int] = {}
    for name in upstream:
        if match := re.search(r"(features\.\d+\.conv)\.(\d+)(\.net)?\.weight", name):
            last[match[1]] = max(last.get(match[1], 0), int(match[2]) - 1)  # a norm comes last
    return last


def _torchvision_numbers(name: str, last: Mapping[str, int]) -> str:
    """tonylins counts the layers of a block, torchvision nests [conv, bn, relu] but the last."""
    match = re.fullmatch(r"encoder\.(features\.\d+\.conv)\.(\d+)\.(\w+)", name)
    if not match:
        return name
    block, position, leaf = match[1], int(match[2]), match[3]
    triple, within = divmod(position, 3)
    at = f"{triple}.{within}" if position < last[block] else f"{triple + within}"
    return f"encoder.{block}.{at}.{leaf}"
