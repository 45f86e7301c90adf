"""Applications from PyPI that call onnxruntime, unchanged, with ONNX Runtime and with Norma in its place.

    python tests/tools/python/applications.py PACKAGE [--only GLOB] [--folder DIR]

PACKAGE is the folder in which the package norma stands. Each program of applications/ uses packages that bring their models
in their wheels; it is run as it is, and by `python -m norma.as_onnxruntime`, in an environment of its own in DIR (default:
build/applications) in which its packages are installed. It passes when both give the same answer: text and whole numbers
alike, other numbers within TOLERANCE of the largest in the answer, or within what the program says of itself where its
models compute with 8 bits. Programs whose packages cannot be installed are skipped. Ends with the line "N passed, N failed,
N skipped".
"""

import argparse
import fnmatch
import json
import os
import pathlib
import re
import subprocess
import sys
import time

PROGRAMS = pathlib.Path(__file__).resolve().parent / "applications"
COMMON = ["numpy==2.4.6", "onnxruntime==1.32.0", "pillow==13.0.0"]
TOLERANCE = 1e-4


class Skip(Exception):
    pass


class Wrong(Exception):
    pass


def environment(folder):
    """A Python with what all programs need."""
    python = folder / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    return python


def install(python, packages):
    installed = subprocess.run([python, "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"],
                               capture_output=True, text=True).stdout.lower().replace("_", "-").splitlines()
    missing = [package for package in packages if package.lower().replace("_", "-") not in installed]
    if not missing:
        return
    command = [python, "-m", "pip", "install", "--quiet", "--retries", "1", "--disable-pip-version-check", *missing]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
        raise Skip(lines[-1][:160])


def run(python, arguments, package, engine):
    """The program's answer, and seconds."""
    settings = {**os.environ, "PYTHONPATH": os.pathsep.join([str(package), str(PROGRAMS)]), "PYTHONDONTWRITEBYTECODE": "1"}
    begin = time.monotonic()
    done = subprocess.run([python, *arguments], capture_output=True, text=True, env=settings, timeout=600)
    lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWER ")]
    if done.returncode or len(lines) != 1:
        raise Wrong(f"{engine}: " + (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:300])
    found = json.loads(lines[0][len("ANSWER "):])
    if found["engine"] != engine:
        raise Wrong(f"ran with {found['engine']}, not with {engine}")
    return found["answer"], time.monotonic() - begin


def numbers(answer):
    if isinstance(answer, dict):
        answer = list(answer.values())
    if isinstance(answer, list):
        for item in answer:
            yield from numbers(item)
    elif isinstance(answer, float):
        yield answer


def difference(wanted, actual, where="answer"):
    """The largest difference of numbers; whatever else differs is wrong."""
    if isinstance(wanted, float) and isinstance(actual, float):
        return abs(wanted - actual)
    if type(wanted) is not type(actual):
        raise Wrong(f"{where}: {str(actual)[:60]!r}, expected {str(wanted)[:60]!r}")
    if isinstance(wanted, dict):
        if wanted.keys() != actual.keys():
            raise Wrong(f"{where}: other keys")
        return max((difference(wanted[key], actual[key], f"{where}[{key!r}]") for key in wanted), default=0.0)
    if isinstance(wanted, list):
        if len(wanted) != len(actual):
            raise Wrong(f"{where}: {len(actual)} items, expected {len(wanted)}")
        return max((difference(x, y, f"{where}[{i}]") for i, (x, y) in enumerate(zip(wanted, actual))), default=0.0)
    if wanted != actual:
        raise Wrong(f"{where}: {str(actual)[:60]!r}, expected {str(wanted)[:60]!r}")
    return 0.0


def is_empty(answer):
    return answer in ("", None) or (isinstance(answer, (list, dict)) and
                                    all(map(is_empty, answer.values() if isinstance(answer, dict) else answer)))


def check(program, package, folder):
    """A line that says how near the answers are."""
    text = program.read_text()
    packages = re.findall(r"^# requires: (.*)$", text, re.M)[0].split()
    tolerance = float((re.findall(r"^# tolerance: (.*)$", text, re.M) or [TOLERANCE])[0])
    python = environment(folder)
    install(python, COMMON + packages)
    wanted, wanted_seconds = run(python, [str(program)], package, "onnxruntime")
    actual, actual_seconds = run(python, ["-m", "norma.as_onnxruntime", str(program)], package, "norma.onnxruntime")
    if is_empty(wanted):
        raise Wrong("an answer without contents proves nothing")
    largest = max((abs(x) for x in numbers(wanted)), default=1.0) or 1.0
    error = difference(wanted, actual) / largest
    line = f"{packages[0]}: error {error:.1e}, {wanted_seconds:.1f} s, with Norma {actual_seconds:.1f} s"
    if error > tolerance:
        raise Wrong(f"{line}; at most {tolerance:.0e}")
    return line


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("package", type=pathlib.Path)
    parser.add_argument("--only", default="*", help="a glob over programs")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("build/applications"))
    options = parser.parse_args()
    counts = {"passed": 0, "FAILED": 0, "skipped": 0}
    for program in sorted(PROGRAMS.glob("*.py")):
        if program.stem == "common" or not fnmatch.fnmatch(program.stem, options.only):
            continue
        try:
            verdict, line = "passed", check(program, options.package.resolve(), options.folder)
        except Skip as reason:
            verdict, line = "skipped", str(reason)
        except (Wrong, subprocess.SubprocessError) as reason:
            verdict, line = "FAILED", str(reason)
        counts[verdict] += 1
        print(f"{verdict}: {program.stem}: {line}", flush=True)
    print(f"{counts['passed']} passed, {counts['FAILED']} failed, {counts['skipped']} skipped")
    return 1 if counts["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
