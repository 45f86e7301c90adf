"""Loop, Scan, If: graphs below nodes."""

import numpy as np
from onnx import GraphProto, TensorProto, TypeProto, helper

from tests.differential.case import (Case, chance, element_type, operator, pick, random_shape, random_tensor, tensor_proto,
                                     type_of, types_of)

UNTYPED = TypeProto()
COMPUTED = (np.float32, np.float64, np.int64, np.int32)  # what Add and Mul of every opset take, and every oracle


def info(name, type_=UNTYPED):
    return helper.make_value_info(name, type_)


def scalar(type_):
    return helper.make_tensor_type_proto(type_, [])


def graph_of(nodes, inputs, outputs, initializers=()):
    return helper.make_graph(nodes, "case", [info(f"x{i}", type_of(x)) for i, x in enumerate(inputs) if x is not None],
                             [info(name, helper.make_tensor_type_proto(type_, None)) for name, type_ in outputs],
                             list(initializers))


def step_nodes(random, type_, carried, other):
    """A few nodes that make `next` and `part` of two values of one shape."""
    first, second = pick(random, ("Add", "Mul", "Sub")), pick(random, ("Add", "Sub"))
    nodes = [helper.make_node(first, [carried, other], ["made"]), helper.make_node(second, ["made", carried], ["part"])]
    if np.dtype(type_).kind == "f" and chance(random):
        return nodes + [helper.make_node("Tanh", ["part"], ["next"])]
    return nodes + [helper.make_node("Identity", ["part"], ["next"])]


@operator("Loop", tolerance="rtol=1e-4 atol=1e-5")
def loop(random, version, index):
    """A carried tensor, a captured one, a stacked output; trip count, condition or both."""
    type_ = np.dtype(COMPUTED[index % len(COMPUTED)])
    shape = random_shape(random, 0, 3, empty=0.1)
    x, y = random_tensor(random, type_, shape, -2, 2), random_tensor(random, type_, shape, -2, 2)
    trips = np.array(random.integers(0, 5), np.int64)
    stop = np.array(random.integers(1, 6), np.int64)
    body = helper.make_graph(
        step_nodes(random, type_, "v", "x1") + [
            helper.make_node("Add", ["i", "one"], ["count"]),
            helper.make_node("Sub", ["count", "x3"], ["left"]),
            helper.make_node("Cast", ["left"], ["go on"], to=TensorProto.BOOL)],
        "body",
        [info("i", scalar(TensorProto.INT64)), info("go", scalar(TensorProto.BOOL)), info("v", type_of(x))],
        [info("go on", scalar(TensorProto.BOOL)), info("next", helper.make_tensor_type_proto(element_type(x), shape)),
         info("part", helper.make_tensor_type_proto(element_type(x), shape))],
        [tensor_proto(np.array(1, np.int64), "one")])
    initial = np.array(index % 7 != 6, np.bool_)
    controls = ["x2", "x4"] if index % 3 else ["", "x4"]
    nodes = [helper.make_node("Loop", controls + ["x0"], ["y0", "y1"], body=body)]
    inputs = [x, y, trips if index % 3 else None, stop, initial]
    return Case(inputs, graph=graph_of(nodes, inputs, [("y0", element_type(x)), ("y1", element_type(x))]), outputs=2,
                opset=max(version, 7))


@operator("Scan", tolerance="rtol=1e-4 atol=1e-5")
def scan(random, version, index):
    type_ = np.dtype(COMPUTED[index % len(COMPUTED)])
    shape = random_shape(random, 0, 2, empty=0)
    length = int(random.integers(1, 5))
    element = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(type_), shape)
    body = helper.make_graph(step_nodes(random, type_, "s", "e"), "body", [info("s", element), info("e", element)],
                             [info("next", element), info("part", element)])
    attributes = {"num_scan_inputs": 1, "body": body}
    if version == 8:
        batch = int(random.integers(1, 4))
        state, x = (random_tensor(random, type_, size, -2, 2) for size in ((batch, *shape), (batch, length, *shape)))
        lengths = np.full(batch, length, np.int64) if chance(random) else None
        if chance(random):
            attributes["directions"] = [int(random.integers(2))]
        inputs = [lengths, state, x]
    else:
        axis = int(random.integers(len(shape) + 1))
        state, x = random_tensor(random, type_, shape, -2, 2), random_tensor(
            random, type_, (*shape[:axis], length, *shape[axis:]), -2, 2)
        output_axis = int(random.integers(len(shape) + 1))
        if version >= 11 and chance(random):
            axis -= len(shape) + 1
        if axis or chance(random):
            attributes["scan_input_axes"] = [axis]
        for name in ("scan_input_directions", "scan_output_directions"):
            if chance(random):
                attributes[name] = [int(random.integers(2))]
        if chance(random):
            attributes["scan_output_axes"] = [output_axis]
        inputs = [state, x]
    type_proto = helper.make_tensor_type_proto(element_type(x), None)
    return Case(inputs, attributes, outputs=2, output_types=[type_proto, type_proto])


@operator("If")
def if_(random, version, index):
    """Branches whose results have different shapes, of every type that Identity takes."""
    types = [t for t in types_of("If", "V", version) if t in types_of("Identity", "V" if version >= 14 else "T", version)]
    type_ = types[index % len(types)]
    shape = random_shape(random, 1, 3)
    x, y = random_tensor(random, type_, shape), random_tensor(random, type_, (*shape, 2))
    branch = lambda name: GraphProto(  # noqa: E731
        name=name, node=[helper.make_node("Identity", [name], [f"{name} again"])],
        output=[info(f"{name} again", helper.make_tensor_type_proto(element_type(x), None))])
    node = helper.make_node("If", ["x2"], ["y0"], then_branch=branch("x0"), else_branch=branch("x1"))
    inputs = [x, y, np.array(random.integers(2), np.bool_)]
    return Case(inputs, graph=graph_of([node], inputs, [("y0", element_type(x))]))
