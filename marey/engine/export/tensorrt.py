"""What TensorRT needs of a graph of ONNX, told from the graph alone: nothing runs it here.

By the table of its parser for TensorRT 10 (github.com/onnx/onnx-tensorrt, docs/operators.md): sets
of operators from 9 on, 20 being the last that TensorRT 10.0 reads; and by the guide: shapes that
are known, of which a Jetson builds its engine without profiles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from marey.engine.runtimes.onnx_file import lacking, read_graph
from marey.errors import RunError, first_few

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

OPSETS = range(9, 21)
"""Those that TensorRT 10.0 reads; later ones read more."""

_SUPPORTED = """
Abs Add And ArgMax AveragePool BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape
Conv Cos CumSum DequantizeLinear Div Einsum Equal Erf Exp Expand EyeLike Flatten Floor Gather
GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GridSample
GroupNormalization HardSigmoid HardSwish Identity InstanceNormalization LayerNormalization
LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max MaxPool Mean Min Mod Mul Neg Not Or Pad Pow
PRelu QuantizeLinear Range Reciprocal ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean
ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ScatterElements ScatterND
Shape Sigmoid Sign Sin Size Slice Softmax Softplus Split Sqrt Squeeze Sub Sum Tanh Tile TopK
Transpose Unsqueeze Where Xor
"""
OPERATORS = frozenset(_SUPPORTED.split())
"""Of the table, those that networks of torch are made of."""

_TYPES = {"FLOAT", "FLOAT16", "BFLOAT16", "INT32", "INT64", "INT8", "BOOL"}
"""Numbers that weights and inputs may have."""


def tensorrt_faults(path: Path) -> tuple[str, ...]:
    """What TensorRT would not take of the graph at `path`, a sentence each; none if it fits.

    RunError if onnx is not installed.
    """
    if reason := lacking("onnx"):
        raise RunError(f"{path} cannot be looked at: {reason}")
    import onnx

    return tuple(_faults(onnx.load_from_string(read_graph(path))))


def _faults(model: ModelProto) -> Iterator[str]:
    sets = {each.domain or "ai.onnx": each.version for each in model.opset_import}
    if sets.get("ai.onnx") not in OPSETS:
        yield f"operators are of set {sets.get('ai.onnx')}, it reads {OPSETS[0]} to {OPSETS[-1]}"
    if model.functions:
        yield f"it holds functions: {first_few(each.name for each in model.functions)}"
    yield from _of_operators(model.graph)
    yield from _of_shapes(model.graph)
    yield from _of_weights(model.graph)


def _of_operators(graph: GraphProto) -> Iterator[str]:
    foreign = {node.domain for node in graph.node} - {"", "ai.onnx"}
    if foreign:
        yield f"operators are of {first_few(sorted(foreign))}, it knows those of ONNX alone"
    kinds = Counter(node.op_type for node in graph.node)
    if unknown := sorted(kinds.keys() - OPERATORS):
        yield f"it may not know the operators {first_few(unknown)}"
    for node in graph.node:
        mode = {each.name: each.s.decode() for each in node.attribute}.get("mode", "nearest")
        if node.op_type == "Resize" and mode not in ("nearest", "linear"):
            yield f"it resizes by '{mode}', not by 'nearest' or 'linear'"
            break
    if any(attribute.g.node for node in graph.node for attribute in node.attribute):
        yield "it holds branches or loops"


def _of_shapes(graph: GraphProto) -> Iterator[str]:
    for value in (*graph.input, *graph.output):
        sizes = [each.dim_value for each in value.type.tensor_type.shape.dim]
        if not sizes or min(sizes) < 1:
            yield f"'{value.name}' has no fixed shape: export it with --batch-size"
            return


def _of_weights(graph: GraphProto) -> Iterator[str]:
    from onnx import TensorProto, numpy_helper

    given = {
        each.name: each.type.tensor_type.elem_type for each in (*graph.input, *graph.output)
    } | {each.name: each.data_type for each in graph.initializer}
    names = {name: TensorProto.DataType.Name(kind) for name, kind in given.items()}
    if other := sorted({kind for kind in names.values() if kind not in _TYPES}):
        yield f"it takes no numbers of {', '.join(other)}"
    if any(each.data_location == TensorProto.EXTERNAL for each in graph.initializer):
        yield "weights lie in another file"
        return
    too_large = [
        each.name
        for each in graph.initializer
        if each.data_type == TensorProto.INT64 and _is_too_large(numpy_helper.to_array(each))
    ]
    if too_large:
        yield f"integers of {first_few(too_large)} are too large for 32 bits"


def _is_too_large(values: npt.NDArray[np.int64]) -> bool:
    """Whether integers change when they become of 32 bits, as they do in TensorRT before 10.

    The largest and the smallest there are stand in slices, for "from the start" and "to the end";
    they are clamped, which means the same.
    """
    limits = np.iinfo(np.int64)
    are_large = (values < -(2**31)) | (values >= 2**31)
    return bool((are_large & (values != limits.max) & (values != limits.min)).any())
