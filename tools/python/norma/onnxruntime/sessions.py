"""InferenceSession, over norma.Model and norma.Session."""

import json
import os
import threading
import time
import warnings
from typing import Dict, Tuple

import numpy as np

from .. import errors, models
from .bindings import IOBinding
from .capi.onnxruntime_pybind11_state import (Fail, GraphOptimizationLevel, InvalidArgument, ModelMetadata, NodeArg,
                                              NoSuchFile, get_available_providers, translated)
from .options import SessionOptions
from .values import OrtValue

_LEVELS = {GraphOptimizationLevel.ORT_DISABLE_ALL: "none", GraphOptimizationLevel.ORT_ENABLE_BASIC: "basic"}

_runtimes: Dict[Tuple[int, int], models.Runtime] = {}
_runtimes_lock = threading.Lock()


def _runtime(threads):
    """Sessions with the same number of threads share them; those of a process that was forked have their own."""
    if threads <= 0:
        return models.default_runtime()
    with _runtimes_lock:
        key = (os.getpid(), threads)
        if key not in _runtimes:
            _runtimes[key] = models.Runtime(threads)
        return _runtimes[key]


def _type_text(info):
    if info.kind == "tensor":
        return f"tensor({info.element_type})"
    item = _type_text(info.item) if info.item else "?"
    if info.kind == "map":
        return f"map({info.element_type},{item})"
    return f"{'seq' if info.kind == 'sequence' else 'optional'}({item})"


def _node_args(infos):
    found = []
    for info in infos:
        shape = info.type.item.shape if info.kind == "optional" and info.type.item else info.shape
        found.append(NodeArg(info.name, _type_text(info.type), list(shape or ())))
    return found


def _note_providers(providers):
    for provider in providers or ():
        name = provider if isinstance(provider, str) else provider[0]
        if name not in get_available_providers():
            warnings.warn(f"Specified provider '{name}' is not in available provider names. "
                          f"Available providers: '{', '.join(get_available_providers())}'", stacklevel=4)


class InferenceSession:
    """A model that is run. Any number of threads may run it at once: each run takes an idle norma.Session, or makes one."""

    def __init__(self, path_or_bytes, sess_options=None, providers=None, provider_options=None, **kwargs):
        self._options = sess_options or SessionOptions()
        _note_providers(providers)
        if isinstance(path_or_bytes, (str, os.PathLike)):
            self._model_path = os.fspath(path_or_bytes)
            if not os.path.exists(self._model_path):
                raise NoSuchFile(f"[ONNXRuntimeError] : 3 : NO_SUCHFILE : Load model from {self._model_path} failed: "
                                 "File doesn't exist")
        elif isinstance(path_or_bytes, bytes):
            self._model_path = None
        else:
            raise TypeError(f"Unable to load from type '{type(path_or_bytes)}'")
        try:
            self._model = self._load(path_or_bytes)
            self._idle = [self._make_session()]
        except errors.Error as error:
            raise translated(error) from error
        self._inputs = _node_args(self._model.inputs)
        self._outputs = _node_args(self._model.outputs)
        self._started_ns = time.perf_counter_ns()

    def _load(self, source):
        options = self._options
        given = {"runtime": _runtime(options.intra_op_num_threads),
                 "optimization": _LEVELS.get(options.graph_optimization_level, "full")}
        denormals = options._entries.get("session.set_denormal_as_zero")
        if denormals is not None:
            given["denormals"] = "flush" if denormals == "1" else "keep"
        model = models.load(source, **given)
        fixed = {}
        for info in model.inputs:
            if info.shape and any(dim in options._dimensions for dim in info.shape if isinstance(dim, str)):
                fixed[info.name] = [options._dimensions.get(dim, -1) if isinstance(dim, str) else dim for dim in info.shape]
        return models.load(source, input_shapes=fixed, **given) if fixed else model

    def _make_session(self):
        return self._model.session(profile=self._options.enable_profiling)

    # -------------------------------------------------------------------------------------------------------- questions

    def get_inputs(self):
        return self._inputs

    def get_outputs(self):
        return self._outputs

    def get_overridable_initializers(self):
        return []

    def get_modelmeta(self):
        return ModelMetadata(self._model.info)

    def get_session_options(self):
        return self._options

    def get_providers(self):
        return get_available_providers()

    def get_provider_options(self):
        return {name: {} for name in get_available_providers()}

    def set_providers(self, providers=None, provider_options=None):
        _note_providers(providers)

    def disable_fallback(self):
        pass

    def enable_fallback(self):
        pass

    # ------------------------------------------------------------------------------------------------------------- runs

    def run(self, output_names, input_feed, run_options=None):
        try:
            session = self._idle.pop()
        except IndexError:
            session = self._make_session()
        try:
            if run_options is None:
                return session.run(input_feed, output_names or None)
            run_options.begin(session)
            try:
                return session.run(input_feed, output_names or None)
            finally:
                run_options.end(session)
        except errors.Error as error:
            raise self._explained(error, input_feed) from error
        finally:
            if run_options is None or not run_options.terminate:  # or a later run would be ended by what came too late
                self._idle.append(session)

    def _explained(self, error, input_feed):
        """The exception of a run that failed, in the words that applications may look for."""
        missing = [x.name for x in self._inputs if x.name not in input_feed and not x.type.startswith("optional")]
        if isinstance(error, (errors.InputError, errors.ArgumentError)) and missing:
            return ValueError(f"Required inputs ({missing}) are missing from input feed ({list(input_feed)}).")
        wanted = next((x for x in self._inputs if x.name == error.value), None)
        given = input_feed.get(wanted.name) if wanted else None
        if isinstance(error, errors.InputError) and "element type" in str(error) and isinstance(given, np.ndarray):
            actual = OrtValue(given).data_type() if given.dtype.kind != "M" else str(given.dtype)
            return InvalidArgument("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Unexpected input data type. Actual: "
                                   f"({actual}) , expected: ({wanted.type})")
        if isinstance(error, errors.CancelledError):
            return Fail("[ONNXRuntimeError] : 1 : FAIL : Exiting due to terminate flag being set to true.")
        return translated(error)

    def run_async(self, output_names, input_feed, callback, user_data, run_options=None):
        """Runs in a thread of its own, which calls callback(results, user_data, error text)."""
        def work():
            try:
                results, text = self.run(output_names, input_feed, run_options), ""
            except Exception as error:  # the callback is told
                results, text = [], str(error)
            callback(results, user_data, text)

        threading.Thread(target=work, daemon=True).start()

    def run_with_ort_values(self, output_names, input_dict_ort_values, run_options=None):
        feed = {name: value._value for name, value in input_dict_ort_values.items()}
        return [OrtValue(value) for value in self.run(output_names, feed, run_options)]

    def io_binding(self):
        return IOBinding(self)

    def run_with_iobinding(self, iobinding, run_options=None):
        iobinding.run(run_options)

    # ------------------------------------------------------------------------------------------------------- profiling

    def get_profiling_start_time_ns(self):
        return self._started_ns

    def end_profiling(self):
        """Writes what was measured as a file for Chrome's viewer of traces, and gives its name."""
        if not self._options.enable_profiling:
            return ""
        events = []
        for session in self._idle:
            for row in session.profile():
                if row["runs"]:
                    events.append({"cat": "Node", "pid": os.getpid(), "tid": 0, "ph": "X", "name": row["node"],
                                   "ts": row["start_ns"] // 1000, "dur": row["total_ns"] // 1000 // row["runs"],
                                   "args": {"op_name": row["op_type"], "kernel": row["kernel"], "runs": row["runs"]}})
        name = f"{self._options.profile_file_prefix}{time.strftime('%Y-%m-%d_%H-%M-%S')}.json"
        with open(name, "w", encoding="utf-8") as file:
            json.dump(events, file)
        return name


Session = InferenceSession
