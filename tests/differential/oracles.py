"""Who says what a case's outputs are: the case itself, onnxruntime, onnx.reference."""

import warnings

import numpy as np
import onnx
import onnx.reference
import onnxruntime

from tests.differential.case import type_of


def by_onnxruntime(case, model):
    """ml_dtypes' types go through OrtValue, which onnxruntime cannot make of NumPy arrays."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    feeds = {f"x{i}": ort_value(x) for i, x in case.run_inputs()}
    run = onnxruntime.RunOptions()
    run.log_severity_level = 4
    if all(isinstance(x, onnxruntime.OrtValue) for x in feeds.values()) and all(
            output.type.HasField("tensor_type") for output in model.graph.output):
        results = session.run_with_ort_values(None, feeds, run)
    else:
        feeds = {name: x.numpy() if isinstance(x, onnxruntime.OrtValue) else x for name, x in feeds.items()}
        results = session.run(None, feeds, run)
    return [numpy_of(y) for y in results]


def ort_value(x):
    if isinstance(x, (list, dict)) or x.dtype == object:  # of which no OrtValue is made
        return x
    if x.dtype.type.__module__.startswith("ml_dtypes"):
        type_ = type_of(x).tensor_type.elem_type
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(contiguous(x), type_)
    return onnxruntime.OrtValue.ortvalue_from_numpy(contiguous(x))


def contiguous(x):
    return np.ascontiguousarray(x).reshape(x.shape)  # a scalar stays one


def numpy_of(y):
    if isinstance(y, list) and y and isinstance(y[0], dict):  # ZipMap
        return [{key: np.float32(value) for key, value in item.items()} for item in y]
    if not isinstance(y, onnxruntime.OrtValue):
        return y
    if y.is_tensor():
        element = y.element_type()
        if element in (onnx.TensorProto.BFLOAT16,) or element >= onnx.TensorProto.FLOAT8E4M3FN:
            raise NotImplementedError("onnxruntime does not hand out this type")
    return y.numpy()


def by_reference(case, model):
    session = onnx.reference.ReferenceEvaluator(model)
    results = session.run(None, {f"x{i}": x for i, x in case.run_inputs()})
    return [declared(y, output) for y, output in zip(results, model.graph.output)]


def declared(y, output):
    """The reference sometimes widens by NumPy's rules: back to the type that the model says."""
    type_ = output.type.tensor_type.elem_type
    if isinstance(y, list) or not type_ or type_ == onnx.TensorProto.STRING:
        return y
    return np.asarray(y).astype(onnx.helper.tensor_dtype_to_np_dtype(type_))


ORACLES = {"onnxruntime": by_onnxruntime, "reference": by_reference}


def expect(description, case, model, judge=None):
    """(outputs, None), or (None, why nobody can tell)."""
    if case.expected and not judge:
        return [np.asarray(y) if not isinstance(y, list) else y for y in case.expected(*case.inputs)], None
    judge = judge or case.judge
    asked, asked_model = case, model
    if case.alike:
        version, asked = case.alike
        asked_model = asked.model(description, version)
    reasons = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in [judge] if judge else ORACLES:
            try:
                outputs = ORACLES[name](asked, asked_model)
                if all(y is not None for y in outputs):
                    return [declared(y, output) for y, output in zip(outputs, model.graph.output)] if case.alike else outputs, None
                reasons.append(f"{name}: no output")
            except Exception as error:  # an oracle may refuse in any way
                reasons.append(f"{name}: {type(error).__name__} {str(error)[:300]!r}")
    return None, "; ".join(reasons)
