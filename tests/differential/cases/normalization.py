"""Normalizations, Softmax's siblings, Dropout."""

import functools

import numpy as np
import onnx
from onnx import helper

from tests.differential.case import (Case, axis_of, chance, element_type, legacy, operator, random_axis, random_shape,
                                     random_tensor, some_constants, type_at, types_of)

HALVES = {"float16": "rtol=4e-3 atol=4e-3", "bfloat16": "rtol=2e-2 atol=2e-2"}
covered = functools.partial(operator, late=True, tolerance="rtol=1e-4 atol=2e-5", narrow=HALVES)


def channels(random, type_, shape, low=-2, high=2):
    return random_tensor(random, type_, shape, low, high)


@covered("BatchNormalization")
def batch_normalization(random, version, index):
    """The outputs for gradients of old versions are left out: what they hold is not defined."""
    type_ = type_at("BatchNormalization", "T", version, index)
    x = random_tensor(random, type_, random_shape(random, 4 if version < 7 else 2, 5 if version >= 7 else 4, empty=0))
    spatial = version >= 9 or version < 7 or chance(random, 0.7)
    shape = x.shape[1:2] if spatial else x.shape[1:]
    vector_type = x.dtype
    if version >= 15:
        scales = types_of("BatchNormalization", "T1", version)
        vector_type = np.dtype(scales[random.integers(len(scales))]) if chance(random, 0.3) else x.dtype
    states = types_of("BatchNormalization", "U" if version == 14 else "T2", version) if version >= 14 else [x.dtype]
    state_type = np.dtype(states[random.integers(len(states))]) if chance(random, 0.3) else x.dtype
    inputs = [x, channels(random, vector_type, shape), channels(random, vector_type, shape),
              channels(random, state_type, shape), channels(random, state_type, shape, 0.25, 3)]
    attributes = {"epsilon": float(random.uniform(1e-5, 1e-2))} if chance(random) else {}
    attributes.update({"momentum": float(random.uniform(0.5, 1))} if chance(random) else {})
    if not spatial or version < 9 and chance(random, 0.2):
        attributes["spatial"] = int(spatial)
    train = chance(random, 0.4) and spatial
    if version < 7 and not train:
        attributes["is_test"] = 1
    if version >= 14 and (train or chance(random, 0.3)):
        attributes["training_mode"] = int(train)
    outputs = 3 if train and version >= 7 or version < 7 and train and chance(random) else 1
    if version < 7:
        attributes.update({"consumed_inputs": [0] * 5} if version == 1 else {})

    def own(x, scale, bias, mean, variance):
        x64, scale, bias, mean, variance = (v.astype(np.float64) for v in (x, scale, bias, mean, variance))
        old_mean, old_variance = mean, variance
        axes = (0,) + tuple(range(2, x.ndim))
        if train:
            mean, variance = x64.mean(axes), x64.var(axes)
        along = (lambda v: v.reshape((1, -1) + (1,) * (x.ndim - 2))) if spatial else (lambda v: v)
        y = along(scale) * (x64 - along(mean)) / np.sqrt(along(variance) + attributes.get("epsilon", 1e-5)) + along(bias)
        momentum = attributes.get("momentum", 0.9)
        running = [momentum * old + (1 - momentum) * new for old, new in ((old_mean, mean), (old_variance, variance))]
        return [y.astype(x.dtype)] + [v.astype(state_type) for v in running][:outputs - 1]
    single = x.dtype == np.float32 == vector_type == state_type
    known = version >= 14 or not train and version >= 7
    return Case(inputs, attributes, outputs=outputs, expected=None if known and single and spatial else own,
                constants=some_constants(random, (1, 2, 3, 4)) if not train else ())


@covered("InstanceNormalization")
def instance_normalization(random, version, index):
    type_ = type_at("InstanceNormalization", "T", version, index)
    x = random_tensor(random, type_, random_shape(random, 3, 5, empty=0))
    inputs = [x, channels(random, type_, x.shape[1:2]), channels(random, type_, x.shape[1:2])]
    attributes = {"epsilon": float(random.uniform(1e-4, 1e-2))}
    old = {"consumed_inputs": [0, 0, 0]} if version == 1 and chance(random) else {}

    def own(x, scale, bias):
        wide, axes = x.astype(np.float64), tuple(range(2, x.ndim))
        along = lambda v: v.astype(np.float64).reshape((1, -1) + (1,) * (x.ndim - 2))
        y = (wide - wide.mean(axes, keepdims=True)) / np.sqrt(wide.var(axes, keepdims=True) + attributes["epsilon"])
        return [(along(scale) * y + along(bias)).astype(x.dtype)]
    return Case(inputs, {**attributes, **old}, constants=some_constants(random, (1, 2)),
                expected=None if version > 1 and x.dtype == np.float32 else own)


@covered("LayerNormalization")
def layer_normalization(random, version, index):
    """Mean and InvStdDev are float whatever the type."""
    type_ = type_at("LayerNormalization", "T", version, index)
    x = random_tensor(random, type_, random_shape(random, 1, 4, empty=0))
    axis = random_axis(random, x.ndim)
    shape = x.shape[axis:]
    inputs = [x, channels(random, type_, shape)] + ([channels(random, type_, shape)] if chance(random, 0.7) else [])
    attributes = {} if axis == -1 and chance(random) else {"axis": axis}
    attributes.update({"epsilon": float(random.uniform(1e-3, 1e-2))})
    outputs = int(random.integers(1, 4))

    def own(x, scale, bias=None):
        wide, axes = x.astype(np.float64), tuple(range(axis % x.ndim, x.ndim))
        mean = wide.mean(axes, keepdims=True)
        inverse = 1 / np.sqrt(wide.var(axes, keepdims=True) + attributes["epsilon"])
        y = ((wide - mean) * inverse) * scale.astype(np.float64) + (0 if bias is None else bias.astype(np.float64))
        return [y.astype(x.dtype), mean.astype(np.float32), inverse.astype(np.float32)][:outputs]
    return Case(inputs, attributes, outputs=outputs, constants=some_constants(random, range(1, len(inputs))),
                expected=None if x.dtype == np.float32 else own)


@covered("RMSNormalization")
def rms_normalization(random, version, index):
    type_ = type_at("RMSNormalization", "T", version, index)
    x = random_tensor(random, type_, random_shape(random, 1, 4, empty=0))
    axis = random_axis(random, x.ndim)
    inputs = [x, channels(random, type_, x.shape[axis:])]
    attributes = {} if axis == -1 and chance(random) else {"axis": axis}
    attributes.update({"epsilon": float(random.uniform(1e-4, 1e-2))})

    def own(x, scale):
        wide, axes = x.astype(np.float64), tuple(range(axis % x.ndim, x.ndim))
        y = wide / np.sqrt((wide * wide).mean(axes, keepdims=True) + attributes["epsilon"])
        return [(y * scale.astype(np.float64)).astype(x.dtype)]
    return Case(inputs, attributes, constants=some_constants(random, (1,)), expected=None if x.dtype == np.float32 else own)


@covered("GroupNormalization", versions=(18, 21))
def group_normalization(random, version, index):
    """onnx marks version 18 as deprecated, whose scale and bias have one element for each group."""
    type_ = type_at("GroupNormalization", "T", version, index)
    groups, each = int(random.integers(1, 4)), int(random.integers(1, 4))
    x = random_tensor(random, type_, (int(random.integers(1, 3)), groups * each) + random_shape(random, 1, 3, empty=0))
    shape = (groups if version == 18 else groups * each,)
    inputs = [x, channels(random, type_, shape), channels(random, type_, shape)]
    attributes = {"num_groups": groups, "epsilon": float(random.uniform(1e-3, 1e-2))}

    def own(x, scale, bias):
        wide = x.astype(np.float64).reshape(x.shape[0], groups, -1)
        y = (wide - wide.mean(2, keepdims=True)) / np.sqrt(wide.var(2, keepdims=True) + attributes["epsilon"])
        spread = lambda v: np.repeat(v.astype(np.float64), each if version == 18 else 1).reshape((1, -1) + (1,) * (x.ndim - 2))
        return [(y.reshape(x.shape) * spread(scale) + spread(bias)).astype(x.dtype)]
    return Case(inputs, attributes, constants=some_constants(random, (1, 2)), output_types=typed(x),
                expected=None if version > 18 and x.dtype == np.float32 else own)


def typed(x):
    return [helper.make_tensor_type_proto(element_type(x), None)]


@covered("LRN")
def lrn(random, version, index):
    type_ = type_at("LRN", "T", version, index)
    x = random_tensor(random, type_, random_shape(random, 4, 4, empty=0))
    ranges = {"alpha": (0.1, 2), "beta": (0.3, 1), "bias": (0.5, 2)}
    attributes = {key: float(random.uniform(*limits)) for key, limits in ranges.items() if chance(random)}
    size = int(random.integers(1, 3)) * 2 - 1

    def own(x):
        wide, y = x.astype(np.float64), np.zeros(x.shape)
        for c in range(x.shape[1]):
            part = wide[:, max(0, c - (size - 1) // 2):c + size // 2 + 1]
            y[:, c] = (part * part).sum(axis=1)
        factor = attributes.get("bias", 1) + attributes.get("alpha", 1e-4) / size * y
        return [(wide / factor ** attributes.get("beta", 0.75)).astype(x.dtype)]
    return Case([x], {"size": size, **attributes}, expected=None if x.dtype == np.float32 else own)


@covered("LpNormalization")
def lp_normalization(random, version, index):
    x = random_tensor(random, type_at("LpNormalization", "T", version, index), random_shape(random, 1, 4, empty=0))
    axis, p = random_axis(random, x.ndim), int(random.integers(1, 3))
    attributes = {**({"axis": axis} if axis != -1 or chance(random) else {}), **({"p": p} if p != 2 or chance(random) else {})}

    def own(x):
        wide = x.astype(np.float64)
        norm = (np.abs(wide) ** p).sum(axis, keepdims=True) ** (1 / p)
        return [np.where(norm == 0, 0, wide / np.where(norm == 0, 1, norm)).astype(x.dtype)]
    return Case([x], attributes, expected=None if x.dtype == np.float32 else own)


@covered("MeanVarianceNormalization")
def mean_variance_normalization(random, version, index):
    x = random_tensor(random, type_at("MeanVarianceNormalization", "T", version, index), random_shape(random, 4, 4, empty=0) if
                      chance(random) else random_shape(random, 2, 5, empty=0))
    axes = sorted(int(axis) for axis in random.permutation(x.ndim)[:random.integers(1, x.ndim + 1)])
    given = {"axes": [axis - x.ndim if chance(random, 0.3) and version >= 13 else axis for axis in axes]}
    if x.ndim == 4 and chance(random):
        given, axes = {}, [0, 2, 3]

    def own(x):
        wide, over = x.astype(np.float64), tuple(axes)
        deviation = np.sqrt((wide * wide).mean(over, keepdims=True) - wide.mean(over, keepdims=True) ** 2)
        return [((wide - wide.mean(over, keepdims=True)) / (deviation + 1e-9)).astype(x.dtype)]
    if int(np.prod([x.shape[axis] for axis in axes])) < 3:  # differences of nothing but rounding
        return Case([np.zeros_like(x)], given, expected=lambda x: [x])
    return Case([x], given, expected=own)


# --------------------------------------------------------------------------------------------------------------- Softmax

def rows_from(axis, function):
    """Before version 13 dimensions from `axis` on are one row; the reference knows versions from 13 on only."""
    def compute(x):
        y = function(x.astype(np.float64).reshape(int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:]))))
        return [y.reshape(x.shape).astype(x.dtype)]
    return compute


def log_softmax_of(rows):
    shifted = rows - rows.max(axis=1, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def hardmax_of(rows):
    hot = np.zeros_like(rows)
    if rows.size:
        hot[np.arange(len(rows)), rows.argmax(axis=1)] = 1
    return hot


def of_rows(name, function, random, version, index):
    x = random_tensor(random, type_at(name, onnx.defs.get_schema(name, version).inputs[0].type_str, version, index),
                      random_shape(random, 1 if version >= 13 else 2, 4))
    axis = axis_of(random, version, x.ndim)
    default = -1 if version >= 13 else 1
    attributes = {} if axis == default and chance(random) else {"axis": axis}
    return Case([x], attributes, expected=rows_from(axis % x.ndim, function) if version < 13 else None)


covered("LogSoftmax")(functools.partial(of_rows, "LogSoftmax", log_softmax_of))
covered("Hardmax")(functools.partial(of_rows, "Hardmax", hardmax_of))


# --------------------------------------------------------------------------------------------------------------- Dropout

@covered("Dropout")
def dropout(random, version, index):
    """What does not draw: inference, and training with a ratio of 0. The mask of inference is true everywhere since 10."""
    type_ = type_at("Dropout", "T", version, index)
    x = random_tensor(random, type_, random_shape(random, 1, 4))
    outputs = int(random.integers(1, 3)) if version >= 10 else 1

    def own(x, *_):
        return [x, np.ones(x.shape, np.bool_)][:outputs]
    if version < 12:
        attributes = {"ratio": float(random.uniform(0, 1))} if chance(random) else {}
        attributes.update({"is_test": 1} if version < 7 else {})
        return Case([x], {**attributes, **legacy(random, "Dropout", version)}, outputs=outputs, expected=own)
    ratios = types_of("Dropout", "T1", version)
    ratio_type = ratios[random.integers(len(ratios))]
    train = chance(random, 0.3)
    ratio = np.asarray(0 if train else random.uniform(0, 0.9)).astype(ratio_type)
    inputs = [[x], [x, ratio], [x, ratio, np.array(False)], [x, None, np.array(False)]][random.integers(4)]
    inputs = [x, ratio, np.array(True)] if train else inputs
    return Case(inputs, {"seed": 7} if chance(random, 0.3) else {}, outputs=outputs, expected=own,
                constants=some_constants(random, [i for i in range(1, len(inputs)) if inputs[i] is not None]))


def simplified(random, version, index):
    """LayerNormalization without a mean, of old models; no definition of ai.onnx has it. The second output is float."""
    type_ = (np.float32, np.float16, np.float64)[index % 3]
    x = random_tensor(random, type_, random_shape(random, 1, 4, empty=0))
    axis = random_axis(random, x.ndim)
    epsilon = float(random.uniform(1e-4, 1e-2))

    def own(x, scale):
        wide, axes = x.astype(np.float64), tuple(range(axis % x.ndim, x.ndim))
        inverse = 1 / np.sqrt((wide * wide).mean(axes, keepdims=True) + epsilon)
        return [(wide * inverse * scale.astype(np.float64)).astype(x.dtype)]
    return Case([x, channels(random, type_, x.shape[axis:])], {"axis": axis, "epsilon": epsilon}, expected=own,
                output_types=typed(x))


operator("SimplifiedLayerNormalization", versions=(1,), tolerance="rtol=1e-4 atol=2e-5", narrow=HALVES)(simplified)
operator("SimplifiedLayerNormalization", "com.microsoft", versions=(1,), tolerance="rtol=1e-4 atol=2e-5",
         narrow=HALVES)(simplified)
