"""Matrix products of com.microsoft."""

import numpy as np
from onnx import TensorProto, helper

from tests.differential.case import Case, chance, operator, pick, random_shape, random_tensor


@operator("MatMulNBits", "com.microsoft", versions=(1,), tolerance="rtol=1e-3 atol=2e-4",
          narrow={"float16": "rtol=1e-2 atol=2e-2"})
def matmul_nbits(random, version, index):
    type_ = [np.float32, np.float16][index % 2]
    bits, block = pick(random, [2, 4, 4, 4, 8]), pick(random, [16, 32, 64, 128])
    n, k = int(random.integers(1, 70)), int(random.integers(1, 300))
    if bits != 4:
        block, k = max(block, 32), (k + 31) // 32 * 32
    blocks = -(-k // block)
    rows = random_shape(random, 1, 2, 8, empty=0)
    weights = random.integers(0, 256, (n, blocks, block * bits // 8)).astype(np.uint8)
    scales = random.uniform(0.01, 0.1, (n, blocks)).astype(type_)
    inputs = [random_tensor(random, type_, rows + (k,), -1, 1), weights, scales] + [None] * 3
    constants = (1, 2)
    if chance(random, 0.4):
        inputs[3] = random.integers(0, 256, (n, (blocks * bits + 7) // 8)).astype(np.uint8)
        constants += (3,)
    if chance(random, 0.4):
        inputs[5] = random_tensor(random, type_, (n,), -1, 1)
        constants += (5,)  # onnxruntime wants to know its shape
    attributes = {"K": k, "N": n, "bits": bits, "block_size": block, "accuracy_level": pick(random, [0, 1, 4])}
    while inputs[-1] is None:
        inputs.pop()
    output = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(np.dtype(type_)), None)
    if chance(random, 0.3):  # then onnxruntime quantizes no rows
        attributes["accuracy_level"] = 0
        constants = constants[-1:] if inputs[-1] is not None and len(inputs) == 6 else ()
    return Case(inputs, attributes, constants=constants, output_types=[output])


@operator("FusedMatMul", "com.microsoft", versions=(1,), tolerance="rtol=1e-3 atol=1e-4")
def fused_matmul(random, version, index):
    type_ = [np.float32, np.float64][index % 2]
    m, n, k = (int(random.integers(1, 9)) for _ in range(3))
    batch = random_shape(random, 0, 2, 4, empty=0)
    of_b = batch if chance(random) else ()
    attributes, inputs = {}, []
    for name, shape, axes in (("A", (m, k), batch), ("B", (k, n), of_b)):
        if chance(random, 0.4):
            attributes[f"trans{name}"], shape = 1, shape[::-1]
        if axes and axes == of_b == batch and chance(random, 0.4):
            attributes[f"transBatch{name}"] = 1
            inputs.append(random_tensor(random, type_, shape[:1] + axes + shape[1:]))
        else:
            inputs.append(random_tensor(random, type_, axes + shape))
    if chance(random):
        attributes["alpha"] = float(random.uniform(-2, 2))
    output = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(np.dtype(type_)), None)
    return Case(inputs, attributes, constants=(1,) if chance(random) else (), output_types=[output])
