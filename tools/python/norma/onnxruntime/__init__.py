"""The part of onnxruntime's interface that applications use, over Norma.

    from norma import onnxruntime

    session = onnxruntime.InferenceSession("model.onnx")
    outputs = session.run(None, {"picture": picture})

`python -m norma.as_onnxruntime program.py` runs a program that imports onnxruntime with this in its place. Computes on the
CPU: other providers are left out with a warning.
"""

import warnings

from .bindings import IOBinding
from .capi import _pybind_state, onnxruntime_inference_collection, onnxruntime_pybind11_state
from .capi.onnxruntime_pybind11_state import (ExecutionMode, ExecutionOrder, GraphOptimizationLevel, ModelMetadata, NodeArg,
                                              OrtAllocatorType, OrtDevice, OrtMemoryInfo, OrtMemType, get_all_providers,
                                              get_available_providers, get_build_info, get_device)
from .options import RunOptions, SessionOptions
from .sessions import InferenceSession
from .values import OrtValue

__version__ = "1.32.0"  # of the interface that this follows
__author__ = "Norma"

__all__ = [
    "ExecutionMode", "ExecutionOrder", "GraphOptimizationLevel", "IOBinding", "InferenceSession", "ModelMetadata", "NodeArg",
    "OrtAllocatorType", "OrtDevice", "OrtMemType", "OrtMemoryInfo", "OrtValue", "RunOptions", "SessionOptions",
    "disable_telemetry_events", "enable_telemetry_events", "get_all_providers", "get_available_providers",
    "get_build_info", "get_device", "get_version_string", "preload_dlls", "set_default_logger_severity",
    "set_default_logger_verbosity", "set_global_thread_pool_sizes", "set_seed",
]


def get_version_string():
    return __version__


def set_default_logger_severity(severity):
    """Nothing is logged in any case."""
    if not 0 <= severity <= 4:
        raise RuntimeError("severities are 0 to 4")


def set_default_logger_verbosity(verbosity):
    """Nothing is logged in any case."""


def set_global_thread_pool_sizes(intra_op_num_threads, inter_op_num_threads):
    """Sessions without a number of threads share those of norma.default_runtime()."""


def set_seed(seed):
    warnings.warn("set_seed changes nothing: random operators of Norma follow the seeds in the model", stacklevel=2)


def enable_telemetry_events():
    """There are none."""


def disable_telemetry_events():
    """There are none."""


def preload_dlls(cuda=True, cudnn=True, msvc=True, directory=None):
    """There are none to load."""
