/* Sparse tensors become dense ones: zeros, and the values at their indices, which rise strictly and lie inside. */
#include "proto/tensor_reader.h"

#include "tests/support/failing_allocations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static memory account;
static norma_error error;

static int set_up(void **state) {
  (void)state;
  memory_init(&account, NULL, 0);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  return atomic_load(&account.used) == 0 ? 0 : -1; /* anything left is a leak */
}

/* A sparse tensor "s" and its parts, in lists of these lengths. */
typedef struct sparse_parts {
  Onnx__SparseTensorProto sparse;
  Onnx__TensorProto values, indices;
  int64_t value_dims[2], index_dims[3];
} sparse_parts;

static void make_parts(sparse_parts *parts, float *values, size_t count, int64_t *indices, size_t index_count,
                       size_t index_rank, size_t rank, int64_t *dims) {
  memset(parts, 0, sizeof *parts);
  onnx__sparse_tensor_proto__init(&parts->sparse);
  onnx__tensor_proto__init(&parts->values);
  onnx__tensor_proto__init(&parts->indices);
  parts->values.name = (char *)(uintptr_t) "s";
  parts->values.has_data_type = parts->indices.has_data_type = 1;
  parts->values.data_type = NORMA_FLOAT;
  parts->values.n_dims = 1;
  parts->values.dims = parts->value_dims;
  parts->value_dims[0] = (int64_t)count;
  parts->values.n_float_data = count;
  parts->values.float_data = values;
  parts->indices.data_type = NORMA_INT64;
  parts->indices.n_dims = index_rank;
  parts->indices.dims = parts->index_dims;
  parts->index_dims[0] = index_rank == 1 ? (int64_t)index_count : (int64_t)count;
  parts->index_dims[1] = (int64_t)rank;
  parts->indices.n_int64_data = index_count;
  parts->indices.int64_data = indices;
  parts->sparse.values = &parts->values;
  parts->sparse.indices = &parts->indices;
  parts->sparse.n_dims = rank;
  parts->sparse.dims = dims;
}

static norma_status read_parts(const sparse_parts *parts, value *into) {
  const tensor_source source = {.memory = &account};
  memset(&error, 0, sizeof error);
  *into = (value){0};
  return sparse_tensor_read(&source, &parts->sparse, into, &error);
}

static norma_status read_sparse(float *values, size_t count, int64_t *indices, size_t index_count, size_t index_rank,
                                size_t rank, int64_t *dims, value *into) {
  sparse_parts parts;
  make_parts(&parts, values, count, indices, index_count, index_rank, rank, dims);
  return read_parts(&parts, into);
}

static void expect_refused(const sparse_parts *parts, norma_status status, const char *part) {
  value read;
  assert_int_equal(read_parts(parts, &read), status);
  if (!strstr(error.message, part)) fail_msg("expected '%s' in '%s'", part, error.message);
  assert_non_null(strstr(error.message, "'s'"));
  assert_int_equal(read.kind, NORMA_VALUE_NONE);
}

/* Indices count elements, or name each axis. */
static void sparse_tensors_become_dense(void **state) {
  (void)state;
  float values[] = {5, 6, 7}, expected[] = {0, 5, 0, 6, 0, 7};
  int64_t linear[] = {1, 3, 5}, coordinates[] = {0, 1, 1, 0, 1, 2}, dims[] = {2, 3};
  value read;
  for (size_t rank = 1; rank <= 2; rank++) {
    int64_t *indices = rank == 1 ? linear : coordinates;
    assert_int_equal(read_sparse(values, 3, indices, 3 * rank, rank, 2, dims, &read), NORMA_OK);
    assert_int_equal(read.kind, NORMA_VALUE_TENSOR);
    assert_int_equal(read.tensor.rank, 2);
    assert_int_equal(read.tensor.dims[1], 3);
    assert_memory_equal(read.tensor.data, expected, sizeof expected);
    value_clear(&read);
  }
}

/* No values, no elements, a scalar. */
static void small_ones(void **state) {
  (void)state;
  float values[] = {5};
  int64_t indices[] = {0}, dims[] = {2, 3}, empty[] = {0, 3};
  value read;
  assert_int_equal(read_sparse(values, 0, indices, 0, 1, 2, dims, &read), NORMA_OK);
  for (int i = 0; i < 6; i++) assert_true(((const float *)read.tensor.data)[i] == 0);
  value_clear(&read);
  assert_int_equal(read_sparse(values, 0, indices, 0, 1, 2, empty, &read), NORMA_OK);
  assert_int_equal(read.tensor.size_bytes, 0);
  value_clear(&read);
  assert_int_equal(read_sparse(values, 1, indices, 1, 1, 0, dims, &read), NORMA_OK);
  assert_int_equal(read.tensor.rank, 0);
  assert_true(((const float *)read.tensor.data)[0] == 5);
  value_clear(&read);
}

/* Elements of every type whose size is whole bytes; others cannot be sparse. */
static void every_element_type(void **state) {
  (void)state;
  static uint8_t bytes[32];
  int64_t indices[] = {1, 2}, dims[] = {3};
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i % 2); /* bools, too */
  for (int type = 1; type < 40; type++) {
    sparse_parts parts;
    value read;
    if (!element_type_exists((norma_element_type)type)) continue;
    make_parts(&parts, NULL, 2, indices, 2, 1, 1, dims);
    const size_t size = (size_t)element_type_bits((norma_element_type)type) * 2 / 8;
    parts.values.data_type = type;
    parts.values.n_float_data = 0;
    if (type == NORMA_STRING) {
      static ProtobufCBinaryData texts[2] = {{1, bytes}, {2, bytes}};
      parts.values.n_string_data = 2;
      parts.values.string_data = texts;
    } else {
      parts.values.has_raw_data = 1;
      parts.values.raw_data = (ProtobufCBinaryData){type == NORMA_STRING ? 0 : (size ? size : 1), bytes};
    }
    if (TYPES_FIXED_SIZE & TYPE_BIT(type)) {
      if (read_parts(&parts, &read) != NORMA_OK) fail_msg("type %d: %s", type, error.message);
      const size_t element = size / 2;
      for (size_t k = 0; k < element; k++) assert_int_equal(((const uint8_t *)read.tensor.data)[k], 0);
      assert_memory_equal((const char *)read.tensor.data + element, bytes, size);
      value_clear(&read);
    } else {
      assert_int_equal(read_parts(&parts, &read), NORMA_ERROR_INVALID_MODEL);
    }
  }
}

static void wrong_indices_are_refused(void **state) {
  static const struct {
    int64_t indices[4];
    size_t rank;
    const char *part;
  } cases[] = {
      {{1, 6}, 1, "outside"},         {{-1, 2}, 1, "outside"},        {{2, 2}, 1, "stands twice"},
      {{3, 1}, 1, "do not rise"},     {{0, 1, 0, 3}, 2, "outside"},   {{0, 1, 2, 0}, 2, "outside"},
      {{0, 1, 0, -1}, 2, "outside"},  {{1, 0, 1, 0}, 2, "twice"},     {{1, 0, 0, 2}, 2, "do not rise"},
      {{INT64_MIN, 1}, 1, "outside"}, {{1, INT64_MAX}, 1, "outside"},
  };
  (void)state;
  float values[] = {5, 6};
  int64_t dims[] = {2, 3};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t indices[4];
    sparse_parts parts;
    memcpy(indices, cases[i].indices, sizeof indices);
    make_parts(&parts, values, 2, indices, 2 * cases[i].rank, cases[i].rank, 2, dims);
    expect_refused(&parts, NORMA_ERROR_INVALID_MODEL, cases[i].part);
    assert_string_equal(error.value, "s");
  }
}

/* Parts that are missing, or of the wrong type or shape. */
static void parts_that_do_not_fit(void **state) {
  enum {
    NO_VALUES,
    NO_INDICES,
    VALUES_OF_RANK_2,
    INDICES_OF_INT32,
    FEWER_INDICES,
    INDICES_OF_RANK_3,
    OTHER_RANK,
    NEGATIVE,
    MANY_AXES,
    COUNT
  };
  static const char *const parts_of[COUNT] = {"missing",    "missing",    "not a list", "not int64", "do not fit",
                                              "do not fit", "do not fit", "dimension",  "rank"};
  (void)state;
  float values[] = {5, 6};
  int64_t dims[NORMA_MAX_RANK + 1] = {2, 3};
  for (int i = 0; i < COUNT; i++) {
    int64_t indices[4] = {0, 1, 1, 1};
    int32_t narrow[] = {0, 1};
    sparse_parts parts;
    value read;
    make_parts(&parts, values, 2, indices, 2, 1, 2, dims);
    if (i == NO_VALUES) parts.sparse.values = NULL;
    if (i == NO_INDICES) parts.sparse.indices = NULL;
    if (i == VALUES_OF_RANK_2) parts.values.n_dims = 2, parts.value_dims[1] = 1;
    if (i == INDICES_OF_INT32) {
      parts.indices.data_type = NORMA_INT32;
      parts.indices.n_int64_data = 0;
      parts.indices.n_int32_data = 2;
      parts.indices.int32_data = narrow;
    }
    if (i == FEWER_INDICES) parts.index_dims[0] = 1, parts.indices.n_int64_data = 1;
    if (i == INDICES_OF_RANK_3) parts.indices.n_dims = 3, parts.index_dims[1] = parts.index_dims[2] = 1;
    if (i == OTHER_RANK) parts.indices.n_dims = 2, parts.index_dims[1] = 1;
    if (i == NEGATIVE) dims[0] = -2;
    if (i == MANY_AXES) dims[0] = 2, parts.sparse.n_dims = NORMA_MAX_RANK + 1;
    norma_status status = read_parts(&parts, &read);
    assert_true(status == NORMA_ERROR_INVALID_MODEL || (i == MANY_AXES && status == NORMA_ERROR_UNSUPPORTED));
    if (!strstr(error.message, parts_of[i])) fail_msg("%d: '%s' in '%s'", i, parts_of[i], error.message);
    assert_int_equal(read.kind, NORMA_VALUE_NONE);
  }
}

/* A few bytes must not ask for all memory; nor for more than can be counted. */
static void sizes_are_bounded(void **state) {
  (void)state;
  float values[] = {5, 6};
  int64_t indices[] = {0, 1}, huge[] = {1 << 20, 1 << 20}, uncountable[] = {INT64_MAX, INT64_MAX};
  sparse_parts parts;
  make_parts(&parts, values, 2, indices, 2, 1, 2, huge);
  expect_refused(&parts, NORMA_ERROR_BUDGET, "2 values for 1099511627776 elements");
  parts.sparse.dims = uncountable;
  expect_refused(&parts, NORMA_ERROR_INVALID_MODEL, "too large");
  assert_true(atomic_load(&account.peak) < 1 << 20);
}

static norma_status read_in(void *context, const norma_allocator *allocator, norma_error *failed) {
  memory limited;
  value read = {0};
  memory_init(&limited, allocator, 0);
  const tensor_source source = {.memory = &limited};
  norma_status status = sparse_tensor_read(&source, &((const sparse_parts *)context)->sparse, &read, failed);
  value_clear(&read);
  assert_int_equal(atomic_load(&limited.used), 0);
  return status;
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  float values[] = {5, 6};
  int64_t indices[] = {0, 1}, dims[] = {4};
  sparse_parts parts;
  make_parts(&parts, values, 2, indices, 2, 1, 1, dims);
  assert_int_equal(fail_each_allocation(read_in, &parts), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(sparse_tensors_become_dense),
      TEST(small_ones),
      TEST(every_element_type),
      TEST(wrong_indices_are_refused),
      TEST(parts_that_do_not_fit),
      TEST(sizes_are_bounded),
      TEST(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
