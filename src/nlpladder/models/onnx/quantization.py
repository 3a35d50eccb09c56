"""8-bit linear layers whose answers do not depend on the batch: a scale for each token, and for each output.

A product Y = X W is computed in whole numbers: W is stored in 8 bits with one scale for each of its columns, and X is
rounded to 8 bits when it comes, each of its rows (one token) by its own largest magnitude:

    Y[i, j] = s_i t_j sum_k round(X[i, k] / s_i) W8[k, j],
    s_i = max_k |X[i, k]| / 127,  t_j = max_k |W[k, j]| / 127

the vector-wise quantisation of Dettmers et al. 2022 (LLM.int8(), section 2.1). Sums of 8-bit products are exact in 32
bits, so a text gets the same answer whatever stands beside it. ``quantize_dynamic`` of onnxruntime takes one scale for
the whole batch instead: there the longest and loudest text decides how coarsely all others are rounded.

Embedding tables are stored in 8 bits too, one scale a row. Attention itself, the norms and the head stay in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nlpladder.errors import ModelError
from nlpladder.models.onnx.names import need

_LARGEST = 127
#: The zero of unsigned activations: x86 multiplies unsigned by signed bytes fastest (VNNI).
_ZERO_POINT = 128
#: Keeps a row of zeros from being divided by zero.
_SMALLEST = 1e-10
#: ``onnx.TensorProto.FLOAT``
_FLOAT = 1
#: Tables of fewer rows, such as those of positions, are not worth it.
_TABLE_ROWS = 2_000


def quantize_weight(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round a matrix to 8 bits, each column by its own scale.

    Args:
        weight: W, float32, shape (inputs, outputs).

    Returns:
        W8, int8, shape (inputs, outputs), and the scales t, float32, shape (outputs,).
    """
    scales = np.maximum(np.abs(weight).max(axis=0), _SMALLEST) / _LARGEST  # (outputs,)
    return np.clip(np.rint(weight / scales), -_LARGEST, _LARGEST).astype(np.int8), scales.astype(np.float32)


def quantize_graph(model: Any) -> int:
    """Turn every product with a stored matrix of an ONNX graph into one of 8-bit numbers, in place.

    Args:
        model: An ``onnx.ModelProto`` in float32 whose numbers are all inside.

    Returns:
        How many products were turned.

    Raises:
        ModelError: There is none.
    """
    onnx = need("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    matrices = {
        node.input[1]
        for node in graph.node
        if node.op_type == "MatMul"
        and node.input[1] in stored
        and len(stored[node.input[1]].dims) == 2
        and stored[node.input[1]].data_type == onnx.TensorProto.FLOAT
    }
    if not matrices:
        raise ModelError(
            "No layer of this model is a product with a stored matrix, so there is nothing to round to 8 bits. "
            "Export it without --quantize."
        )
    constants = {
        "int8_largest": np.array(_LARGEST, np.float32),
        "int8_step": np.array(1 / _LARGEST, np.float32),
        "int8_smallest": np.array(_SMALLEST, np.float32),
        "int8_one": np.array(1, np.float32),
        "int8_zero": np.array(_ZERO_POINT, np.uint8),
        "int8_last_axis": np.array([-1], np.int64),
    }
    for name in sorted(matrices):
        whole, scales = quantize_weight(numpy_helper.to_array(stored[name]))
        constants |= {f"{name}.int8": whole, f"{name}.scales": scales}
    tables = _tables(graph.node, stored)
    for name in tables:
        whole, scales = quantize_weight(numpy_helper.to_array(stored[name]).T)
        constants |= {f"{name}.int8": np.ascontiguousarray(whole.T), f"{name}.scales": scales[:, None]}
    nodes: list[Any] = []
    rounded: set[str] = set()
    count = 0
    for node in graph.node:
        if node.op_type == "Gather" and node.input[0] in tables:
            nodes += _look_up(helper, node)
            continue
        if node.op_type != "MatMul" or node.input[1] not in matrices:
            nodes.append(node)
            continue
        activations, name = node.input
        if activations not in rounded:  # query, key and value read the same
            nodes += _rounding(helper, activations)
            rounded.add(activations)
        nodes += _product(helper, activations, name, node.output[0])
        count += 1
    still_read = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name not in matrices | tables or tensor.name in still_read]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*kept, *(numpy_helper.from_array(array, name) for name, array in constants.items())])
    return count


def _tables(nodes: Any, stored: dict[str, Any]) -> set[str]:
    """Return the names of the embedding tables: long float32 matrices of which rows are taken."""
    found = set()
    for node in nodes:
        if node.op_type == "Gather" and node.input[0] in stored:
            table = stored[node.input[0]]
            by_row = all(attribute.name != "axis" or attribute.i == 0 for attribute in node.attribute)
            if by_row and table.data_type == _FLOAT and len(table.dims) == 2 and table.dims[0] >= _TABLE_ROWS:
                found.add(table.name)
    return found


def _look_up(helper: Any, node: Any) -> list[Any]:
    """Return the nodes that take rows of an 8-bit table (rows, width) and give them their scales (rows, 1) back."""
    table, rows, output = node.input[0], node.input[1], node.output[0]
    whole, real, scales = (f"{output}.{part}" for part in ("whole", "real", "scale"))
    return [
        helper.make_node("Gather", [f"{table}.int8", rows], [whole], axis=0),
        helper.make_node("Gather", [f"{table}.scales", rows], [scales], axis=0),
        helper.make_node("Cast", [whole], [real], to=_FLOAT),
        helper.make_node("Mul", [real, scales], [output]),
    ]


def _product(helper: Any, activations: str, matrix: str, output: str) -> list[Any]:
    """Return the nodes of one product: whole numbers, then the scales of its rows and of its columns."""
    inputs = [f"{activations}.int8", f"{matrix}.int8", "int8_zero"]
    whole, real, rows = (f"{output}.{part}" for part in ("whole", "real", "rows"))
    return [
        helper.make_node("MatMulInteger", inputs, [whole]),
        helper.make_node("Cast", [whole], [real], to=_FLOAT),
        helper.make_node("Mul", [real, f"{activations}.scales"], [rows]),
        helper.make_node("Mul", [rows, f"{matrix}.scales"], [output]),
    ]


def _rounding(helper: Any, name: str) -> list[Any]:
    """Return the nodes that round `name` (…, tokens, width) to uint8 row by row, and give its scales (…, tokens, 1)."""
    largest, safe, factor, scaled = (f"{name}.{part}" for part in ("largest", "safe", "factor", "scaled"))
    return [
        helper.make_node("Abs", [name], [f"{name}.magnitude"]),
        helper.make_node("ReduceMax", [f"{name}.magnitude", "int8_last_axis"], [largest], keepdims=1),
        helper.make_node("Max", [largest, "int8_smallest"], [safe]),
        helper.make_node("Mul", [safe, "int8_step"], [f"{name}.scales"]),
        helper.make_node("Div", ["int8_largest", safe], [factor]),
        helper.make_node("Mul", [name, factor], [scaled]),
        helper.make_node("QuantizeLinear", [scaled, "int8_one", "int8_zero"], [f"{name}.int8"]),
    ]
