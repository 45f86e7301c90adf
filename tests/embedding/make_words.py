"""Writes words.onnx, the model of words.c: python3 tests/embedding/make_words.py"""

import pathlib

import onnx
from onnx import TensorProto, helper

WORDS = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.STRING, ["N"]))
PERHAPS = helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.STRING, ["M"]))

graph = helper.make_graph(
    [
        helper.make_node("ConcatFromSequence", ["words"], ["joined"], "join", axis=0),
        helper.make_node("Upper", ["joined"], ["shouted"], "shout", domain="example"),
        helper.make_node("SequenceInsert", ["words", "shouted"], ["all"], "collect"),
        helper.make_node("Optional", ["joined"], ["perhaps"], "perhaps"),
        helper.make_node("Count", ["rounds"], ["counted"], "count", domain="example"),
    ],
    "words",
    [helper.make_value_info("words", WORDS), helper.make_tensor_value_info("rounds", TensorProto.INT64, [])],
    [
        helper.make_tensor_value_info("shouted", TensorProto.STRING, ["M"]),
        helper.make_value_info("all", WORDS),
        helper.make_value_info("perhaps", PERHAPS),
        helper.make_tensor_value_info("counted", TensorProto.INT64, []),
    ],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("example", 1)])
model.ir_version = 8
onnx.save(model, pathlib.Path(__file__).with_name("words.onnx"))
