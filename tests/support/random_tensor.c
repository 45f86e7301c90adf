#include "tests/support/random_tensor.h"

#include "tests/support/operator_driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

value random_tensor(uint64_t *seed, norma_element_type type, int rank, const int64_t *dims) {
  value made = {.kind = NORMA_VALUE_TENSOR};
  assert_int_equal(norma_tensor_init(&made.tensor, type, rank, dims, NULL), NORMA_OK);
  made.tensor.data = malloc(made.tensor.size_bytes ? made.tensor.size_bytes : 1);
  assert_non_null(made.tensor.data);
  bool is_integer = (TYPE_BIT(type) & TYPES_INTEGER) != 0;
  int64_t count = norma_tensor_count(&made.tensor);
  for (int64_t i = 0; i < count; i++) {
    double number = is_integer ? (double)random_int(seed, (TYPE_BIT(type) & TYPES_UNSIGNED) ? 0 : -9, 9)
                               : driver_random(seed, -1, 1);
    element_set_double(type, made.tensor.data, i, number);
  }
  return made;
}

void random_tensor_free(value *tensor) {
  free(tensor->tensor.data);
  tensor->tensor.data = NULL;
}

double *tensor_doubles(const value *tensor) {
  int64_t count = norma_tensor_count(&tensor->tensor);
  double *elements = malloc(sizeof *elements * (size_t)(count ? count : 1));
  assert_non_null(elements);
  for (int64_t i = 0; i < count; i++) elements[i] = driver_element(tensor, i);
  return elements;
}

int64_t random_int(uint64_t *seed, int64_t low, int64_t high) {
  int64_t number = low + (int64_t)driver_random(seed, 0, (double)(high - low + 1));
  return number > high ? high : number;
}

double rounding_error(norma_element_type type) {
  switch (type) {
  case NORMA_FLOAT:
    return 0x1p-24;
  case NORMA_DOUBLE:
    return 0x1p-53;
  case NORMA_FLOAT16:
    return 0x1p-11;
  case NORMA_BFLOAT16:
    return 0x1p-8;
  default:
    return 0;
  }
}

bool same_tensor(const norma_tensor *a, const norma_tensor *b) {
  shape a_shape = shape_of_tensor(a), b_shape = shape_of_tensor(b);
  return a->type == b->type && shape_equal(&a_shape, &b_shape) &&
         (a->size_bytes == 0 || memcmp(a->data, b->data, a->size_bytes) == 0);
}
