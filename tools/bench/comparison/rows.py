"""What is compared: the rows of the page, their models on disk, what is in these."""

import dataclasses
import fnmatch
import math
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile

import onnx
from onnx import TensorProto, helper

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "models"))
import random_cases  # noqa: E402  (stands in models/)

CONVOLUTIONAL = "convolutional networks"


@dataclasses.dataclass(frozen=True)
class Row:
    """A model and its inputs. `goals` are the ratios to ONNX Runtime aimed at, on one thread and on two."""

    title: str
    name: str  # that the command line takes
    model: str  # its folder
    inputs: int = 0  # which of its test_data_set folders
    group: str = CONVOLUTIONAL
    average: str = CONVOLUTIONAL
    precision: str = "float32"
    note: str = ""
    goals: tuple = ()

    def path(self, folders):
        return folders[self.group == CONVOLUTIONAL] / self.model / "model.onnx"


def network(title, name, one, two=None):
    return Row(title, name, name, goals=(one, two or one))


NETWORKS = [
    network("ResNet-50", "resnet50", 1.3),
    network("VGG-19", "light_vgg19", 2.3),
    network("DenseNet-121", "light_densenet121", 1.6),
    network("Inception v1", "light_inception_v1", 2.3),
    network("Inception v2", "light_inception_v2", 1.5),
    network("SqueezeNet", "light_squeezenet", 1.4),
    network("ShuffleNet", "light_shufflenet", 1.6),
    network("AlexNet", "light_bvlc_alexnet", 2.2),
    network("ZFNet", "light_zfnet512", 2.4),
    network("MobileNet v1", "mobilenet_v1", 1.15),
    network("MobileNet v2", "mobilenet_v2", 1.25),
    network("super_resolution", "super_resolution", 1.9),
    network("mnist", "mnist", 2.3, 1.5),
    network("MLP 784-1024-1024-10", "mlp", 1.5),
]


def all_rows():
    cases = [
        Row(case, case, recipe.name, i, recipe.group, recipe.average, recipe.precision, recipe.note)
        for recipe in random_cases.recipes.RECIPES
        for i, case in enumerate(recipe.inputs)
    ]
    # In the order of the page: groups as they first appear.
    groups = list(dict.fromkeys(c.group for c in cases))
    return NETWORKS + sorted(cases, key=lambda row: groups.index(row.group))


def chosen(patterns):
    """Rows whose name, title or group fits one of the globs."""
    fits = lambda row, glob: any(fnmatch.fnmatchcase(text, glob) for text in (row.name, row.title, row.group))
    found = [row for row in all_rows() if any(fits(row, glob) for glob in patterns)]
    lonely = [glob for glob in patterns if not any(fits(row, glob) for row in found)]
    if lonely:
        raise SystemExit(f"compare_engines.py: nothing fits {', '.join(lonely)}; --list prints the rows")
    return found


# --- models on disk -----------------------------------------------------------------------------------


def light_folder(vectors, scratch):
    """A folder of light_*/model.onnx, or None. What is found elsewhere is brought into that form in `scratch`."""
    if vectors:
        if not list(vectors.glob("light_*/model.onnx")):
            raise SystemExit(f"compare_engines.py: no light_*/model.onnx in {vectors}")
        return vectors
    package = pathlib.Path(onnx.__file__).parent / "backend/test/data/light"
    for path in package.glob("light_*.onnx"):
        folder = scratch / path.stem
        folder.mkdir()
        (folder / "model.onnx").symlink_to(path)
    archive = pathlib.Path(os.environ.get("NORMA_SHARED", ROOT.parent / "shared")) / "onnx-backend-data.tar.xz"
    if not list(scratch.iterdir()) and archive.exists():
        with tarfile.open(archive) as tar:
            for member in tar:
                path = pathlib.PurePath(member.name)
                if path.name == "model.onnx" and path.parent.name.startswith("light_"):
                    folder = scratch / path.parent.name
                    folder.mkdir()
                    (folder / "model.onnx").write_bytes(tar.extractfile(member).read())
    return scratch if list(scratch.iterdir()) else None


def make_networks(rows, folder, vectors):
    missing = [row.model for row in rows if not (folder / row.model / "test_data_set_0").exists()]
    with tempfile.TemporaryDirectory() as scratch:
        light = light_folder(vectors, pathlib.Path(scratch)) if missing else None
        for name in missing:
            if name.startswith("light_") and not (light and (light / name).exists()):
                continue
            command = [sys.executable, ROOT / "models/random_models.py", "--out", folder, "--only", name]
            subprocess.run(command + (["--light", light] if light else []), check=True)


def make_models(rows, folders, vectors):
    """Writes the models that are not there yet. `folders` are those of cases and of networks. Returns the rows whose
    models are there in the end, and titles of the others."""
    make_networks([row for row in rows if row.group == CONVOLUTIONAL], folders[1], vectors)
    for name in dict.fromkeys(row.model for row in rows if row.group != CONVOLUTIONAL):
        random_cases.write_model(folders[0], random_cases.recipes.find(name)[0])
    there = [row for row in rows if row.path(folders).exists()]
    left_out = [row.title for row in rows if row not in there]
    if left_out:
        print(f"left out, their graphs are not here (--vectors, NORMA_SHARED): {', '.join(left_out)}")
    return there, left_out


# --- what is in a model -------------------------------------------------------------------------------


def shapes_of(model):
    """The shape of every value with known sizes; a free dimension counts as 1."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {i.name: list(i.dims) for i in inferred.initializer}
    for value in [*inferred.value_info, *inferred.input, *inferred.output]:
        shapes[value.name] = [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]
    return shapes


def multiply_accumulates(model):
    """Of Conv, Gemm and MatMul by their definition, whatever algorithm an engine takes."""
    shapes, total = shapes_of(model), 0
    for node in model.graph.node:
        if node.op_type == "Conv":
            total += math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
        elif node.op_type in ("Gemm", "MatMul"):
            inner = shapes[node.input[0]][-1]
            if any(a.name == "transA" and a.i for a in node.attribute):
                inner = shapes[node.input[0]][0]
            total += math.prod(shapes[node.output[0]]) * inner
    return total


def weight_bytes(model):
    """Of the initializers, as their element types lie in memory."""
    size = lambda tensor: helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return sum(math.prod(i.dims) * size(i) for i in model.graph.initializer if i.data_type != TensorProto.STRING)
