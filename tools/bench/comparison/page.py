"""The page tools/BENCHMARKS.md, from what was measured."""

import math
import os
import pathlib
import platform
import statistics

from .measurement import QUIET, better_peer, is_wrong, ratio
from .rows import CONVOLUTIONAL

MISSED_ERROR = {"float32": 2e-5, "float16": 5e-3}  # largest error that a table may show without a mark
PEERS = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


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


def megabytes(kib):
    return f"{kib * 1024 / 1e6:.1f}"


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values)))


def entry_of(records, row, threads):
    return records[row.name]["threads"].get(str(threads))


def is_good(entry, row):
    """Whether Norma ran the row and computed it."""
    norma = entry["engines"].get("norma", {})
    return bool(norma.get("turns")) and not is_wrong(entry["engines"], "norma", row.precision)


def ratio_to(entry, peer, row):
    """Norma's lead over a peer that computed the model; None where it did not."""
    if not entry["engines"].get(peer, {}).get("turns") or is_wrong(entry["engines"], peer, row.precision):
        return None
    return ratio(entry, "norma", peer)


def lead(entry, row):
    """The better peer's time by Norma's; None where there is nothing to compare."""
    peer = better_peer(entry, row.precision) if is_good(entry, row) else None
    return ratio(entry, "norma", peer) if peer else None


# --- tables -------------------------------------------------------------------------------------------


def peer_cells(entry, peer, row):
    """Milliseconds, ratio, and Norma's difference from it."""
    timing = entry["engines"].get(peer)
    if timing is None:
        return ["", "", ""]
    if "failure" in timing:
        return ["refused", "", ""]
    error = entry["engines"]["norma"].get("errors", {}).get(peer, math.nan)
    mark = " (!)" if error > MISSED_ERROR.get(row.precision, math.inf) else ""
    ms = milliseconds(timing["minimum"]) + ("*" if timing["start"].get("is_reshaped") else "")
    reached = ratio_to(entry, peer, row)
    return [ms, "wrong answer" if reached is None else f"{reached:.2f}", f"{error:.1e}{mark}"]


def row_cells(row, entry):
    norma = entry["engines"]["norma"]
    if "failure" in norma:
        return [row.title, "refused"] + [""] * 7
    peers = peer_cells(entry, "onnxruntime", row) + peer_cells(entry, "openvino", row)
    if not is_good(entry, row):
        return [row.title, "**wrong answer**", milliseconds(norma["minimum"]), *peers]
    best = lead(entry, row)
    shown = "-" if best is None else f"**{best:.2f}**" if best >= 1 else f"{best:.2f}"
    return [row.title, shown, milliseconds(norma["minimum"]) + ("" if norma["same"] else " unsteady"), *peers]


def speed_table(rows, records, threads):
    header = ["row", "better peer / Norma", "Norma ms"]
    for title in PEERS.values():
        header += [f"{title} ms", f"{title} / Norma", "error"]
    return table(header, [row_cells(row, entry_of(records, row, threads)) for row in rows])


def network_table(rows, records, threads, limits):
    """What the convolutional networks have beyond the other rows: goals and the part of the peak."""
    lines = []
    for row in rows:
        entry = entry_of(records, row, threads)
        found = entry["engines"]
        if not is_good(entry, row) or not found["onnxruntime"].get("turns"):
            continue
        gmac, goal = records[row.name]["gmac"], row.goals[min(threads, 2) - 1]
        reached = ratio(entry, "norma", "onnxruntime")
        peak = lambda name: f"{2 * gmac / (found[name]['minimum'] / 1e3) / limits['multiply_add_gflops'] * 100:.0f}"
        lines.append(
            [
                row.title,
                f"{gmac:.3g}",
                f"{reached:.2f}" if reached < goal else f"**{reached:.2f}**",
                f"{goal:.2f}",
                peak("norma"),
                peak("onnxruntime"),
            ]
        )
    header = ["model", "GMAC", "ONNX Runtime / Norma", "goal", "Norma % of peak", "ONNX Runtime % of peak"]
    return table(header, lines) if lines else []


def means_table(rows, records, threads):
    """Geometric means by group, and over the groups that are averaged together."""
    groups = {}
    for row in rows:
        entry = entry_of(records, row, threads)
        if not is_good(entry, row):
            continue
        numbers = lead(entry, row), ratio_to(entry, "onnxruntime", row), ratio_to(entry, "openvino", row)
        groups.setdefault(row.group, []).append(numbers)
        if row.average != row.group:
            groups.setdefault(f"all {row.average}", []).append(numbers)
    lines = []
    for group, numbers in sorted(groups.items(), key=lambda item: item[0].startswith("all ")):
        leads = [n[0] for n in numbers if n[0]]
        mean = lambda i: f"{geometric_mean([n[i] for n in numbers if n[i]]):.2f}" if any(n[i] for n in numbers) else "-"
        lines.append(
            [
                group,
                str(len(leads)),
                mean(0),
                f"{min(leads):.2f}" if leads else "-",
                str(sum(n < 1 for n in leads)),
                mean(1),
                mean(2),
            ]
        )
    return table(
        [
            "geometric means",
            "rows",
            "better peer / Norma",
            "smallest",
            "below 1",
            "ONNX Runtime / Norma",
            "OpenVINO / Norma",
        ],
        lines,
    )


# --- sections -----------------------------------------------------------------------------------------


def speed_section(threads, rows, records, limits):
    """The tables of one number of threads."""
    measured = [row for row in rows if str(threads) in records[row.name]["threads"]]
    lines = [
        f"## {threads} thread{'s' if threads > 1 else ''}",
        "",
        (
            f"Multiply-add peak {limits['multiply_add_gflops']:.0f} GFLOP/s, memory read {limits['read_gb_s']:.1f} "
            f"GB/s, copy {limits['copy_gb_s']:.1f} GB/s."
        ),
        "",
        *means_table(measured, records, threads),
    ]
    for group in dict.fromkeys(row.group for row in measured):
        own = [row for row in measured if row.group == group]
        lines += [f"### {group.capitalize()}", "", *speed_table(own, records, threads)]
        if group == CONVOLUTIONAL:
            lines += network_table(own, records, threads, limits)
    entries = [entry_of(records, row, threads) for row in measured]
    good = [
        e["engines"] for e in entries if all(e["engines"].get(n, {}).get("turns") for n in ("norma", "onnxruntime"))
    ]
    if good:
        awake, idle = ([max(g[n][key] for g in good) for n in ("norma", "onnxruntime")] for key in ("awake", "idle"))
        lines += [
            (
                f"CPU time taken after a turn until all threads are at rest: Norma {awake[0]:.1f} ms, ONNX Runtime "
                f"{awake[1]:.1f} ms at most; in a second without work then {idle[0]:.2f} and {idle[1]:.2f} ms."
            ),
            "",
        ]
    others = sorted(e["others"] for e in entries)
    if others and others[-1] > QUIET:
        instead = "CPU times" if threads == 1 else "the shortest runs"
        lines += [
            (
                f"**The machine was not quiet**: beside a row other programs kept {statistics.median(others):.1f} CPUs"
                f" busy in the median, {others[-1]:.1f} at most. Ratios of such rows are those of {instead}, and hold"
                " roughly."
            ),
            "",
        ]
    return lines


def load_section(rows, records):
    """Load time and memory, and the start of a process."""
    header = [
        "model",
        "weights MB",
        "Norma load ms",
        *(f"{title} load ms" for title in PEERS.values()),
        "Norma peak MB, load",
        "Norma peak MB, run",
        *(f"{title} peak MB, run" for title in PEERS.values()),
        "Norma peak / weights",
    ]
    lines, starts = [], {}
    for row in rows:
        record = records[row.name]
        loads, weights = record.get("loads", {}), record["weights"] / 1e6
        starts.update(record.get("process", {}))
        if "norma" not in loads:
            continue
        norma = loads["norma"]
        of = lambda key, show: [show(loads[n][key]) if n in loads else "-" for n in PEERS]
        lines.append(
            [
                row.title,
                f"{weights:.1f}",
                f"{norma['load_ms']:.1f}",
                *of("load_ms", lambda ms: f"{ms:.1f}"),
                megabytes(norma["load_peak_kib"]),
                megabytes(norma["peak_kib"]),
                *of("peak_kib", megabytes),
                f"{norma['peak_kib'] * 1024 / 1e6 / weights:.2f}" if weights > 1 else "-",
            ]
        )
    if not lines:
        return []
    section = [
        "## Load and memory",
        "",
        (
            "Fresh processes on one thread, the model file in the page cache: the shortest load time, the median of the"
            " resident memory. MB are 10^6 bytes and include program, libraries and inputs; OpenVINO is measured inside"
            " Python, which takes some 60 of them."
        ),
        "",
        *table(header, lines),
    ]
    for title, (fastest, median) in starts.items():
        section += [
            (
                f"{title}, mnist: from the start of a process to its end after one run {fastest:.1f} ms "
                f"(median {median:.1f})."
            ),
            "",
        ]
    return section


def notes_section(rows):
    lines = [[row.title, row.precision, row.note] for row in rows if row.note]
    cells = ["| " + " | ".join(line) + " |" for line in lines]
    return ["## What the rows are", "", "| row | precision | what |", "|---|---|---|", *cells, ""] if lines else []


def failures_section(rows, records):
    """What engines said where they did not run a row."""
    said = {}
    for row in rows:
        for entry in records[row.name]["threads"].values():
            for name, found in entry["engines"].items():
                if "failure" in found:
                    said[row.title, name] = found["failure"]
    lines = [f"- {title}, {name}: {' '.join(text.split())[:300]}" for (title, name), text in said.items()]
    return ["## Refused", "", *lines, ""] if lines else []


def page(rows, results, threads, left_out):
    records = results["rows"]
    measured = [row for row in rows if row.name in records]
    versions = ", ".join(
        f"{title} {results['versions'].get(name, '')}".strip()
        for name, title in {"norma": "Norma", **PEERS}.items()
        if name in results["versions"]
    )
    kernels = next(iter(results["limits"].values()))["kernels"]
    lines = [
        "# Norma and other engines",
        "",
        "Written by `tools/compare_engines.py`, which says how it measures.",
        "",
        (
            f"{versions}. CPU: {results['cpu']}, {os.cpu_count()} cores. Kernels of Norma: {kernels}. Random weights"
            " and inputs. Ratios above 1: Norma is faster; each is the median over pairs of turns, and the better peer"
            " is the faster of the two at the model's precision. Milliseconds are the shortest run; * marks models"
            " that OpenVINO takes only with fixed shapes. Errors are Norma's largest differences from that engine over"
            " the output's largest magnitude, for integer outputs the part of elements that differ. Engines round"
            " 8-bit models at different places, so there they show no more than that the same thing was computed. Per"
            " cent of peak counts the multiply-accumulates of the definition, so Winograd's algorithm can pass 100."
        ),
        "",
    ]
    missing = [row.title for row in rows if row.name not in records and row.title not in left_out]
    if missing:
        lines += [f"Not measured yet: {', '.join(missing)}.", ""]
    if left_out:
        lines += [f"Left out, their graphs were not there: {', '.join(left_out)}.", ""]
    for count in threads:
        if str(count) in results["limits"]:
            lines += speed_section(count, measured, records, results["limits"][str(count)])
    lines += load_section(measured, records) + failures_section(measured, records) + notes_section(measured)
    return "\n".join(lines).rstrip() + "\n"
