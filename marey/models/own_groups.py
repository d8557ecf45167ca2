"""How a module says in which optimiser groups its parameters learn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from torch import nn


@dataclass(frozen=True)
class Group:
    """Parameters by name that share a rate and a weight decay, as multiples of the optimiser's."""

    name: str
    lr_mult: float = 1
    decay_mult: float = 1
    parameters: dict[str, nn.Parameter] = field(default_factory=dict)


@runtime_checkable
class OwnGroups(Protocol):
    """A module that says in which groups its parameters learn under the TSM policy."""

    def optim_groups(self, rates: Mapping[str, float]) -> Iterable[Group]:
        """Groups of its parameters, by their names in the module; the rest go by the policy.

        All modules of a kind give groups of the same names in the same order, empty ones too.
        `rates` are multiples that a recipe may set, such as "calibrator" -> 5; 1 if it says none.
        """
        ...


NORMS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.LayerNorm,
    nn.GroupNorm,
)
