"""Models of 8 and 4 bits and of half precision, made from float models by the tools that users take."""

import contextlib
import io
import logging
import pathlib
import sys
import tempfile

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .recipes import normal, recipe
from .transformers import tokens

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import random_models  # noqa: E402  (beside this folder)

# --- convolutional networks ---------------------------------------------------------------------------


def without_batch_normalization(model):
    """Scales and shifts go into the convolutions in front of them, as exporters do it."""
    graph = model.graph
    weights = {w.name: w for w in graph.initializer}
    array = lambda name: numpy_helper.to_array(weights[name]).astype(np.float64)
    producers = {n.output[0]: n for n in graph.node}
    for node in [n for n in graph.node if n.op_type == "BatchNormalization"]:
        conv = producers[node.input[0]]
        scale, shift, mean, variance = (array(name) for name in node.input[1:])
        factor = scale / np.sqrt(variance + next(a.f for a in node.attribute if a.name == "epsilon"))
        kernel = weights[conv.input[1]]
        scaled = array(kernel.name) * factor[:, None, None, None]
        kernel.CopyFrom(numpy_helper.from_array(scaled.astype(np.float32), kernel.name))
        bias = numpy_helper.from_array((shift - mean * factor).astype(np.float32), f"{kernel.name}.folded_bias")
        graph.initializer.append(bias)
        conv.input.append(bias.name)
        conv.output[0] = node.output[0]
        graph.node.remove(node)
        for name in node.input[1:]:
            graph.initializer.remove(weights[name])
    return model


def classifier(name):
    """A network of random_models.py with the weights that it gets there, BatchNormalization folded."""
    model = random_models.BUILDERS[name](False)
    random = np.random.default_rng(401)
    random_models.randomise(model, random)
    with tempfile.TemporaryDirectory() as folder:
        random_models.scale_last_layer(model, random_models.random_input(model, random), f"{folder}/model.onnx")
    return without_batch_normalization(model)


class Calibration:
    """Four random pictures, in the form in which onnxruntime.quantization reads them."""

    def __init__(self):
        random = np.random.default_rng(402)
        self.feeds = iter([{"input": random.standard_normal((1, 3, 224, 224), np.float32)} for _ in range(4)])

    def get_next(self):
        return next(self.feeds, None)


@contextlib.contextmanager
def quietly():
    """These tools talk, and advise what does not matter here."""
    logging.disable(logging.WARNING)
    with contextlib.redirect_stdout(io.StringIO()):
        yield
    logging.disable(logging.NOTSET)


def quantized(name, is_pairs):
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory() as folder, quietly():
        onnx.save(onnx.shape_inference.infer_shapes(classifier(name)), f"{folder}/float.onnx")
        quantize_static(
            f"{folder}/float.onnx",
            f"{folder}/model.onnx",
            Calibration(),
            per_channel=True,
            quant_format=QuantFormat.QDQ if is_pairs else QuantFormat.QOperator,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(f"{folder}/model.onnx")


PICTURE = normal(input=(1, 3, 224, 224))


@recipe(
    "resnet50_qdq",
    "quantised",
    PICTURE,
    "quantize_static: pairs of QuantizeLinear and DequantizeLinear, weights per channel",
    "int8",
)
def resnet50_qdq(get):
    return quantized("resnet50", True)


@recipe("resnet50_qoperator", "quantised", PICTURE, "quantize_static: QLinearConv and its like", "int8")
def resnet50_qoperator(get):
    return quantized("resnet50", False)


@recipe("mobilenet_v2_qdq", "quantised", PICTURE, "as resnet50_qdq", "int8")
def mobilenet_v2_qdq(get):
    return quantized("mobilenet_v2", True)


# --- transformers -------------------------------------------------------------------------------------


def dynamic(model):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, quietly():
        onnx.save(model, f"{folder}/float.onnx")
        quantize_dynamic(f"{folder}/float.onnx", f"{folder}/model.onnx", weight_type=QuantType.QInt8)
        return onnx.load(f"{folder}/model.onnx")


@recipe(
    "bert_tiny_dynamic", "quantised", tokens(1, 32), "quantize_dynamic: DynamicQuantizeLinear, MatMulInteger", "int8"
)
def bert_tiny_dynamic(get):
    return dynamic(get("bert_tiny_32"))


@recipe(
    "minilm_dynamic",
    "quantised",
    {"minilm_dynamic": tokens(1, 128), "minilm_dynamic_batch8": tokens(8, 128)},
    "quantize_dynamic: DynamicQuantizeLinear, MatMulInteger",
    "int8",
)
def minilm_dynamic(get):
    return dynamic(get("minilm_6x384"))


def four_bits(model, accuracy_level):
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    with quietly():
        tool = MatMulNBitsQuantizer(model, bits=4, block_size=32, is_symmetric=True, accuracy_level=accuracy_level)
        tool.process()
    return tool.model.model


@recipe(
    "minilm_q4",
    "quantised",
    {"minilm_q4": tokens(1, 128), "minilm_q4_8tokens": tokens(1, 8)},
    "MatMulNBits: 4 bits, blocks of 32, sums in float",
    "int4",
)
def minilm_q4(get):
    return four_bits(get("minilm_6x384"), None)


@recipe(
    "minilm_q4_level4", "quantised", tokens(1, 128), "the same with accuracy_level 4: activations in 8 bits", "int4-8"
)
def minilm_q4_level4(get):
    return four_bits(get("minilm_6x384"), 4)


# --- half precision -----------------------------------------------------------------------------------


def half(model):
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with quietly():
        # An empty list of operators stands for the tool's own, which keeps some of them in float.
        return convert_float_to_float16(model, keep_io_types=False, op_block_list=["none"])


@recipe(
    "resnet50_half",
    "half",
    lambda random: {"input": random.standard_normal((1, 3, 224, 224)).astype(np.float16)},
    "all float16",
    "float16",
)
def resnet50_half(get):
    return half(classifier("resnet50"))


@recipe("minilm_half", "half", tokens(1, 128), "all float16", "float16")
def minilm_half(get):
    return half(get("minilm_6x384"))
