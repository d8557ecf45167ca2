"""Forms that OpenVINO runs on a CPU: in float32, in bfloat16.

It reads its own files, .xml and .bin, made of the ONNX graph: given one of ONNX, even as bytes, it
would open whatever other files that names. A graph of 8 bits is not among them: of several clips at
once OpenVINO 2026.4 scores the first alone, and gives zeros for the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from marey.engine.runtimes.form import Running
from marey.engine.runtimes.graphs import write_graph
from marey.engine.runtimes.onnx_file import AGAIN, METADATA, lacking, read_graph
from marey.engine.runtimes.session import Session, clip_scores
from marey.errors import RunError, cut_short
from marey.models.video_model import VideoModel
from marey.storage.atomic import replacing, run_error
from marey.storage.temporary import temporary_folder
from marey.types import Clip


@dataclass(frozen=True)
class OpenVinoForm:
    """A graph, run by OpenVINO."""

    name: str
    precision: Literal["f32", "bf16"] = "f32"
    """Left alone OpenVINO takes bfloat16 where the processor has it."""
    packages: tuple[str, ...] = ("openvino",)
    files: tuple[str, ...] = ("model.xml", "model.bin")

    def missing(self, device: torch.device) -> str:
        """As `Form.missing`."""
        if device.type != "cpu":
            return f"runs on the CPU, not on {device.type}"
        return lacking(*self.packages)

    def write(self, model: VideoModel, clips: Clip, folder: Path, about: Mapping[str, Any]) -> None:
        """As `Form.write`."""
        xml, _ = self.files
        if not (folder / xml).is_file():
            write_graph("model.onnx", model, clips, folder, about)
            write_openvino(folder / "model.onnx", folder / xml, about)

    def open(self, model: VideoModel, folder: Path, device: torch.device) -> Running:  # noqa: ARG002
        """As `Form.open`; it computes with as many threads as torch does."""
        session = openvino_session(folder / self.files[0], self.precision)
        heads = [head.name for head in model.spec.heads]
        return Running(self.name, model.spec, clip_scores(session, heads))


def write_openvino(source: Path, xml: Path, about: Mapping[str, Any]) -> None:
    """Write the graph of ONNX in `source` as OpenVINO's, `xml` and the .bin of its name.

    What it says of the model stands in its rt_info, under ``marey``.
    """
    if reason := lacking("openvino"):
        raise RunError(f"{xml} cannot be written: {reason}")
    import openvino

    graph = openvino.Core().read_model(source)
    graph.set_rt_info(json.dumps(dict(about)), [METADATA])
    with temporary_folder("openvino") as folder:
        draft = folder / xml.name
        openvino.save_model(graph, draft, compress_to_fp16=False)
        for file in (xml.with_suffix(".bin"), xml):
            with replacing(file, run_error) as out:
                out.write(draft.with_suffix(file.suffix).read_bytes())


def openvino_session(xml: Path, precision: Literal["f32", "bf16"] = "f32") -> Session:
    """A graph of OpenVINO, opened from the bytes of its two files; RunError if it cannot be read.

    It computes on the CPU, with as many threads as torch does.
    """
    if reason := lacking("openvino"):
        raise RunError(f"{xml} cannot be read: {reason}")
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "ENABLE_CPU_PINNING": False,  # processes that read clips are not to share one core
    }
    text = read_graph(xml)
    if not text.startswith(b"<?xml"):  # it would be read as whatever else it is
        raise RunError(f"{xml} is no graph of OpenVINO", AGAIN)
    try:
        graph = openvino.Core().read_model(text, read_graph(xml.with_suffix(".bin")))
        compiled = openvino.compile_model(graph, "CPU", settings)
        about = str(graph.get_rt_info([METADATA]).value) if graph.has_rt_info([METADATA]) else ""
    except RuntimeError as error:
        said = cut_short(" ".join(str(error).split()), 200).rstrip(".")
        raise RunError(f"{xml} is not read by openvino: {said}", AGAIN) from error

    def run(inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        found = compiled({name: x.numpy() for name, x in inputs.items()})
        return {name: torch.from_numpy(found[name].copy()) for name in outputs}

    inputs, outputs = (
        {
            each.get_any_name(): tuple(
                None if n.is_dynamic else n.get_length() for n in each.partial_shape
            )
            for each in ends
        }
        for ends in (compiled.inputs, compiled.outputs)
    )
    return Session("openvino", about, run, inputs, outputs)


OPENVINO_FORMS = (
    OpenVinoForm("openvino"),
    OpenVinoForm("openvino-bf16", precision="bf16"),
)
