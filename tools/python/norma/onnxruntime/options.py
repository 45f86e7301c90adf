"""SessionOptions and RunOptions. What has no meaning here is kept, so that it can be read again, and changes nothing."""

import os
import threading

from .capi.onnxruntime_pybind11_state import ExecutionMode, ExecutionOrder, GraphOptimizationLevel, NotImplemented


class SessionOptions:
    """Threads, level of optimisation, dimensions that are fixed, profiling. The rest is kept and changes nothing."""

    def __init__(self):
        self.intra_op_num_threads = 0
        self.inter_op_num_threads = 0
        self.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_ALL
        self.execution_mode = ExecutionMode.ORT_SEQUENTIAL
        self.execution_order = ExecutionOrder.DEFAULT
        self.enable_cpu_mem_arena = True
        self.enable_mem_pattern = True
        self.enable_mem_reuse = True
        self.enable_profiling = False
        self.profile_file_prefix = "onnxruntime_profile_"
        self.optimized_model_filepath = ""
        self.log_severity_level = -1
        self.log_verbosity_level = 0
        self.logid = ""
        self.use_deterministic_compute = False
        self.use_per_session_threads = True
        self._entries = {}
        self._dimensions = {}

    def add_session_config_entry(self, key, value):
        self._entries[str(key)] = str(value)

    def get_session_config_entry(self, key):
        if key not in self._entries:
            raise RuntimeError(f"SessionOptions does not have configuration with key: {key}")
        return self._entries[key]

    def add_free_dimension_override_by_name(self, name, size):
        self._dimensions[name] = int(size)

    def add_free_dimension_override_by_denotation(self, denotation, size):
        raise NotImplemented("denotations of dimensions are not read")

    def register_custom_ops_library(self, path):
        raise NotImplemented(f"operators of onnxruntime's own interface cannot be loaded: {os.fspath(path)}")

    def add_initializer(self, name, value):
        raise NotImplemented("initializers from outside of the model are not taken")

    def add_external_initializers(self, names, values):
        raise NotImplemented("initializers from outside of the model are not taken")

    def add_provider(self, name, options=None):
        pass

    def has_providers(self):
        return False


class RunOptions:
    """`terminate` set to True ends the runs that have these options, from any thread."""

    def __init__(self):
        self.log_severity_level = -1
        self.log_verbosity_level = 0
        self.logid = ""
        self.only_execute_path_to_fetches = False
        self._terminate = False
        self._running = set()
        self._lock = threading.Lock()
        self._entries = {}

    @property
    def terminate(self):
        return self._terminate

    @terminate.setter
    def terminate(self, value):
        with self._lock:
            self._terminate = bool(value)
            if self._terminate:
                for session in self._running:
                    session.cancel()

    def begin(self, session):
        with self._lock:
            self._running.add(session)
            if self._terminate:
                session.cancel()

    def end(self, session):
        with self._lock:
            self._running.discard(session)

    def add_run_config_entry(self, key, value):
        self._entries[str(key)] = str(value)

    def get_run_config_entry(self, key):
        return self._entries.get(key, "")

    def add_active_adapter(self, adapter):
        raise NotImplemented("adapters are not supported")
