"""Writes what train_gradient trains with: the digits as bytes, and networks whose training step is a model.

    python models/training/make_training.py

A network is 64 - 32 - 32 - 32 - 32 - 10: Gemm, BatchNormalization or not, an activation. NAME.step.onnx computes the loss of
a batch, its Gradient with respect to all weights, and one step of Momentum. Whatever a step changes is an input X with an
output new_X. NAME.test.onnx computes the scores in inference. Neither holds weights: these are inputs, and the program
draws the first ones.
"""

import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper

HERE = pathlib.Path(__file__).resolve().parent
WIDTHS = [64, 32, 32, 32, 32, 10]
ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}
TRAINING = "ai.onnx.preview.training"


def network(activation, normalizes, trains):
    """Nodes from picture to scores, weights by name with their shapes, and running statistics."""
    nodes, weights, statistics, x = [], {}, {}, "picture"
    for i, (before, after) in enumerate(zip(WIDTHS, WIDTHS[1:]), 1):
        is_last = i == len(WIDTHS) - 1
        plain = "scores" if is_last else f"gemm_{i}"
        has_bias = is_last or not normalizes  # BatchNormalization brings one
        weights[f"weight_{i}"] = [before, after]
        if has_bias:
            weights[f"bias_{i}"] = [after]
        nodes.append(helper.make_node("Gemm", [x, f"weight_{i}"] + [f"bias_{i}"] * has_bias, [plain]))
        if is_last:
            break
        if normalizes:
            weights |= {f"scale_{i}": [after], f"shift_{i}": [after]}
            statistics |= {f"mean_{i}": [after], f"variance_{i}": [after]}
            outputs = [f"normal_{i}"] + [f"new_mean_{i}", f"new_variance_{i}"] * trains
            nodes.append(helper.make_node(
                "BatchNormalization", [plain, f"scale_{i}", f"shift_{i}", f"mean_{i}", f"variance_{i}"], outputs,
                training_mode=int(trains), momentum=0.9))
            plain = f"normal_{i}"
        x = f"hidden_{i}"
        nodes.append(helper.make_node(ACTIVATIONS[activation], [plain], [x]))
    return nodes, weights, statistics


def floats(name, dims):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)


def save(name, nodes, inputs, outputs):
    graph = helper.make_graph(nodes, name, inputs, outputs)
    opsets = [helper.make_opsetid("", 15), helper.make_opsetid(TRAINING, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="make_training.py")
    onnx.checker.check_model(model)
    onnx.save(model, HERE / f"{name}.onnx")


def write_step(name, activation, normalizes):
    nodes, weights, statistics = network(activation, normalizes, True)
    variables, fixed = list(weights), ["picture", "label", *statistics]
    speeds = {f"speed_{v}": weights[v] for v in variables}
    nodes.append(helper.make_node("SoftmaxCrossEntropyLoss", ["scores", "label"], ["loss"]))
    nodes.append(helper.make_node("Gradient", variables + fixed, [f"gradient_{v}" for v in variables], domain=TRAINING,
                                  xs=variables, zs=fixed, y="loss"))
    nodes.append(helper.make_node(
        "Momentum", ["rate", "steps", *variables, *(f"gradient_{v}" for v in variables), *speeds],
        [f"new_{v}" for v in variables] + [f"new_{s}" for s in speeds], domain=TRAINING,
        alpha=0.9, beta=1.0, mode="standard", norm_coefficient=1e-4))
    kept = weights | speeds | statistics
    inputs = [floats("picture", ["N", 64]), helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]),
              floats("rate", []), helper.make_tensor_value_info("steps", TensorProto.INT64, [])]
    save(f"{name}.step", nodes, inputs + [floats(k, d) for k, d in kept.items()],
         [floats("loss", [])] + [floats(f"new_{k}", d) for k, d in kept.items()])


def write_test(name, activation, normalizes):
    nodes, weights, statistics = network(activation, normalizes, False)
    save(f"{name}.test", nodes, [floats("picture", ["N", 64])] + [floats(k, d) for k, d in (weights | statistics).items()],
         [floats("scores", ["N", 10])])


def write_digits():
    """Rows of 65 bytes: 64 grey values and the digit. The pictures to train on come first, then the test split."""
    sys.path.insert(0, str(HERE.parent))
    from train_digits import load_split
    train_x, test_x, train_y, test_y = load_split()
    pictures = np.rint(np.concatenate([train_x, test_x]).reshape(-1, 64) * 255).astype(np.uint8)
    labels = np.concatenate([train_y, test_y]).astype(np.uint8)
    (HERE / "digits.bytes").write_bytes(np.concatenate([pictures, labels[:, None]], 1).tobytes())
    print(f"{len(train_x)} pictures to train on, {len(test_x)} to test")


def main():
    write_digits()
    for activation in ACTIVATIONS:
        for normalizes in (False, True):
            name = activation + ("_bn" if normalizes else "")
            write_step(name, activation, normalizes)
            write_test(name, activation, normalizes)


if __name__ == "__main__":
    main()
