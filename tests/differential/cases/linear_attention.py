"""LinearAttention and CausalConvWithState, which onnx.reference knows."""

import numpy as np

from tests.differential.case import Case, chance, operator, pick, random_tensor, types_of


@operator("LinearAttention", tolerance="rtol=1e-4 atol=1e-5", narrow={"float16": "rtol=3e-3 atol=3e-3"})
def linear_attention(random, version, index):
    types = types_of("LinearAttention", "T", version)
    type_ = types[index % len(types)]
    rule = ("linear", "gated", "delta", "gated_delta")[index // 3 % 4]
    batch, tokens, heads = (int(random.integers(1, n)) for n in (4, 6, 4))
    query_heads, key, value = heads * int(random.integers(1, 4)), int(random.integers(1, 9)), int(random.integers(1, 20))
    uniform = lambda *shape: random_tensor(random, type_, shape, -1, 1)  # noqa: E731
    k = uniform(batch, tokens, heads * key)
    inputs = [uniform(batch, tokens, query_heads * key), (k * type_(0.4)).astype(type_),
              uniform(batch, tokens, heads * value), None, None, None]
    if chance(random):
        inputs[3] = random_tensor(random, pick(random, types), (batch, heads, key, value), -1, 1)
    if "gated" in rule:
        inputs[4] = uniform(batch, tokens, pick(random, (heads, heads * key)))
    if "delta" in rule:
        inputs[5] = uniform(batch, tokens, pick(random, (heads, 1)))
    while inputs[-1] is None:
        inputs.pop()
    attributes = {"q_num_heads": query_heads, "kv_num_heads": heads, "update_rule": rule}
    if chance(random):
        attributes["scale"] = float(np.float32(random.uniform(0.1, 2)))
    return Case(inputs, attributes, outputs=2)


@operator("CausalConvWithState", tolerance="rtol=1e-4 atol=1e-5", narrow={"float16": "rtol=3e-3 atol=3e-3"})
def causal_conv_with_state(random, version, index):
    type_ = types_of("CausalConvWithState", "T", version)[index % 3]
    batch, channels, length, taps = (int(random.integers(1, n)) for n in (4, 8, 12, 6))
    uniform = lambda *shape: random_tensor(random, type_, shape, -1, 1)  # noqa: E731
    inputs = [uniform(batch, channels, length), uniform(channels, 1, taps)]
    if chance(random, 0.7):
        inputs.append(uniform(channels) if chance(random, 0.7) else None)
    if chance(random, 0.7):
        inputs = (inputs + [None])[:3] + [uniform(batch, channels, taps - 1)]
    while inputs[-1] is None:
        inputs.pop()
    activation = pick(random, ("none", "silu", "swish"))
    return Case(inputs, {"activation": activation} if activation != "none" or chance(random) else {}, outputs=2)
