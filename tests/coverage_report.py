"""Sums up what gcov has counted: a table of folders, and the lines of some files that nothing reached.

    python3 tests/coverage_report.py BUILD [PREFIX...]
"""

import collections
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDERS = ("engine", "ops", "proto", "tools")


def merge(lines, report):
    """Adds the counts of one report of gcov; a line may stand in many objects."""
    for file in report["files"]:
        path = pathlib.Path(file["file"])
        path = path if path.is_absolute() else pathlib.Path(report["current_working_directory"]) / path
        try:
            name = path.resolve().relative_to(ROOT).as_posix()
        except ValueError:
            continue
        if not name.startswith(tuple(f"{folder}/" for folder in FOLDERS)):
            continue
        for line in file["lines"]:
            lines[name][line["line_number"]] = max(lines[name].get(line["line_number"], 0), line["count"])


def read_counts(build):
    lines = collections.defaultdict(dict)
    notes = sorted(str(path.resolve()) for path in pathlib.Path(build).rglob("*.gcno") if "/tests/" not in str(path))
    for first in range(0, len(notes), 20):
        command = ["gcov", "--json-format", "--stdout", *notes[first : first + 20]]
        result = subprocess.run(command, capture_output=True, cwd=build, check=False)
        for text in result.stdout.splitlines():
            if text.startswith(b"{"):
                merge(lines, json.loads(text))
    return lines


def percent(reached, count):
    return 100.0 * reached / count if count else 100.0


def print_table(lines):
    sums = collections.defaultdict(lambda: [0, 0])
    for name, counts in lines.items():
        reached = sum(count > 0 for count in counts.values())
        for key in (name.rsplit("/", 1)[0], "all"):
            sums[key][0] += reached
            sums[key][1] += len(counts)
    print(f"{'folder':28} {'lines':>7} {'reached':>8}")
    for key in sorted(sums, key=lambda key: (key == "all", key)):
        reached, count = sums[key]
        print(f"{key:28} {count:7} {percent(reached, count):7.2f} %")


def print_missed(lines, prefix):
    for name in sorted(lines):
        missed = sorted(number for number, count in lines[name].items() if count == 0)
        if not name.startswith(prefix) or not missed:
            continue
        text = (ROOT / name).read_text().splitlines()
        print(f"\n{name}: {len(missed)} of {len(lines[name])} lines not reached")
        for number in missed:
            print(f"  {number:5} {text[number - 1].strip()}")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    lines = read_counts(sys.argv[1])
    print_table(lines)
    for prefix in sys.argv[2:]:
        print_missed(lines, prefix)


main()
