"""Which parameters learn alike: groups, with rates and decays as multiples of the optimiser's.

The TSM policy (arXiv 1811.08383, its released trainer) gives biases twice the rate and no weight
decay, norms no weight decay, and, when training starts from ImageNet, the heads five and ten times
the rate. Groups bear the names that trainer prints:

    first_conv_weight x1      first_conv_bias x2     (flow input: x5, x10)
    normal_weight     x1      normal_bias     x2     other convolutions; heads without `head_lr5`
    BN scale/shift    x1                             every norm
    custom_ops        x1                             whatever else an op brought
    lr5_weight        x5      lr10_bias       x10    heads with `head_lr5`

A module that is to learn otherwise says so itself (`marey.models.own_groups`); its groups come
after these.

**Deviates**: parameters that are frozen are in no group, whatever froze them. Upstream leaves out
all norms but the first as soon as partial batch norm is on, and with them the 3-D norm of a
non-local block, which then never learns. The wrapper of Group Contextualization gives the biases of
heads five times the rate where the name says ten; here it is ten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

from torch import nn

from marey.models.depth import depth_by_stage, num_stages
from marey.models.own_groups import NORMS, Group, OwnGroups
from marey.models.video_model import VideoModel

Policy: TypeAlias = Literal["tsm", "plain", "one"]


def grouped(model: VideoModel, policy: Policy, head_lr5: bool, calibrator_lr: float) -> list[Group]:
    """The trainable parameters of `model` in groups; with "one", in a single one."""
    if policy == "tsm":
        return tsm_groups(model, head_lr5=head_lr5, calibrator_lr=calibrator_lr)
    if policy == "plain":
        return plain_groups(model)
    return [Group("all", parameters={name: p for name, _, p in _trainable(model)})]


def tsm_groups(model: VideoModel, *, head_lr5: bool, calibrator_lr: float = 1) -> list[Group]:
    """The eight groups of the TSM policy in its order, then those that modules ask for."""
    first = 5 if _of_flow(model) else 1
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
    by_name = {group.name: group for group in groups}
    asked_for: dict[str, str] = {}  # parameter -> group
    for prefix, group in _own_groups(model, {"calibrator": calibrator_lr}):
        by_name.setdefault(group.name, replace(group, parameters={}))
        asked_for |= {f"{prefix}.{name}": group.name for name in group.parameters}
    first_conv = next((m for m in model.modules() if isinstance(m, _CONVOLUTIONS)), None)
    for name, module, parameter in _trainable(model):
        is_bias = name.endswith(".bias")
        if name in asked_for:
            group_name = asked_for[name]
        elif isinstance(module, NORMS):
            group_name = "BN scale/shift"
        elif module is first_conv:
            group_name = "first_conv_bias" if is_bias else "first_conv_weight"
        elif head_lr5 and name.startswith("heads."):
            group_name = "lr10_bias" if is_bias else "lr5_weight"
        elif isinstance(module, (*_CONVOLUTIONS, nn.Linear)):
            group_name = "normal_bias" if is_bias else "normal_weight"
        else:
            group_name = "custom_ops"
        by_name[group_name].parameters[name] = parameter
    return list(by_name.values())


def plain_groups(model: nn.Module) -> list[Group]:
    """Two groups at one rate: matrices and filters, and, without weight decay, norms and biases."""
    decay, no_decay = Group("decay"), Group("no_decay", decay_mult=0)
    for name, _, parameter in _trainable(model):
        group = decay if parameter.ndim >= 2 else no_decay
        group.parameters[name] = parameter
    return [decay, no_decay]


def by_depth(groups: Sequence[Group], model: VideoModel, layer_decay: float) -> list[Group]:
    """`groups` divided by depth, the rate falling by `layer_decay` a stage of the encoder.

    With S stages: layer_decay^(S + 1 - i) in the i-th, i = 0 before the first; 1 behind the last
    (BEiT, arXiv 2106.08254, where each block is a stage). ValueError if the encoder does not say
    which blocks it has.
    """
    if layer_decay == 1:
        return list(groups)
    top = num_stages(model.encoder) + 1
    depths = {f"encoder.{name}": depth for name, depth in depth_by_stage(model.encoder).items()}
    divided = []
    for group in groups:
        for depth in range(top + 1):
            inside = {n: p for n, p in group.parameters.items() if depths.get(n, top) == depth}
            if inside:
                name, rate = f"{group.name}, depth {depth}", layer_decay ** (top - depth)
                lr_mult = group.lr_mult * rate
                divided.append(replace(group, name=name, lr_mult=lr_mult, parameters=inside))
    return divided


_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def _of_flow(model: VideoModel) -> bool:
    """Whether its pictures are flow; of other channels than 3, older recipes say no modality."""
    spec = model.spec
    return spec.modality == "flow" or (spec.modality == "rgb" and spec.encoder.in_channels != 3)


def _own_groups(model: nn.Module, rates: Mapping[str, float]) -> Iterator[tuple[str, Group]]:
    """The groups that modules ask for, each with the name of its module."""
    for prefix, module in model.named_modules():
        if isinstance(module, OwnGroups):
            for group in module.optim_groups(rates):
                yield prefix, group


def _trainable(model: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Parameter]]:
    """Name, owner and parameter, each parameter once, in the order of the modules."""
    for prefix, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                yield f"{prefix}.{name}" if prefix else name, module, parameter
