"""Writes seeds for the libFuzzer targets, one folder for each: OUT/fuzz_NAME/....

    python3 tests/fuzz/make_corpus.py OUT FOLDER...

FOLDERs hold tests in the layout of ONNX's backend tests, at any depth. Small models of them and their inputs become
seeds; so do models that are made here, with functions, subgraphs and external data, and texts, pictures and arrays.
Needs no packages. The same folders give the same seeds.
"""

import io
import pathlib
import re
import struct
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
MOST_SEEDS = 500
MOST_BYTES = 6000

# ------------------------------------------------------------------------------------------------- messages by hand


def varint(number):
    out = bytearray()
    number &= (1 << 64) - 1
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def field(number, content):
    """A field: an int, text, bytes, or the bytes of a message."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    content = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(content)) + content


def value_info(name, element_type=1, dims=(2, 3)):
    shape = b"".join(field(1, field(1, dim)) for dim in dims)
    return field(1, name) + field(2, field(1, field(1, element_type) + field(2, shape)))


def node(op_type, inputs, outputs, *attributes, domain=""):
    return (
        b"".join(field(1, name) for name in inputs)
        + b"".join(field(2, name) for name in outputs)
        + field(4, op_type)
        + b"".join(field(5, attribute) for attribute in attributes)
        + field(7, domain)
    )


def graph_attribute(name, graph):
    return field(1, name) + field(6, graph) + field(20, 5)


def graph(nodes, inputs, outputs, initializers=()):
    return (
        b"".join(field(1, each) for each in nodes)
        + field(2, "g")
        + b"".join(field(5, each) for each in initializers)
        + b"".join(field(11, each) for each in inputs)
        + b"".join(field(12, each) for each in outputs)
    )


def model(graph_bytes, functions=()):
    opsets = field(8, field(1, "") + field(2, 17)) + field(8, field(1, "f") + field(2, 1))
    return field(1, 8) + field(7, graph_bytes) + opsets + b"".join(field(25, each) for each in functions)


def function(name, nodes, inputs, outputs):
    return (
        field(1, name)
        + b"".join(field(4, each) for each in inputs)
        + b"".join(field(5, each) for each in outputs)
        + b"".join(field(7, each) for each in nodes)
        + field(9, field(1, "") + field(2, 17))
        + field(9, field(1, "f") + field(2, 1))
        + field(10, "f")
    )


def tensor(name, element_type, dims, raw):
    return b"".join(field(1, dim) for dim in dims) + field(2, element_type) + field(8, name) + field(9, raw)


def external_tensor(name, count, entries):
    pairs = b"".join(field(13, field(1, key) + field(2, value)) for key, value in entries)
    return field(1, count) + field(2, 1) + field(8, name) + field(14, 1) + pairs


def made_subgraphs():
    """Models with functions that call each other, and with If, Loop and Scan."""
    calls = [
        function("F0", [node("Relu", ["a"], ["b"])], ["a"], ["b"]),
        function("F1", [node("F0", ["a"], ["m"], domain="f"), node("Add", ["m", "a"], ["b"])], ["a"], ["b"]),
        function("F2", [node("F1", ["a"], ["m"], domain="f"), node("F1", ["m"], ["b"], domain="f")], ["a"], ["b"]),
    ]
    yield model(graph([node("F2", ["x"], ["y"], domain="f")], [value_info("x")], [value_info("y")]), calls)
    branches = [graph([node(op, ["x"], ["r"])], [], [value_info("r")]) for op in ("Relu", "Neg")]
    then, otherwise = (graph_attribute(f"{name}_branch", branch) for name, branch in zip(("then", "else"), branches))
    choice = node("If", ["c"], ["y"], then, otherwise)
    condition = value_info("c", 9, ())
    yield model(graph([choice], [value_info("x"), condition], [value_info("y")]))
    nested = graph([choice], [], [value_info("y")])
    outer = node("If", ["c"], ["z"], graph_attribute("then_branch", nested), graph_attribute("else_branch", nested))
    yield model(graph([outer], [value_info("x"), condition], [value_info("z")]))
    body = graph(
        [node("Add", ["s", "x"], ["s2"]), node("Identity", ["go"], ["go2"]), node("Neg", ["s2"], ["o"])],
        [value_info("i", 7, ()), value_info("go", 9, ()), value_info("s")],
        [value_info("go2", 9, ()), value_info("s2"), value_info("o")],
    )
    loop = node("Loop", ["n", "", "x"], ["y", "all"], graph_attribute("body", body))
    trips = tensor("n", 7, [], struct.pack("<q", 3))
    yield model(graph([loop], [value_info("x")], [value_info("y"), value_info("all", 1, (3, 2, 3))], [trips]))
    body = graph(
        [node("Add", ["s", "e"], ["s2"]), node("Relu", ["s2"], ["o"])],
        [value_info("s", 1, (3,)), value_info("e", 1, (3,))],
        [value_info("s2", 1, (3,)), value_info("o", 1, (3,))],
    )
    scan = node(
        "Scan", ["s0", "x"], ["y", "all"], graph_attribute("body", body),
        field(1, "num_scan_inputs") + field(3, 1) + field(20, 2),
    )
    inputs = [value_info("s0", 1, (3,)), value_info("x")]
    yield model(graph([scan], inputs, [value_info("y", 1, (3,)), value_info("all")]))


def made_external():
    """Models with external data; the target has data.bin (4096 bytes), sub/data.bin and more in the model's folder."""
    places = [
        [("location", "data.bin")],
        [("location", "data.bin"), ("offset", "64"), ("length", "128")],
        [("location", "sub/data.bin"), ("length", "100")],
        [("location", "empty.bin"), ("length", "0")],
        [("location", "../data.bin")],
        [("location", "/etc/hostname")],
        [("location", "link.bin")],
        [("location", "hard.bin")],
        [("location", "pipe")],
        [("location", "sub")],
        [("location", "data.bin"), ("offset", "18446744073709551615"), ("length", "2")],
        [("location", "data.bin"), ("offset", "-1")],
    ]
    for entries in places:
        length = int(dict(entries).get("length", "4096"))
        initializer = external_tensor("w", length // 4 if length < 1 << 30 else 4, entries)
        yield model(graph([node("Relu", ["w"], ["y"])], [], [value_info("y", 1, ())], [initializer]))


# ------------------------------------------------------------------------------------------------------------ others

TEXTS = {
    0: ["ij,jk->ik\n23\n34", "ii->i\n33", "...ij,...jk->...ik\n223\n234", "i,j->ij\n2\n3", "bij->\n234", "ij->ji\n23",
        "bhwij,bhwjk->bhwik\n11223\n11234", "a,b,c,d->abcd\n2\n2\n2\n2"],
    1: ["www\\.[\\w.-]+\\.com\nwww.x.com\nx", "(a|b)*c{2,3}\nabcc\nc", "[^a-z]+\\d?\nABC1\n", "(?i)straße\nSTRASSE\nx",
        "\\pL+\\p{Greek}*\nabc\n", "(?P<n>x+)+y\nxxxxxxxxxx\n", "^a.*b$\nab\nb", "[[:alpha:]]{1,1000}\na\n"],
    2: [" \na b  c\nd", "\na  b\n  ", ", \na, b, c\n"],
    3: ["the\na\nthe\nA\nTHE", "x\ny\nstraße\nİI"],
    4: ["[a-z]+\nabc def\nx", " \n,\na b,c\nd", "\\s+\na\n", "ab\nc\nxabyabz"],
    5: ["a\nb\na\nb\nc\na\nb", "x\nx\nx"],
}


def encoded_pictures():
    """The pictures of ImageDecoder's test, and those of models/."""
    text = (ROOT / "tests/ops/image/encoded_images.h").read_text()
    for numbers in re.findall(r"encoded_\w+\[\] = \{([^}]*)\}", text):
        yield bytes(int(number) for number in numbers.replace("\n", " ").split(",") if number.strip())
    for path in sorted((ROOT / "models/pictures").glob("*.png")):
        yield path.read_bytes()
    yield b"P5 3 2 255\n" + bytes(range(6))
    yield b"P6\n# c\n2 1 255 " + bytes(range(6))
    yield b"P3 1 1 255 1 2 3"
    pixels = bytes([0, 0, 255, 0, 255, 0, 0, 0])
    header = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 24, 0, len(pixels), 0, 0, 0, 0)
    yield b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54) + header + pixels


def made_npy(descr, shape, data, version=1, order="False"):
    header = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + data


def tool_files():
    arrays = [path.read_bytes() for path in sorted((ROOT / "models/pictures").glob("*.npy"))]
    arrays += [
        made_npy("<i8", "(2,)", bytes(16)),
        made_npy(">f4", "(2, 2)", bytes(16), 2, "True"),
        made_npy("|b1", "()", b"\1"),
        made_npy("<U3", "(1,)", "abc".encode("utf-32-le")),
        made_npy("|S4", "(2,)", b"ab\0\0cd\0\0", 3),
        made_npy("<c8", "(1,)", bytes(8)),
    ]
    for array in arrays:
        yield b"\0" + array
        yield b"\3" + array
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", method) as archive:
            for i, array in enumerate(arrays[:3]):
                archive.writestr(zipfile.ZipInfo(f"a{i}.npy"), array, method)
        yield b"\1" + packed.getvalue()
        yield b"\3" + packed.getvalue()
    for picture in encoded_pictures():
        yield b"\2" + picture
    yield b"\4" + (ROOT / "tests/conformance/tolerances.txt").read_bytes()[:2000]
    yield b"\4test_* rtol=1e-3 atol=1e-7\n*/light_* max=0.5\n# x\n"
    words = [1, 0, 0, 0, 1, 0, 0, 3] + [0, 16, 0, 0] + [0] * 80
    yield b"\5NORMAMOM" + struct.pack(f"<{len(words)}Q", *words)


def kernel_choices():
    state = 1
    for kind in range(3):
        for length in (8, 40, 300):
            seed = bytearray([kind])
            for _ in range(length):
                state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
                seed.append(state >> 56)
            yield bytes(seed)


# ------------------------------------------------------------------------------------------------------- from folders

SUBGRAPHS = [field(4, name) for name in ("If", "Loop", "Scan", "SequenceMap")]


def small_vectors(folders):
    """Folders with small models, at most MOST_SEEDS of them, taken evenly."""
    found = sorted(path for folder in folders for path in pathlib.Path(folder).rglob("model.onnx"))
    small = [path for path in found if path.stat().st_size <= MOST_BYTES]
    return small[:: 1 + (len(small) - 1) // MOST_SEEDS]


def packed_run(path):
    """The model and its inputs, each behind its length."""
    parts = [path.read_bytes()]
    for i in range(16):
        file = path.parent / "test_data_set_0" / f"input_{i}.pb"
        if not file.exists():
            break
        parts.append(file.read_bytes())
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


def write_all(out, target, seeds):
    folder = out / target
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for count, seed in enumerate(seeds, 1):
        (folder / f"seed_{count:04}").write_bytes(seed)
    print(f"{target}: {count} seeds")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    vectors = small_vectors(sys.argv[2:])
    models = [path.read_bytes() for path in vectors]
    made = list(made_subgraphs())
    for target in ("fuzz_model_reader", "fuzz_load", "fuzz_load_run"):
        write_all(out, target, models + made)
    write_all(out, "fuzz_subgraphs", made + [each for each in models if any(mark in each for mark in SUBGRAPHS)])
    write_all(out, "fuzz_external_data", list(made_external()))
    write_all(out, "fuzz_run_inputs", [run for run in map(packed_run, vectors) if len(run) <= 4 * MOST_BYTES])
    write_all(out, "fuzz_text", [bytes([kind]) + text.encode() for kind in TEXTS for text in TEXTS[kind]])
    write_all(out, "fuzz_image", [bytes([i % 3]) + picture for i, picture in enumerate(encoded_pictures())])
    write_all(out, "fuzz_kernels", kernel_choices())
    write_all(out, "fuzz_tool_formats", tool_files())
    values = [path for vector in vectors[::4] for path in sorted((vector.parent / "test_data_set_0").glob("*.pb"))]
    small = [path for path in values if path.stat().st_size < MOST_BYTES]
    write_all(out, "fuzz_value_reader", [b"\0" + path.read_bytes() for path in small])


if __name__ == "__main__":
    main()
