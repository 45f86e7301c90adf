/* The fields of proto/onnx.proto as the wire check needs them. A private header of proto/wire_check.c. */
#ifndef PROTO_WIRE_SCHEMA_H
#define PROTO_WIRE_SCHEMA_H

#include <stdint.h>

enum wire_message_id {
  WM_MODEL,
  WM_OPSET_ID,
  WM_FUNCTION,
  WM_STRING_STRING,
  WM_TRAINING,
  WM_GRAPH,
  WM_NODE,
  WM_ATTRIBUTE,
  WM_VALUE_INFO,
  WM_ANNOTATION,
  WM_DEVICE,
  WM_NODE_DEVICE,
  WM_SHARDING,
  WM_SHARDED_DIM,
  WM_SIMPLE_SHARDED_DIM,
  WM_INT_INT_LIST,
  WM_TENSOR,
  WM_SEGMENT,
  WM_SPARSE_TENSOR,
  WM_SHAPE,
  WM_DIMENSION,
  WM_TYPE,
  WM_TYPE_TENSOR,
  WM_TYPE_ELEMENT, /* TypeProto.Sequence and TypeProto.Optional */
  WM_TYPE_MAP,
  WM_TYPE_OPAQUE,
  WM_SEQUENCE,
  WM_MAP,
  WM_OPTIONAL
};

enum wire_kind {
  WIRE_KIND_VARINT,
  WIRE_KIND_FIXED32,
  WIRE_KIND_FIXED64,
  WIRE_KIND_STRING,
  WIRE_KIND_BYTES,
  WIRE_KIND_MESSAGE
};

enum wire_flags {
  WIRE_REPEATED = 1,
  WIRE_DROPPED = 2, /* checked but left out of the skeleton */
  WIRE_LARGE = 4,   /* cut out when large */
  WIRE_ONEOF = 8    /* at most one of the fields with this flag in a message */
};

#define WIRE_FIELD_LIMIT 27 /* all field numbers are below */

typedef struct wire_field {
  const char *name; /* NULL: no such field */
  uint8_t kind, flags;
  uint8_t message; /* wire_message_id of WIRE_KIND_MESSAGE */
} wire_field;

typedef struct wire_message {
  wire_field fields[WIRE_FIELD_LIMIT]; /* by field number */
} wire_message;

#define INT(name)                                                                                                      \
  { name, WIRE_KIND_VARINT, 0, 0 }
#define INTS(name)                                                                                                     \
  { name, WIRE_KIND_VARINT, WIRE_REPEATED, 0 }
#define FLOAT(name)                                                                                                    \
  { name, WIRE_KIND_FIXED32, 0, 0 }
#define FLOATS(name)                                                                                                   \
  { name, WIRE_KIND_FIXED32, WIRE_REPEATED, 0 }
#define TEXT(name)                                                                                                     \
  { name, WIRE_KIND_STRING, 0, 0 }
#define TEXTS(name)                                                                                                    \
  { name, WIRE_KIND_STRING, WIRE_REPEATED, 0 }
#define COMMENT(name)                                                                                                  \
  { name, WIRE_KIND_STRING, WIRE_DROPPED, 0 }
#define BYTES(name)                                                                                                    \
  { name, WIRE_KIND_BYTES, 0, 0 }
#define BYTES_LIST(name)                                                                                               \
  { name, WIRE_KIND_BYTES, WIRE_REPEATED, 0 }
#define ONE(name, message)                                                                                             \
  { name, WIRE_KIND_MESSAGE, 0, message }
#define MANY(name, message)                                                                                            \
  { name, WIRE_KIND_MESSAGE, WIRE_REPEATED, message }
#define IGNORED(name, message)                                                                                         \
  { name, WIRE_KIND_MESSAGE, WIRE_REPEATED | WIRE_DROPPED, message }
#define CHOICE(name, message)                                                                                          \
  { name, WIRE_KIND_MESSAGE, WIRE_ONEOF, message }
#define ARRAY(name, kind)                                                                                              \
  { name, kind, WIRE_REPEATED | WIRE_LARGE, 0 }

static const wire_message wire_schema[] = {
    [WM_MODEL] = {{[1] = INT("ir_version"),
                   [2] = TEXT("producer_name"),
                   [3] = TEXT("producer_version"),
                   [4] = TEXT("domain"),
                   [5] = INT("model_version"),
                   [6] = TEXT("doc_string"),
                   [7] = ONE("graph", WM_GRAPH),
                   [8] = MANY("opset_import", WM_OPSET_ID),
                   [14] = MANY("metadata_props", WM_STRING_STRING),
                   [20] = IGNORED("training_info", WM_TRAINING),
                   [25] = MANY("functions", WM_FUNCTION),
                   [26] = IGNORED("configuration", WM_DEVICE)}},
    [WM_OPSET_ID] = {{[1] = TEXT("domain"), [2] = INT("version")}},
    [WM_FUNCTION] = {{[1] = TEXT("name"),
                      [4] = TEXTS("input"),
                      [5] = TEXTS("output"),
                      [6] = TEXTS("attribute"),
                      [7] = MANY("node", WM_NODE),
                      [8] = COMMENT("doc_string"),
                      [9] = MANY("opset_import", WM_OPSET_ID),
                      [10] = TEXT("domain"),
                      [11] = MANY("attribute_proto", WM_ATTRIBUTE),
                      [12] = IGNORED("value_info", WM_VALUE_INFO),
                      [13] = TEXT("overload"),
                      [14] = IGNORED("metadata_props", WM_STRING_STRING)}},
    [WM_STRING_STRING] = {{[1] = TEXT("key"), [2] = TEXT("value")}},
    [WM_TRAINING] = {{[1] = ONE("initialization", WM_GRAPH),
                      [2] = ONE("algorithm", WM_GRAPH),
                      [3] = MANY("initialization_binding", WM_STRING_STRING),
                      [4] = MANY("update_binding", WM_STRING_STRING)}},
    [WM_GRAPH] = {{[1] = MANY("node", WM_NODE),
                   [2] = TEXT("name"),
                   [5] = MANY("initializer", WM_TENSOR),
                   [10] = COMMENT("doc_string"),
                   [11] = MANY("input", WM_VALUE_INFO),
                   [12] = MANY("output", WM_VALUE_INFO),
                   [13] = IGNORED("value_info", WM_VALUE_INFO),
                   [14] = IGNORED("quantization_annotation", WM_ANNOTATION),
                   [15] = MANY("sparse_initializer", WM_SPARSE_TENSOR),
                   [16] = IGNORED("metadata_props", WM_STRING_STRING)}},
    [WM_NODE] = {{[1] = TEXTS("input"),
                  [2] = TEXTS("output"),
                  [3] = TEXT("name"),
                  [4] = TEXT("op_type"),
                  [5] = MANY("attribute", WM_ATTRIBUTE),
                  [6] = COMMENT("doc_string"),
                  [7] = TEXT("domain"),
                  [8] = TEXT("overload"),
                  [9] = IGNORED("metadata_props", WM_STRING_STRING),
                  [10] = IGNORED("device_configurations", WM_NODE_DEVICE)}},
    [WM_ATTRIBUTE] = {{[1] = TEXT("name"),
                       [2] = FLOAT("f"),
                       [3] = INT("i"),
                       [4] = BYTES("s"),
                       [5] = ONE("t", WM_TENSOR),
                       [6] = ONE("g", WM_GRAPH),
                       [7] = FLOATS("floats"),
                       [8] = INTS("ints"),
                       [9] = BYTES_LIST("strings"),
                       [10] = MANY("tensors", WM_TENSOR),
                       [11] = MANY("graphs", WM_GRAPH),
                       [13] = COMMENT("doc_string"),
                       [14] = ONE("tp", WM_TYPE),
                       [15] = MANY("type_protos", WM_TYPE),
                       [20] = INT("type"),
                       [21] = TEXT("ref_attr_name"),
                       [22] = ONE("sparse_tensor", WM_SPARSE_TENSOR),
                       [23] = MANY("sparse_tensors", WM_SPARSE_TENSOR)}},
    [WM_VALUE_INFO] = {{[1] = TEXT("name"),
                        [2] = ONE("type", WM_TYPE),
                        [3] = COMMENT("doc_string"),
                        [4] = IGNORED("metadata_props", WM_STRING_STRING)}},
    [WM_ANNOTATION] = {{[1] = TEXT("tensor_name"), [2] = MANY("quant_parameter_tensor_names", WM_STRING_STRING)}},
    [WM_DEVICE] = {{[1] = TEXT("name"), [2] = INT("num_devices"), [3] = TEXTS("device")}},
    [WM_NODE_DEVICE] =
        {{[1] = TEXT("configuration_id"), [2] = MANY("sharding_spec", WM_SHARDING), [3] = INT("pipeline_stage")}},
    [WM_SHARDING] = {{[1] = TEXT("tensor_name"),
                      [2] = INTS("device"),
                      [3] = MANY("index_to_device_group_map", WM_INT_INT_LIST),
                      [4] = MANY("sharded_dim", WM_SHARDED_DIM)}},
    [WM_SHARDED_DIM] = {{[1] = INT("axis"), [2] = MANY("simple_sharding", WM_SIMPLE_SHARDED_DIM)}},
    [WM_SIMPLE_SHARDED_DIM] = {{[1] = {"dim_value", WIRE_KIND_VARINT, WIRE_ONEOF, 0},
                                [2] = {"dim_param", WIRE_KIND_STRING, WIRE_ONEOF, 0},
                                [3] = INT("num_shards")}},
    [WM_INT_INT_LIST] = {{[1] = INT("key"), [2] = INTS("value")}},
    [WM_TENSOR] = {{[1] = INTS("dims"),
                    [2] = INT("data_type"),
                    [3] = ONE("segment", WM_SEGMENT),
                    [4] = ARRAY("float_data", WIRE_KIND_FIXED32),
                    [5] = ARRAY("int32_data", WIRE_KIND_VARINT),
                    [6] = BYTES_LIST("string_data"),
                    [7] = ARRAY("int64_data", WIRE_KIND_VARINT),
                    [8] = TEXT("name"),
                    [9] = {"raw_data", WIRE_KIND_BYTES, WIRE_LARGE, 0},
                    [10] = ARRAY("double_data", WIRE_KIND_FIXED64),
                    [11] = ARRAY("uint64_data", WIRE_KIND_VARINT),
                    [12] = COMMENT("doc_string"),
                    [13] = MANY("external_data", WM_STRING_STRING),
                    [14] = INT("data_location"),
                    [16] = IGNORED("metadata_props", WM_STRING_STRING)}},
    [WM_SEGMENT] = {{[1] = INT("begin"), [2] = INT("end")}},
    [WM_SPARSE_TENSOR] = {{[1] = ONE("values", WM_TENSOR), [2] = ONE("indices", WM_TENSOR), [3] = INTS("dims")}},
    [WM_SHAPE] = {{[1] = MANY("dim", WM_DIMENSION)}},
    [WM_DIMENSION] = {{[1] = {"dim_value", WIRE_KIND_VARINT, WIRE_ONEOF, 0},
                       [2] = {"dim_param", WIRE_KIND_STRING, WIRE_ONEOF, 0},
                       [3] = COMMENT("denotation")}},
    [WM_TYPE] = {{[1] = CHOICE("tensor_type", WM_TYPE_TENSOR),
                  [4] = CHOICE("sequence_type", WM_TYPE_ELEMENT),
                  [5] = CHOICE("map_type", WM_TYPE_MAP),
                  [6] = COMMENT("denotation"),
                  [7] = CHOICE("opaque_type", WM_TYPE_OPAQUE),
                  [8] = CHOICE("sparse_tensor_type", WM_TYPE_TENSOR),
                  [9] = CHOICE("optional_type", WM_TYPE_ELEMENT)}},
    [WM_TYPE_TENSOR] = {{[1] = INT("elem_type"), [2] = ONE("shape", WM_SHAPE)}},
    [WM_TYPE_ELEMENT] = {{[1] = ONE("elem_type", WM_TYPE)}},
    [WM_TYPE_MAP] = {{[1] = INT("key_type"), [2] = ONE("value_type", WM_TYPE)}},
    [WM_TYPE_OPAQUE] = {{[1] = TEXT("domain"), [2] = TEXT("name")}},
    [WM_SEQUENCE] = {{[1] = TEXT("name"),
                      [2] = INT("elem_type"),
                      [3] = MANY("tensor_values", WM_TENSOR),
                      [4] = MANY("sparse_tensor_values", WM_SPARSE_TENSOR),
                      [5] = MANY("sequence_values", WM_SEQUENCE),
                      [6] = MANY("map_values", WM_MAP),
                      [7] = MANY("optional_values", WM_OPTIONAL)}},
    [WM_MAP] = {{[1] = TEXT("name"),
                 [2] = INT("key_type"),
                 [3] = INTS("keys"),
                 [4] = BYTES_LIST("string_keys"),
                 [5] = ONE("values", WM_SEQUENCE)}},
    [WM_OPTIONAL] = {{[1] = TEXT("name"),
                      [2] = INT("elem_type"),
                      [3] = ONE("tensor_value", WM_TENSOR),
                      [4] = ONE("sparse_tensor_value", WM_SPARSE_TENSOR),
                      [5] = ONE("sequence_value", WM_SEQUENCE),
                      [6] = ONE("map_value", WM_MAP),
                      [7] = ONE("optional_value", WM_OPTIONAL)}},
};

#undef INT
#undef INTS
#undef FLOAT
#undef FLOATS
#undef TEXT
#undef TEXTS
#undef COMMENT
#undef BYTES
#undef BYTES_LIST
#undef ONE
#undef MANY
#undef IGNORED
#undef CHOICE
#undef ARRAY

#endif
