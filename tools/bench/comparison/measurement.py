"""One row measured: engines take turns, outputs are held against each other, load and memory are noted."""

import json
import math
import os
import pathlib
import statistics
import subprocess
import time

import numpy as np

from .engines import Process

QUIET = 0.1  # CPUs that other programs may keep busy before the page says so
TURN_SECONDS = 0.02  # a turn repeats short runs until about this time has passed
STARTS = 20  # fresh processes for the time from start to result
WRONG_ERROR = {"float32": 1e-3, "float16": 0.05, "int4": 0.02}  # from here on an engine has not computed the model
WRONG_INTEGERS = 0.5  # the same where sums are rounded to 8 bits on the way, which engines do at different places


# --- outputs ------------------------------------------------------------------------------------------


def largest_error(values, reference):
    """Of floats the largest difference over the largest magnitude, of others the part of elements that differ."""
    if values.shape != reference.shape:
        return math.inf
    if values.dtype.kind in "iub" or not values.size:
        return float(np.mean(values != reference)) if values.size else 0.0
    values, reference = values.astype(np.float64), reference.astype(np.float64)
    same = (values == reference) | (np.isnan(values) & np.isnan(reference))
    if same.all():
        return 0.0
    scale = np.abs(reference[np.isfinite(reference)]).max(initial=1e-30)
    error = np.where(same, 0, np.abs(values - reference)).max() / scale
    return float(error) if np.isfinite(error) else math.inf


def outputs_error(values, references):
    if len(values) != len(references):
        return math.inf
    return max((largest_error(a, b) for a, b in zip(values, references)), default=0.0)


# --- other programs -----------------------------------------------------------------------------------


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
        return max(0.0, (busy_end - busy_begin) / max(end - begin, 1e-3))


# --- a row --------------------------------------------------------------------------------------------


def start_all(case, engines, threads, found):
    """The engines that can load and run the model; of others `found` gets why not."""
    processes = {}
    for engine in engines:
        try:
            processes[engine.name] = Process(engine, case, threads)
            found[engine.name] = {
                "turns": [],
                "cpu": [],
                "minimum": math.inf,
                "same": True,
                "awake": 0.0,
                "start": processes[engine.name].start,
            }
        except RuntimeError as error:
            found[engine.name] = {"failure": str(error)}
    return processes


def turn(process, timing, count):
    said = process.ask(f"run {count}")
    timing["turns"].append(said["median_ms"])
    timing["minimum"] = min(timing["minimum"], said["min_ms"])
    timing["cpu"].append(said["cpu_ms"] / count)
    timing["same"] = timing["same"] and said["same"]
    timing["awake"] = max(timing["awake"], said["awake_ms"])


def take_turns(processes, found, pairs):
    """Returns how many CPUs other programs kept busy meanwhile."""
    counts = {}
    for name, process in processes.items():
        once = process.ask("run 3")["median_ms"] / 1e3
        counts[name] = max(1, min(2000, round(TURN_SECONDS / once)))
    bystanders = Bystanders(processes.values())
    for _ in range(pairs):
        for name, process in processes.items():
            turn(process, found[name], counts[name])
    return bystanders.cpus()


def measure(case, engines, threads, pairs):
    """What was measured, all of it numbers and texts: by engine, and how many CPUs others kept busy."""
    found = {}
    processes = start_all(case, engines, threads, found)
    try:
        others = take_turns(processes, found, pairs)
        results = {name: process.results() for name, process in processes.items()}
        for name, process in processes.items():
            found[name]["idle"] = process.ask("idle 300")["cpu_ms"] / 0.3
            found[name]["errors"] = {
                other: outputs_error(results[name], results[other]) for other in results if other != name
            }
    finally:
        for process in processes.values():
            process.close()
    return {"threads": threads, "others": others, "engines": found}


def is_wrong(found, name, precision):
    """Whether the engine differs from all others that answered, these not differing from each other alike."""
    errors = found[name].get("errors", {})
    limit = WRONG_ERROR.get(precision, WRONG_INTEGERS)
    agreed = {o for o in errors if any(e < limit for other, e in found[o].get("errors", {}).items() if other != name)}
    judges = agreed if len(errors) > 1 and agreed else errors
    return bool(judges) and all(errors[o] >= limit for o in judges)


def times_of(entry, name):
    """The times of an engine's turns. On a busy machine those that other programs disturb least: of one thread its CPU
    time, of several the shortest run of all."""
    timing = entry["engines"][name]
    if entry["others"] <= QUIET:
        return timing["turns"]
    return timing["cpu"] if entry["threads"] == 1 else [timing["minimum"]]


def ratio(entry, name, other):
    """The median over pairs of turns of other's time by name's: how many times faster `name` is."""
    return statistics.median(b / max(a, 1e-9) for a, b in zip(times_of(entry, name), times_of(entry, other)))


def better_peer(entry, precision):
    """The fastest of ONNX Runtime and OpenVINO, as far as they computed the model; None: neither did."""
    found = entry["engines"]
    peers = [
        n for n in ("onnxruntime", "openvino") if found.get(n, {}).get("turns") and not is_wrong(found, n, precision)
    ]
    return min(peers, key=lambda n: statistics.median(times_of(entry, n)), default=None)


# --- fresh processes ----------------------------------------------------------------------------------


def measure_load(case, engine, loads):
    """Fresh processes on one thread: load time (the fastest), memory (the median), in ms and KiB."""
    starts = []
    for _ in range(loads):
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
        subprocess.run(
            engine.command + case.arguments(1, case.scratch / engine.name),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        times.append((time.perf_counter() - begin) * 1e3)
    return min(times), statistics.median(times)


def measure_limits(build, threads):
    said = subprocess.run([build / "bench_limits", str(threads)], check=True, capture_output=True, text=True).stdout
    return json.loads(said)
