"""Looking at an ONNX file before ONNX Runtime gets it, as it may come from a stranger.

A graph is data, but its data can name other files of the machine, code of other libraries, sub-graphs that loop for
ever, and tensors of any size. What passes here has all its numbers inside, is made of the operators of an encoder
classifier only, and reads and writes what `OnnxClassifier` gives and takes. A stranger's graph can still compute
nonsense, slowly; it cannot read a file or run a program.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nlpladder.errors import ModelError
from nlpladder.models.onnx.names import INPUTS, OUTPUT, need
from nlpladder.models.saved_files import check_link

#: A protocol buffer cannot be larger.
MAX_GRAPH_BYTES = 2**31 - 1
_MAX_NODES = 200_000
#: The largest tensor that a constant shape may ask for: 2**28 numbers, 1 GiB in float32.
_MAX_CONSTANT_ELEMENTS = 2**28
_OPSETS = range(13, 27)

#: Operators of the encoders that we export, in float32 and in 8 bits. None calls code, reads files, loops or draws.
_OPERATORS = frozenset(
    {
        "Abs", "Add", "And", "ArgMax", "Cast", "CastLike", "Clip", "Concat", "Constant", "ConstantOfShape", "Conv",
        "Cos", "CumSum", "DequantizeLinear", "Div", "Dropout", "DynamicQuantizeLinear", "Einsum", "Equal", "Erf",
        "Exp", "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gelu", "Gemm", "Greater",
        "GreaterOrEqual", "GRU", "HardSwish", "Identity", "IsNaN", "LayerNormalization", "LeakyRelu", "Less",
        "LessOrEqual", "Log", "LSTM", "MatMul", "MatMulInteger", "Max", "MaxPool", "Mean", "Min", "Mod", "Mul", "Neg",
        "Not", "OneHot", "Or", "Pad", "Pow", "QuantizeLinear", "RMSNormalization", "RNN", "Range", "Reciprocal",
        "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu",
        "Reshape", "Round", "ScatterElements", "ScatterND", "Shape", "Sigmoid", "Sign", "Sin", "Size", "Slice",
        "Softmax", "Softplus", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Tile", "TopK", "Transpose", "Trilu",
        "Unsqueeze", "Where",
    }
)  # fmt: skip
#: Operator -> which of its inputs says how large its output is.
_SHAPED_BY = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1, "Pad": 1, "Range": 1, "OneHot": 1, "Reshape": 1}
#: Type of a tensor -> bytes of one number.
_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}


def read_graph(path: Path, *, num_labels: int) -> bytes:
    """Return the bytes of an ONNX file that is safe to give to ONNX Runtime.

    The bytes that were looked at are returned, not the file's name: what is opened is what was checked.

    Args:
        path: ``model.onnx`` in the folder of a model.
        num_labels: Of the model; the graph gives as many logits a text.

    Raises:
        ModelError: It is missing, too large, damaged, no classifier, or holds what such a graph never does.
    """
    check_link(path.parent, path)
    try:
        size = path.stat().st_size
        if size > MAX_GRAPH_BYTES:
            raise ModelError(
                f"{path} has {size:,} bytes, more than the {MAX_GRAPH_BYTES:,} that an ONNX file can have."
            )
        content = path.read_bytes()
    except OSError as error:
        if not path.exists():
            raise ModelError(f"{path.parent} holds no {path.name}. Export or download the model again.") from None
        raise ModelError(f"{path} cannot be read ({error}). Export or download the model again.") from error
    check_graph(content, num_labels=num_labels, where=str(path))
    return content


def check_graph(content: bytes, *, num_labels: int, where: str) -> None:
    """Look at a serialised graph; see `read_graph`.

    Args:
        content: The bytes.
        num_labels: Of the model.
        where: The file, for messages.

    Raises:
        ModelError: As `read_graph`.
    """
    onnx = need("onnx")
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own error class belongs to no module that is safe to name
        raise ModelError(f"{where} is damaged or cut short. Export or download the model again.") from error
    if not model.graph.node:
        raise ModelError(f"{where} holds no graph: it is damaged or cut short. Export or download the model again.")
    _check_versions(model, where)
    _check_nodes(model, where)
    tensors = [*model.graph.initializer, *_tensors_of_nodes(model.graph.node)]
    _check_tensors(tensors, where)
    _check_shapes(model.graph, where)
    _check_ends(model.graph, num_labels, where)
    try:
        onnx.checker.check_model(content)
    except Exception as error:  # ValidationError, or what the C++ code raises instead
        raise ModelError(f"{where} is no valid ONNX graph: {_first_line(error)}.") from error


def _check_versions(model: Any, where: str) -> None:
    versions = {entry.domain: entry.version for entry in model.opset_import}
    version = versions.get("", versions.get("ai.onnx"))
    if version not in _OPSETS:
        raise ModelError(
            f"{where} uses version {version} of the ONNX operators; {_OPSETS.start} to {_OPSETS.stop - 1} are opened. "
            "Export the model again."
        )


def _check_nodes(model: Any, where: str) -> None:
    if model.functions or model.training_info or model.graph.sparse_initializer:
        raise ModelError(
            f"{where} holds functions, training steps or sparse tensors, which no exported classifier has."
        )
    if len(model.graph.node) > _MAX_NODES:
        raise ModelError(f"{where} has {len(model.graph.node):,} nodes, more than the {_MAX_NODES:,} of any encoder.")
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in _OPERATORS:
            named = ".".join(part for part in (node.domain[:40], node.op_type[:40]) if part)
            raise ModelError(f"{where} uses the operator {named!r}, which no encoder classifier needs. It is refused.")
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                raise ModelError(f"{where} holds a graph inside the node {node.name[:60]!r}. It is refused.")


def _tensors_of_nodes(nodes: Iterable[Any]) -> Iterable[Any]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                yield attribute.sparse_tensor.values


def _check_tensors(tensors: Iterable[Any], where: str) -> None:
    for tensor in tensors:
        name = tensor.name[:60]
        if tensor.data_location != 0 or tensor.external_data:
            raise ModelError(
                f"{where} keeps the numbers of {name!r} in another file. Only graphs with all their numbers inside are "
                "opened. Save the model again without external data."
            )
        size = _BYTES.get(tensor.data_type)
        if size is None:
            raise ModelError(f"{where}: the tensor {name!r} has the type {tensor.data_type}, which no encoder needs.")
        if any(side < 0 for side in tensor.dims):
            raise ModelError(f"{where} is damaged: the tensor {name!r} has a negative size.")
        wanted = math.prod(tensor.dims)
        if tensor.HasField("raw_data"):
            held, needed = len(tensor.raw_data), wanted * size
        else:
            held = max(
                len(tensor.float_data), len(tensor.int32_data), len(tensor.int64_data), len(tensor.double_data),
                len(tensor.uint64_data),
            )  # fmt: skip
            needed = wanted
        if held != needed:
            raise ModelError(
                f"{where} is damaged: the tensor {name!r} of shape {list(tensor.dims)[:6]} does not fit its data. "
                "Export or download the model again."
            )


def _check_shapes(graph: Any, where: str) -> None:
    """Refuse shapes, written in the file, that would fill the memory as soon as the graph is opened."""
    numpy_helper = need("onnx.numpy_helper")
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants |= {name: one.t for name in node.output for one in node.attribute if one.HasField("t")}
    for node in graph.node:
        place = _SHAPED_BY.get(node.op_type)
        if place is None or len(node.input) <= place or node.input[place] not in constants:
            continue
        tensor = constants[node.input[place]]
        if math.prod(tensor.dims) > 64 or tensor.data_type not in (6, 7):
            continue
        sides = [abs(int(side)) for side in numpy_helper.to_array(tensor).reshape(-1)]
        if math.prod(max(1, side) for side in sides) > _MAX_CONSTANT_ELEMENTS:
            raise ModelError(
                f"{where} asks for a tensor of shape {sides[:6]} in the node {node.name[:60]!r}: too large."
            )


def _check_ends(graph: Any, num_labels: int, where: str) -> None:
    held = {tensor.name for tensor in graph.initializer}
    inputs = {one.name: one.type.tensor_type for one in graph.input if one.name not in held}
    if set(inputs) != set(INPUTS) or any(one.elem_type != 7 or len(one.shape.dim) != 2 for one in inputs.values()):
        raise ModelError(
            f"{where} reads {_list(inputs)}; a classifier reads {_list(INPUTS)}, integers of shape (batch, tokens)."
        )
    if any(side.HasField("dim_value") for one in inputs.values() for side in one.shape.dim):
        raise ModelError(f"{where} reads batches of one size or texts of one length only; both must be open.")
    outputs = {one.name: one.type.tensor_type for one in graph.output}
    logits = outputs.get(OUTPUT)
    if len(outputs) != 1 or logits is None or logits.elem_type != 1 or len(logits.shape.dim) != 2:
        raise ModelError(f"{where} gives {_list(outputs)}; a classifier gives {OUTPUT}, of shape (batch, labels).")
    last = logits.shape.dim[1]
    if last.HasField("dim_value") and last.dim_value != num_labels:
        raise ModelError(f"{where} gives {last.dim_value} logits a text, but the config.json has {num_labels} labels.")


def _list(names: Iterable[str]) -> str:
    return ", ".join(name[:40] for name in list(names)[:6]) or "nothing"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200].rstrip(".")
