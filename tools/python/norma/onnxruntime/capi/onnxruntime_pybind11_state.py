"""Exceptions, enumerations and plain objects, under the name of onnxruntime's module for them."""

import enum

from ... import _norma, errors

# ----------------------------------------------------------------------------------------------------------- exceptions


class Fail(Exception):
    pass


class InvalidArgument(Exception):
    pass


class NoSuchFile(Exception):
    pass


class NoModel(Exception):
    pass


class EngineError(Exception):
    pass


class RuntimeException(Exception):
    pass


class InvalidProtobuf(Exception):
    pass


class ModelLoaded(Exception):
    pass


class NotImplemented(Exception):  # noqa: A001, the name is onnxruntime's
    pass


class InvalidGraph(Exception):
    pass


class EPFail(Exception):
    pass


class NotFound(Exception):
    pass


class ModelLoadCanceled(Exception):
    pass


class ModelRequiresCompilation(Exception):
    pass


class DeviceReset(Exception):
    pass


_FOR_ERRORS = (
    (errors.FileError, NoSuchFile, "NO_SUCHFILE", 3),
    (errors.FormatError, InvalidProtobuf, "INVALID_PROTOBUF", 7),
    (errors.InvalidModelError, InvalidGraph, "INVALID_GRAPH", 10),
    (errors.UnsupportedError, NotImplemented, "NOT_IMPLEMENTED", 9),
    (errors.ArgumentError, InvalidArgument, "INVALID_ARGUMENT", 2),
    (errors.InputError, InvalidArgument, "INVALID_ARGUMENT", 2),
    (errors.RunError, RuntimeException, "RUNTIME_EXCEPTION", 6),
    (errors.OutOfMemoryError, RuntimeException, "RUNTIME_EXCEPTION", 6),
)


def translated(error):
    """The exception that onnxruntime would raise in the place of a norma.Error."""
    for kind, made, name, number in _FOR_ERRORS:
        if isinstance(error, kind):
            return made(f"[ONNXRuntimeError] : {number} : {name} : {error}")
    return Fail(f"[ONNXRuntimeError] : 1 : FAIL : {error}")


# --------------------------------------------------------------------------------------------------------- enumerations


class GraphOptimizationLevel(enum.IntEnum):
    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99


class ExecutionMode(enum.IntEnum):
    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


class ExecutionOrder(enum.IntEnum):
    DEFAULT = 0
    PRIORITY_BASED = 1
    MEMORY_EFFICIENT = 2


class OrtAllocatorType(enum.IntEnum):
    INVALID = -1
    ORT_DEVICE_ALLOCATOR = 0
    ORT_ARENA_ALLOCATOR = 1


class OrtMemType(enum.IntEnum):
    CPU_INPUT = -2
    CPU_OUTPUT = -1
    CPU = -1
    DEFAULT = 0


# -------------------------------------------------------------------------------------------------------- plain objects


class NodeArg:
    """An input or output of a model: its name, its type such as "tensor(float)", and its shape."""

    def __init__(self, name, type, shape):  # noqa: A002, the names are onnxruntime's
        self.name, self.type, self.shape = name, type, shape

    def __repr__(self):
        return f"NodeArg(name='{self.name}', type='{self.type}', shape={self.shape})"


class ModelMetadata:
    def __init__(self, info):
        self.producer_name = info["producer_name"]
        self.graph_name = info["graph_name"]
        self.domain = info["domain"]
        self.description = info["description"]
        self.graph_description = ""
        self.version = info["version"]
        self.custom_metadata_map = dict(info["metadata"])


class OrtDevice:
    def __init__(self, device_type=0, memory_type=0, device_id=0, vendor_id=0):
        self._type, self._memory, self._id = device_type, memory_type, device_id

    @staticmethod
    def make(name, device_id=0, vendor_id=-1):
        require_cpu(name)
        return OrtDevice(0, 0, device_id)

    @staticmethod
    def cpu():
        return 0

    @staticmethod
    def default_memory():
        return 0

    def device_type(self):
        return self._type

    def device_id(self):
        return self._id


class OrtMemoryInfo:
    def __init__(self, name="Cpu", allocator=OrtAllocatorType.ORT_ARENA_ALLOCATOR, device_id=0,
                 memory_type=OrtMemType.DEFAULT):
        self.name, self.device_id = name, device_id


def require_cpu(device):
    """Refuses devices that are not there."""
    if str(device).lower() != "cpu":
        raise RuntimeException(f"there is no device {device}: Norma computes on the CPU")


def get_available_providers():
    return ["CPUExecutionProvider"]


def get_all_providers():
    return ["CPUExecutionProvider"]


def get_device():
    return "CPU"


def get_build_info():
    return f"Norma {_norma.version()}: {_norma.features()}"
