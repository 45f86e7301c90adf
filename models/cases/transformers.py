"""Transformers: encoders and decoders as PyTorch's exporter writes them, and by the operators of opset 23."""

import numpy as np
from onnx import TensorProto

from .network import Network
from .recipes import normal, recipe

MASKED = np.finfo(np.float32).min


# --- encoders -----------------------------------------------------------------------------------------


def heads(net, x, count, size, order, fixed):
    """[batch, time, features] with the heads apart, in the given order of dimensions."""
    batch, time = fixed or (net.size(x, 0), net.size(x, 1))
    return net.transpose(net.reshape(x, batch, time, count, size), *order)


def post_norm_layer(net, x, hidden, count, mask, fixed):
    """A layer of BERT. `fixed` is (batch, time), or None where both are free."""
    size = hidden // count
    q = heads(net, net.linear(x, hidden, hidden), count, size, (0, 2, 1, 3), fixed)
    k = heads(net, net.linear(x, hidden, hidden), count, size, (0, 2, 3, 1), fixed)
    v = heads(net, net.linear(x, hidden, hidden), count, size, (0, 2, 1, 3), fixed)
    scores = net.add("Add", net.add("Div", net.add("MatMul", q, k), net.scalar(np.sqrt(size))), mask)
    y = net.transpose(net.add("MatMul", net.add("Softmax", scores, axis=-1), v), 0, 2, 1, 3)
    batch, time = fixed or (net.size(y, 0), net.size(y, 1))
    y = net.linear(net.reshape(y, batch, time, hidden), hidden, hidden)
    x = net.layer_norm(net.add("Add", y, x), hidden, 1e-12)
    y = net.linear(net.gelu(net.linear(x, hidden, 4 * hidden)), 4 * hidden, hidden)
    return net.layer_norm(net.add("Add", y, x), hidden, 1e-12)


def additive_mask(net, attention):
    mask = net.add("Unsqueeze", net.add("Unsqueeze", attention, net.constant([1])), net.constant([2]))
    mask = net.add("Sub", net.scalar(1), net.add("Cast", mask, to=TensorProto.FLOAT))
    return net.add("Mul", mask, net.scalar(MASKED))


def bert(seed, layers, hidden, count, time=None, vocabulary=30522):
    """Without `time` batch and length are free, and the model ends as sentence encoders do: mean and unit length."""
    net = Network(seed)
    dims = [1, time] if time else ["batch", "time"]
    ids = net.input("input_ids", np.int64, dims)
    attention = net.input("attention_mask", np.int64, dims)
    kinds = net.input("token_type_ids", np.int64, dims)
    mask = additive_mask(net, attention)
    x = net.add("Gather", net.weight(net.normal(vocabulary, hidden, deviation=0.5)), ids)
    x = net.add("Add", x, net.add("Gather", net.weight(net.normal(2, hidden, deviation=0.5)), kinds))
    if time:
        places = net.weight(np.arange(time)[None], np.int64)
    else:
        last = net.add("Unsqueeze", net.size(ids, 1), net.constant([0]))
        places = net.add(
            "Slice", net.weight(np.arange(512)[None], np.int64), net.constant([0]), last, net.constant([1])
        )
    x = net.add("Add", x, net.add("Gather", net.weight(net.normal(512, hidden, deviation=0.5)), places))
    x = net.layer_norm(x, hidden, 1e-12)
    for _ in range(layers):
        x = post_norm_layer(net, x, hidden, count, mask, (1, time) if time else None)
    if time:
        net.output(x, shape=[*dims, hidden])
        first = net.gemm(net.add("Gather", x, net.constant(0), axis=1), hidden, hidden)
        net.output(net.add("Tanh", first), shape=[1, hidden])
    else:
        net.output(sentence(net, x, attention), shape=["batch", hidden])
    return net.model()


def sentence(net, x, attention):
    mask = net.add("Expand", net.add("Unsqueeze", attention, net.constant([-1])), net.add("Shape", x))
    mask = net.add("Cast", mask, to=TensorProto.FLOAT)
    total = net.add("ReduceSum", net.add("Mul", x, mask), net.constant([1]), keepdims=0)
    count = net.add("Clip", net.add("ReduceSum", mask, net.constant([1]), keepdims=0), net.scalar(1e-9))
    mean = net.add("Div", total, count)
    length = net.add("Clip", net.add("ReduceL2", mean, axes=[1], keepdims=1), net.scalar(1e-12))
    return net.add("Div", mean, net.add("Expand", length, net.add("Shape", mean)))


def tokens(batch, time):
    """Ids, with rows of a batch that end earlier and earlier."""

    def draw(random):
        mask = np.ones((batch, time), np.int64)
        for row in range(1, batch):
            mask[row, time - row * (time // 16) :] = 0
        return {
            "input_ids": random.integers(0, 30522, (batch, time)),
            "attention_mask": mask,
            "token_type_ids": np.zeros((batch, time), np.int64),
        }

    return draw


@recipe("bert_base_128", "transformers", tokens(1, 128), "12 layers of 768, 12 heads, 128 tokens, 11.2 GMAC")
def bert_base(get):
    return bert(101, 12, 768, 12, 128)


@recipe("bert_tiny_32", "transformers", tokens(1, 32), "2 layers of 128, 32 tokens")
def bert_tiny(get):
    return bert(102, 2, 128, 2, 32)


@recipe(
    "minilm_6x384",
    "transformers",
    {"minilm_128": tokens(1, 128), "minilm_128_batch8": tokens(8, 128)},
    "6 layers of 384, 12 heads, free batch and length; 8 rows padded",
)
def minilm(get):
    return bert(103, 6, 384, 12)


def pre_norm_mlp(net, x, hidden, epsilon):
    y = net.linear(net.gelu(net.linear(net.layer_norm(x, hidden, epsilon), hidden, 4 * hidden)), 4 * hidden, hidden)
    return net.add("Add", x, y)


@recipe("vit_small_224", "transformers", normal(pixels=(1, 3, 224, 224)), "12 layers of 384, 197 tokens, 4.6 GMAC")
def vit_small(get):
    net, hidden, count, time = Network(104), 384, 6, 197
    x = net.conv(net.input("pixels", np.float32, [1, 3, 224, 224]), 3, hidden, 16, 16, pad=0)
    x = net.transpose(net.reshape(x, 1, hidden, 196), 0, 2, 1)
    x = net.add("Concat", net.weight(net.normal(1, 1, hidden, deviation=0.5)), x, axis=1)
    x = net.add("Add", x, net.weight(net.normal(1, time, hidden, deviation=0.5)))
    for _ in range(12):
        y = net.linear(net.layer_norm(x, hidden, 1e-6), hidden, 3 * hidden)
        y = net.transpose(net.reshape(y, 1, time, 3, count, hidden // count), 2, 0, 3, 1, 4)
        q, k, v = (net.add("Gather", y, net.constant(i), axis=0) for i in range(3))
        q = net.add("Mul", q, net.scalar((hidden // count) ** -0.5))
        scores = net.add("MatMul", q, net.transpose(k, 0, 1, 3, 2))
        y = net.transpose(net.add("MatMul", net.add("Softmax", scores, axis=-1), v), 0, 2, 1, 3)
        x = net.add("Add", x, net.linear(net.reshape(y, 1, time, hidden), hidden, hidden))
        x = pre_norm_mlp(net, x, hidden, 1e-6)
    x = net.add("Gather", net.layer_norm(x, hidden, 1e-6), net.constant(0), axis=1)
    net.output(net.gemm(x, hidden, 1000), shape=[1, 1000])
    return net.model()


@recipe(
    "whisper_tiny_encoder",
    "transformers",
    normal(features=(1, 80, 3000)),
    "2 convolutions, 4 layers of 384 on 1500 frames, about 19 GMAC",
)
def whisper_tiny_encoder(get):
    net, hidden, count, time = Network(105), 384, 6, 1500
    x = net.gelu(net.conv(net.input("features", np.float32, [1, 80, 3000]), 80, hidden, 3, rank=1))
    x = net.gelu(net.conv(x, hidden, hidden, 3, 2, pad=1, rank=1))
    x = net.add("Add", net.transpose(x, 0, 2, 1), net.weight(net.normal(time, hidden, deviation=0.5)))
    for _ in range(4):
        y = net.layer_norm(x, hidden)
        q = net.add("Mul", net.linear(y, hidden, hidden), net.scalar((hidden // count) ** -0.5))
        k, v = net.linear(y, hidden, hidden, bias=False), net.linear(y, hidden, hidden)
        apart = lambda z: net.transpose(net.reshape(z, 1, time, count, hidden // count), 0, 2, 1, 3)
        q, k, v = (net.reshape(apart(z), count, time, hidden // count) for z in (q, k, v))
        weights = net.add("Softmax", net.add("MatMul", q, net.transpose(k, 0, 2, 1)), axis=-1)
        y = net.transpose(net.reshape(net.add("MatMul", weights, v), 1, count, time, hidden // count), 0, 2, 1, 3)
        x = net.add("Add", x, net.linear(net.reshape(y, 1, time, hidden), hidden, hidden))
        x = pre_norm_mlp(net, x, hidden, 1e-5)
    net.output(net.layer_norm(x, hidden), shape=[1, time, hidden])
    return net.model()


# --- decoders -----------------------------------------------------------------------------------------


GPT2 = {"layers": 12, "hidden": 768, "heads": 12, "vocabulary": 50257}


def gpt2_step(past):
    """The next token after `past` of them."""

    def draw(random):
        size = GPT2["hidden"] // GPT2["heads"]
        feeds = {
            "input_ids": random.integers(0, GPT2["vocabulary"], (1, 1)),
            "attention_mask": np.ones((1, past + 1), np.int64),
            "position_ids": np.full((1, 1), past, np.int64),
        }
        for layer in range(GPT2["layers"]):
            for part in ("key", "value"):
                feeds[f"past_key_values.{layer}.{part}"] = random.standard_normal(
                    (1, GPT2["heads"], past, size), np.float32
                )
        return feeds

    return draw


def reshaped_gemm(net, x, inputs, outputs):
    """GPT-2's Conv1D: a Gemm on two dimensions between Reshapes."""
    weights = net.weight(net.normal(inputs, outputs, deviation=inputs**-0.5))
    y = net.add("Gemm", net.reshape(x, -1, inputs), weights, net.bias(outputs), alpha=1.0, beta=1.0)
    return net.reshape(y, net.size(x, 0), net.size(x, 1), outputs)


def tanh_gelu(net, x):
    cubic = net.add("Mul", net.add("Pow", x, net.scalar(3)), net.scalar(0.044715))
    inner = net.add("Tanh", net.add("Mul", net.add("Add", x, cubic), net.scalar(np.sqrt(2 / np.pi))))
    return net.add("Mul", net.add("Mul", x, net.scalar(0.5)), net.add("Add", inner, net.scalar(1)))


def cached_attention(net, x, layer, causal, mask, count, size):
    """Attention over past and new keys; the part of the causal mask in use is cut out for each run."""
    hidden = count * size
    parts = net.add("Split", reshaped_gemm(net, x, hidden, 3 * hidden), net.constant([hidden] * 3), outputs=3, axis=2)
    q, k, v = (heads(net, part, count, size, (0, 2, 1, 3), None) for part in parts)
    past = [
        net.input(f"past_key_values.{layer}.{part}", np.float32, ["batch", count, "past", size])
        for part in ("key", "value")
    ]
    k = net.add("Concat", past[0], k, axis=2, name=f"present.{layer}.key")
    v = net.add("Concat", past[1], v, axis=2, name=f"present.{layer}.value")
    scores = net.add("Div", net.add("MatMul", q, net.transpose(k, 0, 1, 3, 2)), net.scalar(np.sqrt(size)))
    total = net.size(k, 2)
    begin = net.add("Unsqueeze", net.add("Sub", total, net.size(q, 2)), net.constant([0]))
    end = net.add("Unsqueeze", total, net.constant([0]))
    seen = net.add("Slice", causal, begin, end, net.constant([2]))
    seen = net.add("Slice", seen, net.constant([0]), end, net.constant([3]))
    scores = net.add("Where", seen, scores, net.scalar(MASKED))
    weights = net.add("Softmax", net.add("Add", scores, mask), axis=-1)
    y = net.transpose(net.add("MatMul", weights, v), 0, 2, 1, 3)
    y = net.reshape(y, net.size(y, 0), net.size(y, 1), hidden)
    return reshaped_gemm(net, y, hidden, hidden), (k, v)


@recipe(
    "gpt2_decode",
    "transformers",
    gpt2_step(128),
    "one token after 128, 12 layers of 768, key-value cache, everything free; memory-bound",
)
def gpt2_decode(get):
    net, hidden, count, vocabulary = Network(106), GPT2["hidden"], GPT2["heads"], GPT2["vocabulary"]
    size = hidden // count
    ids = net.input("input_ids", np.int64, ["batch", "time"])
    attention = net.input("attention_mask", np.int64, ["batch", "total"])
    places = net.input("position_ids", np.int64, ["batch", "time"])
    causal = net.weight(np.tril(np.ones((1, 1, 1024, 1024), bool)), bool)
    mask = additive_mask(net, attention)
    words = net.normal(vocabulary, hidden, deviation=0.5)
    x = net.add("Gather", net.weight(words), ids)
    x = net.add("Add", x, net.add("Gather", net.weight(net.normal(1024, hidden, deviation=0.2)), places))
    caches = []
    for layer in range(GPT2["layers"]):
        y, cache = cached_attention(net, net.layer_norm(x, hidden), layer, causal, mask, count, size)
        caches += cache
        x = net.add("Add", y, x)
        y = reshaped_gemm(net, net.layer_norm(x, hidden), hidden, 4 * hidden)
        x = net.add("Add", x, reshaped_gemm(net, tanh_gelu(net, y), 4 * hidden, hidden))
    logits = net.add("MatMul", net.layer_norm(x, hidden), net.weight(words.T * np.float32(0.1)))
    net.output(logits, shape=["batch", "time", vocabulary])
    for cache in caches:
        net.output(cache, shape=["batch", count, "total", size])
    return net.model()


# --- the operators of opset 23 ------------------------------------------------------------------------


@recipe(
    "attention_op_encoder",
    "transformers",
    normal(x=(1, 128, 384)),
    "Attention and Gelu of opset 23, 4 layers of 384, 128 tokens",
)
def attention_op_encoder(get):
    net, hidden, count = Network(107, 23), 384, 6
    x = net.input("x", np.float32, [1, 128, hidden])
    for _ in range(4):
        y = net.layer_norm(x, hidden)
        q, k, v = (net.linear(y, hidden, hidden) for _ in range(3))
        y = net.add("Attention", q, k, v, q_num_heads=count, kv_num_heads=count)
        x = net.add("Add", x, net.linear(y, hidden, hidden))
        y = net.add("Gelu", net.linear(net.layer_norm(x, hidden), hidden, 4 * hidden))
        x = net.add("Add", x, net.linear(y, 4 * hidden, hidden))
    net.output(net.layer_norm(x, hidden), shape=[1, 128, hidden])
    return net.model()


LLAMA = {"layers": 4, "hidden": 512, "heads": 8, "groups": 2, "inner": 1376, "vocabulary": 8000}


def grouped_step(past):
    def draw(random):
        size = LLAMA["hidden"] // LLAMA["heads"]
        feeds = {
            "x": random.standard_normal((1, 1, LLAMA["hidden"]), np.float32),
            "position_ids": np.full((1, 1), past, np.int64),
        }
        for layer in range(LLAMA["layers"]):
            for part in ("key", "value"):
                feeds[f"past_{part}.{layer}"] = random.standard_normal((1, LLAMA["groups"], past, size), np.float32)
        return feeds

    return draw


@recipe(
    "attention_op_decode",
    "transformers",
    grouped_step(256),
    "one token after 256: Attention with 8 heads in 2 groups, RotaryEmbedding, RMSNormalization, SwiGLU, 4 layers"
    " of 512",
)
def attention_op_decode(get):
    net, hidden, count, groups = Network(108, 23), LLAMA["hidden"], LLAMA["heads"], LLAMA["groups"]
    size, inner = hidden // count, LLAMA["inner"]
    x = net.input("x", np.float32, [1, 1, hidden])
    places = net.input("position_ids", np.int64, [1, 1])
    angles = np.outer(np.arange(1024), 1e4 ** (-np.arange(0, size, 2) / size))
    cosines, sines = net.weight(np.cos(angles)), net.weight(np.sin(angles))
    rms = lambda x: net.add("RMSNormalization", x, net.factors(hidden), axis=-1, epsilon=1e-6)
    caches = []
    for layer in range(LLAMA["layers"]):
        past = [net.input(f"past_{part}.{layer}", np.float32, [1, groups, "past", size]) for part in ("key", "value")]
        y = rms(x)
        q, k, v = (net.linear(y, hidden, n * size, bias=False) for n in (count, groups, groups))
        q = net.add("RotaryEmbedding", q, cosines, sines, places, num_heads=count)
        k = net.add("RotaryEmbedding", k, cosines, sines, places, num_heads=groups)
        y, *cache = net.add("Attention", q, k, v, "", *past, outputs=3, q_num_heads=count, kv_num_heads=groups)
        caches += cache
        x = net.add("Add", x, net.linear(y, hidden, hidden, bias=False))
        y = rms(x)
        y = net.add("Mul", net.silu(net.linear(y, hidden, inner, bias=False)), net.linear(y, hidden, inner, bias=False))
        x = net.add("Add", x, net.linear(y, inner, hidden, bias=False))
    net.output(net.linear(rms(x), hidden, LLAMA["vocabulary"], bias=False), shape=[1, 1, LLAMA["vocabulary"]])
    for cache in caches:
        net.output(cache, shape=[1, groups, "total", size])
    return net.model()
