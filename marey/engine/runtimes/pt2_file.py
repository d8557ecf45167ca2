"""Programs of torch.export as files, .pt2, which torch itself runs.

To open one is to trust it: torch.export.load unpickles what a file says is pickled, with nothing
held back (`weights_only=False`), and has sympy evaluate its expressions as Python. So a file is
opened only where its user says that it is to be trusted.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from marey.engine.runtimes.onnx_file import AGAIN, METADATA, quiet
from marey.engine.runtimes.program import Program
from marey.engine.runtimes.session import Session, Shape
from marey.errors import RunError, cut_short
from marey.storage.atomic import replacing, run_error

if TYPE_CHECKING:
    from torch.export import ExportedProgram

_NAMES = "marey_names"
"""The extra file of the names of inputs and outputs, which a program itself does not have."""


def write_pt2(program: Program, path: Path, about: Mapping[str, Any]) -> None:
    """Write a program; what it says of the model stands in its extra file ``marey``."""
    names = {"inputs": list(program.inputs), "outputs": list(program.outputs)}
    extra = {METADATA: json.dumps(dict(about)), _NAMES: json.dumps(names)}
    made = io.BytesIO()
    with quiet():
        torch.export.save(program.traced, made, extra_files=extra)
    with replacing(path, run_error) as file:
        file.write(made.getbuffer())


def pt2_session(path: Path, device: torch.device, *, trusted: bool) -> Session:
    """A program that torch runs on `device`; RunError unless it is trusted, and can be read."""
    if not path.is_file():
        raise RunError(f"{path} is missing")
    if not trusted:
        raise RunError(
            f"{path} was not opened: a .pt2 file may run whatever it holds when it is opened",
            "say that you trust who made it: --trusted, or trusted=True; or export to onnx",
        )
    extra = {METADATA: "", _NAMES: ""}
    try:
        with quiet():
            program = torch.export.load(path, extra_files=extra)
            names = json.loads(extra[_NAMES])
            inputs, outputs = [str(name) for name in names["inputs"]], list(names["outputs"])
            ends = _ends(program, inputs, outputs)
    except Exception as error:  # torch raises anything of a file that is none
        said = cut_short(" ".join(str(error).split()), 200).rstrip(".")
        raise RunError(f"{path} is not read by torch.export: {said}", AGAIN) from error
    if device.type != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    module = program.module()

    def run(given: Mapping[str, Tensor], wanted: Sequence[str]) -> dict[str, Tensor]:
        found = module(*(given[name].to(device) for name in inputs))
        by_name = dict(zip(outputs, found, strict=True))
        return {name: by_name[name].cpu() for name in wanted}

    return Session("torch", extra[METADATA], run, *ends)


def _ends(
    program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str]
) -> tuple[dict[str, Shape], ...]:
    """The shapes of inputs and outputs, as the program has them, by the names that it does not."""
    shapes = {node.name: node.meta.get("val") for node in program.graph_module.graph.nodes}
    given = dict(zip(inputs, program.graph_signature.user_inputs, strict=True))
    made = dict(zip(outputs, program.graph_signature.user_outputs, strict=True))
    return tuple(
        {
            name: tuple(n if isinstance(n, int) else None for n in shapes[str(node)].shape)
            for name, node in of.items()
        }
        for of in (given, made)
    )
