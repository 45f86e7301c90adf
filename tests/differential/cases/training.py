"""Optimizers of ai.onnx.preview.training."""

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from tests.differential.case import Case, chance, operator, pick, random_shape, random_tensor

DOMAIN = "ai.onnx.preview.training"


def step(random, histories):
    """Rate, count, and for one to three tensors X, G and histories, the last one of squares."""
    tensors = int(random.integers(1, 4))
    types = [pick(random, [np.float32, np.float64]) for _ in range(tensors)]
    shapes = [random_shape(random) for _ in range(tensors)]
    inputs = [np.asarray(random.uniform(0, 0.5), pick(random, [np.float32, np.float64])),
              np.asarray(random.integers(-1, 20), np.int64)]
    for part in range(2 + histories):
        low = 0 if part == 1 + histories else -4
        inputs += [random_tensor(random, type_, shape, low) for type_, shape in zip(types, shapes)]
    return inputs, tensors * (1 + histories)


def some(random, **ranges):
    return {name: float(random.uniform(*bounds)) for name, bounds in ranges.items() if chance(random)}


@operator("Adam", DOMAIN)
def adam(random, version, index):
    inputs, outputs = step(random, 2)
    return Case(inputs, {"epsilon": 1e-3, **some(random, alpha=(0.5, 1), beta=(0.5, 1), norm_coefficient=(0, 0.1),
                                                 norm_coefficient_post=(0, 0.1))}, outputs)


@operator("Adagrad", DOMAIN)
def adagrad(random, version, index):
    inputs, outputs = step(random, 1)
    return Case(inputs, {"epsilon": 1e-3, **some(random, decay_factor=(0, 0.2), norm_coefficient=(0, 0.1))}, outputs)


@operator("Momentum", DOMAIN)
def momentum(random, version, index):
    inputs, outputs = step(random, 1)
    return Case(inputs, {"mode": ["standard", "nesterov"][index % 2], "alpha": float(random.uniform(0, 1)),
                         "beta": float(random.uniform(0, 1)), "norm_coefficient": float(random.uniform(0, 0.2))}, outputs)


# ------------------------------------------------------------------------------------------------------------- Gradient

# Networks as lists of (operator, inputs, output, attributes), with the shapes of their variables. y is the last output.
NETWORKS = {
    "dense": ({"x": (3, 4), "w": (4, 5), "b": (5,), "v": (2, 5)},
              [("Gemm", "x w b", "h", {}), ("Tanh", "h", "t", {}), ("Gemm", "t v", "y", {"transB": 1, "alpha": 0.5})]),
    "attention": ({"q": (2, 3, 4), "k": (2, 5, 4), "v": (2, 5, 3)},
                  [("Transpose", "k", "kt", {"perm": [0, 2, 1]}), ("MatMul", "q kt", "s", {}),
                   ("Softmax", "s", "p", {"axis": -1}), ("MatMul", "p v", "y", {})]),
    "block": ({"x": (2, 3, 4), "scale": (4,), "bias": (4,), "w": (4, 4)},
              [("LayerNormalization", "x scale bias", "n", {"epsilon": 0.01}), ("MatMul", "n w", "m", {}),
               ("Tanh", "m", "g", {}), ("Add", "g x", "y", {})]),
    "picture": ({"x": (1, 2, 5, 6), "w": (3, 2, 3, 3), "b": (3,), "u": (3, 2, 2, 2)},
                [("Conv", "x w b", "c", {"pads": [1, 1, 1, 1], "strides": [2, 2]}), ("Softplus", "c", "r", {}),
                 ("ConvTranspose", "r u", "t", {"strides": [2, 2]}), ("ReduceMean", "t", "y", {"keepdims": 0})]),
    "instance": ({"x": (2, 2, 3, 3), "s": (2,), "b": (2,)},
                 [("InstanceNormalization", "x s b", "n", {"epsilon": 0.1}), ("Sigmoid", "n", "g", {}),
                  ("Mul", "g x", "y", {})]),
    "product": ({"x": (3, 4), "a": (4,)},
                [("Mul", "x a", "m", {}), ("ReduceProd", "m", "p", {"keepdims": 0}), ("ReduceLogSumExp", "m", "l", {}),
                 ("Add", "p l", "y", {})]),
    "pool": ({"x": (1, 2, 6, 6)},
             [("AveragePool", "x", "a", {"kernel_shape": [2, 2], "strides": [2, 2]}), ("Exp", "a", "e", {}),
              ("GlobalAveragePool", "e", "y", {})]),
}


# What the reference computes in float, whatever its type, is written out for the differences.
WRITTEN_OUT = [("ReduceMean", "x axes", "mean", {}), ("Sub", "x mean", "centred", {}),
               ("Mul", "centred centred", "square", {}), ("ReduceMean", "square axes", "variance", {}),
               ("Add", "variance epsilon", "shifted", {}), ("Sqrt", "shifted", "deviation", {}),
               ("Div", "centred deviation", "normal", {}), ("Mul", "normal scale", "scaled", {}),
               ("Add", "scaled bias", "n", {})]


def nodes_of(network, names):
    """With other names for its variables."""
    return [helper.make_node(name, [names.get(x, x) for x in inputs.split()], [output], **attributes)
            for name, inputs, output, attributes in network]


def written_out(network, names):
    nodes = []
    for step in network:
        if step[0] != "LayerNormalization":
            nodes += nodes_of([step], names)
            continue
        nodes.append(helper.make_node("Constant", [], ["axes"], value_ints=[-1]))
        epsilon = helper.make_tensor("epsilon", TensorProto.DOUBLE, [], [step[3]["epsilon"]])
        nodes.append(helper.make_node("Constant", [], ["epsilon"], value=epsilon))
        nodes += nodes_of(WRITTEN_OUT, names)
    return nodes


def differences(nodes, names, arrays, step=1e-5):
    """Of the sum of y, by ONNX's reference in double precision."""
    inputs = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, x.shape) for name, x in zip(names, arrays)]
    graph = helper.make_graph(nodes, "network", inputs, [helper.make_tensor_value_info("y", TensorProto.DOUBLE, None)])
    session = ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]))
    feeds = {name: np.array(x, np.float64) for name, x in zip(names, arrays)}
    gradients = []
    for name in names:
        gradient, flat = np.zeros(feeds[name].size), feeds[name].reshape(-1)
        for i in range(flat.size):
            kept, sums = flat[i], []
            for sign in (1, -1):
                flat[i] = kept + sign * step
                sums.append(float(np.sum(session.run(None, feeds)[0])))
            flat[i] = kept
            gradient[i] = (sums[0] - sums[1]) / (2 * step)
        gradients.append(gradient.reshape(feeds[name].shape))
    return gradients


@operator("Gradient", DOMAIN, tolerance="rtol=1e-3 atol=1e-4")
def gradient(random, version, index):
    """No oracle has it: central differences of the same network tell."""
    shapes, network = list(NETWORKS.values())[index % len(NETWORKS)]
    type_, proto = [(np.float32, TensorProto.FLOAT), (np.float64, TensorProto.DOUBLE)][index // len(NETWORKS) % 2]
    names = [f"x{i}" for i in range(len(shapes))]
    known_as = dict(zip(shapes, names))
    arrays = [random.uniform(0.3, 1.5, shape).astype(type_) for shape in shapes.values()]
    outputs, plain = [f"y{i}" for i in range(len(names))], written_out(network, known_as)
    graph = helper.make_graph(
        nodes_of(network, known_as) + [helper.make_node("Gradient", names, outputs, domain=DOMAIN, xs=names, y="y")], "case",
        [helper.make_tensor_value_info(name, proto, x.shape) for name, x in zip(names, arrays)],
        [helper.make_tensor_value_info(name, proto, None) for name in outputs])
    output = helper.make_tensor_type_proto(proto, None)
    return Case(arrays, outputs=len(names), graph=graph, opset=20, output_types=[output] * len(names),
                expected=lambda *given: [x.astype(type_) for x in differences(plain, names, given)])
