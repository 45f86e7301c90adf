"""Convolutions of com.microsoft."""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from tests.differential.case import Case, chance, operator, pick, random_tensor

ACTIVATIONS = [("", []), ("Relu", []), ("Tanh", []), ("Sigmoid", []), ("LeakyRelu", [0.2]), ("Clip", [-1.0, 2.5]),
               ("HardSigmoid", [0.25, 0.4])]


@operator("FusedConv", "com.microsoft", versions=(1,), tolerance="rtol=1e-4 atol=1e-4")
def fused_conv(random, version, index):
    """onnxruntime's kernel for CPUs takes float alone."""
    axes, groups = int(random.integers(1, 4)), int(random.integers(1, 4))
    channels, outputs = (int(random.integers(1, 5)) for _ in range(2))
    kernel = [int(random.integers(1, 4)) for _ in range(axes)]
    pads = [int(random.integers(0, size)) for size in kernel * 2]
    strides = [int(random.integers(1, 3)) for _ in range(axes)]
    dilations = [int(random.integers(1, 3)) for _ in range(axes)]
    of_x = [int(random.integers(5, 12)) for _ in range(axes)]
    of_y = [(size + pads[i] + pads[axes + i] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
            for i, size in enumerate(of_x)]
    samples = int(random.integers(1, 3))
    inputs = [random_tensor(random, np.float32, (samples, groups * channels, *of_x)),
              random_tensor(random, np.float32, (groups * outputs, channels, *kernel), -1, 1)]
    has_z = chance(random)
    if has_z or chance(random):  # onnxruntime wants B before Z
        inputs.append(random_tensor(random, np.float32, (groups * outputs,)))
    if has_z:
        inputs.append(random_tensor(random, np.float32, (samples, groups * outputs, *of_y)))
    attributes = {"group": groups, "kernel_shape": kernel, "pads": pads, "strides": strides, "dilations": dilations}
    name, parameters = pick(random, ACTIVATIONS)
    if name:
        attributes["activation"] = name
    if parameters:
        attributes["activation_params"] = parameters
    return Case(inputs, attributes, constants=(1,) if chance(random) else (),
                output_types=[helper.make_tensor_type_proto(TensorProto.FLOAT, None)])


@operator("NhwcConv", "com.microsoft", versions=(1,), tolerance="rtol=1e-4 atol=1e-4",
          narrow={"float16": "rtol=2e-3 atol=5e-3"})
def nhwc_conv(random, version, index):
    """onnxruntime has no kernel of it for CPUs: Conv between two transpositions judges, in float."""
    axes, groups = int(random.integers(1, 4)), int(random.integers(1, 4))
    channels, outputs = (int(random.integers(1, 5)) for _ in range(2))
    type_ = [np.float32, np.float64, np.float16][index % 3]
    kernel = [int(random.integers(1, 4)) for _ in range(axes)]
    of_x = [int(random.integers(5, 12)) for _ in range(axes)]
    inputs = [random_tensor(random, type_, (int(random.integers(1, 3)), *of_x, groups * channels)),
              random_tensor(random, type_, (groups * outputs, *kernel, channels), -1, 1)]
    if chance(random):
        inputs.append(random_tensor(random, type_, (groups * outputs,)))
    attributes = {"group": groups, "kernel_shape": kernel, "strides": [int(random.integers(1, 3)) for _ in range(axes)],
                  "dilations": [int(random.integers(1, 3)) for _ in range(axes)]}
    if chance(random):
        attributes["auto_pad"] = pick(random, ["SAME_UPPER", "SAME_LOWER", "VALID"])
        attributes["dilations"] = [1] * axes  # of which onnxruntime knows no others with SAME_*
    else:
        attributes["pads"] = [int(random.integers(0, size)) for size in kernel * 2]

    def expected(*given):
        planes = [np.moveaxis(x, -1, 1) if x.ndim > 1 else x for x in given]
        names = [f"x{i}" for i in range(len(planes))]
        graph = helper.make_graph(
            [helper.make_node("Conv", names, ["y"], **attributes)], "conv",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name, x in zip(names, planes)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=7)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        y, = session.run(None, {name: np.ascontiguousarray(x, np.float32) for name, x in zip(names, planes)})
        return [np.ascontiguousarray(np.moveaxis(y, 1, -1)).astype(type_)]
    return Case(inputs, attributes, constants=(1,) if chance(random) else (), expected=expected,
                output_types=[helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(np.dtype(type_)), None)])
