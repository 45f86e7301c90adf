#!/usr/bin/env python3
"""Compares proto/onnx.proto with the descriptors of the installed onnx package: messages, fields (name, number, type,
label, packing, oneof) and enums. Exit 0: equal; 1: they differ, one line for each difference; 77: cannot be compared here.

usage: compare_schema.py [ONNX.PROTO]   the compiler is taken from PROTOC, else protoc-c or protoc"""

import os
import shutil
import subprocess
import sys
import tempfile


def skip(reason):
    print(f"compare_schema: skipped: {reason}")
    sys.exit(77)


def type_text(field):
    for part in (field.message_type, field.enum_type):
        if part:
            return part.full_name
    return f"type {field.type}"


def is_repeated(field):
    """Before version 6 the Python package protobuf had labels only."""
    repeated = getattr(field, "is_repeated", None)
    return field.label == field.LABEL_REPEATED if repeated is None else repeated


def is_packed(field):
    return is_repeated(field) and field.GetOptions().packed


def describe_message(message, facts):
    facts[f"message {message.full_name}"] = "is there"
    for field in message.fields:
        oneof = field.containing_oneof
        facts[f"field {message.full_name}.{field.name}"] = (
            f"number {field.number}, {type_text(field)}, label {'repeated' if is_repeated(field) else 'optional'}"
            f"{', packed' if is_packed(field) else ''}{', oneof ' + oneof.name if oneof else ''}")
    for enum in message.enum_types:
        describe_enum(enum, facts)
    for nested in message.nested_types:
        describe_message(nested, facts)


def describe_enum(enum, facts):
    facts[f"enum {enum.full_name}"] = ", ".join(f"{value.name} = {value.number}" for value in
                                                sorted(enum.values, key=lambda value: value.number))


def describe(files):
    facts = {}
    for file in files:
        for enum in file.enum_types_by_name.values():
            describe_enum(enum, facts)
        for message in file.message_types_by_name.values():
            describe_message(message, facts)
    return facts


def ours(path):
    from google.protobuf import descriptor_pb2, descriptor_pool
    compiler = os.environ.get("PROTOC") or shutil.which("protoc-c") or shutil.which("protoc")
    if not compiler:
        skip("neither protoc-c nor protoc is installed")
    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, "onnx.desc")
        subprocess.run([compiler, f"--proto_path={os.path.dirname(path)}", f"--descriptor_set_out={target}", path],
                       check=True)
        with open(target, "rb") as file:
            files = descriptor_pb2.FileDescriptorSet.FromString(file.read()).file
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.Add(file)
    return describe(pool.FindFileByName(file.name) for file in files)


def main():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else os.path.join(root, "proto", "onnx.proto")
    try:
        import onnx
    except ImportError as reason:
        skip(f"the Python package onnx cannot be imported ({reason})")
    theirs = describe([onnx.ModelProto.DESCRIPTOR.file, onnx.SequenceProto.DESCRIPTOR.file])
    mine = ours(path)
    differences = [f"{name}: ours {mine.get(name, 'is missing')}; onnx {onnx.__version__}: {theirs.get(name, 'is missing')}"
                   for name in sorted(mine.keys() | theirs.keys()) if mine.get(name) != theirs.get(name)]
    for line in differences:
        print(f"compare_schema: {line}")
    print(f"compare_schema: {len(mine)} messages, fields and enums compared with onnx {onnx.__version__}, "
          f"{len(differences)} differ")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
