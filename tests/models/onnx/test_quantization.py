"""8-bit products: equal to a literal transcription, and the same for a text alone and in any batch."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper, numpy_helper

from nlpladder.errors import ModelError
from nlpladder.models.onnx.quantization import quantize_graph, quantize_weight

MATRICES = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.floats(-100, 100, width=32)
)


def product_graph(weight, *, table=None):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    stored = [numpy_helper.from_array(weight, "w")]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "length", weight.shape[0]])]
    if table is not None:
        nodes.insert(0, helper.make_node("Gather", ["table", "ids"], ["x"]))
        stored.append(numpy_helper.from_array(table, "table"))
        inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "length", weight.shape[1]])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializer=stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model, **inputs):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def literal_product(x, weight):
    """Round rows of x and columns of the weight by their own largest magnitude; multiply in whole numbers."""
    result = np.zeros((*x.shape[:2], weight.shape[1]))
    for b in range(x.shape[0]):
        for t in range(x.shape[1]):
            row = x[b, t].astype(np.float64)
            row_scale = max(np.abs(row).max(), 1e-10) / 127
            whole_row = np.rint(row / row_scale)
            for j in range(weight.shape[1]):
                column_scale = max(np.abs(weight[:, j]).max(), 1e-10) / 127
                whole = np.clip(np.rint(weight[:, j] / np.float32(column_scale)), -127, 127)
                result[b, t, j] = row_scale * column_scale * (whole_row @ whole)
    return result


@settings(max_examples=60, deadline=None)
@given(MATRICES)
def test_a_rounded_matrix_is_within_half_a_step_of_each_column(weight):
    whole, scales = quantize_weight(weight)
    assert whole.dtype == np.int8
    assert (scales > 0).all()
    assert (np.abs(whole.astype(np.float64) * scales - weight) <= 0.5001 * scales + 1e-9).all()


def test_the_graph_computes_what_the_definition_says():
    generator = np.random.default_rng(0)
    weight = generator.normal(size=(24, 10)).astype(np.float32)
    weight[:, 3] = 0
    x = (generator.normal(size=(3, 5, 24)) * generator.exponential(5, size=(3, 5, 1))).astype(np.float32)
    x[1, 2] = 0
    model = product_graph(weight)
    assert quantize_graph(model) == 1
    onnx.checker.check_model(model)
    found, wanted = run(model, x=x), literal_product(x, weight)
    # A number that lies on the middle between two steps may be rounded either way.
    assert np.abs(found - wanted).max() < 2 * np.abs(x).max() * np.abs(weight).max() / 127
    assert np.mean(np.abs(found - wanted) < 1e-3 * np.abs(wanted).max()) > 0.95
    assert (found[1, 2] == 0).all()
    assert (found[..., 3] == 0).all()


def test_a_row_has_the_same_product_whatever_stands_beside_it():
    generator = np.random.default_rng(1)
    model = product_graph(generator.normal(size=(16, 8)).astype(np.float32))
    quantize_graph(model)
    quiet, loud = generator.normal(size=(1, 4, 16)), 1000 * generator.normal(size=(2, 4, 16))
    x = np.concatenate([quiet, loud]).astype(np.float32)
    np.testing.assert_array_equal(run(model, x=x)[:1], run(model, x=x[:1]))


def test_a_long_table_is_stored_in_8_bits_and_a_short_one_is_not():
    generator = np.random.default_rng(2)
    weight, ids = generator.normal(size=(8, 4)).astype(np.float32), np.array([[0, 5, 1999, 7]])
    for rows, stored in ((2000, np.int8), (100, np.float32)):
        table = generator.normal(size=(rows, 8)).astype(np.float32)
        model = product_graph(weight, table=table)
        before = run(model, ids=ids % rows)
        quantize_graph(model)
        types = {one.name: numpy_helper.to_array(one).dtype for one in model.graph.initializer}
        assert types["table.int8" if stored is np.int8 else "table"] == stored
        assert ("table" in types) == (stored is np.float32)
        np.testing.assert_allclose(run(model, ids=ids % rows), before, atol=0.1)


def test_a_graph_without_a_stored_matrix_is_told():
    node = helper.make_node("Abs", ["x"], ["y"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "y")]
    with pytest.raises(ModelError, match="nothing to round"):
        quantize_graph(helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:])))
