"""norma bn and norma optimize against NumPy, PyTorch, Keras's formula, onnx.checker and ONNX Runtime.

    NORMA=build/release/norma python tests/bn/compare_statistics.py [NAME...]

Real models are looked for in the folder NORMA_MODELS (default: ../shared/models), in the layout of ONNX's backend tests;
those that are not there are left out.
"""

import os
import pathlib
import sys
import tempfile
import warnings

SKIPPED = 77
try:
    import numpy as np
    import onnx
    import onnx.reference
    import onnxruntime
    import torch
    from onnx import TensorProto, helper, numpy_helper
    from torch import nn
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(SKIPPED)

import reference

sys.path.insert(0, str(reference.ROOT / "models"))
import train_digits  # noqa: E402

NORMA = pathlib.Path(os.environ.get("NORMA", reference.ROOT / "build/release/norma")).absolute()
MODELS = pathlib.Path(os.environ.get("NORMA_MODELS", reference.ROOT.parent / "shared" / "models"))
DIGITS = reference.ROOT / "models" / "digits_cnn_bn" / "model.onnx"
checks = 0


def check(condition, text):
    global checks
    checks += 1
    if not condition:
        raise AssertionError(text)


def close(found, expected, tolerance, text):
    worst_mean, worst_variance = reference.relative(found, expected)
    check(max(worst_mean, worst_variance) <= tolerance,
          f"{text}: means differ by {worst_mean:.3g} deviations, variances by {worst_variance:.3g}, "
          f"allowed {tolerance:g}")
    return f"{text}: {worst_mean:.2g}, {worst_variance:.2g}"


def inverted():
    """The training pictures of the digits with black and white exchanged."""
    return (1 - train_digits.load_split()[0]).astype(np.float32)


def ort_run(path, feed):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, {i.name: feed[i.name] for i in session.get_inputs()})


# --- population statistics ---------------------------------------------------------------------------


def statistics_names(model):
    return {name for node in reference.nodes_of(model) for name in node.input[3:5]}


def check_only_statistics(before, after, text):
    """Field by field: only contents of the tensors that hold means and variances have changed."""
    names = statistics_names(before)
    for path in reference.differences(before, after):
        name = path.split("[")[1].split("]")[0]
        check(name in names and path.rstrip("]0123456789[").endswith(("raw_data", "float_data")), f"{text}: {path} has changed")


def population(folder, path, data, batch, tolerance):
    """Against a reference that runs ONNX Runtime and measures with NumPy, node after node."""
    np.save(folder / "data.npy", data)
    found = reference.reestimate(NORMA, path, folder / "data.npy", folder / "out.onnx")
    before, after = onnx.load(path), onnx.load(folder / "out.onnx")
    expected = reference.population_sequential(before, data, batch)
    line = close(found, expected, tolerance, path.parent.name)
    check_only_statistics(before, after, path.parent.name)
    constants = reference.constants_of(after)
    for node, (mean, variance) in zip(reference.nodes_of(after), found, strict=True):
        check(np.array_equal(constants[node.input[3]], mean.astype(np.float32)), f"{node.name}: mean as stored")
        check(np.array_equal(constants[node.input[4]], variance.astype(np.float32)), f"{node.name}: variance as stored")
    # the reference written into a model of its own, for norma compare
    model = onnx.load(path)
    for node, (mean, variance) in zip(reference.nodes_of(model), expected, strict=True):
        reference.set_constant(model, node.input[3], mean.astype(np.float32))
        reference.set_constant(model, node.input[4], variance.astype(np.float32))
    onnx.save(model, folder / "reference.onnx")
    feed = reference.session(before).get_inputs()[0].name
    np.save(folder / "one.npy", data[:batch])
    reference.run(NORMA, "compare", folder / "out.onnx", folder / "reference.onnx", "-i", f"{feed}={folder / 'one.npy'}",
                  "--levels", "0,0", "--max", "1e-4")
    return line


def test_population_digits(folder):
    return population(folder, DIGITS, inverted(), 64, 1e-6)


def test_population_ultraface(folder):
    path = MODELS / "ultraface_slim" / "model.onnx"
    if not path.exists():
        return None
    data = np.random.default_rng(3).standard_normal((4, 3, 240, 320), dtype=np.float32)
    # 25 nodes behind each other in float32: two runtimes drift apart where a channel's variance is nearly nothing
    return population(folder, path, data, 1, 1e-5)


def test_population_ppocr(folder):
    path = MODELS / "ppocr_cls_v2" / "model.onnx"
    if not path.exists():
        return None
    data = np.random.default_rng(4).standard_normal((12, 3, 32, 960), dtype=np.float32)
    return population(folder, path, data, 6, 1e-6)


def own_values(folder, path, data):
    """NumPy on the values that Norma itself computes: no other runtime in between."""
    np.save(folder / "data.npy", data)
    found = reference.reestimate(NORMA, path, folder / "data.npy", folder / "out.onnx")
    expected = []
    for node in reference.nodes_of(onnx.load(path)):
        reference.run(NORMA, "run", folder / "out.onnx", "-i", folder / "data.npy", "-O", "0", "--exact", "--dump",
                      node.input[0], "-o", folder / "dump")
        dumped = list((folder / "dump").glob("value_*.npy"))
        check(len(dumped) == 1, f"one value, found {dumped}")
        expected.append(reference.measure(np.load(dumped[0])))
        dumped[0].unlink()
    return close(found, expected, 1e-12, path.parent.name)


def test_moments_of_own_values(folder):
    lines = [own_values(folder, DIGITS, inverted()[:200])]
    rng = np.random.default_rng(7)
    for name, shape in (("ultraface_slim", (1, 3, 240, 320)), ("ppocr_cls_v2", (6, 3, 32, 960))):
        if (MODELS / name / "model.onnx").exists():
            lines.append(own_values(folder, MODELS / name / "model.onnx", rng.standard_normal(shape, dtype=np.float32)))
    return "; ".join(lines)


def test_simultaneous(folder):
    """Every node normalises by its batch while all are measured: PyTorch in training mode says what they see."""
    data = inverted()[:640]
    np.save(folder / "data.npy", data)
    found = reference.reestimate(NORMA, DIGITS, folder / "data.npy", folder / "out.onnx", "--order", "simultaneous",
                                 "--batch", "64")
    network = digits_network().train()
    seen = []
    hooks = [module.register_forward_hook(lambda m, x, y: seen.append(x[0].detach().numpy()))
             for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for first in range(0, len(data), 64):
            network(torch.from_numpy(data[first:first + 64]))
    for hook in hooks:
        hook.remove()
    expected = [reference.measure(np.concatenate(seen[i::3])) for i in range(3)]
    return close(found, expected, 1e-6, "simultaneous")


# --- moving averages ----------------------------------------------------------------------------------


def digits_network():
    """PyTorch's CNN with the weights of the exported model."""
    network = train_digits.make_cnn()
    weights = {t.name: numpy_helper.to_array(t) for t in onnx.load(DIGITS).graph.initializer}
    state = network.state_dict()
    for name in state:
        if name in weights:
            state[name] = torch.from_numpy(weights[name].copy())
    network.load_state_dict(state)
    return network


def running(network):
    return [(m.running_mean.numpy().astype(np.float64), m.running_var.numpy().astype(np.float64))
            for m in network.modules() if isinstance(m, nn.BatchNorm2d)]


def test_ema_pytorch(folder):
    """PyTorch's momentum is 1 - ONNX's, and it stores the sample variance."""
    data = inverted()[:320]
    np.save(folder / "data.npy", data)
    lines = []
    for momentum, epochs in ((0.1, 1), (0.03, 2)):
        network = digits_network().train()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = momentum
        with torch.no_grad():
            for _ in range(epochs):
                for first in range(0, len(data), 32):
                    network(torch.from_numpy(data[first:first + 32]))
        options = ("--method", "ema", "--batch", 32, "--momentum", 1 - momentum, "--epochs", epochs)
        found = reference.reestimate(NORMA, DIGITS, folder / "data.npy", folder / "a.onnx", *options, "--variance",
                                     "sample")
        lines.append(close(found, running(network), 2e-6, f"momentum {momentum}, {epochs} epochs"))
        # the same from population variances, converted afterwards: only what the batches brought grows by N / (N - 1)
        plain = reference.reestimate(NORMA, DIGITS, folder / "data.npy", folder / "b.onnx", *options)
        steps = epochs * 10
        converted = []
        for (mean, variance), (_, old), count in zip(plain, running(digits_network()), (2048, 2048, 512), strict=True):
            begun = (1 - momentum) ** steps * old
            converted.append((mean, begun + (variance - begun) * count / (count - 1)))
        close(converted, running(network), 2e-6, "converted")
    return "; ".join(lines)


def test_ema_keras(folder):
    """moving = moving * 0.99 + batch * 0.01 with the population variance, written out in NumPy."""
    data = inverted()[:320]
    np.save(folder / "data.npy", data)
    network = digits_network().train()
    seen = []
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda m, x, y: seen.append(reference.measure(x[0].detach().numpy())))
    state = running(digits_network())
    with torch.no_grad():
        for first in range(0, len(data), 32):
            network(torch.from_numpy(data[first:first + 32]))
    for step in range(10):
        for i in range(3):
            mean, variance = seen[3 * step + i]
            state[i] = (state[i][0] * 0.99 + mean * 0.01, state[i][1] * 0.99 + variance * 0.01)
    found = reference.reestimate(NORMA, DIGITS, folder / "data.npy", folder / "out.onnx", "--method", "ema", "--batch", 32,
                                 "--momentum", "0.99")
    return close(found, state, 1e-6, "Keras's formula")


# --- models in training mode ----------------------------------------------------------------------------


def export_training(network, path, opset):
    mode = torch.onnx.TrainingMode
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network.train(), (torch.rand(4, 1, 8, 8),), path, dynamo=False, opset_version=opset,
                          training=mode.TRAINING, do_constant_folding=False, input_names=["picture"],
                          output_names=["logits"], dynamic_axes={"picture": {0: "N"}, "logits": {0: "N"}})


def with_dropout():
    network = digits_network()
    modules = list(network.named_children())
    modules.insert(-1, ("dropout", nn.Dropout(0.5)))
    return nn.Sequential(nn.Sequential(), *[m for _, m in modules])


def test_freeze(folder):
    """A training-mode export, frozen, gives the framework's eval output."""
    data = train_digits.load_split()[1][:50]
    worst = 0.0
    for opset in (9, 13, 14, 17):
        network = with_dropout() if opset >= 12 else digits_network()
        export_training(network, folder / "training.onnx", opset)
        with torch.no_grad():
            expected = network.eval()(torch.from_numpy(data)).numpy()
        before = ort_run(folder / "training.onnx", {"picture": data})[0] if opset >= 14 else None
        reference.run(NORMA, "bn", "freeze", folder / "training.onnx", "-o", folder / "frozen.onnx")
        onnx.checker.check_model(folder / "frozen.onnx", full_check=True)
        frozen = onnx.load(folder / "frozen.onnx")
        for node in reference.nodes_of(frozen):
            check(len(node.output) == 1, f"opset {opset}: {len(node.output)} outputs")
            check(not any(a.name == "training_mode" and a.i for a in node.attribute), f"opset {opset}: still trains")
        found = ort_run(folder / "frozen.onnx", {"picture": data})[0]
        difference = np.abs(found - expected).max() / np.abs(expected).max()
        worst = max(worst, float(difference))
        check(difference < 1e-5, f"opset {opset}: differs from PyTorch's eval output by {difference:.3g}")
        check(before is None or np.abs(before - expected).max() > 1e-3, f"opset {opset}: the export was not in training mode")
        listing = reference.run(NORMA, "bn", "list", folder / "training.onnx").stdout
        check(listing.count("training") >= 3, f"opset {opset}: list does not say training\n{listing}")
    return f"opsets 9, 13, 14, 17: within {worst:.2g} of PyTorch's eval output"


def test_training_output(folder):
    """In training mode each channel comes out with mean bias and deviation |scale|."""
    network = digits_network()
    export_training(network, folder / "training.onnx", 17)
    data = inverted()[:256]
    np.save(folder / "data.npy", data)
    model = onnx.load(folder / "training.onnx")
    constants = reference.constants_of(model)
    worst = 0.0
    for node in reference.nodes_of(model):
        reference.run(NORMA, "run", folder / "training.onnx", "-i", folder / "data.npy", "-O", "0", "--dump",
                      node.output[0], "-o", folder / "dump")
        dumped = list((folder / "dump").glob("value_*.npy"))
        mean, variance = reference.measure(np.load(dumped[0]))
        dumped[0].unlink()
        scale, bias = constants[node.input[1]].astype(np.float64), constants[node.input[2]].astype(np.float64)
        worst = max(worst, float(np.max(np.abs(mean - bias))), float(np.max(np.abs(np.sqrt(variance) / np.abs(scale) - 1))))
        # the deviation is |scale| * sqrt(v / (v + epsilon)), a little less than |scale|
        check(np.allclose(mean, bias, atol=2e-6), f"{node.name}: means {mean - bias}")
        check(np.allclose(np.sqrt(variance), np.abs(scale), rtol=2e-3), f"{node.name}: deviations")
    return f"within {worst:.2g} of bias and |scale|"


# --- models made for the purpose --------------------------------------------------------------------------


def made_model(opset=17, ir_version=8, shared=True, statistics=TensorProto.FLOAT, constant_nodes=False):
    """x - BN - BN - y, 4 channels. shared: one tensor of zeros is bias and mean, one of ones is scale and variance."""
    zeros, ones = np.zeros(4, np.float32), np.ones(4, np.float32)
    kind = helper.tensor_dtype_to_np_dtype(statistics)
    tensors = {"zeros": zeros, "ones": ones}
    names = [["zeros", "ones"]] * 2
    if not shared:
        tensors |= {f"{n}{i}": (zeros if n == "m" else ones).astype(kind) for n in "mv" for i in (1, 2)}
        names = [["m1", "v1"], ["m2", "v2"]]
    nodes = []
    held = [numpy_helper.from_array(a, n) for n, a in tensors.items()]
    if constant_nodes:
        nodes = [helper.make_node("Constant", [], [t.name], value=t) for t in held]
        held = []
    attributes = {"is_test": 1} if opset < 7 else {}
    nodes.append(helper.make_node("BatchNormalization", ["x", "ones", "zeros", *names[0]], ["h"], name="first", **attributes))
    nodes.append(helper.make_node("BatchNormalization", ["h", "ones", "zeros", *names[1]], ["y"], name="second", **attributes))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 5])]
    if ir_version < 4:
        inputs += [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in held]
    graph = helper.make_graph(nodes, "made", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4, 5])],
                              held, doc_string="kept")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    model.metadata_props.add(key="kept", value="too")
    return model


def test_shared_statistics(folder):
    """Nodes whose statistics are read elsewhere get their own, and what shared them is as it was."""
    data = np.random.default_rng(5).normal(3, 2, (64, 4, 5)).astype(np.float32)
    np.save(folder / "data.npy", data)
    cases = [dict(), dict(ir_version=3, opset=8), dict(constant_nodes=True), dict(shared=False),
             dict(shared=False, constant_nodes=True), dict(shared=False, statistics=TensorProto.DOUBLE),
             dict(opset=9), dict(opset=7), dict(opset=14), dict(opset=15)]
    for case in cases:
        model = made_model(**case)
        onnx.checker.check_model(model)
        onnx.save(model, folder / "made.onnx")
        reference.reestimate(NORMA, folder / "made.onnx", folder / "data.npy", folder / "out.onnx")
        onnx.checker.check_model(folder / "out.onnx", full_check=True)
        after = onnx.load(folder / "out.onnx")
        constants, old = reference.constants_of(after), reference.constants_of(model)
        for name in ("zeros", "ones"):
            check(np.array_equal(constants[name], old[name]), f"{case}: {name} has changed")
        check(after.graph.doc_string == "kept" and after.metadata_props[0].value == "too", f"{case}: metadata")
        y = ort_run(folder / "out.onnx", {"x": data})[0] if case.get("statistics") != TensorProto.DOUBLE else \
            onnx.reference.ReferenceEvaluator(after).run(None, {"x": data})[0]
        mean, variance = reference.measure(y)
        check(np.allclose(mean, 0, atol=1e-5) and np.allclose(variance, 1, atol=1e-4), f"{case}: {mean} {variance}")
        changed = reference.differences(model, after)
        allowed = ("m1", "m2", "v1", "v2")
        for path in changed if not case.get("shared", True) else []:
            check(any(f"[{name}]" in path for name in allowed), f"{case}: {path}")
    return f"{len(cases)} models"


def test_external_data(folder):
    """Statistics in an external file are written into the model; the other tensors go on referring to the file."""
    model = onnx.load(DIGITS)
    onnx.save(model, folder / "external.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    stored = (folder / "weights.bin").read_bytes()
    data = inverted()[:100]
    np.save(folder / "data.npy", data)
    (folder / "elsewhere").mkdir()
    expected = reference.reestimate(NORMA, DIGITS, folder / "data.npy", folder / "plain.onnx")
    for output in (folder / "out.onnx", folder / "elsewhere" / "out.onnx"):
        found = reference.reestimate(NORMA, folder / "external.onnx", folder / "data.npy", output)
        close(found, expected, 1e-12, "external data")
        check(np.array_equal(ort_run(output, {"picture": data})[0], ort_run(folder / "plain.onnx", {"picture": data})[0]),
              "outputs")
    check((folder / "weights.bin").read_bytes() == stored, "the external file has changed")
    check((folder / "elsewhere" / "weights.bin").read_bytes() == stored, "the external file was not copied")
    return "beside the file, and in another folder"


def test_float16_statistics(folder):
    """A variance that float16 cannot hold is refused; one that it can is rounded once."""
    model = made_model(shared=False)
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    onnx.save(model, folder / "half.onnx")
    rng = np.random.default_rng(6)
    np.save(folder / "data.npy", rng.normal(0, 3, (50, 4, 5)).astype(np.float16))
    reference.reestimate(NORMA, folder / "half.onnx", folder / "data.npy", folder / "out.onnx")
    mean, variance = reference.measure(np.load(folder / "data.npy"))
    constants = reference.constants_of(onnx.load(folder / "out.onnx"))
    check(np.array_equal(constants["m1"], mean.astype(np.float16)), "means")
    check(np.array_equal(constants["v1"], variance.astype(np.float16)), "variances")
    np.save(folder / "large.npy", rng.normal(0, 3000, (50, 4, 5)).astype(np.float16))
    done = reference.run(NORMA, "bn", "reestimate", folder / "half.onnx", "--data", folder / "large.npy", "-o",
                         folder / "none.onnx", check=False)
    check(done.returncode == 2 and "does not fit float16" in done.stderr, f"{done.returncode}: {done.stderr}")
    check(not (folder / "none.onnx").exists(), "a file was written")
    return "rounded once, refused where too large"


def test_several_inputs(folder):
    """Two inputs, from an .npz (stored and compressed) and from named .npy files."""
    data = np.random.default_rng(8).normal(1, 2, (30, 4, 5)).astype(np.float32)
    model = made_model(shared=False)
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 4, 5]))
    model.graph.node[0].input[0] = "sum"
    model.graph.node.insert(0, helper.make_node("Add", ["x", "z"], ["sum"]))
    onnx.save(model, folder / "two.onnx")
    np.savez(folder / "stored.npz", x=data, z=2 * data)
    np.savez_compressed(folder / "packed.npz", z=2 * data, x=data)
    np.save(folder / "x.npy", data)
    np.save(folder / "z.npy", np.asfortranarray(2 * data).astype(">f4"))
    expected = [reference.measure(data + 2 * data)]
    for given in ([folder / "stored.npz"], [folder / "packed.npz"], [f"x={folder / 'x.npy'}", f"z={folder / 'z.npy'}"]):
        found = reference.reestimate(NORMA, folder / "two.onnx", given[0], folder / "out.onnx", *given[1:])
        close(found[:1], expected, 1e-7, str(given))
    done = reference.run(NORMA, "bn", "reestimate", folder / "two.onnx", "--data", f"x={folder / 'x.npy'}", "-o",
                         folder / "none.onnx", check=False)
    check(done.returncode == 2 and "'z'" in done.stderr, done.stderr)
    return "stored, compressed, by name"


def test_pictures(folder):
    """Pictures through --scale, --mean and --std, channels first and last, against NumPy."""
    rng = np.random.default_rng(9)
    (folder / "pictures").mkdir()
    pixels = rng.integers(0, 256, (7, 6, 5, 3), dtype=np.uint8)
    for i, picture in enumerate(pixels):
        train_digits.Image.fromarray(picture).save(folder / "pictures" / f"{i}.png")
    mean, std = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.3, 0.1])
    prepared = ((pixels / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    expected = [reference.measure(prepared)]
    for last in (False, True):
        nodes = [helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2])] if last else []
        nodes.append(helper.make_node("BatchNormalization", ["t" if last else "x", "s", "b", "m", "v"], ["y"], name="n"))
        held = [numpy_helper.from_array(np.full(3, f, np.float32), n) for n, f in zip("sbmv", (1, 0.5, 0, 1))]
        shape = ["N", 6, 5, 3] if last else ["N", 3, 6, 5]
        graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                                  [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3, 6, 5])], held)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "p.onnx")
        options = ("--mean", "0.4,0.5,0.6", "--std", "0.2,0.3,0.1")
        found = reference.reestimate(NORMA, folder / "p.onnx", folder / "pictures", folder / "out.onnx", *options)
        close(found, expected, 1e-6, f"pictures, channels {'last' if last else 'first'}")
        np.save(folder / "array.npy", pixels if last else pixels.transpose(0, 3, 1, 2))
        found = reference.reestimate(NORMA, folder / "p.onnx", folder / "array.npy", folder / "out.onnx", "--scale",
                                     "1/255", *options)
        close(found, expected, 1e-6, f"array of uint8, channels {'last' if last else 'first'}")
    return "channels first and last, files and arrays"


def test_sharding(folder):
    """In double, from the report: batches, threads, halves by hand and reversed order, all within 1e-12."""
    data = inverted()[:500]
    np.save(folder / "data.npy", data)
    np.save(folder / "reversed.npy", data[::-1].copy())
    np.save(folder / "a.npy", data[:173])
    np.save(folder / "b.npy", data[173:])
    expected = reference.reestimate(NORMA, DIGITS, folder / "data.npy", folder / "out.onnx")
    for given, *options in (("data.npy", "--batch", 1, "-t", 2), ("data.npy", "--batch", 77), ("data.npy", "-t", 1),
                            ("reversed.npy", "--batch", 13)):
        found = reference.reestimate(NORMA, DIGITS, folder / given, folder / "out.onnx", *options)
        close(found, expected, 1e-12, f"{given} {options}")
    before = []
    for step in range(3):
        files = []
        for part in "ab":
            files += ["--from", folder / f"{part}{step}.moments"]
            reference.run(NORMA, "bn", "reestimate", DIGITS, "--data", folder / f"{part}.npy", "--moments",
                          folder / f"{part}{step}.moments", *before)
        before = files
    reference.run(NORMA, "bn", "reestimate", DIGITS, *before, "-o", folder / "out.onnx", "--report", folder / "r.json")
    nodes = reference.json.loads((folder / "r.json").read_text())["nodes"]
    return close([(np.array(n["mean"]), np.array(n["variance"])) for n in nodes], expected, 1e-12, "two shares by hand")


# --- written models ----------------------------------------------------------------------------------------


def test_optimize_and_fold(folder):
    """Valid ONNX, and the same outputs in ONNX Runtime."""
    paths = sorted(reference.ROOT.glob("models/*/model.onnx"))
    for name in ("ultraface_slim", "ppocr_cls_v2", "ppocr_det_v1", "jax_functions", "facemesh", "squeezenet_fp16"):
        if (MODELS / name / "model.onnx").exists():
            paths.append(MODELS / name / "model.onnx")
    lines = []
    for path in paths:
        given = sorted((path.parent / "test_data_set_0").glob("input_*.pb"), key=lambda p: int(p.stem.split("_")[1]))
        names = [i.name for i in reference.session(onnx.load(path)).get_inputs()]
        feed = {n: numpy_helper.to_array(onnx.TensorProto.FromString(p.read_bytes()))
                for n, p in zip(names, given, strict=True)}
        expected = ort_run(path, feed)
        for command in (["optimize"], ["bn", "fold"]):
            output = folder / "out.onnx"
            arguments = [item for p in given for item in ("-i", p)]
            done = reference.run(NORMA, *command, path, "-o", output, "--verify", *arguments, check=False)
            if command[0] == "bn" and "has no BatchNormalization" in done.stderr:
                continue
            check(done.returncode == 0, f"{path.parent.name}: {done.stderr}")
            onnx.checker.check_model(output)
            worst = 0.0
            for one, other in zip(expected, ort_run(output, feed), strict=True):
                size = float(np.abs(one.astype(np.float64)).max()) or 1.0
                worst = max(worst, float(np.abs(one.astype(np.float64) - other.astype(np.float64)).max()) / size)
            check(worst < 2e-4, f"{path.parent.name}: {' '.join(command)}: outputs differ by {worst:.3g}")
            lines.append(f"{path.parent.name} {worst:.1g}")
    return ", ".join(lines)


def main():
    if not NORMA.exists():
        print(f"skipped: there is no {NORMA}; set NORMA")
        return SKIPPED
    torch.set_num_threads(1)
    failures = 0
    for name, test in list(globals().items()):
        if not name.startswith("test_") or (len(sys.argv) > 1 and name not in sys.argv[1:]):
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                line = test(pathlib.Path(folder))
                print(f"ok: {name}: {line}" if line is not None else f"left out: {name}", flush=True)
            except AssertionError as error:
                failures += 1
                print(f"FAILED: {name}: {error}", flush=True)
    print(f"{checks} checks, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
