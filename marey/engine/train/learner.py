"""What one stage of a run learns with: objective, loss and optimiser over a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from marey.engine.train.compiled import compiled, runs_as
from marey.engine.train.distributed import World
from marey.engine.train.optim import build_optimizer, build_scales_optimizer, set_rates
from marey.engine.train.sharded import shard
from marey.longtail.decouple import set_trainable
from marey.longtail.objective import LearnsBeside, LossModule
from marey.models.checkpointing import checkpointed
from marey.models.recomputing import recomputed
from marey.models.video_model import VideoModel
from marey.recipes.recipe import Stage


class Learner:
    """The objective and the optimiser of `stage` over the part of `model` that it trains.

    `class_counts` are the training clips of every class, int64 [k] a head; `lr_scale` multiplies
    the stage's rates; `checkpointing` keeps the inputs of the encoder's blocks only,
    `recompute` recipes of what its norms, ReLUs and TAMs make; `compile` has its forward pass
    compiled, `sharded` shares the weights out over the processes.
    """

    def __init__(
        self,
        stage: Stage,
        model: VideoModel,
        class_counts: Mapping[str, Tensor],
        world: World,
        *,
        lr_scale: float,
        checkpointing: bool = False,
        recompute: bool = False,
        compile: bool = False,
        sharded: bool = False,
    ) -> None:
        set_trainable(model, stage.trainable, stage.last_blocks)
        self.stage, self.model, self.device = stage, model, world.device
        self.checkpointing = checkpointing and stage.trainable == "all"
        self.recompute = recompute and stage.trainable == "all"
        self.compiled = compiled(model.encoder, world.device) if compile else None
        self.objective = stage.objective.build(class_counts)
        if isinstance(self.objective, LearnsBeside):
            self.objective.meet(_width(model))
        self.objective.to(world.device)
        loss = LossModule(model, self.objective)
        self.loss: nn.Module = loss
        self.world, self.is_sharded = world, sharded and not world.is_alone
        if self.is_sharded:
            shard(loss, model, world)  # before the optimiser, which is of the shares
        elif not world.is_alone:
            self.loss = DistributedDataParallel(loss)
        build = build_scales_optimizer if stage.trainable == "scales" else build_optimizer
        self.optimizer = build(model, stage.optim, scale=lr_scale, objective=self.objective)
        self.base_lr = self.lr = stage.optim.lr * lr_scale
        self.reduced = 1.0
        """What all rates are multiplied by besides, by a schedule that follows validation."""

    def set_rates(self, epoch: float) -> None:
        """Set all rates to those at `epoch` of the stage, fractional within an epoch."""
        factor = self.stage.lr_factor(epoch) * self.reduced
        self.lr = self.base_lr * factor
        set_rates(self.optimizer, factor)

    @contextmanager
    def accumulating(self, *, last: bool, amp: bool) -> Iterator[None]:
        """What each batch of a step is computed in: bf16 where that is safe, if `amp`.

        Gradients are summed over the processes with the `last` batch of the step only; of weights
        that are shared out with each, as a process keeps no others than those of its share.
        """
        if self.is_sharded:
            self.world.share_buffers(self.loss)  # as DistributedDataParallel does
        ddp = self.loss if isinstance(self.loss, DistributedDataParallel) else None
        with (
            nullcontext() if last or ddp is None else ddp.no_sync(),
            checkpointed(self.model.encoder) if self.checkpointing else nullcontext(),
            recomputed() if self.recompute else nullcontext(),
            nullcontext() if self.compiled is None else runs_as(self.model.encoder, self.compiled),
            torch.autocast(self.device.type, torch.bfloat16, enabled=amp),
        ):
            yield

    def update(self, clip_grad: float | None) -> None:
        """Move the weights by their gradients, clipped to the norm `clip_grad`."""
        if clip_grad is not None:
            nn.utils.clip_grad_norm_(self.loss.parameters(), clip_grad)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def _width(model: VideoModel) -> int:
    """The numbers of a feature, as the heads take it."""
    head = next(iter(model.heads.values()))
    assert isinstance(head, nn.Linear)
    return head.in_features


def averaged(model: VideoModel, decay: float) -> AveragedModel:
    """A copy of `model` for the moving average of its weights and statistics."""
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(model, multi_avg_fn=average, use_buffers=True)
