"""Recurrent networks: whole sequences, a recogniser of text lines, one step of a filter of speech; loops over steps."""

import numpy as np

from .network import Network
from .recipes import normal, recipe

# --- sequences ----------------------------------------------------------------------------------------


def sequence_model(seed, operator, layers, both):
    net, width = Network(seed), 128
    x = net.input("x", np.float32, [100, 1, width])
    for _ in range(layers):
        x, _ = net.recurrent(operator, x, width, 256, both)
        width = 512 if both else 256
    net.output(net.linear(x, width, 64), shape=[100, 1, 64])
    return net.model()


SEQUENCE = normal(x=(100, 1, 128))


@recipe("lstm_2x256", "recurrent", SEQUENCE, "two LSTMs of 256, 100 steps, batch 1, and a linear layer")
def lstm(get):
    return sequence_model(201, "LSTM", 2, False)


@recipe("bilstm_2x256", "recurrent", SEQUENCE, "the same in both directions")
def bilstm(get):
    return sequence_model(202, "LSTM", 2, True)


@recipe("gru_256", "recurrent", SEQUENCE, "a GRU of 256 (linear_before_reset), 100 steps")
def gru(get):
    return sequence_model(203, "GRU", 1, False)


@recipe("rnn_2x256", "recurrent", SEQUENCE, "two plain RNNs of 256, 100 steps")
def rnn(get):
    return sequence_model(204, "RNN", 2, False)


@recipe(
    "crnn",
    "recurrent",
    normal(x=(1, 1, 32, 320)),
    "recogniser of text lines: convolutions of 32x320 to 80 steps of 512, two bidirectional LSTMs of 256, 6000 classes;"
    " batch and width free",
)
def crnn(get):
    net = Network(205)
    x = net.input("x", np.float32, ["batch", 1, 32, "width"])

    def stage(x, sizes, pool):
        for inputs, outputs in zip(sizes, sizes[1:]):
            x = net.conv(x, inputs, outputs, 3, activation="Relu")
        return net.add("MaxPool", x, kernel_shape=pool, strides=pool)

    x = stage(stage(x, (1, 64), [2, 2]), (64, 128), [2, 2])
    x = stage(stage(x, (128, 256, 256), [2, 1]), (256, 512, 512), [4, 1])
    x = net.transpose(net.add("Squeeze", x, net.constant([2])), 2, 0, 1)
    x, _ = net.recurrent("LSTM", x, 512, 256, True, net.size(x, 1))
    x = net.linear(x, 512, 256)
    x, _ = net.recurrent("LSTM", x, 256, 256, True, net.size(x, 1))
    net.output(net.linear(x, 512, 6000), shape=["time", "batch", 6000])
    return net.model()


def speech_frame(random):
    return {
        "magnitude": random.uniform(0, 2, (1, 1, 257)).astype(np.float32),
        "state": random.uniform(-0.5, 0.5, (2, 2, 1, 1, 128)).astype(np.float32),
    }


@recipe(
    "dtln_step",
    "recurrent",
    speech_frame,
    "one frame: two LSTMs of 128 with their states as input and output, a mask of 257",
)
def dtln_step(get):
    net, hidden, width = Network(206), 128, 257
    y = magnitude = net.input("magnitude", np.float32, [1, 1, 257])
    state = net.input("state", np.float32, [2, 2, 1, 1, hidden])
    join = lambda values: net.add("Concat", *[net.add("Unsqueeze", v, net.constant([0])) for v in values], axis=0)
    states = []
    for layer in range(2):
        own = net.add("Gather", state, net.constant(layer), axis=0)
        own = [net.add("Gather", own, net.constant(part), axis=0) for part in range(2)]
        y, (_, *after) = net.recurrent("LSTM", y, width, hidden, states=own)
        states.append(join(after))
        width = hidden
    net.output(net.add("Mul", net.add("Sigmoid", net.linear(y, hidden, 257)), magnitude), shape=[1, 1, 257])
    net.output(join(states), shape=[2, 2, 1, 1, hidden])
    return net.model()


# --- loops --------------------------------------------------------------------------------------------

STEPS, HIDDEN, WORDS = 50, 256, 1000


def outer_weights(net):
    weights = {
        "words": net.weight(net.normal(WORDS, HIDDEN)),
        "one": net.weight([1.0]),
        "logits": net.weight(net.normal(HIDDEN, WORDS, deviation=0.2)),
    }
    for gate in ("update", "reset", "new"):
        square = lambda: net.weight(net.normal(HIDDEN, HIDDEN, deviation=HIDDEN**-0.5))
        weights[gate] = square(), square(), net.bias(HIDDEN)
    return weights


def step_body(net, weights, state, token, place):
    """A gated unit and the choice of the next word, with weights of the graph around."""
    x = net.add("Add", net.add("Gather", weights["words"], token, axis=0), place)

    def gate(name, state, activation):
        from_input, from_state, bias = weights[name]
        y = net.add("Add", net.add("MatMul", x, from_input), net.add("MatMul", state, from_state))
        return net.add(activation, net.add("Add", y, bias))

    update, reset = gate("update", state, "Sigmoid"), gate("reset", state, "Sigmoid")
    new = gate("new", net.add("Mul", reset, state), "Tanh")
    kept = net.add("Mul", net.add("Sub", weights["one"], update), new)
    state = net.add("Add", kept, net.add("Mul", update, state))
    logits = net.add("MatMul", state, weights["logits"])
    return state, logits, net.add("ArgMax", logits, axis=1, keepdims=0)


def loop_model(seed, is_loop):
    net, body = Network(seed), Network(seed + 1, prefix="body_")
    weights = outer_weights(net)
    state, token = net.input("state", np.float32, [1, HIDDEN]), net.input("token", np.int64, [1])
    if is_loop:
        step, go_on = body.input("step", np.int64, []), body.input("go_on", bool, [])
    inner_state = body.input("inner_state", np.float32, [1, HIDDEN])
    inner_token = body.input("inner_token", np.int64, [1])
    if is_loop:
        place = body.add("Gather", body.weight(body.normal(STEPS, HIDDEN, deviation=0.5)), step, axis=0)
    else:
        place = body.input("place", np.float32, [HIDDEN])
    new_state, logits, chosen = step_body(body, weights, inner_state, inner_token, place)
    if is_loop:
        body.output(body.add("Identity", go_on), bool, [])
    for value, dtype, shape in (
        (new_state, np.float32, [1, HIDDEN]),
        (chosen, np.int64, [1]),
        (body.add("Identity", chosen), np.int64, [1]),
        (logits, np.float32, [1, WORDS]),
    ):
        body.output(value, dtype, shape)
    if is_loop:
        y = net.add(
            "Loop",
            net.weight(STEPS, np.int64),
            net.weight(True, bool),
            state,
            token,
            outputs=4,
            body=body.graph("body"),
        )
    else:
        places = net.input("places", np.float32, [STEPS, HIDDEN])
        y = net.add("Scan", state, token, places, outputs=4, body=body.graph("body"), num_scan_inputs=1)
    net.output(y[0], shape=[1, HIDDEN])
    net.output(y[2], np.int64, [STEPS, 1])
    net.output(y[3], shape=[STEPS, 1, WORDS])
    return net.model()


def loop_inputs(random):
    return {"state": random.standard_normal((1, HIDDEN), np.float32), "token": np.array([7])}


def scan_inputs(random):
    return {**loop_inputs(random), "places": random.standard_normal((STEPS, HIDDEN), np.float32) * np.float32(0.5)}


@recipe(
    "loop_decoder_50", "loops", loop_inputs, "Loop of 50 steps: Gather, 6 products of 256x256, one of 256x1000, ArgMax"
)
def loop_decoder(get):
    return loop_model(210, True)


@recipe("scan_decoder_50", "loops", scan_inputs, "the same as Scan")
def scan_decoder(get):
    return loop_model(212, False)
