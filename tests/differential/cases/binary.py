"""Operators of two or more inputs that broadcast."""

import functools

import numpy as np
import onnx

from tests.differential.case import (Case, chance, is_float, legacy, newer, operator, pick, random_broadcast, random_shape,
                                     random_tensor, some_constants, type_at, types_of)

covered = functools.partial(operator, late=True, tolerance="rtol=2e-5 atol=2e-6")


def operands(random, version, type_a, type_b, low=-4, high=4):
    """Both broadcast; before version 7 neither does."""
    shape = random_shape(random)
    shapes = [shape if version < 7 else random_broadcast(random, shape) for _ in range(2)]
    return [random_tensor(random, type_a, shapes[0], low, high), random_tensor(random, type_b, shapes[1], low, high)]


def limited(random, name, version, a, make_b):
    """Before version 7 the second operand broadcasts on demand, at `axis`; how version 7 writes it is the like case."""
    attributes = legacy(random, name, version, 2)
    b = like = make_b(a.shape)
    if chance(random, 0.7):
        attributes["broadcast"] = 1
        first = int(random.integers(0, a.ndim + 1))
        count = int(random.integers(0, a.ndim - first + 1))
        part = a.shape[first:first + count]
        b = make_b(part)
        like = b.reshape(part + (1,) * (a.ndim - first - count))
        if first + count != a.ndim or chance(random):
            if count:
                attributes["axis"] = first
        if not count:
            b = b.reshape((1,) * random.integers(0, min(a.ndim, 1) + 1))
            like = b
    return Case([a, b], attributes, alike=(7, Case([a, like])))


def constants_of(random, inputs):
    chosen = some_constants(random, range(len(inputs)))
    return chosen[1:] if len(chosen) == len(inputs) else chosen


def without_zeros(x):
    return np.where(x == 0, np.asarray(1, x.dtype), x).astype(x.dtype)


def truncated(a, b):
    """Integers: rounded toward zero; the reference rounds down."""
    wide = np.trunc(a.astype(np.float64) / b.astype(np.float64))
    return [np.asarray(wide).astype(a.dtype)]


def binary(name, random, version, index):
    parameter = onnx.defs.get_schema(name, version).inputs[0].type_str
    type_ = type_at(name, parameter, version, index)
    small = name == "Pow"
    a, b = operands(random, version, type_, type_, 0 if small else -4)
    fix = without_zeros if name == "Div" else (lambda x: x)
    if version < 7:
        case = limited(random, name, version, a,
                       lambda shape: fix(random_tensor(random, type_, shape, 0 if small else -4, 4)))
        if name == "Div" and not is_float(type_):
            like = case.alike[1].inputs[1]
            case.expected = lambda a, _: truncated(a, like)
        return case
    b = fix(b)
    own = truncated if name == "Div" and not is_float(type_) else None
    return Case([a, b], constants=constants_of(random, [a, b]), expected=own)


for name in ("Add", "Sub", "Mul", "Div", "And", "Or", "Xor", "Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual",
             "BitwiseAnd", "BitwiseOr", "BitwiseXor"):
    covered(name)(functools.partial(binary, name))


@covered("Pow")
def power(random, version, index):
    """Types of base and exponent differ from version 12 on; negative bases have whole exponents."""
    if version < 12:
        return binary("Pow", random, version, index)
    bases, exponents = types_of("Pow", "T", version), types_of("Pow", "T1", version)
    base, exponent = np.dtype(bases[index % len(bases)]), np.dtype(pick(random, exponents))
    a, b = operands(random, version, base, exponent, 0, 4)
    if not is_float(exponent):
        a = random_tensor(random, base, a.shape, -4, 4)
    return Case([a, b], constants=constants_of(random, [a, b]),
                expected=lambda a, b: [np.asarray(np.power(a.astype(np.float64), b.astype(np.float64))).astype(base)])


@covered("Mod")
def mod(random, version, index):
    type_ = type_at("Mod", "T", version, index)
    a, b = operands(random, version, type_, type_, -9, 9)
    b = without_zeros(b)
    fmod = 1 if is_float(type_) and version < 28 else int(random.integers(2))
    own = None
    if is_float(type_) and not fmod:  # before 28 only integers had it, and not every oracle has taken it up
        def own(a, b):
            return [np.asarray(np.mod(a.astype(np.float64), b.astype(np.float64))).astype(type_)]
    return Case([a, b], {"fmod": fmod} if fmod or chance(random) else {}, constants=constants_of(random, [a, b]), expected=own)


@covered("BitShift")
def bit_shift(random, version, index):
    """Before version 28 amounts are within the width; from then on any amount is defined, of signed numbers too."""
    type_ = type_at("BitShift", "T", version, index)
    bits = type_.itemsize * 8
    a, b = operands(random, version, type_, type_)
    a = random_tensor(random, type_, a.shape, -100, 100)
    b = random_tensor(random, type_, b.shape, 0, bits - 1) if version < 28 else random_tensor(random, type_, b.shape, -3, bits + 3)
    direction = ("LEFT", "RIGHT")[random.integers(2)]

    def shifted(value, amount):
        outside = amount < 0 or amount >= bits
        if direction == "RIGHT":
            return (-1 if value < 0 else 0) if outside else value >> amount
        moved = 0 if outside else (value << amount) % (1 << bits)
        return moved - (1 << bits) if type_.kind == "i" and moved >> (bits - 1) else moved

    def own(a, b):
        wide = np.frompyfunc(lambda x, y: shifted(int(x), int(y)), 2, 1)(a, b)
        return [np.asarray(wide).astype(type_)]
    return Case([a, b], {"direction": direction}, expected=own)


@covered("PRelu")
def prelu(random, version, index):
    type_ = type_at("PRelu", "T", version, index)
    x = random_tensor(random, type_, random_shape(random, 2, 4))
    old = legacy(random, "PRelu", version)
    if version < 7:
        slope = random_tensor(random, type_, (x.shape[1] if chance(random, 0.7) else 1,))
        return Case([x, slope], old, alike=(7, Case([x, slope.reshape((-1,) + (1,) * (x.ndim - 2)) if slope.size else
                                                    slope.reshape((0,) + (1,) * (x.ndim - 2))])))
    slope = random_tensor(random, type_, random_broadcast(random, x.shape))
    return Case([x, slope], constants=some_constants(random, (1,)))


def variadic(name, random, version, index):
    type_ = type_at(name, "T", version, index)
    shape = random_shape(random)
    count = int(random.integers(1, 5))
    inputs = [random_tensor(random, type_, shape if version < 8 else random_broadcast(random, shape)) for _ in range(count)]
    old = legacy(random, name, version, count)
    if name == "Mean":  # which the reference adds up in place, so that only the first input may be the largest
        def mean(*inputs):
            wide = sum(x.astype(np.float64) for x in inputs) / count
            return [np.asarray(wide).astype(type_)]
        return Case(inputs, old, constants=constants_of(random, inputs), expected=mean)
    return Case(inputs, old, constants=constants_of(random, inputs), alike=(newer(name, version), Case(inputs)) if old else None)


for name in ("Max", "Min", "Sum", "Mean"):
    covered(name)(functools.partial(variadic, name))


@covered("Where")
def where(random, version, index):
    type_ = type_at("Where", "T", version, index)
    shape = random_shape(random)
    x, y = (random_tensor(random, type_, random_broadcast(random, shape)) for _ in range(2))
    condition = random_tensor(random, np.bool_, random_broadcast(random, shape))
    return Case([condition, x, y], constants=constants_of(random, [condition, x, y]))
