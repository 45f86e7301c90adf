"""MatMul, Gemm, convolutions and pools."""

import functools

import ml_dtypes
import numpy as np
from onnx import helper

from tests.differential.case import (Case, chance, element_type, is_float, operator, random_shape, random_tensor, some_constants,
                                     type_at)

HALVES = {"float16": "rtol=4e-3 atol=8e-3", "bfloat16": "rtol=2e-2 atol=4e-2"}
covered = functools.partial(operator, late=True, tolerance="rtol=1e-4 atol=2e-5", narrow=HALVES)


def in_float(name, version, case):
    """Where onnxruntime has no half type or double, and the reference rounds after each step or fails: the same in float."""
    type_ = case.inputs[0].dtype
    if is_float(type_) and (type_.itemsize == 2 or type_.itemsize == 8 and name.startswith(("ConvT", "MaxP", "Ave", "Lp"))):
        wide = [None if x is None else x.astype(np.float32) if is_float(x.dtype) else x for x in case.inputs]
        case.alike = (version, Case(wide, case.attributes, outputs=case.outputs))
    return case


@covered("MatMul")
def mat_mul(random, version, index):
    type_ = type_at("MatMul", "T", version, index)
    m, k, n = (int(random.integers(0 if chance(random, 0.05) else 1, 9)) for _ in range(3))
    batch = random_shape(random, 0, 2, empty=0)
    shapes = [batch[int(random.integers(len(batch) + 1)):] for _ in range(2)]
    shapes = [tuple(1 if chance(random, 0.2) else size for size in shape) for shape in shapes]
    a = random_tensor(random, type_, (k,) if chance(random, 0.1) else shapes[0] + (m, k))
    b = random_tensor(random, type_, (k,) if chance(random, 0.1) else shapes[1] + (k, n))
    case = Case([a, b], constants=some_constants(random, (1,)))
    if not is_float(type_):  # every width wraps around
        case.expected = lambda a, b: [np.asarray(np.matmul(a.astype(np.int64), b.astype(np.int64))).astype(type_)]
    return in_float("MatMul", version, case)


@covered("Gemm")
def gemm(random, version, index):
    type_ = type_at("Gemm", "T", version, index)
    m, k, n = (int(random.integers(1, 9)) for _ in range(3))
    flags = {key: int(random.integers(2)) for key in ("transA", "transB") if chance(random, 0.7)}
    whole = not is_float(type_)
    factors = {key: float(random.integers(1, 3)) if whole else float(random.uniform(-2, 2)) for key in ("alpha", "beta")
               if chance(random, 0.6)}
    a = random_tensor(random, type_, (k, m) if flags.get("transA") else (m, k))
    b = random_tensor(random, type_, (n, k) if flags.get("transB") else (k, n))
    shapes = [(m, n), (n,), (1,), (m, 1), (1, n), ()]
    if version < 7:
        shape = shapes[random.integers(3)]
        case = Case([a, b, random_tensor(random, type_, shape)], {**flags, **factors, "broadcast": int(shape != (m, n))})
    elif version >= 11 and chance(random, 0.2):
        case = Case([a, b], {**flags, **factors})
    else:
        case = Case([a, b, random_tensor(random, type_, shapes[random.integers(len(shapes))])], {**flags, **factors})
    case.constants = some_constants(random, range(1, len(case.inputs)))
    if version < 7 or whole or type_ == np.float64:
        def own(a, b, c=None):
            wide = [np.asarray(x, np.float64).T if flags.get(key) else np.asarray(x, np.float64)
                    for x, key in ((a, "transA"), (b, "transB"))]
            y = factors.get("alpha", 1) * (wide[0] @ wide[1])
            y = y if c is None else y + factors.get("beta", 1) * c.astype(np.float64)
            return [y.astype(np.int64).astype(type_) if whole else y.astype(type_)]
        case.expected = own
    return in_float("Gemm", version, case)


# --------------------------------------------------------------------------------------------------------------- windows

def window(random, sizes, dilated=True, ceil=False):
    """(kernel, attributes): a window that fits the sizes at every place; pads are smaller than the kernel."""
    rank = len(sizes)
    dilations = [int(random.integers(1, 3)) if dilated and chance(random, 0.4) else 1 for _ in range(rank)]
    kernel = [int(random.integers(1, min(3, (size - 1) // d + 1) + 1)) for size, d in zip(sizes, dilations)]
    attributes = {}
    if any(d > 1 for d in dilations) or dilated and chance(random, 0.2):
        attributes["dilations"] = dilations
    if chance(random, 0.7):
        attributes["strides"] = [int(random.integers(1, 4)) for _ in range(rank)]
    padding = random.integers(4)
    if padding == 0:
        attributes["auto_pad"] = ("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET")[random.integers(4)]
    elif padding > 1:
        attributes["pads"] = [int(random.integers(0, k)) for k in kernel * 2]
    if ceil and attributes.get("auto_pad", "NOTSET") == "NOTSET" and chance(random, 0.4):
        attributes["ceil_mode"] = 1
    return kernel, attributes


def image(random, type_, channels=None, least=4, most=9):
    rank = int(random.choice([1, 2, 2, 2, 3]))
    sizes = tuple(int(random.integers(least, most if rank < 3 else 7)) for _ in range(rank))
    return random_tensor(random, type_, (int(random.integers(1, 3)), channels or int(random.integers(1, 5))) + sizes)


@covered("Conv")
def conv(random, version, index):
    type_ = type_at("Conv", "T", version, index)
    group = int(random.integers(1, 4)) if chance(random, 0.4) else 1
    each = int(random.integers(1, 5))
    x = image(random, type_, group * each)
    kernel, attributes = window(random, x.shape[2:])
    w = random_tensor(random, type_, (group * int(random.integers(1, 5)), each) + tuple(kernel), -1, 1)
    inputs = [x, w] + ([random_tensor(random, type_, w.shape[:1])] if chance(random) else [])
    attributes.update({"group": group} if group > 1 or chance(random, 0.3) else {})
    attributes.update({"kernel_shape": kernel} if chance(random) else {})
    return in_float("Conv", version, Case(inputs, attributes, constants=some_constants(random, range(1, len(inputs)))))


@covered("ConvTranspose")
def conv_transpose(random, version, index):
    type_ = type_at("ConvTranspose", "T", version, index)
    group = int(random.integers(1, 3)) if chance(random, 0.4) else 1
    each = int(random.integers(1, 4))
    x = image(random, type_, group * each, 2, 6)
    kernel, attributes = window(random, [4] * (x.ndim - 2))
    attributes.pop("auto_pad", None)
    w = random_tensor(random, type_, (group * each, int(random.integers(1, 4))) + tuple(kernel), -1, 1)
    inputs = [x, w] + ([random_tensor(random, type_, (group * w.shape[1],))] if chance(random) else [])
    strides = attributes.get("strides", [1] * len(kernel))
    if chance(random, 0.4):
        attributes["output_padding"] = [int(random.integers(0, stride)) for stride in strides]
    attributes.update({"group": group} if group > 1 or chance(random, 0.3) else {})
    attributes.update({"kernel_shape": kernel} if chance(random) else {})
    return in_float("ConvTranspose", version, Case(inputs, attributes, constants=some_constants(random, range(1, len(inputs)))))


def with_pads(sizes, attributes):
    """SAME_UPPER and SAME_LOWER written as pads, by the definition's formula: onnxruntime makes smaller outputs where there are
    dilations too."""
    mode = attributes.get("auto_pad", "NOTSET")
    if not mode.startswith("SAME"):
        return attributes
    rank = len(sizes)
    kernel, strides, dilations = (attributes.get(key, [1] * rank) for key in ("kernel_shape", "strides", "dilations"))
    totals = [max(0, (-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size)
              for size, k, stride, dilation in zip(sizes, kernel, strides, dilations)]
    less, more = [total // 2 for total in totals], [(total + 1) // 2 for total in totals]
    known = {key: value for key, value in attributes.items() if key != "auto_pad"}
    return {**known, "pads": less + more if mode == "SAME_UPPER" else more + less}


def pool(name, random, version, index):
    type_ = type_at(name, "T", version, index)
    x = image(random, type_)
    dilated = {"MaxPool": 10, "AveragePool": 19, "LpPool": 18}[name] <= version
    ceil = {"MaxPool": 10, "AveragePool": 10, "LpPool": 18}[name] <= version
    kernel, attributes = window(random, x.shape[2:], dilated, ceil)
    attributes["kernel_shape"] = kernel
    outputs = 1
    if name == "AveragePool" and version >= 7 and chance(random):
        attributes["count_include_pad"] = int(random.integers(2))
    if name == "LpPool" and chance(random, 0.7):
        attributes["p"] = float(random.integers(1, 4)) if version == 1 else int(random.integers(1, 4))
    if name == "MaxPool" and version >= 8:
        outputs = int(random.integers(1, 3))
        attributes.update({"storage_order": int(random.integers(2))} if chance(random, 0.4) and x.ndim == 4 else {})
    case = Case([x], attributes, outputs=outputs)
    if version == 1:  # of which onnx infers no type
        case.output_types = [helper.make_tensor_type_proto(element_type(x), None)]
    known = with_pads(x.shape[2:], attributes)
    if version == 1 and name != "MaxPool":  # whose kernels the oracles lack
        known = {key: int(value) if key == "p" else value for key, value in known.items()}
        version = {"AveragePool": 7, "LpPool": 2}[name]
    case.alike = in_float(name, version, Case([x], known, outputs=outputs)).alike
    if not case.alike and known is not attributes:
        case.alike = (version, Case([x], known, outputs=outputs))
    return case


for name in ("MaxPool", "AveragePool", "LpPool"):
    covered(name)(functools.partial(pool, name))


def global_pool(name, random, version, index):
    x = random_tensor(random, type_at(name, "T", version, index), random_shape(random, 3, 5, empty=0))
    attributes = {}
    if name == "GlobalLpPool" and chance(random, 0.7):
        attributes["p"] = float(random.integers(1, 4)) if version == 1 else int(random.integers(1, 4))

    def own(x):
        wide, axes = x.astype(np.float64), tuple(range(2, x.ndim))
        p = float(attributes.get("p", 2))
        y = {"GlobalMaxPool": lambda: wide.max(axes, keepdims=True), "GlobalAveragePool": lambda: wide.mean(axes, keepdims=True),
             "GlobalLpPool": lambda: (np.abs(wide) ** p).sum(axes, keepdims=True) ** (1 / p)}[name]()
        return [y.astype(x.dtype)]
    unknown = version != 2 and name == "GlobalLpPool" or x.dtype in (np.float16, np.float64, ml_dtypes.bfloat16)
    return Case([x], attributes, expected=own if unknown else None)


for name in ("GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"):
    covered(name)(functools.partial(global_pool, name))
