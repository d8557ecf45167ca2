"""The state dict in what a training script saved, and whether its numbers can be used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from marey.errors import CheckpointError, first_few

_WRAPPERS = ("state_dict", "model_state", "model_state_dict", "model")


def unwrapped(content: Any) -> tuple[Any, tuple[str, ...]]:
    """What a training script put its wrapping around, and the names of what it put beside it."""
    beside: list[str] = []
    for _ in range(3):
        if not isinstance(content, dict):
            break
        key = next((key for key in _WRAPPERS if isinstance(content.get(key), dict)), None)
        if key is None:
            break
        beside += [str(name) for name in content if name != key]
        content = content[key]
    return content, tuple(beside)


def state_dict_of(content: Any, path: Path) -> dict[str, Tensor]:
    """The tensors by name, less the prefixes of DataParallel and torch.compile."""
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, expected a state dict")
    odd = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if odd or not content:
        raise CheckpointError(f"{path} holds no state dict (what it holds: {first_few(odd)})")
    tensors = {re.sub(r"^((module|_orig_mod)\.)+", "", str(name)): w for name, w in content.items()}
    if len(tensors) < len(content):
        raise CheckpointError(
            f"{path} holds tensors that differ in the prefix 'module.' alone",
            "it is two models in one: save one of them",
        )
    return tensors


def check_numbers(weights: Mapping[str, Tensor], path: Path) -> None:
    """CheckpointError unless the weights, less batch counters, are finite and not quantised."""
    kinds = {
        name: f"{weight.dtype}, {weight.layout}".replace("torch.", "")
        for name, weight in weights.items()
        if not name.endswith("num_batches_tracked")
        and not (weight.is_floating_point() and weight.layout == torch.strided)
    }
    if kinds:
        name, kind = next(iter(kinds.items()))
        raise CheckpointError(
            f"{path} has {len(kinds)} weights that are no plain floating-point numbers: "
            f"{name} ({kind})" + (", ..." if len(kinds) > 1 else ""),
            "quantised and sparse weights are not read: give the file they were made of",
        )
    broken = [name for name, weight in weights.items() if not weight.float().isfinite().all()]
    if broken:
        raise CheckpointError(
            f"{path} has {len(broken)} tensors with numbers that are not finite: "
            f"{first_few(broken)}",
            "its training diverged, or half precision was too narrow: give another checkpoint",
        )
