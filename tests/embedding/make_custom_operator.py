"""Writes custom_operator.onnx, the model of custom_operator.c: python3 tests/embedding/make_custom_operator.py"""

import pathlib

import onnx
from onnx import TensorProto, helper

graph = helper.make_graph(
    [
        helper.make_node("Rolling", ["x"], ["means", "highest", "loud"], "rolling", domain="example", size=3, limit=2.5,
                         ends="cut"),
        helper.make_node("Transpose", ["means"], ["columns"], "turn"),
        helper.make_node("Rolling", ["columns"], ["pairs"], "again", domain="example", size=2, ends="keep"),
    ],
    "custom_operator",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 6])],
    [
        helper.make_tensor_value_info("means", TensorProto.FLOAT, None),
        helper.make_tensor_value_info("highest", TensorProto.INT64, None),
        helper.make_tensor_value_info("loud", TensorProto.INT64, None),
        helper.make_tensor_value_info("pairs", TensorProto.FLOAT, None),
    ],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("example", 1)])
model.ir_version = 8
onnx.save(model, pathlib.Path(__file__).with_name("custom_operator.onnx"))
