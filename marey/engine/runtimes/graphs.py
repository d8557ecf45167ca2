"""The graphs that forms share: each is written once into a folder, whoever needs it first."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch

from marey.engine.machine import instruction_sets
from marey.engine.runtimes.onnx_file import write_int8, write_onnx
from marey.engine.runtimes.program import INPUT
from marey.models.video_model import VideoModel
from marey.types import Clip

Graph: TypeAlias = Literal["model.onnx", "model.int8.onnx"]


def write_graph(
    graph: Graph, model: VideoModel, clips: Clip, folder: Path, about: Mapping[str, Any]
) -> None:
    """Write a graph and what it is made of into `folder`, as far as they are not there."""
    path = folder / graph
    if path.is_file():
        return
    if graph == "model.onnx":
        write_onnx(model, clips, path, about=about)
        return
    write_graph("model.onnx", model, clips, folder, about)
    examples = ({INPUT: clip} for clip in torch.split(clips, 1))
    write_int8(folder / "model.onnx", examples, path, saturates=saturates())


def saturates() -> bool:
    """Whether this processor adds two products of 8 bits in 16: x86 without VNNI."""
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    return is_x86 and not any(name.endswith("vnni") for name in instruction_sets())
