"""Normalizations, activations and other small operators of com.microsoft."""

import numpy as np
from onnx import TensorProto, helper

from tests.differential.case import Case, chance, operator, pick, random_shape, random_tensor


def of_type(*types):
    return [helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(np.dtype(type_)), None) for type_ in types]


@operator("Gelu", "com.microsoft", versions=(1,))
def gelu(random, version, index):
    return Case([random_tensor(random, np.float32, random_shape(random))], output_types=of_type(np.float32))


@operator("QuickGelu", "com.microsoft", versions=(1,))
def quick_gelu(random, version, index):
    attributes = {"alpha": float(random.uniform(0.5, 2))} if chance(random) else {}
    return Case([random_tensor(random, np.float32, random_shape(random))], attributes, output_types=of_type(np.float32))


@operator("FastGelu", "com.microsoft", versions=(1,))
def fast_gelu(random, version, index):
    shape = random_shape(random, 1, 4, empty=0)
    inputs = [random_tensor(random, np.float32, shape)]
    if chance(random):
        inputs.append(random_tensor(random, np.float32, shape[-1:]))
    return Case(inputs, output_types=of_type(np.float32))


@operator("BiasGelu", "com.microsoft", versions=(1,))
def bias_gelu(random, version, index):
    shape = random_shape(random, 1, 4, empty=0)
    return Case([random_tensor(random, np.float32, shape), random_tensor(random, np.float32, shape[-1:])],
                output_types=of_type(np.float32))


def skip_normalization(simplified):
    def make(random, version, index):
        type_ = [np.float32, np.float16][index % 2]
        batch, rows, hidden = (int(random.integers(1, 9)) for _ in range(3))
        skip = pick(random, [(batch, rows, hidden), (1, rows, hidden), (rows, hidden)])
        inputs = [random_tensor(random, type_, (batch, rows, hidden)), random_tensor(random, type_, skip),
                  random_tensor(random, type_, (hidden,))]
        inputs += [random_tensor(random, type_, (hidden,)) if chance(random) else None
                   for _ in range(1 if simplified else 2)]
        while inputs[-1] is None:
            inputs.pop()
        attributes = {"epsilon": 1e-3} if chance(random) else {"epsilon": 1e-2}
        return Case(inputs, attributes, output_types=of_type(type_))
    return make


for name in ("SkipLayerNormalization", "SkipSimplifiedLayerNormalization"):
    operator(name, "com.microsoft", versions=(1,), tolerance="rtol=1e-3 atol=1e-4",
             narrow={"float16": "rtol=1e-2 atol=2e-2"})(skip_normalization("Simplified" in name))


@operator("SimplifiedLayerNormalization", versions=(17,), tolerance="rtol=1e-3 atol=1e-4",
          narrow={"float16": "rtol=1e-2 atol=1e-2"})
def simplified_layer_normalization(random, version, index):
    type_ = [np.float32, np.float64, np.float16][index % 3]
    x = random_tensor(random, type_, random_shape(random, 1, 4, empty=0))
    axis = int(random.integers(-x.ndim, x.ndim))
    inputs = [x, random_tensor(random, type_, x.shape[axis:])]
    outputs = 1 if type_ == np.float64 else int(random.integers(1, 3))
    return Case(inputs, {"axis": axis, "epsilon": 1e-3}, outputs,
                output_types=of_type(type_, np.float32)[:outputs])


@operator("EmbedLayerNormalization", "com.microsoft", versions=(1,), tolerance="rtol=1e-3 atol=1e-4")
def embed_layer_normalization(random, version, index):
    batch, rows, hidden = (int(random.integers(1, 7)) for _ in range(3))
    tables = [int(random.integers(n, n + 5)) for n in (2, rows, 2)]

    def ids(table, *shape):
        return random.integers(0, tables[table], shape).astype(np.int32)

    def tensor(*shape):
        return random_tensor(random, np.float32, shape)

    segments = chance(random)
    inputs = [ids(0, batch, rows), ids(2, batch, rows) if segments else None, tensor(tables[0], hidden),
              tensor(tables[1], hidden), tensor(tables[2], hidden) if segments else None, tensor(hidden), tensor(hidden),
              random.integers(0, 2, (batch, rows)).astype(np.int32) if chance(random) else None,
              ids(1, pick(random, [1, batch]), rows) if chance(random) else None]
    while inputs[-1] is None:
        inputs.pop()
    return Case(inputs, {"epsilon": 1e-3}, 3, output_types=of_type(np.float32, np.int32, np.float32))


@operator("BiasSoftmax", "com.microsoft", versions=(1,), tolerance="rtol=1e-3 atol=1e-5")
def bias_softmax(random, version, index):
    """onnxruntime has no kernel of it for CPUs."""
    shape = random_shape(random, 2, 4, empty=0)
    axis = int(random.integers(1, len(shape)))
    inner = chance(random)
    repeated = int(random.integers(0, axis + 1))
    of_bias = tuple(1 if (repeated <= i < axis if inner else i < repeated) else n for i, n in enumerate(shape))

    def expected(data, bias):
        x = (data.astype(np.float64) + bias).reshape(int(np.prod(shape[:axis])), -1)
        weights = np.exp(x - x.max(axis=1, keepdims=True))
        return [(weights / weights.sum(axis=1, keepdims=True)).reshape(shape).astype(data.dtype)]
    type_ = [np.float32, np.float64, np.float16][index % 3]
    return Case([random_tensor(random, type_, shape), random_tensor(random, type_, of_bias)],
                {"axis": axis, "is_inner_broadcast": int(inner)}, expected=expected, output_types=of_type(type_))
