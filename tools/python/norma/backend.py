"""The interface of onnx.backend.base over Norma, for programs that take an ONNX backend.

    import norma.backend

    outputs = norma.backend.run_model(model, [picture])
    prepared = norma.backend.prepare(model)        # a Backend that is to run often
    outputs = prepared.run([picture])
    outputs = norma.backend.run_node(node, [x, y])

Models are onnx.ModelProto, paths or bytes. Inputs are a list in the order of the graph, or a dict by name; outputs are a
tuple whose elements can also be had by name.
"""

import numpy as np
import onnx
import onnx.backend.base
from onnx import helper

from . import errors, models


class NormaRep(onnx.backend.base.BackendRep):
    """A model that is ready to run."""

    def __init__(self, session):
        self._session = session
        names = [value.name for value in session.model.outputs]
        self._outputs = onnx.backend.base.namedtupledict("Outputs", names)

    def run(self, inputs, **kwargs):
        if isinstance(inputs, np.ndarray):
            inputs = [inputs]
        return self._outputs(*self._session.run(inputs if isinstance(inputs, dict) else list(inputs)))


def _type_of(value):
    """The TypeProto of a value that run_node is given."""
    if isinstance(value, (list, tuple)):
        item = _type_of(value[0]) if value else helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
        return helper.make_sequence_type_proto(item)
    array = np.asarray(value)
    kind = onnx.TensorProto.STRING if array.dtype.kind in "USO" else helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_type_proto(kind, array.shape)


def _model_of(node, inputs, outputs_info, opset):
    """A model of one node. Types of outputs that are not told are inferred."""
    given = iter(inputs)
    declared = [helper.make_value_info(name, _type_of(next(given))) for name in node.input if name]
    infos = list(outputs_info or [])
    outputs = []
    for place, name in enumerate(name for name in node.output if name):
        if place < len(infos):
            dtype, shape = infos[place]
            kind = helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
            outputs.append(helper.make_value_info(name, kind))
        else:
            outputs.append(onnx.ValueInfoProto(name=name))
    graph = helper.make_graph([node], "node", declared, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(node.domain, opset)],
                             ir_version=min(onnx.IR_VERSION, 10))


class NormaBackend(onnx.backend.base.Backend):
    """Options of norma.load() may stand among the keywords."""

    @classmethod
    def is_compatible(cls, model, device="CPU", **kwargs):
        """Whether this build runs the model."""
        try:
            cls.prepare(model, device, **kwargs)
        except errors.UnsupportedError:
            return False
        return True

    @classmethod
    def prepare(cls, model, device="CPU", **kwargs):
        if not cls.supports_device(device):
            raise errors.ArgumentError(f"there is no device {device}: Norma computes on the CPU")
        for name in ("rtol", "atol"):  # which ONNX's runner hands on
            kwargs.pop(name, None)
        return NormaRep(models.load(model, **kwargs).session())

    @classmethod
    def run_model(cls, model, inputs, device="CPU", **kwargs):
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(cls, node, inputs, device="CPU", outputs_info=None, **kwargs):
        opset = kwargs.pop("opset_version", onnx.defs.onnx_opset_version())
        inputs = list(inputs.values()) if isinstance(inputs, dict) else list(inputs)
        return cls.prepare(_model_of(node, inputs, outputs_info, opset), device, **kwargs).run(inputs)

    @classmethod
    def supports_device(cls, device):
        return device.split(":")[0] == "CPU"


is_compatible = NormaBackend.is_compatible
prepare = NormaBackend.prepare
run_model = NormaBackend.run_model
run_node = NormaBackend.run_node
supports_device = NormaBackend.supports_device
