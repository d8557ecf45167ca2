"""Our plain model in other runtimes, exported to ONNX as their users would."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from marey.models.video_model import VideoModel

Call: TypeAlias = Callable[[], Tensor]
"""Gives logits [b k] of the clips that it was made for."""


def installed() -> tuple[str, ...]:
    """Those of this file that can be imported here."""
    return tuple(name for name in RUNTIMES if find_spec(name))


@contextmanager
def exported(model: VideoModel, clip: Tensor) -> Iterator[Path]:
    """An ONNX file of the model, of clips of this shape, as long as the block lasts."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it misses torchvision's operators, which are not used
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(model, (clip,), dynamo=True, verbose=False)
    finally:
        logger.setLevel(level)
    assert program is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        program.save(path)
        yield path


def onnxruntime(path: Path, clip: Tensor) -> Call:
    """ONNX Runtime with all of its graph optimisations, on torch's number of threads."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: clip.numpy()}
    return lambda: torch.from_numpy(session.run(None, given)[0])


def openvino(path: Path, clip: Tensor) -> Call:
    """OpenVINO in float32 for one clip at a time, on torch's number of threads."""
    import openvino as ov

    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    compiled, array = ov.Core().compile_model(str(path), "CPU", settings), clip.numpy()
    return lambda: torch.from_numpy(compiled(array)[0])


RUNTIMES: dict[str, Callable[[Path, Tensor], Call]] = {
    "onnxruntime": onnxruntime,
    "openvino": openvino,
}
