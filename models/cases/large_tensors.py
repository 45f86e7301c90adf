"""Operators on large tensors: what moves, reduces, compares and computes elements, several of a kind in one model."""

import numpy as np
import onnx
from onnx import TensorProto

from .network import Network
from .recipes import OPERATORS, normal, recipe


def operators(name, inputs, note, opset=17):
    """A row whose decorated function adds nodes and returns the outputs; these get types and shapes by inference, or
    else those of the first input."""

    def add(build):
        def model(get):
            net = Network(sum(map(ord, name)), opset)
            for key, value in inputs(np.random.default_rng(0)).items():
                net.input(key, value.dtype, value.shape)
            net.outputs += [onnx.ValueInfoProto(name=value) for value in build(net)]
            inferred = onnx.shape_inference.infer_shapes(net.model(), data_prop=True)
            del inferred.graph.value_info[:]
            for output in inferred.graph.output:
                if not output.type.WhichOneof("value"):
                    output.type.CopyFrom(inferred.graph.input[0].type)
            return inferred

        recipe(name, "large tensors", inputs, note, average=OPERATORS)(model)
        return build

    return add


SQUARE = normal(x=(1024, 1024))
CUBE = normal(x=(16, 64, 32, 32))


def integers(limit, shape):
    return lambda random: random.integers(0, limit, shape)


def with_indices(**indices):
    """SQUARE, and further inputs drawn by functions."""
    return lambda random: {**SQUARE(random), **{name: draw(random) for name, draw in indices.items()}}


# --- element by element -------------------------------------------------------------------------------


@operators("elementwise_4m", normal(x=(4, 1024, 1024), y=(4, 1024, 1024)), "22 nodes in a chain on 4M floats")
def elementwise(net):
    x = net.add("Add", net.add("Mul", "x", net.scalar(1.1)), net.scalar(0.3))
    y = net.add("Tanh", net.add("Sub", net.silu(x), "y"))
    y = net.add("Exp", net.add("Neg", net.add("Abs", y)))
    y = net.add("Div", y, net.add("Add", net.add("Sqrt", net.add("Abs", x)), net.scalar(0.5)))
    y = net.add("Clip", y, net.scalar(-2), net.scalar(2))
    y = net.add("Add", net.add("Pow", y, net.scalar(2)), net.add("Erf", x))
    y = net.add("Max", net.add("Min", y, net.scalar(3)), net.add("LeakyRelu", x, alpha=0.1))
    return [net.add("Log", net.add("Add", net.add("Relu", y), net.scalar(1)))]


@operators(
    "broadcast_4m",
    normal(x=(4, 1024, 1024), row=(1, 1, 1024), column=(1, 1024, 1), plane=(1, 1024, 1024)),
    "Mul Add Sub Greater Where Div, repeated along rows, columns and planes",
)
def broadcast(net):
    x = net.add("Sub", net.add("Add", net.add("Mul", "x", "row"), "column"), "plane")
    x = net.add("Where", net.add("Greater", x, "row"), x, "column")
    return [net.add("Div", x, net.add("Add", net.add("Abs", "column"), net.scalar(1)))]


@operators(
    "int64_1m",
    lambda random: {"x": random.integers(0, 1000, (1024, 1024))},
    "int64: Mul Add Mod Greater Equal Not And Where Div Cast",
)
def int64(net):
    x = net.add("Mod", net.add("Add", net.add("Mul", "x", net.constant(3)), net.constant(7)), net.constant(101))
    chosen = net.add(
        "And", net.add("Greater", x, net.constant(10)), net.add("Not", net.add("Equal", x, net.constant(50)))
    )
    x = net.add("Div", net.add("Where", chosen, x, "x"), net.constant(3))
    return [net.add("Cast", x, to=TensorProto.FLOAT), net.add("Cast", chosen, to=TensorProto.INT32)]


@operators("trigonometry_1m", SQUARE, "Sin, Cos, Atan, Softplus, Elu")
def trigonometry(net):
    return [net.add(name, "x") for name in ("Sin", "Cos", "Atan", "Softplus", "Elu")]


@operators(
    "pictures_to_float",
    lambda random: {"x": random.integers(0, 256, (4, 3, 512, 512)).astype(np.uint8)},
    "uint8 to float, then (x - mean) / deviation per channel",
)
def pictures_to_float(net):
    x = net.add("Cast", "x", to=TensorProto.FLOAT)
    mean, deviation = (net.weight(np.float32(v).reshape(1, 3, 1, 1)) for v in ([124, 116, 104], [58, 57, 57]))
    return [net.add("Div", net.add("Sub", x, mean), deviation)]


# --- what moves elements ------------------------------------------------------------------------------


@operators("transpose_1m", CUBE, "four permutations of [16,64,32,32]")
def transpose(net):
    return [net.transpose("x", *order) for order in ((0, 2, 3, 1), (0, 1, 3, 2), (3, 2, 1, 0), (1, 0, 2, 3))]


@operators(
    "gather_1m",
    with_indices(rows=integers(1024, 1024), each=integers(1024, (1024, 1024)), pairs=integers(1024, (1 << 18, 2))),
    "Gather along both axes, GatherElements, GatherND",
)
def gather(net):
    return [
        net.add("Gather", "x", "rows", axis=0),
        net.add("Gather", "x", "rows", axis=1),
        net.add("GatherElements", "x", "each", axis=1),
        net.add("GatherND", "x", "pairs"),
    ]


@operators(
    "scatter_1m",
    with_indices(
        each=lambda random: np.argsort(random.random((1024, 1024)), axis=1),
        any=integers(1024, (1024, 1024)),
        pairs=lambda random: np.stack(np.divmod(random.permutation(1 << 20)[: 1 << 18], 1024), 1),
        updates=lambda random: random.standard_normal((1024, 1024), np.float32),
        values=lambda random: random.standard_normal(1 << 18, np.float32),
    ),
    "ScatterElements, with sums, ScatterND",
    18,
)
def scatter(net):
    return [
        net.add("ScatterElements", "x", "each", "updates", axis=1),
        net.add("ScatterElements", "x", "any", "updates", axis=0, reduction="add"),
        net.add("ScatterND", "x", "pairs", "values"),
    ]


@operators("slice_pad_1m", SQUARE, "Slice with a step, Pad by reflection, Tile, Concat, Expand")
def slice_pad(net):
    return [
        net.add(
            "Slice", "x", net.constant([0, 0]), net.constant([1024, 1024]), net.constant([0, 1]), net.constant([1, 2])
        ),
        net.add("Pad", "x", net.constant([3, 5, 7, 9]), mode="reflect"),
        net.add("Tile", "x", net.constant([2, 2])),
        net.add("Concat", "x", "x", "x", axis=1),
        net.add("Expand", net.add("Unsqueeze", "x", net.constant([1])), net.constant([1024, 2, 1024])),
    ]


@operators(
    "nonzero_1m",
    lambda random: {
        "x": (random.standard_normal((1024, 1024)) * (random.random((1024, 1024)) < 0.5)).astype(np.float32)
    },
    "NonZero of what is greater than 1, and of floats, half of them zero",
)
def nonzero(net):
    return [net.add("NonZero", net.add("Greater", "x", net.scalar(1))), net.add("NonZero", "x")]


# --- what reduces and sorts ---------------------------------------------------------------------------


@operators(
    "reduce_1m",
    CUBE,
    "sums, means, maxima, norms, products, log of sums of exponentials over inner, middle, outer and all axes",
    18,
)
def reduce(net):
    over = lambda name, *axes, keep=0: net.add(f"Reduce{name}", "x", net.constant(axes), keepdims=keep)
    return [
        over("Sum", 1),
        over("Sum", 0),
        over("Mean", 2, 3, keep=1),
        over("Max", 1),
        over("L2", 3),
        over("Prod", 0, 2),
        over("LogSumExp", -1),
        over("Min", 0),
        net.add("ReduceSum", "x", keepdims=0),
    ]


@operators("cumsum_1m", SQUARE, "CumSum along rows, and backwards along columns")
def cumsum(net):
    return [net.add("CumSum", "x", net.constant(1)), net.add("CumSum", "x", net.constant(0), reverse=1)]


@operators("argmax_1m", SQUARE, "ArgMax of rows and of columns, ArgMin of all")
def argmax(net):
    return [
        net.add("ArgMax", "x", axis=1, keepdims=0),
        net.add("ArgMax", "x", axis=0, keepdims=0),
        net.add("ArgMin", net.reshape("x", -1), axis=0, keepdims=0),
    ]


@operators("topk_1m", SQUARE, "the largest 10 of each row, 100 of each column, 1000 of all")
def topk(net):
    top = lambda x, count, axis: net.add("TopK", x, net.constant([count]), outputs=2, axis=axis)
    return [*top("x", 10, 1), *top("x", 100, 0), *top(net.reshape("x", -1), 1000, 0)]


# --- softmax and normalization ------------------------------------------------------------------------


@operators("softmax_3m", normal(x=(12, 512, 512)), "Softmax of the last axis and of the middle one, LogSoftmax")
def softmax(net):
    return [net.add("Softmax", "x", axis=-1), net.add("Softmax", "x", axis=1), net.add("LogSoftmax", "x", axis=-1)]


def masked(random):
    """Scores of which a quarter is hidden by the lowest float."""
    x = random.standard_normal((12, 512, 512), np.float32)
    x[..., 384:] = np.finfo(np.float32).min
    return {"x": x}


@operators("softmax_masked_3m", masked, "Softmax of which a quarter is hidden by the lowest float")
def softmax_masked(net):
    return [net.add("Softmax", "x", axis=-1)]


@operators(
    "layernorm_3m",
    normal(x=(4, 1024, 768)),
    "LayerNormalization, the same as exported before opset 17, and RMS normalization written out",
)
def layernorm(net):
    centred = net.add("Sub", "x", net.add("ReduceMean", "x", axes=[-1]))
    variance = net.add("ReduceMean", net.add("Pow", centred, net.scalar(2)), axes=[-1])
    y = net.add("Div", centred, net.add("Sqrt", net.add("Add", variance, net.scalar(1e-5))))
    squares = net.add("ReduceMean", net.add("Pow", "x", net.scalar(2)), axes=[-1])
    z = net.add("Div", net.scalar(1), net.add("Sqrt", net.add("Add", squares, net.scalar(1e-6))))
    return [
        net.layer_norm("x", 768),
        net.add("Add", net.add("Mul", y, net.factors(768)), net.bias(768)),
        net.add("Mul", net.add("Mul", "x", z), net.factors(768)),
    ]


@operators(
    "groupnorm_2m", normal(x=(1, 128, 128, 128)), "GroupNorm as PyTorch exports it and SiLU; GroupNormalization", 21
)
def groupnorm(net):
    ones, zeros = net.weight(np.ones(32)), net.weight(np.zeros(32))
    y = net.add("InstanceNormalization", net.reshape("x", 0, 32, -1), ones, zeros, epsilon=1e-5)
    y = net.add("Mul", net.add("Reshape", y, net.add("Shape", "x")), net.factors(128, 1, 1))
    y = net.silu(net.add("Add", y, net.weight(net.normal(128, 1, 1))))
    return [y, net.add("GroupNormalization", "x", net.factors(128), net.bias(128), num_groups=32)]


# --- windows and products -----------------------------------------------------------------------------

PLANES = normal(x=(1, 64, 112, 112))


@operators("pools", PLANES, "MaxPool 13x13, AveragePool 3x3, both with stride 1, LpPool")
def pools(net):
    return [
        net.add("MaxPool", "x", kernel_shape=[13, 13], pads=[6] * 4, strides=[1, 1]),
        net.add("AveragePool", "x", kernel_shape=[3, 3], pads=[1] * 4, strides=[1, 1]),
        net.add("LpPool", "x", kernel_shape=[2, 2], strides=[2, 2], p=2),
    ]


@operators("conv_depthwise_7x7", PLANES, "one depthwise 7x7")
def depthwise_7x7(net):
    return [net.conv("x", 64, 64, 7, group=64)]


@operators(
    "conv_transpose", normal(x=(1, 64, 56, 56)), "ConvTranspose 3x3 with stride 1, and depthwise 4x4 with stride 2"
)
def conv_transpose(net):
    dense = net.weight(net.normal(64, 64, 3, 3, deviation=1 / 24))
    depthwise = net.weight(net.normal(64, 1, 4, 4, deviation=0.25))
    return [
        net.add("ConvTranspose", "x", dense, kernel_shape=[3, 3], pads=[1] * 4),
        net.add("ConvTranspose", "x", depthwise, kernel_shape=[4, 4], strides=[2, 2], pads=[1] * 4, group=64),
    ]


@operators(
    "matmul_batched",
    normal(a=(12, 256, 64), b=(12, 64, 256), c=(12, 256, 64)),
    "batched products of two inputs, one of them transposed",
)
def matmul_batched(net):
    return [net.add("MatMul", "a", "b"), net.add("MatMul", "a", net.transpose("c", 0, 2, 1))]


@operators(
    "one_hot_embedding",
    lambda random: {"ids": random.integers(0, 1000, (16, 128))},
    "OneHot of 1000 and a product, which is a lookup",
)
def one_hot_embedding(net):
    hot = net.add("OneHot", "ids", net.constant(1000), net.constant([0, 1], np.float32), axis=-1)
    return [net.add("MatMul", hot, net.weight(net.normal(1000, 256)))]
