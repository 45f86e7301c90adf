"""Measures what norma bn reestimate brings on data unlike the training data, and writes the table of
BATCH_NORMALIZATION.md.

    NORMA=build/release/norma python models/measure_batch_normalization.py

The model is digits_cnn_bn/model.onnx as it stands here; nothing is trained.
"""

import os
import pathlib
import subprocess
import tempfile

import numpy as np
import onnxruntime

from train_digits import load_split

HERE = pathlib.Path(__file__).resolve().parent
NORMA = pathlib.Path(os.environ.get("NORMA", HERE.parent / "build/release/norma")).absolute()
MODEL = HERE / "digits_cnn_bn" / "model.onnx"
PAGE = HERE / "BATCH_NORMALIZATION.md"
BEGIN = "<!-- measured by measure_batch_normalization.py: begin -->"
END = "<!-- measured by measure_batch_normalization.py: end -->"


def noisy(pictures, seed, deviation):
    return pictures + np.random.default_rng(seed).normal(0, deviation, pictures.shape)


# What is done to training and test pictures alike; the second argument is a seed.
DOMAINS = {
    "as trained": lambda p, s: p,
    "brighter (x + 0.5)": lambda p, s: p + 0.5,
    "brighter (x + 1)": lambda p, s: p + 1,
    "more contrast (4 x)": lambda p, s: 4 * p,
    "dark (x / 8)": lambda p, s: p / 8,
    "noisy (deviation 0.2)": lambda p, s: noisy(p, s, 0.2),
    "noisy (deviation 0.4)": lambda p, s: noisy(p, s, 0.4),
    "dark and noisy (x / 8, 0.02)": lambda p, s: noisy(p / 8, s, 0.02),
    "inverted (1 - x)": lambda p, s: 1 - p,
}

METHODS = {
    "sequential": (),
    "simultaneous": ("--order", "simultaneous", "--batch", "128"),
    "ema": ("--method", "ema", "--batch", "32", "--epochs", "2"),
    "10 pictures": (),
}


def accuracy(path, pictures, labels):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return int((session.run(None, {"picture": pictures})[0].argmax(1) == labels).sum())


def reestimated(folder, pictures, options):
    np.save(folder / "data.npy", pictures)
    output = folder / "model.onnx"
    subprocess.run([NORMA, "bn", "reestimate", MODEL, "--data", folder / "data.npy", "-o", output, "--quiet", *options],
                   check=True, stdout=subprocess.DEVNULL)
    return output


def rows():
    train, test, _, labels = load_split()
    for name, change in DOMAINS.items():
        shifted_train, shifted_test = (change(p, s).astype(np.float32) for p, s in ((train, 1), (test, 2)))
        results = [accuracy(MODEL, shifted_test, labels)]
        for method, options in METHODS.items():
            data = shifted_train[:10] if method == "10 pictures" else shifted_train
            with tempfile.TemporaryDirectory() as folder:
                results.append(accuracy(reestimated(pathlib.Path(folder), data, options), shifted_test, labels))
        yield name, [100 * r / len(labels) for r in results]


def main():
    head = ["| test pictures | as exported | " + " | ".join(METHODS) + " |", "|---|" + "---:|" * (1 + len(METHODS))]
    lines = head + [f"| {name} | " + " | ".join(f"{r:.2f} %" for r in results) + " |" for name, results in rows()]
    table = "\n".join(lines)
    print(table)
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
