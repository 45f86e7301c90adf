"""Sequences and optionals; operators on sequences within tensors; Compress and Unique."""

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.differential.case import (Case, chance, element_type, operator, pick, random_axis, random_shape, random_tensor,
                                     type_of, types_of)


def sequence_types(name, parameter, version):
    """Element types of a constraint that lists sequences."""
    schema = onnx.defs.get_schema(name, version, "")
    constraint = next(c for c in schema.type_constraints if c.type_param_str == parameter)
    known = {"float": np.float32, "double": np.float64, "bool": np.bool_, "string": np.str_,
             "bfloat16": ml_dtypes.bfloat16}
    names = sorted(text[len("seq(tensor("):-2] for text in constraint.allowed_type_strs if text.startswith("seq(tensor("))
    return [known.get(name) or getattr(np, name) for name in names]


def random_list(random, type_, least=1):
    rank = int(random.integers(1, 4))
    return [random_tensor(random, type_, random_shape(random, rank, rank, 4)) for _ in range(random.integers(least, 5))]


def position(random, count, index):
    return np.array(random.integers(-count, count), np.int64 if index % 2 else np.int32)


@operator("ReverseSequence")
def reverse_sequence(random, version, index):
    types = types_of("ReverseSequence", "T", version)
    shape = random_shape(random, 2, 4, empty=0)
    time_axis = int(random.integers(2))
    lengths = random.integers(1, shape[time_axis] + 1, shape[1 - time_axis]).astype(np.int64)
    attributes = {"time_axis": time_axis, "batch_axis": 1 - time_axis}
    if time_axis == 0 and chance(random):
        attributes = {}
    x = random_tensor(random, types[index % len(types)], shape)
    turned = np.moveaxis(x, (1 - time_axis, time_axis), (0, 1)).copy()
    for sample, length in zip(turned, lengths):
        sample[:length] = sample[:length][::-1].copy()
    result = np.moveaxis(turned, (0, 1), (1 - time_axis, time_axis))
    return Case([x, lengths], attributes, expected=lambda *_: [result])


@operator("TensorScatter")
def tensor_scatter(random, version, index):
    types = types_of("TensorScatter", "T", version)
    type_ = types[index % len(types)]
    shape = list(random_shape(random, 2, 4, empty=0))
    axis = int(random.integers(1, len(shape)))
    shape[axis] = int(random.integers(1, 7))
    update = list(shape)
    update[axis] = int(random.integers(1, shape[axis] + 1))
    circular = chance(random)
    most = 3 * shape[axis] if circular else shape[axis] - update[axis]
    starts = random.integers(0, most + 1, shape[0]).astype(np.int64) if chance(random, 0.8) else None
    attributes = {"axis": axis - len(shape) if chance(random) else axis, "mode": "circular" if circular else "linear"}
    past, new = (random_tensor(random, type_, tuple(s)) for s in (shape, update))
    inputs = [past, new] + ([starts] if starts is not None else [])
    return Case(inputs, attributes)


@operator("Compress")
def compress(random, version, index):
    types = types_of("Compress", "T", version)
    x = random_tensor(random, types[index % len(types)], random_shape(random, 1, 4, empty=0))
    attributes, size = {}, x.size
    if chance(random, 0.7):
        axis = int(random.integers(-x.ndim if version >= 11 else 0, x.ndim))
        attributes, size = {"axis": axis}, x.shape[axis]
    condition = random.integers(2, size=random.integers(0, size + 1)).astype(np.bool_)
    constants = (1,) if chance(random) else ()
    return Case([x, condition], attributes, constants=constants,
                expected=lambda x, c: [np.compress(c, x, axis=attributes.get("axis"))])


def unique_once(axis, sorted_):
    """onnxruntime knows five types; the reference forgets `sorted` where there is one output, and takes axis 0 for all."""
    def compute(x):
        items = x.reshape(-1) if axis is None else np.moveaxis(x, axis, 0)
        keys = [tuple(np.asarray(item).ravel().tolist()) for item in items]
        first = {}
        for i, key in enumerate(keys):
            first.setdefault(key, i)
        order = sorted(first, key=lambda key: [(v.real, v.imag) if isinstance(v, complex) else v for v in key])
        order = order if sorted_ else list(first)
        rank = {key: i for i, key in enumerate(order)}
        y = np.stack([items[first[key]] for key in order]) if order else items[:0]
        lists = [[first[key] for key in order], [rank[key] for key in keys], [keys.count(key) for key in order]]
        return [y if axis is None else np.moveaxis(y, 0, axis), *(np.array(v, np.int64) for v in lists)]
    return compute


@operator("Unique")
def unique(random, version, index):
    types = types_of("Unique", "T", version)
    x = random_tensor(random, types[index % len(types)], random_shape(random, 1, 3, 5, empty=0), -1, 1)
    if x.dtype.kind in "fc":
        x = np.round(x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)).astype(x.dtype) + x.dtype.type(0)
    axis = random_axis(random, x.ndim) if chance(random) else None
    sorted_ = int(random.integers(2))
    attributes = {"sorted": sorted_} if not sorted_ or chance(random) else {}
    if axis is not None:
        attributes["axis"] = axis
    return Case([x], attributes, outputs=4, expected=unique_once(axis, sorted_))


# ------------------------------------------------------------------------------------------------------------ sequences

@operator("SequenceConstruct")
def sequence_construct(random, version, index):
    types = types_of("SequenceConstruct", "T", version)
    tensors = random_list(random, types[index % len(types)])
    return Case(tensors, expected=lambda *inputs: [list(inputs)])


@operator("SequenceInsert")
def sequence_insert(random, version, index):
    types = sequence_types("SequenceInsert", "S", version)
    type_ = types[index % len(types)]
    tensors, new = random_list(random, type_), random_tensor(random, type_, random_shape(random))
    at = position(random, len(tensors), index) if chance(random, 0.7) else None

    def insert(*_):
        result = list(tensors)
        result.insert(len(result) if at is None else int(at), new)
        return [result]
    return Case([tensors, new] + ([at] if at is not None else []), expected=insert)


@operator("SequenceAt")
def sequence_at(random, version, index):
    types = sequence_types("SequenceAt", "S", version)
    tensors = random_list(random, types[index % len(types)])
    at = position(random, len(tensors), index)
    return Case([tensors, at], expected=lambda *_: [tensors[int(at)]])


@operator("SequenceErase")
def sequence_erase(random, version, index):
    types = sequence_types("SequenceErase", "S", version)
    tensors = random_list(random, types[index % len(types)], 2)
    at = position(random, len(tensors), index) if chance(random, 0.7) else None

    def erase(*_):
        result = list(tensors)
        del result[-1 if at is None else int(at)]
        return [result]
    return Case([tensors] + ([at] if at is not None else []), expected=erase)


@operator("SequenceLength")
def sequence_length(random, version, index):
    types = sequence_types("SequenceLength", "S", version)
    tensors = random_list(random, types[index % len(types)])
    return Case([tensors], expected=lambda *_: [np.array(len(tensors), np.int64)])


@operator("SplitToSequence")
def split_to_sequence(random, version, index):
    types = types_of("SplitToSequence", "T", version)
    x = random_tensor(random, types[index % len(types)], random_shape(random, 1, 3, empty=0))
    axis = random_axis(random, x.ndim)
    size = x.shape[axis]
    kind = index % 3
    split = np.array(random.integers(1, size + 1), np.int32 if chance(random) else np.int64) if kind == 1 else None
    if kind == 2:
        cuts = sorted(random.integers(0, size + 1, random.integers(1, 4)))
        split = np.diff([0, *cuts, size]).astype(np.int64)
    keepdims = int(random.integers(2))

    def parts(*_):
        if split is None:
            pieces = np.split(x, size, axis)
            return [pieces if keepdims else [np.squeeze(piece, axis) for piece in pieces]]
        ends = np.arange(int(split), size, int(split)) if split.ndim == 0 else np.cumsum(split)[:-1]
        return [np.split(x, ends, axis)]
    return Case([x] + ([split] if split is not None else []), {"axis": axis, "keepdims": keepdims}, expected=parts)


@operator("ConcatFromSequence")
def concat_from_sequence(random, version, index):
    types = sequence_types("ConcatFromSequence", "S", version)
    type_, shape = types[index % len(types)], list(random_shape(random, 1, 3, 4, empty=0))
    axis, new_axis = random_axis(random, len(shape)), int(random.integers(2))
    tensors = []
    for _ in range(random.integers(1, 5)):
        if not new_axis:
            shape[axis] = int(random.integers(0, 5))
        tensors.append(random_tensor(random, type_, tuple(shape)))
    join = np.stack if new_axis else np.concatenate
    return Case([tensors], {"axis": axis, "new_axis": new_axis}, expected=lambda *_: [join(tensors, axis)])


# ------------------------------------------------------------------------------------------------------------ optionals

def through_optional(name, random, version, index, outputs):
    """Optional, then what asks it, in one graph; of a tensor or a sequence."""
    types = types_of("Optional", "V", version if version in (15, 28) else 15)
    type_ = types[index % len(types)]
    x = random_list(random, type_) if index % 2 else random_tensor(random, type_, random_shape(random))
    nodes = [helper.make_node("Optional", ["x0"], ["option"]), helper.make_node(name, ["option"], ["y0"])]
    graph = helper.make_graph(nodes, "case", [helper.make_value_info("x0", type_of(x))],
                              [helper.make_value_info("y0", outputs(x))])
    return x, graph


@operator("OptionalGetElement")
def optional_get_element(random, version, index):
    def output(x):
        bare = lambda t: helper.make_tensor_type_proto(element_type(t), None)  # noqa: E731
        return helper.make_sequence_type_proto(bare(x[0])) if isinstance(x, list) else bare(x)
    x, graph = through_optional("OptionalGetElement", random, version, index, output)
    return Case([x], graph=graph, output_types=[None], expected=lambda *_: [x])


@operator("OptionalHasElement")
def optional_has_element(random, version, index):
    x, graph = through_optional("OptionalHasElement", random, version, index,
                                lambda _: helper.make_tensor_type_proto(TensorProto.BOOL, []))
    return Case([x], graph=graph, output_types=[None], expected=lambda *_: [np.array(True)])


@operator("SequenceMap")
def sequence_map(random, version, index):
    """A second sequence or a tensor that the body sees whole."""
    type_ = pick(random, (np.float32, np.int64, np.float64))
    tensors = random_list(random, type_)
    whole = random_tensor(random, type_, ())
    element = helper.make_tensor_type_proto(element_type(whole), None)
    others = [random_tensor(random, type_, t.shape) for t in tensors] if index % 2 else whole
    body = helper.make_graph([helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Neg", ["a"], ["minus"])],
                             "body", [helper.make_value_info(n, element) for n in ("a", "b")],
                             [helper.make_value_info(n, element) for n in ("sum", "minus")])
    outputs = [helper.make_sequence_type_proto(element)] * 2
    pairs = list(zip(tensors, others if index % 2 else [whole] * len(tensors)))
    return Case([tensors, others], {"body": body}, outputs=2, output_types=outputs,
                expected=lambda *_: [[a + b for a, b in pairs], [-a for a, _ in pairs]])
