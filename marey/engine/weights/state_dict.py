"""The state dict in what a training script saved, whatever it wrapped around it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from marey.engine.weights.inert import Unread
from marey.engine.weights.read_file import holds_an_object
from marey.errors import CheckpointError, first_few

_WRAPPERS = ("state_dict", "model_state", "model_state_dict", "model")


@dataclass(frozen=True, eq=False)
class Unwrapped:
    """What lay inside, under which names, and what lay beside it."""

    content: Any
    inside: tuple[str, ...] = ()
    beside: Mapping[str, Any] = field(default_factory=dict)


def unwrapped(content: Any) -> Unwrapped:
    """What a training script put its wrapping around.

    A wrapper has one of the usual names, or is the only entry that holds nothing but tensors:
    ``{"net": {...}, "acc": 90.1, "epoch": 3}``.
    """
    beside: dict[str, Any] = {}
    inside: list[str] = []
    for _ in range(3):
        key = _wrapper(content)
        if key is None:
            break
        beside |= {str(name): value for name, value in content.items() if name != key}
        inside.append(key)
        content = content[key]
    return Unwrapped(content, tuple(inside), beside)


def _wrapper(content: Any) -> str | None:
    if not isinstance(content, dict):
        return None
    usual = next((key for key in _WRAPPERS if isinstance(content.get(key), dict)), None)
    if usual is not None or any(isinstance(value, Tensor) for value in content.values()):
        return usual
    only = [key for key, value in content.items() if _is_state_dict(value)]
    return only[0] if len(only) == 1 and isinstance(only[0], str) else None


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(tensor, Tensor) for tensor in value.values())
    )


def state_dict_of(content: Any, path: Path) -> dict[str, Tensor]:
    """The tensors by name, less the prefixes of what a model was put into.

    That is DataParallel and torch.compile, and the attribute of a LightningModule (``model.``)
    where all names begin with it.
    """
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, expected a state dict")
    _check_read(content, path)
    odd = [name for name, value in content.items() if not isinstance(value, Tensor)]
    odd += [name for name in content if not isinstance(name, str)]
    if odd or not content:
        raise CheckpointError(
            f"{path} holds no state dict (what it holds: {first_few(odd)})",
            "give the state dict alone: torch.save(model.state_dict(), FILE)",
        )
    tensors = {re.sub(r"^((module|_orig_mod)\.)+", "", name): w for name, w in content.items()}
    if len(tensors) < len(content):
        raise CheckpointError(
            f"{path} holds tensors that differ in the prefix 'module.' alone",
            "it is two models in one: save one of them",
        )
    for prefix in ("model.", "net.", "network."):
        if all(name.startswith(prefix) for name in tensors):
            return {name.removeprefix(prefix): weight for name, weight in tensors.items()}
    return tensors


def _check_read(content: Mapping[Any, Any], path: Path) -> None:
    """CheckpointError if the weights lie in an object that was not read."""
    unread = {name: value for name, value in content.items() if isinstance(value, Unread)}
    if unread and not any(_is_state_dict(value) for value in content.values()):
        name = next((name for name in _WRAPPERS if name in unread), next(iter(unread)))
        raise holds_an_object(path, unread[name], str(name))
