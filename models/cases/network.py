"""A graph under construction whose weights are drawn as its layers are added."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

IR_VERSIONS = {17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 23: 11}
MICROSOFT, CLASSICAL = "com.microsoft", "ai.onnx.ml"


def type_of(dtype):
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


class Network:
    """Values are names. Small integers are Constant nodes as in PyTorch's exports, everything else an initializer."""

    def __init__(self, seed, opset=17, prefix="", classical=0):
        self.random = np.random.default_rng(seed)
        self.opset, self.classical, self.prefix = opset, classical, prefix
        self.nodes, self.initializers, self.inputs, self.outputs = [], [], [], []
        self.shared = {}  # contents of a constant -> its value

    # What a graph is made of

    def add(self, operator, *inputs, outputs=1, name=None, domain="", **attributes):
        """A node; returns its output, or the list of them."""
        stem = f"{self.prefix}{operator.lower()}_{len(self.nodes)}"
        names = [name or stem] if outputs == 1 else [f"{stem}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, name=stem, domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def input(self, name, dtype, shape):
        self.inputs.append(helper.make_tensor_value_info(name, type_of(dtype), shape))
        return name

    def output(self, value, dtype=np.float32, shape=None):
        self.outputs.append(helper.make_tensor_value_info(value, type_of(dtype), shape))

    def weight(self, values, dtype=np.float32):
        name = f"{self.prefix}weight_{len(self.initializers)}"
        self.initializers.append(
            numpy_helper.from_array(np.ascontiguousarray(values, dtype).reshape(np.shape(values)), name)
        )
        return name

    def constant(self, values, dtype=np.int64):
        array = np.asarray(values, dtype)
        key = (array.tobytes(), array.shape, array.dtype)
        if key not in self.shared:
            self.shared[key] = self.add("Constant", value=numpy_helper.from_array(array))
        return self.shared[key]

    def scalar(self, value):
        return self.constant(value, np.float32)

    def graph(self, name="graph"):
        return helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.initializers)

    def model(self, domains=()):
        opsets = [helper.make_opsetid("", self.opset)] + [helper.make_opsetid(d, 1) for d in domains]
        opsets += [helper.make_opsetid(CLASSICAL, self.classical)] if self.classical else []
        return helper.make_model(
            self.graph(), opset_imports=opsets, ir_version=IR_VERSIONS[self.opset], producer_name="random_cases.py"
        )

    # Random numbers

    def normal(self, *shape, deviation=1.0):
        return self.random.standard_normal(shape, np.float32) * np.float32(deviation)

    def bias(self, size):
        return self.weight(self.normal(size, deviation=0.05))

    def factors(self, *shape):
        """Around one, as the scale of a normalization."""
        return self.weight(self.random.uniform(0.8, 1.2, shape))

    # Shape arithmetic as it is exported where dimensions are free

    def size(self, value, axis):
        return self.add("Gather", self.add("Shape", value), self.constant(axis), axis=0)

    def shape(self, *sizes):
        """A list of numbers and of values that hold one."""
        parts = [
            self.add("Unsqueeze", s, self.constant([0])) if isinstance(s, str) else self.constant([s]) for s in sizes
        ]
        return self.add("Concat", *parts, axis=0)

    def reshape(self, value, *sizes):
        fixed = not any(isinstance(s, str) for s in sizes)
        return self.add("Reshape", value, self.constant(sizes) if fixed else self.shape(*sizes))

    def transpose(self, value, *order):
        return self.add("Transpose", value, perm=order)

    # Layers

    def linear(self, x, inputs, outputs, bias=True, gain=1.0):
        """PyTorch's Linear on data of three dimensions."""
        y = self.add("MatMul", x, self.weight(self.normal(inputs, outputs, deviation=gain / np.sqrt(inputs))))
        return self.add("Add", self.bias(outputs), y) if bias else y

    def gemm(self, x, inputs, outputs):
        weights = self.weight(self.normal(outputs, inputs, deviation=inputs**-0.5))
        return self.add("Gemm", x, weights, self.bias(outputs), alpha=1.0, beta=1.0, transB=1)

    def layer_norm(self, x, size, epsilon=1e-5):
        return self.add("LayerNormalization", x, self.factors(size), self.bias(size), axis=-1, epsilon=epsilon)

    def batch_norm(self, x, channels):
        parts = self.factors(channels), self.bias(channels), self.bias(channels), self.factors(channels)
        return self.add("BatchNormalization", x, *parts, epsilon=1e-5)

    def gelu(self, x):
        inner = self.add("Add", self.add("Erf", self.add("Div", x, self.scalar(np.sqrt(2)))), self.scalar(1))
        return self.add("Mul", self.add("Mul", x, inner), self.scalar(0.5))

    def silu(self, x):
        return self.add("Mul", x, self.add("Sigmoid", x))

    def activate(self, x, activation, channels, rank):
        if activation == "silu":
            return self.silu(x)
        if activation == "prelu":
            return self.add("PRelu", x, self.weight(np.full([channels] + [1] * rank, 0.25)))
        return self.add(activation, x) if activation else x

    def conv(
        self,
        x,
        inputs,
        outputs,
        kernel,
        stride=1,
        group=1,
        dilation=1,
        pad=None,
        rank=2,
        activation=None,
        bias=True,
        gain=None,
    ):
        """A convolution over `rank` dimensions of equal sizes, drawn so that values keep their magnitude."""
        gain = gain or {"Relu": np.sqrt(2), "silu": 1.6, "prelu": 1.2}.get(activation, 1.0)
        fan_in = inputs // group * kernel**rank
        weights = self.normal(outputs, inputs // group, *[kernel] * rank, deviation=gain / np.sqrt(fan_in))
        pad = (kernel - 1) * dilation // 2 if pad is None else pad
        y = self.add(
            "Conv",
            x,
            self.weight(weights),
            *([self.bias(outputs)] if bias else []),
            group=group,
            kernel_shape=[kernel] * rank,
            strides=[stride] * rank,
            dilations=[dilation] * rank,
            pads=[pad] * (2 * rank),
        )
        return self.activate(y, activation, outputs, rank)

    def recurrent(self, operator, x, inputs, hidden, both=False, batch=1, states=None):
        """LSTM, GRU or RNN as PyTorch exports it. Returns the sequence as [time, batch, features], and all outputs."""
        gates, directions = {"LSTM": 4, "GRU": 3, "RNN": 1}[operator], 2 if both else 1
        draw = lambda *shape: self.weight(self.random.uniform(-1.5, 1.5, (directions, *shape)) / np.sqrt(hidden))
        weights = draw(gates * hidden, inputs), draw(gates * hidden, hidden), draw(2 * gates * hidden)
        if states is None:
            states = [self.zero_state(directions, batch, hidden)] * (2 if operator == "LSTM" else 1)
        attributes = {"linear_before_reset": 1} if operator == "GRU" else {}
        outputs = self.add(
            operator,
            x,
            *weights,
            "",
            *states,
            outputs=3 if operator == "LSTM" else 2,
            hidden_size=hidden,
            direction="bidirectional" if both else "forward",
            **attributes,
        )
        if not both:
            return self.add("Squeeze", outputs[0], self.constant([1])), outputs
        return self.reshape(self.transpose(outputs[0], 0, 2, 1, 3), 0, 0, -1), outputs

    def zero_state(self, directions, batch, hidden):
        if isinstance(batch, int):
            return self.weight(np.zeros((directions, batch, hidden)))
        zero = numpy_helper.from_array(np.zeros(1, np.float32))
        return self.add("ConstantOfShape", self.shape(directions, batch, hidden), value=zero)
