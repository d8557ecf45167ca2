"""Forms that OpenVINO runs on a CPU: in float32, in bfloat16.

It reads its own files, .xml and .bin, made of the ONNX graph: given one of ONNX, even as bytes, it
would open whatever other files that names. A graph of 8 bits is not among them: of several clips at
once OpenVINO 2026.4 scores the first alone, and gives zeros for the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from marey.engine.runtimes.form import Running
from marey.engine.runtimes.graphs import write_graph
from marey.engine.runtimes.onnx_file import INPUT, lacking, read_graph
from marey.errors import RunError, cut_short
from marey.models.video_model import VideoModel
from marey.types import Clip, Scores


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
        import openvino

        xml, _ = self.files
        if not (folder / xml).is_file():
            write_graph("model.onnx", model, clips, folder, about)
            read = openvino.Core().read_model(folder / "model.onnx")
            openvino.save_model(read, folder / xml, compress_to_fp16=False)

    def open(self, model: VideoModel, folder: Path, device: torch.device) -> Running:  # noqa: ARG002
        """As `Form.open`; it computes with as many threads as torch does."""
        import openvino

        settings = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "ENABLE_CPU_PINNING": False,  # processes that read clips are not to share one core
        }
        xml, weights = (folder / name for name in self.files)
        graph = read_graph(xml)
        if not graph.startswith(b"<?xml"):  # it would be read as whatever else it is
            raise RunError(f"{xml} is no graph of OpenVINO")
        try:
            read = openvino.Core().read_model(graph, read_graph(weights))
            compiled = openvino.compile_model(read, "CPU", settings)
        except RuntimeError as error:
            said = cut_short(" ".join(str(error).split()), 200)
            raise RunError(f"{xml} is not read by openvino: {said}") from error
        heads = [head.name for head in model.spec.heads]

        def run(clip: Clip) -> Scores:
            found = compiled({INPUT: clip.contiguous().numpy()})
            return {head: torch.from_numpy(found[head].copy()) for head in heads}

        return Running(self.name, model.spec, run)


OPENVINO_FORMS = (
    OpenVinoForm("openvino"),
    OpenVinoForm("openvino-bf16", precision="bf16"),
)
