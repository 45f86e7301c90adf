"""Quantisation, and operators on integers of 8 bits.

Sums of integers are exact here (onnxruntime's saturate on some CPUs), so most cases have a function of their own; where the
last rounding is a matter of the order of float operations, a result may be off by one."""

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.differential.case import (Case, chance, operator, pick, random_axis, random_broadcast, random_shape, random_tensor,
                                     types_of)

EXACT = "rtol=0 atol=0"
BY_ONE = "rtol=0 atol=1"
BYTES = (np.uint8, np.int8)
RANGES = {"uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767), "uint4": (0, 15),
          "int4": (-8, 7), "uint2": (0, 3), "int2": (-2, 1)}


def random_bytes(random, type_, shape):
    info = np.iinfo(type_)
    return random.integers(info.min, info.max + 1, size=shape).astype(type_)


def random_scale(random, shape, type_=np.float32):
    return np.asarray(random.uniform(0.005, 0.05, shape)).astype(type_)


def random_zero(random, type_, shape=()):
    name = np.dtype(type_).name
    if name not in RANGES:
        return np.zeros(shape, type_)
    low, high = RANGES[name]
    return np.asarray(random.integers(low, high + 1, size=shape)).astype(type_)


def type_protos(*types):
    return [helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(np.dtype(t)), None) for t in types]


# ---------------------------------------------------------------------------------------------- quantise and dequantise

def granularity(random, version, shape, attributes, scale_type):
    """(shape of scales); sets axis and block_size."""
    kinds = ["tensor"] + (["axis"] if version >= 13 and shape else []) + (["block"] if version >= 21 and shape else [])
    kind = pick(random, kinds)
    if kind == "tensor":
        return ()
    axis = random_axis(random, len(shape))
    attributes["axis"] = axis
    if kind == "axis":
        return (shape[axis],)
    block = int(random.integers(1, max(shape[axis], 1) + 1))
    attributes["block_size"] = block
    scales = list(shape)
    scales[axis] = -(-shape[axis] // block)
    return tuple(scales)


def spread(parameter, x_shape, attributes):
    """Scales or zero points, one for each element."""
    if parameter.ndim == 0:
        return np.broadcast_to(parameter, x_shape)
    axis = attributes["axis"] % len(x_shape)
    if "block_size" in attributes:
        repeated = np.repeat(parameter, attributes["block_size"], axis=axis)
        return np.take(repeated, range(x_shape[axis]), axis=axis)
    shape = [1] * len(x_shape)
    shape[axis] = x_shape[axis]
    return np.broadcast_to(parameter.reshape(shape), x_shape)


def divide(x, scale, precision):
    """In `precision`; integers exactly."""
    if precision == np.int32:
        return x.astype(np.float64) / scale.astype(np.float64)
    wide = x.astype(precision).astype(np.float32) / scale.astype(precision).astype(np.float32)
    return wide.astype(precision).astype(np.float32)


def quantized_by_definition(attributes, precision, output):
    def compute(x, scale, zero=None):
        ratio = divide(x, spread(scale, x.shape, attributes), precision)
        low, high = RANGES[np.dtype(output).name]
        number = np.rint(ratio.astype(np.float64))
        if zero is not None:
            number = number + spread(zero, x.shape, attributes).astype(np.float64)
        return [np.clip(number, low, high).astype(np.int32).astype(output)]
    return compute


@operator("QuantizeLinear", tolerance=EXACT)
def quantize_linear(random, version, index):
    inputs = types_of("QuantizeLinear", "T1", version)
    outputs = types_of("QuantizeLinear", "T3" if version >= 23 else "T2", version)
    x_type, output = inputs[index % len(inputs)], outputs[index // len(inputs) % len(outputs)]
    shape = random_shape(random, 0, 4)
    attributes = {}
    scale_type = np.float32 if version < 19 else x_type
    if version >= 23 and chance(random):
        scale_type = pick(random, types_of("QuantizeLinear", "T2", version))
    x = random_tensor(random, x_type, shape, -100 if x_type == np.int32 else -6, 100 if x_type == np.int32 else 6)
    scales = granularity(random, version, shape, attributes, scale_type)
    if scale_type == np.int32:
        scale = np.asarray(random.integers(1, 9, scales)).astype(np.int32)
    else:
        scale = random_scale(random, scales, scale_type)
    integral = np.dtype(output).name in RANGES
    given = chance(random, 0.7)
    if not given and version >= 21:
        attributes["output_dtype"] = helper.np_dtype_to_tensor_dtype(np.dtype(output))
    elif not given:
        output, integral = np.uint8, True
    precision = np.float32 if scale_type == ml_dtypes.float8_e8m0fnu else scale_type
    if version >= 23 and chance(random, 0.3):
        precision = pick(random, (np.float32, np.float16, ml_dtypes.bfloat16))
        attributes["precision"] = helper.np_dtype_to_tensor_dtype(np.dtype(precision))
    if not integral and version >= 19 and chance(random):
        attributes["saturate"] = 0
    tensors = [x, scale] + ([random_zero(random, output, scales)] if given else [])
    return Case(tensors, attributes, expected=quantized_by_definition(attributes, precision, output) if integral else None)


@operator("DequantizeLinear", tolerance="rtol=2e-7 atol=0", narrow={"float16": "rtol=1e-3 atol=1e-7", "bfloat16": "rtol=8e-3 atol=0"})
def dequantize_linear(random, version, index):
    inputs = types_of("DequantizeLinear", "T1" if version >= 19 else "T", version)
    scale_types = types_of("DequantizeLinear", "T2", version) if version >= 19 else [np.float32]
    x_type = inputs[index % len(inputs)]
    scale_type = scale_types[index // len(inputs) % len(scale_types)]
    shape = random_shape(random, 0, 4)
    attributes = {}
    if np.dtype(x_type).name in RANGES:
        x = random_zero(random, x_type, shape)
    else:
        x = random_tensor(random, x_type, shape, -5, 5)
    scales = granularity(random, version, shape, attributes, scale_type)
    scale = random_scale(random, scales, scale_type)
    output = scale_type
    if version >= 23 and (chance(random, 0.3) or scale_type == ml_dtypes.float8_e8m0fnu):
        output = pick(random, (np.float32, np.float16, ml_dtypes.bfloat16))
        attributes["output_dtype"] = helper.np_dtype_to_tensor_dtype(np.dtype(output))
    given = chance(random, 0.7) and x_type != np.int32
    zero = random_zero(random, x_type, scales)

    def expected(x, scale, zero=None):
        difference = x.astype(np.float32)
        if zero is not None:
            difference = difference - spread(zero, x.shape, attributes).astype(np.float32)
        return [(difference * spread(scale, x.shape, attributes).astype(np.float32)).astype(output)]

    return Case([x, scale] + ([zero] if given else []), attributes, expected=expected)


@operator("QuantizeLinear", "com.microsoft", EXACT, versions=(1,))
def quantize_linear_microsoft(random, version, index):
    x_type, output = (np.float32, np.float16)[index % 2], (np.uint8, np.int8, np.uint16, np.int16, ml_dtypes.int4,
                                                           ml_dtypes.uint4)[index // 2 % 6]
    shape = random_shape(random, 1, 4)
    attributes, scales = {}, ()
    if chance(random):
        attributes["axis"] = random_axis(random, len(shape))
        scales = (shape[attributes["axis"]],)
    tensors = [random_tensor(random, x_type, shape), random_scale(random, scales, x_type), random_zero(random, output, scales)]
    return Case(tensors, attributes, expected=quantized_by_definition(attributes, x_type, output),
                output_types=type_protos(output))


@operator("DequantizeLinear", "com.microsoft", "rtol=2e-7 atol=0", versions=(1,), narrow={"float16": "rtol=1e-3 atol=1e-7"})
def dequantize_linear_microsoft(random, version, index):
    x_type = (np.uint8, np.int8, np.uint16, np.int16, np.int32, ml_dtypes.int4, ml_dtypes.uint4)[index % 7]
    scale_type = (np.float32, np.float16)[index // 7 % 2]
    shape = random_shape(random, 1, 4)
    attributes, scales = {}, ()
    if chance(random):
        attributes["axis"] = random_axis(random, len(shape))
        scales = (shape[attributes["axis"]],)
    x = random_zero(random, x_type, shape) if x_type != np.int32 else random_tensor(random, x_type, shape, -999, 999)
    zero = random_zero(random, x_type, scales)

    def expected(x, scale, zero):
        difference = x.astype(np.float32) - spread(zero, x.shape, attributes).astype(np.float32)
        return [(difference * spread(scale, x.shape, attributes).astype(np.float32)).astype(scale_type)]

    return Case([x, random_scale(random, scales, scale_type), zero], attributes, expected=expected,
                output_types=type_protos(scale_type))


def dynamic_parameters(x):
    least, most = np.float32(min(0, x.min(initial=0))), np.float32(max(0, x.max(initial=0)))
    scale = np.float32(1 if least == most else most - least) / np.float32(255)
    return scale, np.uint8(np.clip(np.rint(-least / scale), 0, 255))


def dynamically_quantized(x):
    scale, zero = dynamic_parameters(x)
    return np.clip(np.rint(x / scale) + np.float32(zero), 0, 255).astype(np.uint8), scale, zero


@operator("DynamicQuantizeLinear", tolerance=EXACT)
def dynamic_quantize_linear(random, version, index):
    low = (-4, 1, -4, 0)[index % 4]
    x = random_tensor(random, np.float32, random_shape(random, 0, 4), low, max(low + 1, (5, 7, -1, 0)[index % 4]))
    return Case([x], {}, 3, expected=lambda x: [np.asarray(y) for y in dynamically_quantized(x)])


# -------------------------------------------------------------------------------------------------------------- products

def matrices(random):
    """Shapes as numpy.matmul takes them."""
    m, n, k = (int(random.integers(1, 40)) for _ in range(3))
    if chance(random, 0.1):
        k = 0
    batch = random_shape(random, 0, 2, 3, 0)
    a = (*random_broadcast(random, batch), m, k) if chance(random, 0.85) else (k,)
    b = (*random_broadcast(random, batch), k, n) if chance(random, 0.5) else (k, n) if chance(random, 0.8) else (k,)
    return a, b


def rows_of(shape):
    """The shapes that a parameter of A may have: one for all, for each row, for each row of each matrix."""
    if len(shape) == 1:
        return [(), (1,)]
    return [(), (1,), (shape[-2],)] + ([(*shape[:-1], 1)] if len(shape) > 2 else [])


def columns_of(shape):
    if len(shape) == 1:
        return [(), (1,)]
    return [(), (1,), (shape[-1],)] + ([(*shape[:-2], 1, shape[-1])] if len(shape) > 2 else [])


def by_rows(parameter, shape):
    if parameter.size == 1:
        return parameter.reshape(())
    return parameter.reshape((-1, 1)) if parameter.ndim == 1 else parameter


def wrapped(sums):
    return (sums & 0xFFFFFFFF).astype(np.uint32).astype(np.int32)


def exact_sums(a, b, a_zero, b_zero):
    left = a.astype(np.int64) - (0 if a_zero is None else by_rows(a_zero, a.shape).astype(np.int64))
    right = b.astype(np.int64) - (0 if b_zero is None else b_zero.astype(np.int64) if b_zero.size > 1 else int(b_zero.reshape(())))
    return wrapped(np.asarray(np.matmul(left, right)))


@operator("MatMulInteger", tolerance=EXACT)
def matmul_integer(random, version, index):
    a_shape, b_shape = matrices(random)
    a_type, b_type = BYTES[index % 2], BYTES[index // 2 % 2]
    a_zero = random_zero(random, a_type, pick(random, rows_of(a_shape))) if chance(random, 0.7) else None
    b_zero = random_zero(random, b_type, pick(random, columns_of(b_shape))) if chance(random, 0.7) else None
    return Case([random_bytes(random, a_type, a_shape), random_bytes(random, b_type, b_shape), a_zero, b_zero],
                constants=(1,) if chance(random) else (), expected=lambda a, b, az, bz: [exact_sums(a, b, az, bz)])


def requantized(sums, scale, zero, type_):
    info = np.iinfo(type_)
    number = np.rint(sums.astype(np.float32) * scale.astype(np.float32)).astype(np.float64) + int(zero)
    return np.clip(number, info.min, info.max).astype(type_)


FLOAT8 = (ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2, ml_dtypes.float8_e5m2fnuz)


@operator("QLinearMatMul", tolerance=EXACT, narrow={"float8": "rtol=0.26 atol=1e-2"})
def qlinear_matmul(random, version, index):
    a_shape, b_shape = matrices(random)
    float8 = version >= 21 and chance(random, 0.25)
    types = [pick(random, FLOAT8 if float8 else BYTES) for _ in range(3)]
    scale_type = pick(random, (np.float32, np.float16, ml_dtypes.bfloat16)) if version >= 21 else np.float32
    a_form, b_form = pick(random, rows_of(a_shape)), pick(random, columns_of(b_shape))
    if float8:
        a, b = (random_tensor(random, t, s, -2, 2) for t, s in zip(types, (a_shape, b_shape)))
    else:
        a, b = (random_bytes(random, t, s) for t, s in zip(types, (a_shape, b_shape)))
    y_scale = np.asarray(random.uniform(0.5, 4)).astype(scale_type)
    inputs = [a, random_scale(random, a_form, scale_type), random_zero(random, types[0], a_form), b,
              random_scale(random, b_form, scale_type), random_zero(random, types[1], b_form), y_scale,
              random_zero(random, types[2])]

    def expected(a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero):
        left = by_rows(a_scale, a.shape).astype(np.float32)
        right = b_scale.astype(np.float32) if b_scale.size > 1 else b_scale.astype(np.float32).reshape(())
        scale = left * right / y_scale.astype(np.float32)
        if b.ndim == 1 and scale.ndim > 1:
            scale = scale[..., 0]
        elif a.ndim == 1 and scale.ndim > 1:
            scale = scale[..., 0, :]
        if float8:
            product = np.asarray(np.matmul(a.astype(np.float32), b.astype(np.float32))) * scale
            top = float(ml_dtypes.finfo(types[2]).max)
            return [np.clip(product, -top, top).astype(types[2])]
        return [requantized(exact_sums(a, b, a_zero, b_zero), scale, y_zero, types[2])]

    return Case(inputs, constants=(3,) if chance(random) else (), expected=expected)


@operator("QGemm", "com.microsoft", "rtol=3e-7 atol=1e-7", versions=(1,))
def qgemm(random, version, index):
    m, n, k = (int(random.integers(1, 40)) for _ in range(3))
    a_type, b_type, y_type = BYTES[index % 2], BYTES[index // 2 % 2], (np.float32, np.uint8, np.int8)[index % 3]
    trans_a, trans_b = int(chance(random)), int(chance(random))
    a = random_bytes(random, a_type, (k, m) if trans_a else (m, k))
    b = random_bytes(random, b_type, (n, k) if trans_b else (k, n))
    form = pick(random, ((), (n,)))
    alpha = pick(random, (1.0, 0.5))
    c = pick(random, (None, (), (n,), (1, n), (m, 1), (m, n), (1, 1)))
    c = None if c is None else random.integers(-20000, 20000, c).astype(np.int32)
    inputs = [a, random_scale(random, ()), random_zero(random, a_type), b, random_scale(random, form),
              random_zero(random, b_type, form), np.asarray(c, np.int32) if c is not None else None]
    if y_type != np.float32:
        inputs += [np.float32(random.uniform(0.5, 4)).reshape(()), random_zero(random, y_type)]

    def expected(a, a_scale, a_zero, b, b_scale, b_zero, c, y_scale=None, y_zero=None):
        left, right = (a.T if trans_a else a), (b.T if trans_b else b)
        sums = exact_sums(left, right, a_zero, b_zero)
        if c is not None:
            sums = wrapped(sums.astype(np.int64) + c)
        scale = np.float32(alpha) * a_scale * b_scale
        if y_scale is None:
            return [sums.astype(np.float32) * scale.astype(np.float32)]
        return [requantized(sums, np.asarray(scale / y_scale), y_zero, y_type)]

    return Case(inputs, {"transA": trans_a, "transB": trans_b, "alpha": alpha}, constants=(3,) if chance(random) else (),
                expected=expected, output_types=type_protos(y_type))


@operator("MatMulIntegerToFloat", "com.microsoft", "rtol=1e-6 atol=1e-5", versions=(1,),
          narrow={"float16": "rtol=2e-3 atol=2e-3"})
def matmul_integer_to_float(random, version, index):
    a_shape, b_shape = matrices(random)
    a_type, b_type, type_ = BYTES[index % 2], BYTES[index // 2 % 2], (np.float32, np.float32, np.float16)[index % 3]
    form = pick(random, columns_of(b_shape)[:3])
    n = b_shape[-1] if len(b_shape) > 1 else 1
    a_scale = random_scale(random, (), type_)
    inputs = [random_bytes(random, a_type, a_shape), random_bytes(random, b_type, b_shape), a_scale,
              random_scale(random, form, type_), random_zero(random, a_type) if chance(random, 0.7) else None,
              random_zero(random, b_type, form) if chance(random, 0.7) else None,
              random_tensor(random, type_, (n,)) if chance(random) else None]

    def expected(a, b, a_scale, b_scale, a_zero, b_zero, bias):
        scale = a_scale.astype(np.float32) * (b_scale if b_scale.size > 1 else b_scale.reshape(())).astype(np.float32)
        y = exact_sums(a, b, a_zero, b_zero).astype(np.float32) * scale
        if bias is not None:
            y = y + (bias if len(b_shape) > 1 else bias.reshape(())).astype(np.float32)
        return [np.asarray(y).astype(type_)]

    return Case(inputs, constants=(1,) if chance(random) else (), expected=expected, output_types=type_protos(type_))


@operator("DynamicQuantizeMatMul", "com.microsoft", "rtol=1e-6 atol=1e-5", versions=(1,))
def dynamic_quantize_matmul(random, version, index):
    a_shape, b_shape = matrices(random)
    b_type = BYTES[index % 2]
    form = pick(random, columns_of(b_shape)[:3])
    n = b_shape[-1] if len(b_shape) > 1 else 1
    inputs = [random_tensor(random, np.float32, a_shape), random_bytes(random, b_type, b_shape), random_scale(random, form),
              random_zero(random, b_type, form) if chance(random, 0.7) else None,
              random_tensor(random, np.float32, (n,)) if chance(random) else None]

    def expected(a, b, b_scale, b_zero, bias):
        quantized, scale, zero = dynamically_quantized(a)
        y = exact_sums(quantized, b, np.asarray(zero), b_zero).astype(np.float32)
        y = y * (scale * (b_scale if b_scale.size > 1 else b_scale.reshape(())))
        if bias is not None:
            y = y + (bias if len(b_shape) > 1 else bias.reshape(()))
        return [np.asarray(y, np.float32)]

    return Case(inputs, constants=(1,) if chance(random) else (), expected=expected, output_types=type_protos(np.float32))


# ---------------------------------------------------------------------------------------------------------- convolutions

def random_window(random, axes, attributes, group_choices=True):
    """Sizes of X and W, with attributes that fit them."""
    kernel = [int(random.integers(1, 4)) for _ in range(axes)]
    strides = [int(random.integers(1, 3)) for _ in range(axes)]
    dilations = [int(random.integers(1, 3)) for _ in range(axes)]
    pads = [int(random.integers(0, 3)) for _ in range(2 * axes)]
    sizes = [(k - 1) * d + 1 + int(random.integers(0, 9)) for k, d in zip(kernel, dilations)]
    attributes.update(strides=strides, dilations=dilations)
    if chance(random, 0.25):
        attributes["auto_pad"] = pick(random, ("SAME_UPPER", "SAME_LOWER", "VALID"))
    else:
        attributes["pads"] = pads
    if chance(random):
        attributes["kernel_shape"] = kernel
    return sizes, kernel


def pads_of(attributes, sizes, kernel):
    """Padding before and behind each axis."""
    axes, auto = len(sizes), attributes.get("auto_pad", "NOTSET")
    if auto == "NOTSET":
        pads = attributes["pads"]
        return [(pads[i], pads[i + axes]) for i in range(axes)]
    result = []
    for size, k, stride, dilation in zip(sizes, kernel, attributes["strides"], attributes["dilations"]):
        total = max(0, (-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size) if auto != "VALID" else 0
        small = total // 2
        result.append((small, total - small) if auto == "SAME_UPPER" else (total - small, small))
    return result


def exact_convolution(attributes, x, w):
    """Sums of integers as wide as they need be, positions outside x counting 0."""
    axes, group = x.ndim - 2, attributes.get("group", 1)
    pads = pads_of(attributes, x.shape[2:], w.shape[2:])
    x = np.pad(x.astype(np.int64), [(0, 0), (0, 0), *pads])
    outputs = [(size - (k - 1) * d - 1) // s + 1 for size, k, s, d in
               zip(x.shape[2:], w.shape[2:], attributes["strides"], attributes["dilations"])]
    channels, features = w.shape[1], w.shape[0] // group
    y = np.zeros((x.shape[0], w.shape[0], *outputs), np.int64)
    for tap in np.ndindex(*w.shape[2:]):
        part = tuple(slice(t * d, t * d + (o - 1) * s + 1, s) for t, d, o, s in
                     zip(tap, attributes["dilations"], outputs, attributes["strides"]))
        seen = x[(slice(None), slice(None), *part)]
        for g in range(group):
            y[:, g * features:(g + 1) * features] += np.einsum(
                "nc...,mc->nm...", seen[:, g * channels:(g + 1) * channels],
                w[(slice(g * features, (g + 1) * features), slice(None), *tap)].astype(np.int64))
    return y


def along_channels(parameter, y):
    return parameter.reshape((-1,) + (1,) * (y.ndim - 2)) if parameter.size > 1 else parameter.reshape(())


def random_convolution(random, x_type, w_type):
    """X, W and attributes."""
    attributes = {"group": int(pick(random, (1, 1, 2, 3)))}
    sizes, kernel = random_window(random, int(random.integers(1, 4)), attributes)
    group, channels, features = attributes["group"], int(random.integers(1, 6)), int(random.integers(1, 8))
    if chance(random, 0.3):
        channels, features = 1, int(random.integers(1, 3))
    x = random_bytes(random, x_type, (int(random.integers(1, 3)), group * channels, *sizes))
    return x, random_bytes(random, w_type, (group * features, channels, *kernel)), attributes


def weight_differences(w, zero):
    if zero is None:
        return w.astype(np.int64)
    zero = zero.astype(np.int64)
    return w.astype(np.int64) - (zero.reshape((-1,) + (1,) * (w.ndim - 1)) if zero.size > 1 else int(zero.reshape(())))


@operator("ConvInteger", tolerance=EXACT)
def conv_integer(random, version, index):
    x_type, w_type = BYTES[index % 2], BYTES[index // 2 % 2]
    x, w, attributes = random_convolution(random, x_type, w_type)
    x_zero = random_zero(random, x_type) if chance(random, 0.7) else None
    w_zero = random_zero(random, w_type, pick(random, ((), (w.shape[0],)))) if chance(random, 0.7) else None

    def expected(x, w, x_zero, w_zero):
        difference = x.astype(np.int64) - (0 if x_zero is None else int(x_zero))
        return [wrapped(exact_convolution(attributes, difference, weight_differences(w, w_zero)))]

    return Case([x, w, x_zero, w_zero], attributes, constants=(1,) if chance(random) else (), expected=expected)


def qlinear_conv_result(attributes, x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias):
    sums = exact_convolution(attributes, x.astype(np.int64) - int(x_zero), weight_differences(w, w_zero))
    if bias is not None:
        sums = sums + along_channels(bias, sums) if bias.size > 1 else sums + int(bias[0])
    return requantized(wrapped(sums), along_channels(np.asarray(x_scale * w_scale / y_scale), sums), y_zero, y_zero.dtype)


@operator("QLinearConv", tolerance=EXACT)
def qlinear_conv(random, version, index):
    x_type, w_type, y_type = BYTES[index % 2], BYTES[index // 2 % 2], BYTES[index // 4 % 2]
    x, w, attributes = random_convolution(random, x_type, w_type)
    form = pick(random, ((), (w.shape[0],)))
    bias = random.integers(-9999, 9999, (w.shape[0],)).astype(np.int32) if chance(random) else None
    inputs = [x, random_scale(random, ()), random_zero(random, x_type), w, random_scale(random, form),
              random_zero(random, w_type, form), np.float32(random.uniform(0.05, 1)).reshape(()), random_zero(random, y_type), bias]

    def expected(*inputs):
        return [qlinear_conv_result(attributes, *inputs)]

    return Case(inputs, attributes, constants=(3,) if chance(random) else (), expected=expected)


@operator("QLinearConv", "com.microsoft", EXACT, versions=(1,))
def qlinear_conv_microsoft(random, version, index):
    x_type, w_type, y_type = BYTES[index % 2], BYTES[index // 2 % 2], BYTES[index // 4 % 2]
    x, w, attributes = random_convolution(random, x_type, w_type)
    form = pick(random, ((), (w.shape[0],)))
    bias = random.integers(-9999, 9999, (w.shape[0],)).astype(np.int32) if chance(random) else None
    last = chance(random, 0.7)
    attributes["channels_last"] = int(last)
    inputs = [np.ascontiguousarray(np.moveaxis(x, 1, -1)) if last else x, random_scale(random, ()), random_zero(random, x_type),
              w, random_scale(random, form), random_zero(random, w_type, form),
              np.float32(random.uniform(0.05, 1)).reshape(()), random_zero(random, y_type), bias]

    def expected(x, *others):
        y = qlinear_conv_result(attributes, np.moveaxis(x, -1, 1) if last else x, *others)
        return [np.ascontiguousarray(np.moveaxis(y, 1, -1)) if last else y]

    return Case(inputs, attributes, constants=(3,) if chance(random) else (), expected=expected, output_types=type_protos(y_type))


# ------------------------------------------------------------------------------------------ operators of com.microsoft

def scale_and_zero(random, type_, optional=False):
    return [random_scale(random, ()), random_zero(random, type_) if not optional or chance(random, 0.8) else None]


def dequantized(x, scale, zero):
    return (x.astype(np.float32) - np.float32(0 if zero is None else int(zero))) * scale


def quantized(ratio, zero, type_):
    """Of numbers that were divided by the scale."""
    info = np.iinfo(type_)
    return np.clip(np.rint(ratio.astype(np.float64)) + (0 if zero is None else int(zero)), info.min, info.max).astype(type_)


def binary_case(random, index, result_scale, compute):
    type_ = BYTES[index % 2]
    shape = random_shape(random, 0, 4)
    inputs = []
    for _ in range(2):
        inputs += [random_bytes(random, type_, random_broadcast(random, shape)), *scale_and_zero(random, type_, True)]
    inputs += [np.asarray(np.float32(result_scale)), random_zero(random, type_) if chance(random, 0.8) else None]

    def expected(a, a_scale, a_zero, b, b_scale, b_zero, c_scale, c_zero):
        left = a.astype(np.float32) - np.float32(0 if a_zero is None else int(a_zero))
        right = b.astype(np.float32) - np.float32(0 if b_zero is None else int(b_zero))
        return [quantized(compute(left, a_scale, right, b_scale, c_scale), c_zero, type_)]

    return Case(inputs, expected=expected, output_types=type_protos(type_))


@operator("QLinearAdd", "com.microsoft", EXACT, versions=(1,))
def qlinear_add(random, version, index):
    return binary_case(random, index, random.uniform(0.02, 0.1), lambda a, a_scale, b, b_scale, c_scale:
                       np.asarray(a * (a_scale / c_scale) + b * (b_scale / c_scale)))


@operator("QLinearMul", "com.microsoft", EXACT, versions=(1,))
def qlinear_mul(random, version, index):
    return binary_case(random, index, random.uniform(0.01, 0.1), lambda a, a_scale, b, b_scale, c_scale:
                       np.asarray(a * b * (a_scale * b_scale / c_scale)))


def activation_case(random, index, function, attributes=None):
    type_ = BYTES[index % 2]
    inputs = [random_bytes(random, type_, random_shape(random, 0, 4)), *scale_and_zero(random, type_, True),
              np.asarray(np.float32(random.uniform(0.004, 0.05))), random_zero(random, type_) if chance(random, 0.8) else None]

    def expected(x, x_scale, x_zero, y_scale, y_zero):
        return [quantized(np.asarray(function(dequantized(x, x_scale, x_zero)) / y_scale), y_zero, type_)]

    return Case(inputs, attributes or {}, expected=expected, output_types=type_protos(type_))


@operator("QLinearLeakyRelu", "com.microsoft", EXACT, versions=(1,))
def qlinear_leaky_relu(random, version, index):
    attributes = {"alpha": float(random.uniform(-1, 1))} if chance(random) else {}
    alpha = np.float32(attributes.get("alpha", 0.01))
    return activation_case(random, index, lambda x: np.where(x < 0, x * alpha, x), attributes)


@operator("QLinearSigmoid", "com.microsoft", BY_ONE, versions=(1,))
def qlinear_sigmoid(random, version, index):
    """exp is not the same to the last bit everywhere."""
    return activation_case(random, index, lambda x: (1 / (1 + np.exp(-x.astype(np.float64)))).astype(np.float32))


@operator("QLinearSoftmax", "com.microsoft", BY_ONE, versions=(1,))
def qlinear_softmax(random, version, index):
    type_ = BYTES[index % 2]
    shape = random_shape(random, 1, 4)
    opset = pick(random, (11, 13))
    attributes = {"opset": opset}
    if chance(random):
        attributes["axis"] = random_axis(random, len(shape))
    axis = attributes.get("axis", -1) % len(shape)
    inputs = [random_bytes(random, type_, shape), *scale_and_zero(random, type_, True),
              np.asarray(np.float32(random.uniform(0.002, 0.01))), random_zero(random, type_)]

    def expected(x, x_scale, x_zero, y_scale, y_zero):
        if x.size == 0:
            return [x]
        axes = (axis,) if opset >= 13 else tuple(range(axis, x.ndim))
        real = dequantized(x, x_scale, x_zero).astype(np.float64)
        powers = np.exp(real - real.max(axis=axes, keepdims=True))
        return [quantized(powers / powers.sum(axis=axes, keepdims=True) / y_scale, y_zero, type_)]

    return Case(inputs, attributes, expected=expected, output_types=type_protos(type_))


@operator("QLinearWhere", "com.microsoft", EXACT, versions=(1,))
def qlinear_where(random, version, index):
    type_ = BYTES[index % 2]
    shape = random_shape(random, 0, 4)
    inputs = [np.asarray(random.integers(0, 2, random_broadcast(random, shape))).astype(bool)]
    for _ in range(2):
        inputs += [random_bytes(random, type_, random_broadcast(random, shape)), *scale_and_zero(random, type_)]
    inputs += scale_and_zero(random, type_)

    def expected(condition, x, x_scale, x_zero, y, y_scale, y_zero, z_scale, z_zero):
        left = quantized(dequantized(x, x_scale, x_zero) / z_scale, z_zero, type_)
        right = quantized(dequantized(y, y_scale, y_zero) / z_scale, z_zero, type_)
        return [np.where(condition, left, right)]

    return Case(inputs, expected=expected, output_types=type_protos(type_))


@operator("QLinearConcat", "com.microsoft", EXACT, versions=(1,))
def qlinear_concat(random, version, index):
    type_ = BYTES[index % 2]
    shape = list(random_shape(random, 1, 4))
    axis = random_axis(random, len(shape))
    inputs = scale_and_zero(random, type_)
    for _ in range(int(random.integers(1, 5))):
        shape[axis] = int(random.integers(0, 40))
        own = chance(random)
        inputs += [random_bytes(random, type_, shape), *(scale_and_zero(random, type_) if own else inputs[:2])]

    def expected(y_scale, y_zero, *parts):
        made = []
        for x, scale, zero in zip(parts[::3], parts[1::3], parts[2::3]):
            same = scale == y_scale and zero == y_zero
            made.append(x if same else quantized(dequantized(x, scale, zero) / y_scale, y_zero, type_))
        return [np.concatenate(made, axis=axis)]

    return Case(inputs, {"axis": axis}, expected=expected, output_types=type_protos(type_))


def pooled(attributes, x, kernel, reduce):
    """reduce(inputs under the window [N, C, taps], taps that are counted) for each position; x is [N, C, ..]."""
    pads = pads_of(attributes, x.shape[2:], kernel)
    strides, dilations = attributes["strides"], attributes["dilations"]
    outputs = []
    for size, k, s, d, (begin, end) in zip(x.shape[2:], kernel, strides, dilations, pads):
        steps = size + begin + end - (k - 1) * d - 1
        count = steps // s + 1
        if attributes.get("ceil_mode") and steps % s and s < size + begin - steps // s * s and "auto_pad" not in attributes:
            count += 1
        outputs.append(count)
    y = np.zeros((*x.shape[:2], *outputs), np.float64)
    for position in np.ndindex(*outputs):
        taps, counted = [], 1
        for d, p in enumerate(position):
            at = [p * strides[d] - pads[d][0] + t * dilations[d] for t in range(kernel[d])]
            inside = [a for a in at if 0 <= a < x.shape[2 + d]]
            padded = [a for a in at if a < x.shape[2 + d] + pads[d][1]]
            counted *= len(padded) if attributes.get("count_include_pad") else len(inside)
            taps.append(inside)
        seen = x[np.ix_(range(x.shape[0]), range(x.shape[1]), *taps)].reshape(*x.shape[:2], -1)
        y[(slice(None), slice(None), *position)] = reduce(seen, counted)
    return y


@operator("QLinearAveragePool", "com.microsoft", BY_ONE, versions=(1,))
def qlinear_average_pool(random, version, index):
    """Means are scaled in another order than onnxruntime's."""
    type_ = BYTES[index % 2]
    attributes = {}
    sizes, kernel = random_window(random, int(random.integers(1, 4)), attributes)
    attributes["kernel_shape"] = kernel
    del attributes["dilations"]
    if "pads" in attributes:
        attributes["pads"] = [min(p, k - 1) for p, k in zip(attributes["pads"], kernel + kernel)]
        attributes["ceil_mode"] = int(chance(random, 0.3))
    last = chance(random)
    attributes.update(channels_last=int(last), count_include_pad=int(chance(random)))
    x = random_bytes(random, type_, (int(random.integers(1, 3)), int(random.integers(1, 5)), *sizes))
    inputs = [np.ascontiguousarray(np.moveaxis(x, 1, -1)) if last else x, *scale_and_zero(random, type_, True),
              random_scale(random, ()), random_zero(random, type_) if chance(random, 0.8) else None]

    def expected(x, x_scale, x_zero, y_scale, y_zero):
        real = dequantized(np.moveaxis(x, -1, 1) if last else x, x_scale, x_zero).astype(np.float64)
        means = pooled({**attributes, "dilations": [1] * len(kernel)}, real, kernel,
                       lambda seen, counted: seen.sum(axis=-1) / counted)
        y = quantized(means / y_scale, y_zero, type_)
        return [np.ascontiguousarray(np.moveaxis(y, 1, -1)) if last else y]

    return Case(inputs, attributes, expected=expected, output_types=type_protos(type_))


@operator("NhwcMaxPool", "com.microsoft", EXACT, versions=(1,))
def nhwc_max_pool(random, version, index):
    type_ = BYTES[index % 2]
    attributes = {}
    sizes, kernel = random_window(random, int(random.integers(1, 4)), attributes)
    attributes["kernel_shape"] = kernel
    if "pads" in attributes:
        attributes["pads"] = [min(p, k - 1) for p, k in zip(attributes["pads"], kernel + kernel)]
        attributes["ceil_mode"] = int(chance(random, 0.3))
    x = random_bytes(random, type_, (int(random.integers(1, 3)), *sizes, int(random.integers(1, 20))))

    def expected(x):
        y = pooled(attributes, np.moveaxis(x, -1, 1).astype(np.float64), kernel,
                   lambda seen, counted: seen.max(axis=-1, initial=np.iinfo(type_).min))
        return [np.ascontiguousarray(np.moveaxis(y, 1, -1)).astype(type_)]

    return Case([x], attributes, expected=expected, output_types=type_protos(type_))


@operator("QLinearGlobalAveragePool", "com.microsoft", BY_ONE, versions=(1,))
def qlinear_global_average_pool(random, version, index):
    type_ = BYTES[index % 2]
    last = chance(random)
    x = random_bytes(random, type_, random_shape(random, 3, 5, empty=0))
    inputs = [x, *scale_and_zero(random, type_), random_scale(random, ()), random_zero(random, type_)]

    def expected(x, x_scale, x_zero, y_scale, y_zero):
        axes = tuple(range(1, x.ndim - 1)) if last else tuple(range(2, x.ndim))
        means = dequantized(x, x_scale, x_zero).astype(np.float64).mean(axis=axes, keepdims=True)
        return [quantized(means / y_scale, y_zero, type_)]

    return Case(inputs, {"channels_last": int(last)}, expected=expected, output_types=type_protos(type_))


@operator("QLinearReduceMean", "com.microsoft", BY_ONE, versions=(1,))
def qlinear_reduce_mean(random, version, index):
    type_ = BYTES[index % 2]
    shape = random_shape(random, 1, 4, empty=0)
    axes = sorted({int(random.integers(0, len(shape))) for _ in range(2)})
    given = [a - len(shape) if chance(random) else a for a in axes]
    keep = chance(random)
    inputs = [random_bytes(random, type_, shape), *scale_and_zero(random, type_, True), random_scale(random, ()),
              random_zero(random, type_) if chance(random, 0.8) else None]

    def expected(x, x_scale, x_zero, y_scale, y_zero):
        means = dequantized(x, x_scale, x_zero).astype(np.float64).mean(axis=tuple(axes), keepdims=keep)
        return [quantized(np.asarray(means / y_scale), y_zero, type_)]

    return Case(inputs, {"axes": given, "keepdims": int(keep)}, expected=expected, output_types=type_protos(type_))
