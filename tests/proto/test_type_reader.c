/* Declared types: tensors with their shapes and the names of dimensions, sequences, optionals, maps; and what this
 * engine has no values for. */
#include "proto/reader.h"

#include "tests/support/built_reading.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static norma_status read_type_message(model_reading *reading, Onnx__TypeProto *type) {
  Onnx__ValueInfoProto input = ONNX__VALUE_INFO_PROTO__INIT, *inputs[] = {&input};
  Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
  input.name = (char *)(uintptr_t) "x";
  input.type = type;
  graph.n_input = 1;
  graph.input = inputs;
  reading_init(reading, 0);
  return read_graph_message(reading, &graph);
}

static const value_info *must_read_type(model_reading *reading, Onnx__TypeProto *type) {
  if (read_type_message(reading, type) != NORMA_OK) fail_msg("%s", reading->error.message);
  return &reading->model.graph->inputs[0]->info;
}

static void expect_no_type(Onnx__TypeProto *type, norma_status status, const char *part) {
  model_reading reading;
  assert_int_equal(read_type_message(&reading, type), status);
  if (!strstr(reading.error.message, part)) fail_msg("expected '%s' in '%s'", part, reading.error.message);
  assert_non_null(strstr(reading.error.message, "input 'x'"));
  assert_string_equal(reading.error.value, "x");
  assert_int_equal(reading_release(&reading), 0);
}

/* A tensor type in its place. */
static void set_tensor(Onnx__TypeProto *type, Onnx__TypeProto__Tensor *tensor, int element_type) {
  onnx__type_proto__init(type);
  onnx__type_proto__tensor__init(tensor);
  type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
  type->tensor_type = tensor;
  tensor->has_elem_type = 1;
  tensor->elem_type = element_type;
}

/* ---------------------------------------------------------------------------------------------------------- tensors */

static void element_types(void **state) {
  (void)state;
  for (int number = -1; number < 40; number++) {
    model_reading reading;
    Onnx__TypeProto type;
    Onnx__TypeProto__Tensor tensor;
    set_tensor(&type, &tensor, number);
    if (number == NORMA_UNDEFINED || element_type_exists((norma_element_type)number)) {
      const value_info *info = must_read_type(&reading, &type);
      assert_int_equal(info->kind, NORMA_VALUE_TENSOR);
      assert_int_equal(info->type, number);
      assert_int_equal(info->shape.rank, RANK_UNKNOWN);
      assert_int_equal(reading_release(&reading), 0);
    } else {
      expect_no_type(&type, NORMA_ERROR_INVALID_MODEL, "is not an element type");
    }
  }
}

/* Dimensions that are negative, symbolic or not given are unknown; names of symbolic ones are kept. */
static void shapes_and_names_of_dimensions(void **state) {
  (void)state;
  model_reading reading;
  Onnx__TypeProto type;
  Onnx__TypeProto__Tensor tensor;
  Onnx__TensorShapeProto shape = ONNX__TENSOR_SHAPE_PROTO__INIT;
  Onnx__TensorShapeProto__Dimension dims[6], *list[6];
  for (int i = 0; i < 6; i++) {
    onnx__tensor_shape_proto__dimension__init(&dims[i]);
    dims[i].value_case = i < 3   ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE
                         : i < 5 ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM
                                 : ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE__NOT_SET;
    list[i] = &dims[i];
  }
  dims[0].dim_value = 7;
  dims[1].dim_value = 0;
  dims[2].dim_value = -5;
  dims[3].dim_param = (char *)(uintptr_t) "batch";
  dims[4].dim_param = (char *)(uintptr_t) "";
  set_tensor(&type, &tensor, NORMA_FLOAT);
  tensor.shape = &shape;
  shape.n_dim = 6;
  shape.dim = list;
  const value_info *info = must_read_type(&reading, &type);
  assert_int_equal(info->shape.rank, 6);
  static const int64_t expected[6] = {7, 0, DIM_UNKNOWN, DIM_UNKNOWN, DIM_UNKNOWN, DIM_UNKNOWN};
  assert_memory_equal(info->shape.dims, expected, sizeof expected);
  const char *const *names = reading.model.graph->inputs[0]->dim_names;
  for (int i = 0; i < 6; i++) {
    if (i == 3) assert_string_equal(names[i], "batch");
    if (i != 3) assert_null(names[i]);
  }
  assert_int_equal(reading_release(&reading), 0);

  shape.n_dim = 0; /* a scalar */
  info = must_read_type(&reading, &type);
  assert_int_equal(info->shape.rank, 0);
  assert_null(reading.model.graph->inputs[0]->dim_names);
  assert_int_equal(reading_release(&reading), 0);
}

static void rank_is_bounded(void **state) {
  (void)state;
  for (size_t more = 0; more < 2; more++) {
    model_reading reading;
    Onnx__TypeProto type;
    Onnx__TypeProto__Tensor tensor;
    Onnx__TensorShapeProto shape = ONNX__TENSOR_SHAPE_PROTO__INIT;
    Onnx__TensorShapeProto__Dimension dim = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT, *list[NORMA_MAX_RANK + 1];
    dim.value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
    dim.dim_param = (char *)(uintptr_t) "d";
    for (int i = 0; i <= NORMA_MAX_RANK; i++) list[i] = &dim;
    set_tensor(&type, &tensor, NORMA_FLOAT);
    tensor.shape = &shape;
    shape.n_dim = NORMA_MAX_RANK + more;
    shape.dim = list;
    if (more) {
      expect_no_type(&type, NORMA_ERROR_UNSUPPORTED, "rank 17 is more than 16");
      continue;
    }
    assert_int_equal(must_read_type(&reading, &type)->shape.rank, NORMA_MAX_RANK);
    assert_string_equal(reading.model.graph->inputs[0]->dim_names[NORMA_MAX_RANK - 1], "d");
    assert_int_equal(reading_release(&reading), 0);
  }
}

/* ------------------------------------------------------------------------------------------------------- containers */

static void containers_hold_types(void **state) {
  (void)state;
  model_reading reading;
  Onnx__TypeProto element, type;
  Onnx__TypeProto__Tensor tensor;
  Onnx__TypeProto__Sequence sequence = ONNX__TYPE_PROTO__SEQUENCE__INIT;
  Onnx__TypeProto__Optional optional = ONNX__TYPE_PROTO__OPTIONAL__INIT;
  Onnx__TypeProto__Map map = ONNX__TYPE_PROTO__MAP__INIT;
  set_tensor(&element, &tensor, NORMA_INT16);
  for (int with = 0; with < 2; with++) { /* without: of anything */
    sequence.elem_type = optional.elem_type = map.value_type = with ? &element : NULL;
    onnx__type_proto__init(&type);
    type.value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
    type.sequence_type = &sequence;
    const value_info *info = must_read_type(&reading, &type);
    assert_int_equal(info->kind, NORMA_VALUE_SEQUENCE);
    if (with) assert_int_equal(info->item->type, NORMA_INT16);
    if (!with) assert_null(info->item);
    assert_int_equal(reading_release(&reading), 0);

    type.value_case = ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE;
    type.optional_type = &optional;
    info = must_read_type(&reading, &type);
    assert_int_equal(info->kind, NORMA_VALUE_OPTIONAL);
    if (with) assert_int_equal(info->item->kind, NORMA_VALUE_TENSOR);
    assert_int_equal(reading_release(&reading), 0);

    type.value_case = ONNX__TYPE_PROTO__VALUE_MAP_TYPE;
    type.map_type = &map;
    map.has_key_type = 1;
    map.key_type = NORMA_STRING;
    info = must_read_type(&reading, &type);
    assert_int_equal(info->kind, NORMA_VALUE_MAP);
    assert_int_equal(info->type, NORMA_STRING); /* of the keys */
    if (with) assert_int_equal(info->item->type, NORMA_INT16);
    assert_int_equal(reading_release(&reading), 0);
    map.key_type = 99;
    expect_no_type(&type, NORMA_ERROR_INVALID_MODEL, "99 is not an element type");
  }
}

/* Inside a container a wrong type is wrong as well. */
static void containers_are_checked_inside(void **state) {
  (void)state;
  Onnx__TypeProto element, type = ONNX__TYPE_PROTO__INIT;
  Onnx__TypeProto__Tensor tensor;
  Onnx__TypeProto__Sequence sequence = ONNX__TYPE_PROTO__SEQUENCE__INIT;
  set_tensor(&element, &tensor, 77);
  sequence.elem_type = &element;
  type.value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
  type.sequence_type = &sequence;
  expect_no_type(&type, NORMA_ERROR_INVALID_MODEL, "77 is not an element type");
}

static void values_that_there_are_none_of(void **state) {
  (void)state;
  Onnx__TypeProto type = ONNX__TYPE_PROTO__INIT;
  Onnx__TypeProto__SparseTensor sparse = ONNX__TYPE_PROTO__SPARSE_TENSOR__INIT;
  Onnx__TypeProto__Opaque opaque = ONNX__TYPE_PROTO__OPAQUE__INIT;
  type.value_case = ONNX__TYPE_PROTO__VALUE_SPARSE_TENSOR_TYPE;
  type.sparse_tensor_type = &sparse;
  expect_no_type(&type, NORMA_ERROR_UNSUPPORTED, "sparse tensors are not supported");
  type.value_case = ONNX__TYPE_PROTO__VALUE_OPAQUE_TYPE;
  type.opaque_type = &opaque;
  expect_no_type(&type, NORMA_ERROR_UNSUPPORTED, "opaque types are not supported");
}

/* A value of no type is one that nobody knows yet. */
static void types_that_are_not_given(void **state) {
  (void)state;
  model_reading reading;
  Onnx__TypeProto type = ONNX__TYPE_PROTO__INIT;
  for (int with = 0; with < 2; with++) {
    const value_info *info = must_read_type(&reading, with ? &type : NULL);
    assert_int_equal(info->kind, NORMA_VALUE_NONE);
    assert_int_equal(info->shape.rank, RANK_UNKNOWN);
    assert_int_equal(reading_release(&reading), 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(element_types),
      cmocka_unit_test(shapes_and_names_of_dimensions),
      cmocka_unit_test(rank_is_bounded),
      cmocka_unit_test(containers_hold_types),
      cmocka_unit_test(containers_are_checked_inside),
      cmocka_unit_test(values_that_there_are_none_of),
      cmocka_unit_test(types_that_are_not_given),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
