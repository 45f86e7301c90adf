"""Attention operators of com.microsoft."""

import numpy as np
from onnx import TensorProto, helper

from tests.differential.case import Case, chance, operator, pick, random_tensor

FLOAT = [np.float32]


def of_types(*types):
    """Rank-free output types: ONNX infers nothing for operators of other domains."""
    return [helper.make_tensor_type_proto(type_, None) for type_ in types]


def padding_mask(random, batch, queries, keys):
    kind = random.integers(4)
    if kind == 0:
        return random.integers(1, keys + 1, batch).astype(np.int32)
    if kind == 1:
        ends = random.integers(1, keys + 1, batch)
        return np.concatenate([ends, [random.integers(0, end) for end in ends]]).astype(np.int32)
    shape = (batch, keys) if kind == 2 else (batch, queries, keys)
    return random.integers(0, 2, shape).astype(np.int32)


@operator("MultiHeadAttention", "com.microsoft", versions=(1,), tolerance="rtol=1e-3 atol=1e-4")
def multi_head_attention(random, version, index):
    batch, heads, queries, fresh = (int(random.integers(1, 5)) for _ in range(4))
    depth, values = (8 * int(random.integers(1, 4)) for _ in range(2))
    past = int(random.integers(1, 5)) if chance(random, 0.3) else 0
    crossed = not past and chance(random, 0.2)
    biased = not crossed and chance(random, 0.4)

    def tensor(*shape):
        return random_tensor(random, np.float32, shape, -1, 1)

    if past or crossed:
        values = depth
    if crossed:
        k, v = tensor(batch, heads, fresh, depth), tensor(batch, heads, fresh, values)
    else:
        k, v = tensor(batch, fresh, heads * depth), tensor(batch, fresh, heads * values)
    inputs = [tensor(batch, queries, heads * depth), k, v] + [None] * 5
    if biased:
        inputs[3] = tensor(heads * (2 * depth + values))
    keys = past + fresh
    if chance(random, 0.4):
        mask = padding_mask(random, batch, queries, keys)
        if len(mask) != 2 * batch or mask.ndim > 1:
            inputs[4] = mask
    if chance(random, 0.4):
        inputs[5] = tensor(pick(random, [1, batch]), pick(random, [1, heads]), queries, keys)
    if past:
        inputs[6], inputs[7] = tensor(batch, heads, past, depth), tensor(batch, heads, past, values)
    attributes = {"num_heads": heads}
    if chance(random, 0.3):
        attributes["scale"] = float(random.uniform(0.1, 1))
    if chance(random, 0.3):
        attributes["mask_filter_value"] = float(random.uniform(-20, -1))
    if chance(random, 0.3) and fresh == queries:
        attributes["unidirectional"] = 1
    while inputs[-1] is None:
        inputs.pop()
    outputs = pick(random, [3, 4]) if past or chance(random, 0.3) else 1
    return Case(inputs, attributes, outputs, output_types=of_types(*[TensorProto.FLOAT] * outputs))


def decoded(heads, scale, past):
    """onnxruntime wants past and present in the same memory, which no caller without bindings can give."""
    def compute(q, k, v, mask, _, past_k, past_v, __=None, ___=None, beams=None, bias=None):
        batch, _, hidden = q.shape
        q, k, v = (x[:, 0].astype(np.float64) for x in (q, k, v))
        if bias is not None:
            q, k, v = q + bias[:hidden], k + bias[hidden:2 * hidden], v + bias[2 * hidden:]
        result = np.zeros((batch, 1, hidden), np.float32)
        for b in range(batch):
            rows = np.arange(past)
            of = np.full(past, b)
            if beams is not None:
                count = beams.shape[1]
                of = b // count * count + beams[b // count, b % count, :past]
            for h in range(heads):
                part = slice(h * hidden // heads, (h + 1) * hidden // heads)
                keys = np.concatenate([past_k[of, h, rows], k[b:b + 1, part]])
                values = np.concatenate([past_v[of, h, rows], v[b:b + 1, part]])
                scores = keys @ q[b, part] * (scale or (hidden // heads) ** -0.5)
                if mask is not None:
                    scores = (scores + np.where(mask[b] > 0, 0, -10000)).astype(np.float32).astype(np.float64)
                weights = np.exp(scores - scores.max())
                result[b, 0, part] = weights @ values / weights.sum()
        return [result]
    return compute


@operator("DecoderMaskedMultiHeadAttention", "com.microsoft", versions=(1,), tolerance="rtol=1e-3 atol=1e-4")
def decoder_masked_multi_head_attention(random, version, index):
    beams = int(random.integers(1, 4))
    batch, heads, past = int(random.integers(1, 4)) * beams, int(random.integers(1, 4)), int(random.integers(0, 5))
    depth, room = 8 * int(random.integers(1, 4)), past + int(random.integers(1, 4))

    def tensor(*shape):
        return random_tensor(random, np.float32, shape, -1, 1)

    q, k, v = (tensor(batch, 1, heads * depth) for _ in range(3))
    inputs = [q, k, v] + [None] * 8
    attributes = {"num_heads": heads}
    if chance(random, 0.3):  # cross attention
        inputs[1], inputs[2] = tensor(batch, heads, past + 1, depth), tensor(batch, heads, past + 1, depth)
        outputs = 1
    else:
        inputs[5], inputs[6] = tensor(batch, heads, room, depth), tensor(batch, heads, room, depth)
        inputs[7] = np.array([past], np.int32)
        attributes["past_present_share_buffer"] = 1
        outputs = 1
        if beams > 1:
            inputs[8] = np.array([beams], np.int32)
            inputs[9] = random.integers(0, beams, (batch // beams, beams, room)).astype(np.int32)
        if chance(random, 0.4):
            inputs[10] = tensor(3 * heads * depth)
    if chance(random, 0.4):
        inputs[3] = random.integers(0, 2, (batch, past + 1)).astype(np.int32)
    if chance(random, 0.3):
        attributes["scale"] = float(random.uniform(0.1, 1))
    while inputs[-1] is None:
        inputs.pop()
    own = decoded(heads, attributes.get("scale"), past) if "past_present_share_buffer" in attributes else None
    return Case(inputs, attributes, outputs, expected=own, output_types=of_types(*[TensorProto.FLOAT] * outputs))


@operator("Attention", "com.microsoft", versions=(1,), tolerance="rtol=1e-3 atol=1e-4")
def contrib_attention(random, version, index):
    batch, heads, queries, width = (int(random.integers(1, 5)) for _ in range(4))
    depth, values = (8 * int(random.integers(1, 4)) for _ in range(2))
    past = int(random.integers(1, 5)) if chance(random, 0.3) else 0
    if past or chance(random):
        values = depth

    def tensor(*shape):
        return random_tensor(random, np.float32, shape, -1, 1)

    columns = heads * (2 * depth + values)
    inputs = [tensor(batch, queries, 4 * width), tensor(4 * width, columns), tensor(columns)] + [None] * 3
    attributes = {"num_heads": heads}
    if values != depth:
        attributes["qkv_hidden_sizes"] = [heads * depth, heads * depth, heads * values]
    if chance(random, 0.5):
        mask = padding_mask(random, batch, queries, past + queries)
        if mask.ndim > 1 or len(mask) != batch or batch > 1:
            inputs[3] = mask
    if past:
        inputs[4] = tensor(2, batch, heads, past, depth)
    if not past and chance(random, 0.4):
        inputs[5] = tensor(pick(random, [1, batch]), pick(random, [1, heads]), queries, queries)
    if chance(random, 0.3):
        attributes["scale"] = float(random.uniform(0.1, 1))
    if chance(random, 0.3):
        attributes["unidirectional"] = 1
    # By default -10000, next to which scores lose digits where all keys of a query are masked.
    attributes["mask_filter_value"] = float(random.uniform(-30, -5))
    while inputs[-1] is None:
        inputs.pop()
    outputs = 2 if past or (values == depth and chance(random, 0.3)) else 1
    return Case(inputs, attributes, outputs, constants=(1, 2) if chance(random) else (),
                output_types=of_types(*[TensorProto.FLOAT] * outputs))


@operator("GroupQueryAttention", "com.microsoft", versions=(1,), tolerance="rtol=1e-3 atol=1e-4",
          narrow={"float16": "rtol=1e-2 atol=1e-2"})
def group_query_attention(random, version, index):
    type_ = [np.float32, np.float16][index % 2]
    code = helper.np_dtype_to_tensor_dtype(np.dtype(type_))
    batch, key_heads, group = (int(random.integers(1, 4)) for _ in range(3))
    heads, size = key_heads * group, 16 * int(random.integers(1, 4))
    kind = pick(random, ["prompt", "token", "chunk", "lengths"])
    queries = 1 if kind == "token" else int(random.integers(2, 6))
    if kind == "chunk":
        batch = 1

    def tensor(*shape):
        return random_tensor(random, type_, shape, -1, 1)

    past = np.zeros(batch, np.int64) if kind == "prompt" else random.integers(1, 6, batch)
    total = int(past.max()) + queries
    room = int(past.max()) + (0 if kind != "lengths" else queries)
    inputs = [None] * 17
    if chance(random, 0.3):
        inputs[0] = tensor(batch, queries, (heads + 2 * key_heads) * size)
    else:
        inputs[0] = tensor(batch, queries, heads * size)
        inputs[1], inputs[2] = tensor(batch, queries, key_heads * size), tensor(batch, queries, key_heads * size)
    inputs[5], inputs[6] = (past + queries - 1).astype(np.int32), np.array(total, np.int32)
    attributes = {"num_heads": heads, "kv_num_heads": key_heads}
    outputs, types, quantized = 3, [code] * 3, False
    if kind != "prompt":
        quantized = chance(random, 0.3) and type_ == np.float32  # others round before they are quantized
        if quantized:
            packed = chance(random)
            attributes["kv_cache_bit_width"] = 4 if packed else 8
            shape = (batch, key_heads, room, size // 2 if packed else size)
            low, high, element = (0, 256, np.uint8) if packed else (-127, 128, np.int8)
            inputs[3], inputs[4] = (random.integers(low, high, shape).astype(element) for _ in range(2))
            kinds = pick(random, ["PER_TENSOR", "PER_CHANNEL"])
            attributes["k_quant_type"] = attributes["v_quant_type"] = kinds
            of_scale = (1,) if kinds == "PER_TENSOR" else (1, key_heads, 1, size)
            for i in (12, 13):
                inputs[i] = random.uniform(0.005, 0.01, of_scale).astype(np.float32) * (16 if packed else 1)
            types = [code] + [helper.np_dtype_to_tensor_dtype(np.dtype(element))] * 2
        else:
            inputs[3], inputs[4] = tensor(batch, key_heads, room, size), tensor(batch, key_heads, room, size)
    if kind == "lengths":
        inputs[16] = np.full(batch, queries, np.int32)
    if chance(random):
        attributes["do_rotary"] = 1
        inputs[7], inputs[8] = tensor(total + 3, size // 2), tensor(total + 3, size // 2)
        if chance(random):
            attributes["rotary_interleaved"] = 1
        if chance(random):
            inputs[9] = random.integers(0, 4 if kind == "prompt" else total, (batch, queries)).astype(np.int64)
    if chance(random, 0.3) and not quantized:
        inputs[10] = tensor(pick(random, [1, batch]), pick(random, [1, heads]), queries, total)
    if chance(random, 0.3) and not quantized:
        inputs[11] = tensor(heads)
    elif chance(random, 0.2) and not quantized:
        attributes["smooth_softmax"] = 1
    if chance(random, 0.3):
        attributes["local_window_size"] = int(random.integers(1, 6))
    if chance(random, 0.3):
        attributes["softcap"] = float(random.uniform(0.5, 3))
    if chance(random, 0.3):
        attributes["scale"] = float(random.uniform(0.1, 1))
    if chance(random, 0.2) and not quantized and kind != "lengths" and "local_window_size" not in attributes:
        attributes["qk_output"], outputs = int(random.integers(1, 3)), 4
        types = types + [code]
    while inputs[-1] is None:
        inputs.pop()
    return Case(inputs, attributes, outputs, constants=(6,) if chance(random) else (), output_types=of_types(*types))
