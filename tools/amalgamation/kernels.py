"""The kernels of every instruction set in one file: cmake/Kernels.cmake's part of the build, for the amalgamation.

A unit is what the build compiles as one object: kernel_table_isa.c or array_kernels_isa.c for one file of isa/, or an
override for one of its tables. Its text stands there with all headers that only kernels include, behind a pragma that
switches its instruction set on, and with its name behind every name that it brings: functions, types, macros.
"""

import re
import subprocess
import tempfile

from amalgamation.c_text import names, tokens

ARCHITECTURES = {"x86_64": "__x86_64__", "aarch64": "__aarch64__", "wasm32": "__wasm__"}
FOLDER = "ops/kernels"
PASTED = re.compile(r"\w+(?: ?## ?\w+)+")


def fact(text, key):
    return re.search(rf"^ \* {key}: *(.*)$", text, re.M)[1].split()


def target(flags):
    """What the attribute `target` calls these flags."""
    words = []
    for flag in flags:
        name = flag.removeprefix("-m")
        if not name.startswith("prefer-vector-width"):  # a matter of auto-vectorisation, which the pragma cannot say
            words.append(name)
    return ",".join(words)


class Unit:
    def __init__(self, source, isa, suffix, flags):
        self.source, self.isa, self.suffix, self.flags = source, isa, suffix, flags


class KernelUnits:
    def __init__(self, root, amalgamation, units, trim):
        self.root, self.amalgamation, self.trim = root, amalgamation, trim
        self.used = set().union(*(names(amalgamation.read(path)) for path in amalgamation.closure(units)
                                  if path != f"{FOLDER}/kernel_table.h" and path != f"{FOLDER}/array_kernels.h"))
        tables = [f"{FOLDER}/kernel_table.h", f"{FOLDER}/array_kernels.h"]
        self.common_headers = tables
        self.common = set(amalgamation.closure(tables))
        common_text = "".join(amalgamation.read(path) for path in self.common)
        self.common_names = self.names_in(common_text)[1]

    def isas(self):
        """(rank, name, architecture, flags), those of an architecture together, in rising order of preference."""
        found = []
        for path in (self.root / FOLDER / "isa").glob("*.h"):
            text = path.read_text()
            found.append((fact(text, "arch")[0], int(fact(text, "rank")[0]), path.stem, fact(text, "flags")))
        return sorted(found)

    def overrides(self, isa):
        for path in sorted((self.root / FOLDER / "override").glob("*.c")):
            text = path.read_text()
            if isa in fact(text, "tables"):
                yield path.stem, fact(text, "flags"), text

    # ------------------------------------------------------------------------------------------------------ one unit

    def expand(self, unit):
        """The unit's text: what is common to all has been written already."""
        seen = set(self.common)
        isa_file = f"{FOLDER}/isa/{unit.isa}.h"

        def change(path, text):
            return text.replace("#include KERNEL_ISA_FILE", f'#include "{isa_file}"')
        return self.amalgamation.expand(unit.source, seen, change)

    def names_in(self, text):
        """(tags of structs, unions and enums; all other names; macros in both) that the text brings at file scope. Those
        that macros make are found behind the preprocessor."""
        macros = set(re.findall(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", text, re.M))
        bare = re.sub(r"^[ \t]*#[ \t]*include[^\n]*", "", text, flags=re.M)
        plain = subprocess.run(["cc", "-E", "-P", "-std=gnu11", "-x", "c", "-"], input=bare, capture_output=True,
                               text=True, check=True).stdout
        with tempfile.NamedTemporaryFile("w", suffix=".c") as file:
            file.write(plain)
            file.flush()
            command = ["ctags", "--options=NONE", "--kinds-C=fvtsuge", "-x", "--_xformat=%K %N", file.name]
            listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = [line.split() for line in listed.splitlines()]
        tags = {name for kind, name in found if kind in ("struct", "union", "enum")}
        return tags | macros, macros | {name for kind, name in found if kind not in ("struct", "union", "enum")}

    def brought_names(self, unit, text):
        """The same for a unit, without what is common to all and without what it is there for."""
        tags, others = self.names_in(f"#define KERNEL_ISA {unit.isa}\n{text}")
        exports = re.compile(r"kernel_table_|array_kernels_|kernel_override_|KERNEL_ISA$")
        return tags, {name for name in others if not exports.match(name)}

    def rename(self, text, tags, others, suffix):
        """Puts the suffix behind each name that is brought, also where macros paste it together."""
        lines = []
        for line in re.split(r"(?<!\\)\n", text):
            head = re.match(r"[ \t]*#[ \t]*define[ \t]+\w+\(([^)]*)\)", line)
            if head and "##" in line:
                parameters = {name.strip() for name in head[1].split(",")}
                line = PASTED.sub(lambda match: self.rename_pasted(match[0], parameters, others, suffix), line)
            lines.append(line)
        parts, previous = [], ""
        text = "\n".join(lines)
        for kind, word, position in tokens(text, directives=False):
            if kind == "name" and word in (tags if previous in ("struct", "union", "enum") else others):
                is_pasted = previous == "##" or text[position + len(word):].lstrip(" ").startswith("##")
                if not is_pasted and previous not in (".", "->"):
                    word += suffix
            parts.append(word)
            if kind not in ("space", "comment"):
                previous = word
        return "".join(parts)

    def rename_pasted(self, pasted, parameters, others, suffix):
        """The same for `literal##parameter##literal`: the literals must fit a name that is brought, and none of those
        that all have in common."""
        pieces = [piece.strip() for piece in pasted.split("##")]
        if sum(len(piece.strip("_")) for piece in pieces if piece not in parameters) < 3:
            return pasted
        shape = re.compile("".join(r"\w+" if piece in parameters else re.escape(piece) for piece in pieces))
        fits = any(map(shape.fullmatch, others)) and not any(map(shape.fullmatch, self.common_names))
        return f"{pasted}##{suffix}" if fits else pasted

    def without_unused(self, text):
        """Leaves out entries of the table that no code that is left asks for."""
        def entry(match):
            return match[0] if match[1] in self.used else ""
        return re.sub(r"^    \.(\w+) = [\w&]+,\n", entry, text, flags=re.M)

    def unit_text(self, unit):
        text = self.expand(unit)
        if self.trim:
            text = self.without_unused(text)
        text = self.rename(text, *self.brought_names(unit, text), f"_{unit.suffix}")
        text = re.sub(r"^extern (const struct \w+ KERNEL_)", r"static \1", text, flags=re.M)
        text = re.sub(r"^const (struct \w+ KERNEL_)", r"static const \1", text, flags=re.M)
        text = re.sub(r"^(  )extern (const struct kernel_override )", r"\1static \2", text, flags=re.M)
        text = re.sub(r"^(  )(const struct kernel_override [^;]*= \{)", r"\1static \2", text, flags=re.M)
        loops = ""
        if unit.source.endswith("array_kernels_isa.c"):
            loops = ('#pragma GCC push_options\n'
                     '#pragma GCC optimize("no-trapping-math", "tree-loop-vectorize", "vect-cost-model=dynamic")\n')
        begin, end = "", ""
        wanted = target(unit.flags)
        if wanted and wanted != "simd128":
            begin = (f'#if defined(__clang__)\n#pragma clang attribute push(__attribute__((target("{wanted}"))), '
                     f'apply_to = function)\n#else\n#pragma GCC push_options\n#pragma GCC target("{wanted}")\n{loops}'
                     "#endif\n")
            end = ("#if defined(__clang__)\n#pragma clang attribute pop\n#else\n" +
                   ("#pragma GCC pop_options\n" if loops else "") + "#pragma GCC pop_options\n#endif\n")
        elif loops:
            begin = f"#if !defined(__clang__)\n{loops}#endif\n"
            end = "#if !defined(__clang__)\n#pragma GCC pop_options\n#endif\n"
        return (f"\n/* ==== {unit.source}: {unit.suffix} ==== */\n{begin}#define KERNEL_ISA {unit.isa}\n{text.strip()}\n"
                f"#undef KERNEL_ISA\n{end}")

    # ----------------------------------------------------------------------------------------------------------- all

    def units_of(self, isa, flags):
        yield Unit(f"{FOLDER}/array_kernels_isa.c", isa, f"{isa}_arrays", flags)
        yield Unit(f"{FOLDER}/kernel_table_isa.c", isa, isa, flags)
        for name, further, text in self.overrides(isa):
            replaced = set(re.findall(r"gemm_i8\w*", " ".join(self.used)))
            if not self.trim or replaced:
                yield Unit(f"{FOLDER}/override/{name}.c", isa, f"{name}_of_{isa}", flags + further)

    def text(self):
        parts, groups = [], {}
        for architecture, _, isa, flags in self.isas():
            groups.setdefault(architecture, []).append((isa, flags))
        everywhere = self.amalgamation.system
        for architecture, isas in groups.items():
            self.amalgamation.system = list(everywhere)
            parts.append(f"\n#if defined({ARCHITECTURES[architecture]})\n")
            head = len(parts)
            lists = {True: ["", ""], False: ["", ""]}
            for number, (isa, flags) in enumerate(isas):
                inner = [self.unit_text(unit) for unit in self.units_of(isa, flags)]
                listed = "".join(f" X({name}, {isa})" for name, _, _ in self.overrides(isa)
                                 if any(f"{name}_of_{isa} ====" in text for text in inner))
                if number == 0:
                    parts += inner[:2]
                    inner = inner[2:]
                    lists[True][0] += f" X({isa})"
                lists[False][0] += f" X({isa})"
                lists[False][1] += listed
                if inner:
                    parts += ["#if !defined(NORMA_BASELINE)\n"] + inner + ["#endif\n"]
            for baseline, word in ((True, "#ifdef NORMA_BASELINE"), (False, "#else")):
                tables, overrides = lists[baseline]
                parts.append(f"{word}\n#define KERNEL_TABLES(X){tables}\n#define KERNEL_OVERRIDES(X){overrides}\n")
            parts.append("#endif\n#endif\n")
            headers = self.amalgamation.system[len(everywhere):]
            parts.insert(head, "".join(f"#include {name}\n" for name in headers))
        self.amalgamation.system = everywhere
        return "".join(parts)
