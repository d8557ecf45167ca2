"""Optimisers at the rate of a run, for a model or for one factor a class of its heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from torch import nn, optim

from marey.errors import RunError
from marey.longtail.decouple import HeadScales
from marey.models.own_groups import Group
from marey.models.video_model import VideoModel
from marey.recipes.optim import Optim


def build_optimizer(
    model: VideoModel, spec: Optim, *, scale: float = 1.0, objective: nn.Module | None = None
) -> optim.Optimizer:
    """The optimiser of `spec` over the trainable parameters, rates multiplied by `scale`.

    Every group keeps its `name` and its `base_lr`, from which `set_rates` derives the rate. Weights
    that `objective` has of its own are the last group.
    """
    own = dict(objective.named_parameters()) if objective else {}
    groups = [*spec.param_groups(model), Group("objective", parameters=own)]
    return _optimizer(groups, spec, scale)


def build_scales_optimizer(
    model: VideoModel,
    spec: Optim,
    *,
    scale: float = 1.0,
    objective: nn.Module | None = None,  # noqa: ARG001
) -> optim.Optimizer:
    """The optimiser of `spec` over one factor a class of the heads of `model`, without decay.

    What `objective` has of its own stays as it is.

    Its steps write the weights of the heads, and its state dict holds what they started from.
    """
    scales = HeadScales(model)
    factors = {f"heads.{name}": factor for name, factor in scales.factors.items()}
    optimizer = _optimizer([Group("scales", decay_mult=0, parameters=factors)], spec, scale)
    optimizer.register_step_pre_hook(lambda *_: scales.take_gradients())
    optimizer.register_step_post_hook(lambda *_: scales.write_weights())

    def with_scales(_: optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        return {**state, "scales": scales.state_dict()}

    def take_scales(_: optim.Optimizer, state: dict[str, Any]) -> None:
        scales.load_state_dict(state["scales"])

    optimizer.register_state_dict_post_hook(with_scales)
    optimizer.register_load_state_dict_pre_hook(take_scales)
    return optimizer


def go_on(optimizer: optim.Optimizer, state: Mapping[str, Any], spec: Optim) -> None:
    """Take up what an optimiser had come to, at the rates and decays of `spec`, not at its own.

    torch's `load_state_dict` brings back every number of a group, so that a rate that was changed
    since would be logged and not used. What only the optimiser knows of a group stays.

    Raises:
        RunError: the groups are not those of `state`, so that it could not be told apart.
    """
    sizes = [len(group["params"]) for group in optimizer.param_groups]
    if sizes != [len(group["params"]) for group in state["param_groups"]]:
        raise RunError(
            f"the optimiser has groups of {sizes} weights, that of the checkpoint has others",
            "go on with the optimiser that the run began with",
        )
    own = {"lr", "base_lr", "weight_decay"}
    own |= {field.name for field in fields(spec)} if is_dataclass(spec) else set()
    groups = [{k: v for k, v in group.items() if k in own} for group in optimizer.param_groups]
    # a fused step counts on the device of its weights: torch places what it reads by this flag
    fused = [
        {**saved, "fused": group.get("fused")}
        for saved, group in zip(state["param_groups"], optimizer.param_groups, strict=True)
    ]
    optimizer.load_state_dict({**state, "param_groups": fused})
    for group, values in zip(optimizer.param_groups, groups, strict=True):
        group.update(values)


def set_rates(optimizer: optim.Optimizer, factor: float) -> None:
    """Set every group's rate to `factor` times its base rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


def _optimizer(groups: Sequence[Group], spec: Optim, scale: float) -> optim.Optimizer:
    rows = [
        {
            "name": group.name,
            "params": list(group.parameters.values()),
            "lr": spec.lr * scale * group.lr_mult,
            "base_lr": spec.lr * scale * group.lr_mult,
            "weight_decay": spec.weight_decay * group.decay_mult,
        }
        for group in groups
        if group.parameters
    ]
    return spec.build(rows)
