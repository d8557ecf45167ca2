"""Graphs of every family of models, parsed for what TensorRT takes and run beside the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from marey.engine.export.tensorrt import tensorrt_faults
from marey.engine.runtimes.onnx_file import write_onnx_program
from marey.engine.runtimes.onnx_runtime import onnx_session
from marey.engine.runtimes.program import clip_program, stream_program
from marey.engine.runtimes.session import clip_scores
from marey.engine.runtimes.stream_file import StreamFile
from marey.models import (
    TSM,
    AttentivePoolSpec,
    MobileNetV2Spec,
    ModelSpec,
    ResNetSpec,
    TimeStatisticsSpec,
)
from marey.models.stream import streaming
from tests.laws.kinds import KINDS, tiny
from tests.models.fused.lively import enliven

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

WITHIN = 1e-4
"""Of the largest logit."""

RESNET = ResNetSpec(18, channels=8)
NECKS = {
    "statistics": replace(tiny(RESNET), neck=TimeStatisticsSpec()),
    "attentive-pool": replace(tiny(RESNET), neck=AttentivePoolSpec(num_heads=4, over="frames")),
}
FAMILIES: dict[str, ModelSpec] = NECKS | {
    name: KINDS[name]
    for name in (
        *("tsm", "tam", "blvnet-tam", "gst", "gc-tsm", "gc-tdn", "tsm-mobilenet", "tsm-nl"),
        *("i3d", "motionformer", "vit-divided", "ecal-t-tsn"),
    )
}


def graph(path: Path, **changes: Any) -> Path:
    """A graph that adds a weight, which TensorRT would take, with changes."""
    given: dict[str, Any] = {"op": "Add", "domain": "", "opset": 18, "shape": [2, 4]}
    given |= {"weight": np.ones(4, np.float32), "mode": {}} | changes
    ends = [onnx.helper.make_tensor_value_info(name, 1, given["shape"]) for name in "xy"]
    node = onnx.helper.make_node(
        given["op"], ["x", "w"], ["y"], domain=given["domain"], **given["mode"]
    )
    weight = onnx.numpy_helper.from_array(given["weight"], "w")
    made = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [weight])
    sets = [onnx.helper.make_opsetid("", given["opset"])]
    path.write_bytes(onnx.helper.make_model(made, opset_imports=sets).SerializeToString())
    return path


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, ""),
        ({"opset": 21}, "operators are of set 21, it reads 9 to 20"),
        ({"domain": "marey"}, "operators are of marey, it knows those of ONNX alone"),
        ({"op": "NonZero"}, "it may not know the operators NonZero"),
        ({"op": "Resize", "mode": {"mode": "cubic"}}, "it resizes by 'cubic', not by 'nearest'"),
        ({"shape": ["n", 4]}, "'x' has no fixed shape: export it with --batch-size"),
        ({"weight": np.ones(4, np.uint8)}, "it takes no numbers of UINT8"),
        ({"weight": np.ones(4, np.float64)}, "it takes no numbers of DOUBLE"),
        ({"weight": np.array([2**40])}, "integers of w are too large for 32 bits"),
        ({"weight": np.array([-(2**31) - 1])}, "integers of w are too large for 32 bits"),
        ({"weight": np.array([-(2**63), 2**63 - 1])}, ""),  # ends of slices, as torch writes them
    ],
)
def test_what_tensorrt_does_not_take_is_said(
    changes: dict[str, Any], fault: str, tmp_path: Path
) -> None:
    found = tensorrt_faults(graph(tmp_path / "model.onnx", **changes))
    assert [each[: len(fault)] for each in found] == ([fault] if fault else [])


@pytest.mark.slow
def test_a_stream_of_tsm_mobilenet_fits_tensorrt_and_goes_on_as_the_model(tmp_path: Path) -> None:
    spec = tiny(MobileNetV2Spec(0.1), TSM(direction="past"))
    torch.manual_seed(0)
    stream = streaming(enliven(spec.build()))
    program = stream_program(stream, (3, 32, 32), batch=1)
    write_onnx_program(program, tmp_path / "model.onnx", about={})
    session = onnx_session(tmp_path / "model.onnx", "CPUExecutionProvider")
    file = StreamFile(session, program.inputs, program.outputs)
    ours: list[Tensor] = []
    theirs: list[Tensor] = []
    for frame in torch.randn(6, 1, 3, 32, 32):
        found, *ours = file(frame, *ours)
        with torch.no_grad():
            wanted, *theirs = stream(frame, *theirs)
        assert (found - wanted).abs().max() < WITHIN * wanted.abs().max()
    assert tensorrt_faults(tmp_path / "model.onnx") == ()


@pytest.mark.long
@pytest.mark.parametrize("batch", [None, 2], ids=["any", "two"])
@pytest.mark.parametrize("name", FAMILIES)
def test_graphs_of_all_families_score_as_the_model_and_fit_tensorrt(
    name: str, batch: int | None, tmp_path: Path
) -> None:
    _hold(FAMILIES[name], batch, tmp_path / "model.onnx")


@pytest.mark.slow
def test_a_graph_of_a_fixed_batch_fits_tensorrt(tmp_path: Path) -> None:
    _hold(tiny(RESNET), 2, tmp_path / "model.onnx")


def _hold(spec: ModelSpec, batch: int | None, path: Path) -> None:
    torch.manual_seed(0)
    model = enliven(spec.build()).eval()
    write_onnx_program(clip_program(model, spec.clip_shape(32), batch), path, about={})
    run = clip_scores(onnx_session(path, "CPUExecutionProvider"), ["label"])
    clips = torch.randn(batch or 3, *spec.clip_shape(32))
    with torch.no_grad():
        wanted = model(clips)["label"]
    assert (run(clips)["label"] - wanted).abs().max() < WITHIN * wanted.abs().max()
    faults = tensorrt_faults(path)
    assert faults == (() if batch else ("'clip' has no fixed shape: export it with --batch-size",))
