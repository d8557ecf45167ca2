"""Whether what a file calls tensors are plain numbers, as many as the file holds, and all finite.

A file of a few bytes can describe tensors of any size (a stride of 0 repeats one number), tensors
without numbers (on the device "meta"), and numbers that mean nothing without others (quantised).
Nothing is computed from a tensor before it is known to be none of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from marey.errors import CheckpointError, counted, first_few

_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_COUNTS = (torch.int64, torch.int32, torch.bool)
"""Batch counters, positions and masks: buffers that a network keeps beside its weights."""


def check_weights(weights: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """`weights`, of which a model can be made.

    Raises:
        CheckpointError: something in it is no tensor, or no plain one; numbers are not finite, or
            variances negative.
    """
    odd = [str(name) for name, value in weights.items() if not isinstance(value, Tensor)]
    if odd or not weights:
        raise CheckpointError(f"{path} holds no state dict (what it holds: {first_few(odd)})")
    _check_plain(weights.items(), path)
    kinds = {
        name: _word(weight.dtype) if weight.numel() else "empty"
        for name, weight in weights.items()
        if weight.dtype not in (*_FLOATS, *_COUNTS) or not weight.numel()
    }
    if kinds:
        name, kind = next(iter(kinds.items()))
        raise CheckpointError(
            f"{path} has {counted(len(kinds), 'weight')} of no plain floating-point numbers: "
            f"{name} ({kind})" + (", ..." if len(kinds) > 1 else ""),
            _GIVE_ORIGINAL,
        )
    broken = [name for name, weight in weights.items() if not _all_finite(weight)]
    if broken:
        raise CheckpointError(
            f"{path} has {counted(len(broken), 'tensor')} with numbers that are not finite: "
            f"{first_few(broken)}",
            "its training diverged, or half precision was too narrow: give another checkpoint",
        )
    negative = [n for n, w in weights.items() if n.endswith("running_var") and (w < 0).any()]
    if negative:
        raise CheckpointError(
            f"{path} has {counted(len(negative), 'tensor')} of variances with negative numbers: "
            f"{first_few(negative)}",
            "it is damaged: give another checkpoint",
        )
    return dict(weights)


def _all_finite(weight: Tensor) -> bool:
    """Whether no number is infinite or none at all.

    A sum of numbers that are all finite may be too large, but one that is finite has no others in
    it, and is found in a tenth of the time.
    """
    return bool(weight.sum().isfinite()) or bool(weight.isfinite().all())


def check_tensors(content: Any, path: Path) -> None:
    """CheckpointError unless every tensor anywhere in `content` is plain; numbers may be any."""
    _check_plain(_tensors_in(content), path)


_NAMED_DEPTH = 8
"""Containers in containers that a message names; a file may nest them without end."""
_GIVE_ORIGINAL = "quantised and sparse weights are not read: give the file they were made of"


def _check_plain(named: Iterable[tuple[str, Tensor]], path: Path) -> None:
    """CheckpointError unless each is a plain tensor, and all together are no more than is stored.

    A tensor that stands under two names (tied weights) counts once.
    """
    storages: dict[int, int] = {}
    tensors: dict[tuple[object, ...], int] = {}
    for name, tensor in named:
        if fault := _fault(tensor):
            raise CheckpointError(
                f"{path} has weights that are no plain tensors: {name} ({fault})", _GIVE_ORIGINAL
            )
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = max(storage.nbytes(), storages.get(storage.data_ptr(), 0))
        view = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        tensors[view] = tensor.nbytes
    if sum(tensors.values()) > sum(storages.values()):
        raise CheckpointError(
            f"{path} describes tensors of {sum(tensors.values()):,} bytes and holds "
            f"{sum(storages.values()):,}: they share their numbers",
            "save tensors of their own: {name: tensor.clone() for name, tensor in ...}",
        )


def _fault(tensor: Tensor) -> str:
    """What is odd about a tensor, in a word or two; empty for a plain one."""
    if tensor.is_nested:
        return "nested"
    if tensor.layout != torch.strided:
        return f"{_word(tensor.dtype)}, {_word(tensor.layout)}"
    if tensor.is_quantized:
        return _word(tensor.dtype)
    if type(tensor) not in (Tensor, nn.Parameter):
        return type(tensor).__name__
    if tensor.device.type != "cpu":
        return f"on the device {tensor.device}, without numbers"
    if tensor.nbytes > tensor.untyped_storage().nbytes():
        return f"{list(tensor.shape)} of {tensor.untyped_storage().nbytes():,} bytes"
    return ""


def _tensors_in(content: Any) -> Iterator[tuple[str, Tensor]]:
    """Every tensor in containers of containers, each container once: they may hold themselves."""
    seen: set[int] = set()
    left: list[tuple[str, Any]] = [("", content)]
    while left:
        name, value = left.pop()
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            inside = value.items() if isinstance(value, dict) else enumerate(value)
            deep = name.count(".") > _NAMED_DEPTH
            left += [(name if deep else f"{name}.{key}".lstrip("."), v) for key, v in inside]


def _word(kind: object) -> str:
    return str(kind).removeprefix("torch.")
