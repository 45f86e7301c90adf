from ..bindings import IOBinding  # noqa: F401
from ..sessions import InferenceSession, Session  # noqa: F401
from ..values import OrtValue  # noqa: F401
from .onnxruntime_pybind11_state import OrtDevice  # noqa: F401
