"""Operators that draw random numbers. With a seed they draw what numpy.random.RandomState draws."""

import numpy as np
from onnx import TensorProto, helper

from tests.differential.case import Case, chance, operator, pick, random_shape, random_tensor, types_of

DRAWN = {np.float32: TensorProto.FLOAT, np.float64: TensorProto.DOUBLE, np.float16: TensorProto.FLOAT16}


def drawn(name, like):
    def make(random, version, index):
        type_ = list(DRAWN)[index % 3]
        shape = random_shape(random, 1, 3)
        seed = float(random.integers(0, 1000)) + 0.5
        offset, factor = (np.float32(x) for x in random.uniform(-2, 2, 2))
        normal = "Normal" in name
        attributes = {"seed": seed}
        attributes.update({"mean": offset, "scale": factor} if normal else {"low": offset, "high": factor})
        if not like:
            attributes["shape"] = list(shape)
        if not like or chance(random):
            attributes["dtype"] = DRAWN[type_]
        input_type = pick(random, types_of(name, "T1", version)) if like and "dtype" in attributes else type_

        def expected(*_):
            state = np.random.RandomState(int(seed))
            raw = state.standard_normal(shape) if normal else state.random_sample(shape)
            span = float(factor) if normal else float(factor) - float(offset)
            return [(float(offset) + raw * span).astype(type_)]
        return Case([random_tensor(random, input_type, shape)] if like else [], attributes, expected=expected)
    return make


for name in ("RandomUniform", "RandomNormal", "RandomUniformLike", "RandomNormalLike"):
    operator(name, tolerance="rtol=1e-6 atol=1e-7")(drawn(name, "Like" in name))


@operator("Bernoulli")
def bernoulli(random, version, index):
    types = types_of("Bernoulli", "T1", version)
    x = np.abs(random_tensor(random, types[index % len(types)], random_shape(random, 0, 3), 0, 1))
    outputs = types_of("Bernoulli", "T2", version)
    type_ = outputs[index % len(outputs)]
    seed = int(random.integers(0, 1000))

    def expected(p):
        draws = np.random.RandomState(seed).random_sample(p.shape)
        return [np.asarray(draws < p.astype(np.float64)).astype(type_)]
    return Case([x], {"seed": float(seed), "dtype": helper.np_dtype_to_tensor_dtype(np.dtype(type_))}, expected=expected)


@operator("Multinomial")
def multinomial(random, version, index):
    types = types_of("Multinomial", "T1", version)
    x = random_tensor(random, types[index % len(types)], (int(random.integers(0, 4)), int(random.integers(1, 6))))
    seed, samples = int(random.integers(0, 1000)), int(random.integers(0, 9))
    wide = chance(random)

    def expected(logits):
        draws = np.random.RandomState(seed).random_sample((logits.shape[0], samples))
        logits = logits.astype(np.float64)
        sums = np.cumsum(np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf)), axis=1)
        chosen = [np.searchsorted(row, u * row[-1], side="right") for row, u in zip(sums, draws)]
        return [np.asarray(chosen).reshape(draws.shape).astype(np.int64 if wide else np.int32)]
    return Case([x], {"seed": float(seed), "sample_size": samples,
                      "dtype": TensorProto.INT64 if wide else TensorProto.INT32}, expected=expected)
