"""Writes models with random weights, for tests and benchmarks of known networks.

    python models/random_models.py --out build/random_models [--light DIR] [--seed N] [--only NAME]

Two sources of graphs, one way to fill them. A graph comes either from ONNX's light_* backend models, whose
weights are all the same value, or from a builder below. Every weight is then drawn according to what its
consumer does with it, and the last layer is scaled by a measurement, so that a Softmax behind it is neither
flat nor one-hot. A model that would not show a wrong sum is of no use as a test.

Each model is written in the layout of ONNX's backend tests with one random input and the output of ONNX
Runtime, its graph optimisations off.
"""

import argparse
import pathlib
import zlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

LOGIT_DEVIATION = 1.5  # of the last layer's output: probabilities then differ by powers of ten, not more
WEIGHTED = ("Conv", "Gemm", "MatMul")
VIEWS = ("Reshape", "Unsqueeze", "Identity")


# --- a small graph builder ------------------------------------------------------------------------


class Graph:
    """Collects nodes and weights of a network. Weights start as zeros; `randomise` draws their values."""

    def __init__(self, name, opset, input_shape, dynamic_batch=False):
        self.name = name
        self.opset = opset
        self.nodes = []
        self.weights = []
        self.counts = {}
        self.batch = "N" if dynamic_batch else input_shape[0]
        self.input = helper.make_tensor_value_info(
            "input", TensorProto.FLOAT, [self.batch, *input_shape[1:]])

    def node(self, operator, inputs, **attributes):
        """Adds a node with one output and returns the output's name."""
        number = self.counts[operator] = self.counts.get(operator, 0) + 1
        name = f"{operator.lower()}_{number}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def weight(self, name, *shape):
        self.weights.append(numpy_helper.from_array(np.zeros(shape, np.float32), name))
        return name

    def constant(self, name, values, dtype):
        self.weights.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def next_name(self, operator):
        return f"{operator.lower()}_{self.counts.get(operator, 0) + 1}"

    def conv(self, x, c_in, c_out, kernel, stride=1, pad=None, group=1, bias=False):
        name = self.next_name("Conv")
        pad = kernel // 2 if pad is None else pad
        inputs = [x, self.weight(f"{name}.weight", c_out, c_in // group, kernel, kernel)]
        if bias:
            inputs.append(self.weight(f"{name}.bias", c_out))
        return self.node("Conv", inputs, kernel_shape=[kernel, kernel], strides=[stride, stride],
                         pads=[pad] * 4, group=group)

    def batch_normalization(self, x, channels):
        name = self.next_name("BatchNormalization")
        parts = [self.weight(f"{name}.{part}", channels) for part in ("scale", "bias", "mean", "var")]
        return self.node("BatchNormalization", [x, *parts], epsilon=1e-5)

    def relu(self, x):
        return self.node("Relu", [x])

    def relu6(self, x):
        """Clip to 0..6; from opset 11 on the limits are inputs."""
        if "clip.low" not in {w.name for w in self.weights}:
            self.constant("clip.low", 0, np.float32)
            self.constant("clip.high", 6, np.float32)
        return self.node("Clip", [x, "clip.low", "clip.high"])

    def linear(self, x, n_in, n_out):
        name = self.next_name("Gemm")
        parts = [self.weight(f"{name}.weight", n_out, n_in), self.weight(f"{name}.bias", n_out)]
        return self.node("Gemm", [x, *parts], transB=1)

    def classifier(self, x, channels, classes=1000):
        """Global average pooling, one linear layer, Softmax."""
        x = self.node("Flatten", [self.node("GlobalAveragePool", [x])], axis=1)
        return self.node("Softmax", [self.linear(x, channels, classes)], axis=1)

    def model(self, last, output_shape):
        """Closes the graph: the value `last` becomes the model's output."""
        self.nodes[-1].output[0] = "output"
        assert self.nodes[-1].name == last
        output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [self.batch, *output_shape])
        graph = helper.make_graph(self.nodes, self.name, [self.input], [output], self.weights)
        opset = helper.make_opsetid("", self.opset)
        return helper.make_model(graph, opset_imports=[opset], ir_version=8, producer_name="random_models.py")


# --- the networks -----------------------------------------------------------------------------------


def mobilenet_v1(dynamic_batch):
    """Howard et al. 2017, width 1.0: 13 blocks of depthwise 3x3 and pointwise 1x1."""
    g = Graph("mobilenet_v1", 13, [1, 3, 224, 224], dynamic_batch)

    def unit(x, c_in, c_out, kernel, stride, group=1):
        return g.relu(g.batch_normalization(g.conv(x, c_in, c_out, kernel, stride, group=group), c_out))

    x, c_in = unit("input", 3, 32, 3, 2), 32
    blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for c_out, stride in blocks:
        x = unit(x, c_in, c_in, 3, stride, group=c_in)
        x, c_in = unit(x, c_in, c_out, 1, 1), c_out
    return g.model(g.classifier(x, c_in), [1000])


def mobilenet_v2(dynamic_batch):
    """Sandler et al. 2018, width 1.0: 17 inverted residual blocks, no activation after the projection."""
    g = Graph("mobilenet_v2", 13, [1, 3, 224, 224], dynamic_batch)

    def unit(x, c_in, c_out, kernel, stride, group=1, activate=True):
        x = g.batch_normalization(g.conv(x, c_in, c_out, kernel, stride, group=group), c_out)
        return g.relu6(x) if activate else x

    def block(x, c_in, c_out, stride, expansion):
        hidden, y = c_in * expansion, x
        if expansion > 1:
            y = unit(y, c_in, hidden, 1, 1)
        y = unit(y, hidden, hidden, 3, stride, group=hidden)
        y = unit(y, hidden, c_out, 1, 1, activate=False)
        return g.node("Add", [x, y]) if stride == 1 and c_in == c_out else y

    x, c_in = unit("input", 3, 32, 3, 2), 32
    stages = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expansion, c_out, repeats, first_stride in stages:
        for i in range(repeats):
            x, c_in = block(x, c_in, c_out, first_stride if i == 0 else 1, expansion), c_out
    x = unit(x, c_in, 1280, 1, 1)
    return g.model(g.classifier(x, 1280), [1000])


def resnet50(dynamic_batch):
    """He et al. 2015 in the form called v1.5: a bottleneck strides in its 3x3 convolution."""
    g = Graph("resnet50", 13, [1, 3, 224, 224], dynamic_batch)

    def unit(x, c_in, c_out, kernel, stride):
        return g.batch_normalization(g.conv(x, c_in, c_out, kernel, stride), c_out)

    def bottleneck(x, c_in, width, stride):
        y = g.relu(unit(x, c_in, width, 1, 1))
        y = g.relu(unit(y, width, width, 3, stride))
        y = unit(y, width, 4 * width, 1, 1)
        if c_in != 4 * width:
            x = unit(x, c_in, 4 * width, 1, stride)
        return g.relu(g.node("Add", [y, x]))

    x, c_in = g.relu(unit("input", 3, 64, 7, 2)), 64
    x = g.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for width, repeats, first_stride in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]:
        for i in range(repeats):
            x, c_in = bottleneck(x, c_in, width, first_stride if i == 0 else 1), 4 * width
    return g.model(g.classifier(x, c_in), [1000])


def super_resolution(dynamic_batch):
    """ESPCN (Shi et al. 2016), upscaling by 3, the pixel shuffle written as Reshape, Transpose, Reshape."""
    g = Graph("super_resolution", 10, [1, 1, 224, 224], dynamic_batch)
    x, c_in = "input", 1
    for c_out, kernel in [(64, 5), (64, 3), (32, 3), (9, 3)]:
        x = g.conv(x, c_in, c_out, kernel, bias=True)
        x, c_in = (g.relu(x) if c_out != 9 else x), c_out
    batch = -1 if dynamic_batch else 1
    x = g.node("Reshape", [x, g.constant("split", [batch, 1, 3, 3, 224, 224], np.int64)])
    x = g.node("Transpose", [x], perm=[0, 1, 4, 2, 5, 3])
    return g.model(g.node("Reshape", [x, g.constant("join", [batch, 1, 672, 672], np.int64)]), [1, 672, 672])


def mlp(dynamic_batch):
    """784 - 1024 - 1024 - 10: nothing but matrix products."""
    g = Graph("mlp", 13, [1, 784], dynamic_batch)
    x = g.relu(g.linear("input", 784, 1024))
    x = g.relu(g.linear(x, 1024, 1024))
    return g.model(g.node("Softmax", [g.linear(x, 1024, 10)], axis=1), [10])


def mnist(dynamic_batch):
    """The layout of CNTK's mnist_8: biases as Add, auto_pad, and a weight that passes through a Reshape."""
    g = Graph("mnist", 8, [1, 1, 28, 28], dynamic_batch)

    def unit(x, c_in, c_out, pool):
        name = g.next_name("Conv")
        x = g.node("Conv", [x, g.weight(f"{name}.weight", c_out, c_in, 5, 5)],
                   kernel_shape=[5, 5], strides=[1, 1], dilations=[1, 1], group=1, auto_pad="SAME_UPPER")
        x = g.relu(g.node("Add", [x, g.weight(f"{name}.bias", c_out, 1, 1)]))
        return g.node("MaxPool", [x], kernel_shape=[pool, pool], strides=[pool, pool], pads=[0] * 4)

    x = unit(unit("input", 1, 8, 2), 8, 16, 3)
    x = g.node("Reshape", [x, g.constant("flat", [-1 if dynamic_batch else 1, 256], np.int64)])
    matrix = g.node("Reshape", [g.weight("times.weight", 16, 4, 4, 10), g.constant("matrix", [256, 10], np.int64)])
    x = g.node("MatMul", [x, matrix])
    return g.model(g.node("Add", [x, g.weight("plus.bias", 1, 10)]), [10])


BUILDERS = {f.__name__: f for f in (mobilenet_v1, mobilenet_v2, resnet50, super_resolution, mlp, mnist)}


# --- light models -----------------------------------------------------------------------------------


def load_light(path):
    """Reads a light model and turns its ConstantOfShape weights into initializers of the same shape.

    Initializers stop being graph inputs (what a graph input holds may be overridden by the caller, so that
    no engine could fold it), which the file format allows from IR version 4 on.
    """
    model = onnx.load(path)
    graph = model.graph
    known = {i.name: i for i in graph.initializer}
    kept = []
    for node in graph.node:
        if node.op_type == "ConstantOfShape" and node.input[0] in known:
            shape = numpy_helper.to_array(known[node.input[0]])
            graph.initializer.append(numpy_helper.from_array(np.zeros(shape, np.float32), node.output[0]))
        else:
            kept.append(node)
    replace(graph.node, kept)
    used = {name for node in graph.node for name in node.input}
    replace(graph.initializer, [i for i in graph.initializer if i.name in used])
    replace(graph.input, [i for i in graph.input if i.name not in known])
    model.ir_version = max(model.ir_version, 4)
    return model


def replace(field, values):
    """Replaces the content of a repeated protobuf field."""
    values = list(values)
    del field[:]
    field.extend(values)


# --- random weights -----------------------------------------------------------------------------------


class Uses:
    """Who produces and who consumes each value of a graph."""

    def __init__(self, graph):
        self.graph = graph
        self.producer = {o: node for node in graph.node for o in node.output}
        self.consumers = {}
        for node in graph.node:
            for position, name in enumerate(node.input):
                self.consumers.setdefault(name, []).append((node, position))

    def first(self, name):
        """The first node that computes with a value, and at which input, looking through views of it."""
        node, position = self.consumers[name][0]
        while node.op_type in VIEWS and position == 0:
            name = node.output[0]
            node, position = self.consumers[name][0]
        return node, position, name

    def feeds_sum(self, name):
        """Whether a value goes into the addition that closes a residual block."""
        weights = {i.name for i in self.graph.initializer}
        return any(node.op_type in ("Sum", "Add") and not weights.intersection(node.input)
                   for node, _ in self.consumers.get(name, []))


def attribute(node, name, default):
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def summed_axes(node, shape):
    """The axes of a layer's weight, in the shape it has where it is used, that one output sums over."""
    if node.op_type == "Conv":
        return tuple(range(1, len(shape)))
    if node.op_type == "Gemm" and attribute(node, "transB", 0):
        return (1,)
    return (len(shape) - 2,)


def he_normal(random, node, shape):
    """He et al. 2015: deviation sqrt(2 / fan-in), which keeps the size of activations through Relu.

    Each filter also loses half of its mean. What Relu lets through is never negative, so a filter with a mean
    turns it into an offset that is the same for every input; over fifty layers nothing else would be left, and
    an error in the first layers would not show. Without any mean, rounding errors grow as fast as
    the signal, and no two engines would agree. The factor 2 becomes 2.63 to make up for what is taken away:
    behind Relu a unit normal has variance 0.341 and mean square 0.5, and 1 / (0.341 + 0.25 * 0.159) = 2.63.
    """
    axes = summed_axes(node, shape)
    fan_in = np.prod([shape[axis] for axis in axes])
    weights = random.standard_normal(shape, np.float32)
    weights -= np.float32(0.5) * weights.mean(axes, keepdims=True)
    weights *= np.float32(np.sqrt(2.63 / fan_in))
    return weights


def draw(random, uses, name, shape, shape_in_use):
    """Draws one weight by its role. None: not a weight that this script knows, so it keeps its values."""
    node, position, _ = uses.first(name)

    def normal(centre, deviation):
        return random.normal(centre, deviation, shape).astype(np.float32)

    if node.op_type in WEIGHTED and position == 1:
        return he_normal(random, node, shape_in_use).reshape(shape)
    if node.op_type in ("Conv", "Gemm") and position == 2:
        return normal(0, 0.1)
    if node.op_type == "BatchNormalization":
        # A residual block adds its branch to what came in; halving the branch keeps sixteen of them level.
        centre = 0.5 if uses.feeds_sum(node.output[0]) else 1
        return (None, normal(centre, 0.1 * centre), normal(0, 0.1), normal(0, 0.1),
                random.uniform(0.6, 1.6, shape).astype(np.float32))[position]
    if node.op_type == "Mul":
        return normal(1, 0.1)
    if node.op_type == "Add":
        return normal(0, 0.1)
    return None


def shapes_in_use(model):
    """The shape of every value as far as ONNX's shape inference knows it."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {i.name: list(i.dims) for i in inferred.initializer}
    for value in inferred.value_info:
        shapes[value.name] = [d.dim_value for d in value.type.tensor_type.shape.dim]
    return shapes


def randomise(model, random):
    """Gives every floating-point weight a value according to its role; integers (shapes) stay."""
    uses = Uses(model.graph)
    shapes = shapes_in_use(model)
    for initializer in model.graph.initializer:
        if initializer.data_type != TensorProto.FLOAT:
            continue
        shape = list(initializer.dims)
        shape_in_use = shapes[uses.first(initializer.name)[2]]
        values = draw(random, uses, initializer.name, shape, shape_in_use)
        if values is not None:
            initializer.CopyFrom(numpy_helper.from_array(values, initializer.name))


# --- scaling the last layer ------------------------------------------------------------------------


def last_layer(graph):
    """The last layer with weights, and the value to be scaled: what Softmax reads, or else the output."""
    uses = Uses(graph)
    value = graph.output[0].name
    if uses.producer[value].op_type == "Softmax":
        value = uses.producer[value].input[0]
    node = uses.producer[value]
    while node.op_type not in WEIGHTED:
        node = uses.producer[node.input[0]]
    return node, value


def layer_parameters(graph, node):
    """Names of the initializers that the layer multiplies or adds, an Add behind it included."""
    uses = Uses(graph)
    adds = [n for n, _ in uses.consumers.get(node.output[0], []) if n.op_type == "Add"]
    names = [*node.input[1:], *(name for add in adds for name in add.input)]
    sources = set()
    for name in names:
        while name in uses.producer and uses.producer[name].op_type in VIEWS:
            name = uses.producer[name].input[0]
        sources.add(name)
    return [i for i in graph.initializer if i.name in sources]


def scale_last_layer(model, x, scratch):
    """Scales the last layer's weights and biases so that its output spreads by LOGIT_DEVIATION."""
    graph = model.graph
    node, value = last_layer(graph)
    watched = value != graph.output[0].name
    if watched:
        graph.output.append(helper.make_tensor_value_info(value, TensorProto.FLOAT, None))
    onnx.save(model, scratch)
    if watched:
        del graph.output[-1]
    factor = np.float32(LOGIT_DEVIATION / run(scratch, x)[-1].std())
    assert np.isfinite(factor), f"{graph.name}: the last layer's output is constant or infinite"
    for initializer in layer_parameters(graph, node):
        scaled = numpy_helper.to_array(initializer) * factor
        initializer.CopyFrom(numpy_helper.from_array(scaled, initializer.name))


# --- running and writing ------------------------------------------------------------------------------


def run(path, x):
    """All outputs of ONNX Runtime, computing the graph as written."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})


def random_input(model, random):
    """Standard normal; a dynamic dimension becomes 1."""
    dims = model.graph.input[0].type.tensor_type.shape.dim
    return random.standard_normal([d.dim_value or 1 for d in dims], np.float32)


def check_outputs(name, outputs):
    """Refuses references that would not tell a right engine from a wrong one."""
    for y in outputs:
        assert np.isfinite(y).all(), f"{name}: output is not finite"
        assert y.std() > 0.01 * np.abs(y).max(), f"{name}: output is nearly constant"
        is_probabilities = y.min() >= 0 and abs(y.sum() - len(y)) < 1e-3
        assert not (is_probabilities and y.max() > 0.9), f"{name}: Softmax is saturated"


def write_tensor(path, name, array):
    path.write_bytes(numpy_helper.from_array(array, name).SerializeToString())


def write_tolerance(folder, outputs):
    """Notes in OUT/tolerances.txt, a manifest for `norma test`, where elements cannot be compared one by one.

    An output of both signs has elements near zero that are sums of large terms; their relative error says
    nothing, so these outputs are measured by their largest magnitude.
    """
    manifest = folder.parent / "tolerances.txt"
    lines = manifest.read_text().splitlines() if manifest.exists() else []
    lines = [line for line in lines if line.split()[0] != folder.name]
    if any(y.min() < 0 < y.max() for y in outputs):
        lines.append(f"{folder.name} max=1e-4")
    manifest.write_text("".join(f"{line}\n" for line in sorted(lines)))


def write_model(folder, model, seed):
    """Fills a model, writes it with its reference data and reports one line about it."""
    random = np.random.default_rng([seed, zlib.crc32(folder.name.encode())])
    data_set = folder / "test_data_set_0"
    data_set.mkdir(parents=True, exist_ok=True)
    randomise(model, random)
    x = random_input(model, random)
    path = folder / "model.onnx"
    scale_last_layer(model, x, path)
    onnx.save(model, path)
    onnx.checker.check_model(path, full_check=True)
    outputs = run(path, x)
    check_outputs(folder.name, outputs)
    write_tensor(data_set / "input_0.pb", model.graph.input[0].name, x)
    for i, (value, y) in enumerate(zip(model.graph.output, outputs)):
        write_tensor(data_set / f"output_{i}.pb", value.name, y)
    write_tolerance(folder, outputs)
    y = outputs[0]
    print(f"{folder.name:22} {path.stat().st_size / 1e6:7.1f} MB  {len(model.graph.node):4} nodes  "
          f"output {list(y.shape)} from {y.min():.3g} to {y.max():.3g}", flush=True)


def sources(arguments):
    """Name -> function that makes the model, for everything that was asked for."""
    found = {name: lambda build=build: build(arguments.dynamic_batch) for name, build in BUILDERS.items()}
    if arguments.light:
        paths = sorted(arguments.light.glob("light_*/model.onnx"))
        if not paths:
            raise SystemExit(f"random_models.py: no light_*/model.onnx in {arguments.light}")
        for path in paths:
            found[path.parent.name] = lambda path=path: load_light(path)
    if arguments.only:
        if arguments.only not in found:
            raise SystemExit(f"random_models.py: no model {arguments.only}; there are {', '.join(found)}")
        return {arguments.only: found[arguments.only]}
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder to write to")
    parser.add_argument("--light", type=pathlib.Path, help="folder that holds ONNX's light_* models")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", metavar="NAME", help="write this model only")
    parser.add_argument("--dynamic-batch", action="store_true", help="leave the batch size of built models free")
    arguments = parser.parse_args()
    for name, make in sources(arguments).items():
        write_model(arguments.out / name, make(), arguments.seed)


if __name__ == "__main__":
    main()
