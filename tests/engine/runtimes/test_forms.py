from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from marey.engine.environment import versions_of
from marey.engine.machine import this_machine
from marey.engine.runtimes.catalog import FORMS, find_form, forms_named
from marey.engine.runtimes.form import Running
from marey.engine.runtimes.graph_files import open_file
from marey.engine.runtimes.onnx_file import LAYERS, read_graph, write_onnx
from marey.engine.runtimes.program import INPUT
from marey.errors import RunError
from marey.models import TSM, Head, ModelSpec, ResNetSpec, VideoModel
from marey.types import Clip, Scores

CPU = torch.device("cpu")
SPEC = ModelSpec(
    ResNetSpec(18, channels=8),
    (TSM(),),
    num_segments=2,
    heads=(Head("verb", 3), Head("noun", 4)),
    head_std=None,
)


@pytest.fixture(scope="module")
def model() -> VideoModel:
    torch.manual_seed(0)
    model = SPEC.build()
    with torch.no_grad():
        for norm in model.modules():
            if isinstance(norm, torch.nn.BatchNorm2d):
                norm.running_mean.normal_(std=0.1)  # type: ignore[union-attr, operator]
                norm.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr, operator]
    return model.eval()


@pytest.fixture(scope="module")
def clips() -> Clip:
    return torch.randn(4, *SPEC.clip_shape(32), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where forms write; graphs are shared, and made once."""
    return tmp_path_factory.mktemp("forms")


@pytest.fixture(scope="module")
def plain(model: VideoModel, clips: Clip) -> Scores:
    with torch.no_grad():
        return model(clips)


def running(name: str, model: VideoModel, clips: Clip, folder: Path) -> Running:
    form = find_form(name)
    assert form is not None
    if reason := form.missing(CPU):
        pytest.skip(reason)
    form.write(model, clips, folder, {"name": "tiny"})
    assert all((folder / file).is_file() for file in form.files)
    return form.open(model, folder, CPU)


def difference(ours: Scores, theirs: Scores) -> float:
    parts = [(ours[h] - s).abs().max() / s.abs().max() for h, s in theirs.items()]
    return float(max(parts))


@pytest.mark.parametrize("name", ["plain", "fused", "onnxruntime", "openvino"])
def test_forms_in_float32_give_the_same_scores(
    name: str, model: VideoModel, clips: Clip, folder: Path, plain: Scores
) -> None:
    run = running(name, model, clips, folder)
    assert run.spec == SPEC
    assert difference(run(clips), plain) < 2e-5
    one = {head: scores[:1] for head, scores in plain.items()}
    assert difference(run(clips[:1]), one) < 2e-5


@pytest.mark.parametrize(
    # 8 bits of mantissa, and 8 bits of a range, through a network of random weights
    ("name", "within"),
    [("bf16", 0.1), ("openvino-bf16", 0.1), ("onnxruntime-int8", 0.5)],
)
def test_shorter_numbers_give_nearly_the_same(
    name: str, within: float, model: VideoModel, clips: Clip, folder: Path, plain: Scores
) -> None:
    found = running(name, model, clips, folder)(clips)
    assert difference(found, plain) < within
    assert all(scores.dtype == torch.float32 for scores in found.values())


def test_the_first_layers_are_never_of_8_bits(model: VideoModel, clips: Clip, folder: Path) -> None:
    running("onnxruntime-int8", model, clips, folder)
    import onnx

    graph = onnx.load(folder / "model.int8.onnx").graph
    rounded = {out for node in graph.node if "Dequantize" in node.op_type for out in node.output}
    layers = [node for node in graph.node if node.op_type in LAYERS]
    kinds = [rounded.issuperset(node.input[:2]) for node in layers]
    assert kinds == [False] * (len(layers) // 6) + [True] * (len(layers) - len(layers) // 6)


@pytest.mark.long
@pytest.mark.parametrize(("name", "within"), [("compiled", 2e-5), ("bf16-compiled", 0.1)])
def test_compiled_forms_give_the_same_scores(
    name: str, within: float, model: VideoModel, clips: Clip, folder: Path, plain: Scores
) -> None:
    assert difference(running(name, model, clips, folder)(clips), plain) < within


def test_autocast_changes_no_form(
    model: VideoModel, clips: Clip, folder: Path, plain: Scores
) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        found = running("fused", model, clips, folder)(clips)
    assert difference(found, plain) < 2e-5


def test_forms_of_cards_say_that_there_is_none() -> None:
    for name in ("bf16-graphs", "tensorrt", "tensorrt-fp16"):
        form = find_form(name)
        assert form is not None
        assert form.missing(CPU) == "needs a CUDA device"


def test_a_graph_runs_on_the_card_that_is_asked_for(
    model: VideoModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    opened: list[object] = []

    class Opened:
        def __init__(self, graph: bytes, settings: object, providers: list[object]) -> None:
            opened.extend(providers)

        def get_modelmeta(self) -> SimpleNamespace:
            return SimpleNamespace(custom_metadata_map={})

        def get_inputs(self) -> list[object]:
            return []

        get_outputs = get_inputs

    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "InferenceSession", Opened)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    (tmp_path / "model.onnx").write_bytes(b"a graph")
    for device in ("cuda:1", "cuda", "cpu"):
        open_file(tmp_path / "model.onnx", torch.device(device))
    tensorrt = find_form("tensorrt-fp16")
    assert tensorrt is not None
    tensorrt.open(model, tmp_path, torch.device("cuda:2"))
    assert opened == [
        ("CUDAExecutionProvider", {"device_id": 1}),
        ("CUDAExecutionProvider", {}),
        ("CPUExecutionProvider", {}),
        ("TensorrtExecutionProvider", {"device_id": 2, "trt_fp16_enable": True}),
    ]


def test_without_a_compiler_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    compiled = find_form("compiled")
    assert compiled is not None
    assert "needs a C++ compiler, and there is no no-such-compiler" in compiled.missing(CPU)


def test_names_are_of_one_form_each() -> None:
    assert len({form.name for form in FORMS}) == len(FORMS)
    assert forms_named([]) == FORMS
    with pytest.raises(ValueError, match="there is no form 'onxruntime'. hint: did you mean 'onnx"):
        forms_named(["onxruntime"])


def test_a_graph_says_what_it_was_told_and_has_operators_of_onnx_alone(
    model: VideoModel, clips: Clip, folder: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    running("onnxruntime", model, clips, folder)
    graph = onnx.load_from_string(read_graph(folder / "model.onnx"))
    (entry,) = [each for each in graph.metadata_props if each.key == "marey"]
    assert json.loads(entry.value) == {"name": "tiny"}
    assert {node.domain for node in graph.graph.node} <= {"", "ai.onnx"}
    assert not graph.functions
    assert [each.name for each in graph.graph.input] == [INPUT]
    assert [each.name for each in graph.graph.output] == ["verb", "noun"]
    batch, *rest = graph.graph.input[0].type.tensor_type.shape.dim
    assert batch.dim_param == "clips"
    assert [each.dim_value for each in rest] == [2, 3, 32, 32]


def test_a_graph_cannot_be_written_without_its_packages(
    model: VideoModel, clips: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marey.engine.runtimes.onnx_file.installed", lambda _: "")
    message = r"no onnx and no onnxscript: pip install 'marey\[deploy\]'"
    with pytest.raises(RunError, match=message):
        write_onnx(model, clips, tmp_path / "model.onnx")


def test_a_model_that_onnx_has_no_operators_for_is_said(
    model: VideoModel, clips: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise torch.onnx.OnnxExporterError("a node") from AssertionError("only 4D is supported")

    monkeypatch.setattr(torch.onnx, "export", refuse)
    with pytest.raises(RunError, match="no operators of ONNX for this model: only 4D is support"):
        write_onnx(model, clips, tmp_path / "model.onnx")


def test_a_graph_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"none.onnx is missing"):
        read_graph(tmp_path / "none.onnx")
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(RunError, match=r"empty.onnx holds 0 bytes"):
        read_graph(tmp_path / "empty.onnx")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_graph_that_names_other_files_does_not_have_them_read(
    name: str, model: VideoModel, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    form = find_form(name)
    assert form is not None
    if reason := form.missing(CPU):
        pytest.skip(reason)
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(16))
    weights = onnx.TensorProto(name="w", data_type=1, dims=[4], data_location=1)
    weights.external_data.add(key="location", value=str(secret))
    ends = [onnx.helper.make_tensor_value_info(each, 1, [4]) for each in (INPUT, "verb")]
    adds = onnx.helper.make_node("Add", [INPUT, "w"], ["verb"])
    graph = onnx.helper.make_graph([adds], "g", ends[:1], ends[1:], [weights])
    for file in form.files:
        (tmp_path / file).write_bytes(onnx.helper.make_model(graph).SerializeToString())
    with pytest.raises(RunError, match="is not read by onnxruntime|is no graph of OpenVINO"):
        form.open(model, tmp_path, CPU)


def test_a_machine_is_the_same_as_itself_whatever_its_threads() -> None:
    here = this_machine(CPU, versions_of(["torch", "numpy", "no-such-package"]))
    assert here.versions.keys() == {"torch", "numpy"}
    assert here.processor
    assert here.instruction_sets
    assert here.gpu == ""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        assert not here.differs(this_machine(CPU))
    finally:
        torch.set_num_threads(threads)
