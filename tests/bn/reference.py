"""What the tests of norma bn compare with: the same estimations, written down with NumPy and ONNX Runtime.

Every BatchNormalization is computed by ONNX Runtime's graph cut into pieces: the input X of a node is asked for as an
output of the model as it stands at that moment, and NumPy measures it in double.
"""

import json
import pathlib
import subprocess
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]


def session(model):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def nodes_of(model):
    return [n for n in model.graph.node if n.op_type == "BatchNormalization"]


def constants_of(model):
    """Name -> array of initializers and Constant nodes."""
    found = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    found[node.output[0]] = numpy_helper.to_array(attribute.t)
    return found


def set_constant(model, name, array):
    for tensor in model.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(array, name))
    for node in model.graph.node:
        if node.op_type == "Constant" and node.output[0] == name:
            for attribute in node.attribute:
                if attribute.name == "value":
                    attribute.t.CopyFrom(numpy_helper.from_array(array, attribute.t.name))


def values(model, names, data, batch):
    """The values of these names over all data, batch by batch."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    outputs = {o.name for o in changed.graph.output}
    for name in names:
        if name not in outputs:
            changed.graph.output.append(helper.make_empty_tensor_value_info(name))
    running = session(changed)
    feed = running.get_inputs()[0].name
    for first in range(0, len(data), batch):
        yield running.run(names, {feed: data[first:first + batch]})


def measure(x):
    """Mean and population variance of each channel, in double."""
    axes = (0,) + tuple(range(2, x.ndim))
    x = x.astype(np.float64)
    return x.mean(axis=axes), x.var(axis=axes)


def population_sequential(model, data, batch):
    """Node after node: each sees the nodes before it on their new statistics, as float32 stores them."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    results = []
    for node in nodes_of(model):
        x = np.concatenate([v[0] for v in values(model, [node.input[0]], data, batch)])
        mean, variance = measure(x)
        set_constant(model, node.input[3], mean.astype(np.float32))
        set_constant(model, node.input[4], variance.astype(np.float32))
        results.append((mean, variance))
    return results


def run(norma, *arguments, check=True):
    done = subprocess.run([str(norma), *map(str, arguments)], capture_output=True, text=True)
    if check and done.returncode != 0:
        raise AssertionError(f"norma {' '.join(map(str, arguments))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def reestimate(norma, model, data, output, *options):
    """Runs norma bn reestimate; returns [(mean, variance)] in double, from its report."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        run(norma, "bn", "reestimate", model, "--data", data, "-o", output, "--report", report, "--quiet", *options)
        nodes = json.loads(report.read_text())["nodes"]
    return [(np.array(n["mean"]), np.array(n["variance"])) for n in nodes]


def relative(found, expected):
    """The largest difference of means in units of deviations (or of means), and the largest relative one of variances."""
    worst_mean = worst_variance = 0.0
    for (mean, variance), (wanted_mean, wanted_variance) in zip(found, expected, strict=True):
        size = np.maximum(np.abs(wanted_mean), np.sqrt(wanted_variance))
        size = np.where(size == 0, 1, size)
        worst_mean = max(worst_mean, float(np.max(np.abs(mean - wanted_mean) / size)))
        below = np.where(wanted_variance == 0, 1, wanted_variance)
        worst_variance = max(worst_variance, float(np.max(np.abs(variance - wanted_variance) / below)))
    return worst_mean, worst_variance


def differences(before, after):
    """Paths of all fields in which two models differ, by the messages' own fields."""
    found = []

    def walk(a, b, path):
        fields = {f.name: f for f, _ in [*a.ListFields(), *b.ListFields()]}
        for name in fields:
            x, y = getattr(a, name), getattr(b, name)
            here = f"{path}.{name}"
            if isinstance(x, (str, bytes, int, float)):
                if x != y or a.HasField(name) != b.HasField(name):
                    found.append(here)
            elif hasattr(x, "ListFields"):
                walk(x, y, here)
            elif len(x) != len(y):
                found.append(f"{here}: {len(x)} against {len(y)} entries")
            else:
                for i, (one, other) in enumerate(zip(x, y)):
                    if hasattr(one, "ListFields"):
                        outputs = getattr(one, "output", ())
                        label = outputs[0] if len(outputs) else getattr(one, "name", "") or i
                        walk(one, other, f"{here}[{label}]")
                    elif one != other:
                        found.append(f"{here}[{i}]")

    walk(before, after, "model")
    return found
