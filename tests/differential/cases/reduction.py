"""Reductions, Softmax and its like."""

import numpy as np

from tests.differential.case import Case, chance, operator, random_axis, random_shape, random_tensor, types_of


def log_sum(axes, keepdims):
    """Of unsigned integers, for which no oracle has it."""
    def compute(x, *_):
        result = np.log(np.sum(x.astype(np.float64), axis=tuple(axes) or None, keepdims=bool(keepdims)))
        return [np.trunc(result).astype(x.dtype)]
    return compute


def log_sum_exp(axes, keepdims):
    """onnxruntime and the reference truncate each exponential of integers; the definition knows no such step."""
    def compute(x, *_):
        wide = x.astype(np.float64)
        result = np.log(np.sum(np.exp(wide), axis=tuple(axes) or None, keepdims=bool(keepdims)))
        return [np.trunc(result).astype(x.dtype)]
    return compute


def reduction(name):
    def make(random, version, index):
        types = types_of(name, "T", version)
        x = random_tensor(random, types[index % len(types)], random_shape(random, 1, 4), 0 if "Log" in name else -3, 3)
        axes = sorted({random_axis(random, x.ndim) % x.ndim for _ in range(random.integers(1, 3))})
        attributes = {"keepdims": int(random.integers(2))}
        if chance(random, 0.2):
            axes = []
        if 0 in x.shape and name in ("ReduceMean", "ReduceMax", "ReduceMin"):  # of nothing they are not defined
            axes = [axis for axis in axes if x.shape[axis]] or [axis for axis in range(x.ndim) if x.shape[axis]]
            x = x if axes else np.ones((2,) * x.ndim, x.dtype)
        own = x.dtype.kind in "iu" and name == "ReduceLogSumExp" and 0 not in x.shape
        expected = log_sum_exp(axes, attributes["keepdims"]) if own else None
        if x.dtype.kind == "u" and name == "ReduceLogSum" and 0 not in x.shape:
            own, expected = True, log_sum(axes, attributes["keepdims"])
            x = np.maximum(x, 1)  # the logarithm of 0 is no integer
        if version < (13 if name == "ReduceSum" else 18):
            return Case([x], {**attributes, **({"axes": axes} if axes else {})}, expected=expected)
        if not axes and not own and chance(random):
            attributes["noop_with_empty_axes"] = 1
        inputs = [x, np.array(axes, np.int64)] if axes or chance(random) else [x]
        return Case(inputs, attributes, constants=(1,) if axes and chance(random) else (), expected=expected)
    return make


for name in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare",
             "ReduceLogSum", "ReduceLogSumExp"):
    operator(name, tolerance="rtol=2e-3 atol=1e-4", narrow={"float16": "rtol=2e-3 atol=4e-3"})(reduction(name))


def softmax_of_rows(axis):
    """Before version 13 dimensions from `axis` on are one row; the reference knows versions from 13 on only."""
    def compute(x):
        rows = x.astype(np.float64).reshape(int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:])))
        exps = np.exp(rows - rows.max(axis=1, keepdims=True, initial=-np.inf))
        return [(exps / exps.sum(axis=1, keepdims=True)).reshape(x.shape).astype(x.dtype)]
    return compute


@operator("Softmax", tolerance="rtol=1e-3 atol=1e-5")
def softmax(random, version, index):
    types = types_of("Softmax", "T", version)
    x = random_tensor(random, types[index % len(types)], random_shape(random, 1, 4))
    axis = random_axis(random, x.ndim)
    attributes = {"axis": axis}
    if version == 13 and chance(random, 0.2):
        attributes = {}
    return Case([x], attributes, expected=softmax_of_rows(axis % x.ndim) if version < 13 else None)
