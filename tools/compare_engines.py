"""Compares Norma with ONNX Runtime on fourteen models and writes the table tools/BENCHMARKS.md.

    python tools/compare_engines.py [--only NAME,...] [--pairs N] [--threads 1,2] [--out FILE]
                                    [--models DIR] [--vectors DIR] [--build DIR] [--engines NAME=PYTHON,...]

Models have random normal weights (models/random_models.py) and are written to --models where they are not there yet.
Graphs of known networks come from ONNX's light_* models: in the folder --vectors, in the onnx package, or in the
archive onnx-backend-data.tar.xz of the folder that the environment variable NORMA_SHARED names. Models without a graph
are left out, and named.

How it measures. Each engine is a process of its own (tools/bench/bench_engine.c), limited to as many CPUs as it has threads,
weights loaded, inputs random. The processes take turns: A B A B ..., and a turn ends only when all threads of the
process are at rest. A turn is one run without the clock and then a few with it, of which the median counts. The ratio
of a model is the median of the ratios of its pairs of turns. Both outputs are compared, and every later output of an
engine must be the same, bit for bit, as its first. The limits of the machine are measured in the same run.
"""

import argparse
import dataclasses
import json
import math
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

import numpy as np
import onnx

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILDER = ROOT / "models" / "random_models.py"
TURN_SECONDS = 0.02  # a turn repeats short runs until about this time has passed
LOADS = 5  # fresh processes for load time and memory
STARTS = 20  # fresh processes for the time from start to result
QUIET = 0.1  # CPUs that other programs may keep busy before the page says so
MISSED_ERROR = 2e-5  # largest error over largest magnitude that a table may show without a mark
WRONG_ERROR = 1e-3  # from here on an engine has not computed the model, and its time counts for nothing


@dataclasses.dataclass
class Model:
    """A row of the table. `goals` are the ratios aimed at, on one thread and on two."""

    title: str
    name: str
    goals: tuple


MODELS = [
    Model("ResNet-50", "resnet50", (1.3, 1.3)),
    Model("VGG-19", "light_vgg19", (2.3, 2.3)),
    Model("DenseNet-121", "light_densenet121", (1.6, 1.6)),
    Model("Inception v1", "light_inception_v1", (2.3, 2.3)),
    Model("Inception v2", "light_inception_v2", (1.5, 1.5)),
    Model("SqueezeNet", "light_squeezenet", (1.4, 1.4)),
    Model("ShuffleNet", "light_shufflenet", (1.6, 1.6)),
    Model("AlexNet", "light_bvlc_alexnet", (2.2, 2.2)),
    Model("ZFNet", "light_zfnet512", (2.4, 2.4)),
    Model("MobileNet v1", "mobilenet_v1", (1.15, 1.15)),
    Model("MobileNet v2", "mobilenet_v2", (1.25, 1.25)),
    Model("super_resolution", "super_resolution", (1.9, 1.9)),
    Model("mnist", "mnist", (2.3, 1.5)),
    Model("MLP 784-1024-1024-10", "mlp", (1.5, 1.5)),
]


# --- models -------------------------------------------------------------------------------------------


def light_folder(vectors, scratch):
    """A folder of light_*/model.onnx, or None. What is found elsewhere is brought into that form in `scratch`."""
    if vectors:
        if not list(vectors.glob("light_*/model.onnx")):
            raise SystemExit(f"compare_engines.py: no light_*/model.onnx in {vectors}")
        return vectors
    package = pathlib.Path(onnx.__file__).parent / "backend/test/data/light"
    for path in package.glob("light_*.onnx"):
        folder = scratch / path.stem
        folder.mkdir()
        (folder / "model.onnx").symlink_to(path)
    archive = pathlib.Path(os.environ.get("NORMA_SHARED", ROOT.parent / "shared")) / "onnx-backend-data.tar.xz"
    if not list(scratch.iterdir()) and archive.exists():
        with tarfile.open(archive) as tar:
            for member in tar:
                path = pathlib.PurePath(member.name)
                if path.name == "model.onnx" and path.parent.name.startswith("light_"):
                    folder = scratch / path.parent.name
                    folder.mkdir()
                    (folder / "model.onnx").write_bytes(tar.extractfile(member).read())
    return scratch if list(scratch.iterdir()) else None


def make_models(models, folder, vectors):
    """Writes those models that are not there yet; returns the ones that are there in the end."""
    missing = [m for m in models if not (folder / m.name / "model.onnx").exists()]
    with tempfile.TemporaryDirectory() as scratch:
        light = light_folder(vectors, pathlib.Path(scratch)) if missing else None
        for model in missing:
            if model.name.startswith("light_") and not (light and (light / model.name).exists()):
                continue
            command = [sys.executable, BUILDER, "--out", folder, "--only", model.name]
            subprocess.run(command + (["--light", light] if light else []), check=True)
    left_out = [m.title for m in models if not (folder / m.name / "model.onnx").exists()]
    if left_out:
        print(f"left out, their graphs are not here (--vectors, NORMA_SHARED): {', '.join(left_out)}")
    return [m for m in models if m.title not in left_out], left_out


def shapes_of(model):
    """The shape of every value with known sizes; a free dimension counts as 1."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {i.name: list(i.dims) for i in inferred.initializer}
    for value in [*inferred.value_info, *inferred.input, *inferred.output]:
        shapes[value.name] = [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]
    return shapes


def multiply_accumulates(model):
    """Of Conv, Gemm and MatMul by their definition, whatever algorithm an engine takes."""
    shapes, total = shapes_of(model), 0
    for node in model.graph.node:
        if node.op_type == "Conv":
            total += math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
        elif node.op_type in ("Gemm", "MatMul"):
            inner = shapes[node.input[0]][-1]
            if any(a.name == "transA" and a.i for a in node.attribute):
                inner = shapes[node.input[0]][0]
            total += math.prod(shapes[node.output[0]]) * inner
    return total


# --- engines ------------------------------------------------------------------------------------------


def onnxruntime_library():
    """The C library inside the Python package, and the package's version."""
    import onnxruntime

    folder = pathlib.Path(onnxruntime.__file__).parent / "capi"
    paths = sorted(folder.glob("libonnxruntime.so*"))
    if not paths:
        raise SystemExit(f"compare_engines.py: no libonnxruntime.so in {folder}")
    return paths[0]


class Engine:
    """How to start an engine: the command that comes before MODEL INPUT SHAPE THREADS OUTPUT."""

    def __init__(self, name, title, command):
        self.name, self.title, self.command = name, title, [str(part) for part in command]


def engines_of(arguments):
    program = arguments.build / "bench_engine"
    if not program.exists():
        raise SystemExit(f"compare_engines.py: no {program}; build Norma first (--build names the folder)")
    engines = [Engine("norma", "Norma", [program, "norma"]),
               Engine("onnxruntime", "ONNX Runtime", [program, onnxruntime_library()])]
    for further in filter(None, (arguments.engines or "").split(",")):
        name, _, python = further.partition("=")
        script = ROOT / "tools" / "bench" / "bench_peer.py"
        engines.append(Engine(name, {"ncnn": "ncnn", "openvino": "OpenVINO", "opencv": "OpenCV"}.get(name, name),
                              [python or sys.executable, script, name]))
    return engines


class Process:
    """A running engine with a loaded model. `start` is what it said of its first run."""

    def __init__(self, engine, case, threads):
        self.engine = engine
        self.output = case.scratch / f"{engine.name}.f32"
        # The last CPUs of those allowed: interrupts tend to be served by the first.
        cpus = sorted(os.sched_getaffinity(0))[-threads:]
        self.process = subprocess.Popen(
            [*engine.command, case.path, case.input, "x".join(map(str, case.shape)), str(threads), self.output],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cpus))
        self.start = self.answer()

    def answer(self):
        # Libraries may print what they like; an answer is a line that is an object.
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        _, errors = self.process.communicate()
        raise RuntimeError(errors.strip().splitlines()[-1] if errors.strip() else "ended without an answer")

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()

    def result(self):
        return np.fromfile(self.output, np.float32)

    def close(self):
        self.process.communicate()


class Case:
    """One model on disk with its input."""

    def __init__(self, model, folder, scratch):
        self.model, self.scratch = model, scratch
        self.path = folder / model.name / "model.onnx"
        loaded = onnx.load(self.path)
        initializers = {i.name for i in loaded.graph.initializer}
        first = next(i for i in loaded.graph.input if i.name not in initializers)
        self.shape = [d.dim_value or 1 for d in first.type.tensor_type.shape.dim]
        self.gmac = multiply_accumulates(loaded) / 1e9
        self.weights = sum(math.prod(i.dims) * 4 for i in loaded.graph.initializer if i.data_type == 1)
        self.input = scratch / "input.f32"
        np.random.default_rng(1).standard_normal(self.shape, np.float32).tofile(self.input)


# --- measurement --------------------------------------------------------------------------------------


@dataclasses.dataclass
class Timing:
    """What one engine did on one model and number of threads."""

    minimum: float = math.inf  # milliseconds
    turns: list = dataclasses.field(default_factory=list)
    cpu: list = dataclasses.field(default_factory=list)  # of a run, all threads together
    error: float = math.nan  # against ONNX Runtime, largest over largest magnitude
    same: bool = True  # every output bit for bit as the first
    awake: float = 0.0  # CPU milliseconds after the last run until all threads are at rest
    idle: float = 0.0  # CPU milliseconds in a second without work
    failure: str = ""


def largest_error(values, reference):
    if values.shape != reference.shape:
        return math.inf
    return float(np.abs(values.astype(np.float64) - reference).max() / np.abs(reference).max())


def turn(process, timing, count):
    said = process.ask(f"run {count}")
    timing.turns.append(said["median_ms"])
    timing.minimum = min(timing.minimum, said["min_ms"])
    timing.cpu.append(said["cpu_ms"] / count)
    timing.same = timing.same and said["same"]
    timing.awake = max(timing.awake, said["awake_ms"])


def machine_seconds():
    """CPU seconds that all programs of this machine have taken."""
    fields = [int(f) for f in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle, waiting = fields[3:5]
    return (sum(fields) - idle - waiting) / os.sysconf("SC_CLK_TCK")


def process_seconds(pid):
    """CPU seconds of one process."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Bystanders:
    """Measures how many CPUs other programs keep busy. On a quiet machine that is next to none."""

    def __init__(self, processes):
        self.pids = [os.getpid(), *(p.process.pid for p in processes)]
        self.begin = self.now()

    def now(self):
        return time.monotonic(), machine_seconds() - sum(process_seconds(pid) for pid in self.pids)

    def cpus(self):
        (begin, busy_begin), (end, busy_end) = self.begin, self.now()
        return max(0.0, (busy_end - busy_begin) / (end - begin))


def measure(case, engines, threads, pairs):
    """Engine name -> Timing, the engines taking turns; and how many CPUs others kept busy meanwhile."""
    timings = {e.name: Timing() for e in engines}
    processes = {}
    for engine in engines:
        try:
            processes[engine.name] = Process(engine, case, threads)
        except RuntimeError as error:
            timings[engine.name].failure = str(error)
    try:
        counts, others = {}, 0.0
        for name, process in processes.items():
            once = process.ask("run 3")["median_ms"] / 1e3
            counts[name] = max(1, min(2000, round(TURN_SECONDS / once)))
        bystanders = Bystanders(processes.values())
        for _ in range(pairs):
            for name, process in processes.items():
                turn(process, timings[name], counts[name])
        others = bystanders.cpus()
        for name, process in processes.items():
            timings[name].idle = process.ask("idle 1000")["cpu_ms"]
            if "onnxruntime" in processes:
                timings[name].error = largest_error(process.result(), processes["onnxruntime"].result())
    finally:
        for process in processes.values():
            process.close()
    return timings, others


def ratio(timings, name, other, what="turns"):
    """The median over pairs of turns of other's time by name's: how many times faster `name` is."""
    pairs = zip(getattr(timings[name], what), getattr(timings[other], what))
    return statistics.median(b / max(a, 1e-9) for a, b in pairs)


def measure_load(case, engine):
    """Fresh processes on one thread: load time (the fastest), memory (the median), in ms and MB."""
    starts = []
    for _ in range(LOADS):
        process = Process(engine, case, 1)
        starts.append(process.start)
        process.close()
    said = {key: statistics.median(s[key] for s in starts) for key in starts[0] if key != "version"}
    for key in ("load_ms", "load_cpu_ms"):
        said[key] = min(s[key] for s in starts)
    return said


def measure_start(case, engine):
    """Milliseconds from starting a process to its end after one run: the fastest, and the median."""
    times = []
    for _ in range(STARTS):
        begin = time.perf_counter()
        subprocess.run([*engine.command, case.path, case.input, "x".join(map(str, case.shape)), "1",
                        case.scratch / "start.f32"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
        times.append((time.perf_counter() - begin) * 1e3)
    return min(times), statistics.median(times)


def measure_limits(build, threads):
    said = subprocess.run([build / "bench_limits", str(threads)], check=True, capture_output=True, text=True).stdout
    return json.loads(said)


# --- the page -----------------------------------------------------------------------------------------


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def table(header, rows):
    """A Markdown table; the first column is text, the others are numbers."""
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def milliseconds(value):
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def percent_of_peak(case, milliseconds_of_run, limits):
    return f"{2 * case.gmac / (milliseconds_of_run / 1e3) / limits['multiply_add_gflops'] * 100:.0f}"


def speed_row(case, timings, limits, engines, index):
    norma, ort = timings["norma"], timings["onnxruntime"]
    row = [case.model.title, f"{case.gmac:.3g}"]
    if norma.failure or ort.failure:
        return row + [f"{norma.failure or ort.failure}"] + [""] * (7 + len(engines) - 2)
    reached = ratio(timings, "norma", "onnxruntime")
    goal = case.model.goals[min(index, 1)]
    error = f"{norma.error:.1e}"
    error += "" if norma.error <= MISSED_ERROR else " (!)"
    error += "" if norma.same else " unsteady"
    row += [f"{reached:.2f}" if reached < goal else f"**{reached:.2f}**", f"{goal:.2f}",
            milliseconds(norma.minimum), milliseconds(ort.minimum),
            percent_of_peak(case, norma.minimum, limits), percent_of_peak(case, ort.minimum, limits), error]
    for engine in engines[2:]:
        timing = timings[engine.name]
        if timing.failure:
            row.append("-")
        elif not timing.error <= WRONG_ERROR:
            row.append("wrong answer")
        else:
            row.append(f"{ratio(timings, 'norma', engine.name):.2f}")
    return row


def speed_section(threads, index, results, limits, engines, pairs):
    """The table of one number of threads."""
    header = ["model", "GMAC", "ONNX Runtime / Norma", "goal", "Norma ms", "ONNX Runtime ms", "Norma % of peak",
              "ONNX Runtime % of peak", "error", *(f"{e.title} / Norma" for e in engines[2:])]
    rows = [speed_row(case, timings, limits, engines, index) for case, timings, _ in results]
    good = [t for _, t, _ in results if not t["norma"].failure and not t["onnxruntime"].failure]
    lines = [f"## {threads} thread{'s' if threads > 1 else ''}", "",
             f"Multiply-add peak {limits['multiply_add_gflops']:.0f} GFLOP/s, memory read {limits['read_gb_s']:.1f} "
             f"GB/s, copy {limits['copy_gb_s']:.1f} GB/s. {pairs} pairs.", "", *table(header, rows)]
    if good:
        ratios = [ratio(t, "norma", "onnxruntime") for t in good]
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        awake = [max(t[name].awake for t in good) for name in ("norma", "onnxruntime")]
        idle = [max(t[name].idle for t in good) for name in ("norma", "onnxruntime")]
        lines += [f"Geometric mean of the ratios: {mean:.2f}; smallest {min(ratios):.2f}. CPU time taken after a turn "
                  f"until all threads are at rest: Norma {awake[0]:.1f} ms, ONNX Runtime {awake[1]:.1f} ms at most; in "
                  f"a second without work then {idle[0]:.2f} and {idle[1]:.2f} ms.", ""]
    others = max((o for _, _, o in results), default=0)
    if others > QUIET:
        lines += [f"**The machine was not quiet**: other programs kept up to {others:.1f} CPUs busy. Times and ratios "
                  "then say little, those on several threads least: an engine whose threads spin loses more than one "
                  "whose threads sleep.", ""]
    return lines


def load_section(loads, starts):
    """Load time and memory, and the start of a process."""
    header = ["model", "weights MB", "Norma load ms", "ONNX Runtime load ms", "ratio", "Norma peak MB, load",
              "Norma peak MB, run", "Norma MB after", "ONNX Runtime peak MB, run", "Norma peak / weights"]
    rows = []
    for case, said in loads:
        if not said:
            continue
        norma, ort = said["norma"], said["onnxruntime"]
        megabytes = {name: norma[name] * 1024 / 1e6 for name in ("load_peak_kib", "peak_kib", "kib")}
        weights = case.weights / 1e6
        rows.append([case.model.title, f"{weights:.1f}", f"{norma['load_ms']:.1f}", f"{ort['load_ms']:.1f}",
                     f"{ort['load_ms'] / norma['load_ms']:.1f}", f"{megabytes['load_peak_kib']:.1f}",
                     f"{megabytes['peak_kib']:.1f}", f"{megabytes['kib']:.1f}", f"{ort['peak_kib'] * 1024 / 1e6:.1f}",
                     f"{megabytes['peak_kib'] / weights:.2f}" if weights > 1 else "-"])
    lines = ["## Load and memory", "",
             f"Fresh processes on one thread, the model file in the page cache: the shortest of {LOADS} load times, "
             "the median of the resident memory. MB are 10^6 bytes and include program and libraries.", "",
             *table(header, rows)]
    for title, (fastest, median) in starts:
        lines += [f"{title}, mnist: from the start of a process to its end after one run {fastest:.1f} ms "
                  f"(median {median:.1f}).", ""]
    return lines


def page(arguments, engines, versions, sections, left_out):
    named = ", ".join(f"{e.title} {versions.get(e.name, '')}".strip() for e in engines)
    lines = ["# Norma and other engines", "", "Written by `tools/compare_engines.py`, which says how it measures.", "",
             f"{named}. CPU: {cpu_name()}, {os.cpu_count()} cores. Kernels of Norma: {arguments.kernels}. Batch 1, "
             "float32, random weights. Ratios above 1: Norma is faster; bold: the goal is reached. Milliseconds are "
             "the shortest run. Per cent of peak counts the multiply-accumulates of the definition, so Winograd's "
             "algorithm can pass 100. Error is Norma's largest difference from ONNX Runtime over the output's largest "
             "magnitude.", ""]
    if left_out:
        lines += [f"Left out, their graphs were not there: {', '.join(left_out)}.", ""]
    return "\n".join([*lines, *sections]).rstrip() + "\n"


# --- command line -------------------------------------------------------------------------------------


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="NAME,...", help="these models only")
    parser.add_argument("--pairs", type=int, default=20, help="turns of each engine (default: 20)")
    parser.add_argument("--threads", default="1,2", help="numbers of threads (default: 1,2)")
    parser.add_argument("--out", type=pathlib.Path, help="page (default: tools/BENCHMARKS.md; with --only: printed)")
    parser.add_argument("--models", type=pathlib.Path, default=ROOT / "build/random_models", help="of the models")
    parser.add_argument("--vectors", type=pathlib.Path, help="folder that holds ONNX's light_* models")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release", help="of Norma's build")
    parser.add_argument("--engines", help="further engines: ncnn, openvino, opencv, each with =PYTHON that has it")
    parser.add_argument("--no-load", action="store_true", help="leave out load time and memory")
    arguments = parser.parse_args()
    arguments.threads = [int(t) for t in arguments.threads.split(",")]
    arguments.build = arguments.build.resolve()
    arguments.models = arguments.models.resolve()
    if not arguments.out and not arguments.only:
        arguments.out = ROOT / "tools" / "BENCHMARKS.md"
    return arguments


def chosen(only):
    if not only:
        return MODELS
    names = only.split(",")
    found = [m for m in MODELS if m.name in names or m.title in names]
    if len(found) != len(names):
        raise SystemExit(f"compare_engines.py: --only knows {', '.join(m.name for m in MODELS)}")
    return found


def show(case, threads, timings, others):
    """Lines on the terminal for each measurement. Ratios by CPU time hold on one thread of a busy machine too."""
    print(f"{case.model.title}, threads: {threads}" +
          (f", others kept {others:.1f} CPUs busy" if others > QUIET else ""))
    for name, timing in timings.items():
        if timing.failure:
            print(f"  {name:12} {timing.failure}")
            continue
        line = f"  {name:12} {milliseconds(timing.minimum):>8} ms  error {timing.error:.1e}"
        if name != "norma" and not timings["norma"].failure:
            line += (f"  {name} / norma {ratio(timings, 'norma', name):.2f}, "
                     f"by CPU time {ratio(timings, 'norma', name, 'cpu'):.2f}")
        print(line, flush=True)


def main():
    arguments = parse()
    engines = engines_of(arguments)
    models, left_out = make_models(chosen(arguments.only), arguments.models, arguments.vectors)
    results = {threads: [] for threads in arguments.threads}
    loads, versions, starts = [], {}, []
    with tempfile.TemporaryDirectory() as scratch:
        limits = {threads: measure_limits(arguments.build, threads) for threads in arguments.threads}
        arguments.kernels = next(iter(limits.values()))["kernels"]
        for model in models:
            case = Case(model, arguments.models, pathlib.Path(scratch))
            for threads in arguments.threads:
                timings, others = measure(case, engines, threads, arguments.pairs)
                results[threads].append((case, timings, others))
                show(case, threads, timings, others)
            failed = any(timings[e.name].failure for e in engines[:2])
            if not arguments.no_load and not failed:
                said = {e.name: measure_load(case, e) for e in engines[:2]}
                loads.append((case, said))
                for name, start in said.items():
                    print(f"  {name:12} load {start['load_ms']:.1f} ms, CPU time {start['load_cpu_ms']:.1f} ms, "
                          f"peak {start['peak_kib'] * 1024 / 1e6:.1f} MB", flush=True)
                if model.name == "mnist":
                    starts = [(e.title, measure_start(case, e)) for e in engines[:2]]
            for engine in engines:
                if engine.name not in versions and not timings[engine.name].failure:
                    process = Process(engine, case, 1)
                    versions[engine.name] = process.start["version"]
                    process.close()
    sections = []
    for threads in arguments.threads:
        sections += speed_section(threads, threads - 1, results[threads], limits[threads], engines, arguments.pairs)
    if loads:
        sections += load_section(loads, starts)
    text = page(arguments, engines, versions, sections, left_out)
    if arguments.out:
        arguments.out.write_text(text)
    else:
        print("\n" + text)


if __name__ == "__main__":
    main()
