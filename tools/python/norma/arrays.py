"""Element types and NumPy's dtypes; everything that is no array yet as one."""

import array
from typing import Any, List, Union

import numpy as np

from . import _norma
from .errors import InputError

ELEMENT_TYPES: List[str] = [name for name, _, _ in _norma.element_types()]
"""Names of the element types; the place of each is its number in ONNX's TensorProto.DataType."""

_BITS = [bits for _, bits, _ in _norma.element_types()]
_OWN = {
    "float": np.float32, "double": np.float64, "string": np.object_, "bool": np.bool_, "float16": np.float16,
    "complex64": np.complex64, "complex128": np.complex128,
    **{f"{sign}int{bits}": getattr(np, f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
_OF_ML_DTYPES = {
    "bfloat16": "bfloat16", "float8e4m3fn": "float8_e4m3fn", "float8e4m3fnuz": "float8_e4m3fnuz",
    "float8e5m2": "float8_e5m2", "float8e5m2fnuz": "float8_e5m2fnuz", "float8e8m0": "float8_e8m0fnu",
    "float4e2m1": "float4_e2m1fn", "float6e2m3": "float6_e2m3fn", "float6e3m2": "float6_e3m2fn",
    "int4": "int4", "uint4": "uint4", "int2": "int2", "uint2": "uint2",
}


def _ml_dtype(name):
    """The dtype of ml_dtypes for an element type; None where the package, or that type in it, is missing."""
    try:
        import ml_dtypes
    except ImportError:
        return None
    found = getattr(ml_dtypes, _OF_ML_DTYPES[name], None)
    return None if found is None else np.dtype(found)


def dtype_of(element_type: Union[int, str]) -> np.dtype:
    """The numpy.dtype of arrays that hold elements of a type, given by name or number.

    Types that NumPy lacks are those of ml_dtypes. Without that package their bits come as uint8 or uint16, and int2 and
    int4 as int8: one element of the array for each of the tensor in any case.
    """
    name = ELEMENT_TYPES[element_type] if isinstance(element_type, int) else element_type
    if name in _OWN:
        return np.dtype(_OWN[name])
    if name not in _OF_ML_DTYPES:
        raise TypeError(f"there is no element type '{name}'")
    return _ml_dtype(name) or np.dtype(np.uint16 if name == "bfloat16" else np.int8 if name[0] == "i" else np.uint8)


def _refuse(found, wanted):
    raise InputError(f"{found} cannot become elements of type {wanted}")


def _from_plain(given, name):
    """Python's own numbers, strings and lists of them: they have no type, and take the one that is wanted."""
    try:
        natural = np.asarray(given)
    except ValueError as error:
        raise InputError(f"the lists within each other are not all of one length ({error})") from error
    if not name:
        return natural
    wanted = dtype_of(name)
    if name == "string":
        if natural.size and natural.dtype.kind not in "USO":
            _refuse(f"numbers ({natural.dtype})", name)
        return np.asarray(given, dtype=np.object_)
    kinds = {"b": "b", "i": "bi", "u": "bi", "f": "biuf", "c": "biufc"}.get(wanted.kind, "biuf")
    if natural.size and natural.dtype.kind not in kinds:
        _refuse(f"numbers of Python ({natural.dtype})", name)
    if natural.dtype.kind in "bi" and wanted.kind in "iu" and natural.size:
        limits = np.iinfo(wanted)
        if natural.min() < limits.min or natural.max() > limits.max:
            _refuse(f"numbers from {natural.min()} to {natural.max()}", name)
    return natural.astype(wanted)


def _bits(given, name):
    """An array of bits for a type that NumPy lacks; None where it is no such array."""
    bits = np.dtype(np.uint16 if name == "bfloat16" else np.int8 if name[0] == "i" else np.uint8)
    return given if given.dtype == bits else None


def as_array(given: Any, element_type: int = 0) -> np.ndarray:
    """An array for a tensor of an element type (0: any): arrays as they are, without a copy where they have the right type.

    Takes what has NumPy's array interface, the buffer protocol or DLPack, and Python's own numbers, strings and lists.
    """
    name = ELEMENT_TYPES[element_type] if element_type else ""
    if isinstance(given, (bool, int, float, complex, str, bytes, list, tuple)):
        made = _from_plain(given, name)
    elif isinstance(given, np.ndarray):
        made = given
    elif hasattr(given, "__dlpack__") and not hasattr(given, "__array__"):
        if not hasattr(np, "from_dlpack"):
            raise InputError(f"a {type(given).__name__} is no array to this NumPy, which has no DLPack (1.23 has it)")
        made = np.from_dlpack(given)
    elif hasattr(given, "__array__") or hasattr(given, "__array_interface__") or isinstance(
            given, (memoryview, bytearray, array.array, np.generic)):
        made = np.asarray(given)
    else:
        raise InputError(f"a {type(given).__name__} is no array, number or string")
    if made.dtype.kind == "T":  # NumPy's strings of any length
        made = made.astype(np.object_)
    if made.dtype.kind in "USO" or (name in _OWN and made.dtype.newbyteorder("=") in map(np.dtype, _OWN.values())):
        return made
    for known in _OF_ML_DTYPES:
        if _ml_dtype(known) == made.dtype:
            if name and known != name:
                raise InputError(f"has element type {known}, expected {name}")
            _norma.know_dtype(ELEMENT_TYPES.index(known))
            return made
    if name in _OF_ML_DTYPES:
        if _ml_dtype(name) is None and _bits(made, name) is not None:
            return made
        raise InputError(f"has element type {made.dtype}, expected {name} ({dtype_of(name)} in NumPy)")
    if made.dtype.newbyteorder("=") in map(np.dtype, _OWN.values()):
        return made
    raise InputError(f"arrays of {made.dtype} are no tensors")
