"""Functions that call themselves, directly or round a circle, and what bounds how deep they go.

    python3 tests/structure/recursion.py

A function counts as calling each function whose name its body calls or hands on as an argument, so callbacks count too;
calls through tables, such as an operator's functions, do not. Each circle must have a line in recursion.txt beside this file: one of
its functions, and the bound in words. Prints circles without one, and lines without a circle; exit code 1 if there are
any.
"""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("engine", "ops", "proto")
LIST = pathlib.Path(__file__).with_name("recursion.txt")


def functions():
    """(name, file, first line, last line) of all functions."""
    files = [str(path.relative_to(ROOT)) for top in FOLDERS for path in sorted((ROOT / top).rglob("*.[ch]"))]
    command = ["ctags", "--languages=C", "--langmap=C:.c.h", "--kinds-C=f", "--fields=+ne", "--output-format=json", "-L", "-"]
    result = subprocess.run(command, input="\n".join(files), capture_output=True, text=True, cwd=ROOT, check=True)
    for line in result.stdout.splitlines():
        tag = json.loads(line)
        if tag.get("_type") == "tag" and "end" in tag:
            yield tag["name"], tag["path"], tag["line"], tag["end"]


def strip(text):
    """Without comments and literals."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', " ", text, flags=re.S)


def call_graph():
    found = list(functions())
    names = {name for name, *_ in found}
    texts, calls, places = {}, {}, {}
    for name, path, first, last in found:
        lines = texts.setdefault(path, (ROOT / path).read_text().splitlines())
        body = strip("\n".join(lines[first - 1 : last]))
        body = body[body.find("{") + 1 :]
        words = re.findall(r"(?<![.\w])(?<!->)([a-z_]\w*)\s*\(", body) + re.findall(r"[(,]\s*&?([a-z_]\w*)(?=\s*[,)])", body)
        calls.setdefault(name, set()).update(word for word in words if word in names)
        places[name] = f"{path}:{first}"
    return calls, places


def circles(calls):
    """Strongly connected components with a circle (Tarjan, without recursion)."""
    index, low, stack, on_stack, found = {}, {}, [], set(), []
    for root in calls:
        if root in index:
            continue
        work = [(root, iter(sorted(calls[root])))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, targets = work[-1]
            for target in targets:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(sorted(calls[target]))))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    part = []
                    while not part or part[-1] != node:
                        part.append(stack.pop())
                        on_stack.discard(part[-1])
                    if len(part) > 1 or node in calls[node]:
                        found.append(sorted(part))
    return sorted(found)


def main():
    calls, places = call_graph()
    lines = [line for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    known = {line.split()[0]: line for line in lines}
    used, problems = set(), 0
    found = circles(calls)
    for circle in found:
        names = [name for name in circle if name in known]
        used.update(names)
        if not names:
            problems += 1
            print(f"{places[circle[0]]}: no bound is known for {', '.join(circle)}")
    for name in sorted(set(known) - used):
        problems += 1
        print(f"recursion.txt: {name} does not call itself")
    print(f"{len(calls)} functions, {len(found)} circles, {problems} problems")
    return problems != 0


sys.exit(main())
