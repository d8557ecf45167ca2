"""ImageNet weights with torchvision's names, fitted to an encoder."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor, nn

from marey.errors import CheckpointError, first_few
from marey.models.encoder import EncoderModule
from marey.models.sites import StartsFromConv, is_added

_CLASSIFIERS = ("fc.", "classifier.")


def adapt_torchvision(weights: Mapping[str, Tensor], encoder: nn.Module) -> dict[str, Tensor]:
    """A complete state dict of `encoder`, taken from torchvision's `weights`.

    The classifier is dropped. A first convolution of other than 3 input channels takes the mean
    over RGB for each of them (the flow rule of TSN, arXiv 1608.00859). A module that took a
    convolution's place starts from its weight (`StartsFromConv`). What temporal ops added, and
    batch counters that old files lack, keep their values. Everything else must match one to one:
    CheckpointError lists keys that do not.
    """
    own = encoder.state_dict()
    given = {key: w for key, w in weights.items() if not key.startswith(_CLASSIFIERS)}
    if isinstance(encoder, EncoderModule):
        given = dict(encoder.from_image_model(given))
    optional = {key for key in own if is_added(key) or key.endswith("num_batches_tracked")}
    first = next((key for key, w in own.items() if w.ndim >= 4 and not is_added(key)), "")
    if first in given:
        given[first] = _repeat_mean(given[first], own[first].shape[1])
    for name, module in encoder.named_modules():
        if isinstance(module, StartsFromConv) and f"{name}.weight" in given:
            started = module.start_from(given.pop(f"{name}.weight"))
            given |= {f"{name}.{key}": weight for key, weight in started.items()}
    if reason := misfit(own, given, may_miss=optional):
        raise CheckpointError(
            f"weights do not fit the encoder: {reason}",
            "are they torchvision's, of the same architecture? marey convert reads those of others",
        )
    return own | given


def misfit(
    own: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    *,
    may_miss: Collection[str] = (),
    called: Mapping[str, str] | None = None,
) -> str:
    """Why `given` does not fill `own` one to one, shape by shape; empty if it does.

    `called` gives the names under which tensors of `given` are listed, where they differ.
    """
    name_of = called or {}
    faults = {
        "unmatched": [name_of.get(name, name) for name in given if name not in own],
        "missing": [name for name in own if name not in given and name not in may_miss],
        "of another shape": [
            f"{name_of.get(name, name)} {tuple(weight.shape)} for {tuple(own[name].shape)}"
            for name, weight in given.items()
            if name in own and own[name].shape != weight.shape
        ],
        "of another kind": [
            f"{name_of.get(name, name)} {weight.dtype} for {own[name].dtype}".replace("torch.", "")
            for name, weight in given.items()
            if name in own
            and own[name].is_floating_point() != weight.is_floating_point()
            and not name.endswith("num_batches_tracked")
        ],
    }
    return "; ".join(
        f"{len(names)} {fault}: {first_few(names)}" for fault, names in faults.items() if names
    )


def _repeat_mean(weight: Tensor, channels: int) -> Tensor:
    if weight.shape[1] == channels:
        return weight
    return weight.mean(dim=1, keepdim=True).expand(-1, channels, *weight.shape[2:])
