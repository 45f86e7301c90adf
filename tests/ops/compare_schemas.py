#!/usr/bin/env python3
"""Compares the operators of the build with the definitions of the installed onnx package: versions, element types, and,
through models of one node, which attributes and how many inputs each version takes. Exit 0: as defined; 1: they differ,
one line for each difference; 77: cannot be compared here.

usage: compare_schemas.py   the tool is taken from NORMA"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

# Definitions that ONNX has taken back, and that models still use.
DEPRECATED_VERSIONS = {"GroupNormalization": {18}, "Scatter": {11}}
# Lists that are an attribute in some versions and an input in others, and are taken as either where they mean the same.
ATTRIBUTE_OR_INPUT = {"Split", "Squeeze", "Unsqueeze"}
MODELS_AT_A_TIME = 300
ANY_NUMBER = 2**31 - 1
REFUSED = "refused, with any words"


def skip(reason):
    print(f"compare_schemas: skipped: {reason}")
    sys.exit(77)


try:
    import onnx
    from onnx import TensorProto, helper
except ImportError:
    skip("no package onnx")


def definitions():
    """{operator: {since-version: schema}} of ai.onnx."""
    found = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            found.setdefault(schema.name, {})[schema.since_version] = schema
    return found


def check_versions(op, schemas):
    expected = {version for version, schema in schemas.items() if not schema.deprecated}
    expected |= DEPRECATED_VERSIONS.get(op["name"], set())
    if set(op["versions"]) != expected:
        yield f"{op['name']}: versions {op['versions']}, defined are {sorted(expected)}"


def check_types(op, schemas):
    """Rules hold for all versions: they must take what the newest does."""
    schema = schemas[max(version for version in op["versions"] if version in schemas)]
    for kind, values in (("input", schema.inputs), ("output", schema.outputs)):
        for index, value in enumerate(values):
            defined = {text[len("tensor("):-1] for text in value.types if text.startswith("tensor(")}
            for rule in op["types"]:
                missing = defined - set(rule["types"])
                if index in rule[kind + "s"] and missing:
                    yield f"{op['name']}: {kind} {index} does not take {sorted(missing)}"


def some_value(kind):
    """A value of an attribute's kind, be it a sensible one or not."""
    value = helper.make_tensor_value_info("v", TensorProto.FLOAT, None)
    kinds = onnx.defs.OpSchema.AttrType
    return {
        kinds.FLOAT: 1.0, kinds.INT: 1, kinds.STRING: "x", kinds.FLOATS: [1.0], kinds.INTS: [1], kinds.STRINGS: ["x"],
        kinds.TENSOR: helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0]),
        kinds.GRAPH: helper.make_graph([], "g", [], [value], [helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])]),
        kinds.TYPE_PROTO: helper.make_tensor_type_proto(TensorProto.FLOAT, None),
    }.get(kind)


def one_node(name, version, inputs, outputs, attributes):
    inputs, outputs = [f"i{i}" for i in range(inputs)], [f"o{i}" for i in range(outputs)]
    node = helper.make_node(name, inputs, outputs, **attributes)
    values = [[helper.make_tensor_value_info(value, TensorProto.FLOAT, None) for value in names]
              for names in (inputs, outputs)]
    graph = helper.make_graph([node], "g", *values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)


def questions(op, schemas):
    """Models, with what must stand in the answer and what must not."""
    name = op["name"]
    for version in op["versions"]:
        schema = schemas.get(version)
        if schema is None or schema.deprecated:
            continue
        least, most, outputs = schema.min_input, schema.max_input, max(schema.min_output, 1)
        values = {key: some_value(attribute.type) for key, attribute in schema.attributes.items()}
        given = {key: value for key, value in values.items() if value is not None}
        required = [key for key, attribute in schema.attributes.items() if attribute.required]
        title = f"{name} of version {version}"
        yield (f"{title}, with all attributes", one_node(name, version, least, outputs, given), "",
               ("has no attribute", "has kind"))
        wanted = REFUSED if required else ""
        yield (f"{title}, without attributes", one_node(name, version, least, outputs, {}), wanted,
               () if required else ("lacks the attribute",))
        known = {key: given[key] for key in required if key in given}
        if most < ANY_NUMBER and name not in ATTRIBUTE_OR_INPUT:
            yield f"{title}, with {most + 1} inputs", one_node(name, version, most + 1, outputs, known), "inputs", ()
        if least > 0:
            yield f"{title}, with {least - 1} inputs", one_node(name, version, least - 1, outputs, known), REFUSED, ()
        if schema.max_output < ANY_NUMBER:
            many = schema.max_output + 1
            yield f"{title}, with {many} outputs", one_node(name, version, least, many, known), "outputs", ()


def ask(tool, folder, asked):
    """The tool's answers to models, each of one line or of none."""
    paths = []
    for number, (_, model, _, _) in enumerate(asked):
        paths.append(str(folder / f"{number}.onnx"))
        onnx.save(model, paths[-1])
    answers = {}
    for first in range(0, len(paths), MODELS_AT_A_TIME):
        run = subprocess.run([tool, "check", *paths[first:first + MODELS_AT_A_TIME]], capture_output=True, text=True,
                             check=False)
        if run.returncode not in (0, 1, 2):
            yield None, f"the tool ended with {run.returncode}: {run.stderr[-500:]}"
            return
        for line in (run.stdout + run.stderr).splitlines():
            path, _, text = line.removeprefix("norma: ").partition(": ")
            answers[path] = answers.get(path, "") + text
    for path, question in zip(paths, asked):
        yield question, answers.get(path, "")


def check_nodes(tool, asked):
    with tempfile.TemporaryDirectory() as folder:
        for question, answer in ask(tool, pathlib.Path(folder), asked):
            if question is None:
                yield answer
                continue
            title, _, wanted, unwanted = question
            if wanted is REFUSED and answer == "ok":
                yield f"{title}: is taken"
            elif wanted and wanted is not REFUSED and wanted not in answer:
                yield f"{title}: expected \"{wanted}\", got \"{answer}\""
            for words in unwanted:
                if words in answer:
                    yield f"{title}: \"{answer}\""


# Operators of ai.onnx that ONNX does not define: ONNX Runtime's optimiser writes them into that domain.
BEYOND = {"SimplifiedLayerNormalization"}


def main():
    tool = os.environ.get("NORMA")
    if not tool or not os.path.exists(tool):
        skip("no tool in NORMA")
    operators = json.loads(subprocess.check_output([tool, "ops", "--json"]))["operators"]
    defined, problems, asked = definitions(), [], []
    newest = onnx.defs.onnx_opset_version()
    if newest < max(max(op["versions"]) for op in operators if op["domain"] == "ai.onnx"):
        skip(f"the package onnx knows opset {newest} only")
    for op in operators:
        if op["domain"] != "ai.onnx":
            continue
        if op["name"] in BEYOND:
            continue
        if op["name"] not in defined:
            problems.append(f"{op['name']}: not defined")
            continue
        schemas = defined[op["name"]]
        problems += check_versions(op, schemas)
        problems += check_types(op, schemas)
        asked += questions(op, schemas)
    problems += check_nodes(tool, asked)
    print("\n".join(problems + [f"{len(operators)} operators, {len(asked)} nodes, {len(problems)} differences"]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
