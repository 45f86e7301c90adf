"""Networks on pictures beyond plain classifiers, and networks of one-dimensional convolutions."""

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from .network import Network
from .recipes import DENORMALS, normal, recipe

# --- scale of activations -----------------------------------------------------------------------------


def run_up_to(model, node, feeds):
    """What the node gives, computed as the graph is written."""
    last = list(model.graph.node).index(node)
    graph = helper.make_graph(
        list(model.graph.node)[: last + 1],
        "part",
        list(model.graph.input),
        [onnx.ValueInfoProto(name=node.output[0])],
        list(model.graph.initializer),
    )
    part = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(part.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def standardised(model, feeds):
    """Gives every convolution outputs of mean 0 and deviation 1, as training with BatchNormalization does.

    Without it the products of SiLU and of squeeze-and-excitation grow or vanish from layer to layer. Channels are
    measured apart where a picture has enough pixels for it.
    """
    weights = {w.name: w for w in model.graph.initializer}
    for node in [n for n in model.graph.node if n.op_type == "Conv"]:
        y = run_up_to(model, node, feeds).astype(np.float64)
        axes = (0, 2, 3) if y.shape[2] * y.shape[3] > 16 else None
        mean, deviation = y.mean(axes), np.maximum(y.std(axes), 1e-3)
        factor = np.broadcast_to(1 / deviation, y.shape[1])
        kernel, bias = (weights[name] for name in node.input[1:3])
        scaled = numpy_helper.to_array(kernel) * factor[:, None, None, None]
        kernel.CopyFrom(numpy_helper.from_array(scaled.astype(np.float32), kernel.name))
        shifted = (numpy_helper.to_array(bias) - mean) * factor
        bias.CopyFrom(numpy_helper.from_array(shifted.astype(np.float32), bias.name))
    return model


PICTURE = normal(x=(1, 3, 224, 224))
BRIGHT = lambda random: {"images": random.uniform(0, 1, (1, 3, 320, 320)).astype(np.float32)}


# --- classifiers --------------------------------------------------------------------------------------


@recipe("efficientnet_b0", "vision", PICTURE, "depthwise convolutions, squeeze-and-excitation, SiLU, 0.39 GMAC")
def efficientnet_b0(get):
    net = Network(301)
    x, width = net.conv(net.input("x", np.float32, [1, 3, 224, 224]), 3, 32, 3, 2, activation="silu"), 32
    stages = [
        (1, 16, 1, 1, 3),
        (6, 24, 2, 2, 3),
        (6, 40, 2, 2, 5),
        (6, 80, 3, 2, 3),
        (6, 112, 3, 1, 5),
        (6, 192, 4, 2, 5),
        (6, 320, 1, 1, 3),
    ]
    for expansion, outputs, repeats, first_stride, kernel in stages:
        for i in range(repeats):
            stride, inner, narrow = first_stride if i == 0 else 1, width * expansion, max(1, width // 4)
            y = net.conv(x, width, inner, 1, activation="silu") if expansion > 1 else x
            y = net.conv(y, inner, inner, kernel, stride, group=inner, activation="silu")
            gate = net.conv(net.add("ReduceMean", y, axes=[2, 3], keepdims=1), inner, narrow, 1, activation="silu")
            y = net.add("Mul", y, net.add("Sigmoid", net.conv(gate, narrow, inner, 1)))
            y = net.conv(y, inner, outputs, 1)
            x, width = net.add("Add", y, x) if stride == 1 and width == outputs else y, outputs
    x = net.add("GlobalAveragePool", net.conv(x, width, 1280, 1, activation="silu"))
    net.output(net.gemm(net.add("Flatten", x, axis=1), 1280, 1000), shape=[1, 1000])
    return standardised(net.model(), PICTURE(np.random.default_rng(1)))


@recipe("convnext_tiny", "vision", PICTURE, "depthwise 7x7, LayerNormalization between Transposes, Gelu, 4.5 GMAC")
def convnext_tiny(get):
    net = Network(302)
    last = lambda x: net.transpose(x, 0, 2, 3, 1)
    first = lambda x: net.transpose(x, 0, 3, 1, 2)
    x = net.conv(net.input("x", np.float32, [1, 3, 224, 224]), 3, 96, 4, 4, pad=0)
    x, width = first(net.layer_norm(last(x), 96, 1e-6)), 96
    for size, repeats in ((96, 3), (192, 3), (384, 9), (768, 3)):
        if size != width:
            x = net.conv(first(net.layer_norm(last(x), width, 1e-6)), width, size, 2, 2, pad=0)
            width = size
        for _ in range(repeats):
            y = net.layer_norm(last(net.conv(x, width, width, 7, group=width)), width, 1e-6)
            y = net.linear(net.gelu(net.linear(y, width, 4 * width)), 4 * width, width)
            y = net.add("Mul", net.weight(net.random.uniform(0.2, 0.6, width)), y)
            x = net.add("Add", x, first(y))
    x = net.layer_norm(net.add("ReduceMean", x, axes=[2, 3], keepdims=0), width, 1e-6)
    net.output(net.gemm(net.add("Flatten", x, axis=1), width, 1000), shape=[1, 1000])
    return net.model()


# --- pictures out, boxes out --------------------------------------------------------------------------


@recipe(
    "unet_small",
    "vision",
    normal(x=(1, 3, 256, 256)),
    "32 to 512 channels, two transposed convolutions, two bilinear Resizes",
)
def unet_small(get):
    net = Network(303)
    twice = lambda x, inputs, outputs: net.conv(
        net.conv(x, inputs, outputs, 3, activation="Relu"), outputs, outputs, 3, activation="Relu"
    )
    x, width, skips = net.input("x", np.float32, [1, 3, 256, 256]), 3, []
    for size in (32, 64, 128, 256):
        x, width = twice(x, width, size), size
        skips.append(x)
        x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x, width = twice(x, width, 512), 512
    for i, skip in enumerate(reversed(skips)):
        size = width // 2
        if i % 2:
            x = net.add(
                "Resize",
                x,
                "",
                net.constant([1, 1, 2, 2], np.float32),
                mode="linear",
                coordinate_transformation_mode="half_pixel",
            )
            x = net.conv(x, width, size, 1)
        else:
            weights = net.weight(net.normal(width, size, 2, 2, deviation=width**-0.5))
            x = net.add("ConvTranspose", x, weights, net.bias(size), kernel_shape=[2, 2], strides=[2, 2])
        x, width = twice(net.add("Concat", skip, x, axis=1), 2 * size, size), size
    net.output(net.add("Sigmoid", net.conv(x, width, 1, 1)), shape=[1, 1, 256, 256])
    return net.model()


class Detector:
    """A one-stage detector of 320x320 pictures with cross-stage blocks and three scales."""

    def __init__(self, net):
        self.net = net

    def conv(self, x, inputs, outputs, kernel=1, stride=1):
        return self.net.conv(x, inputs, outputs, kernel, stride, activation="silu")

    def block(self, x, inputs, outputs, repeats, residual=True):
        half = outputs // 2
        left, right = self.conv(x, inputs, half), self.conv(x, inputs, half)
        for _ in range(repeats):
            y = self.conv(self.conv(left, half, half), half, half, 3)
            left = self.net.add("Add", left, y) if residual else y
        return self.conv(self.net.add("Concat", left, right, axis=1), outputs, outputs)

    def join(self, *values):
        return self.net.add("Concat", *values, axis=1)

    def up(self, x):
        return self.net.add(
            "Resize",
            x,
            "",
            self.net.constant([1, 1, 2, 2], np.float32),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    def backbone(self, x):
        x = self.block(self.conv(self.conv(x, 3, 16, 3, 2), 16, 32, 3, 2), 32, 32, 1)
        fine = self.block(self.conv(x, 32, 64, 3, 2), 64, 64, 2)
        middle = self.block(self.conv(fine, 64, 128, 3, 2), 128, 128, 3)
        x = self.conv(self.block(self.conv(middle, 128, 256, 3, 2), 256, 256, 1), 256, 128)
        pools = [x]
        for _ in range(3):
            pools.append(self.net.add("MaxPool", pools[-1], kernel_shape=[5, 5], pads=[2] * 4, strides=[1, 1]))
        return fine, middle, self.conv(self.join(*pools), 512, 256)

    def neck(self, fine, middle, coarse):
        top = self.conv(coarse, 256, 128)
        between = self.conv(self.block(self.join(self.up(top), middle), 256, 128, 1, False), 128, 64)
        fine = self.block(self.join(self.up(between), fine), 128, 64, 1, False)
        middle = self.block(self.join(self.conv(fine, 64, 64, 3, 2), between), 128, 128, 1, False)
        coarse = self.block(self.join(self.conv(middle, 128, 128, 3, 2), top), 256, 256, 1, False)
        return fine, middle, coarse

    def head(self, x, width, stride):
        """Boxes and scores of the classes of one scale."""
        net, cells = self.net, 320 // stride
        y = net.reshape(net.conv(x, width, 84, 1), 1, 84, cells * cells)
        centre, size, classes = net.add("Split", net.transpose(y, 0, 2, 1), net.constant([2, 2, 80]), outputs=3, axis=2)
        grid = np.stack(np.meshgrid(np.arange(cells), np.arange(cells)), -1).reshape(1, -1, 2)
        centre = net.add("Mul", net.add("Add", net.add("Sigmoid", centre), net.weight(grid)), net.scalar(stride))
        size = net.add("Mul", net.add("Exp", net.add("Sigmoid", size)), net.scalar(4 * stride))
        scores = net.add("Sigmoid", net.add("Sub", classes, net.scalar(3.2)))
        return net.add("Concat", centre, size, axis=2), scores


def detector(has_selection):
    net = Network(304)
    parts = Detector(net)
    scales = parts.neck(*parts.backbone(net.input("images", np.float32, [1, 3, 320, 320])))
    found = [parts.head(x, width, stride) for x, width, stride in zip(scales, (64, 128, 256), (8, 16, 32))]
    boxes, scores = (net.add("Concat", *values, axis=1) for values in zip(*found))
    net.output(boxes, shape=[1, 2100, 4])
    if has_selection:
        chosen = net.add(
            "NonMaxSuppression",
            boxes,
            net.transpose(scores, 0, 2, 1),
            net.constant([100]),
            net.constant([0.5], np.float32),
            net.constant([0.6], np.float32),
            center_point_box=1,
        )
        net.output(chosen, np.int64, ["chosen", 3])
    else:
        net.output(scores, shape=[1, 2100, 80])
    return standardised(net.model(), BRIGHT(np.random.default_rng(1)))


@recipe("yolo_like_320_raw", "vision", BRIGHT, "cross-stage blocks, SiLU, nearest Resize, 2100 boxes of 80 classes")
def yolo_like_raw(get):
    return detector(False)


@recipe("yolo_like_320", "vision", BRIGHT, "the same and NonMaxSuppression")
def yolo_like(get):
    return detector(True)


@recipe(
    "text_detector",
    "vision",
    normal(x=(1, 3, 320, 480)),
    "finds lines of text: depthwise blocks, four scales brought together by Resize, sigmoid; height and width free",
)
def text_detector(get):
    net = Network(305)
    x = net.conv(net.input("x", np.float32, ["batch", 3, "height", "width"]), 3, 16, 3, 2, activation="Relu")
    width, scales = 16, []
    for size, repeats in ((24, 2), (48, 2), (96, 3), (160, 2)):
        for i in range(repeats):
            y = net.conv(x, width, width, 3, 2 if i == 0 else 1, group=width, activation="Relu")
            y = net.conv(y, width, size, 1, activation="Relu")
            x, width = net.add("Add", x, y) if i else y, size
        scales.append(net.conv(x, size, 64, 1, bias=False))

    def resized(y, like):
        """`y` in the height and width of `like`, as interpolation to a given size is exported."""
        part = lambda value, begin, end: net.add(
            "Slice", net.add("Shape", value), net.constant([begin]), net.constant([end]), net.constant([0])
        )
        sizes = net.add("Concat", part(y, 0, 2), part(like, 2, 4), axis=0)
        how = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
        return net.add("Resize", y, "", "", sizes, **how)

    for i in (2, 1, 0):
        scales[i] = net.add("Add", scales[i], resized(scales[i + 1], scales[i]))
    parts = [net.conv(y, 64, 16, 3, activation="Relu") for y in scales]
    y = net.add("Concat", parts[0], *[resized(part, parts[0]) for part in parts[1:]], axis=1)
    y = net.conv(y, 64, 16, 3, activation="Relu")
    net.output(net.add("Sigmoid", net.conv(resized(y, "x"), 16, 1, 1)), shape=["batch", 1, "height", "width"])
    return net.model()


# --- one dimension ------------------------------------------------------------------------------------

WAVE = normal(x=(1, 256, 400))


@recipe(
    "tcn_separable",
    "one dimension",
    WAVE,
    "Conv-TasNet: 1x1, PRelu, BatchNormalization, depthwise with dilation 1 to 128, again, 1x1; 8 times",
)
def tcn_separable(get):
    net = Network(310)
    x = net.input("x", np.float32, [1, 256, 400])
    for i in range(8):
        y = net.batch_norm(net.conv(x, 256, 512, 1, rank=1, activation="prelu"), 512)
        y = net.conv(y, 512, 512, 3, group=512, dilation=2**i, rank=1, activation="prelu")
        x = net.add("Add", x, net.conv(net.batch_norm(y, 512), 512, 256, 1, rank=1))
    net.output(net.add("Sigmoid", net.conv(x, 256, 256, 1, rank=1)), shape=[1, 256, 400])
    return net.model()


@recipe(
    "tcn_dense",
    "one dimension",
    WAVE,
    "two dense convolutions of 3 taps, dilation 1 to 128, BatchNormalization, Relu, residual; 8 times",
)
def tcn_dense(get):
    net = Network(311)
    x = net.input("x", np.float32, [1, 256, 400])
    for i in range(8):
        y = x
        for _ in range(2):
            y = net.add("Relu", net.batch_norm(net.conv(y, 256, 256, 3, dilation=2**i, rank=1), 256))
        x = net.add("Relu", net.add("Add", x, y))
    net.output(net.conv(x, 256, 64, 1, rank=1), shape=[1, 64, 400])
    return net.model()


@recipe(
    "wave_m5",
    "one dimension",
    normal(x=(1, 1, 16000)),
    "classifier of one second of sound: 80 taps with stride 4, then 3 taps, BatchNormalization, MaxPool, to 512"
    " channels",
)
def wave_m5(get):
    net = Network(312)
    x, width = net.input("x", np.float32, [1, 1, 16000]), 1
    for size, kernel, stride in ((128, 80, 4), (128, 3, 1), (256, 3, 1), (512, 3, 1)):
        x = net.conv(x, width, size, kernel, stride, rank=1, pad=None if kernel == 3 else 0)
        x = net.add("MaxPool", net.add("Relu", net.batch_norm(x, size)), kernel_shape=[4], strides=[4])
        width = size
    x = net.reshape(net.add("GlobalAveragePool", x), 1, width)
    net.output(net.add("LogSoftmax", net.gemm(x, width, 35), axis=-1), shape=[1, 35])
    return net.model()


# --- denormals ----------------------------------------------------------------------------------------


def decaying(seed, gain):
    net = Network(seed)
    x = net.input("x", np.float32, [1, 32, 56, 56])
    for i in range(16):
        x = net.conv(x, 32, 32, 3, activation="Relu", bias=False, gain=np.sqrt(2) * (gain if i < 8 else 1))
    net.output(net.add("GlobalAveragePool", x), shape=[1, 32, 1, 1])
    return net.model()


@recipe(
    "denormal_cnn",
    "denormals",
    normal(x=(1, 32, 56, 56)),
    "16 convolutions; after 8 of them all values are about 1e-40",
    average=DENORMALS,
)
def denormal_cnn(get):
    return decaying(320, 1e-5)


@recipe("denormal_cnn_twin", "denormals", normal(x=(1, 32, 56, 56)), "the same in the normal range", average=DENORMALS)
def denormal_cnn_twin(get):
    return decaying(320, 1.0)
