"""Graphs of every family of models, parsed for what TensorRT takes and run beside the model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from marey.engine.export.tensorrt import tensorrt_faults
from marey.engine.runtimes.onnx_file import write_onnx_program
from marey.engine.runtimes.onnx_runtime import onnx_session
from marey.engine.runtimes.program import clip_program
from marey.engine.runtimes.session import clip_scores
from marey.models import ModelSpec, ResNetSpec
from tests.laws.kinds import KINDS, tiny
from tests.models.fused.lively import enliven

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

WITHIN = 1e-4
"""Of the largest logit."""

FAMILIES: dict[str, ModelSpec] = {
    name: KINDS[name]
    for name in (
        *("tsm", "tam", "blvnet-tam", "gst", "gc-tsm", "gc-tdn", "tsm-mobilenet", "tsm-nl"),
        *("i3d", "motionformer", "vit-divided", "ecal-t-tsn"),
    )
}


@pytest.mark.long
@pytest.mark.parametrize("batch", [None, 2], ids=["any", "two"])
@pytest.mark.parametrize("name", FAMILIES)
def test_graphs_of_all_families_score_as_the_model_and_fit_tensorrt(
    name: str, batch: int | None, tmp_path: Path
) -> None:
    _hold(FAMILIES[name], batch, tmp_path / "model.onnx")


def test_a_graph_of_a_fixed_batch_fits_tensorrt(tmp_path: Path) -> None:
    _hold(tiny(ResNetSpec(18, channels=8)), 2, tmp_path / "model.onnx")


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
