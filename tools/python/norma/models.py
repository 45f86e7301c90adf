"""Runtimes, models and sessions: the types of the extension, with arguments that have names and defaults."""

import os
import pathlib
import threading
from typing import IO, Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from . import _norma, arrays, errors

_OPTIMIZATION = {"default": 0, "none": 1, "basic": 2, "full": 3}
_DENORMALS = {"default": 0, "keep": 1, "flush": 2}
_KINDS = ("unknown", "tensor", "sequence", "optional", "map")

Source = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, IO[bytes], Any]
"""What a model is loaded from; Any stands for onnx.ModelProto."""

_norma.setup(errors.raise_error, arrays.as_array, arrays.dtype_of, errors.blame, threading.main_thread().ident or 0)


class TypeInfo(NamedTuple):
    """A type as the model declares it."""

    kind: str  # "tensor", "sequence", "optional", "map" or "unknown"
    element_type: str  # of a tensor, one of ELEMENT_TYPES; of a map that of its keys; "undefined" where not known
    shape: Optional[Tuple[Union[int, str, None], ...]]  # None: not known; str: a dimension with a name, None: any
    item: Optional["TypeInfo"]  # of a sequence or optional its element, of a map its values


class ValueInfo(NamedTuple):
    """An input or output of a model."""

    name: str
    type: TypeInfo
    is_optional: bool  # an input that may be left out: it has an initializer

    @property
    def kind(self) -> str:
        return self.type.kind

    @property
    def element_type(self) -> str:
        """Of a tensor; of a sequence or optional that of the tensors in it."""
        found = self.type
        while found.kind in ("sequence", "optional") and found.item:
            found = found.item
        return found.element_type

    @property
    def shape(self) -> Optional[Tuple[Union[int, str, None], ...]]:
        return self.type.shape

    @property
    def dtype(self) -> Optional[np.dtype]:
        """The numpy.dtype of its arrays, None where the element type is not known."""
        return None if self.element_type == "undefined" else arrays.dtype_of(self.element_type)


def _type_info(described):
    kind, element, shape, item = described
    return TypeInfo(_KINDS[kind], arrays.ELEMENT_TYPES[element], shape, _type_info(item) if item else None)


def _value_infos(described):
    return [ValueInfo(name, _type_info(kind), optional) for name, kind, optional in described]


def _choice(name, value, choices):
    if value not in choices:
        raise errors.ArgumentError(f"{name} is one of {', '.join(map(repr, choices))}, not {value!r}")
    return choices[value]


def _encoded(names):
    if isinstance(names, str):
        raise TypeError(f"a list of names, not the string {names!r}")
    return tuple(name.encode("utf-8", "surrogateescape") for name in names)


# ------------------------------------------------------------------------------------------------------------- runtimes


class Runtime(_norma.Runtime):
    """Threads, memory and kernels that models share.

    threads     workers, the calling thread included; 0: as many as this process may use CPUs
    max_memory  budget in bytes for all of its models and sessions; 0: the memory of the machine
    max_nodes   budget for the nodes of a model, functions expanded; 0: 1,000,000
    kernels     a kernel table by name, such as "avx2"; None: the best one that runs
    log         called with a level (0 error, 1 warning, 2 information, 3 details) and a line of text
    """

    __slots__ = ()

    def __new__(cls, threads: int = 0, max_memory: int = 0, max_nodes: int = 0, kernels: Optional[str] = None,
                log: Optional[Callable[[int, str], Any]] = None) -> "Runtime":
        if threads < 0 or max_memory < 0 or max_nodes < 0:
            raise errors.ArgumentError("threads and budgets are not negative")
        if log is not None and not callable(log):
            raise TypeError("log is a function of a level and a line")
        return _norma.create_runtime(cls, threads, max_memory, max_nodes, kernels, log)

    def __init__(self, *arguments, **options):
        pass

    def __repr__(self):
        return f"<norma.Runtime: {self.threads} threads, {self.kernels}>"


_default: Dict[str, Optional[Runtime]] = {"runtime": None}
_default_lock = threading.Lock()


def default_runtime() -> "Runtime":
    """The runtime of models that are loaded without one, made when it is first asked for."""
    with _default_lock:
        runtime = _default["runtime"]
        if runtime is None:
            runtime = _default["runtime"] = Runtime()
        return runtime


def _forget_default():
    # Threads do not come along into a forked process: models there are loaded with threads of their own.
    global _default_lock
    _default_lock = threading.Lock()
    _default["runtime"] = None
    _norma.after_fork(threading.main_thread().ident or 0)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_default)

# --------------------------------------------------------------------------------------------------------------- models


class Model(_norma.Model):
    """A model that was loaded, checked and optimised; see load(). Immutable: any number of threads may share it."""

    __slots__ = ("__weakref__",)

    def __new__(cls, source: Source, **options: Any) -> "Model":
        return load(source, **options)

    def __init__(self, *arguments, **options):
        pass

    @property
    def inputs(self) -> List[ValueInfo]:
        """ValueInfo for each input that a run needs, in the order of the graph."""
        return _value_infos(self._describe_inputs())

    @property
    def outputs(self) -> List[ValueInfo]:
        """ValueInfo for each output, in the order of the graph."""
        return _value_infos(self._describe_outputs())

    @property
    def info(self) -> Dict[str, Any]:
        """What the file says of itself: a dict with producer_name, opsets, metadata, parameter_count and so on."""
        return self._describe()

    @property
    def metadata(self) -> Dict[str, str]:
        """The metadata of the file as a dict."""
        return self._describe()["metadata"]

    def session(self, *, max_plans: int = 4, profile: bool = False, copy_inputs: bool = False) -> "Session":
        """A Session, which one thread at a time may use."""
        return Session(self, max_plans=max_plans, profile=profile, copy_inputs=copy_inputs)

    def run(self, inputs: Union[Mapping[str, Any], Sequence[Any], None] = None,
            outputs: Optional[Sequence[str]] = None) -> List[Any]:
        """Runs the model once, in a session of its own: for many runs make a session."""
        return self.session().run(inputs, outputs)

    def __repr__(self):
        return f"<norma.Model: {', '.join(x.name for x in self.inputs)} -> {', '.join(x.name for x in self.outputs)}>"

    def __reduce__(self):
        raise TypeError("a model cannot be pickled: pickle its path or bytes, and load it where it is needed")


def _source(source):
    """(path, bytes) of which one is None."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source), None
    if isinstance(source, (bytes, bytearray, memoryview)):
        return None, bytes(source)
    if hasattr(source, "SerializeToString"):
        return None, source.SerializeToString()
    if hasattr(source, "read"):
        return None, bytes(source.read())
    raise TypeError(f"a model is a path, bytes, a file that is open, or an onnx.ModelProto, not a {type(source).__name__}")


def _external_reader(external_data):
    """A function of (location, offset, length) that reads external data."""
    if external_data is None or callable(external_data):
        return external_data
    folder = pathlib.Path(external_data).resolve()

    def read(location, offset, length):
        path = (folder / os.fsdecode(location)).resolve()
        if folder not in path.parents:
            raise errors.InvalidModelError(f"external data outside of {folder}: {path}")
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(length)

    return read


def load(source: Source, *, runtime: Optional[Runtime] = None, threads: Optional[int] = None, optimization: str = "default",
         exact: bool = False, denormals: str = "default", disabled_passes: Sequence[str] = (),
         overridable: Sequence[str] = (), input_shapes: Optional[Mapping[str, Sequence[Optional[int]]]] = None,
         keep_constants: bool = False, map_file: bool = False,
         external_data: Union[str, "os.PathLike[str]", Callable[[bytes, int, int], bytes], None] = None) -> Model:
    """Loads, checks and optimises a model.

    source           a path, bytes, a file that is open, or an onnx.ModelProto
    runtime          what it computes with; default: default_runtime()
    threads          instead: a runtime of its own with so many threads
    optimization     "none", "basic" or "full" (the default)
    exact            only what rounds as the graph says
    denormals        "keep" or "flush"
    disabled_passes  names of optimisations to leave out
    overridable      initializers that are inputs and may be given other values in a run
    input_shapes     {name: shape}, fixes dimensions that the model leaves open; None or -1: stays open
    keep_constants   keeps weights in their own form too, once a kernel has packed them
    map_file         maps the file instead of reading it: only for files that nobody changes
    external_data    for models that are no path: their folder, or a function of (location, offset, length) -> bytes

    Raises UnsupportedError, whose `items` tell all that this build cannot run; InvalidModelError, FormatError, FileError,
    BudgetError, OutOfMemoryError.
    """
    if runtime is not None and threads is not None:
        raise errors.ArgumentError("either a runtime or a number of threads")
    if runtime is None:
        runtime = default_runtime() if threads is None else Runtime(threads)
    path, data = _source(source)
    if path is not None and external_data is not None:
        raise errors.ArgumentError("a model in a file finds its external data itself")
    shapes = tuple((name.encode("utf-8", "surrogateescape"), tuple(-1 if dim is None else int(dim) for dim in shape))
                   for name, shape in (input_shapes or {}).items())
    unsupported: List[Tuple[Any, ...]] = []
    try:
        return _norma.create_model(
            Model, runtime, None if path is None else os.fsencode(path), data,
            _choice("optimization", optimization, _OPTIMIZATION), _choice("denormals", denormals, _DENORMALS), exact,
            keep_constants, map_file, _encoded(disabled_passes), _encoded(overridable), shapes,
            _external_reader(external_data), unsupported)
    except errors.UnsupportedError as error:
        decoded = [[x.decode(errors="replace") if isinstance(x, bytes) else x for x in item] for item in unsupported]
        error.items = [dict(zip(("node", "op_type", "domain", "opset", "reason"), item)) for item in decoded]
        raise


# ------------------------------------------------------------------------------------------------------------- sessions


class Session(_norma.Session):
    """Memory and plans for runs of a model, for one thread at a time.

    max_plans    plans that are kept for different input shapes
    profile      measures every node of every run
    copy_inputs  copies large arrays before a run as well, so that others may write them meanwhile
    """

    __slots__ = ("__weakref__",)
    model: Model

    def __new__(cls, model: Union[Model, Source], *, max_plans: int = 4, profile: bool = False,
                copy_inputs: bool = False) -> "Session":
        if not isinstance(model, Model):
            model = load(model)
        return _norma.create_session(cls, model, max_plans, profile, copy_inputs)

    def __init__(self, *arguments, **options):
        pass

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """Runs the model on inputs by place or by name; the output, or a tuple where there are several."""
        if inputs and named:
            given = dict(zip((value.name for value in self.model.inputs), inputs))
            if len(given) < len(inputs) or not given.keys().isdisjoint(named):
                raise errors.ArgumentError("too many inputs, or one of them twice")
            named.update(given)
        outputs = self.run(named if named else inputs)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def __repr__(self):
        return f"<norma.Session of {self.model!r}>"

    def __reduce__(self):
        raise TypeError("a session cannot be pickled: load the model where it is needed")
