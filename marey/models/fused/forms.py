"""Which form takes the place of a module, and of two that follow each other; the walk over a model.

A form computes what its module computes, faster, in evaluation alone. A rule makes it:

    @fuses(nn.Conv2d)                         the form of one module
    @joins(Convolution, nn.BatchNorm2d)       one form for two, of which the second follows; or None

Rules are found by class. One of a class holds for those that inherit from it too, as long as they
have the same ``forward``. What has no rule stays, and the walk goes on within it. Also left alone
is what was changed from outside: a module with hooks, or with a ``forward`` of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import Any, TypeAlias, TypeVar

from torch import nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)
Rule: TypeAlias = Callable[[Any], nn.Module]
JoinRule: TypeAlias = Callable[[Any, Any], "nn.Module | None"]

_RULES: dict[type[nn.Module], Rule] = {}
_JOINS: dict[tuple[type[nn.Module], type[nn.Module]], JoinRule] = {}


def fused(model: AnyModule) -> AnyModule:
    """A copy of `model` for inference, which computes the same faster and cannot be trained.

    It is in evaluation mode, whatever `model` is in, promises no gradients, and is called in the
    same way; logits agree to 1e-5 of the largest. It is bound to its number of frames: choose them
    before (`VideoModel.with_frames`). Its state dict has other keys than that of `model`.
    """
    form = form_of(deepcopy(model).eval())
    return form.eval().requires_grad_(False)  # type: ignore[return-value]  # models have no rule


def fuses(kind: type[nn.Module]) -> Callable[[Rule], Rule]:
    """A decorator: by what a module of this class is replaced.

    The rule may take the module's weights and change them, but not its calls: it is a copy.
    """

    def add(rule: Rule) -> Rule:
        _RULES[kind] = rule
        return rule

    return add


def joins(first: type[nn.Module], second: type[nn.Module]) -> Callable[[JoinRule], JoinRule]:
    """A decorator: by what two forms that follow each other are replaced, None if by nothing."""

    def add(rule: JoinRule) -> JoinRule:
        _JOINS[first, second] = rule
        return rule

    return add


def form_of(module: nn.Module) -> nn.Module:
    """The form of `module`, or itself, its children replaced by theirs."""
    rule = next((_RULES[kind] for kind in _kinds(module) if kind in _RULES), None)
    if rule and not any(_is_changed(part) for part in module.modules()):
        return rule(module)
    for name, child in module.named_children():
        setattr(module, name, form_of(child))
    return module


def chained(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """The forms of modules that run in this order, joined wherever a rule joins two.

    It begins at the end: a layer takes in what is behind it before it joins what stands before it.
    """
    chain: list[nn.Module] = []  # last first
    for form in reversed(list(_forms(modules))):
        while chain and (joined := _joined(form, chain[-1])):
            form = joined
            chain.pop()
        chain.append(form)
    return chain[::-1]


def _joined(first: nn.Module, second: nn.Module) -> nn.Module | None:
    """The form of two forms that follow each other, if a rule joins them."""
    if _is_changed(first) or _is_changed(second):
        return None
    for one in _kinds(first):
        for other in _kinds(second):
            if rule := _JOINS.get((one, other)):
                return rule(first, second)
    return None


def _forms(modules: Iterable[nn.Module]) -> Iterator[nn.Module]:
    for module in modules:
        if type(module) is nn.Sequential and not _is_changed(module):
            yield from _forms(module)
        elif not isinstance(form := form_of(module), nn.Identity):
            yield form


def _kinds(module: nn.Module) -> Iterator[type[nn.Module]]:
    """Its class and those it inherits from that compute the same, nearest first."""
    own = type(module)
    return (kind for kind in own.__mro__ if getattr(kind, "forward", None) is own.forward)


def _is_changed(module: nn.Module) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
    return "forward" in vars(module) or any(hooks)


@fuses(nn.Sequential)
def _(sequence: nn.Sequential) -> nn.Module:
    return nn.Sequential(*chained(sequence))
