"""Times of runs through Python: norma, norma.onnxruntime and onnxruntime, on ten models and on one that does nothing.

    PYTHONPATH=build/python python tools/compare_python.py [--models DIR] [--rounds N] [--norma TOOL]

Models are those of models/random_models.py in DIR (default: build/random_models); missing ones are left out, and named. One
thread, batch 1, inputs random. The engines take turns in one process; a turn repeats runs for some 20 ms of the processor's
time, and the table has medians over the turns. `C` is the same run without Python, as `norma bench` measures it (by the clock)
in the same rounds, of runs below a millisecond: what `norma` takes beyond it is Python's part.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import time

import numpy as np
import onnx
import onnxruntime
from onnx import helper

import norma
import norma.onnxruntime

MODELS = ("mnist", "mlp", "light_squeezenet", "light_shufflenet", "mobilenet_v1", "mobilenet_v2", "light_inception_v1",
          "resnet50", "light_densenet121", "super_resolution")
TURN = 0.02


def nothing(folder):
    """A model that hands ten numbers on: what a call costs."""
    value = [helper.make_tensor_value_info(name, 1, [1, 10]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "nothing", value[:1], value[1:])
    path = folder / "nothing.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def onnxruntime_session(module, path):
    options = module.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return module.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def turn(run, count):
    """Seconds of a run, of the processor's time: other programs do not count."""
    begin = time.process_time()
    for _ in range(count):
        run()
    return (time.process_time() - begin) / count


def runs_of_a_turn(run):
    count = 1
    while count < 1 << 20 and turn(run, count) * count < TURN / 4:
        count *= 2
    return count * 4 if count > 1 else 1


def bench(tool, path):
    done = subprocess.run([tool, "bench", str(path), "-t", "1", "--duration", "0.05s", "--json"], capture_output=True,
                          text=True, check=True)
    return json.loads(done.stdout)["median_ms"] / 1e3


def compare(path, rounds, tool):
    """Medians in microseconds, and the largest difference of outputs over their largest magnitude."""
    own = norma.load(path, threads=1)
    session = own.session()
    generator = np.random.default_rng(0)
    feed = {x.name: generator.standard_normal([dim if isinstance(dim, int) else 1 for dim in x.shape]).astype(x.dtype)
            for x in own.inputs}
    place, other = (onnxruntime_session(module, path) for module in (norma.onnxruntime, onnxruntime))
    engines = {"norma": lambda: session.run(feed), "norma.onnxruntime": lambda: place.run(None, feed),
               "onnxruntime": lambda: other.run(None, feed)}
    errors = [np.abs(x - y).max() / max(1e-3, np.abs(y).max()) for x, y in zip(session.run(feed), other.run(None, feed))]
    times = {name: [] for name in [*engines, "C"]}
    counts = {name: runs_of_a_turn(run) for name, run in engines.items()}
    for i in range(rounds):
        for name in list(engines)[::-1 if i % 2 else 1]:
            times[name].append(turn(engines[name], counts[name]))
        if times["norma"][0] < 1e-3:
            times["C"].append(bench(tool, path))
    return {name: statistics.median(found) * 1e6 for name, found in times.items() if found}, max(errors)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=pathlib.Path, default=pathlib.Path("build/random_models"))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--norma", default="build/release/norma")
    options = parser.parse_args()
    paths = {"nothing": nothing(pathlib.Path("build"))}
    paths.update({name: options.models / name / "model.onnx" for name in MODELS})
    print("| microseconds | C | norma | norma.onnxruntime | onnxruntime | onnxruntime / norma | error |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, path in paths.items():
        if not path.exists():
            print(f"left out: {name}, there is no {path}")
            continue
        found, error = compare(path, options.rounds, options.norma)
        beyond = f"{found['C']:.1f}" if "C" in found else ""
        print(f"| {name} | {beyond} | {found['norma']:.1f} | {found['norma.onnxruntime']:.1f} | "
              f"{found['onnxruntime']:.1f} | {found['onnxruntime'] / found['norma']:.2f} | {error:.0e} |", flush=True)


if __name__ == "__main__":
    main()
