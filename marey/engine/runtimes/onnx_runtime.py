"""Forms that ONNX Runtime runs: in float32, of 8 bits, by TensorRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from marey.engine.runtimes.form import Running
from marey.engine.runtimes.graphs import Graph, write_graph
from marey.engine.runtimes.onnx_file import AGAIN, METADATA, lacking, read_graph
from marey.engine.runtimes.session import Session, clip_scores
from marey.errors import RunError, cut_short
from marey.models.video_model import VideoModel
from marey.types import Clip

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""Device -> what ONNX Runtime computes with there."""
TENSORRT = "TensorrtExecutionProvider"


@dataclass(frozen=True)
class OnnxRuntimeForm:
    """A graph, run by ONNX Runtime."""

    name: str
    graph: Graph = "model.onnx"
    provider: str = ""
    """What it computes with; by default what the device has."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the provider."""
    packages: tuple[str, ...] = ("onnxruntime",)

    @property
    def files(self) -> tuple[str, ...]:
        """The graph."""
        return (self.graph,)

    def missing(self, device: torch.device) -> str:
        """As `Form.missing`."""
        provider = self.provider or PROVIDERS.get(device.type, "")
        if self.provider == TENSORRT and device.type != "cuda":
            return "needs a CUDA device"
        if not provider:
            return f"runs on {' and '.join(PROVIDERS)}, not on {device.type}"
        if reason := lacking(*self.packages):
            return reason
        import onnxruntime

        if provider not in (there := onnxruntime.get_available_providers()):
            return (
                f"this onnxruntime has no {provider} (it has {', '.join(there)}): "
                "pip install onnxruntime-gpu"
            )
        return ""

    def write(self, model: VideoModel, clips: Clip, folder: Path, about: Mapping[str, Any]) -> None:
        """As `Form.write`."""
        write_graph(self.graph, model, clips, folder, about)

    def open(self, model: VideoModel, folder: Path, device: torch.device) -> Running:
        """As `Form.open`; it computes with as many threads as torch does."""
        provider = self.provider or PROVIDERS[device.type]
        options = {**options_for(provider, device), **self.options}
        session = onnx_session(folder / self.graph, provider, options)
        heads = [head.name for head in model.spec.heads]
        return Running(self.name, model.spec, clip_scores(session, heads))


def provider_for(device: torch.device) -> str:
    """The provider for `device`; that of the CPU where this onnxruntime has none for it."""
    if reason := lacking("onnxruntime"):
        raise RunError(f"graphs of ONNX cannot be read: {reason}")
    import onnxruntime

    wanted = PROVIDERS.get(device.type, "")
    return wanted if wanted in onnxruntime.get_available_providers() else PROVIDERS["cpu"]


def options_for(provider: str, device: torch.device) -> dict[str, Any]:
    """What tells a provider which of several cards `device` is; by default it takes the first."""
    if device.index is None or provider == PROVIDERS["cpu"]:
        return {}
    return {"device_id": device.index}


def onnx_session(path: Path, provider: str, options: Mapping[str, Any] | None = None) -> Session:
    """A graph of ONNX, opened from its bytes; RunError if it cannot be read.

    It computes with as many threads as torch does.
    """
    if reason := lacking("onnxruntime"):
        raise RunError(f"{path} cannot be read: {reason}")
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4  # what goes wrong is raised
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.inter_op_num_threads = 1
    # threads that spin while they wait take the cores from those that read the next clip
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(
            read_graph(path), settings, providers=[(provider, dict(options or {}))]
        )
    except _refusals() as error:
        said = cut_short(" ".join(str(error).split()), 200).rstrip(".")
        raise RunError(f"{path} is not read by onnxruntime: {said}", AGAIN) from error
    about = session.get_modelmeta().custom_metadata_map.get(METADATA, "")

    def run(inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        found = session.run(list(outputs), {name: x.numpy() for name, x in inputs.items()})
        return dict(zip(outputs, map(torch.from_numpy, found), strict=True))

    inputs, outputs = (
        {each.name: tuple(n if isinstance(n, int) else None for n in each.shape) for each in ends}
        for ends in (session.get_inputs(), session.get_outputs())
    )
    return Session("onnxruntime", about, run, inputs, outputs)


def _refusals() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises of a graph: exceptions that have no class of their own in common."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = ("EPFail", "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel")
    more = ("NotImplemented", "RuntimeException")
    return tuple(getattr(state, name) for name in (*names, *more))


ONNX_RUNTIME_FORMS = (
    OnnxRuntimeForm("onnxruntime"),
    OnnxRuntimeForm("onnxruntime-int8", "model.int8.onnx"),
    OnnxRuntimeForm("tensorrt", provider=TENSORRT),
    OnnxRuntimeForm("tensorrt-fp16", provider=TENSORRT, options={"trt_fp16_enable": True}),
)
