"""No line of C is longer than 120 columns: clang-format leaves comments alone, so it does not say so.

    python3 tests/structure/line_length.py

Prints each longer line; exit code 1 if there is any.
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LONGEST = 120


def main():
    wrong = 0
    for top in ("engine", "ops", "proto", "tools", "tests", "models"):
        for path in sorted((ROOT / top).rglob("*.[ch]")):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if len(line) > LONGEST:
                    wrong += 1
                    print(f"{path.relative_to(ROOT)}:{number}: {len(line)} columns")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
