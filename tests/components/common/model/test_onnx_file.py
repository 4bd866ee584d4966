from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from components.common.errors import PipelineError
from components.common.model.onnx_file import check_onnx_file

PATH = Path("model.onnx")
WEIGHTS = numpy_helper.from_array(np.ones((2, 2), np.float32), "weights")


def _model() -> onnx.ModelProto:
    taken, given = (helper.make_tensor_value_info(name, 1, [2, 2]) for name in ("x", "y"))
    inner = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["z"])],
        "inner",
        [],
        [helper.make_tensor_value_info("z", 1, [2, 2])],
    )
    nodes = [
        helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True), "yes")),
        helper.make_node("If", ["yes"], ["a"], then_branch=inner, else_branch=inner),
        helper.make_node("MatMul", ["a", "weights"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "graph", [taken], [given], [WEIGHTS])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def _elsewhere(tensor: onnx.TensorProto) -> None:
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../other")


def test_a_model_of_standard_operators_in_one_file_is_taken() -> None:
    check_onnx_file(_model().SerializeToString(), PATH)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda model: _elsewhere(model.graph.initializer[0]), "weights in another file"),
        (lambda model: _elsewhere(model.graph.node[0].attribute[0].t), "weights in another file"),
        (
            lambda model: model.graph.node[1].attribute[1].g.initializer.add(data_location=1),
            "weights in another file",
        ),
        (
            lambda model: setattr(model.graph.node[1].attribute[0].g.node[0], "domain", "com.example"),
            "operators of 'com.example'",
        ),
        (lambda model: model.opset_import.add(domain="com.microsoft"), "operators of 'com.microsoft'"),
        (lambda model: model.functions.add(name="own"), "functions of its own"),
        (lambda model: model.graph.sparse_initializer.add(), "sparse weights"),
    ],
)
def test_another_model_is_refused_wherever_the_difference_lies(
    change: Callable[[onnx.ModelProto], object], reason: str
) -> None:
    model = _model()
    change(model)
    with pytest.raises(
        PipelineError, match=rf"^model\.onnx must be a readable ONNX model .* \(it .*{reason}\)"
    ):
        check_onnx_file(model.SerializeToString(), PATH)


def test_every_beginning_of_a_model_is_taken_or_refused_in_one_line() -> None:
    content, refused = _model().SerializeToString(), 0
    for end in range(len(content)):
        try:
            check_onnx_file(content[:end], PATH)
        except PipelineError:
            refused += 1
    assert refused > len(content) / 2
