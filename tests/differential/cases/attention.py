"""Attention of ai.onnx and what stands around it."""

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from tests.differential.case import Case, chance, operator, pick, random_shape, random_tensor, type_of, types_of


def by_reference(name, version, attributes, outputs):
    def compute(*inputs):
        names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
        node = helper.make_node(name, names, [f"y{i}" for i in range(outputs)], **attributes)
        given = {f"x{i}": x for i, x in enumerate(inputs) if x is not None}
        graph = helper.make_graph([node], "case", [helper.make_value_info(n, type_of(x)) for n, x in given.items()],
                                  [helper.make_value_info(f"y{i}", type_of(inputs[0])) for i in range(outputs)])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)])
        return [np.asarray(y).astype(inputs[0].dtype) for y in ReferenceEvaluator(model).run(None, given)]
    return compute


@operator("Attention", tolerance="rtol=1e-3 atol=1e-4",
          narrow={"float16": "rtol=1e-2 atol=1e-2", "bfloat16": "rtol=5e-2 atol=5e-2"})
def attention(random, version, index):
    types = types_of("Attention", "T1", version)
    type_ = types[index % len(types)]
    batch, key_heads, group = (int(random.integers(1, 4)) for _ in range(3))
    queries, fresh = int(random.integers(1, 9)), int(random.integers(1, 9))
    depth, values = int(random.integers(1, 9)), int(random.integers(1, 9))
    heads, past = key_heads * group, int(random.integers(1, 5)) if chance(random, 0.3) else 0
    by_row = chance(random)

    def rows(count, length, elements):
        shape = (batch, length, count * elements) if by_row else (batch, count, length, elements)
        return random_tensor(random, type_, shape, -1, 1)

    keys = past + fresh
    inputs = [rows(heads, queries, depth), rows(key_heads, fresh, depth), rows(key_heads, fresh, values), None, None, None]
    attributes = {"q_num_heads": heads, "kv_num_heads": key_heads} if by_row else {}
    if chance(random):
        kept = keys if version < 24 or chance(random, 0.7) else int(random.integers(1, keys + 1))
        shape = pick(random, [(queries, kept), (heads, queries, kept), (batch, heads, queries, kept), (batch, 1, queries, kept)])
        mask = pick(random, [np.bool_, type_])
        inputs[3] = random_tensor(random, mask, shape, -1, 1)
    if past:
        inputs[4] = random_tensor(random, type_, (batch, key_heads, past, depth), -1, 1)
        inputs[5] = random_tensor(random, type_, (batch, key_heads, past, values), -1, 1)
    if version >= 24 and not past and chance(random, 0.4):
        inputs.append(random.integers(1, fresh + 1, batch).astype(np.int64))
    if chance(random, 0.4):
        attributes["is_causal"] = 1
    if chance(random, 0.4):
        attributes["scale"] = float(random.uniform(0.1, 2))
    if chance(random, 0.4):
        attributes["softcap"] = float(random.uniform(0.5, 3))
    if version >= 25 and chance(random):
        attributes["left_window_size"] = int(random.integers(-1, 5))
        attributes["right_window_size"] = int(random.integers(-1, 5))
    while inputs[-1] is None:
        inputs.pop()
    outputs = 3 if past else 1
    if chance(random, 0.3) and len(inputs) < 7:
        outputs, attributes["qk_matmul_output_mode"] = 4, int(random.integers(4))
    if attributes.get("qk_matmul_output_mode") == 0:
        attributes.pop("softcap", None)  # the reference shows scores behind the cap, where the definition says raw ones
    # onnxruntime shows masked scores as the lowest number; by the definition masks contribute -inf. It lets a single
    # query see all keys; by the definition query i sees those up to i + past_sequence_length.
    own = attributes.get("qk_matmul_output_mode") == 2 or ("is_causal" in attributes and queries == 1 and fresh > 1)
    return Case(inputs, attributes, outputs,
                expected=by_reference("Attention", version, attributes, outputs) if own else None)


def rotary(contrib):
    def make(random, version, index):
        types = [np.float32, np.float16] if contrib else types_of("RotaryEmbedding", "T", version)
        type_ = types[index % len(types)]
        batch, heads, rows = (int(random.integers(1, 4)) for _ in range(3))
        size = 8 * int(random.integers(1, 4)) if contrib else 2 * int(random.integers(1, 9))
        turned = size if chance(random) else int(random.integers(1, size // 2 + 1)) // (4 if contrib else 1) * (8 if contrib else 2)
        turned = turned or size
        by_row = chance(random)
        shape = (batch, rows, heads * size) if by_row else (batch, heads, rows, size)
        x = random_tensor(random, type_, shape, -2, 2)
        by_position = contrib or chance(random)
        cache = (8, turned // 2) if by_position else (batch, rows, turned // 2)
        caches = [random_tensor(random, type_, cache, -1, 1) for _ in range(2)]
        attributes = {"interleaved": int(random.integers(2))}
        if by_row or turned != size:
            attributes["num_heads"] = heads
        if turned != size:
            attributes["rotary_embedding_dim"] = turned
        ids = random.integers(0, 8, (batch, rows)).astype(np.int64)
        if contrib:
            if chance(random):
                ids = np.array([int(random.integers(0, 6))], np.int64)
            return Case([x, ids, *caches], attributes)
        return Case([x, *caches, ids] if by_position else [x, *caches], attributes)
    return make


operator("RotaryEmbedding")(rotary(False))
operator("RotaryEmbedding", "com.microsoft", versions=(1,))(rotary(True))


@operator("SwiGLU")
def swiglu(random, version, index):
    types = types_of("SwiGLU", "T", version)
    shape = random_shape(random)
    inputs = [random_tensor(random, types[index % len(types)], shape) for _ in range(2)]
    return Case(inputs, {"alpha": float(random.uniform(0.2, 2))} if chance(random) else {})


@operator("FlexAttention", "ai.onnx.preview", tolerance="rtol=1e-3 atol=1e-4", versions=(1,),
          narrow={"float16": "rtol=1e-2 atol=1e-2", "bfloat16": "rtol=5e-2 atol=5e-2"})
def flex_attention(random, version, index):
    types = types_of("FlexAttention", "T1", version, "ai.onnx.preview")
    type_ = types[index % len(types)]
    batch, key_heads, group, queries, keys = (int(random.integers(1, 5)) for _ in range(5))
    depth, values = int(random.integers(1, 9)), int(random.integers(1, 9))
    inputs = [random_tensor(random, type_, (batch, heads, length, size), -1, 1) for heads, length, size in (
        (key_heads * group, queries, depth), (key_heads, keys, depth), (key_heads, keys, values))]
    attributes = {"scale": float(random.uniform(0.1, 2))} if chance(random) else {}
    score_type = TensorProto.DOUBLE if type_ == np.float64 else TensorProto.FLOAT
    if chance(random, 0.3):
        attributes["softmax_precision"] = score_type
    for name, operation in (("score_mod", "Tanh"), ("prob_mod", "Sqrt")):
        if chance(random):
            infos = [helper.make_tensor_value_info(x, score_type, [None] * 4) for x in "sr"]
            attributes[name] = helper.make_graph([helper.make_node(operation, ["s"], ["r"])], name, infos[:1], infos[1:])
    return Case(inputs, attributes, opset=24)
