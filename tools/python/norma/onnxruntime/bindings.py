"""IOBinding: inputs and outputs that stay bound from run to run."""

import ctypes
import math

import numpy as np

from .capi.onnxruntime_pybind11_state import InvalidArgument, require_cpu
from .values import OrtValue, dtype_for


def _device_name(device):
    return device if isinstance(device, str) else "cpu"


def _array_at(address, dtype, shape):
    """A view of memory of the application's."""
    dtype = np.dtype(dtype)
    count = math.prod(shape)
    memory = (ctypes.c_char * (count * dtype.itemsize)).from_address(address)
    return np.frombuffer(memory, np.uint8).view(dtype).reshape(shape)


class IOBinding:
    def __init__(self, session):
        self._session = session
        self._inputs = {}
        self._outputs = {}  # name: None, or the array that it is copied to
        self._results = {}

    def bind_cpu_input(self, name, arr_on_cpu):
        self._inputs[name] = np.asarray(arr_on_cpu)

    def bind_input(self, name, device_type, device_id, element_type, shape, buffer_ptr):
        require_cpu(_device_name(device_type))
        self._inputs[name] = _array_at(buffer_ptr, dtype_for(element_type), tuple(shape))

    def bind_ortvalue_input(self, name, ortvalue):
        self._inputs[name] = ortvalue._value

    def bind_output(self, name, device_type="cpu", device_id=0, element_type=None, shape=None, buffer_ptr=None):
        require_cpu(_device_name(device_type))
        if buffer_ptr is None:
            self._outputs[name] = None
            return
        if element_type is None or shape is None:
            raise ValueError("`element_type` and `shape` are to be provided if pre-allocated memory is provided")
        self._outputs[name] = _array_at(buffer_ptr, dtype_for(element_type), tuple(shape))

    def bind_ortvalue_output(self, name, ortvalue):
        self._outputs[name] = ortvalue.numpy()

    def synchronize_inputs(self):
        pass

    def synchronize_outputs(self):
        pass

    def run(self, run_options=None):
        """For the session."""
        if not self._outputs:
            raise InvalidArgument("no output is bound")
        names = list(self._outputs)
        for name, found in zip(names, self._session.run(names, self._inputs, run_options)):
            target = self._outputs[name]
            if target is not None:
                if target.dtype != found.dtype or target.shape != found.shape:
                    raise InvalidArgument(f"output '{name}' is {found.dtype}{list(found.shape)}, its buffer "
                                          f"{target.dtype}{list(target.shape)}")
                target[...] = found
                found = target
            self._results[name] = found

    def get_outputs(self):
        return [OrtValue(self._results[name]) for name in self._outputs if name in self._results]

    def copy_outputs_to_cpu(self):
        return [self._results[name] for name in self._outputs if name in self._results]

    def get_outputs_as_ortvaluevector(self):
        return self.get_outputs()

    def clear_binding_inputs(self):
        self._inputs.clear()

    def clear_binding_outputs(self):
        self._outputs.clear()
        self._results.clear()
