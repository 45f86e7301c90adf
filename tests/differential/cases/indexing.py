"""Operators that find elements, or place them, by indices."""

import functools

import numpy as np
from onnx import helper

from tests.differential.case import (Case, axis_of, chance, element_type, is_float, operator, pick, random_shape,
                                     random_tensor, some_constants, type_at, types_of)

covered = functools.partial(operator, late=True)


def indices_below(random, size, shape, version, type_=None):
    """Negative ones count from the end since version 11."""
    low = -size if version >= 11 else 0
    return np.asarray(random.integers(low, size, size=shape)).astype(type_ or pick(random, (np.int32, np.int64)))


@covered("Gather")
def gather(random, version, index):
    x = random_tensor(random, type_at("Gather", "T", version, index), random_shape(random, 1, 4, empty=0))
    axis = axis_of(random, version, x.ndim)
    indices = indices_below(random, x.shape[axis], random_shape(random, 0, 3), version)
    own = None
    if x.dtype == object:  # of which onnxruntime leaves some empty
        def own(x, indices):
            return [np.take(x, indices, axis=axis)]
    return Case([x, indices], {} if axis == 0 and chance(random) else {"axis": axis}, constants=(1,) if chance(random) else (),
                expected=own)


@covered("GatherElements")
def gather_elements(random, version, index):
    x = random_tensor(random, type_at("GatherElements", "T", version, index), random_shape(random, 1, 4, empty=0))
    axis = axis_of(random, version, x.ndim)
    shape = [int(random.integers(1, size + 1)) for size in x.shape]
    shape[axis] = int(random.integers(0 if chance(random, 0.1) else 1, 7))
    indices = indices_below(random, x.shape[axis], tuple(shape), version)
    at = tuple(np.arange(size).reshape([-1 if i == k else 1 for i in range(x.ndim)]) for k, size in enumerate(shape))

    def own(x, indices):  # the reference takes NumPy's rule, by which the other sizes have to be those of the data
        place = list(at)
        place[axis] = np.where(indices < 0, indices + x.shape[axis], indices)
        return [x[tuple(np.broadcast_arrays(*place))]]
    return Case([x, indices], {"axis": axis}, constants=(1,) if chance(random) else (), expected=own)


def index_rows(random, shape, batch, outer, depth):
    """Indices of `depth` dimensions after `batch`."""
    columns = [random.integers(-size, size, size=outer) for size in shape[batch:batch + depth]]
    return np.stack(columns, axis=-1).astype(np.int64)


@covered("GatherND")
def gather_nd(random, version, index):
    x = random_tensor(random, type_at("GatherND", "T", version, index), random_shape(random, 1, 4, empty=0))
    batch = int(random.integers(0, x.ndim)) if version >= 12 and chance(random) else 0
    depth = int(random.integers(1, x.ndim - batch + 1))
    outer = x.shape[:batch] + random_shape(random, 0 if batch else 1, 2, empty=0)
    indices = index_rows(random, x.shape, batch, outer, depth)
    return Case([x, indices], {"batch_dims": batch} if batch else {}, constants=(1,) if chance(random) else ())


def placed_apart(random, size, count):
    """Indices that differ, since equal ones are placed in no order."""
    return random.permutation(size)[:count] - (size if chance(random, 0.3) else 0)


def scatter_elements(name, random, version, index):
    x = random_tensor(random, type_at(name, "T", version, index), random_shape(random, 1, 4, empty=0))
    axis = axis_of(random, version, x.ndim)
    reductions = ["none"]
    if version >= 16 and x.dtype.kind in "iuf" and x.dtype.type.__module__ == "numpy":
        reductions += ["add", "mul"] + (["max", "min"] if version >= 18 else [])
    reduction = pick(random, reductions)
    shape = [int(random.integers(1, size + 1)) for size in x.shape]
    if reduction == "none":
        rows = [placed_apart(random, x.shape[axis], shape[axis]) for _ in range(int(np.prod(shape)) // shape[axis])]
        indices = np.moveaxis(np.array(rows).reshape([s for i, s in enumerate(shape) if i != axis % x.ndim] + [shape[axis]]), -1, axis)
        if version < 11:
            indices = indices % x.shape[axis]
    else:
        indices = random.integers(-x.shape[axis], x.shape[axis], size=shape)
    indices = np.ascontiguousarray(indices).astype((np.int32, np.int64)[random.integers(2)])
    updates = random_tensor(random, x.dtype, tuple(shape))
    attributes = {"axis": axis, **({"reduction": reduction} if reduction != "none" or version >= 16 and chance(random) else {})}
    combine = {"none": lambda old, new: new, "add": lambda old, new: old + new, "mul": lambda old, new: old * new,
               "max": max, "min": min}[reduction]

    def own(x, indices, updates):  # of all types and versions, which no oracle has
        y = x.copy()
        for at in np.ndindex(*indices.shape):
            to = list(at)
            to[axis] = int(indices[at])
            with np.errstate(over="ignore"):
                y[tuple(to)] = combine(y[tuple(to)], updates[at])
        return [y]
    return Case([x, indices, updates], attributes, constants=some_constants(random, (1, 2)),
                expected=own if reduction == "none" or index % 2 else None)


covered("Scatter", versions=(9, 11))(functools.partial(scatter_elements, "Scatter"))
covered("ScatterElements")(functools.partial(scatter_elements, "ScatterElements"))


@covered("ScatterND")
def scatter_nd(random, version, index):
    x = random_tensor(random, type_at("ScatterND", "T", version, index), random_shape(random, 1, 4, empty=0))
    depth = int(random.integers(1, x.ndim + 1))
    places = int(np.prod(x.shape[:depth]))
    reductions = ["none"]
    if version >= 16 and x.dtype.kind in "iuf" and x.dtype.type.__module__ == "numpy":
        reductions += ["add", "mul"] + (["max", "min"] if version >= 18 else [])
    reduction = pick(random, reductions)
    count = int(random.integers(1, places + 1))
    flat = random.permutation(places)[:count] if reduction == "none" else random.integers(places, size=count)
    indices = np.stack(np.unravel_index(flat, x.shape[:depth]), axis=-1).astype(np.int64)
    indices = np.where(random.integers(2, size=indices.shape) == 1, indices - np.array(x.shape[:depth]), indices)
    outer = (1, count) if chance(random, 0.3) else (count,)
    indices = indices.reshape(outer + (depth,))
    updates = random_tensor(random, x.dtype, outer + x.shape[depth:])
    return Case([x, indices, updates], {"reduction": reduction} if reduction != "none" else {},
                constants=some_constants(random, (1, 2)))


@covered("OneHot")
def one_hot(random, version, index):
    indices_types, depth_types = types_of("OneHot", "T1", version), types_of("OneHot", "T2", version)
    depth = int(random.integers(1, 6))
    type_ = np.dtype(indices_types[index * 5 % len(indices_types)])
    low = 0 if type_.kind == "u" or version < 11 else -depth - 2
    indices = np.asarray(random.integers(low, depth + 3, size=random_shape(random, 0, 3))).astype(type_)
    size = np.array([depth] if chance(random) else depth, depth_types[index * 7 % len(depth_types)])
    values = random_tensor(random, type_at("OneHot", "T3", version, index), (2,))
    axis = int(random.integers(-indices.ndim - 1, indices.ndim + 1))
    if version < 11 and axis < -1:
        axis += indices.ndim + 1

    def own(indices, _, values):
        whole = indices.astype(np.int64)
        whole = np.where((whole < 0) & (whole >= -depth) & (version >= 11), whole + depth, whole)
        hot = np.expand_dims(whole, axis) == np.arange(depth).reshape(
            [-1 if i == axis % (indices.ndim + 1) else 1 for i in range(indices.ndim + 1)])
        return [np.where(hot, values[1], values[0]).astype(values.dtype)]
    return Case([indices, size, values], {} if axis == -1 and chance(random) else {"axis": axis},
                constants=some_constants(random, (1, 2)), expected=own)


@covered("NonZero")
def non_zero(random, version, index):
    """A scalar has one index of no dimension, or one of one: the oracles differ, so there is none here."""
    type_ = type_at("NonZero", "T", version, index)
    x = random_tensor(random, type_, random_shape(random, 1, 4), -1, 1)
    if is_float(type_) or x.dtype.kind == "c":
        x = np.where(random.integers(3, size=x.shape) == 0, np.asarray(0, type_), x).astype(type_)
    own = None
    if x.dtype == object:  # a text is zero when it is empty
        def own(x):
            return [np.array(np.nonzero(x != ""), np.int64)]
    return Case([x], expected=own)


@covered("TopK")
def top_k(random, version, index):
    """Ties go to the lower index. What sorted = 0 gives is put in order by a second node."""
    x = random_tensor(random, type_at("TopK", "T", version, index), random_shape(random, 1, 4, empty=0))
    axis = axis_of(random, version, x.ndim)
    k = int(random.integers(0 if version >= 10 and chance(random, 0.1) else 1, x.shape[axis] + 1))
    attributes = {} if axis == -1 and chance(random) else {"axis": axis}
    if version == 1:
        return Case([x], {**attributes, "k": k}, outputs=2)
    inputs = [x, np.array([k], np.int64)]
    if version >= 11:
        attributes.update({"largest": int(random.integers(2))} if chance(random, 0.7) else {})
        if chance(random, 0.2):
            return unsorted_top_k(inputs, attributes)
        attributes.update({"sorted": 1} if chance(random) else {})
    return Case(inputs, attributes, outputs=2, constants=(1,) if chance(random) else ())


def unsorted_top_k(inputs, attributes):
    x, k = inputs
    type_ = element_type(x)
    nodes = [helper.make_node("TopK", ["x0", "x1"], ["some", ""], sorted=0, **attributes),
             helper.make_node("TopK", ["some", "x1"], ["y0", ""], **attributes)]
    graph = helper.make_graph(nodes, "case", [helper.make_tensor_value_info("x0", type_, x.shape),
                                              helper.make_tensor_value_info("x1", element_type(k), [1])],
                              [helper.make_tensor_value_info("y0", type_, None)])
    largest, axis = attributes.get("largest", 1), attributes.get("axis", -1)

    def own(x, k):
        wide = x.astype(np.float64)
        ordered = np.sort(-wide if largest else wide, axis=axis)
        taken = np.take(ordered, range(int(k[0])), axis=axis)
        return [(-taken if largest else taken).astype(x.dtype)]
    return Case(inputs, graph=graph, expected=own)


def extremum(name, random, version, index):
    x = random_tensor(random, type_at(name, "T", version, index), random_shape(random, 1, 4, empty=0))
    axis = axis_of(random, version, x.ndim)
    attributes = {"axis": axis} if axis or chance(random) else {}
    if chance(random, 0.7):
        attributes["keepdims"] = int(random.integers(2))
    if version >= 12 and chance(random):
        attributes["select_last_index"] = int(random.integers(2))
    return Case([x], attributes)


for name in ("ArgMax", "ArgMin"):
    covered(name)(functools.partial(extremum, name))
