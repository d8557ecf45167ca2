"""Forms that torch runs: the plain model, the fused one, in bfloat16, compiled."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch

from marey.engine.runtimes.form import Running
from marey.models.fused import fused
from marey.models.video_model import VideoModel
from marey.types import Clip, Scores

Run: TypeAlias = Callable[[Clip], Scores]


@dataclass(frozen=True)
class TorchForm:
    """A form that is made of the weights whenever it is opened, and writes nothing."""

    name: str
    make: Callable[[VideoModel], Run]
    lacks: Callable[[torch.device], str] = field(default=lambda _: "")
    packages: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def missing(self, device: torch.device) -> str:
        """As `Form.missing`."""
        return self.lacks(device)

    def write(self, model: VideoModel, clips: Clip, folder: Path, about: Mapping[str, Any]) -> None:
        """Nothing: it is made of the weights."""

    def open(self, model: VideoModel, folder: Path, device: torch.device) -> Running:  # noqa: ARG002
        """As `Form.open`; `folder` is not looked at."""
        return Running(self.name, model.spec, self.make(model))


def plain(model: VideoModel) -> Run:
    """The model as it is."""
    return model


def in_bfloat16(model: VideoModel) -> Run:
    """The fused model with weights and activations in bfloat16."""
    half = fused(model).to(torch.bfloat16)
    return lambda clip: half(clip.to(torch.bfloat16))


def compiled(model: VideoModel) -> Run:
    """The fused model compiled, its weights as constants."""
    return _compiled(fused(model), {"freezing": True})


def compiled_in_bfloat16(model: VideoModel) -> Run:
    """The fused model in bfloat16, compiled."""
    run = _compiled(fused(model).to(torch.bfloat16), {"freezing": True})
    return lambda clip: run(clip.to(torch.bfloat16))


def graphed_in_bfloat16(model: VideoModel) -> Run:
    """The same, whose kernels the card is told in one go (CUDA graphs)."""
    options = {"freezing": True, "triton.cudagraphs": True}
    run = _compiled(fused(model).to(torch.bfloat16), options)
    # the scores lie in memory that the next clip overwrites
    return lambda clip: {head: s.clone() for head, s in run(clip.to(torch.bfloat16)).items()}


def _compiled(model: VideoModel, options: dict[str, Any]) -> Run:
    run: Run = torch.compile(model, options=options)
    return run


def no_compiler(device: torch.device) -> str:
    """Why nothing can be compiled for `device`; empty if it can."""
    if device.type == "cuda":
        return "" if _has_triton() else "torch.compile needs triton here: pip install triton"
    default = "clang++" if sys.platform == "darwin" else "g++"
    compiler = os.environ.get("CXX", default)
    if shutil.which(compiler):
        return ""
    return f"torch.compile needs a C++ compiler, and there is no {compiler}: install it, or set CXX"


def no_card(device: torch.device) -> str:
    """Why nothing runs as on a card; empty if `device` is one and can be compiled for."""
    return no_compiler(device) if device.type == "cuda" else "needs a CUDA device"


def _has_triton() -> bool:
    from torch.utils._triton import has_triton

    return has_triton()


PLAIN = TorchForm("plain", plain)
TORCH_FORMS = (
    PLAIN,
    TorchForm("fused", fused),
    TorchForm("compiled", compiled, no_compiler),
    TorchForm("bf16", in_bfloat16),
    TorchForm("bf16-compiled", compiled_in_bfloat16, no_compiler),
    TorchForm("bf16-graphs", graphed_in_bfloat16, no_card),
)
