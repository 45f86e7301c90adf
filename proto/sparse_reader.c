/* SparseTensorProto -> a dense tensor. */
#include "proto/tensor_reader.h"

#include "engine/base/status.h"

#include <inttypes.h>
#include <string.h>

/* A small file must not ask for all memory: from this many elements on, there must be a value for SPARSE_RATIO of them.
 */
#define SPARSE_FREE_COUNT ((int64_t)1 << 26)
#define SPARSE_RATIO      4096

static const char *sparse_name(const Onnx__SparseTensorProto *proto) {
  return proto->values && proto->values->name ? proto->values->name : "";
}

static norma_status sparse_fail(norma_error *error, const Onnx__SparseTensorProto *proto, const char *problem) {
  error_set(error, NORMA_ERROR_INVALID_MODEL, "sparse tensor '%s': %s", sparse_name(proto), problem);
  if (error) ERROR_COPY(error->value, sparse_name(proto));
  return NORMA_ERROR_INVALID_MODEL;
}

/* The position of value `i` in the dense tensor; -1 outside. */
static int64_t position_of(const norma_tensor *indices, const shape *shape, int64_t i) {
  const int64_t *items = indices->data;
  if (indices->rank == 1) {
    return items[i] >= 0 && items[i] < shape_count(shape) ? items[i] : -1;
  }
  int64_t position = 0;
  for (int axis = 0; axis < shape->rank; axis++) {
    int64_t index = items[i * shape->rank + axis];
    if (index < 0 || index >= shape->dims[axis]) return -1;
    position = position * shape->dims[axis] + index;
  }
  return position;
}

static void copy_element(norma_tensor *into, int64_t at, const norma_tensor *from, int64_t i) {
  size_t bytes = element_type_bytes(from->type);
  memcpy((char *)into->data + (size_t)at * bytes, (const char *)from->data + (size_t)i * bytes, bytes);
}

static norma_status scatter(const Onnx__SparseTensorProto *proto, const norma_tensor *values,
                            const norma_tensor *indices, const shape *shape, norma_tensor *into, norma_error *error) {
  int64_t previous = -1;
  memset(into->data, 0, into->size_bytes);
  for (int64_t i = 0; i < values->dims[0]; i++) {
    int64_t position = position_of(indices, shape, i);
    if (position < 0) return sparse_fail(error, proto, "an index lies outside its shape");
    if (position == previous) return sparse_fail(error, proto, "an index stands twice");
    if (position < previous) return sparse_fail(error, proto, "its indices do not rise");
    copy_element(into, position, values, i);
    previous = position;
  }
  return NORMA_OK;
}

static norma_status check_parts(const Onnx__SparseTensorProto *proto, const norma_tensor *values,
                                const norma_tensor *indices, const shape *shape, norma_error *error) {
  if (!(TYPES_FIXED_SIZE & TYPE_BIT(values->type))) return sparse_fail(error, proto, "its type cannot be sparse");
  if (values->rank != 1) return sparse_fail(error, proto, "its values are not a list");
  if (indices->type != NORMA_INT64) return sparse_fail(error, proto, "its indices are not int64");
  bool linear = indices->rank == 1 && indices->dims[0] == values->dims[0];
  bool coordinates = indices->rank == 2 && indices->dims[0] == values->dims[0] && indices->dims[1] == shape->rank;
  if (!linear && !coordinates) return sparse_fail(error, proto, "its indices do not fit its values and shape");
  return NORMA_OK;
}

static norma_status read_dense(const tensor_source *source, const Onnx__SparseTensorProto *proto, const value *values,
                               const value *indices, value *into, norma_error *error) {
  shape shape;
  TRY(tensor_read_dims(sparse_name(proto), proto->n_dims, proto->dims, &shape, error));
  TRY(check_parts(proto, &values->tensor, &indices->tensor, &shape, error));
  size_t bytes;
  if (norma_tensor_size(values->tensor.type, shape.rank, shape.dims, &bytes) != NORMA_OK) {
    return sparse_fail(error, proto, "its shape is too large");
  }
  int64_t count = shape_count(&shape);
  if (count > SPARSE_FREE_COUNT && count / SPARSE_RATIO > values->tensor.dims[0]) {
    return error_set(error, NORMA_ERROR_BUDGET, "sparse tensor '%s': %" PRId64 " values for %" PRId64 " elements",
                     sparse_name(proto), values->tensor.dims[0], count);
  }
  TRY(value_allocate_tensor(source->memory, into, values->tensor.type, &shape, error));
  return scatter(proto, &values->tensor, &indices->tensor, &shape, &into->tensor, error);
}

norma_status sparse_tensor_read(const tensor_source *source, const Onnx__SparseTensorProto *proto, value *into,
                                norma_error *error) {
  value values = {0}, indices = {0};
  if (!proto->values || !proto->indices) return sparse_fail(error, proto, "values or indices are missing");
  norma_status status = tensor_read(source, proto->values, &values, error);
  if (status == NORMA_OK) status = tensor_read(source, proto->indices, &indices, error);
  if (status == NORMA_OK) status = read_dense(source, proto, &values, &indices, into, error);
  if (status != NORMA_OK) value_clear(into);
  value_clear(&values);
  value_clear(&indices);
  return status;
}
