"""Runs a Python program that imports onnxruntime, with norma.onnxruntime in its place.

    python -m norma.as_onnxruntime program.py [ARGUMENT...]
    python -m norma.as_onnxruntime -m MODULE [ARGUMENT...]

In a program: `import norma.as_onnxruntime; norma.as_onnxruntime.install()` before anything imports onnxruntime. What
onnxruntime has and this has not raises ImportError or AttributeError as usual.
"""

import importlib
import os
import runpy
import sys

_MODULES = ("", ".capi", ".capi._pybind_state", ".capi.onnxruntime_pybind11_state", ".capi.onnxruntime_inference_collection")


def install():
    """Puts norma.onnxruntime into sys.modules as onnxruntime."""
    if "onnxruntime" in sys.modules and sys.modules["onnxruntime"].__name__ != "norma.onnxruntime":
        raise ImportError("onnxruntime is imported already")
    for name in _MODULES:
        sys.modules["onnxruntime" + name] = importlib.import_module("norma.onnxruntime" + name)


def main():
    arguments = sys.argv[1:]
    is_module = arguments[:1] == ["-m"]
    if is_module:
        arguments = arguments[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__.strip(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    install()
    sys.argv = arguments
    if is_module:
        sys.path[0] = os.getcwd()
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(os.path.abspath(arguments[0]))
        runpy.run_path(arguments[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
