"""Training the classifier apart from the features (Kang et al., arXiv 1910.09217).

A first stage of a recipe learns as it would; a second one changes the heads alone, on features that
stay as they are: their weights and their batch-norm statistics. With w_i, b_i the weights and the
bias of class i in a head:

    cRT        new w_i, b_i, learned                 trainable="heads", reset_heads=True
    LWS        f_i w_i, f_i b_i, only f_i learned    trainable="scales"
    tau-norm   w_i / |w_i|^tau, b_i = 0              normalize_heads=tau, epochs=0

`marey.recipes.longtail` makes such stages. What comes out is an ordinary model each time.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from marey.models.depth import last_blocks_mode, train_last_blocks
from marey.models.lora import is_lora
from marey.models.video_model import VideoModel

Part = Literal["all", "neck", "heads", "scales"]


def set_trainable(model: VideoModel, part: Part, last_blocks: int | None = None) -> None:
    """Let all of `model` learn, its neck and heads, or its heads alone.

    Partial batch norm stays as it was. Of an encoder with LoRA the additions alone learn;
    `last_blocks` leaves out what lies before its last so many blocks, ValueError if there are
    fewer. Of scales too it is the heads that get gradients: `HeadScales` takes them from there.
    """
    model.encoder.requires_grad_(part == "all")
    if model.neck is not None:
        model.neck.requires_grad_(part in ("all", "neck"))
    if part == "all":
        model.set_partial_bn(model.partial_bn)
        model.freeze_unused()
        if model.learns_by_lora:
            for name, parameter in model.encoder.named_parameters():
                parameter.requires_grad_(is_lora(name))
        if last_blocks is not None:
            train_last_blocks(model.encoder, last_blocks)


def training_mode(model: VideoModel, part: Part, last_blocks: int | None = None) -> None:
    """Training mode for what learns; what does not learn stays in evaluation mode."""
    model.train()
    if part != "all":
        model.encoder.eval()
    elif last_blocks is not None:
        last_blocks_mode(model.encoder, last_blocks)
    if part == "all" and (model.learns_by_lora or last_blocks is not None):
        for module in model.encoder.modules():
            own = list(module.parameters(recurse=False))
            if isinstance(module, _BatchNorm) and not any(p.requires_grad for p in own):
                module.eval()
    if part not in ("all", "neck") and model.neck is not None:
        model.neck.eval()


def change_heads(model: VideoModel, *, reset: bool, tau: float | None) -> None:
    """Begin a stage: fresh weights in every head, then weights normalised by `tau`, if asked."""
    if reset:
        model.reset_heads()
    if tau is not None:
        normalize_heads(model, tau)


@torch.no_grad()
def normalize_heads(model: VideoModel, tau: float) -> None:
    """Divide the weights of every class by their norm to the power `tau`; biases become 0.

    Norms grow with the clips of a class, so the large ones lose most. Weights of 0 stay so.
    """
    for head in _linear(model).values():
        norm = head.weight.norm(dim=1, keepdim=True)
        head.weight.div_(torch.where(norm > 0, norm, 1.0) ** tau)
        head.bias.zero_()


class HeadScales(nn.Module):
    """One factor a class of every head, for an optimiser to learn: w_i, b_i are f_i times a start.

    The model knows nothing of it: gradients are read from its heads, and their weights are written
    anew after each step. So at any moment its checkpoint is that of an ordinary model.
    """

    def __init__(self, model: VideoModel) -> None:
        super().__init__()
        self._heads = _linear(model)  # a plain dict, so that the heads are no part of this module
        self.factors = nn.ParameterDict(
            {name: torch.ones_like(head.bias) for name, head in self._heads.items()}
        )
        for name, head in self._heads.items():
            self.register_buffer(f"start_{name}", _rows(head.weight, head.bias).detach().clone())

    def take_gradients(self) -> None:
        """Set the gradient of every factor from those of the head, and clear the latter.

        dL/df_i = <dL/dw_i, start of w_i> + dL/db_i x start of b_i
        """
        for name, head in self._heads.items():
            if head.weight.grad is not None and head.bias.grad is not None:
                gradient = _rows(head.weight.grad, head.bias.grad)
                self.factors[name].grad = (gradient * self._start(name)).sum(dim=1)
            head.zero_grad()

    @torch.no_grad()
    def write_weights(self) -> None:
        """Give every head the weights that its factors make of the start."""
        for name, head in self._heads.items():
            rows = self.factors[name][:, None] * self._start(name)
            head.weight.copy_(rows[:, :-1])
            head.bias.copy_(rows[:, -1])

    def _start(self, name: str) -> Tensor:
        return self.get_buffer(f"start_{name}")


def _linear(model: VideoModel) -> dict[str, nn.Linear]:
    return {name: head for name, head in model.heads.items() if isinstance(head, nn.Linear)}


def _rows(weight: Tensor, bias: Tensor) -> Tensor:
    """Weights and bias of every class in a row, [k d+1]."""
    return torch.cat((weight, bias[:, None]), dim=1)
