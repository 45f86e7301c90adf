"""One further engine in one process, for tools/compare_engines.py --engines.

    python tools/bench/bench_peer.py ENGINE MODEL INPUT SHAPE THREADS OUTPUT

ENGINE is openvino, ncnn or opencv; its Python package must be there, for ncnn also pnnx, which converts the model.
Speaks like tools/bench/bench_engine.c: a line of JSON after loading and the first run, then one for each command.
All compute in float32.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np


def open_openvino(path, x, threads):
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(core.read_model(path), "CPU", settings).create_infer_request()
    request.set_input_tensor(openvino.Tensor(x, shared_memory=True))
    return openvino.__version__.split("-")[0], request.infer, lambda: request.get_output_tensor().data


def open_opencv(path, x, threads):
    import cv2

    cv2.setNumThreads(threads)
    net = cv2.dnn.readNetFromONNX(path)
    last = []

    def run():
        net.setInput(x)
        last[:] = [net.forward()]

    return cv2.__version__, run, lambda: last[0]


def open_ncnn(path, x, threads):
    import ncnn

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

    return ncnn.__version__, run, lambda: np.array(last[0])


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


def command_run(run, output, first, count):
    times = []
    run()
    cpu = time.process_time()
    for _ in range(count):
        begin = time.perf_counter()
        run()
        times.append((time.perf_counter() - begin) * 1e3)
    cpu = (time.process_time() - cpu) * 1e3
    awake = come_to_rest()
    say(median_ms=sorted(times)[count // 2], min_ms=min(times), wall_ms=sum(times), cpu_ms=cpu, awake_ms=awake,
        same=np.array_equal(output(), first, equal_nan=True))


def command_idle(milliseconds):
    cpu = time.process_time()
    time.sleep(milliseconds / 1e3)
    say(cpu_ms=(time.process_time() - cpu) * 1e3)


def main():
    if len(sys.argv) != 7 or sys.argv[1] not in ENGINES:
        raise SystemExit(__doc__.strip())
    name, path, input_file, shape, threads, output_file = sys.argv[1:]
    x = np.fromfile(input_file, np.float32).reshape([int(d) for d in shape.split("x")])
    begin, begin_cpu = time.perf_counter(), time.process_time()
    version, run, output = ENGINES[name](path, x, int(threads))
    loaded, loaded_cpu = time.perf_counter(), time.process_time()
    load_peak, load_now = status_kib("VmHWM"), status_kib("VmRSS")
    run()
    first = time.perf_counter()
    kept = np.array(output(), np.float32)
    kept.tofile(output_file)
    say(version=version, load_ms=(loaded - begin) * 1e3, load_cpu_ms=(loaded_cpu - begin_cpu) * 1e3,
        first_ms=(first - loaded) * 1e3, load_peak_kib=load_peak, load_kib=load_now, peak_kib=status_kib("VmHWM"),
        kib=status_kib("VmRSS"))
    for line in sys.stdin:
        command, number = line.split()
        if command == "run":
            command_run(run, output, kept, int(number))
        elif command == "idle":
            command_idle(int(number))
        else:
            raise SystemExit(f"bench_peer.py: no command: {line}")


if __name__ == "__main__":
    main()
