"""temporal-shift-module: TSN, TSM, its non-local blocks, temporal pooling and MobileNetV2.

layer1.0.conv1.net.weight     the shift is wrapped around what it precedes
layer2.0.block.*  .nl.*       a non-local block is wrapped around the block it follows
features.3.conv.0.net.weight  MobileNetV2's layers are counted through, not nested
new_fc | base_model.fc        the classifier, by whether there is dropout
"""

from __future__ import annotations

import re

_NON_LOCAL = {"theta": "theta", "phi.0": "phi", "g.0": "g", "W.0": "out", "W.1": "bn"}


def rename(name: str) -> str | None:
    """Our name of one of its tensors or modules."""
    name = name.removeprefix("base_model.")
    name = re.sub(r"\.(net|block)(?=\.|$)", "", name)
    for theirs, ours in _NON_LOCAL.items():
        name = re.sub(rf"\.nl\.{re.escape(theirs)}(?=\.|$)", f".block_out.{ours}", name)
    name = re.sub(r"\.nl$", ".block_out", name)
    return encoder_or_head(_nested(name))


def encoder_or_head(name: str) -> str:
    """The name with our prefix: most belong to the encoder, the last layer to the head."""
    head = re.sub(r"^(new_fc|fc|classifier)(?=\.|$)", "heads.label", name)
    return head if head != name else f"encoder.{name}"


def _nested(name: str) -> str:
    """Torchvision nests convolution, norm and ReLU of a MobileNetV2 block, but for the last two."""
    match = re.fullmatch(r"features\.(\d+)\.conv\.(\d+)\.(\w+)", name)
    if not match:
        return name
    block, position, leaf = int(match[1]), int(match[2]), match[3]
    triple, within = divmod(position, 3)
    last = 3 if block == 1 else 6  # the first block does not expand its channels
    at = f"{triple}.{within}" if position < last else f"{triple + within}"
    return f"features.{block}.conv.{at}.{leaf}"
