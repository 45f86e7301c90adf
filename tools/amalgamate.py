#!/usr/bin/env python3
"""Writes the library as one C file: norma.c and norma.h, which need no build system.

    tools/amalgamate.py [--out build/amalgamation] [--operators FILE] [--protobuf-c DIR]
    cc -O2 -c build/amalgamation/norma.c

--operators FILE keeps only these operators, what they need, and the kernels that are left in use. FILE is what
`norma check --operators MODEL...` prints. --protobuf-c DIR takes protobuf-c.c and protobuf-c.h from there into norma.c;
else programs link libprotobuf-c, or name its source with -DNORMA_PROTOBUF_C. tools/AMALGAMATION.md says more.

Files follow each other as they are, headers where they are first included, with these changes:
  * what is not of norma.h becomes static, so that the compiler drops what nothing uses, and no name gets out;
  * macros of a C file are forgotten at its end;
  * the kernels of each instruction set stand there once, behind a pragma that lets the compiler use it, with its name
    behind every name at file scope.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

from amalgamation.c_text import declarations, names, tokens
from amalgamation.kernels import KernelUnits

ROOT = pathlib.Path(__file__).resolve().parents[1]
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(?:"([^"]+)"|<([^>]+)>)[^\n]*\n?', re.M)
CONDITION = re.compile(r"^[ \t]*#[ \t]*(if|ifdef|ifndef|endif)\b", re.M)
GUARD = re.compile(r"\A(?:\s|/\*.*?\*/)*#ifndef (\w+)\n#define \1\n", re.S)
DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.M)
# Macros and constants that are names of operators.
NAMED = dict(found for path in ROOT.glob("ops/**/*.[ch]") for found in re.findall(
    r'(?:^#define |^static const char |, )(\w+)(?:\[\] =)?\s+"([A-Z]\w*)"(?=[;,]|$)', path.read_text(), re.M))
# Arrays without a size cannot be declared static before they are there: they stay external, under such a name.
PRIVATE_PREFIX = "norma_private_"

HEAD = """\
/*
 * Norma {version}, an inference engine for ONNX models, as one C file. Written by tools/amalgamate.py.
 *
 *     cc -O2 -c norma.c            C11 of GCC or Clang; on x86-64 with kernels for AVX2 and AVX-512, chosen as it runs
 *
 * Programs that use it include norma.h and link {libraries}.
 *
 *   -DNORMA_OPERATORS='"FILE"'     only the operators that FILE lists, as `norma check --operators MODEL...` prints it
 *   -DNORMA_BASELINE               only the kernels that every CPU of the architecture runs
{protobuf_option} */
"""

SETTINGS = """\
#if !defined(__GNUC__)
#error "norma.c needs GCC or Clang"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

/* A product and a sum are two roundings everywhere, whatever the compiler's default: results must not depend on what
 * it chooses to fuse. */
#if defined(__clang__)
#pragma clang fp contract(off)
#pragma clang diagnostic ignored "-Wunused-function"
#pragma clang diagnostic ignored "-Wunused-const-variable"
#pragma clang diagnostic ignored "-Wundefined-internal"
#else
#pragma GCC optimize("fp-contract=off", "no-math-errno")
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-const-variable"
#endif
#if defined(__wasm__) && !defined(__wasm_simd128__)
#error "norma.c needs -msimd128 for WebAssembly"
#endif

#ifdef NORMA_OPERATORS
#include NORMA_OPERATORS
#endif

"""


class Source:
    """A file with its include lines taken out: pieces of text, and between them what was included."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.has_guard = GUARD.search(text) is not None


class Amalgamation:
    def __init__(self, protobuf_c):
        self.protobuf_c = protobuf_c
        self.generated = {}  # name by which it is included: text
        self.out = []
        self.seen = set()
        self.system = []  # headers of the system, in the order in which they are first met
        self.private = self.find_private()
        self.api = self.read_api()

    # ------------------------------------------------------------------------------------------------------- reading

    def read_api(self):
        text = (ROOT / "engine/norma.h").read_text()
        return {d.declared[-1] for d in declarations(text) if "NORMA_API" in d.words}

    def find_private(self):
        """Arrays that headers declare without a size: they stay external."""
        found = set()
        for path in ROOT.glob("[eop]*/**/*.h"):
            for declaration in declarations(path.read_text()):
                if declaration.is_array_without_size and declaration.words[0] == "extern":
                    found.update(declaration.declared)
        return found

    def find(self, include, folder):
        """The file of the project that is included, None if it is the system's."""
        if include in self.generated:
            return include
        for base in (folder, ROOT):
            if (base / include).is_file():
                return (base / include).resolve().relative_to(ROOT).as_posix()
        return None

    def read(self, path):
        if path in self.generated:
            return self.generated[path]
        return (ROOT / path).read_text()

    def includes(self, path):
        """The files of the project that a file includes, itself not among them."""
        folder = (ROOT / path).parent
        found = (self.find(m[1] or m[2], folder) for m in INCLUDE.finditer(self.read(path)))
        return [one for one in found if one]

    def closure(self, paths):
        """These files, and all that they include."""
        found, todo = [], list(paths)
        while todo:
            path = todo.pop(0)
            if path not in found:
                found.append(path)
                todo += self.includes(path)
        return found

    # ------------------------------------------------------------------------------------------------------- writing

    def make_static(self, text):
        """Everything at file scope but the public functions."""
        at = 0
        parts = []
        for declaration in declarations(text):
            if declaration.is_type or declaration.is_static or set(declaration.declared) & self.api:
                continue
            start = declaration.start
            parts.append(text[at:start])
            at = start
            is_extern = declaration.words[0] == "extern"
            if set(declaration.declared) & self.private:
                continue
            if is_extern:
                at += len("extern ")
            if declaration.words[0] in ("PROTOBUF_C__API", "NORMA_API"):
                at += len(declaration.words[0]) + 1
            parts.append("static ")
        return "".join(parts) + text[at:]

    def expand(self, path, seen, change=lambda path, text: text, keep_system=False):
        """The text of a file with what it includes, each file with a guard once."""
        text = self.read(path)
        if GUARD.search(text):
            if path in seen:
                return ""
            seen.add(path)
        folder = (ROOT / path).parent
        own = change(path, text)
        parts, at = [], 0
        for match in INCLUDE.finditer(own):
            depth = sum(1 if m[1] != "endif" else -1 for m in CONDITION.finditer(own, 0, match.start()))
            depth -= GUARD.search(own) is not None
            parts.append(own[at:match.start()])
            at = match.end()
            included = self.find(match[1] or match[2], folder)
            if included:
                if depth > 0 and GUARD.search(self.read(included)) and included not in seen:
                    raise SystemExit(f"{path}: includes {included} under a condition")
                parts.append(self.expand(included, seen, change, keep_system))
            elif depth > 0 or keep_system:
                parts.append(match[0])
            elif f"<{match[2]}>" not in self.system and match[2]:
                self.system.append(f"<{match[2]}>")
        parts.append(own[at:])
        return "".join(parts)

    def add_unit(self, path):
        """A C file: its headers as far as they are new, itself, and an #undef for each macro of its own."""
        def change(_, text):
            return self.make_static(text)
        text = self.expand(path, self.seen, change)
        own = [path] + [one for one in self.includes(path) if not GUARD.search(self.read(one))]
        macros = dict.fromkeys(name for one in own for name in DEFINE.findall(self.read(one)))
        forget = "".join(f"#undef {name}\n" for name in macros)
        self.out.append(f"\n/* ==== {path} ==== */\n{text.strip()}\n{forget}")


# ---------------------------------------------------------------------------------------------------------- generated


def generate_proto(folder):
    subprocess.run(["protoc-c", f"--proto_path={ROOT}/proto", f"--c_out={folder}", f"{ROOT}/proto/onnx.proto"],
                   check=True)
    return {f"proto/onnx.pb-c.{end}": (pathlib.Path(folder) / f"onnx.pb-c.{end}").read_text() for end in "ch"}


def exported(path, kind):
    """NAME of the table `kind NAME...` that a file exports, and the text of its initialiser, with the names that macros
    of the file give."""
    if not (ROOT / path).is_file():
        return None
    text = (ROOT / path).read_text()
    found = re.search(rf"^const {kind} (\w+)(?:\[\])? = \{{(.*?)^\}};", text, re.M | re.S)
    if not found:
        return None
    macros = re.findall(r"^#define (\w+)((?:\\\n|[^\n])*)", text, re.M)
    bodies = [body for name, body in macros if re.search(rf"\b{name}\b", found[2])]
    return found[1], found[2] + "".join(re.sub(r'^.*?(\.name = "\w+").*$|.*', r"\1", b, flags=re.S) for b in bodies)


def operator_table(paths):
    """One entry for each file; it stays where one of the file's operators is listed."""
    lines = []
    for path in paths:
        table, text = exported(path, "operator_descriptor")
        conditions = " || ".join(f"defined(NORMA_OPERATOR_{name})" for name in operators_in(text))
        lines.append(f"#if !defined(NORMA_OPERATORS) || {conditions}\n    {table},\n#endif\n".replace(
            " || defined", " || \\\n    defined"))
    return ("static const operator_descriptor *const operator_tables[] = {\n" + "".join(lines) + "    NULL,\n};\n"
            "static const size_t operator_table_count = sizeof operator_tables / sizeof *operator_tables - 1;\n")


def operators_in(text):
    """Names of operators in the initialiser of a table: literals, macros that stand for literals, and arguments of
    macros that make literals of them."""
    found = dict.fromkeys(re.findall(r'"([A-Z]\w*)"', text))
    found.update(dict.fromkeys(re.findall(r"\b[A-Z][A-Z_0-9]*\(([A-Z][A-Za-z0-9]*)\b", text)))
    found.update(dict.fromkeys(NAMED[word] for word in re.findall(r"\w+", text) if word in NAMED))
    return list(found)


def pass_table(paths):
    entries = [exported(path, "pass")[0] for path in paths]
    return ("static const pass *const pass_table[] = {\n" + "".join(f"    &{name},\n" for name in entries) + "};\n"
            "static const size_t pass_table_count = sizeof pass_table / sizeof *pass_table;\n")


# ----------------------------------------------------------------------------------------------------------- selection


def read_operators(path):
    """Names of operators: one a line, or as `norma check --operators` prints them."""
    found = re.findall(r"^(?:#define NORMA_OPERATOR_)?([A-Za-z]\w*)\s*(?:/\*.*)?$", pathlib.Path(path).read_text(), re.M)
    if not found:
        raise SystemExit(f"{path}: no name of an operator in it")
    return set(found)


def needed_units(amalgamation, units, wanted):
    """Of the files of ops/, those that the wanted operators and the engine reach by names."""
    defined, used = {}, {}
    for path in units:
        text = amalgamation.read(path)
        used[path] = names(text)
        for declaration in declarations(text):
            if not declaration.is_static and not declaration.is_type:
                for name in declaration.declared:
                    defined.setdefault(name, path)
    headers = {}

    def all_used(path):
        result = set(used[path])
        for header in amalgamation.closure([path])[1:]:
            if header not in headers:
                text = amalgamation.read(header)
                inline = [text[d.start:d.end] for d in declarations(text) if d.has_body]
                macros = re.findall(r"^#define (?:\\\n|[^\n])*", text, re.M)
                headers[header] = names("\n".join(inline + macros))
            result |= headers[header]
        return result

    def is_root(path):
        table = exported(path, "operator_descriptor")
        if table:
            return bool(set(operators_in(table[1])) & wanted)
        return not path.startswith("ops/") or path.startswith("ops/kernels/")

    reached, todo = set(), [path for path in units if is_root(path)]
    while todo:
        path = todo.pop()
        if path in reached:
            continue
        reached.add(path)
        todo += [defined[name] for name in all_used(path) if name in defined and defined[name] not in reached]
    return [path for path in units if path in reached]


# ----------------------------------------------------------------------------------------------------------------- main


def sources():
    found = [path.relative_to(ROOT).as_posix() for folder in ("engine", "ops", "proto")
             for path in sorted((ROOT / folder).rglob("*.c"))]
    return [path for path in found
            if not path.startswith("ops/kernels/override/") and not path.endswith("_isa.c")]


def version():
    header = (ROOT / "engine/norma.h").read_text()
    return ".".join(re.search(rf"#define NORMA_VERSION_{part} (\d+)", header)[1] for part in ("MAJOR", "MINOR", "PATCH"))


def build(options):
    made = Amalgamation(options.protobuf_c)
    with tempfile.TemporaryDirectory() as folder:
        made.generated = generate_proto(folder)
    made.generated["kernel_list.h"] = ""  # stands in front of the kernels
    units = sources() + ["proto/onnx.pb-c.c"]
    if options.operators:
        wanted = read_operators(options.operators)
        known = {name for path in units if (table := exported(path, "operator_descriptor"))
                 for name in operators_in(table[1])}
        if wanted - known:
            raise SystemExit(f"{options.operators}: there are no operators {', '.join(sorted(wanted - known))}")
        units = needed_units(made, units, wanted)
    if options.protobuf_c:
        for end in "ch":
            text = (pathlib.Path(options.protobuf_c) / f"protobuf-c.{end}").read_text()
            made.generated[f"protobuf-c/protobuf-c.{end}"] = text
        made.generated["protobuf-c/protobuf-c.c"] = made.generated["protobuf-c/protobuf-c.c"].replace(
            '"protobuf-c.h"', '"protobuf-c/protobuf-c.h"')
        units = ["protobuf-c/protobuf-c.c"] + units

    # Definitions come before the declarations of generated tables.
    kernels = KernelUnits(ROOT, made, units, trim=bool(options.operators))
    for path in kernels.common_headers:
        made.out.append(made.expand(path, made.seen, lambda _, text: made.make_static(text)))
    made.out.append(kernels.text())
    operators = [path for path in units if exported(path, "operator_descriptor")]
    passes = [path for path in units if exported(path, "pass")]
    late = {"ops/operator.c": operator_table(operators), "engine/passes/pass_runner.c": pass_table(passes)}
    for path in units:
        if path not in late:
            made.add_unit(path)
    for path, table in late.items():
        made.out.append(f"\n/* ==== the table for {path} ==== */\n{table}")
        made.add_unit(path)

    libraries = "-lm -lpthread" if options.protobuf_c else "-lprotobuf-c -lm -lpthread"
    protobuf_option = "" if options.protobuf_c else (
        " *   -DNORMA_PROTOBUF_C='\"FILE\"'    the path of protobuf-c.c, which becomes part of this file instead of being linked\n")
    text = HEAD.format(version=version(), libraries=libraries, protobuf_option=protobuf_option) + SETTINGS
    text += "".join(f"#define {name} {PRIVATE_PREFIX}{name}\n" for name in sorted(made.private))
    text += "\n".join(f"#include {name}" for name in sorted(made.system)) + "\n"
    if not options.protobuf_c:
        text += ("#define VERSION_PROTOBUF_C PROTOBUF_C_VERSION\n"
                 "#ifdef NORMA_PROTOBUF_C\n#include NORMA_PROTOBUF_C\n#endif\n")
    else:
        text += "#define VERSION_PROTOBUF_C PROTOBUF_C_VERSION\n"
    return text + "".join(made.out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", default=str(ROOT / "build/amalgamation"), metavar="FOLDER")
    parser.add_argument("--operators", metavar="FILE", help="only these operators")
    parser.add_argument("--protobuf-c", metavar="DIR", help="the folder of protobuf-c.c and protobuf-c.h")
    options = parser.parse_args()
    out = pathlib.Path(options.out)
    text = re.sub(r"\n{3,}", "\n\n", build(options))
    out.mkdir(parents=True, exist_ok=True)
    (out / "norma.c").write_text(text)
    (out / "norma.h").write_text((ROOT / "engine/norma.h").read_text())
    print(f"{out}/norma.c: {text.count(chr(10))} lines, {len(text) / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
