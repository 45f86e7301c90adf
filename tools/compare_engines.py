"""Compares Norma with ONNX Runtime and OpenVINO on many models and writes the page tools/BENCHMARKS.md.

    python tools/compare_engines.py [--sample] [--only GLOB,...] [--pairs N] [--threads 1,2]
                                    [--out FILE] [--results FILE] [--models DIR] [--networks DIR] [--vectors DIR]
                                    [--build DIR] [--engines NAME=PYTHON,...]

Rows are fourteen convolutional networks (models/random_models.py) and the cases of models/random_cases.py:
transformers, recurrent, quantised and half-precision networks, trees, loops, operators on large tensors. Models have
random weights and are written where they are not there yet. Graphs of known networks come from ONNX's light_* models:
in the folder --vectors, in the onnx package, or in the archive onnx-backend-data.tar.xz of the folder that the
environment variable NORMA_SHARED names. Models without a graph are left out, and named. OpenVINO is compared where this
Python has it.

How it measures. Each engine is a process of its own (tools/bench/bench_engine.c, bench_peer.py), limited to as many
CPUs as it has threads, weights loaded, inputs random. The processes take turns: A B C A B C ..., and a turn ends only
when all threads of the process are at rest. A turn is one run without the clock and then a few with it, of which the
median counts. The ratio of a row is the median of the ratios of its pairs of turns; where other programs keep the
machine busy, that of CPU times (one thread) or of the shortest runs (several). All outputs are compared, and every
later output of an engine must be the same, bit for bit, as its first. The limits of the machine are measured in the
same run.

What was measured is kept in --results, and a row that is measured again takes the place of the old one there; the page
is written from all of them. A full run takes about an hour, --sample a few minutes. With --only or --sample the page
goes to the terminal unless --out names a file.
"""

import argparse
import json
import pathlib
import tempfile

import onnx

from bench.comparison import measurement, page, rows
from bench.comparison.engines import Case, engines_of

ROOT = rows.ROOT
SAMPLE = (
    "mnist,mlp,light_squeezenet,bert_tiny_32,attention_op_encoder,gru_256,dtln_step,scan_decoder_50,tcn_separable,"
    "bert_tiny_dynamic,mobilenet_v2_qdq,linear_pipeline_*,boosted_1000x6_1,cumsum_1m,softmax_masked_3m,denormal_cnn*"
)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="GLOB,...", help="rows or groups of these names only")
    parser.add_argument("--sample", action="store_true", help="a few rows of each kind, with few pairs")
    parser.add_argument("--list", action="store_true", help="print the rows")
    parser.add_argument("--pairs", type=int, help="turns of each engine (default: 20; of a sample 5)")
    parser.add_argument(
        "--loads", type=int, help="fresh processes for load time and memory (default: 5; of a sample 1)"
    )
    parser.add_argument("--threads", default="1,2", help="numbers of threads (default: 1,2)")
    parser.add_argument("--out", type=pathlib.Path, help="page (default: tools/BENCHMARKS.md)")
    parser.add_argument(
        "--results", type=pathlib.Path, default=ROOT / "build/compare_engines.json", help="what was measured so far"
    )
    parser.add_argument("--models", type=pathlib.Path, default=ROOT / "build/random_cases", help="of the cases")
    parser.add_argument("--networks", type=pathlib.Path, default=ROOT / "build/random_models", help="of the networks")
    parser.add_argument("--vectors", type=pathlib.Path, help="folder that holds ONNX's light_* models")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release", help="of Norma's build")
    parser.add_argument("--engines", help="further engines: ncnn, opencv, openvino, each with =PYTHON that has it")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page of what was measured")
    parser.add_argument("--new", action="store_true", help="forget what was measured before")
    arguments = parser.parse_args()
    arguments.threads = [int(t) for t in arguments.threads.split(",")]
    arguments.pairs = arguments.pairs or (5 if arguments.sample else 20)
    arguments.loads = (
        5 if arguments.loads is None and not arguments.sample else arguments.loads or int(arguments.sample)
    )
    arguments.globs = (arguments.only or (SAMPLE if arguments.sample else "*")).split(",")
    arguments.folders = arguments.models.resolve(), arguments.networks.resolve()
    arguments.build = arguments.build.resolve()
    if not arguments.out and not arguments.only and not arguments.sample:
        arguments.out = ROOT / "tools/BENCHMARKS.md"
    return arguments


def earlier_results(arguments):
    """Those of this machine; others are not to be compared with."""
    fresh = {"cpu": page.cpu_name(), "versions": {}, "limits": {}, "rows": {}}
    if arguments.new or arguments.sample or not arguments.results.exists():
        return fresh
    kept = json.loads(arguments.results.read_text())
    return kept if kept["cpu"] == fresh["cpu"] else fresh


def show(row, threads, entry):
    """Lines on the terminal for each measurement."""
    found, others = entry["engines"], entry["others"]
    print(
        f"{row.title}, threads: {threads}"
        + (f", others kept {others:.1f} CPUs busy" if others > measurement.QUIET else "")
    )
    for name, timing in found.items():
        if "failure" in timing:
            print(f"  {name:12} {timing['failure'][:200]}")
            continue
        errors = ", ".join(f"{other} {error:.1e}" for other, error in timing["errors"].items())
        line = f"  {name:12} {page.milliseconds(timing['minimum']):>8} ms  errors: {errors or 'none'}"
        if name != "norma" and "turns" in found["norma"]:
            line += f"  {name} / norma {measurement.ratio(entry, 'norma', name):.2f}"
        print(line, flush=True)


def measure_row(row, engines, arguments, scratch, results):
    case = Case(row, arguments.folders, scratch)
    model = onnx.load(case.path)
    record = {"weights": rows.weight_bytes(model), "threads": {}, "loads": {}}
    if row.group == rows.CONVOLUTIONAL:
        record["gmac"] = rows.multiply_accumulates(model) / 1e9
    for threads in arguments.threads:
        entry = record["threads"][str(threads)] = measurement.measure(case, engines, threads, arguments.pairs)
        show(row, threads, entry)
    for engine in [e for e in engines if "failure" not in entry["engines"][e.name]]:
        results["versions"][engine.name] = entry["engines"][engine.name]["start"]["version"]
        if arguments.loads:
            said = record["loads"][engine.name] = measurement.measure_load(case, engine, arguments.loads)
            print(
                f"  {engine.name:12} load {said['load_ms']:.1f} ms, CPU time {said['load_cpu_ms']:.1f} ms, "
                f"peak {said['peak_kib'] * 1024 / 1e6:.1f} MB",
                flush=True,
            )
        if arguments.loads and row.name == "mnist":
            record.setdefault("process", {})[engine.title] = measurement.measure_start(case, engine)
    results["rows"][row.name] = record


def measure_rows(wanted, arguments, results):
    """Measures into `results`, and keeps them after each row; returns the titles of rows without a model."""
    engines = engines_of(arguments.build, arguments.engines)
    there, left_out = rows.make_models(wanted, arguments.folders, arguments.vectors)
    for threads in arguments.threads:
        results["limits"][str(threads)] = measurement.measure_limits(arguments.build, threads)
    for row in there:
        with tempfile.TemporaryDirectory() as scratch:
            measure_row(row, engines, arguments, pathlib.Path(scratch), results)
        if not arguments.sample:
            arguments.results.write_text(json.dumps(results))
    return left_out


def main():
    arguments = parse()
    wanted = rows.chosen(arguments.globs)
    if arguments.list:
        for row in wanted:
            print(f"{row.name:24} {row.group:24} {row.precision:8} {row.note}")
        return
    results, left_out = earlier_results(arguments), []
    if not arguments.page:
        left_out = measure_rows(wanted, arguments, results)
    shown = rows.all_rows() if arguments.out else wanted
    text = page.page(shown, results, arguments.threads, left_out)
    if arguments.out:
        arguments.out.write_text(text)
    else:
        print("\n" + text)


if __name__ == "__main__":
    main()
