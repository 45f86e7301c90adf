#!/usr/bin/env python3
"""Models of one long step each, for poll_gaps: an operator, and inputs so large that it takes from a tenth of a second on.

    tests/fuzz/large_models.py FOLDER [--scale S]

Inputs of the graph are filled by poll_gaps: floats and integers small, strings of some words. What must fit, such as
indices, is made in the graph or is an initializer. --scale makes all sizes smaller or larger.
"""

import argparse
import os

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, STRING, UINT8 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING, TensorProto.UINT8
OPSETS = {"": 21, "ai.onnx.ml": 5, "com.microsoft": 1}


class Maker:
    """Collects models; `scale` is for the sizes."""

    def __init__(self, folder, scale):
        self.folder, self.scale = folder, scale
        os.makedirs(folder, exist_ok=True)

    def n(self, count):
        return max(int(count * self.scale), 1)

    def add(self, name, operator, inputs, constants=(), outputs=1, domain="", before=(), opset=None, **attributes):
        """`inputs`: of the graph, (name, type, shape); `constants`: (name, array); `before`: nodes in front. The operator
        reads the names of `inputs` and `constants` in the order of its argument `reads`, or all of them."""
        reads = attributes.pop("reads", [i[0] for i in inputs] + [c[0] for c in constants])
        results = [f"y{i}" for i in range(outputs)]
        node = helper.make_node(operator, reads, results, domain=domain, **attributes)
        graph = helper.make_graph(
            [*before, node], name,
            [helper.make_tensor_value_info(*i) for i in inputs],
            [onnx.ValueInfoProto(name=r) for r in results],
            [numpy_helper.from_array(numpy.asarray(a), c) for c, a in constants])
        versions = dict(OPSETS)
        if opset:
            versions[""] = opset
        imports = [helper.make_opsetid(d, v) for d, v in versions.items()]
        model = helper.make_model(graph, opset_imports=imports, ir_version=10)
        onnx.save(model, os.path.join(self.folder, name + ".onnx"))


def indices(shape, limit, name="i"):
    """A node's chain that makes indices 0 .. limit - 1 of this shape, all over the place."""
    count = int(numpy.prod(shape))
    constant = lambda value, out: helper.make_node("Constant", [], [out], value=numpy_helper.from_array(numpy.asarray(value)))
    return [constant(numpy.int64(0), "zero"), constant(numpy.int64(count), "count"), constant(numpy.int64(1), "one"),
            constant(numpy.int64(7919), "prime"), constant(numpy.int64(limit), "limit"),
            constant(numpy.array(shape, numpy.int64), "shape"),
            helper.make_node("Range", ["zero", "count", "one"], ["r"]), helper.make_node("Mul", ["r", "prime"], ["m"]),
            helper.make_node("Mod", ["m", "limit"], ["l"]), helper.make_node("Reshape", ["l", "shape"], [name])]


def normalizing(make):
    n = make.n(50e6)
    make.add("layer_normalization", "LayerNormalization", [("x", FLOAT, [n]), ("s", FLOAT, [n])])
    make.add("layer_normalization_rows", "LayerNormalization", [("x", FLOAT, [4, n // 4]), ("s", FLOAT, [n // 4])])
    make.add("rms_normalization", "SimplifiedLayerNormalization", [("x", FLOAT, [n]), ("s", FLOAT, [n])])
    make.add("softmax", "Softmax", [("x", FLOAT, [n])])
    make.add("log_softmax_columns", "LogSoftmax", [("x", FLOAT, [n // 4, 4])], axis=0)
    make.add("hardmax", "Hardmax", [("x", FLOAT, [n])])
    make.add("instance_normalization", "InstanceNormalization", [("x", FLOAT, [1, 1, n])],
             [("s", numpy.ones(1, numpy.float32)), ("b", numpy.ones(1, numpy.float32))])
    make.add("group_normalization", "GroupNormalization", [("x", FLOAT, [1, 2, n // 2])],
             [("s", numpy.ones(2, numpy.float32)), ("b", numpy.ones(2, numpy.float32))], num_groups=1)
    make.add("lp_normalization", "LpNormalization", [("x", FLOAT, [n])], axis=0)
    make.add("mean_variance", "MeanVarianceNormalization", [("x", FLOAT, [1, 1, 1, n])])
    make.add("lrn", "LRN", [("x", FLOAT, [1, 64, 1, n // 64])], size=5)
    make.add("batch_training", "BatchNormalization", [("x", FLOAT, [1, 1, n])],
             [(c, numpy.ones(1, numpy.float32)) for c in "sbmv"], outputs=3, training_mode=1)
    make.add("double_softmax", "Softmax", [("x", TensorProto.DOUBLE, [n // 2])])
    make.add("half_softmax", "Softmax", [("x", TensorProto.FLOAT16, [n])])


def reducing(make):
    n = make.n(50e6)
    for name in ("ReduceSum", "ReduceMax", "ReduceProd", "ReduceLogSumExp", "ReduceL2", "ReduceMean"):
        make.add(name.lower(), name, [("x", FLOAT, [n])])
        make.add(name.lower() + "_columns", name, [("x", FLOAT, [n // 2, 2])], [("a", numpy.array([0]))])
    make.add("reduce_int", "ReduceSum", [("x", INT64, [n // 2])])
    make.add("argmax", "ArgMax", [("x", FLOAT, [n])])
    make.add("argmin_columns", "ArgMin", [("x", FLOAT, [n // 2, 2])], axis=0)
    make.add("cumsum", "CumSum", [("x", FLOAT, [n])], [("a", numpy.int64(0))])
    make.add("cumsum_columns", "CumSum", [("x", FLOAT, [n // 4, 4])], [("a", numpy.int64(0))])
    make.add("cumsum_int", "CumSum", [("x", INT64, [n // 2])], [("a", numpy.int64(0))])
    make.add("topk_small", "TopK", [("x", FLOAT, [n])], [("k", numpy.array([10]))], outputs=2)
    make.add("topk_all", "TopK", [("x", FLOAT, [n // 5])], [("k", numpy.array([n // 5]))], outputs=2)
    make.add("topk_half", "TopK", [("x", FLOAT, [n // 5])], [("k", numpy.array([n // 10]))], outputs=2, sorted=0)
    make.add("unique", "Unique", [("x", FLOAT, [n // 10])], outputs=4)
    make.add("unique_unsorted", "Unique", [("x", INT64, [n // 10])], outputs=4, sorted=0)
    make.add("unique_rows", "Unique", [("x", FLOAT, [n // 40, 4])], outputs=4, axis=0)
    make.add("nonzero", "NonZero", [("x", FLOAT, [n])])
    make.add("det", "Det", [("x", FLOAT, [1200, 1200])])
    make.add("global_pool", "GlobalAveragePool", [("x", FLOAT, [1, 1, n])])
    make.add("global_lp_pool", "GlobalLpPool", [("x", FLOAT, [1, 1, n])])
    make.add("optional_loss", "SoftmaxCrossEntropyLoss", [("x", FLOAT, [4, n // 4])],
             [("t", numpy.zeros(4, numpy.int64))])
    make.add("nll", "NegativeLogLikelihoodLoss", [("x", FLOAT, [n // 4, 4])], before=indices([n // 4], 4, "t"),
             reads=["x", "t"])
    make.add("dynamic_quantize", "DynamicQuantizeLinear", [("x", FLOAT, [n])], outputs=3)


def moving(make):
    n = make.n(50e6)
    make.add("scatter_elements", "ScatterElements", [("x", FLOAT, [n]), ("u", FLOAT, [n // 2])],
             before=indices([n // 2], n), reads=["x", "i", "u"], axis=0)
    make.add("scatter_elements_add", "ScatterElements", [("x", FLOAT, [n]), ("u", FLOAT, [n // 2])],
             before=indices([n // 2], n), reads=["x", "i", "u"], axis=0, reduction="add")
    make.add("scatter_nd", "ScatterND", [("x", FLOAT, [n]), ("u", FLOAT, [n // 2])],
             before=indices([n // 2, 1], n), reads=["x", "i", "u"])
    make.add("scatter_nd_max", "ScatterND", [("x", FLOAT, [n]), ("u", FLOAT, [n // 2])],
             before=indices([n // 2, 1], n), reads=["x", "i", "u"], reduction="max")
    make.add("gather", "Gather", [("x", FLOAT, [n])], before=indices([n // 2], n), reads=["x", "i"])
    make.add("gather_elements", "GatherElements", [("x", FLOAT, [n])], before=indices([n // 2], n), reads=["x", "i"])
    make.add("gather_nd", "GatherND", [("x", FLOAT, [n])], before=indices([n // 2, 1], n), reads=["x", "i"])
    make.add("transpose", "Transpose", [("x", FLOAT, [n // 7000, 7000])])
    make.add("transpose_bytes", "Transpose", [("x", UINT8, [n // 7000, 7000])])
    make.add("concat", "Concat", [("x", FLOAT, [n]), ("z", FLOAT, [n])], axis=0)
    make.add("split", "Split", [("x", FLOAT, [n])], outputs=2, num_outputs=2)
    make.add("slice", "Slice", [("x", FLOAT, [n])], [("b", numpy.array([1])), ("e", numpy.array([n - 1]))])
    make.add("slice_steps", "Slice", [("x", FLOAT, [n])],
             [("b", numpy.array([n])), ("e", numpy.array([-n - 1])), ("a", numpy.array([0])), ("t", numpy.array([-1]))])
    make.add("pad", "Pad", [("x", FLOAT, [n])], [("p", numpy.array([5, 5]))], mode="reflect")
    make.add("tile", "Tile", [("x", FLOAT, [n // 10])], [("r", numpy.array([10]))])
    make.add("tile_small", "Tile", [("x", FLOAT, [1])], [("r", numpy.array([n]))])
    make.add("expand", "Expand", [("x", FLOAT, [1])], [("s", numpy.array([n]))])
    make.add("expand_rows", "Expand", [("x", FLOAT, [n // 8, 1])], [("s", numpy.array([n // 8, 8]))])
    make.add("one_hot", "OneHot", [], [("d", numpy.int64(100)), ("v", numpy.array([0, 1], numpy.float32))],
             before=indices([n // 100], 100), reads=["i", "d", "v"])
    make.add("compress", "Compress", [("x", FLOAT, [n]), ("c", TensorProto.BOOL, [n])])
    make.add("trilu", "Trilu", [("x", FLOAT, [7000, n // 7000])])
    make.add("eye_like", "EyeLike", [("x", FLOAT, [7000, n // 7000])])
    make.add("reverse_sequence", "ReverseSequence", [("x", FLOAT, [n // 4, 4])],
             [("l", numpy.full(4, n // 4))])
    make.add("range", "Range", [], [("a", numpy.float32(0)), ("b", numpy.float32(1e7)), ("s", numpy.float32(.25))])
    make.add("constant_of_shape", "ConstantOfShape", [("x", INT64, [1])], before=[
        helper.make_node("Mul", ["x", "zero"], ["m"]), helper.make_node("Add", ["m", "many"], ["k"])],
        constants=[("zero", numpy.array([0])), ("many", numpy.array([2 * n]))], reads=["k"])
    make.add("depth_to_space", "DepthToSpace", [("x", FLOAT, [1, 64, 800, n // 51200])], blocksize=8)
    make.add("center_crop_pad", "CenterCropPad", [("x", FLOAT, [n])], [("s", numpy.array([n + 10]))])
    make.add("resize_linear", "Resize", [("x", FLOAT, [1, 1, 500, 500])],
             [("s", numpy.array([1, 1, 14, 14], numpy.float32))], reads=["x", "", "s"], mode="linear")
    make.add("resize_cubic", "Resize", [("x", FLOAT, [1, 1, 500, 500])],
             [("s", numpy.array([1, 1, 14, 14], numpy.float32))], reads=["x", "", "s"], mode="cubic")
    make.add("resize_nearest", "Resize", [("x", FLOAT, [n // 4])], [("s", numpy.array([4], numpy.float32))],
             reads=["x", "", "s"])
    make.add("bitcast_reshape", "Identity", [("x", FLOAT, [n])])


def elementwise(make):
    n = make.n(50e6)
    for name in ("Erf", "Tan", "Sqrt", "Gelu", "Relu"):
        make.add(name.lower(), name, [("x", FLOAT, [n])])
    make.add("add", "Add", [("x", FLOAT, [n]), ("z", FLOAT, [n])])
    make.add("pow_double", "Pow", [("x", TensorProto.DOUBLE, [n // 2]), ("z", TensorProto.DOUBLE, [n // 2])])
    make.add("mod_int", "Mod", [("x", INT64, [n // 2])], [("z", numpy.int64(7))])
    make.add("where", "Where", [("c", TensorProto.BOOL, [n]), ("x", FLOAT, [n]), ("z", FLOAT, [n])])
    make.add("clip", "Clip", [("x", FLOAT, [n])], [("a", numpy.float32(0))])
    make.add("cast_half", "Cast", [("x", FLOAT, [n])], to=TensorProto.FLOAT16)
    make.add("cast_string", "Cast", [("x", FLOAT, [n // 25])], to=STRING)
    make.add("cast_from_string", "Cast", [("x", STRING, [n // 25])], before=[
        helper.make_node("Shape", ["x"], ["s"]), helper.make_node("ConstantOfShape", ["s"], ["f"]),
        helper.make_node("Cast", ["f"], ["t"], to=STRING)], reads=["t"], to=FLOAT)
    make.add("cast_int4", "Cast", [("x", FLOAT, [n])], to=TensorProto.INT4)
    make.add("quantize", "QuantizeLinear", [("x", FLOAT, [n])], [("s", numpy.float32(.1))])
    make.add("dropout", "Dropout", [("x", FLOAT, [n])], [("r", numpy.float32(.5)), ("t", numpy.bool_(True))])
    make.add("random_normal", "RandomNormal", [], shape=[n])
    make.add("bernoulli", "Bernoulli", [("x", FLOAT, [n])])
    make.add("multinomial", "Multinomial", [("x", FLOAT, [4, n // 40])], sample_size=100)
    make.add("isinf", "IsInf", [("x", FLOAT, [n])])
    make.add("equal_strings", "Equal", [("x", STRING, [n // 25]), ("z", STRING, [n // 25])])
    make.add("sum_of_many", "Sum", [(f"x{i}", FLOAT, [n // 10]) for i in range(10)])
    make.add("celu", "Celu", [("x", FLOAT, [n])])
    make.add("prelu", "PRelu", [("x", FLOAT, [n]), ("z", FLOAT, [n])])
    make.add("bitwise_and", "BitwiseAnd", [("x", INT64, [n // 2]), ("z", INT64, [n // 2])])


def windows(make):
    n = make.n(50e6)
    make.add("max_pool_1d", "MaxPool", [("x", FLOAT, [1, 1, n])], kernel_shape=[3])
    make.add("max_pool_wide", "MaxPool", [("x", FLOAT, [1, 1, n // 500])], kernel_shape=[n // 1000])
    make.add("average_pool_wide", "AveragePool", [("x", FLOAT, [1, 1, n // 500])], kernel_shape=[n // 1000])
    make.add("lp_pool", "LpPool", [("x", FLOAT, [1, 1, n // 500])], kernel_shape=[n // 1000])
    make.add("max_unpool", "MaxUnpool", [("x", FLOAT, [1, 1, n // 4])], before=indices([1, 1, n // 4], n // 2),
             reads=["x", "i"], kernel_shape=[2], strides=[2])
    make.add("conv_1d", "Conv", [("x", FLOAT, [1, 1, n]), ("w", FLOAT, [1, 1, 9])])
    make.add("conv_wide", "Conv", [("x", FLOAT, [1, 1, n // 500]), ("w", FLOAT, [1, 1, n // 1000])])
    make.add("conv_channels", "Conv", [("x", FLOAT, [1, 1024, 32, 32]), ("w", FLOAT, [1024, 1024, 3, 3])])
    make.add("conv_transpose", "ConvTranspose", [("x", FLOAT, [1, 256, 64, 64]), ("w", FLOAT, [256, 256, 4, 4])],
             strides=[2, 2])
    make.add("conv_integer", "ConvInteger", [("x", UINT8, [1, 256, 64, 64]), ("w", UINT8, [256, 256, 3, 3])])
    make.add("deform_conv", "DeformConv", [("x", FLOAT, [1, 64, 128, 128]), ("w", FLOAT, [64, 64, 3, 3]),
                                           ("o", FLOAT, [1, 18, 126, 126])], opset=19)
    make.add("col2im", "Col2Im", [("x", FLOAT, [1, 9, n // 9])],
             [("s", numpy.array([2 + n // 9000, 1002])), ("b", numpy.array([3, 3]))] if False else
             [("s", numpy.array([3, n // 9 + 2])), ("b", numpy.array([3, 3]))])
    make.add("grid_sample", "GridSample", [("x", FLOAT, [1, 1, 1000, 1000]), ("g", FLOAT, [1, 4000, n // 20000, 2])])
    make.add("grid_sample_cubic", "GridSample", [("x", FLOAT, [1, 1, 1000, 1000]), ("g", FLOAT, [1, 4000, n // 20000, 2])],
             mode="cubic")
    make.add("roi_align", "RoiAlign", [("x", FLOAT, [1, 64, 64, 64])],
             [("r", numpy.tile(numpy.array([[0, 0, 60, 60]], numpy.float32), (64, 1))), ("b", numpy.zeros(64, numpy.int64))],
             output_height=64, output_width=64, sampling_ratio=4)
    make.add("max_roi_pool", "MaxRoiPool", [("x", FLOAT, [1, 4, 2000, 2000])],
             [("r", numpy.tile(numpy.array([[0, 0, 0, 1999, 1999]], numpy.float32), (8, 1)))], pooled_shape=[2, 2])
    make.add("affine_grid", "AffineGrid", [("t", FLOAT, [1, 2, 3])], [("s", numpy.array([1, 1, 5000, n // 10000]))])
    make.add("non_max_suppression", "NonMaxSuppression", [("b", FLOAT, [1, 20000, 4]), ("s", FLOAT, [1, 1, 20000])],
             [("m", numpy.int64(20000)), ("t", numpy.float32(1))])


def products(make):
    make.add("matmul", "MatMul", [("x", FLOAT, [3000, 3000]), ("z", FLOAT, [3000, 3000])])
    make.add("matmul_inner", "MatMul", [("x", FLOAT, [1, make.n(30e6)]), ("z", FLOAT, [make.n(30e6), 1])])
    make.add("matmul_double", "MatMul", [("x", TensorProto.DOUBLE, [1500, 1500]), ("z", TensorProto.DOUBLE, [1500, 1500])])
    make.add("matmul_half", "MatMul", [("x", TensorProto.FLOAT16, [2000, 2000]), ("z", TensorProto.FLOAT16, [2000, 2000])])
    make.add("matmul_int", "MatMul", [("x", INT64, [600, 600]), ("z", INT64, [600, 600])])
    make.add("matmul_integer", "MatMulInteger", [("x", UINT8, [2000, 2000]), ("z", UINT8, [2000, 2000])])
    make.add("matmul_integer_inner", "MatMulInteger", [("x", UINT8, [1, make.n(50e6)]), ("z", UINT8, [make.n(50e6), 1])])
    make.add("matmul_vector", "MatMul", [("x", FLOAT, [1, 7000]), ("z", FLOAT, [7000, 7000])])
    make.add("gemm", "Gemm", [("x", FLOAT, [2000, 3000]), ("z", FLOAT, [3000, 2000])])
    make.add("einsum", "Einsum", [("x", FLOAT, [300, 300, 30]), ("z", FLOAT, [300, 300, 30])], equation="ijk,jlk->il")
    make.add("einsum_diagonal", "Einsum", [("x", FLOAT, [200, 200, 200])], equation="iji->j")
    make.add("einsum_outer", "Einsum", [("x", FLOAT, [7000]), ("z", FLOAT, [7000])], equation="i,j->ij")
    make.add("einsum_sum", "Einsum", [("x", FLOAT, [make.n(50e6)])], equation="i->")
    make.add("einsum_double", "Einsum", [("x", TensorProto.DOUBLE, [400, 400]), ("z", TensorProto.DOUBLE, [400, 400])],
             equation="ij,jk->ik")
    make.add("attention", "Attention", [("q", FLOAT, [1, 4, 3000, 64]), ("k", FLOAT, [1, 4, 3000, 64]),
                                        ("v", FLOAT, [1, 4, 3000, 64])], opset=23)
    make.add("attention_long", "Attention", [("q", FLOAT, [1, 1, 1, 64]), ("k", FLOAT, [1, 1, 300000, 64]),
                                             ("v", FLOAT, [1, 1, 300000, 64])], opset=23)
    make.add("lstm", "LSTM", [("x", FLOAT, [200, 4, 128]), ("w", FLOAT, [1, 1024, 128]), ("r", FLOAT, [1, 1024, 256])],
             outputs=3, hidden_size=256)
    make.add("gru_wide", "GRU", [("x", FLOAT, [2, 1, 2000]), ("w", FLOAT, [1, 6000, 2000]), ("r", FLOAT, [1, 6000, 2000])],
             outputs=2, hidden_size=2000)
    make.add("rnn_long", "RNN", [("x", FLOAT, [200000, 1, 4]), ("w", FLOAT, [1, 8, 4]), ("r", FLOAT, [1, 8, 8])],
             outputs=2, hidden_size=8)
    make.add("dft", "DFT", [("x", FLOAT, [1, 1 << 22, 1])])
    make.add("dft_prime", "DFT", [("x", FLOAT, [1, 1000003, 1])])
    make.add("dft_inverse_prime", "DFT", [("x", FLOAT, [1, 1000003, 2])], inverse=1)
    make.add("stft", "STFT", [("x", FLOAT, [1, 1 << 20, 1])],
             [("step", numpy.int64(64)), ("w", numpy.ones(1024, numpy.float32))])
    make.add("mel", "MelWeightMatrix", [], [("a", numpy.int64(2000)), ("b", numpy.int64(20000)), ("c", numpy.int64(44100)),
                                            ("d", numpy.float32(0)), ("e", numpy.float32(22050))])
    make.add("hann", "HannWindow", [], [("n", numpy.int64(make.n(30e6)))])


def texts(make):
    n = make.n(2e6)
    make.add("string_concat", "StringConcat", [("x", STRING, [n]), ("z", STRING, [n])])
    make.add("string_split", "StringSplit", [("x", STRING, [n])], outputs=2)
    make.add("string_normalizer", "StringNormalizer", [("x", STRING, [n])], case_change_action="UPPER",
             stopwords=["no", "such"])
    make.add("regex", "RegexFullMatch", [("x", STRING, [n])], pattern="(a|b|[c-z ])*x{2,5}.*")
    make.add("regex_long", "RegexFullMatch", [],
             [("x", numpy.array(["a" * make.n(20e6)], object))], pattern="(a|aa|a{3,9})*b")
    make.add("tf_idf", "TfIdfVectorizer", [], before=indices([n * 2], 1000), reads=["i"], max_gram_length=2,
             max_skip_count=5, min_gram_length=1, mode="TF", ngram_counts=[0, 500], ngram_indexes=list(range(1000)),
             pool_int64s=list(range(500)) + [v % 1000 for v in range(1000)])
    make.add("tokenizer", "Tokenizer", [("x", STRING, [n // 4])], domain="com.microsoft", mark=0, mincharnum=1,
             pad_value="#", separators=[" "])
    make.add("unique_strings", "Unique", [("x", STRING, [n])], outputs=4)
    make.add("label_encoder", "LabelEncoder", [("x", STRING, [n])], domain="ai.onnx.ml", keys_strings=["a", "b"],
             values_int64s=[1, 2])
    make.add("label_encoder_int", "LabelEncoder", [("x", INT64, [n * 10])], domain="ai.onnx.ml",
             keys_int64s=list(range(1000)), values_floats=[float(v) for v in range(1000)])
    make.add("category_mapper", "CategoryMapper", [("x", STRING, [n])], domain="ai.onnx.ml", cats_int64s=[1, 2],
             cats_strings=["a", "b"])
    make.add("concat_strings", "Concat", [("x", STRING, [n]), ("z", STRING, [n])], axis=0)
    make.add("gather_strings", "Gather", [("x", STRING, [n])], before=indices([n], n), reads=["x", "i"])
    make.add("transpose_strings", "Transpose", [("x", STRING, [1000, n // 1000])])
    make.add("tile_strings", "Tile", [("x", STRING, [n // 10])], [("r", numpy.array([10]))])
    make.add("expand_strings", "Expand", [("x", STRING, [1])], [("s", numpy.array([n * 5]))])


def learning(make):
    depth, trees = 14, 100
    modes, truths, falses, features, values, ids, nodes = [], [], [], [], [], [], []
    targets = {"id": [], "node": [], "tree": [], "weight": []}
    for tree in range(trees):
        for node in range(2 ** depth - 1):
            leaf = 2 * node + 1 >= 2 ** depth - 1
            ids.append(tree), nodes.append(node), modes.append("LEAF" if leaf else "BRANCH_LEQ")
            truths.append(0 if leaf else 2 * node + 1), falses.append(0 if leaf else 2 * node + 2)
            features.append(node % 16), values.append(float(node % 5))
            if leaf:
                targets["tree"].append(tree), targets["node"].append(node), targets["id"].append(0)
                targets["weight"].append(1.0)
    make.add("trees", "TreeEnsembleRegressor", [("x", FLOAT, [make.n(20000), 16])], domain="ai.onnx.ml", n_targets=1,
             nodes_treeids=ids, nodes_nodeids=nodes, nodes_modes=modes, nodes_truenodeids=truths,
             nodes_falsenodeids=falses, nodes_featureids=features, nodes_values=values, target_ids=targets["id"],
             target_nodeids=targets["node"], target_treeids=targets["tree"], target_weights=targets["weight"])
    vectors = 5000
    make.add("svm", "SVMRegressor", [("x", FLOAT, [make.n(2000), 64])], domain="ai.onnx.ml", kernel_type="RBF",
             kernel_params=[.1, 0., 3.], n_supports=vectors, coefficients=[1.0] * vectors,
             support_vectors=[float(i % 7) for i in range(vectors * 64)], rho=[0.0])
    make.add("linear", "LinearRegressor", [("x", FLOAT, [make.n(2e6), 16])], domain="ai.onnx.ml", targets=4,
             coefficients=[1.0] * 64)
    make.add("normalizer", "Normalizer", [("x", FLOAT, [10, make.n(5e6)])], domain="ai.onnx.ml", norm="L2")
    make.add("scaler", "Scaler", [("x", FLOAT, [1, make.n(50e6)])], domain="ai.onnx.ml", offset=[0.0], scale=[2.0])
    make.add("imputer", "Imputer", [("x", FLOAT, [1, make.n(50e6)])], domain="ai.onnx.ml", imputed_value_floats=[1.0])
    make.add("binarizer", "Binarizer", [("x", FLOAT, [make.n(50e6)])], domain="ai.onnx.ml")
    make.add("array_feature", "ArrayFeatureExtractor", [("x", FLOAT, [1, make.n(50e6)])],
             before=indices([make.n(20e6)], make.n(50e6)), reads=["x", "i"], domain="ai.onnx.ml")
    make.add("one_hot_encoder", "OneHotEncoder", [("x", INT64, [make.n(5e6)])], domain="ai.onnx.ml",
             cats_int64s=list(range(10)))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder")
    arguments.add_argument("--scale", type=float, default=1)
    given = arguments.parse_args()
    make = Maker(given.folder, given.scale)
    for family in (normalizing, reducing, moving, elementwise, windows, products, texts, learning):
        family(make)


if __name__ == "__main__":
    main()
