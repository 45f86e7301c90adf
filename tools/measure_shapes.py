"""Measures what it costs Norma that shapes of inputs change, and writes the page tools/SHAPES.md.

    python tools/measure_shapes.py [--only GLOB,...] [--runs N] [--threads N] [--out FILE] [--models DIR] [--build DIR]

Each study is a model of models/random_cases.py and a hundred shapes of its inputs. tools/bench/bench_shapes.c runs through them
once and compares the time to plan and the first run of each shape with later runs of the same shape; then it runs through them
in scattered order, 1,000 runs by default, and notes memory and descriptors after 100 and at the end; then it holds results against
those of new sessions. Exit code 1 where memory or descriptors have grown or results differ. With --only the page goes to the terminal
unless --out names a file.
"""

import argparse
import dataclasses
import fnmatch
import json
import os
import pathlib
import subprocess
import sys

from bench.comparison import measurement, page, rows

ROOT = rows.ROOT
GROWTH = 0.02  # of the memory after a tenth of the runs: what an allocator may gain without being said to grow
PART = 0.05  # of a run that changing shapes may cost


@dataclasses.dataclass(frozen=True)
class Study:
    name: str
    model: str
    shapes: int
    sizes: tuple  # INPUT=DIMS of bench_shapes
    note: str


STUDIES = [
    Study(
        "decoder, growing cache",
        "gpt2_decode",
        100,
        ("input_ids=1x1", "position_ids=1x1", "attention_mask=1x129:228", "past_key*=1x12x128:227x64"),
        "100 tokens after 128, shapes computed in the graph",
    ),
    Study(
        "small decoder, growing cache",
        "attention_op_decode",
        100,
        ("past_*=1x2x256:355x64",),
        "100 tokens after 256, Attention of opset 23",
    ),
    Study("sentences, batch and length", "minilm_6x384", 100, ("*=1:8x16:127",), "batches of 1 to 8, 16 to 127 tokens"),
    Study("text lines, width", "crnn", 100, ("x=1x1x32x160:556",), "100 widths from 160 to 556"),
    Study(
        "text detector, picture sizes",
        "text_detector",
        100,
        ("x=1x3x160:556x320:716",),
        "100 sizes from 160x320 to 556x716",
    ),
    Study("trees, batch", "boosted_1000x6", 100, ("x=1:100x50",), "1 to 100 rows"),
]


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="GLOB,...", help="studies of these models only")
    parser.add_argument("--runs", type=int, default=1000, help="of the soak; 0: none (default: 1000)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=pathlib.Path, help="page (default: tools/SHAPES.md)")
    parser.add_argument("--models", type=pathlib.Path, default=ROOT / "build/random_cases")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release", help="of Norma's build")
    arguments = parser.parse_args()
    if not arguments.out and not arguments.only:
        arguments.out = ROOT / "tools/SHAPES.md"
    return arguments


def measure(study, arguments):
    """What bench_shapes says, by part; and how many CPUs others kept busy."""
    rows.random_cases.write_model(arguments.models, rows.random_cases.recipes.find(study.model)[0])
    command = [
        arguments.build / "bench_shapes",
        arguments.models / study.model / "model.onnx",
        arguments.threads,
        study.shapes,
        arguments.runs,
        *study.sizes,
    ]
    cpus = sorted(os.sched_getaffinity(0))[-arguments.threads :]
    bystanders = measurement.Bystanders([])
    before = os.times()
    ended = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cpus),
    )
    after = os.times()
    own = after.children_user + after.children_system - before.children_user - before.children_system
    others = max(0.0, bystanders.cpus() - own / max(after.elapsed - before.elapsed, 1e-3))
    parts = {part["part"]: part for part in map(json.loads, ended.stdout.splitlines())}
    if "cost" not in parts or (arguments.runs and "soak" not in parts):
        raise SystemExit(f"measure_shapes.py: bench_shapes failed on {study.model}")
    return parts, others


def has_grown(soak):
    return (
        soak["peak_kib"] > soak["early_peak_kib"] * (1 + GROWTH)
        or soak["kib"] > soak["early_kib"] * (1 + GROWTH)
        or soak["descriptors"] > soak["early_descriptors"]
    )


def cells(study, parts):
    cost, soak = parts["cost"], parts.get("soak")
    part = lambda key: f"{cost[key] * 100:.1f}" + ("" if cost[key] <= PART else " (!)")
    line = [study.name, page.milliseconds(cost["fixed_ms"]), part("plan_part"), part("change_part")]
    if soak is None:
        return line + [""] * 5
    return line + [
        page.megabytes(soak["early_peak_kib"]),
        page.megabytes(soak["peak_kib"]),
        f"{soak['early_descriptors']}, {soak['descriptors']}",
        "yes" if has_grown(soak) else "no",
        f"{soak['checked'] - soak['different']} of {soak['checked']}",
    ]


def written(arguments, results):
    early = (arguments.runs + 9) // 10
    header = [
        "study",
        "run ms",
        "plan, % of a run",
        "change of shape, % of a run",
        f"peak MB, run {early}",
        f"peak MB, run {arguments.runs}",
        "descriptors",
        "grows",
        "same bits",
    ]
    lines = [
        "# Shapes that change",
        "",
        "Written by `tools/measure_shapes.py`, which says how it measures.",
        "",
        (
            f"CPU: {page.cpu_name()}, threads: {arguments.threads}. Medians over the shapes of each study: the time to"
            " plan, and what plan and first run together take beyond a later run of the same shape, as parts of such a"
            f" run. Then the soak: {arguments.runs} runs through the shapes in scattered order. Same bits: results of"
            " every tenth shape against a new session."
        ),
        "",
        *page.table(header, [cells(study, parts) for study, parts, _ in results]),
    ]
    busiest = max(others for _, _, others in results)
    if busiest > measurement.QUIET:
        lines += [
            (
                f"**The machine was not quiet**: other programs kept up to {busiest:.1f} CPUs busy. On one thread times"
                " are CPU times."
            ),
            "",
        ]
    lines += [f"- {study.name}: `{study.model}`, {study.note}" for study, _, _ in results]
    return "\n".join(lines) + "\n"


def main():
    arguments = parse()
    chosen = [s for s in STUDIES if any(fnmatch.fnmatchcase(s.model, g) for g in (arguments.only or "*").split(","))]
    if not chosen:
        raise SystemExit(
            f"measure_shapes.py: no study of {arguments.only}; there are {', '.join(s.model for s in STUDIES)}"
        )
    results = []
    for study in chosen:
        results.append((study, *measure(study, arguments)))
        print(" | ".join(cells(study, results[-1][1])), flush=True)
    text = written(arguments, results)
    if arguments.out:
        arguments.out.write_text(text)
    else:
        print("\n" + text)
    soaks = [parts["soak"] for _, parts, _ in results if "soak" in parts]
    return 1 if any(has_grown(soak) or soak["different"] for soak in soaks) else 0


if __name__ == "__main__":
    sys.exit(main())
