"""Convolutions of com.microsoft."""

import numpy as np
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
