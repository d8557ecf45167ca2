"""Training that keeps less: what a norm, the ReLU behind it and a blend made is computed again.

    conv - x - batch norm - ReLU - y - conv        backward keeps x, for the norm, and y, for ReLU
                                                   and convolution, which is ReLU(a x + b)

In place of y a recipe is kept: x, which is there anyhow, and the few numbers a channel of which a
and b are made. It is followed when the first layer behind asks for y in backward, and what it made
is let go with the last. A TAM's frames follow from those that went into it in the same way.
Statistics are counted once; losses are the same to the bit, gradients but for rounding.

`checkpointed` keeps less still, and computes the convolutions again too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary


@contextmanager
def recomputed() -> Iterator[None]:
    """Forward passes inside keep recipes of what is quickly computed again; see the module."""
    mode = _Recomputing()
    with saved_tensors_hooks(mode.kept, _got), mode:
        yield


@dataclass(eq=False)
class _Recipe:
    """How a tensor is made again; the numbers are the same, but for rounding."""

    make: Callable[[], Tensor]
    """A new tensor, which nobody else has."""
    version: int = 0
    """Of the tensor when it was made: what was written to since has no recipe."""
    uses: int = 0
    asked: int = 0
    made: Tensor | None = field(default=None, repr=False)

    def used(self) -> _Recipe:
        """Itself, kept once more."""
        self.uses += 1
        return self

    def value(self) -> Tensor:
        """The tensor, made for the first who asks and let go with the last of a backward pass."""
        made = self.make() if self.made is None else self.made
        self.asked += 1
        self.made = None if self.asked % self.uses == 0 else made
        return made


@dataclass(frozen=True)
class _Part:
    """A view of what a recipe makes."""

    recipe: _Recipe
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    whole: tuple[int, ...]
    """The strides of what it was a view of."""

    def value(self) -> Tensor:
        """The part, of what is made once for all who ask."""
        whole = self.recipe.value()
        if whole.stride() != self.whole:
            whole = whole.new_empty_strided(whole.shape, self.whole).copy_(whole)
        return whole.as_strided(self.shape, self.stride, self.offset)


_Kept: TypeAlias = Tensor | _Recipe | _Part


def _got(kept: _Kept) -> Tensor:
    """What backward asks for."""
    return kept if isinstance(kept, Tensor) else kept.value()


class _Recomputing(TorchFunctionMode):
    """Knows the recipes of what the functions called inside make.

    `kept` is what autograd keeps of a tensor. Of what a function keeps of its own output, before
    anybody knows that, `_making` is the recipe.
    """

    def __init__(self) -> None:
        super().__init__()
        self._recipes = WeakTensorKeyDictionary()
        self._making: _Recipe | None = None
        self._made_of: set[int] = set()

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if not torch.is_grad_enabled():
            return func(*args, **kwargs)
        if func is F.batch_norm:
            return self._norm(*args, **kwargs)
        if func is F.relu:
            return self._relu(*args, **kwargs)
        if func is torch.ops.marey.blend.default:
            return self._blend(*args, **kwargs)
        return func(*args, **kwargs)

    def kept(self, x: Tensor) -> _Kept:
        """What is kept of `x` for backward: a recipe, or itself (less its history: a cycle)."""
        if self._making is not None and x.untyped_storage()._cdata not in self._made_of:
            return self._making.used()
        if recipe := self._recipe(x):
            return recipe.used()
        if x._base is not None and (recipe := self._recipe(x._base)):
            offset = int(x.storage_offset())
            return _Part(recipe.used(), tuple(x.shape), x.stride(), offset, x._base.stride())
        return x.detach()

    def _recipe(self, x: Tensor) -> _Recipe | None:
        recipe: _Recipe | None = self._recipes.get(x)  # type: ignore[no-untyped-call]
        return recipe if recipe is not None and recipe.version == x._version else None

    def _made(self, y: Tensor, recipe: _Recipe) -> Tensor:
        recipe.version = y._version
        self._recipes[y] = recipe
        return y

    def _norm(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        y = F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
        node: Any = y.grad_fn
        if not training or not hasattr(node, "_saved_result2"):
            return y
        # the mean of the batch and the inverse of its deviation, as torch's and cuDNN's norm keep
        mean, inverse = node._saved_result1.detach(), node._saved_result2.detach()
        var = inverse.pow(-2).sub_(eps)
        # copies: a sharded weight may be gone when the layer behind asks
        scale, shift = (None if p is None else p.detach().clone() for p in (weight, bias))
        kept = self.kept(x)

        def make() -> Tensor:
            return F.batch_norm(_got(kept), mean, var, scale, shift, False, 0.0, eps)

        return self._made(y, _Recipe(make))

    def _relu(self, x: Tensor, inplace: bool = False) -> Tensor:
        source = self._recipe(x)
        if source is None:
            return F.relu(x, inplace)
        make = source.make
        recipe = _Recipe(lambda: make().relu_())
        with self._makes(recipe):
            y = F.relu(x, inplace)
        return self._made(y, recipe)

    def _blend(self, x: Tensor, weights: Tensor, *rest: Any) -> Tensor:
        kept, taps = self.kept(x), weights.detach()
        recipe = _Recipe(lambda: torch.ops.marey.blend.default(_got(kept), taps, *rest))
        with self._makes(recipe, x, weights):
            y: Tensor = torch.ops.marey.blend.default(x, weights, *rest)
        return self._made(y, recipe)

    @contextmanager
    def _makes(self, recipe: _Recipe, *of: Tensor) -> Iterator[None]:
        """What is kept inside, but for that `of` which it is made, is the recipe's."""
        self._making, self._made_of = recipe, {x.untyped_storage()._cdata for x in of}
        try:
            yield
        finally:
            self._making, self._made_of = None, set()
