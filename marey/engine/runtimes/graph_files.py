"""The files that a model is exported to, each written by its runtime's library and opened by it.

| runtime  | files                | opened by    | what it says of the model |
|----------|----------------------|--------------|---------------------------|
| onnx     | model.onnx           | ONNX Runtime | metadata, under ``marey`` |
| openvino | model.xml, model.bin | OpenVINO     | rt_info, ``marey``        |
| pt2      | model.pt2            | torch        | extra file ``marey``      |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import torch

from marey.engine.runtimes.onnx_file import WRITERS, lacking, write_onnx_program
from marey.engine.runtimes.onnx_runtime import onnx_session, options_for, provider_for
from marey.engine.runtimes.openvino_runtime import openvino_session, write_openvino
from marey.engine.runtimes.program import Program
from marey.engine.runtimes.pt2_file import pt2_session, write_pt2
from marey.engine.runtimes.session import Session
from marey.errors import RunError
from marey.storage.temporary import temporary_folder

Runtime: TypeAlias = Literal["onnx", "openvino", "pt2"]
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)

FILES: Mapping[Runtime, tuple[str, ...]] = {
    "onnx": ("model.onnx",),
    "openvino": ("model.xml", "model.bin"),
    "pt2": ("model.pt2",),
}
"""Runtime -> the files of an export; the first is the one that is named to open it."""

_NEEDED: Mapping[Runtime, tuple[str, ...]] = {
    "onnx": (*WRITERS, "onnxruntime"),
    "openvino": (*WRITERS, "openvino"),
    "pt2": (),
}


def runtime_of(path: Path) -> Runtime | None:
    """What opens a file, by its suffix; None if nothing here does."""
    return next((name for name in RUNTIMES if Path(FILES[name][0]).suffix == path.suffix), None)


def files_of(path: Path) -> tuple[Path, ...]:
    """The file of an export that is named to open it, and what lies beside it that it needs."""
    runtime = runtime_of(path)
    suffixes = [Path(name).suffix for name in FILES[runtime]] if runtime else [path.suffix]
    return tuple(path.with_suffix(suffix) for suffix in suffixes)


def cannot_export(to: Runtime) -> str:
    """Why no file of a runtime can be written and tried here; empty if it can."""
    return lacking(*_NEEDED[to])


def write_file(
    to: Runtime,
    program: Program,
    folder: Path,
    about: Mapping[str, Any],
    *,
    rewrite: Callable[[Path], None] | None = None,
) -> Path:
    """Write the files of a runtime into `folder`; returns the one that is to be opened.

    Args:
        to: the runtime.
        program: what is written.
        folder: where.
        about: what the file says of the model.
        rewrite: changes a graph of ONNX in its place, before it is what is written, or is made
            into that; not for pt2.

    Raises:
        RunError: packages are missing, or they cannot be written.
    """
    path = folder / FILES[to][0]
    if reason := cannot_export(to):
        raise RunError(f"{path.name} cannot be made here: {reason}")
    if to == "pt2":
        write_pt2(program, path, about)
        return path
    with temporary_folder("graph") as drafts:
        graph = path if to == "onnx" else drafts / "model.onnx"
        write_onnx_program(program, graph, about=about)
        if rewrite:
            rewrite(graph)
        if to == "openvino":
            write_openvino(graph, path, about)
    return path


def open_file(path: Path, device: torch.device, *, trusted: bool = False) -> Session:
    """A session of a file on `device`, or on the CPU where its runtime has no other here.

    RunError if it cannot be read, or may run what it holds and is not `trusted`.
    """
    runtime = runtime_of(path)
    if runtime == "onnx":
        provider = provider_for(device)
        return onnx_session(path, provider, options_for(provider, device))
    if runtime == "openvino":
        return openvino_session(path)
    if runtime == "pt2":
        return pt2_session(path, device, trusted=trusted)
    raise RunError(f"{path} is no file of {', '.join(RUNTIMES)}")
