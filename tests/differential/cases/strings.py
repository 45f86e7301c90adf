"""Strings through the operators that move elements or compare them, in every version whose definition lists strings."""

import types

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.differential.case import Case, chance, operator, pick, random_axis, random_shape
from tests.differential.cases.text import texts


def strings(name, *parameters):
    """Registers cases of an operator's versions in which all the parameters may be strings, as `NAMEOfStrings`."""
    def takes(schema):
        found = {p.name for p in [*schema.inputs, *schema.outputs] if any("string" in t for t in p.types)}
        return found and found.issuperset(parameters)
    versions = sorted({s.since_version for s in onnx.defs.get_all_schemas_with_history()
                       if s.name == name and s.domain == "" and not s.deprecated and takes(s)})
    real = types.SimpleNamespace(name=name, domain="")

    def register(make):
        def graph_case(random, version, index):
            case = make(random, version, index)
            case.output_types = case.output_types or [helper.make_tensor_type_proto(element, None) for element in (
                TensorProto.STRING,) * case.outputs]
            case.graph = case.one_node(real)
            return case
        operator(f"{name}OfStrings", versions=tuple(versions))(graph_case)
        return make
    return register


def some(random, low=0, high=4, empty=0.1):
    return texts(random, random_shape(random, low, high, empty=empty), 5)


def ints(*values, type_=np.int64):
    return np.array(values, type_)


def listed(random, version, since, x, name, values, expected, **attributes):
    """A list that is an attribute before version `since`, and an input from there on."""
    values = [int(v) for v in values]
    if version < since:
        return Case([x], {name: values, **attributes}, expected=lambda x, *_: expected(x))
    return Case([x, ints(*values)], attributes, constants=(1,) if chance(random) else (), expected=lambda x, *_: expected(x))


TYPES_INT = (np.int32, np.int64)

# ------------------------------------------------------------------------------------------------- shapes alone change


@strings("Identity")
def identity(random, version, index):
    return Case([some(random)], expected=lambda x: [x])


@strings("Flatten")
def flatten(random, version, index):
    x = some(random, 1)
    axis = int(random.integers(0, x.ndim + 1))
    return Case([x], {"axis": axis}, expected=lambda x: [x.reshape(int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:])))])


@strings("Reshape")
def reshape(random, version, index):
    x = some(random, 1, empty=0)
    shape = [int(d) for d in random.permutation(x.shape)]
    return Case([x, ints(*shape)], expected=lambda x, _: [x.reshape(shape)])


@strings("Squeeze")
def squeeze(random, version, index):
    x = some(random, 1)
    axis = random_axis(random, x.ndim + 1)
    axis = axis % (x.ndim + 1) if version < 11 else axis
    return listed(random, version, 13, np.expand_dims(x, axis), "axes", [axis], lambda y: [np.squeeze(y, axis)])


@strings("Unsqueeze")
def unsqueeze(random, version, index):
    x = some(random)
    axis = random_axis(random, x.ndim + 1)
    axis = axis % (x.ndim + 1) if version < 11 else axis
    return listed(random, version, 13, x, "axes", [axis], lambda x: [np.expand_dims(x, axis)])


@strings("Shape", "data")
def shape_(random, version, index):
    return Case([some(random)], output_types=[helper.make_tensor_type_proto(TensorProto.INT64, None)],
                expected=lambda x: [ints(*x.shape)])


@strings("Size", "data")
def size(random, version, index):
    return Case([some(random)], output_types=[helper.make_tensor_type_proto(TensorProto.INT64, None)],
                expected=lambda x: [np.array(x.size, np.int64)])


# ------------------------------------------------------------------------------------------------------ elements move

@strings("Transpose")
def transpose(random, version, index):
    x = some(random, 1)
    perm = [int(p) for p in random.permutation(x.ndim)]
    return Case([x], {"perm": perm}, expected=lambda x: [x.transpose(perm)])


@strings("Concat")
def concat(random, version, index):
    x = some(random, 1)
    axis = int(random.integers(0, x.ndim))
    parts = [texts(random, x.shape[:axis] + (int(random.integers(0, 4)),) + x.shape[axis + 1:], 5) for _ in range(2)]
    return Case([x, *parts], {"axis": axis}, expected=lambda *xs: [np.concatenate(xs, axis)])


@strings("Split")
def split(random, version, index):
    axis, sizes = int(random.integers(0, 2)), [int(s) for s in random.integers(0, 4, 3)]
    shape = [3, 3]
    shape[axis] = sum(sizes)
    x = texts(random, tuple(shape), 5)
    case = listed(random, version, 13, x, "split", sizes, lambda x: np.split(x, np.cumsum(sizes)[:-1], axis), axis=axis)
    case.outputs = 3
    return case


@strings("Slice")
def slice_(random, version, index):
    x = some(random, 1)
    axis = int(random.integers(0, x.ndim))
    start, end = (int(v) for v in random.integers(-5, 6, 2))
    step = 1 if version < 10 else int(pick(random, [1, 2, -1, -2]))
    if step < 0 and end < 0:
        end = -1000 if end < -x.shape[axis] else end
    numpy_end = end if not (step < 0 and end < -x.shape[axis]) else None
    first = max(start, -x.shape[axis])  # a start before the first element is the first one
    compute = lambda x, *_: [x[(slice(None),) * axis + (slice(first, numpy_end, step),)]]
    if version < 10:
        return Case([x], {"starts": [start], "ends": [end], "axes": [axis]}, expected=compute)
    return Case([x, ints(start), ints(end), ints(axis), ints(step)], expected=compute)


@strings("Gather")
def gather(random, version, index):
    x = some(random, 1, empty=0)
    axis = int(random.integers(0, x.ndim))
    indices = random.integers(0 if version < 11 else -x.shape[axis], x.shape[axis], random_shape(random, 0, 2))
    return Case([x, indices.astype(pick(random, TYPES_INT))], {"axis": axis},
                expected=lambda x, i: [np.take(x, np.asarray(i), axis)])


@strings("GatherElements")
def gather_elements(random, version, index):
    x = some(random, 1, empty=0)
    axis = int(random.integers(0, x.ndim))
    indices = random.integers(-x.shape[axis], x.shape[axis], x.shape)
    return Case([x, indices], {"axis": axis}, expected=lambda x, i: [np.take_along_axis(x, i % x.shape[axis], axis)])


@strings("GatherND")
def gather_nd(random, version, index):
    x = some(random, 2, empty=0)
    indices = np.stack([random.integers(-x.shape[k], x.shape[k], 4) for k in range(2)], -1)
    return Case([x, indices], expected=lambda x, i: [x[tuple(i.T)]])


@strings("Expand")
def expand(random, version, index):
    x = some(random)
    shape = [int(random.integers(1, 4)) for _ in range(2)] + [int(d) for d in x.shape]
    return Case([x, ints(*shape)], expected=lambda x, _: [np.broadcast_to(x, shape)])


@strings("Tile")
def tile(random, version, index):
    x = some(random, 1)
    repeats = random.integers(0, 4, x.ndim)
    return Case([x, repeats], expected=lambda x, r: [np.tile(x, r)])


@strings("Pad")
def pad(random, version, index):
    x = some(random, 1, empty=0)
    mode = pick(random, ["constant", "edge", "reflect"] + (["wrap"] if version >= 19 else []))
    pads = [random.integers(0, max(1, d), 2) for d in x.shape]
    given = ints(*[p[0] for p in pads], *[p[1] for p in pads])
    value = np.array("pad", dtype=object) if mode == "constant" and chance(random, 0.7) else None
    options = {"constant_values": "pad" if value is not None else ""} if mode == "constant" else {}
    return Case([x, given, value], {"mode": mode}, expected=lambda x, *_: [np.pad(x, pads, mode, **options)])


@strings("DepthToSpace")
def depth_to_space(random, version, index):
    return Case([texts(random, (2, 8, 2, 3), 5)], {"blocksize": 2},
                expected=lambda x: [x.reshape(2, 2, 2, 2, 2, 3).transpose(0, 3, 4, 1, 5, 2).reshape(2, 2, 4, 6)])


@strings("SpaceToDepth")
def space_to_depth(random, version, index):
    return Case([texts(random, (2, 3, 4, 6), 5)], {"blocksize": 2},
                expected=lambda x: [x.reshape(2, 3, 2, 2, 3, 2).transpose(0, 3, 5, 1, 2, 4).reshape(2, 12, 2, 3)])


def scatter_elements(random, version, index):
    x = some(random, 1, empty=0)
    axis = int(random.integers(0, x.ndim))
    order = np.argsort(random.random(x.shape), axis)  # every index once along the axis

    def compute(x, indices, updates):
        y = x.copy()
        np.put_along_axis(y, indices, updates, axis)
        return [y]
    return Case([x, order, texts(random, x.shape, 5)], {"axis": axis}, expected=compute)


strings("Scatter")(scatter_elements)
strings("ScatterElements")(scatter_elements)


@strings("ScatterND")
def scatter_nd(random, version, index):
    x = some(random, 2, 3, empty=0)
    rows = random.permutation(x.shape[0])[:2]

    def compute(x, indices, updates):
        y = x.copy()
        y[indices[:, 0]] = updates
        return [y]
    return Case([x, rows.reshape(-1, 1), texts(random, (rows.size, *x.shape[1:]), 5)], expected=compute)


@strings("Trilu")
def trilu(random, version, index):
    """Empty strings where numbers would be 0."""
    x, k, upper = some(random, 2), int(random.integers(-2, 3)), int(random.integers(0, 2))
    keep = (np.triu if upper else np.tril)(np.ones(x.shape[-2:]), k).astype(bool)
    return Case([x, np.array(k)], {"upper": upper}, expected=lambda x, _: [np.where(keep, x, "")])


@strings("Resize")
def resize(random, version, index):
    x = texts(random, (1, 2, 3, 4), 5)
    scales = np.array([1, 1, 2, 3], np.float32)
    mode = {"mode": "nearest"}
    if version >= 11:
        mode |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    compute = lambda x, *_: [x.repeat(2, 2).repeat(3, 3)]
    return Case([x, scales] if version < 11 else [x, np.zeros(0, np.float32), scales], mode, expected=compute,
                constants=() if version < 11 else (1,))


@strings("Upsample")
def upsample(random, version, index):
    x = texts(random, (1, 2, 3, 4), 5)
    compute = lambda x, *_: [x.repeat(2, 2).repeat(3, 3)]
    if version < 9:
        return Case([x], {"scales": [1.0, 1.0, 2.0, 3.0]}, expected=compute)
    return Case([x, np.array([1, 1, 2, 3], np.float32)], expected=compute)


# ---------------------------------------------------------------------------------------------------------- elements are read

@strings("Where")
def where(random, version, index):
    x = some(random)
    condition = random.random(x.shape) < 0.5
    y = np.array(text_of(random), dtype=object) if chance(random, 0.3) else texts(random, x.shape, 5)
    return Case([condition, x, y], expected=lambda c, x, y: [np.where(c, x, y)])


def text_of(random):
    return str(texts(random, (1,), 5)[0])


@strings("Equal")
def equal(random, version, index):
    x = texts(random, random_shape(random, 0, 3), 2, ["a", "é"])
    y = texts(random, x.shape, 2, ["a", "é"])
    return Case([x, y], output_types=[helper.make_tensor_type_proto(TensorProto.BOOL, None)],
                expected=lambda x, y: [np.equal(x, y).astype(bool)])


@strings("NonZero", "X")
def non_zero(random, version, index):
    x = texts(random, random_shape(random, 1, 3), 1)
    return Case([x], output_types=[helper.make_tensor_type_proto(TensorProto.INT64, None)],
                expected=lambda x: [np.array(np.nonzero(x.astype(str) != ""), np.int64)])


@strings("OneHot")
def one_hot(random, version, index):
    indices, depth = random.integers(-4, 5, random_shape(random, 1, 2)), 4
    values = np.array(["off", "on"], dtype=object)

    def compute(indices, _, values):
        wrapped = np.where((indices < 0) & (version >= 11), indices + depth, indices)
        return [np.where(wrapped[..., None] == np.arange(depth), "on", "off").astype(object)]
    return Case([indices, np.array(depth), values], expected=compute)


@strings("Cast", "input")
def cast(random, version, index):
    x = np.array([pick(random, ["1", "-2.5", "1e3", "inf", "-INF", "NaN", "0"]) for _ in range(4)], dtype=object)
    to = pick(random, [TensorProto.FLOAT, TensorProto.DOUBLE])
    return Case([x], {"to": to}, output_types=[helper.make_tensor_type_proto(to, None)],
                expected=lambda x: [x.astype(helper.tensor_dtype_to_np_dtype(to))])


# ---------------------------------------------------------------------------------------------------------- containers

def sequence_type():
    return helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.STRING, None))


@strings("SequenceConstruct")
def sequence_construct(random, version, index):
    return Case([some(random, 1), some(random, 1)], output_types=[sequence_type()], expected=lambda *xs: [list(xs)])


@strings("SequenceAt")
def sequence_at(random, version, index):
    xs = [some(random, 1) for _ in range(3)]
    return Case([xs, np.array(-1)], expected=lambda xs, _: [xs[-1]])


@strings("SequenceInsert")
def sequence_insert(random, version, index):
    xs = [some(random, 1) for _ in range(3)]
    return Case([xs, some(random, 1), np.array(1)], output_types=[sequence_type()],
                expected=lambda xs, x, _: [[xs[0], x, *xs[1:]]])


@strings("SequenceErase")
def sequence_erase(random, version, index):
    xs = [some(random, 1) for _ in range(3)]
    return Case([xs, np.array(0)], output_types=[sequence_type()], expected=lambda xs, _: [xs[1:]])


@strings("SplitToSequence")
def split_to_sequence(random, version, index):
    x = texts(random, (5, 2), 5)
    return Case([x, np.array(2)], output_types=[sequence_type()], expected=lambda x, _: [[x[:2], x[2:4], x[4:]]])


@strings("ConcatFromSequence")
def concat_from_sequence(random, version, index):
    xs = [texts(random, (int(random.integers(0, 3)), 2), 5) for _ in range(3)]
    return Case([xs], {"axis": 0}, expected=lambda xs: [np.concatenate(xs)])
