"""An encoder compiled for training by `torch.compile`; the module that is saved stays as it is."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import nn

from marey.errors import RunError

Forward: TypeAlias = Callable[..., Any]


def compiled(encoder: nn.Module, device: torch.device) -> Forward:
    """The encoder's forward pass, to be compiled in the first step that takes it.

    RunError if what makes code for the device is not installed.
    """
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise RunError("compile=true needs triton for a GPU", "pip install triton")
    compiler = os.environ.get("CXX", "g++")
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise RunError(
            f"compile=true needs a C++ compiler ({compiler}), which is not here",
            "apt install g++, or name another one by the variable CXX",
        )
    return torch.compile(encoder.forward)


@contextmanager
def runs_as(encoder: nn.Module, forward: Forward) -> Iterator[None]:
    """Calls of `encoder` in the block run `forward`, so that only training is compiled."""
    encoder.forward = forward
    try:
        yield
    finally:
        del encoder.forward
