#!/usr/bin/env python3
"""The binary interface of norma.h as a small library that abidw and abidiff can read.

    tests/abi/write_probe.py [HEADER] > probe.c

Each function that the header declares gets a body, so that a compiler with -g writes down its type and those that it
reaches: the same types as in the library, without its inside."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def functions(header):
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    return re.findall(r"^NORMA_API ([^;]*?\b(norma_\w+)\(.*?\))(?: NORMA_PRINTF\([^)]*\))?;", text, re.M | re.S)


def main():
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "engine/norma.h"
    print(f'#include "{path.resolve()}"')
    for declaration, _ in functions(path.read_text()):
        print(f"{declaration} {{ __builtin_trap(); }}")


if __name__ == "__main__":
    main()
