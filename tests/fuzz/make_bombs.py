"""Writes small models that ask for very much: OUT/NAME.onnx, and OUT/bombs.txt with what is expected of each.

    python3 tests/fuzz/make_bombs.py OUT

A line of bombs.txt is `NAME CHECK RUN`: what `norma check` and `norma run` must say, `refused`, `done` or `any`. Needs no
packages. tests/fuzz/bombs.sh runs them.
"""

import pathlib
import struct
import sys
import zlib

from make_corpus import field, function, graph, graph_attribute, node, tensor, value_info

FLOAT, UINT8, INT64, STRING, BOOL = 1, 2, 7, 8, 9


def model(graph_bytes, functions=(), opset=20):
    imports = field(8, field(1, "") + field(2, opset)) + field(8, field(1, "f") + field(2, 1))
    return field(1, 9) + field(7, graph_bytes) + imports + b"".join(field(25, each) for each in functions)


def integers(name, dims, *numbers):
    return tensor(name, INT64, dims, struct.pack(f"<{len(numbers)}q", *numbers))


def truth(name):
    return tensor(name, BOOL, [], b"\1")


def any_length(name, element_type=FLOAT):
    """A value of one axis that has a name and no size."""
    axis = field(1, field(2, name + "_length"))
    return field(1, name) + field(2, field(1, field(1, element_type) + field(2, axis)))


def deep_nesting(levels):
    inner = graph([node("Identity", ["x"], ["y"])], [], [value_info("y")])
    for _ in range(levels):
        choice = node("If", ["c"], ["y"], graph_attribute("then_branch", inner))
        inner = graph([choice], [], [value_info("y")])
    return model(graph([node("If", ["c"], ["y"], graph_attribute("then_branch", inner))],
                       [value_info("x"), value_info("c", BOOL, ())], [value_info("y")]))


def function_bomb(levels):
    """Each function calls the one before twice."""
    functions = [function("F0", [node("Relu", ["a"], ["b"])], ["a"], ["b"])]
    for level in range(levels):
        calls = [node(f"F{level}", ["a"], ["m"], domain="f"), node(f"F{level}", ["m"], ["b"], domain="f")]
        functions.append(function(f"F{level + 1}", calls, ["a"], ["b"]))
    call = node(f"F{levels}", ["x"], ["y"], domain="f")
    return model(graph([call], [value_info("x")], [value_info("y")]), functions, 17)


def endless_loop():
    body = graph([node("Neg", ["s"], ["s2"]), node("Identity", ["go"], ["go2"])],
                 [value_info("i", INT64, ()), value_info("go", BOOL, ()), value_info("s")],
                 [value_info("go2", BOOL, ()), value_info("s2")])
    return model(graph([node("Loop", ["", "true", "x"], ["y"], graph_attribute("body", body))],
                       [value_info("x")], [value_info("y")], [truth("true")]))


def endless_loop_of_constants():
    """What needs no input might be computed while the model is loaded."""
    body = graph([node("Neg", ["s"], ["s2"]), node("Identity", ["go"], ["go2"])],
                 [value_info("i", INT64, ()), value_info("go", BOOL, ()), value_info("s", FLOAT, (1,))],
                 [value_info("go2", BOOL, ()), value_info("s2", FLOAT, (1,))])
    start = tensor("x", FLOAT, [1], bytes(4))
    return model(graph([node("Loop", ["", "true", "x"], ["y"], graph_attribute("body", body))],
                       [], [value_info("y", FLOAT, (1,))], [truth("true"), start]))


def nested_loops(levels, trips):
    """trips ** levels passes, of which no loop has many."""
    body_inputs = [value_info("i", INT64, ()), value_info("go", BOOL, ()), value_info("s")]
    body_outputs = [value_info("go2", BOOL, ()), value_info("s2")]
    go_on = node("Identity", ["go"], ["go2"])
    body = graph([node("Neg", ["s"], ["s2"]), go_on], body_inputs, body_outputs)
    for _ in range(levels - 1):
        loop = node("Loop", ["trips", "", "s"], ["s2"], graph_attribute("body", body))
        body = graph([loop, go_on], body_inputs, body_outputs)
    return model(graph([node("Loop", ["trips", "", "x"], ["y"], graph_attribute("body", body))],
                       [value_info("x")], [value_info("y")], [integers("trips", [], trips)]))


def doubling_loop():
    concat = node("Concat", ["s", "s"], ["s2"], field(1, "axis") + field(3, 0) + field(20, 2))
    body = graph([concat, node("Identity", ["go"], ["go2"])],
                 [value_info("i", INT64, ()), value_info("go", BOOL, ()), any_length("s")],
                 [value_info("go2", BOOL, ()), any_length("s2")])
    return model(graph([node("Loop", ["trips", "", "x"], ["y"], graph_attribute("body", body))],
                       [any_length("x")], [any_length("y")], [integers("trips", [], 1000)]))


def string_loop():
    body = graph([node("StringConcat", ["s", "s"], ["s2"]), node("Identity", ["go"], ["go2"])],
                 [value_info("i", INT64, ()), value_info("go", BOOL, ()), value_info("s", STRING, (1,))],
                 [value_info("go2", BOOL, ()), value_info("s2", STRING, (1,))])
    texts = field(1, 1) + field(2, STRING) + field(8, "x") + field(6, "abcdefgh")
    return model(graph([node("Loop", ["trips", "", "x"], ["y"], graph_attribute("body", body))],
                       [], [value_info("y", STRING, (1,))], [integers("trips", [], 1000), texts]))


def stacking_loop():
    """Endless, and each pass adds a row to an output."""
    body = graph([node("Neg", ["x"], ["row"]), node("Identity", ["go"], ["go2"])],
                 [value_info("i", INT64, ()), value_info("go", BOOL, ())],
                 [value_info("go2", BOOL, ()), value_info("row", FLOAT, (65536,))])
    rows = field(1, "y") + field(2, field(1, field(1, FLOAT) + field(2, field(1, b"") + field(1, field(1, 65536)))))
    return model(graph([node("Loop", ["", "true"], ["y"], graph_attribute("body", body))],
                       [value_info("x", FLOAT, (65536,))], [rows], [truth("true")]))


def sequence_loop():
    """Endless, and each pass adds an element to a sequence."""
    def sequence(name):
        return field(1, name) + field(2, field(4, field(1, field(1, field(1, FLOAT)))))

    body = graph([node("SequenceInsert", ["s", "x"], ["s2"]), node("Identity", ["go"], ["go2"])],
                 [value_info("i", INT64, ()), value_info("go", BOOL, ()), sequence("s")],
                 [value_info("go2", BOOL, ()), sequence("s2")])
    nodes = [node("SequenceEmpty", [], ["none"]),
             node("Loop", ["", "true", "none"], ["all"], graph_attribute("body", body)),
             node("SequenceLength", ["all"], ["y"])]
    return model(graph(nodes, [value_info("x")], [value_info("y", INT64, ())], [truth("true")]))


def constant_of_shape(count):
    return model(graph([node("ConstantOfShape", ["shape"], ["y"])], [], [any_length("y")],
                       [integers("shape", [1], count)]))


def hidden_constant_of_shape(count):
    """Only its sum comes out."""
    nodes = [node("ConstantOfShape", ["shape"], ["z"]), node("ReduceSum", ["z"], ["y"])]
    return model(graph(nodes, [], [value_info("y", FLOAT, (1,))], [integers("shape", [1], count)]))


def empty_nodes(count):
    """Two bytes for each."""
    nodes = field(1, b"") * count
    rest = graph([], [value_info("x")], [value_info("x")])
    return model(nodes + rest)


def chain(count):
    """Good, and below the budget for nodes; what it takes to look at each."""
    nodes = [node("Neg", [f"v{i}"], [f"v{i + 1}"]) for i in range(count)]
    return model(graph(nodes, [value_info("v0")], [value_info(f"v{count}")]))


def image_bomb(side):
    """A good header that promises side x side pixels of 16 bits in four channels, and a few bytes of nothing."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 16, 6, 0, 0, 0)
    picture = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1 << 20)))
    picture += chunk(b"IEND", b"")
    pixels = field(1, "y") + field(2, field(1, field(1, UINT8) + field(2, b"".join(field(1, b"") for _ in range(3)))))
    return model(graph([node("ImageDecoder", ["picture"], ["y"])], [], [pixels],
                       [tensor("picture", UINT8, [len(picture)], picture)]))


def regex_bomb(pattern, text):
    attribute = field(1, "pattern") + field(4, pattern) + field(20, 3)
    texts = field(1, 1) + field(2, STRING) + field(8, "x") + field(6, text)
    return model(graph([node("RegexFullMatch", ["x"], ["y"], attribute)], [], [value_info("y", BOOL, (1,))], [texts]))


def bombs():
    """Name, what `norma check` says, what `norma run` says, the bytes."""
    yield "deep_nesting", "refused", "refused", deep_nesting(5000)
    yield "function_bomb_27", "refused", "refused", function_bomb(27)
    yield "function_bomb_18", "any", "any", function_bomb(18)  # below the budget for nodes
    yield "endless_loop", "done", "refused", endless_loop()
    yield "endless_constants", "done", "refused", endless_loop_of_constants()
    yield "nested_loops", "done", "refused", nested_loops(8, 1000)
    yield "doubling_loop", "done", "refused", doubling_loop()
    yield "string_loop", "done", "refused", string_loop()
    yield "stacking_loop", "done", "refused", stacking_loop()
    yield "sequence_loop", "done", "refused", sequence_loop()
    yield "constant_5_gib", "any", "refused", constant_of_shape(5 << 28)
    yield "hidden_5_gib", "any", "refused", hidden_constant_of_shape(5 << 28)
    yield "constant_2_to_62", "any", "refused", constant_of_shape(1 << 62)
    yield "empty_nodes", "refused", "refused", empty_nodes(2000000)
    yield "chain_of_nodes", "any", "any", chain(300000)
    yield "image_bomb", "any", "refused", image_bomb(60000)
    yield "image_of_590_mb", "any", "refused", image_bomb(14000)
    yield "regex_repeats", "refused", "refused", regex_bomb("((((a{1,100}){1,100}){1,100}){1,100}){1,100}", "a" * 1000)
    yield "regex_nested", "done", "done", regex_bomb("((a*)*)*b", "a" * 100000)
    yield "regex_long_text", "done", "any", regex_bomb("(a|aa|a{3,9})*b", "a" * 20000000)


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "bombs.txt", "w") as lines:
        for name, check, run, content in bombs():
            (out / f"{name}.onnx").write_bytes(content)
            lines.write(f"{name} {check} {run}\n")


if __name__ == "__main__":
    main()
