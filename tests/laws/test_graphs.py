"""Every model is one graph that takes any batch: exported, compiled, and differentiated."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.fx import GraphModule

from marey.models import VideoModel
from marey.types import Scores
from tests.laws.kinds import KINDS, VARIANTS, random_clip, random_model

MADE = {name: spec for name, spec in KINDS.items() if name not in VARIANTS}
"""Tracing is slow, so each module is traced in one or two of the networks in which it may stand."""


@pytest.fixture(scope="module", params=list(MADE.values()), ids=list(MADE))
def model(request: pytest.FixtureRequest) -> VideoModel:
    return random_model(request.param)


@pytest.fixture(autouse=True)
def _forget_what_was_compiled() -> Iterator[None]:
    yield
    torch.compiler.reset()


def agree(run: Callable[[Tensor], Scores], model: VideoModel, *batches: int) -> None:
    for batch in batches:
        clip = random_clip(model.spec, batch)
        torch._dynamo.mark_dynamic(clip, 0)
        torch.testing.assert_close(run(clip)["label"], model(clip)["label"], rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_an_exported_model_takes_any_batch_and_needs_no_operator_of_ours(model: VideoModel) -> None:
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(
        model, (random_clip(model.spec, batch=2),), dynamic_shapes=({0: batch},)
    )
    assert "marey" not in exported.graph_module.code
    agree(exported.module(), model, 1, 2, 3)


@torch.no_grad()
def test_a_compiled_model_is_one_graph_for_every_batch(model: VideoModel) -> None:
    graphs = []

    def backend(graph: GraphModule, _example: list[Tensor]) -> object:
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(model, backend=backend, fullgraph=True)
    agree(compiled, model, 2, 3)
    assert len(graphs) == 1


@pytest.mark.parametrize("name", ["tsm", "tam"])
def test_a_compiled_model_has_the_same_gradients(name: str) -> None:
    model = random_model(KINDS[name])
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    clip = random_clip(model.spec, batch=2)
    torch._dynamo.mark_dynamic(clip, 0)
    gradients = []
    for run in (model, compiled):
        model.zero_grad()
        run(clip)["label"].square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-8, atol=1e-8)


@pytest.mark.long
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")
@pytest.mark.parametrize("name", ["tsm", "gc-tsm", "blvnet-tam"])
@torch.no_grad()
def test_inductor_makes_code_that_gives_the_same_scores(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    model = random_model(KINDS[name])
    compiled = torch.compile(model, fullgraph=True, options={"compile_threads": 1})
    agree(compiled, model, 2, 3)
