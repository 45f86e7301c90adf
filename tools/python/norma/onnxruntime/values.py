"""OrtValue: what an input or output holds, on the CPU."""

import numpy as np

from .. import arrays
from .capi.onnxruntime_pybind11_state import InvalidArgument, RuntimeException, require_cpu


def element_type_of(dtype):
    """The name of norma's element type for a numpy.dtype."""
    dtype = np.dtype(dtype)
    if dtype.kind in "USO":
        return "string"
    for name in arrays.ELEMENT_TYPES[1:]:
        if arrays.dtype_of(name) == dtype:
            return name
    raise InvalidArgument(f"no tensor has elements of {dtype}")


def dtype_for(element_type):
    """A numpy.dtype for what applications name a type by: a dtype, NumPy's class, or ONNX's number."""
    if isinstance(element_type, int) and not isinstance(element_type, bool):
        return arrays.dtype_of(element_type)
    return np.dtype(element_type)


class OrtValue:
    """A tensor, list, dict, or None."""

    def __init__(self, value):
        self._value = value

    @staticmethod
    def ortvalue_from_numpy(numpy_obj, device_type="cpu", device_id=0, vendor_id=-1):
        require_cpu(device_type if isinstance(device_type, str) else "cpu")
        return OrtValue(np.asarray(numpy_obj))

    @staticmethod
    def ortvalue_from_numpy_with_onnx_type(data, onnx_element_type):
        return OrtValue(np.asarray(data).view(arrays.dtype_of(int(onnx_element_type))))

    @staticmethod
    def ortvalue_from_shape_and_type(shape, element_type, device_type="cpu", device_id=0, vendor_id=-1):
        require_cpu(device_type if isinstance(device_type, str) else "cpu")
        return OrtValue(np.empty(tuple(shape), dtype_for(element_type)))

    def _tensor(self):
        if not self.is_tensor():
            raise RuntimeException("the OrtValue is no tensor")
        return self._value

    def numpy(self):
        return self._tensor()

    def update_inplace(self, np_arr):
        target = self._tensor()
        if target.shape != np.shape(np_arr) or target.dtype != np.asarray(np_arr).dtype:
            raise RuntimeException("an array of the same type and shape is needed")
        target[...] = np_arr

    def data_ptr(self):
        return self._tensor().ctypes.data

    def device_name(self):
        return "cpu"

    def shape(self):
        return list(self._tensor().shape)

    def element_type(self):
        return arrays.ELEMENT_TYPES.index(element_type_of(self._tensor().dtype))

    def data_type(self):
        if self.is_tensor():
            return f"tensor({element_type_of(self._value.dtype)})"
        if self.is_tensor_sequence():
            inner = element_type_of(self._value[0].dtype) if self._value else "float"
            return f"seq(tensor({inner}))"
        raise RuntimeException("only tensors and sequences of tensors tell their type")

    def tensor_size_in_bytes(self):
        return self._tensor().nbytes

    def has_value(self):
        return self._value is not None

    def is_tensor(self):
        return isinstance(self._value, np.ndarray)

    def is_sparse_tensor(self):
        return False

    def is_tensor_sequence(self):
        return isinstance(self._value, list) and all(isinstance(x, np.ndarray) for x in self._value)

    def to_dlpack(self):
        return self._tensor().__dlpack__()

    def __dlpack__(self, **options):
        return self._tensor().__dlpack__(**options)

    def __dlpack_device__(self):
        return self._tensor().__dlpack_device__()

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self._tensor(), dtype)

    @staticmethod
    def from_dlpack(data, is_bool_tensor=False):
        array = np.from_dlpack(data)
        return OrtValue(array.view(np.bool_) if is_bool_tensor else array)
