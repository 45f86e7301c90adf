"""What a case is: inputs and attributes of one node, or a model; and helpers for making random ones.

A file of cases/ describes operators:

    @operator("Softmax", tolerance="rtol=1e-5 atol=1e-6")
    def softmax(random, version, index):
        x = random_tensor(random, pick(random, FLOATS), random_shape(random, 1, 4))
        return Case([x], {"axis": random_axis(random, x.ndim)})

`version` is the since-version whose definition is tested, `index` counts the cases of it: use it to go through types and
attributes one after another, so that few cases reach all of them.
"""

import dataclasses
import pathlib
import typing

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ALL = []


@dataclasses.dataclass
class Description:
    name: str
    domain: str
    make: typing.Callable
    tolerance: str
    versions: typing.Optional[tuple]
    narrow: dict
    late: bool

    @property
    def full_name(self):
        return f"{self.domain}.{self.name}" if self.domain else self.name


def operator(name, domain="", tolerance="rtol=1e-4 atol=1e-5", versions=None, narrow=None, late=False):
    """`tolerance` is a line of `norma test --manifest`, for outputs of float and double; `narrow` holds others for outputs of
    narrower types, by their names in differential.NARROW; `versions` those to test, default all that onnx defines. `late`: half
    of the cases import the last opset that has the same definition, not the first."""
    def register(make):
        ALL.append(Description(name, domain, make, tolerance, versions, narrow or {}, late))
        return make
    return register


def versions_of(description):
    if description.versions:
        return description.versions
    return sorted({schema.since_version for schema in onnx.defs.get_all_schemas_with_history()
                   if schema.name == description.name and schema.domain == description.domain and not schema.deprecated})


def last_opset(description, version):
    """The last opset of ai.onnx in which the definition of `version` still holds."""
    later = [schema.since_version for schema in onnx.defs.get_all_schemas_with_history()
             if schema.name == description.name and schema.domain == "" and schema.since_version > version]
    return min(later) - 1 if later else onnx.defs.onnx_opset_version()


def legacy(random, name, version, inputs=1):
    """consumed_inputs, an attribute of version 1 that changes nothing."""
    schema = onnx.defs.get_schema(name, version)
    return {"consumed_inputs": [0] * inputs} if "consumed_inputs" in schema.attributes and chance(random) else {}


def newer(name, version):
    return min(schema.since_version for schema in onnx.defs.get_all_schemas_with_history()
               if schema.name == name and schema.domain == "" and schema.since_version > version)


def axis_of(random, version, rank, negative_since=11):
    """Negative axes count from the end, in newer versions."""
    axis = random_axis(random, rank)
    return axis if version >= negative_since else axis % rank


# IR versions in which opsets of ai.onnx came out: a model of an older opset must not claim a newer IR than its readers know.
def ir_version(opset):
    return 13 if opset >= 25 else 10 if opset >= 21 else 8 if opset >= 15 else 7 if opset >= 12 else 4


@dataclasses.dataclass
class Case:
    """inputs: NumPy arrays (ml_dtypes for bfloat16 and smaller), lists of them for sequences, dictionaries for maps, None where
    absent.
    constants: indices of inputs that are initializers. expected(*inputs) -> list of outputs, where no oracle is right.
    alike: (version, case) of the same operator that computes the same by the definitions and that the oracles know, such as
    broadcasting written in the newer way; its outputs are converted to the types of this one's. judge: the oracle that the
    definition's text decides for, where they differ."""
    inputs: list
    attributes: dict = dataclasses.field(default_factory=dict)
    outputs: int = 1
    constants: tuple = ()
    expected: typing.Optional[typing.Callable] = None
    output_types: typing.Optional[list] = None  # onnx.TypeProto of outputs; default: inferred by ONNX
    graph: typing.Optional[onnx.GraphProto] = None  # instead of one node
    alike: typing.Optional[tuple] = None
    judge: typing.Optional[str] = None
    opset: typing.Optional[int] = None  # of ai.onnx beside a node of another domain; or a later one with the same version

    def model(self, description, version):
        version = version if description.domain else self.opset or version
        imports = [helper.make_opsetid(description.domain, version)]
        if description.domain:
            imports.append(helper.make_opsetid("", self.opset or 17))
        graph = self.graph or self.one_node(description)
        opset = version if not description.domain else (self.opset or 17)
        model = helper.make_model(graph, opset_imports=imports, ir_version=ir_version(opset))
        if not self.output_types:
            model = onnx.shape_inference.infer_shapes(model, data_prop=True)
            for output in model.graph.output:  # ranks and sizes that inference guessed are not ours to claim
                if output.type.HasField("tensor_type"):
                    output.type.tensor_type.ClearField("shape")
        return model

    def one_node(self, description):
        names = ["" if x is None else f"x{i}" for i, x in enumerate(self.inputs)]
        outputs = [f"y{i}" for i in range(self.outputs)]
        node = helper.make_node(description.name, names, outputs, domain=description.domain, **self.attributes)
        types = self.output_types or [onnx.TypeProto() for _ in outputs]
        return helper.make_graph(
            [node], "case",
            [helper.make_value_info(f"x{i}", type_of(x)) for i, x in self.run_inputs()],
            [helper.make_value_info(name, type_) for name, type_ in zip(outputs, types)],
            [tensor_proto(self.inputs[i], f"x{i}") for i in self.constants])

    def run_inputs(self):
        return [(i, x) for i, x in enumerate(self.inputs) if x is not None and i not in self.constants]

    def write(self, folder, model, outputs):
        data = folder / "test_data_set_0"
        data.mkdir(parents=True)
        onnx.save(model, folder / "model.onnx")
        for k, (_, x) in enumerate(self.run_inputs()):
            (data / f"input_{k}.pb").write_bytes(value_proto(x).SerializeToString())
        for k, y in enumerate(outputs):
            (data / f"output_{k}.pb").write_bytes(value_proto(y).SerializeToString())


# ---------------------------------------------------------------------------------------------------------------- types

def element_type(x):
    return helper.np_dtype_to_tensor_dtype(x.dtype) if x.dtype != object else TensorProto.STRING


def tensor_proto(x, name=""):
    if x.dtype == object or x.dtype.kind in "US":
        return helper.make_tensor(name, TensorProto.STRING, x.shape, [str(s).encode() for s in x.ravel()])
    return numpy_helper.from_array(np.ascontiguousarray(x).reshape(x.shape), name)


def map_type(x):
    key, value = next(iter(x.items()))
    return helper.make_map_type_proto(TensorProto.STRING if isinstance(key, str) else TensorProto.INT64,
                                      helper.make_tensor_type_proto(element_type(np.asarray(value)), []))


def type_of(x):
    if isinstance(x, list):
        return helper.make_sequence_type_proto(type_of(x[0]))
    if isinstance(x, dict):
        return map_type(x)
    if x.dtype.kind in "US":
        return helper.make_tensor_type_proto(TensorProto.STRING, None)
    return helper.make_tensor_type_proto(element_type(x), None)


def map_proto(x):
    """Of a dictionary from strings or integers to NumPy scalars or strings, which numpy_helper takes for other types."""
    strings = any(isinstance(key, str) for key in x)
    proto = onnx.MapProto(key_type=TensorProto.STRING if strings else TensorProto.INT64)
    if strings:
        proto.string_keys.extend(key.encode() for key in x)
    else:
        proto.keys.extend(int(key) for key in x)
    proto.values.elem_type = onnx.SequenceProto.TENSOR
    proto.values.tensor_values.extend(tensor_proto(np.asarray(value)) for value in x.values())
    return proto


def value_proto(x):
    if isinstance(x, dict):
        return map_proto(x)
    if isinstance(x, list) and x and isinstance(x[0], dict):
        return onnx.SequenceProto(elem_type=onnx.SequenceProto.MAP, map_values=[map_proto(item) for item in x])
    if isinstance(x, list):
        return numpy_helper.from_list(x)
    if isinstance(x, onnx.TensorProto):
        return x
    return tensor_proto(np.asarray(x))


# --------------------------------------------------------------------------------------------------------------- random

FLOATS = (np.float32, np.float16, np.float64, ml_dtypes.bfloat16)
SIGNED = (np.int8, np.int16, np.int32, np.int64)
UNSIGNED = (np.uint8, np.uint16, np.uint32, np.uint64)
INTEGERS = SIGNED + UNSIGNED
NUMBERS = FLOATS + INTEGERS


def types_of(description_name, parameter, version, domain=""):
    """NumPy types of a type constraint, such as "T", at a version."""
    schema = onnx.defs.get_schema(description_name, version, domain)
    constraint = next(c for c in schema.type_constraints if c.type_param_str == parameter)
    names = [text[len("tensor("):-1] for text in constraint.allowed_type_strs if text.startswith("tensor(")]
    known = {"float": np.float32, "double": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16,
             "bool": np.bool_, "string": np.str_, "complex64": np.complex64, "complex128": np.complex128,
             "float8e4m3fn": ml_dtypes.float8_e4m3fn, "float8e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
             "float8e5m2": ml_dtypes.float8_e5m2, "float8e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
             "float8e8m0": ml_dtypes.float8_e8m0fnu, "float4e2m1": ml_dtypes.float4_e2m1fn,
             "float6e2m3": ml_dtypes.float6_e2m3fn, "float6e3m2": ml_dtypes.float6_e3m2fn,
             "int4": ml_dtypes.int4, "uint4": ml_dtypes.uint4, "int2": ml_dtypes.int2, "uint2": ml_dtypes.uint2}
    types = [known.get(name) or getattr(np, name, None) for name in sorted(names)]
    return [type_ for type_ in types if type_ is not None]


SMALL_INTEGERS = {np.dtype(ml_dtypes.int4): (-8, 7), np.dtype(ml_dtypes.uint4): (0, 15),
                  np.dtype(ml_dtypes.int2): (-2, 1), np.dtype(ml_dtypes.uint2): (0, 3)}


def type_at(name, parameter, version, index, domain=""):
    """One after another, as `index` counts."""
    types = types_of(name, parameter, version, domain)
    return np.dtype(types[index % len(types)])


def is_float(type_):
    return np.dtype(type_).kind == "f" or np.dtype(type_) == ml_dtypes.bfloat16


def pick(random, choices):
    return choices[random.integers(len(choices))]


def chance(random, probability=0.5):
    return random.random() < probability


def random_shape(random, least_rank=0, most_rank=4, largest=6, empty=0.05):
    """Sizes of 1 to `largest`; with a small chance one of them is 0."""
    shape = [int(random.integers(1, largest + 1)) for _ in range(random.integers(least_rank, most_rank + 1))]
    if shape and chance(random, empty):
        shape[random.integers(len(shape))] = 0
    return tuple(shape)


def random_axis(random, rank):
    """From -rank to rank - 1."""
    return int(random.integers(-rank, rank))


def random_broadcast(random, shape):
    """A shape that broadcasts to `shape`."""
    kept = [1 if chance(random, 0.3) else size for size in shape]
    return tuple(kept[random.integers(0, len(kept) + 1):]) if chance(random, 0.4) else tuple(kept)


def random_tensor(random, type_, shape, low=-4, high=4):
    """Numbers from low to high, of types with a sign; texts; truth values."""
    type_ = np.dtype(type_)
    if type_.kind in "USO":
        words = np.array(["", "a", "b", "Ab", "ä", "longer text", "7", "-1.5", "nan"], dtype=object)
        return np.asarray(words[random.integers(len(words), size=shape)], dtype=object)
    if type_ == np.bool_:
        return random.integers(2, size=shape).astype(np.bool_)
    if type_.kind == "c":
        return (random.uniform(low, high, shape) + 1j * random.uniform(low, high, shape)).astype(type_)
    if type_ in SMALL_INTEGERS:
        least, most = SMALL_INTEGERS[type_]
        return np.asarray(random.integers(max(low, least), min(high, most) + 1, size=shape)).astype(type_)
    if type_.kind in "iu":
        return np.asarray(random.integers(max(low, 0) if type_.kind == "u" else low, high + 1, size=shape)).astype(type_)
    if type_ == ml_dtypes.float8_e8m0fnu:  # has no sign
        return np.asarray(np.exp2(random.integers(-3, 4, size=shape))).astype(type_)
    return np.asarray(random.uniform(low, high, shape)).astype(type_)


def sprinkle(random, x, values=(np.nan, np.inf, -np.inf, -0.0)):
    """Puts special values at a few places of an array of floats; others come back as they are."""
    if is_float(x.dtype) and x.size and chance(random, 0.4):
        for value in values:
            if chance(random):
                x.reshape(-1)[random.integers(x.size)] = value
    return x


def some_constants(random, indices):
    """Of the inputs at `indices`, those that a case makes initializers."""
    return tuple(i for i in indices if chance(random))
