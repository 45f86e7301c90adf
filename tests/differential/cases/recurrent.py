"""RNN, GRU, LSTM."""

import numpy as np
from onnx import TensorProto, helper

from tests.differential.case import Case, chance, operator, pick, types_of

# Names, and how many of alpha and beta each takes.
FUNCTIONS = {"Relu": 0, "Tanh": 0, "Sigmoid": 0, "Affine": 2, "LeakyRelu": 1, "ThresholdedRelu": 1, "ScaledTanh": 2,
             "HardSigmoid": 2, "Elu": 1, "Softsign": 0, "Softplus": 0}


def uniform(random, type_, shape, scale=1.0):
    return (random.uniform(-1, 1, shape) * scale).astype(type_)


def functions(random, count):
    names = [pick(random, list(FUNCTIONS)) for _ in range(count)]
    alphas = [float(np.float32(random.uniform(0.2, 0.6))) for name in names if FUNCTIONS[name] > 0]
    betas = [float(np.float32(random.uniform(0.2, 0.6))) for name in names if FUNCTIONS[name] > 1]
    lists = {"activations": names, "activation_alpha": alphas, "activation_beta": betas}
    return {name: values for name, values in lists.items() if values}


DEFAULTS = {"Affine": (1, 0), "LeakyRelu": (0.01,), "ThresholdedRelu": (1,), "ScaledTanh": (1, 1),
            "HardSigmoid": (0.2, 0.5), "Elu": (1,)}


def evaluate(name, x, alpha=0.0, beta=0.0):
    formulas = {
        "Relu": lambda: np.maximum(x, 0), "Tanh": lambda: np.tanh(x), "Sigmoid": lambda: 1 / (1 + np.exp(-x)),
        "Affine": lambda: alpha * x + beta, "LeakyRelu": lambda: np.where(x >= 0, x, alpha * x),
        "ThresholdedRelu": lambda: np.where(x >= alpha, x, 0), "ScaledTanh": lambda: alpha * np.tanh(beta * x),
        "HardSigmoid": lambda: np.clip(alpha * x + beta, 0, 1), "Elu": lambda: np.where(x >= 0, x, alpha * np.expm1(x)),
        "Softsign": lambda: x / (1 + np.abs(x)), "Softplus": lambda: np.log1p(np.exp(x))}
    return formulas[name]()


def written_out(name, gates, per_direction, attributes):
    """The equations of the definition: onnx.reference knows neither lengths nor most attributes, onnxruntime not the early
    versions, nor layout 1, nor types but float; and it leaves out the clip in front of LSTM's h, though "Clipping bounds the
    elements of a tensor in the range of [-threshold, +threshold] and is applied to the input of activations"."""
    names = attributes.get("activations") or {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"],
                                              "LSTM": ["Sigmoid", "Tanh", "Tanh"]}[name] * 2
    lists = [list(attributes.get("activation_alpha", [])), list(attributes.get("activation_beta", []))]
    numbers = []
    for function in names[:per_direction * (2 if attributes["direction"] == "bidirectional" else 1)]:
        defaults = DEFAULTS.get(function, ())
        numbers.append([lists[k].pop(0) if k < FUNCTIONS[function] and lists[k] else defaults[k]
                        for k in range(len(defaults))])
    clip = attributes.get("clip", np.inf)

    def activate(direction, k, x):
        at = direction * per_direction + k
        return evaluate(names[at], np.clip(x, -clip, clip), *numbers[at])

    def step(direction, inputs, h, c, r, rb, p):
        part = lambda g, of: inputs[g] + r[g] @ of + rb[g]  # noqa: E731
        if name == "RNN":
            return activate(direction, 0, part(0, h)), c
        if name == "GRU":
            z, reset = activate(direction, 0, part(0, h)), activate(direction, 0, part(1, h))
            linear = attributes.get("linear_before_reset")
            state = reset * (r[2] @ h + rb[2]) if linear else r[2] @ (reset * h) + rb[2]
            return (1 - z) * activate(direction, 1, inputs[2] + state) + z * h, c
        i = activate(direction, 0, part(0, h) + p[0] * c)
        f = 1 - i if attributes.get("input_forget") else activate(direction, 0, part(2, h) + p[2] * c)
        c = f * c + i * activate(direction, 1, part(3, h))
        return activate(direction, 0, part(1, h) + p[1] * c) * activate(direction, 2, c), c

    def compute(*given):
        type_ = given[0].dtype
        x, w, r, b, lengths, h0, c0, p = [*(None if v is None else v.astype(np.float64) for v in given), *[None] * 8][:8]
        flip = bool(attributes.get("layout"))
        if flip:
            x, h0, c0 = (v if v is None else np.swapaxes(v, 0, 1) for v in (x, h0, c0))
        (steps, batch, _), directions, hidden = x.shape, w.shape[0], r.shape[2]
        y = np.zeros((steps, directions, batch, hidden))
        last = [np.zeros((directions, batch, hidden)) for _ in range(2)]
        for d, n in np.ndindex(directions, batch):
            length = steps if lengths is None else int(lengths[n])
            order = range(length - 1, -1, -1) if d or attributes["direction"] == "reverse" else range(length)
            h, c = (np.zeros(hidden) if v is None else v[d, n] for v in (h0, c0))
            biases = np.zeros((2, gates, hidden)) if b is None else b[d].reshape(2, gates, hidden)
            peepholes = np.zeros((3, hidden)) if p is None else p[d].reshape(3, hidden)
            for t in order:
                inputs = (w[d] @ x[t, n]).reshape(gates, hidden) + biases[0]
                h, c = step(d, inputs, h, c, r[d].reshape(gates, hidden, hidden), biases[1], peepholes)
                y[t, d, n] = h
            last[0][d, n], last[1][d, n] = h, c
        if flip:
            y, last = np.transpose(y, (2, 0, 1, 3)), [np.swapaxes(v, 0, 1) for v in last]
        return [v.astype(type_) for v in [y, *last][:3 if name == "LSTM" else 2]]
    return compute


def recurrent(name, gates, per_direction):
    def make(random, version, index):
        types = types_of(name, "T", version)
        type_ = np.float32 if index % 3 else types[index // 3 % len(types)]
        steps, batch = int(random.integers(1, 6)), int(random.integers(1, 5))
        inputs, hidden = int(random.integers(1, 9)), int(random.integers(1, 9))
        direction = pick(random, ("forward", "reverse", "bidirectional"))
        directions = 2 if direction == "bidirectional" else 1
        attributes = {"hidden_size": hidden, "direction": direction}
        flip = version >= 14 and chance(random, 0.3)
        if flip:
            attributes["layout"] = 1
        if chance(random, 0.4):
            attributes.update(functions(random, per_direction * directions))
        if chance(random, 0.2):
            attributes["clip"] = float(np.float32(random.uniform(0.2, 1)))
        if name == "GRU" and version >= 3 and chance(random):
            attributes["linear_before_reset"] = 1
        if name == "LSTM" and chance(random, 0.2):
            attributes["input_forget"] = 1
        x = uniform(random, type_, (batch, steps, inputs) if flip else (steps, batch, inputs))
        w = uniform(random, type_, (directions, gates * hidden, inputs), inputs ** -0.5)
        r = uniform(random, type_, (directions, gates * hidden, hidden), hidden ** -0.5)
        b = uniform(random, type_, (directions, 2 * gates * hidden)) if chance(random, 0.7) else None
        lengths = random.integers(1, steps + 1, batch).astype(np.int32) if chance(random) else None
        states = (batch, directions, hidden) if flip else (directions, batch, hidden)
        h = uniform(random, type_, states) if chance(random) else None
        values = [x, w, r, b, lengths, h]
        if name == "LSTM":
            values.append(uniform(random, type_, states) if chance(random) else None)
            values.append(uniform(random, type_, (directions, 3 * hidden)) if chance(random) else None)
        while values[-1] is None:
            values.pop()
        constants = (1, 2) if chance(random) else ()
        own = version < 7 or flip or type_ != np.float32 or (name == "LSTM" and "clip" in attributes)
        expected = written_out(name, gates, per_direction, attributes) if own else None
        return Case(values, attributes, outputs=3 if name == "LSTM" else 2, constants=constants, expected=expected)
    return make


for name, gates, per_direction in (("RNN", 1, 1), ("GRU", 3, 2), ("LSTM", 4, 3)):
    operator(name, tolerance="rtol=1e-4 atol=2e-6", narrow={"float16": "rtol=5e-3 atol=5e-3"})(
        recurrent(name, gates, per_direction))


@operator("DynamicQuantizeLSTM", "com.microsoft", versions=(1,), tolerance="rtol=1e-5 atol=2e-6")
def dynamic_quantize_lstm(random, version, index):
    """Sequences are all as long as X: onnxruntime counts steps behind their ends among those whose range it takes. Nor is
    there a clip, which it leaves out in front of h."""
    directions = ("forward", "reverse", "bidirectional")[index % 3]
    d, steps, batch, size, n = 1 + (index % 3 == 2), *(int(random.integers(1, most)) for most in (6, 6, 40, 24))
    type_ = pick(random, (np.int8, np.uint8))
    inputs = [uniform(random, np.float32, (steps, batch, size))] + [None] * 11
    parameters = (d, 4 * n) if chance(random) else (d,)
    for place, depth in ((1, size), (2, n)):
        low, high = (-128, 128) if type_ == np.int8 else (0, 256)
        zeros = np.full(parameters, 0 if type_ == np.int8 and len(parameters) > 1 else random.integers(low, high))
        inputs[place] = random.integers(low, high, (d, depth, 4 * n)).astype(type_)
        inputs[6 + 2 * place] = (random.uniform(0.5, 1, parameters) / 100 / np.sqrt(depth)).astype(np.float32)
        inputs[7 + 2 * place] = zeros.astype(type_)
    if chance(random):
        inputs[3] = uniform(random, np.float32, (d, 8 * n), 0.5)
    if chance(random, 0.3):
        inputs[4] = np.full(batch, steps, np.int32)
    if chance(random):
        inputs[5], inputs[6] = (uniform(random, np.float32, (d, batch, n)) for _ in range(2))
    if chance(random, 0.3):
        inputs[7] = uniform(random, np.float32, (d, 3 * n))
    attributes = {"hidden_size": n, "direction": directions}
    if chance(random, 0.2):
        attributes["input_forget"] = 1
    output = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    constants = (1, 2, 8, 9, 10, 11) if chance(random, 0.7) else ()
    return Case(inputs, attributes, outputs=3, constants=constants, output_types=[output] * 3)
