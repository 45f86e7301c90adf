#include "tests/support/sparse_contents.h"

#include "proto/onnx.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void *need(size_t size) {
  void *block = calloc(1, size);
  assert_non_null(block);
  return block;
}

/* The sparse form of a list of floats in raw data. */
static Onnx__SparseTensorProto *sparse_of(const Onnx__TensorProto *dense) {
  assert_int_equal(dense->n_dims, 1);
  assert_true(dense->has_raw_data && dense->raw_data.len == (size_t)dense->dims[0] * sizeof(float));
  const size_t count = (size_t)dense->dims[0];
  Onnx__SparseTensorProto *sparse = need(sizeof *sparse);
  Onnx__TensorProto *values = need(sizeof *values), *indices = need(sizeof *indices);
  onnx__sparse_tensor_proto__init(sparse);
  onnx__tensor_proto__init(values);
  onnx__tensor_proto__init(indices);
  values->name = strdup(dense->name ? dense->name : "");
  values->float_data = need(count * sizeof(float));
  indices->int64_data = need(count * sizeof(int64_t));
  for (size_t i = 0; i < count; i++) {
    float element;
    memcpy(&element, dense->raw_data.data + i * sizeof element, sizeof element);
    if (element == 0) continue;
    values->float_data[values->n_float_data++] = element;
    indices->int64_data[indices->n_int64_data++] = (int64_t)i;
  }
  values->has_data_type = indices->has_data_type = 1;
  values->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
  indices->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__INT64;
  values->n_dims = indices->n_dims = sparse->n_dims = 1;
  values->dims = need(sizeof(int64_t));
  indices->dims = need(sizeof(int64_t));
  sparse->dims = need(sizeof(int64_t));
  values->dims[0] = indices->dims[0] = (int64_t)values->n_float_data;
  sparse->dims[0] = (int64_t)count;
  sparse->values = values;
  sparse->indices = indices;
  return sparse;
}

static int make_sparse_initializer(Onnx__GraphProto *graph, const char *name) {
  for (size_t i = 0; i < graph->n_initializer; i++) {
    Onnx__TensorProto *dense = graph->initializer[i];
    if (strcmp(dense->name, name) != 0) continue;
    assert_int_equal(graph->n_sparse_initializer, 0);
    graph->sparse_initializer = need(sizeof(Onnx__SparseTensorProto *));
    graph->sparse_initializer[graph->n_sparse_initializer++] = sparse_of(dense);
    onnx__tensor_proto__free_unpacked(dense, NULL);
    graph->initializer[i] = graph->initializer[--graph->n_initializer];
    return 1;
  }
  return 0;
}

static int make_sparse_constant(const Onnx__GraphProto *graph, const char *name) {
  for (size_t i = 0; i < graph->n_node; i++) {
    const Onnx__NodeProto *node = graph->node[i];
    if (node->n_output != 1 || strcmp(node->output[0], name) != 0 || node->n_attribute != 1) continue;
    Onnx__AttributeProto *attribute = node->attribute[0];
    assert_non_null(attribute->t);
    free(attribute->name);
    attribute->name = strdup("sparse_value");
    attribute->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__SPARSE_TENSOR;
    attribute->sparse_tensor = sparse_of(attribute->t);
    onnx__tensor_proto__free_unpacked(attribute->t, NULL);
    attribute->t = NULL;
    return 1;
  }
  return 0;
}

void *make_sparse(const void *bytes, size_t size, const char *name, size_t *new_size) {
  Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, size, bytes);
  assert_non_null(model);
  if (!make_sparse_initializer(model->graph, name) && !make_sparse_constant(model->graph, name)) {
    fail_msg("nothing holds '%s'", name);
  }
  *new_size = onnx__model_proto__get_packed_size(model);
  void *packed = need(*new_size);
  onnx__model_proto__pack(model, packed);
  onnx__model_proto__free_unpacked(model, NULL);
  return packed;
}
