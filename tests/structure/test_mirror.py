"""Every source of engine/, ops/ and proto/ has its test: tests/FOLDER/test_NAME.c, or a line in tests_elsewhere.txt.

    python3 tests/structure/test_mirror.py

A line of tests_elsewhere.txt is `SOURCE TEST reason`, both paths from the root of the project; the test must be there and
the source must not have a test of its own name too. Headers that are compiled (kernels, code of several lines in a
header) count as the sources that include them. Overrides of kernels are run by the tests of the entries that they replace
(tests/ops/kernels/kernel_test.h). Prints what is missing; exit code 1 if anything is.
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("engine", "ops", "proto")
OVERRIDES = pathlib.Path("ops/kernels/override")
LIST = ROOT / "tests" / "structure" / "tests_elsewhere.txt"


def listed():
    lines = {}
    for number, line in enumerate(LIST.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split(None, 2)
        if len(parts) < 3:
            raise SystemExit(f"{LIST.name}:{number}: expected SOURCE TEST reason")
        lines[parts[0]] = (parts[1], number)
    return lines


def main():
    elsewhere, problems, count = listed(), [], 0
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.c")):
            source = path.relative_to(ROOT)
            if source.parent == OVERRIDES:
                continue
            test = ROOT / "tests" / source.parent / f"test_{source.stem}.c"
            entry = elsewhere.pop(str(source), None)
            count += 1
            if test.exists() and entry:
                problems.append(f"{LIST.name}:{entry[1]}: {source} has a test of its own name")
            elif not test.exists() and not entry:
                problems.append(f"{source}: no tests/{source.parent}/test_{source.stem}.c and no line in {LIST.name}")
            elif entry and not (ROOT / entry[0]).exists():
                problems.append(f"{LIST.name}:{entry[1]}: there is no {entry[0]}")
    problems += [f"{LIST.name}:{number}: there is no {source}" for source, (_, number) in elsewhere.items()]
    print("\n".join(problems))
    print(f"{count} sources, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
