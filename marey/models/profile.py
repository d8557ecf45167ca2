"""What a model costs, counted without running it."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from marey.models.shapes import shapes_only
from marey.models.video_model import ModelSpec, VideoModel


@dataclass(frozen=True)
class Cost:
    """What one clip costs in inference."""

    parameters: int
    gmacs: float
    """Billions of multiply-accumulates, which papers call FLOPs."""
    peak_bytes: int
    """Weights and the most activations alive at a time, in float32, without workspaces."""


def cost(spec: ModelSpec, size: int = 224) -> Cost:
    """The cost of one clip of `size` x `size` pixels, counted on the meta device.

    >>> from marey.models import ResNetSpec
    >>> counted = cost(ModelSpec(ResNetSpec(50), num_segments=8))
    >>> f"{counted.parameters / 1e6:.1f} M parameters, {counted.gmacs:.1f} GMACs"
    '24.3 M parameters, 32.7 GMACs'
    """
    # under inference_mode a convolution is not taken apart into what has a formula
    with torch.inference_mode(False):
        with shapes_only():
            model = spec.build()
        return _counted(model, size)


def training_bytes(model: VideoModel, shape: Sequence[int]) -> int:
    """The most bytes of weights, gradients and activations in a step, without workspaces.

    Args:
        model: on the meta device, in the mode in which it learns; what takes no gradient keeps no
            activations.
        shape: of the batch of clips, [b t c h w] or [b t d].
    """
    weights = sum(w.numel() * w.element_size() for w in model.state_dict().values())
    with sdpa_kernel(SDPBackend.MATH), TensorCounter() as live:
        scores = model(torch.empty(tuple(shape), device="meta"))
        total = torch.stack([each.float().sum() for each in scores.values()]).sum()
        torch.autograd.backward(total)
    return int(weights + live.peak)


def num_parameters(model: nn.Module) -> int:
    """How many numbers the model learns, frozen ones included."""
    return sum(parameter.numel() for parameter in model.parameters())


def gmacs(model: VideoModel, size: int = 224) -> float:
    """Billions of multiply-accumulates for one clip of `size` x `size` pixels."""
    return cost(model.spec, size).gmacs


def _counted(model: VideoModel, size: int) -> Cost:
    """Counted with plain matrix products for attention: a fused kernel would be one operation."""
    model = model.eval()
    shape = (1, *model.spec.clip_shape(size))
    weights = sum(w.numel() * w.element_size() for w in model.state_dict().values())
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), TensorCounter() as counted:
        model(torch.empty(shape, device="meta"))
    return Cost(num_parameters(model), counted.flops / 2e9, weights + counted.peak)


class TensorCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Operations inside, by torch's own formulas, and the most bytes alive at one time.

    Torch's `FlopCounterMode` counts the same, by module, and takes twice as long.

    Args:
        given: tensors from before, whose memory is not counted where something views it.
    """

    def __init__(self, given: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = self.live = self.peak = 0
        self._given = [tensor.untyped_storage() for tensor in given]  # kept, so that no new one
        self._outside = {storage._cdata for storage in self._given}  # can have the same address
        self._known: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        known = _normed if func is torch.ops.aten.native_batch_norm.default else func
        out = known(*args, **kwargs)
        if formula := flop_registry.get(func._overloadpacket):
            self.flops += formula(*args, **kwargs, out_val=out)
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self._meet(leaf.untyped_storage())
        return out

    def _meet(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known or key in self._outside:
            return
        self._known[key] = weakref.ref(storage, lambda _: self._forget(key, size))
        self.live += size
        self.peak = max(self.peak, self.live)

    def _forget(self, key: int, size: int) -> None:
        del self._known[key]
        self.live -= size


def _normed(
    x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, training: bool, *rest: float
) -> tuple[Tensor, ...]:
    """A batch norm's outputs on the meta device, where torch's own is slow Python in evaluation."""
    if training:
        return tuple(torch.native_batch_norm(x, weight, bias, mean, var, training, *rest))
    return torch.empty_like(x), torch.empty_like(mean), torch.empty_like(var)
