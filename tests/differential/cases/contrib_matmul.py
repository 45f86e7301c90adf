"""Matrix products of com.microsoft."""

import ml_dtypes
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


@operator("GatherBlockQuantized", "com.microsoft", versions=(1,), tolerance="rtol=1e-6 atol=1e-6",
          narrow={"float16": "rtol=1e-3 atol=1e-3"})
def gather_block_quantized(random, version, index):
    scale_type = [np.float32, np.float16][index % 2]
    code_type = [np.uint8, ml_dtypes.int4, ml_dtypes.uint4][index % 3]
    bits, block = pick(random, [2, 4, 8]) if code_type == np.uint8 else 4, pick(random, [16, 32])
    codes = 8 // bits if code_type == np.uint8 else 1
    shape = [int(random.integers(1, 6)) for _ in range(random.integers(2, 4))]
    rank = len(shape)
    gather, quantize = (0, rank - 1) if code_type == np.uint8 else (int(random.integers(rank)), int(random.integers(rank)))
    shape[quantize] = int(random.integers(1, 20)) * 4
    blocks = -(-shape[quantize] // block)
    of_scales, of_zeros, packed = list(shape), list(shape), list(shape)
    of_scales[quantize], of_zeros[quantize], packed[quantize] = blocks, -(-blocks // codes), shape[quantize] // codes
    highest = 256 if code_type == np.uint8 else 8
    numbers = [random.integers(0, highest, size).astype(code_type) for size in (packed, of_zeros)]
    scales = random.uniform(0.01, 2, of_scales).astype(scale_type)
    limit = shape[gather]
    indices = random.integers(-limit, limit, random_shape(random, 0, 2, 4)).astype(pick(random, [np.int32, np.int64]))
    attributes = {"gather_axis": gather - (rank if chance(random) else 0), "quantize_axis": quantize, "block_size": block,
                  "bits": bits}
    inputs = [numbers[0], np.asarray(indices), scales] + numbers[1:] * chance(random)
    output = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(np.dtype(scale_type)), None)
    return Case(inputs, attributes, constants=(0, 2, 3)[:len(inputs) - 1], output_types=[output], opset=21)


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
