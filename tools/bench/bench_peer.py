"""One further engine in one process, for tools/compare_engines.py.

    python tools/bench/bench_peer.py ENGINE MODEL INPUTS THREADS OUTPUTS PRECISION

ENGINE is openvino, ncnn or opencv; its Python package must be there, for ncnn also pnnx, which converts the model.
Speaks like tools/bench/bench_engine.c: a line of JSON after loading and the first run, then one for each command.
All compute in float32 but for models that say otherwise; ncnn and opencv take one input and give one output.
"""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import onnx
from onnx import numpy_helper


@dataclasses.dataclass
class Opened:
    """A loaded model."""

    version: str
    run: Callable
    outputs: Callable  # of the last run
    is_reshaped: bool = False  # it was taken with fixed shapes only



def openvino_settings(threads, precision):
    """Activations of models whose weights alone are small stay floats, unless the model asks for integers."""
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": "f32"}
    if not precision.endswith("-8"):
        settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = 0
    return settings


def open_openvino(path, feeds, threads, precision):
    import openvino

    core, settings = openvino.Core(), openvino_settings(threads, precision)
    model, is_reshaped = core.read_model(path), False
    try:
        compiled = core.compile_model(model, "CPU", settings)
    except RuntimeError:  # some models it takes with fixed shapes only
        is_reshaped = True
        model.reshape({name: list(x.shape) for name, x in feeds.items()})
        compiled = core.compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    known = {name for port in compiled.inputs for name in port.get_names()}
    for name, x in feeds.items():
        if name in known:  # one that nothing reads is gone
            request.set_tensor(name, openvino.Tensor(x, shared_memory=True))
    outputs = lambda: [request.get_output_tensor(i).data for i in range(len(compiled.outputs))]
    return Opened(openvino.__version__.split("-")[0], request.infer, outputs, is_reshaped)


def only(feeds):
    if len(feeds) != 1:
        raise SystemExit("bench_peer.py: this engine is asked for models of one input only")
    return next(iter(feeds.values()))


def open_opencv(path, feeds, threads, precision):
    import cv2

    x = only(feeds)

    cv2.setNumThreads(threads)
    net = cv2.dnn.readNetFromONNX(path)
    last = []

    def run():
        net.setInput(x)
        last[:] = [net.forward()]

    return Opened(cv2.__version__, run, lambda: last)


def open_ncnn(path, feeds, threads, precision):
    import ncnn

    x = only(feeds)

    with tempfile.TemporaryDirectory() as folder:
        # The converter writes beside the model and takes the name's first part for its files.
        copy = pathlib.Path(folder) / "model.onnx"
        copy.symlink_to(pathlib.Path(path).resolve())
        shape = ",".join(map(str, x.shape))
        program = pathlib.Path(sys.executable).with_name("pnnx")
        subprocess.run([program, copy, f"inputshape=[{shape}]", "fp16=0"], cwd=folder, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        net = ncnn.Net()
        net.opt.num_threads = threads
        for option in ("use_vulkan_compute", "use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic",
                       "use_bf16_storage"):
            setattr(net.opt, option, False)
        if net.load_param(f"{folder}/model.ncnn.param") or net.load_model(f"{folder}/model.ncnn.bin"):
            raise SystemExit("bench_peer.py: ncnn cannot load what pnnx made of the model")
    matrix = ncnn.Mat(np.ascontiguousarray(x[0]))
    last = []

    def run():
        extractor = net.create_extractor()
        extractor.input("in0", matrix)
        status, result = extractor.extract("out0")
        if status:
            raise SystemExit("bench_peer.py: ncnn cannot run the model")
        last[:] = [result]

    return Opened(ncnn.__version__, run, lambda: [np.array(last[0])])


ENGINES = {"openvino": open_openvino, "opencv": open_opencv, "ncnn": open_ncnn}


def others_run():
    """Whether another thread of this process computes or waits for a CPU."""
    own = str(os.getpid())  # this thread is the first
    for task in pathlib.Path("/proc/self/task").iterdir():
        try:
            state = (task / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:  # it has ended
            continue
        if task.name != own and state == "R":
            return True
    return False


def come_to_rest():
    """Waits, 2 s at most, until no other thread runs; returns the CPU milliseconds taken until then."""
    begin, quiet = time.process_time(), 0
    for _ in range(2000):
        quiet = 0 if others_run() else quiet + 1
        if quiet == 2:
            break
        time.sleep(0.001)
    return (time.process_time() - begin) * 1e3


def status_kib(name):
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0


def say(**values):
    print(json.dumps(values), flush=True)


def same(arrays, others):
    return len(arrays) == len(others) and all(
        np.array_equal(a, b, equal_nan=b.dtype.kind == "f") for a, b in zip(arrays, others))


def command_run(opened, first, count):
    times, run = [], opened.run
    run()
    cpu = time.process_time()
    for _ in range(count):
        begin = time.perf_counter()
        run()
        times.append((time.perf_counter() - begin) * 1e3)
    cpu = (time.process_time() - cpu) * 1e3
    awake = come_to_rest()
    say(median_ms=sorted(times)[count // 2], min_ms=min(times), wall_ms=sum(times), cpu_ms=cpu, awake_ms=awake,
        same=same(opened.outputs(), first))


def command_idle(milliseconds):
    cpu = time.process_time()
    time.sleep(milliseconds / 1e3)
    say(cpu_ms=(time.process_time() - cpu) * 1e3)


def read_inputs(path, folder):
    """By name: the files input_N.pb, for the inputs of the graph in their order."""
    graph = onnx.load(path, load_external_data=False).graph
    weights = {w.name for w in graph.initializer}
    names = [i.name for i in graph.input if i.name not in weights]
    tensors = [onnx.load_tensor(f"{folder}/input_{i}.pb") for i in range(len(names))]
    return {name: numpy_helper.to_array(t).copy() for name, t in zip(names, tensors)}


def main():
    if len(sys.argv) != 7 or sys.argv[1] not in ENGINES:
        raise SystemExit(__doc__.strip())
    name, path, inputs, threads, outputs, precision = sys.argv[1:]
    feeds = read_inputs(path, inputs)
    begin, begin_cpu = time.perf_counter(), time.process_time()
    opened = ENGINES[name](path, feeds, int(threads), precision)
    loaded, loaded_cpu = time.perf_counter(), time.process_time()
    load_peak, load_now = status_kib("VmHWM"), status_kib("VmRSS")
    opened.run()
    first = time.perf_counter()
    kept = [np.array(y) for y in opened.outputs()]
    for i, y in enumerate(kept):
        np.save(f"{outputs}/output_{i}.npy", y)
    say(version=opened.version, load_ms=(loaded - begin) * 1e3, load_cpu_ms=(loaded_cpu - begin_cpu) * 1e3,
        first_ms=(first - loaded) * 1e3, load_peak_kib=load_peak, load_kib=load_now, peak_kib=status_kib("VmHWM"),
        kib=status_kib("VmRSS"), is_reshaped=opened.is_reshaped)
    for line in sys.stdin:
        command, number = line.split()
        if command == "run":
            command_run(opened, kept, int(number))
        elif command == "idle":
            command_idle(int(number))
        else:
            raise SystemExit(f"bench_peer.py: no command: {line}")


if __name__ == "__main__":
    main()
