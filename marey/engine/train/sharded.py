"""Weights, gradients and the optimiser's memory shared out over the processes of a run (FSDP2).

For encoders that leave no room beside them: each process keeps its share of every tensor, and has
the weights of a block whole only while it computes the block (`torch.distributed.fsdp`). What is
computed is what `DistributedDataParallel` computes.

To put a tensor together takes all processes. So the functions here must be called by each, and a
process that fails alone cannot save.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from marey.engine.train.distributed import World
from marey.models.depth import blocks
from marey.models.layout import channels_last
from marey.models.video_model import VideoModel
from marey.recipes.recipe import Recipe

# torch's modules for it take a second to import, so only runs that share out import them


def shard(loss: nn.Module, model: VideoModel, world: World) -> None:
    """Share out the parameters of `loss`, `model` in it: those of each block, and the others.

    All processes must have the same; each keeps its own buffers.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    for parameter in loss.parameters():
        parameter.data = parameter.data.contiguous()  # channels last cannot be cut
    mesh = init_device_mesh(world.device.type, (world.size,))
    for block in blocks(model.encoder):
        fully_shard(block, mesh=mesh)
    fully_shard(loss, mesh=mesh)


def share_out(optimizer: Optimizer) -> None:
    """Leave of what `optimizer` remembers, read whole from a checkpoint, this process' share."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    for weight, memory in optimizer.state.items():
        assert isinstance(weight, DTensor)
        for name, value in memory.items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                # each has read the file: nothing is to be sent
                memory[name] = distribute_tensor(
                    value, weight.device_mesh, weight.placements, src_data_rank=None
                )


def whole(state: Any, *, keep: bool) -> Any:
    """A state dict with its tensors put together, on the CPU; None in their place unless `keep`."""
    from torch.distributed.tensor import DTensor

    if isinstance(state, DTensor):
        tensor = state.full_tensor()
        return tensor.cpu() if keep else None
    if isinstance(state, Mapping):
        return {name: whole(value, keep=keep) for name, value in state.items()}
    return state


def whole_model(model: VideoModel) -> VideoModel:
    """A model with the weights of `model` put together, to be tested; itself if none is shared out.

    Buffers are those of `model`.
    """
    from torch.distributed.tensor import DTensor

    state = model.state_dict()
    if not any(isinstance(value, DTensor) for value in state.values()):
        return model
    weights = {
        name: value.full_tensor() if isinstance(value, DTensor) else value
        for name, value in state.items()
    }
    return channels_last(model.with_weights(weights))


def shard_in_words(recipe: Recipe, world: World) -> str:
    """Over how many processes a run shares its weights out, if it is asked to; else empty."""
    if not recipe.shard:
        return ""
    if world.is_alone:
        return (
            "shard=true shares nothing out: this run is one process; "
            "torchrun --nproc-per-node N -m marey train ... starts N"
        )
    return (
        f"weights, gradients and the optimiser's memory are shared out over {world.size} processes"
    )
