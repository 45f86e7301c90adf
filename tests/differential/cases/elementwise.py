"""Operators of one input, element by element."""

import functools

import ml_dtypes
import numpy as np
import onnx

from tests.differential.case import (Case, chance, is_float, legacy, newer, operator, random_shape, random_tensor, sprinkle,
                                     type_at)

covered = functools.partial(operator, late=True, tolerance="rtol=2e-5 atol=2e-6")


def unary(name, low, high, special, random, version, index):
    type_ = type_at(name, onnx.defs.get_schema(name, version).inputs[0].type_str, version, index)
    if name == "Erf" and not is_float(type_):
        high = 3  # float rounds erf(4) to 1 and double does not: the integer is 1 or 0
        low = -3
    x = random_tensor(random, type_, random_shape(random), low, high)
    attributes = legacy(random, name, version)
    x = sprinkle(random, x) if special else x
    own = None
    if name == "Softsign" and x.dtype in (np.float16, np.float64, ml_dtypes.bfloat16):  # the oracles know float
        def own(x):
            wide = x.astype(np.float64)
            return [(wide / (1 + np.abs(wide))).astype(x.dtype)]
    return Case([x], attributes, alike=(newer(name, version), Case([x])) if attributes else None, expected=own)


for name, low, high in (
        ("Abs", -4, 4), ("Neg", -4, 4), ("Ceil", -4, 4), ("Floor", -4, 4), ("Sqrt", -1, 9), ("Exp", -6, 6), ("Log", -1, 9),
        ("Reciprocal", -4, 4), ("Sin", -8, 8), ("Cos", -8, 8), ("Tan", -1, 1), ("Asin", -1.1, 1.1), ("Acos", -1.1, 1.1),
        ("Atan", -8, 8), ("Sinh", -4, 4), ("Cosh", -4, 4), ("Tanh", -5, 5), ("Asinh", -8, 8), ("Acosh", 0.9, 8),
        ("Atanh", -1.05, 1.05), ("Sigmoid", -8, 8), ("Erf", -4, 4), ("Softplus", -8, 8), ("Softsign", -8, 8), ("IsNaN", -4, 4),
        ("Mish", -6, 6)):
    covered(name)(functools.partial(unary, name, low, high, name not in ("Softsign", "Mish", "Softplus")))
for name, low, high in (("Sign", -4, 4), ("Relu", -4, 4), ("HardSwish", -5, 5)):
    covered(name)(functools.partial(unary, name, low, high, False))


@covered("Round")
def round_(random, version, index):
    """Halves go to the even neighbour."""
    x = random_tensor(random, type_at("Round", "T", version, index), random_shape(random), -6, 6)
    halves = np.asarray(np.floor(x.astype(np.float64)) + 0.5).astype(x.dtype)
    x = np.where(random.integers(2, size=x.shape) == 1, halves, x).astype(x.dtype)
    return Case([sprinkle(random, x)])


@covered("IsInf")
def is_inf(random, version, index):
    x = sprinkle(random, random_tensor(random, type_at("IsInf", "T1", version, index), random_shape(random)))
    attributes = {name: int(random.integers(2)) for name in ("detect_negative", "detect_positive") if chance(random)}
    return Case([x], attributes)


def with_alpha(name, ranges, random, version, index):
    """Activations with attributes, each given or left out."""
    x = random_tensor(random, type_at(name, "T", version, index), random_shape(random), -6, 6)
    attributes = {key: float(random.uniform(*limits)) for key, limits in ranges.items() if chance(random, 0.7)}
    old = legacy(random, name, version)
    known = attributes
    if name == "Selu" and version == 1:  # whose defaults differ from the next version's
        known = {"alpha": 1.6732, "gamma": 1.0507, **attributes}
    alike = (newer(name, version), Case([x], known)) if old or known is not attributes else None
    return Case([x], {**attributes, **old}, alike=alike)


for name, ranges in (("Elu", {"alpha": (0.2, 2)}), ("Selu", {"alpha": (1, 2), "gamma": (1, 2)}), ("LeakyRelu", {"alpha": (0, 1)}),
                     ("HardSigmoid", {"alpha": (0.1, 1), "beta": (0, 1)}), ("ThresholdedRelu", {"alpha": (0.1, 2)}),
                     ("Celu", {"alpha": (0.5, 2)}), ("Swish", {"alpha": (0.5, 2)})):
    covered(name)(functools.partial(with_alpha, name, ranges))


@covered("Shrink")
def shrink(random, version, index):
    x = random_tensor(random, type_at("Shrink", "T", version, index), random_shape(random))
    whole = not is_float(x.dtype)  # of which the definition does not say how fractions are rounded
    limits = {"lambd": float(random.integers(0, 3)) if whole else float(random.uniform(0, 2)),
              "bias": float(random.integers(0, 2)) if whole else float(random.uniform(-1, 1))}
    return Case([x], {key: value for key, value in limits.items() if chance(random, 0.8) or whole})


@covered("Gelu")
def gelu(random, version, index):
    x = random_tensor(random, type_at("Gelu", "T", version, index), random_shape(random), -5, 5)
    return Case([x], {"approximate": ("none", "tanh")[random.integers(2)]} if chance(random, 0.8) else {})


@covered("Not")
def not_(random, version, index):
    return Case([random_tensor(random, np.bool_, random_shape(random))])


@covered("BitwiseNot")
def bitwise_not(random, version, index):
    return Case([random_tensor(random, type_at("BitwiseNot", "T", version, index), random_shape(random), -100, 100)])


@covered("Clip")
def clip(random, version, index):
    x = random_tensor(random, type_at("Clip", "T", version, index), random_shape(random))
    low, high = sorted(random_tensor(random, x.dtype, (2,)), key=float)
    low, high = np.asarray(low, x.dtype), np.asarray(high, x.dtype)
    given = random.integers(4)
    if version < 11:
        attributes = {**({"min": float(low)} if given & 1 else {}), **({"max": float(high)} if given & 2 else {})}
        old = legacy(random, "Clip", version)
        return Case([x], {**attributes, **old}, alike=(11, Case([x, low if given & 1 else None, high if given & 2 else None])))
    if version >= 13 and chance(random, 0.15):  # then everything is set to the largest
        low, high = high, low
    inputs = [x, low if given & 1 else None, high if given & 2 else None]
    return Case(inputs, constants=tuple(i for i in (1, 2) if inputs[i] is not None and chance(random)))
