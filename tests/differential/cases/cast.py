"""Cast, CastLike, BitCast: from every type to every type."""

import functools

import ml_dtypes
import numpy as np
from onnx import TensorProto, helper

from tests.differential.case import Case, chance, element_type, operator, random_shape, random_tensor, sprinkle, types_of

covered = functools.partial(operator, late=True, tolerance="rtol=2e-6 atol=0")
SATURATING = {np.dtype(ml_dtypes.float8_e4m3fn), np.dtype(ml_dtypes.float8_e4m3fnuz), np.dtype(ml_dtypes.float8_e5m2),
              np.dtype(ml_dtypes.float8_e5m2fnuz)}
WIDE = {np.dtype(type_) for type_ in (np.float16, np.float32, np.float64, ml_dtypes.bfloat16)}
ONE_BYTE = SATURATING | {np.dtype(ml_dtypes.float8_e8m0fnu)}
SMALL_FLOATS = {np.dtype(ml_dtypes.float4_e2m1fn), np.dtype(ml_dtypes.float6_e2m3fn), np.dtype(ml_dtypes.float6_e3m2fn)}


def kind_of(type_):
    """b, f (of any width), c, s, or i with signs and u without."""
    if type_.kind in "USO":
        return "s"
    if type_.kind in "bfciu":
        return type_.kind
    if type_ in WIDE | ONE_BYTE | SMALL_FLOATS:
        return "f"
    return "u" if type_ in (ml_dtypes.uint4, ml_dtypes.uint2) else "i"


def range_of(type_):
    """Numbers that survive the conversion to an integer type."""
    kind = kind_of(type_)
    if type_ in (ml_dtypes.int2, ml_dtypes.uint2):
        return (-2, 1) if kind == "i" else (0, 3)
    return {"i": (-8, 7), "u": (0, 15)}.get(kind, (-20, 20))


def source(random, from_, to, shape):
    """Values whose conversion is defined: within the range of an integer, texts of numbers for numbers."""
    low, high = range_of(to)
    kind = kind_of(to)
    if kind_of(from_) == "s":
        if kind == "f":
            words = ["1.5", "-2.25", "3", "1e1", "-.5", "NaN", "INF", "-INF", "+inf", "0"] if to in WIDE else ["1.5", "2", "0.5"]
        else:
            words = ["0", "1", "3"] if kind == "u" else ["0", "1", "-1", "-2"]
        return np.asarray(np.array(words, dtype=object)[random.integers(len(words), size=shape)], dtype=object)
    if kind == "s":  # whose digits every oracle writes alike
        whole = random_tensor(random, np.int64, shape, 0 if kind_of(from_) == "u" or from_ == ml_dtypes.float8_e8m0fnu else -2, 1)
        return np.asarray(whole + 0.5 if kind_of(from_) == "f" else whole).astype(from_)
    if to == ml_dtypes.float8_e8m0fnu:  # what negative numbers become is unspecified
        x = random_tensor(random, from_, shape, 0, min(7, range_of(from_)[1]))
        return sprinkle(random, x, (np.nan, np.inf, 0.0)) if from_ in WIDE else x
    x = random_tensor(random, from_, shape, max(low, range_of(from_)[0]), min(high, range_of(from_)[1]))
    return sprinkle(random, x) if kind in "fb" and from_ in WIDE and to in WIDE | SATURATING else x


def converted(to, attributes):
    def compute(x, *_):
        return [convert(x, to, attributes)]
    return compute


def convert(x, to, attributes):
    """By ml_dtypes, with the tables of the definition for what lies beyond the largest float8."""
    kind, from_ = kind_of(to), kind_of(x.dtype)
    if kind == "s":
        return np.asarray([text(value) for value in x.ravel()], dtype=object).reshape(x.shape)
    if from_ == "s":
        wide = x.astype(np.float64)
        return wide.astype(to)
    if kind == "b":
        return np.asarray(x.astype(np.float64) != 0)
    if to == ml_dtypes.float8_e8m0fnu:
        powers = [power_of_two(value, attributes) for value in x.astype(np.float64).ravel()]
        return np.asarray(powers).reshape(x.shape).astype(to)
    wide = x if x.dtype.kind == "c" else x.astype(np.float64)
    if kind in "iu":
        return np.asarray(np.trunc(wide)).astype(np.int64).astype(to)
    if to in SATURATING and attributes.get("saturate", 1):
        most = float(ml_dtypes.finfo(to).max)
        wide = np.clip(wide, -most, most)
    if to in SMALL_FLOATS:
        most = float(ml_dtypes.finfo(to).max)
        wide = np.clip(wide, -most, most)
    return np.asarray(wide).astype(to)


def power_of_two(x, attributes):
    """What a number becomes in float8e8m0, by the table of the definition and its words on round_mode."""
    least, most = 2.0 ** -127, 2.0 ** 127
    if np.isnan(x):
        return x
    if x < least or x > most:
        return (least if x < least else most) if attributes.get("saturate", 1) else np.nan
    below = 2.0 ** np.floor(np.log2(x))
    mode = attributes.get("round_mode", "up")
    up = x > below if mode == "up" else mode == "nearest" and x >= 1.5 * below
    return 2 * below if up else below


def text(value):
    if isinstance(value, (str, np.str_)):
        return str(value)
    value = float(value)
    return str(int(value)) if value == int(value) else str(value)


def pairs(name, version):
    return [(np.dtype(a), np.dtype(b)) for a in types_of(name, "T1", version) for b in types_of(name, "T2", version)
            if not (kind_of(np.dtype(a)) == "s") & (kind_of(np.dtype(b)) == "b")
            and not (kind_of(np.dtype(a)) == "b") & (kind_of(np.dtype(b)) == "s")
            and (kind_of(np.dtype(a)) == "c") <= (kind_of(np.dtype(b)) == "c")]


def pick_pair(name, version, index):
    """Steps of a prime go through all pairs, whatever their number, far apart from one case to the next."""
    known = pairs(name, version)
    return known[index * 211 % len(known)]


def options(random, version, to):
    attributes = {}
    if version >= 19 and to in ONE_BYTE and chance(random):
        attributes["saturate"] = int(random.integers(2))
    if version >= 24 and to == ml_dtypes.float8_e8m0fnu and chance(random):
        attributes["round_mode"] = ("up", "down", "nearest")[random.integers(3)]
    return attributes


@covered("Cast")
def cast(random, version, index):
    from_, to = pick_pair("Cast", version, index)
    x = source(random, from_, to, random_shape(random))
    number = element_type(np.empty(0, to)) if kind_of(to) != "s" else TensorProto.STRING
    attributes = options(random, version, to)
    name = {"to": TensorProto.DataType.Name(number)} if version == 1 else {"to": number}
    return Case([x], {**name, **attributes}, expected=converted(to, attributes),
                output_types=[helper.make_tensor_type_proto(number, None)])


@covered("CastLike")
def cast_like(random, version, index):
    from_, to = pick_pair("CastLike", version, index)
    x = source(random, from_, to, random_shape(random))
    like = random_tensor(random, to, random_shape(random))
    attributes = options(random, version, to)
    return Case([x, like], attributes, expected=converted(to, attributes), constants=(1,) if chance(random) else ())


@covered("BitCast")
def bit_cast(random, version, index):
    """Bits of numbers that are no NaN in either type, since a copy need not keep which NaN it is."""
    types = [np.dtype(type_) for type_ in types_of("BitCast", "T1", version)]
    types = [type_ for type_ in types if kind_of(type_) not in "bs"]
    sizes = {"int4": 4, "uint4": 4, "float4_e2m1fn": 4, "int2": 2, "uint2": 2}
    from_ = types[index % len(types)]
    others = [type_ for type_ in types if sizes.get(str(type_), 8 * type_.itemsize) == sizes.get(str(from_), 8 * from_.itemsize)]
    to = others[random.integers(len(others))]
    x = random_tensor(random, from_, random_shape(random))

    def own(x):
        return [np.ascontiguousarray(x).view(to).reshape(x.shape)]
    return Case([x], {"to": element_type(np.empty(0, to))}, expected=own,
                output_types=[helper.make_tensor_type_proto(element_type(np.empty(0, to)), None)])
