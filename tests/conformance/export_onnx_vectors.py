"""Writes the test vectors of the installed onnx package as folders that `norma test` reads.

    python tests/conformance/export_onnx_vectors.py OUT

OUT/{node,simple,light,pytorch-converted,pytorch-operator}/NAME/{model.onnx,test_data_set_N/{input,output}_I.pb}. The package
holds node and simple cases as code and the others as files; light models come without inputs, which ONNX's own runner
counts up, and so does this script.
"""

import pathlib
import shutil
import sys

import numpy as np
import onnx
import onnx.backend.test.case.model
import onnx.backend.test.loader
from onnx import numpy_helper

PACKAGED = pathlib.Path(onnx.backend.test.loader.DATA_DIR)


def serialize(value, value_info):
    """A value of a test case as the bytes of the message that its declared type asks for."""
    if isinstance(value, onnx.TensorProto):
        return value.SerializeToString()
    kind = value_info.type.WhichOneof("value")
    convert = {
        "map_type": numpy_helper.from_dict,
        "sequence_type": numpy_helper.from_list,
        "optional_type": numpy_helper.from_optional,
        "tensor_type": numpy_helper.from_array,
    }[kind]
    return convert(value, value_info.name).SerializeToString()


def write_case(folder, case):
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(case.model.SerializeToString())
    for number, (inputs, outputs) in enumerate(case.data_sets):
        data_set = folder / f"test_data_set_{number}"
        data_set.mkdir()
        for stem, values, infos in (
            ("input", inputs, case.model.graph.input),
            ("output", outputs, case.model.graph.output),
        ):
            for index, value in enumerate(values):
                (data_set / f"{stem}_{index}.pb").write_bytes(serialize(value, infos[index]))


def write_light(folder, path):
    data_set = folder / "test_data_set_0"
    data_set.mkdir(parents=True)
    shutil.copy(path, folder / "model.onnx")
    graph = onnx.load(path).graph
    constants = {initializer.name for initializer in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    for index, value in enumerate(inputs):
        shape = [dim.dim_value if dim.HasField("dim_value") else 1 for dim in value.type.tensor_type.shape.dim]
        count = int(np.prod(shape))
        array = (np.arange(count).reshape(shape) / count).astype(np.float32)
        (data_set / f"input_{index}.pb").write_bytes(numpy_helper.from_array(array, value.name).SerializeToString())
    for index in range(len(graph.output)):
        shutil.copy(path.with_name(f"{path.stem}_output_{index}.pb"), data_set / f"output_{index}.pb")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for case in onnx.backend.test.loader.load_node_model_tests():
        write_case(partial / "node" / case.name, case)
    for case in onnx.backend.test.case.model.collect_testcases():
        if case.kind == "simple":
            write_case(partial / "simple" / case.name, case)
    for path in sorted((PACKAGED / "light").glob("light_*.onnx")):
        write_light(partial / "light" / path.stem, path)
    for kind in ("pytorch-converted", "pytorch-operator"):
        shutil.copytree(PACKAGED / kind, partial / kind, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)


if __name__ == "__main__":
    main()
