"""Exceptions: `Error`, and one class for each status of norma.h."""

from typing import Any, Dict, Sequence

from . import _norma


class Error(Exception):
    """What a call of Norma reports.

    status    the name in norma.h, such as "NORMA_ERROR_INPUT"
    message   one sentence for a person
    node      the node's name in the model, "" where none is concerned
    op_type   its operator, such as "Conv"
    domain    the operator's domain, "ai.onnx" for the default one
    opset     the version that the model imports for that domain, 0 where no operator is concerned
    value     the tensor concerned, by its name in the model
    """

    status = "NORMA_ERROR_INTERNAL"

    def __init__(self, message="", node="", op_type="", domain="", opset=0, value=""):
        super().__init__(message)
        self.message, self.node, self.op_type, self.domain = message, node, op_type, domain
        self.opset, self.value = opset, value

    def __str__(self):
        return self.message

    def __reduce__(self):
        return type(self), (self.message, self.node, self.op_type, self.domain, self.opset, self.value)


class ArgumentError(Error, ValueError):
    """The call itself is wrong: an unknown name, an option that cannot be, a session that runs already."""


class OutOfMemoryError(Error, MemoryError):
    """Memory ran out."""


class BudgetError(Error):
    """More memory, nodes or depth than the runtime allows."""


class FileError(Error, OSError):
    """A file cannot be opened, read or written."""


class FormatError(Error, ValueError):
    """The bytes are not an ONNX model or tensor."""


class InvalidModelError(Error, ValueError):
    """An ONNX model that breaks the specification."""


class UnsupportedError(Error, NotImplementedError):
    """A valid model that this build cannot run.

    `items` says why: a list of dicts with the keys node, op_type, domain, opset and reason.
    """

    items: Sequence[Dict[str, Any]] = ()


class InputError(Error, ValueError):
    """An input is missing, or has the wrong type or shape; `value` is its name."""


class RunError(Error):
    """A value found while running makes an operator undefined."""


class CancelledError(Error):
    """The run was cancelled."""


class DeadlineError(Error, TimeoutError):
    """The run took longer than it was given."""


class ThreadError(Error):
    """Threads cannot be created, or were left behind by a fork."""


class InternalError(Error):
    """A defect of Norma: please report it."""


_CLASSES = {
    "NORMA_ERROR_ARGUMENT": ArgumentError,
    "NORMA_ERROR_OUT_OF_MEMORY": OutOfMemoryError,
    "NORMA_ERROR_BUDGET": BudgetError,
    "NORMA_ERROR_FILE": FileError,
    "NORMA_ERROR_FORMAT": FormatError,
    "NORMA_ERROR_INVALID_MODEL": InvalidModelError,
    "NORMA_ERROR_UNSUPPORTED": UnsupportedError,
    "NORMA_ERROR_INPUT": InputError,
    "NORMA_ERROR_RUN": RunError,
    "NORMA_ERROR_CANCELLED": CancelledError,
    "NORMA_ERROR_DEADLINE": DeadlineError,
    "NORMA_ERROR_THREAD": ThreadError,
    "NORMA_ERROR_INTERNAL": InternalError,
}
for _name, _class in _CLASSES.items():
    _class.status = _name
_BY_NUMBER = [_CLASSES.get(name, Error) for name, _ in _norma.statuses()]


def raise_error(status, message, node, op_type, domain, opset, value):
    """For the extension: raises the exception of a norma_error."""
    kind = _BY_NUMBER[status] if 0 <= status < len(_BY_NUMBER) else Error
    raise kind(message, node, op_type, domain, opset, value)


def blame(name, exception):
    """For the extension: raises an exception again so that it names an input of a run."""
    if isinstance(exception, Error) and exception.value:
        raise exception
    if isinstance(exception, (TypeError, ValueError, OverflowError)):
        raise InputError(f"input '{name}': {exception}", value=name) from exception
    raise exception
