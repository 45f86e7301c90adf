"""Includes point one way: a folder sees only folders below it, tools see norma.h alone, and no folders go round in a circle.

    python3 tests/structure/include_direction.py            checks, engine/DESIGN.md's picture too
    python3 tests/structure/include_direction.py --write    puts the picture into engine/DESIGN.md
    python3 tests/structure/include_direction.py --print    prints it

Prints each arrow that points up with the lines that make it; exit code 1 if there is any, or if the picture is old.
"""

import pathlib
import re
import sys
from collections import defaultdict

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "engine" / "DESIGN.md"
BEGIN, END = "<!-- picture of the includes: tests/structure/include_direction.py --write -->\n```\n", "```\n<!-- end -->\n"
PUBLIC = "engine/norma.h"

# From the bottom to the top; "ops/*" are the families of operators, which may use each other where no circle arises.
ORDER = ["engine/base", "ops/kernels", "engine/graph", "ops", "ops/*", "engine/execute", "engine/plan", "engine/passes",
         "proto", "engine/load", "engine/run", "engine/compile", "engine/edit"]
OF_TOOLS = "tools"


def folder_of(path):
    folder = str(pathlib.PurePosixPath(path).parent)
    for whole in ("ops/kernels", OF_TOOLS):  # with the folders below them
        if folder == whole or folder.startswith(whole + "/"):
            return whole
    return folder


def rank(folder):
    if folder in ORDER:
        return ORDER.index(folder)
    return ORDER.index("ops/*") if folder.startswith("ops/") else None


def includes():
    """(folder, folder, place) for each include between folders of this project."""
    for top in ("engine", "ops", "proto", "tools"):
        for path in sorted((ROOT / top).rglob("*.[ch]")):
            source = path.relative_to(ROOT).as_posix()
            for number, line in enumerate(path.read_text().splitlines(), 1):
                found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
                if found and "/" in found[1] and (ROOT / found[1]).exists() and source != PUBLIC:
                    yield source, found[1], f"{source}:{number}"


def arrows():
    found = defaultdict(list)
    for source, target, place in includes():
        if target == PUBLIC:  # below everything
            continue
        if folder_of(source) != folder_of(target):
            found[folder_of(source), folder_of(target)].append(f"{place} includes {target}")
    return found


def circle(edges):
    """Folders that include each other in a circle, or None."""
    state, path = {}, []

    def visit(folder):
        state[folder] = "open"
        path.append(folder)
        for target in edges[folder]:
            if state.get(target) == "open":
                return path[path.index(target):] + [target]
            if target not in state:
                found = visit(target)
                if found:
                    return found
        path.pop()
        state[folder] = "done"
        return None

    for folder in list(edges):
        if folder not in state:
            found = visit(folder)
            if found:
                return found
    return None


def problems(found):
    edges = defaultdict(set)
    for (source, target), places in found.items():
        edges[source].add(target)
        if source == OF_TOOLS:
            yield from (f"{place}: tools use {PUBLIC} alone" for place in places)
        elif rank(source) is None or rank(target) is None:
            yield from (f"{place}: a folder without a place in ORDER" for place in places)
        elif rank(target) > rank(source):
            yield from (f"{place}: {target} stands above {source}" for place in places)
    around = circle(edges)
    if around:
        yield "folders in a circle: " + " -> ".join(around)


def picture(found):
    """One line for each folder, top first, with what it includes."""
    uses = defaultdict(set)
    for source, target in found:
        uses[source].add(target)
    folders = sorted({folder for pair in found for folder in pair} - {OF_TOOLS}, key=lambda f: (rank(f) or 0, f), reverse=True)
    lines = [f"{OF_TOOLS:<19}-> {PUBLIC}"]
    for folder in folders:
        below = sorted(uses[folder], key=lambda f: (-(rank(f) or 0), f))
        lines.append(f"{folder:<19}-> {', '.join(below)}" if below else folder)
    return "\n".join(wrapped for line in lines for wrapped in wrap(line)) + "\n"


def wrap(line, width=118):
    while len(line) > width:
        at = line.rfind(", ", 0, width)
        yield line[:at + 1]
        line = " " * 22 + line[at + 2:]
    yield line


def main():
    found = arrows()
    if "--print" in sys.argv:
        print(picture(found), end="")
        return 0
    page = PAGE.read_text()
    begin, end = page.find(BEGIN), page.find(END)
    if begin < 0 or end < begin:
        raise SystemExit(f"{PAGE.relative_to(ROOT)}: no place for the picture")
    drawn = page[:begin] + BEGIN + picture(found) + page[end:]
    if "--write" in sys.argv:
        PAGE.write_text(drawn)
        return 0
    wrong = list(problems(found))
    if drawn != page:
        wrong.append(f"{PAGE.relative_to(ROOT)}: the picture of the includes is old; --write draws it anew")
    print("\n".join(wrong))
    print(f"{len(found)} arrows between folders, {len(wrong)} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
