"""Checkpoints: written whole or not at all, read without running anything in them.

A checkpoint of ours is a dict of tensors and plain values, loaded with `weights_only=True`:

    format, recipe (YAML), progress, model, ema, optimizer, objective        last.pt
    format, recipe (YAML), progress, model (EMA weights if the run has them)  best.pt

best.pt is there where an epoch is chosen by validation; otherwise last.pt is the model, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from marey.engine.weights.read_file import read_weights_file
from marey.engine.weights.state_dict import state_dict_of, unwrapped
from marey.engine.weights.usable import check_tensors, check_weights
from marey.errors import CheckpointError, first_few
from marey.models.imagenet import misfit
from marey.storage.atomic import replacing, run_error

FORMAT = 1


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write `state`; the file that was there survives until the new one is safe on disk."""
    hint = "free some space; the checkpoint before it is untouched: go on from it (--resume)"
    with replacing(path, partial(run_error, hint=hint)) as file:
        try:
            torch.save({"format": FORMAT, **state}, file)
        except RuntimeError as error:  # so it says that the disk is full
            raise OSError(str(error)) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote, on the CPU."""
    state = _load_dict(path)
    _check_ours(state, path)
    check_tensors(state, path)
    for weights in (state["model"], _averaged(state.get("ema") or {})):
        if weights:
            check_weights(weights, path)
    return state


def load_weights(path: Path) -> dict[str, Tensor]:
    """Name -> tensor, on the CPU, of the model in a file; no code in the file is run.

    Args:
        path: a .safetensors file, a bare state dict, or a checkpoint of ours, of which the averaged
            (EMA) weights are taken if it has them.

    Raises:
        CheckpointError: the file cannot be read, or holds no state dict.
    """
    state = _load_dict(path)
    if state.get("format") == FORMAT:
        _check_ours(state, path)
        return check_weights(_averaged(state.get("ema") or {}) or state["model"], path)
    return check_weights(state_dict_of(unwrapped(state).content, path), path)


def load_strictly(
    model: torch.nn.Module,
    weights: Mapping[str, Tensor],
    *,
    source: Path,
    may_miss: Collection[str] = (),
) -> None:
    """Fill `model`; CheckpointError names the entries that are left over, missing or misshapen."""
    check_fit(model.state_dict(), weights, source=source, may_miss=may_miss)
    model.load_state_dict(dict(weights), strict=False)


def check_fit(
    own: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    *,
    source: Path,
    may_miss: Collection[str] = (),
    called: Mapping[str, str] | None = None,
) -> None:
    """CheckpointError unless `weights` fill `own` one to one; see `misfit`."""
    in_order = (dict(sorted(names.items())) for names in (own, weights))
    if reason := misfit(*in_order, may_miss=may_miss, called=called):
        raise CheckpointError(f"{source} does not fit the model; {reason}")


def _check_ours(state: Mapping[str, Any], path: Path) -> None:
    """CheckpointError unless `state` has what a checkpoint of ours has at least."""
    is_ours = state.get("format") == FORMAT and isinstance(state.get("model"), dict)
    if not is_ours or not isinstance(state.get("ema") or {}, dict):
        raise CheckpointError(
            f"{path} is not a checkpoint of marey (its entries: {first_few(state)})",
            "a run may start from weights of other code (--weights)",
        )


def _averaged(ema: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The model's own names and weights from the state of an `AveragedModel`."""
    own = "module."
    return {name.removeprefix(own): v for name, v in ema.items() if name.startswith(own)}


def _load_dict(path: Path, *, mapped: bool = False) -> dict[str, Any]:
    state = read_weights_file(path, mapped=mapped)
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds a {type(state).__name__}, expected a state dict")
    return state


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of the run in `folder`; None if it never began."""
    path = folder / "checkpoints" / "last.pt"
    return path if path.is_file() else None


def read_facts(path: Path) -> dict[str, Any]:
    """What a checkpoint of ours says beside its tensors, which are not read."""
    state = _load_dict(path, mapped=True)
    _check_ours(state, path)
    return _plain(state)


def plain_entries(path: Path) -> dict[str, Any]:
    """What a file of weights says beside its tensors, whosever it is; empty if nothing."""
    state = _load_dict(path, mapped=True)
    return _plain(state) if state.get("format") == FORMAT else {}


def trained_classes(facts: Any) -> dict[str, tuple[str, ...]]:
    """Head -> the class names that weights learned, if their checkpoint says so in its `facts`."""
    for key in ("data", "train", "classes"):
        facts = facts.get(key) if isinstance(facts, dict) else None
    return {head: tuple(map(str, names)) for head, names in (facts or {}).items()}


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    tensors = ("model", "ema", "optimizer", "objective")
    return {name: value for name, value in state.items() if name not in tensors}


def has_trained(path: Path) -> bool:
    """Whether a checkpoint was saved after the beginning of its run.

    An older marey saved one before the first step as well, which is no trained model.
    """
    progress = read_facts(path).get("progress")
    return not isinstance(progress, dict) or any(
        progress.get(name) for name in ("stage", "epoch", "global_step")
    )


def weights_digest(module: nn.Module) -> str:
    """Sha256 of the names and values of a module's weights."""
    total = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        total.update(name.encode())
        total.update(value.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()
