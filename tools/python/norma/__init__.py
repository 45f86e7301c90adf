"""Norma, an inference engine for ONNX models.

    import norma

    session = norma.load("model.onnx").session()
    probabilities, = session.run({"picture": picture})

`load` gives an immutable `Model`, which any number of threads may share; each thread runs a `Session` of its own.
Arrays are NumPy's. Errors are exceptions derived from `norma.Error`, which say which node and value are concerned.

Beside it: `norma.onnxruntime`, the part of onnxruntime's interface that applications use, and `norma.backend`, the
interface of onnx.backend.base.
"""

from . import _norma
from .arrays import ELEMENT_TYPES, as_array, dtype_of
from .errors import (ArgumentError, BudgetError, CancelledError, DeadlineError, Error, FileError, FormatError, InputError,
                     InternalError, InvalidModelError, OutOfMemoryError, RunError, ThreadError, UnsupportedError)
from .models import Model, Runtime, Session, TypeInfo, ValueInfo, default_runtime, load

__version__ = _norma.version()

__all__ = [
    "ArgumentError", "BudgetError", "CancelledError", "DeadlineError", "ELEMENT_TYPES", "Error", "FileError",
    "FormatError", "InputError", "InternalError", "InvalidModelError", "Model", "OutOfMemoryError", "RunError", "Runtime",
    "Session", "ThreadError", "TypeInfo", "UnsupportedError", "ValueInfo", "as_array", "build_features",
    "default_runtime", "dtype_of", "load",
]


def build_features() -> str:
    """What the library was built with: kernel tables and their overrides, optional libraries."""
    return _norma.features()
