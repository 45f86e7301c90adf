"""Trains the small digit classifiers of this folder and writes everything derived from them.

One command makes all of it again:

    python models/train_digits.py

It writes the four exports with their reference data, the pictures, and the table of measurements in
README.md. Training is seeded and uses one thread, because a second thread changes the order of sums
and with it every weight.
"""

import argparse
import collections
import copy
import pathlib
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent
SEED = 7
PICTURE_DIGITS = (3, 7, 8)
TABLE_BEGIN = "<!-- measured by train_digits.py: begin -->"
TABLE_END = "<!-- measured by train_digits.py: end -->"


# --- data ---------------------------------------------------------------------------------------


def load_split():
    """Returns train pictures, test pictures, train labels, test labels; pictures are n x 1 x 8 x 8.

    scikit-learn's pixels run from 0 to 16. They go through eight bits first, so that a picture file
    divided by 255 is bit for bit what the models were trained and measured on.
    """
    digits = load_digits()
    grey = np.rint(digits.images / 16 * 255)
    pictures = (grey.astype(np.float32) / np.float32(255))[:, None]
    labels = digits.target.astype(np.int64)
    return train_test_split(pictures, labels, test_size=0.25, stratify=labels, random_state=SEED)


def shifted(pictures, generator):
    """Moves each picture by up to one pixel each way: the training set is small, and this enlarges it."""
    padded = nn.functional.pad(pictures, (1, 1, 1, 1))
    rows, columns = torch.randint(0, 3, (2, len(pictures)), generator=generator).tolist()
    return torch.stack([p[:, r:r + 8, c:c + 8] for p, r, c in zip(padded, rows, columns)])


# --- networks -----------------------------------------------------------------------------------


def conv_block(channels_in, channels_out):
    """Conv, BatchNormalization, Relu. The convolution has no bias: BatchNormalization brings one."""
    return named(
        conv=nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),
        bn=nn.BatchNorm2d(channels_out),
        relu=nn.ReLU())


def named(**layers):
    """A Sequential with names, which the exporters turn into the names of nodes and weights."""
    return nn.Sequential(collections.OrderedDict(layers))


def make_cnn():
    """8x8 -> 4x4 -> 2x2 by max pooling, then one linear layer. Returns logits."""
    return named(
        block1=conv_block(1, 16),
        block2=conv_block(16, 32), pool2=nn.MaxPool2d(2),
        block3=conv_block(32, 32), pool3=nn.MaxPool2d(2),
        flatten=nn.Flatten(), classifier=nn.Linear(32 * 2 * 2, 10))


def make_mlp():
    """64 -> 128 -> 64 -> 10. Takes the same picture as the CNN and flattens it itself."""
    return named(
        flatten=nn.Flatten(),
        layer1=nn.Linear(64, 128), relu1=nn.ReLU(),
        layer2=nn.Linear(128, 64), relu2=nn.ReLU(),
        layer3=nn.Linear(64, 10))


def train(make_network, pictures, labels, epochs, augment):
    """Trains a fresh network and returns it in eval mode, with a Softmax behind its logits."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    network = make_network().train()
    pictures, labels = torch.from_numpy(pictures), torch.from_numpy(labels)
    batch = 32
    steps = epochs * (len(pictures) // batch)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(pictures), generator=generator)
        for start in range(0, len(order) - batch + 1, batch):
            chosen = order[start:start + batch]
            x = shifted(pictures[chosen], generator) if augment else pictures[chosen]
            loss = nn.functional.cross_entropy(network(x), labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.add_module("softmax", nn.Softmax(dim=1))
    return network.eval()


def framework_output(network, pictures):
    """The reference: what PyTorch itself computes."""
    with torch.no_grad():
        return network(torch.from_numpy(pictures)).numpy()


# --- exports ------------------------------------------------------------------------------------

NAMES = {"input_names": ["picture"], "output_names": ["probabilities"]}
EXAMPLE = (torch.zeros(2, 1, 8, 8),)


def export_torchscript(network, path, opset, keep_batch_normalization):
    """The older exporter, still behind most models in circulation."""
    mode = torch.onnx.TrainingMode
    torch.onnx.export(
        network, EXAMPLE, path, dynamo=False, opset_version=opset, **NAMES,
        training=mode.PRESERVE if keep_batch_normalization else mode.EVAL,
        do_constant_folding=not keep_batch_normalization,
        dynamic_axes={"picture": {0: "N"}, "probabilities": {0: "N"}})


def export_dynamo(network, path):
    """The newer exporter, at the opset that it prefers, with the weights inside the file."""
    torch.onnx.export(
        network, EXAMPLE, path, dynamo=True, external_data=False, verbose=False, **NAMES,
        dynamic_shapes=({0: torch.export.Dim("N")},))


def export_all(networks):
    """Writes model.onnx of each export. Returns folder name -> network."""
    exports = {
        "digits_cnn_bn": ("cnn", lambda n, p: export_torchscript(n, p, 17, True)),
        "digits_cnn_folded": ("cnn", lambda n, p: export_torchscript(n, p, 13, False)),
        "digits_cnn_dynamo": ("cnn", export_dynamo),
        "digits_mlp": ("mlp", lambda n, p: export_torchscript(n, p, 17, False)),
    }
    for name, (kind, export) in exports.items():
        path = HERE / name / "model.onnx"
        path.parent.mkdir(exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the older exporter is deprecated is known and wanted
            export(copy.deepcopy(networks[kind]), path)
        clean(path)
    return {name: networks[kind] for name, (kind, _) in exports.items()}


def clean(path):
    """Checks the model, drops source locations (they hold paths of the exporting machine), saves it."""
    model = onnx.load(path)
    for node in model.graph.node:
        node.ClearField("doc_string")
        kept = [p for p in node.metadata_props if "stack_trace" not in p.key]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


# --- reference data, pictures, measurements -------------------------------------------------------


def ort_output(path, pictures):
    """ONNX Runtime's answer, with its graph optimisations off so that it computes the file as written."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"picture": pictures})[0]


def write_tensor(path, name, array):
    path.write_bytes(numpy_helper.from_array(array, name).SerializeToString())


def write_test_data(folder, network, pictures):
    """One picture, five pictures, and one that is all zeros (what is left are biases and statistics)."""
    inputs = [pictures[:1], pictures[1:6], np.zeros((1, 1, 8, 8), np.float32)]
    for number, x in enumerate(inputs):
        expected = framework_output(network, x)
        difference = np.abs(ort_output(folder / "model.onnx", x) - expected).max()
        assert difference < 1e-5, f"{folder.name}: ONNX Runtime and PyTorch differ by {difference}"
        data_set = folder / f"test_data_set_{number}"
        data_set.mkdir(exist_ok=True)
        write_tensor(data_set / "input_0.pb", "picture", x)
        write_tensor(data_set / "output_0.pb", "probabilities", expected)


def write_pictures(networks, pictures, labels):
    """For each wanted digit, the first test picture that every network gets right, as .png and .npy."""
    right = np.ones(len(labels), bool)
    for network in networks.values():
        right &= framework_output(network, pictures).argmax(1) == labels
    folder = HERE / "pictures"
    folder.mkdir(exist_ok=True)
    for digit in PICTURE_DIGITS:
        picture = pictures[np.flatnonzero(right & (labels == digit))[0]]
        grey = np.rint(picture[0] * 255).astype(np.uint8)
        assert np.array_equal(grey.astype(np.float32) / np.float32(255), picture[0])
        Image.fromarray(grey).save(folder / f"digit_{digit}.png")
        np.save(folder / f"digit_{digit}.npy", picture[None])


def describe(folder, pictures, labels):
    """A row of the table in README.md: measured on the exported file, not on the network in memory."""
    path = folder / "model.onnx"
    model = onnx.load(path)
    right = int((ort_output(path, pictures).argmax(1) == labels).sum())
    counts = collections.Counter(node.op_type for node in model.graph.node)
    operators = ", ".join(f"{count} {name}" if count > 1 else name for name, count in counts.items())
    producer = f"{model.producer_name} {model.producer_version}"
    opset = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    accuracy = f"{100 * right / len(labels):.2f} % ({right} of {len(labels)})"
    return (f"| {folder.name} | {producer} | {opset} | {model.ir_version} | {operators} "
            f"| {path.stat().st_size} | {accuracy} |")


def write_table(rows):
    """Replaces the table between the two markers of README.md."""
    head = ["| model | exporter | opset | IR | operators | bytes | right on the test split |",
            "|---|---|---:|---:|---|---:|---|"]
    table = "\n".join(head + rows)
    print(table)
    readme = HERE / "README.md"
    before, rest = readme.read_text().split(TABLE_BEGIN)
    after = rest.split(TABLE_END)[1]
    readme.write_text(f"{before}{TABLE_BEGIN}\n{table}\n{TABLE_END}{after}")


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    train_x, test_x, train_y, test_y = load_split()
    networks = {
        "cnn": train(make_cnn, train_x, train_y, epochs=40, augment=True),
        "mlp": train(make_mlp, train_x, train_y, epochs=60, augment=False),
    }
    exported = export_all(networks)
    for name, network in exported.items():
        write_test_data(HERE / name, network, test_x)
    write_pictures(networks, test_x, test_y)
    write_table([describe(HERE / name, test_x, test_y) for name in exported])


if __name__ == "__main__":
    main()
