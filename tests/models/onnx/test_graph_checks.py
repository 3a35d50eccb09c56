"""Hostile graphs end in sentences, before ONNX Runtime sees them."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from nlpladder.errors import ModelError
from nlpladder.models.onnx.graph_checks import check_graph, read_graph
from nlpladder.models.onnx.names import GRAPH_NAME


def external(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")


def external_in_a_node(model):
    node = helper.make_node("Constant", [], ["leak"], value=helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0]))
    external_tensor = node.attribute[0].t
    external_tensor.data_location = TensorProto.EXTERNAL
    external_tensor.external_data.add(key="location", value="/etc/passwd")
    model.graph.node.insert(0, node)


def branch(model):
    inside = helper.make_graph([], "inside", [], [])
    model.graph.node.append(helper.make_node("If", ["c"], ["d"], then_branch=inside, else_branch=inside))


def hidden_branch(model):
    model.graph.node[0].attribute.add(name="body", g=helper.make_graph([], "inside", [], []), type=5)


def huge_constant(model):
    model.graph.initializer.append(numpy_helper.from_array(np.array([10**6, 10**6]), "huge"))
    model.graph.node.append(helper.make_node("ConstantOfShape", ["huge"], ["filled"]))


def huge_constant_node(model):
    shape = numpy_helper.from_array(np.array([2**40]), "t")
    model.graph.node.append(helper.make_node("Constant", [], ["huge"], value=shape))
    model.graph.node.append(helper.make_node("Expand", [model.graph.initializer[0].name, "huge"], ["filled"]))


def other_input(model):
    model.graph.input.append(helper.make_tensor_value_info("secret", TensorProto.FLOAT, [1]))


def other_kind_of_input(model):
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def other_output(model):
    model.graph.output.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


def other_labels(model):
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 7


def huge_tensor(model):
    model.graph.initializer[0].dims[0] = 2**50


def negative_tensor(model):
    model.graph.initializer[0].dims[0] = -4


def text_tensor(model):
    model.graph.initializer.append(helper.make_tensor("words", TensorProto.STRING, [1], [b"x"]))


def functions(model):
    model.functions.add(name="f", domain="d")


def custom_operator(model):
    model.graph.node[0].domain = "evil.example"


def runtime_operator(model):
    model.graph.node[0].domain = "com.microsoft"


def opset(model):
    model.opset_import[0].version = 99


def one_length(model):
    model.graph.input[1].type.tensor_type.shape.dim[1].dim_value = 17


def unknown_name(model):
    model.graph.node[-1].input[0] = "nowhere"


HOSTILE = {
    external: "in another file",
    external_in_a_node: "in another file",
    branch: "operator 'If'",
    hidden_branch: "graph inside",
    huge_constant: "too large",
    huge_constant_node: "too large",
    other_input: "reads .*secret",
    other_kind_of_input: "integers of shape",
    other_output: "gives logits, more",
    other_labels: "7 logits a text, but .* 3 labels",
    huge_tensor: "does not fit its data",
    negative_tensor: "negative size",
    text_tensor: "type 8",
    functions: "functions",
    custom_operator: "evil.example",
    runtime_operator: "com.microsoft",
    opset: "version 99",
    one_length: "one length only",
    unknown_name: "no valid ONNX graph",
}


def check(model):
    check_graph(model.SerializeToString(), num_labels=3, where="model.onnx")


@pytest.mark.parametrize("spoil", HOSTILE, ids=lambda spoil: spoil.__name__)
def test_what_no_exported_classifier_holds_is_refused(graph, spoil):
    check(graph)
    spoil(graph)
    with pytest.raises(ModelError, match=HOSTILE[spoil]) as told:
        check(graph)
    assert "model.onnx" in str(told.value)
    assert "Traceback" not in str(told.value)


def test_files_that_are_cut_missing_or_elsewhere_are_told(tmp_path, graph):
    content = graph.SerializeToString()
    place = tmp_path / "model"
    place.mkdir()
    with pytest.raises(ModelError, match=r"holds no model.onnx"):
        read_graph(place / GRAPH_NAME, num_labels=3)
    for kept in (0, 1, 20, len(content) // 2, len(content) - 1):
        (place / GRAPH_NAME).write_bytes(content[:kept])
        with pytest.raises(ModelError, match=r"damaged|holds no graph|ONNX"):
            read_graph(place / GRAPH_NAME, num_labels=3)
    (place / GRAPH_NAME).unlink()
    (tmp_path / "outside.onnx").write_bytes(content)
    (place / GRAPH_NAME).symlink_to(tmp_path / "outside.onnx")
    with pytest.raises(ModelError, match="link to a file outside"):
        read_graph(place / GRAPH_NAME, num_labels=3)
    (place / GRAPH_NAME).unlink()
    (place / GRAPH_NAME).write_bytes(content)
    assert read_graph(place / GRAPH_NAME, num_labels=3) == content


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), data=st.binary(max_size=64))
def test_any_bytes_end_in_a_sentence_or_pass(exported, place, value, data):
    with pytest.raises(ModelError):
        check_graph(data, num_labels=3, where="model.onnx")
    content = bytearray(exported.SerializeToString())
    content[int(place * len(content))] = value
    with contextlib.suppress(ModelError):
        check_graph(bytes(content), num_labels=3, where="model.onnx")
