"""The engines, each a process that loads a model, runs it on command, and says how long that took."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import numpy as np

from .rows import ROOT

TITLES = {"norma": "Norma", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "ncnn": "ncnn", "opencv": "OpenCV"}


class Engine:
    """How to start an engine: the command that comes before MODEL INPUTS THREADS OUTPUTS PRECISION."""

    def __init__(self, name, command):
        self.name, self.title, self.command = name, TITLES.get(name, name), [str(part) for part in command]


def onnxruntime_library():
    """The C library inside the Python package."""
    import onnxruntime

    folder = pathlib.Path(onnxruntime.__file__).parent / "capi"
    paths = sorted(folder.glob("libonnxruntime.so*"))
    if not paths:
        raise SystemExit(f"compare_engines.py: no libonnxruntime.so in {folder}")
    return paths[0]


def engines_of(build, further):
    """Norma and ONNX Runtime, OpenVINO where this Python has it, and the further ones, "NAME" or "NAME=PYTHON"."""
    program = build / "bench_engine"
    if not program.exists():
        raise SystemExit(f"compare_engines.py: no {program}; build Norma first (--build names the folder)")
    engines = [Engine("norma", [program, "norma"]), Engine("onnxruntime", [program, onnxruntime_library()])]
    pythons = dict(entry.partition("=")[::2] for entry in filter(None, (further or "").split(",")))
    if "openvino" not in pythons:
        if importlib.util.find_spec("openvino"):
            pythons = {"openvino": "", **pythons}
        else:
            print("without OpenVINO, which this Python has not (tools/requirements.txt)")
    peer = ROOT / "tools/bench/bench_peer.py"
    return engines + [Engine(name, [python or sys.executable, peer, name]) for name, python in pythons.items()]


class Case:
    """One row on disk: its model and its inputs, and a folder for outputs."""

    def __init__(self, row, folders, scratch):
        self.row, self.path, self.scratch = row, row.path(folders), scratch
        self.inputs = self.path.parent / f"test_data_set_{row.inputs}"

    def arguments(self, threads, outputs):
        return [str(a) for a in (self.path, self.inputs, threads, outputs, self.row.precision)]


class Process:
    """A running engine with a loaded model. `start` is what it said of its first run."""

    def __init__(self, engine, case, threads):
        self.engine = engine
        self.outputs = case.scratch / engine.name
        self.outputs.mkdir(exist_ok=True)
        for old in self.outputs.iterdir():
            old.unlink()
        # The last CPUs of those allowed: interrupts tend to be served by the first.
        cpus = sorted(os.sched_getaffinity(0))[-threads:]
        self.process = subprocess.Popen(
            engine.command + case.arguments(threads, self.outputs),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cpus),
        )
        self.start = self.answer()

    def answer(self):
        # Libraries may print what they like; an answer is a line that is an object.
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        _, errors = self.process.communicate()
        lines = [line for line in errors.strip().splitlines() if line.strip()]
        raise RuntimeError(lines[-1].strip() if lines else "ended without an answer")

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()

    def results(self):
        return [np.load(self.outputs / f"output_{i}.npy") for i in range(len(list(self.outputs.iterdir())))]

    def close(self):
        self.process.communicate()
