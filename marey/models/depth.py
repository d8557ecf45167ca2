"""How deep in an encoder a parameter lies: before its blocks, in one of them, or behind the last.

An encoder says which blocks it has (`EncoderModule.blocks_by_stage`). What is in none of them is
told by the order in which modules are registered: before the first block, or behind the one before.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from marey.errors import counted
from marey.models.encoder import EncoderModule


def depth_by_stage(encoder: EncoderModule) -> dict[str, int]:
    """Parameter -> 0 before the first of S stages, i in the i-th, S + 1 behind the last.

    A block of a transformer is a stage of its own.
    """
    return _depths(encoder, _stages(encoder))


def num_stages(encoder: EncoderModule) -> int:
    """S, as in `depth_by_stage`."""
    return len(_stages(encoder))


def blocks(encoder: EncoderModule) -> list[nn.Module]:
    """All blocks of an encoder, first to last."""
    return [block for stage in _stages(encoder) for block in stage]


def train_last_blocks(encoder: EncoderModule, number: int) -> None:
    """Take out of training what lies before the last `number` blocks.

    ValueError if there are fewer.
    """
    learning = _check(encoder, number)
    depths = _depths(encoder, [[block] for block in blocks(encoder)])
    for name, parameter in encoder.named_parameters():
        if depths[name] <= learning:
            parameter.requires_grad_(False)


def last_blocks_mode(encoder: EncoderModule, number: int) -> None:
    """Training mode for the last `number` blocks and what is behind them, evaluation mode before.

    ValueError if there are fewer blocks.
    """
    learning = _check(encoder, number)
    all_blocks = blocks(encoder)
    depths = _depths(encoder, [[block] for block in all_blocks])
    encoder.eval()
    for block in all_blocks[learning:]:
        block.train()
    for prefix, module in encoder.named_modules():
        own = [f"{prefix}.{name}" if prefix else name for name, _ in module.named_parameters()]
        if own and all(depths[name] > len(all_blocks) for name in own):
            module.train()


def _check(encoder: EncoderModule, number: int) -> int:
    """How many blocks do not learn."""
    there = len(blocks(encoder))
    if number > there:
        raise ValueError(
            f"last_blocks is {number}, the encoder has {counted(there, 'block')}. "
            "hint: trainable=all alone trains all of it"
        )
    return there - number


def _stages(encoder: EncoderModule) -> list[list[nn.Module]]:
    known = isinstance(encoder, EncoderModule)  # one of somebody's own may be any module
    stages = [list(stage) for stage in encoder.blocks_by_stage()] if known else []
    if not any(stages):
        raise ValueError(
            f"{type(encoder).__name__} does not say which blocks it has. hint: blocks_by_stage()"
        )
    return stages


def _depths(encoder: nn.Module, groups: Sequence[Sequence[nn.Module]]) -> dict[str, int]:
    group_of = {
        parameter: number
        for number, group in enumerate(groups, start=1)
        for block in group
        for parameter in block.parameters()
    }
    met, depths = 0, {}
    for name, parameter in encoder.named_parameters():
        inside = group_of.get(parameter)
        met = max(met, inside or 0)
        depths[name] = inside or (met + 1 if met else 0)
    return depths
