"""Writes benchmark models beyond convolutional networks, with random weights and inputs.

    python models/random_cases.py --out build/random_cases [--only GLOB,...] [--list]

The models stand in models/cases, by families. Each is written in the layout of ONNX's backend tests,
OUT/MODEL/model.onnx with a folder test_data_set_N for each case of it: its inputs, as numbers drawn from fixed seeds.
References are left out: those who compare run other engines. What is there already stays.
"""

import argparse
import pathlib
import zlib

import numpy as np
import onnx
from onnx import numpy_helper

from cases import classical, large_tensors, quantized, recurrent, transformers, vision  # noqa: F401  (they add recipes)
from cases import recipes


def inputs_of(recipe, case):
    return recipe.inputs[case](np.random.default_rng([1, zlib.crc32(case.encode())]))


def write_case(folder, model, feeds):
    folder.mkdir(parents=True, exist_ok=True)
    names = [i.name for i in model.graph.input]
    assert sorted(names) == sorted(feeds), f"{folder}: inputs {names}"
    for i, name in enumerate(names):
        (folder / f"input_{i}.pb").write_bytes(
            numpy_helper.from_array(np.asarray(feeds[name]), name).SerializeToString()
        )


def write_model(out, recipe):
    """Writes a model and its cases, and those that it is made from; returns the model."""
    path = out / recipe.name / "model.onnx"
    if path.exists():
        return onnx.load(path)
    model = recipe.build(lambda name: write_model(out, recipes.find(name)[0]))
    onnx.checker.check_model(model)
    for i, case in enumerate(recipe.inputs):
        write_case(path.parent / f"test_data_set_{i}", model, inputs_of(recipe, case))
    partial = path.with_suffix(".partial")
    onnx.save(model, partial)
    partial.rename(path)
    print(f"{recipe.name:24} {path.stat().st_size / 1e6:7.1f} MB  {len(model.graph.node):5} nodes", flush=True)
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, help="folder to write to")
    parser.add_argument("--only", metavar="GLOB,...", default="*", help="models or cases of these names")
    parser.add_argument("--list", action="store_true", help="print models, cases and what they are")
    arguments = parser.parse_args()
    chosen = recipes.find(arguments.only)
    if not chosen:
        raise SystemExit(f"random_cases.py: nothing is called {arguments.only}; --list prints what there is")
    if arguments.list:
        for r in chosen:
            print(f"{r.name:24} {r.group:16} {r.precision:8} {', '.join(r.inputs)}: {r.note}")
    elif not arguments.out:
        raise SystemExit("random_cases.py: --out is needed")
    else:
        for r in chosen:
            write_model(arguments.out, r)


if __name__ == "__main__":
    main()
