"""Small models, made with the onnx package, and where those of the project lie."""

import pathlib
import unittest

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[3]
DIGITS = ROOT / "models" / "digits_cnn_bn"

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    raise unittest.SkipTest(f"onnx is not installed: {error}") from error


def tensor(name, element_type, shape):
    return helper.make_tensor_value_info(name, element_type, shape)


def model(nodes, inputs, outputs, initializers=(), opset=21, **more):
    graph = helper.make_graph(nodes, "test", inputs, outputs, initializers)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10, **more)


def one_node(op_type, inputs, outputs, opset=21, domain="", **attributes):
    """A model of one node; inputs and outputs are (element type, shape), ValueInfoProtos or TypeProtos."""
    def declare(prefix, types):
        found = []
        for i, kind in enumerate(types):
            if isinstance(kind, tuple):
                kind = helper.make_tensor_type_proto(*kind)
            found.append(helper.make_value_info(f"{prefix}{i}", kind))
        return found

    ins, outs = declare("x", inputs), declare("y", outputs)
    node = helper.make_node(op_type, [x.name for x in ins], [y.name for y in outs], domain=domain, name="the_node",
                            **attributes)
    return model([node], ins, outs, opset=opset)


def identity(element_type, shape=("N",)):
    return one_node("Identity", [(element_type, shape)], [(element_type, shape)])


def digits():
    """(path, input, expected output) of a model of the project."""
    folder = DIGITS / "test_data_set_1"
    given, expected = (numpy_helper.to_array(onnx.load_tensor(str(folder / f"{name}_0.pb"))) for name in ("input", "output"))
    return DIGITS / "model.onnx", given, expected


def long_run():
    """A model that computes for many seconds: a loop of matrix products; its inputs."""
    body = helper.make_graph(
        [helper.make_node("MatMul", ["state", "state"], ["product"]), helper.make_node("Tanh", ["product"], ["next"]),
         helper.make_node("Identity", ["go"], ["go_on"])],
        "body", [tensor("i", TensorProto.INT64, []), tensor("go", TensorProto.BOOL, []), tensor("state", 1, [256, 256])],
        [tensor("go_on", TensorProto.BOOL, []), tensor("next", 1, [256, 256])])
    node = helper.make_node("Loop", ["count", "", "start"], ["end"], body=body)
    made = model([node], [tensor("count", TensorProto.INT64, []), tensor("start", 1, [256, 256])], [tensor("end", 1, [256, 256])])
    return made, {"count": np.array(10**9), "start": np.eye(256, dtype=np.float32)}
