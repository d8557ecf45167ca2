"""Optimisers and their parameter groups.

The TSM policy (arXiv 1811.08383, its released trainer) gives biases twice the rate and no weight
decay, norms no weight decay, and, when training starts from ImageNet, the heads five and ten times
the rate. Groups bear the names that trainer prints:

    first_conv_weight x1      first_conv_bias x2     (flow input: x5, x10)
    normal_weight     x1      normal_bias     x2     other convolutions; heads without `head_lr5`
    BN scale/shift    x1                             every norm
    custom_ops        x1                             whatever else an op brought
    lr5_weight        x5      lr10_bias       x10    heads with `head_lr5`

Calibrators of Group Contextualization are among the other convolutions, unless they learn faster:

    calibrator_lr 5   ef_weight x5, ef_bn x5, ef_lr_weight x5 (matrices)      arXiv 2203.09694
    calibrator_lr 2   ef_weight x2, matrices too; norms stay with the norms   the earlier generation

**Deviates**: parameters that are frozen are in no group, whatever froze them. Upstream leaves out
all norms but the first as soon as partial batch norm is on, and with them the 3-D norm of a
non-local block, which then never learns. The wrapper of Group Contextualization gives the biases of
heads five times the rate where the name says ten; here it is ten.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn, optim

from marey.longtail.decouple import HeadScales
from marey.models.temporal.group_context import Calibrator
from marey.models.video_model import VideoModel
from marey.recipes.recipe import SGD, Optim


@dataclass(frozen=True)
class Group:
    """Parameters by name that share a rate and a weight decay, as multiples of the recipe's."""

    name: str
    lr_mult: float = 1
    decay_mult: float = 1
    parameters: dict[str, nn.Parameter] = field(default_factory=dict)


def build_optimizer(model: VideoModel, spec: Optim, *, scale: float = 1.0) -> optim.Optimizer:
    """The optimiser of `spec` over the trainable parameters, rates multiplied by `scale`.

    Every group keeps its `name` and its `base_lr`, from which `set_rates` derives the rate.
    """
    return _optimizer(_groups(model, spec), spec, scale)


def build_scales_optimizer(
    model: VideoModel, spec: Optim, *, scale: float = 1.0
) -> optim.Optimizer:
    """The optimiser of `spec` over one factor a class of the heads of `model`, without decay.

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


def _groups(model: VideoModel, spec: Optim) -> list[Group]:
    if spec.groups == "tsm":
        return tsm_groups(model, head_lr5=spec.head_lr5, calibrator_lr=spec.calibrator_lr)
    if spec.groups == "plain":
        return plain_groups(model)
    return [Group("all", parameters={name: p for name, _, p in _trainable(model)})]


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
    if isinstance(spec, SGD):
        return optim.SGD(rows, lr=spec.lr, momentum=spec.momentum, nesterov=spec.nesterov)
    return optim.AdamW(rows, lr=spec.lr, betas=spec.betas)


def set_rates(optimizer: optim.Optimizer, factor: float) -> None:
    """Set every group's rate to `factor` times its base rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


def tsm_groups(model: VideoModel, *, head_lr5: bool, calibrator_lr: int = 1) -> list[Group]:
    """The eight groups of the TSM policy in its order, then those of calibrators."""
    first = 5 if model.spec.encoder.in_channels != 3 else 1
    groups = [
        Group("first_conv_weight", first, 1),
        Group("first_conv_bias", 2 * first, 0),
        Group("normal_weight", 1, 1),
        Group("normal_bias", 2, 0),
        Group("BN scale/shift", 1, 0),
        Group("custom_ops", 1, 1),
        Group("lr5_weight", 5, 1),
        Group("lr10_bias", 10, 0),
    ]
    if calibrator_lr != 1:
        groups += [
            Group("ef_weight", calibrator_lr, 1),
            Group("ef_bn", calibrator_lr, 0),
            Group("ef_lr_weight", calibrator_lr, 1),
        ]
    by_name = {group.name: group for group in groups}
    first_conv = next((m for m in model.modules() if isinstance(m, _CONVOLUTIONS)), None)
    calibrators = _layers_of_calibrators(model) if calibrator_lr != 1 else set()
    for name, module, parameter in _trainable(model):
        is_bias = name.endswith(".bias")
        if module in calibrators and (calibrator_lr == 5 or not isinstance(module, _NORMS)):
            group = _calibrator_group(module, calibrator_lr)
        elif isinstance(module, _NORMS):
            group = "BN scale/shift"
        elif module is first_conv:
            group = "first_conv_bias" if is_bias else "first_conv_weight"
        elif head_lr5 and name.startswith("heads."):
            group = "lr10_bias" if is_bias else "lr5_weight"
        elif isinstance(module, (*_CONVOLUTIONS, nn.Linear)):
            group = "normal_bias" if is_bias else "normal_weight"
        else:
            group = "custom_ops"
        by_name[group].parameters[name] = parameter
    return groups


def plain_groups(model: nn.Module) -> list[Group]:
    """Two groups at one rate: matrices and filters, and, without weight decay, norms and biases."""
    decay, no_decay = Group("decay"), Group("no_decay", decay_mult=0)
    for name, _, parameter in _trainable(model):
        group = decay if parameter.ndim >= 2 else no_decay
        group.parameters[name] = parameter
    return [decay, no_decay]


def _layers_of_calibrators(model: nn.Module) -> set[nn.Module]:
    return {layer for m in model.modules() if isinstance(m, Calibrator) for layer in m}


def _calibrator_group(layer: nn.Module, calibrator_lr: int) -> str:
    if isinstance(layer, _NORMS):
        return "ef_bn"
    return "ef_lr_weight" if isinstance(layer, nn.Linear) and calibrator_lr == 5 else "ef_weight"


_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.LayerNorm,
    nn.GroupNorm,
)


def _trainable(model: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Parameter]]:
    """Name, owner and parameter, each parameter once, in the order of the modules."""
    for prefix, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                yield f"{prefix}.{name}" if prefix else name, module, parameter
