from ..options import RunOptions, SessionOptions  # noqa: F401
from .onnxruntime_pybind11_state import *  # noqa: F401, F403
