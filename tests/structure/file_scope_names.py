"""Every name at file scope stands once in the whole library, so that one C file can hold all of it.

    python3 tests/structure/file_scope_names.py

Functions, objects, types, tags, enumerators and macros of engine/, ops/ and proto/, kernels included, as universal-ctags
finds them. A macro that the file takes back with #undef does not count, and neither does a typedef that repeats its tag.
Prints each name with its places; exit code 1 if there is any.
"""

import json
import pathlib
import re
import subprocess
import sys
from collections import defaultdict

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("engine", "ops", "proto")
# Files that are included several times with other macros, once for each element type, or compiled once per CPU.
TEMPLATES = re.compile(r"ops/kernels/(isa|override)/|_template\.h$")


def tags(files):
    command = ["ctags", "--output-format=json", "--languages=C", "--langmap=C:.c.h", "--kinds-C=fvdetsug", "--fields=NFnK",
               "-f", "-", *map(str, files)]
    for line in subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.splitlines():
        tag = json.loads(line)
        yield tag["name"], tag["path"], tag["line"], tag["kind"]


def main():
    files = [path.relative_to(ROOT) for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.[ch]"))]
    undefined = {str(path): set(re.findall(r"^#\s*undef\s+(\w+)", (ROOT / path).read_text(), re.M)) for path in files}
    places = defaultdict(dict)
    for name, path, line, kind in tags(files):
        used_macro = kind == "function" and name.isupper()  # at file scope, where it stands for definitions
        if name.startswith("__anon") or used_macro or name in undefined[path] or TEMPLATES.search(path):
            continue
        space = "tag" if kind in ("struct", "union", "enum") else "name"
        places[space, name].setdefault(path, f"{path}:{line} ({kind})")
    double = sorted((name, list(where.values())) for (_, name), where in places.items() if len(where) > 1)
    for name, where in double:
        print(f"{name}: {', '.join(where)}")
    print(f"{len(places)} names at file scope, {len(double)} of them more than once")
    return 1 if double else 0


if __name__ == "__main__":
    sys.exit(main())
