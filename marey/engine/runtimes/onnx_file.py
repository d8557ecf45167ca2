"""Models as ONNX graphs: written by torch, rounded to 8 bits by ONNX Runtime, read as data.

A graph takes `clip`, float32 [n t c h w] normalised as in training, of any n, and gives the logits
[n k] of each head under its name. It holds operators of ONNX alone, none of ours, so that any
runtime takes it. What a person has to know beside it stands in its metadata, under ``marey``.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from marey.engine.environment import installed
from marey.engine.runtimes.program import MOST_BYTES, Program, clip_program
from marey.errors import RunError, cut_short
from marey.models.video_model import VideoModel
from marey.storage.atomic import replacing, run_error
from marey.storage.temporary import temporary_folder
from marey.types import Clip

METADATA = "marey"
"""The entry of a graph's metadata: JSON, of what `write_onnx` was told."""

OPSET = 18
"""The operators that graphs hold: the oldest set that torch writes, which most runtimes read."""

LAYERS = ("Conv", "Gemm", "MatMul")
"""Operators of a graph that have weights."""

AGAIN = "copy it again, or export it again (marey export)"
"""What to do about a file that is damaged."""

WRITERS = ("onnx", "onnxscript")
"""What torch needs to write a graph."""


def cannot_write() -> str:
    """Why no graph can be written here; empty if it can."""
    return lacking(*WRITERS)


def lacking(*packages: str) -> str:
    """That packages of the extra `deploy` are not installed; empty if all are."""
    missing = [name for name in packages if not installed(name)]
    return f"no {' and no '.join(missing)}: pip install 'marey[deploy]'" if missing else ""


def write_onnx(
    model: VideoModel, clips: Clip, path: Path, *, about: Mapping[str, Any] | None = None
) -> None:
    """Write the graph of `model` for clips of this size, in any number, to the file `path`.

    Args:
        model: the plain one, in evaluation mode.
        clips: [n t c h w] on the model's device.
        path: NAME.onnx.
        about: what its metadata says: preprocessing, labels, recipe.

    Raises:
        RunError: the packages are not installed, it cannot be written, or is too large for a file.
    """
    if reason := cannot_write():
        raise RunError(f"{path} cannot be written: {reason}")
    write_onnx_program(clip_program(model, clips.shape[1:]), path, about=about or {})


def write_onnx_program(program: Program, path: Path, *, about: Mapping[str, Any]) -> None:
    """Write a program as a graph of ONNX, of operator set `OPSET`, to the file `path`.

    RunError as `write_onnx`.
    """
    if reason := cannot_write():
        raise RunError(f"{path} cannot be written: {reason}")
    import onnx

    try:
        with quiet(), torch.no_grad():
            found = torch.onnx.export(
                program.traced,
                dynamo=True,
                dynamic_shapes=program.dynamic_shapes,
                input_names=list(program.inputs),
                output_names=list(program.outputs),
                opset_version=OPSET,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        cause = error.__cause__ or error
        first = next(filter(None, map(str.strip, str(cause).splitlines())), type(error).__name__)
        raise RunError(
            f"torch has no operators of ONNX for this model: {cut_short(first, 200)}",
            "export it to pt2",
        ) from error
    assert found is not None, "with dynamo=True it is what is exported"
    graph = found.model_proto
    entry = onnx.StringStringEntryProto(key=METADATA, value=json.dumps(dict(about)))
    graph.metadata_props.append(entry)
    with replacing(path, run_error) as file:
        file.write(graph.SerializeToString())


def write_int8(
    source: Path, examples: Iterable[Mapping[str, Tensor]], path: Path, *, saturates: bool
) -> None:
    """Write the graph in `source` to `path` with weights and activations of 8 bits.

    Convolutions and products are of 8 bits, by ranges (static) that the `examples` show; scales of
    weights are one a channel. The first sixth of them stay in float32: on a fine-tuned
    TSM-MobileNetV2 that took the mean error from 0.19 of the largest logit to 0.05 and the equal
    top-1 of 44 clips from 91 % to 100 %, at the same speed; kinder ranges (percentiles, entropy)
    and a head in float32 changed nothing.

    Args:
        source: as `write_onnx` wrote it.
        examples: inputs by name, of real clips: their ranges are those that all are held to.
        path: NAME.onnx.
        saturates: whether two products overflow 16 bits on this processor, so that weights get 7
            bits: x86 without VNNI.

    Raises:
        RunError: the packages are not installed.
    """
    if reason := lacking("onnx", "onnxruntime"):
        raise RunError(f"{path} cannot be written: {reason}")
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with temporary_folder("int8") as folder, quiet():
        # folds batch norm, without which each norm would be rounded on its own
        prepared = folder / "prepared.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        draft = folder / "int8.onnx"
        layers = [node.name for node in onnx.load(prepared).graph.node if node.op_type in LAYERS]
        quantize_static(
            prepared,
            draft,
            _Examples(examples),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=saturates,
            nodes_to_exclude=layers[: len(layers) // 6],
        )
        with replacing(path, run_error) as file:
            file.write(draft.read_bytes())


class _Examples:
    """Inputs as ONNX Runtime's calibration asks for them."""

    def __init__(self, examples: Iterable[Mapping[str, Tensor]]) -> None:
        self._rest = iter(examples)

    def get_next(self) -> dict[str, Any] | None:
        """The next ones, None behind the last."""
        example = next(self._rest, None)
        if example is None:
            return None
        return {name: value.detach().cpu().numpy() for name, value in example.items()}


@contextmanager
def quiet() -> Iterator[None]:
    """Without what torch's exporter and ONNX Runtime's tools say of themselves."""
    names = ("torch.onnx", "torch.export", "root", "onnxscript", "onnx_ir")
    loggers = [logging.getLogger(name) for name in names]
    before = [each.level for each in loggers]
    try:
        for each in loggers:
            each.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, before, strict=True):
            each.setLevel(level)


def read_graph(path: Path) -> bytes:
    """The bytes of a graph or its weights; RunError for what is missing, empty or too large.

    Runtimes are given bytes and no path, so that nothing a graph names is looked for on the disk.
    """
    size = path.stat().st_size if path.is_file() else 0
    if not size or size > MOST_BYTES:
        what = f"holds {size:,} bytes, expected 1 to 2 GiB" if path.is_file() else "is missing"
        both = (
            "the .xml and the .bin of one name belong together: " if path.suffix == ".bin" else ""
        )
        raise RunError(f"{path} {what}", both + AGAIN)
    return path.read_bytes()
