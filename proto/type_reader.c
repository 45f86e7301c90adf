/* TypeProto -> value_info. */
#include "proto/reader.h"

#include <inttypes.h>
#include <string.h>

static norma_status read_element_type(reader *reader, int32_t number, norma_element_type *type) {
  *type = (norma_element_type)number;
  if (element_type_exists(*type)) return NORMA_OK;
  return error_set(reader->error, NORMA_ERROR_INVALID_MODEL, "%" PRId32 " is not an element type", number);
}

static norma_status read_shape(reader *reader, const Onnx__TensorShapeProto *proto, shape *shape) {
  *shape = shape_unknown();
  if (!proto) return NORMA_OK;
  if (proto->n_dim > NORMA_MAX_RANK) {
    return error_set(reader->error, NORMA_ERROR_UNSUPPORTED, "rank %zu is more than %d", proto->n_dim, NORMA_MAX_RANK);
  }
  *shape = shape_of_rank((int)proto->n_dim);
  for (size_t i = 0; i < proto->n_dim; i++) {
    const Onnx__TensorShapeProto__Dimension *dim = proto->dim[i];
    bool known = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE && dim->dim_value >= 0;
    if (known) shape->dims[i] = dim->dim_value;
  }
  return NORMA_OK;
}

static norma_status read_item_type(reader *reader, const Onnx__TypeProto *proto, value_info *info) {
  if (!proto) return NORMA_OK; /* a sequence of anything */
  value_info *item = region_allocate(reader->region, sizeof *item);
  if (!item) return reader_no_memory(reader);
  info->item = item;
  return read_type(reader, proto, item);
}

/* Recursion is bounded by the wire check. */
norma_status read_type(reader *reader, const Onnx__TypeProto *proto, value_info *info) {
  *info = (value_info){.shape = shape_unknown()};
  if (!proto) return NORMA_OK;
  switch (proto->value_case) {
  case ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE:
    info->kind = NORMA_VALUE_TENSOR;
    TRY(read_shape(reader, proto->tensor_type->shape, &info->shape));
    if (!proto->tensor_type->has_elem_type || proto->tensor_type->elem_type == NORMA_UNDEFINED) return NORMA_OK;
    return read_element_type(reader, proto->tensor_type->elem_type, &info->type);
  case ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE:
    info->kind = NORMA_VALUE_SEQUENCE;
    return read_item_type(reader, proto->sequence_type->elem_type, info);
  case ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE:
    info->kind = NORMA_VALUE_OPTIONAL;
    return read_item_type(reader, proto->optional_type->elem_type, info);
  case ONNX__TYPE_PROTO__VALUE_MAP_TYPE:
    info->kind = NORMA_VALUE_MAP;
    TRY(read_element_type(reader, proto->map_type->key_type, &info->type));
    return read_item_type(reader, proto->map_type->value_type, info);
  case ONNX__TYPE_PROTO__VALUE_SPARSE_TENSOR_TYPE:
    return error_set(reader->error, NORMA_ERROR_UNSUPPORTED, "values that are sparse tensors are not supported");
  case ONNX__TYPE_PROTO__VALUE_OPAQUE_TYPE:
    return error_set(reader->error, NORMA_ERROR_UNSUPPORTED, "values of opaque types are not supported");
  default:
    return NORMA_OK;
  }
}

norma_status read_dim_names(reader *reader, const Onnx__TypeProto *proto, const char *const **names) {
  *names = NULL;
  if (!proto || proto->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || !proto->tensor_type->shape) return NORMA_OK;
  const Onnx__TensorShapeProto *shape = proto->tensor_type->shape;
  const char **copies = NULL;
  for (size_t i = 0; i < shape->n_dim && i < NORMA_MAX_RANK; i++) {
    const Onnx__TensorShapeProto__Dimension *dim = shape->dim[i];
    if (dim->value_case != ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM || !dim->dim_param[0]) continue;
    if (!copies) copies = region_array(reader->region, NORMA_MAX_RANK, sizeof *copies);
    if (!copies) return reader_no_memory(reader);
    copies[i] = region_copy_string(reader->region, dim->dim_param, strlen(dim->dim_param));
    if (!copies[i]) return reader_no_memory(reader);
  }
  *names = copies;
  return NORMA_OK;
}
