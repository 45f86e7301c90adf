/* NonZero: indices in row-major order, for every element type and rank. */
#include "tests/support/operator_driver.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static driver_call make_call(const value *x) {
  return (driver_call){
      .op_type = "NonZero", .opset = 13, .inputs = {x}, .input_count = 1, .output_count = 1, .workers = 3};
}

static void gives_indices_by_dimension(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 2, (int64_t[]){2, 2}, (float[]){1, 0, 1, 1});
  driver_call call = make_call(&x);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 2, (int64_t[]){2, 3}, (double[]){0, 1, 1, 0, 0, 1});
  assert_int_equal(driver.inferred[0].type, NORMA_INT64);
  assert_int_equal(driver.inferred[0].shape.dims[0], 2);
  assert_int_equal(driver.inferred[0].shape.dims[1], DIM_UNKNOWN);
  value_clear(&x);
  driver_finish(&driver);
}

static void every_element_type(void **state) {
  (void)state;
  for (int t = 1; t < NORMA_ELEMENT_TYPE_COUNT; t++) {
    norma_element_type type = (norma_element_type)t;
    if (type == NORMA_STRING || type == NORMA_FLOAT8E8M0) continue; /* below; has no zero */
    driver driver;
    driver_init(&driver);
    value x = driver_tensor(&driver, type, 1, (int64_t[]){5}, (double[]){0, 1, 0, 0, 1});
    driver_call call = make_call(&x);
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 2, (int64_t[]){1, 2}, (double[]){1, 4});
    value_clear(&x);
    driver_finish(&driver);
  }
}

static void odd_numbers(void **state) {
  (void)state;
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  for (size_t t = 0; t < 4; t++) {
    driver driver;
    driver_init(&driver);
    value x = driver_tensor(&driver, types[t], 1, (int64_t[]){5}, (double[]){-0.0, NAN, INFINITY, 0x1p-24, 0});
    driver_call call = make_call(&x);
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 2, (int64_t[]){1, 3}, (double[]){1, 2, 3});
    value_clear(&x);
    driver_finish(&driver);
  }
}

static void imaginary_numbers(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_tensor(&driver, NORMA_COMPLEX64, 1, (int64_t[]){3}, (double[]){0, 0, 1});
  value z = driver_tensor(&driver, NORMA_COMPLEX128, 1, (int64_t[]){3}, (double[]){0, 0, 1});
  ((float *)x.tensor.data)[3] = 2; /* element 1 is 2i */
  ((double *)z.tensor.data)[3] = 2;
  driver_call call = make_call(&x);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 2, (int64_t[]){1, 2}, (double[]){1, 2});
  call.inputs[0] = &z;
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 2, (int64_t[]){1, 2}, (double[]){1, 2});
  value_clear(&x);
  value_clear(&z);
  driver_finish(&driver);
}

static void strings_are_zero_when_empty(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_strings(&driver, 1, (int64_t[]){3}, (const char *[]){"", "0", "a"});
  driver_call call = make_call(&x);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 2, (int64_t[]){1, 2}, (double[]){1, 2});
  value_clear(&x);
  driver_finish(&driver);
}

static void scalars_have_no_indices(void **state) {
  (void)state;
  for (int non_zero = 0; non_zero < 2; non_zero++) {
    driver driver;
    driver_init(&driver);
    value x = driver_floats(&driver, 0, NULL, (float[]){(float)non_zero});
    driver_call call = make_call(&x);
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 2, (int64_t[]){0, non_zero}, NULL);
    value_clear(&x);
    driver_finish(&driver);
  }
}

static void nothing_found(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value zeros = driver_floats(&driver, 3, (int64_t[]){2, 3, 4}, NULL);
  value empty = driver_floats(&driver, 3, (int64_t[]){2, 0, 4}, NULL);
  driver_call call = make_call(&zeros);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 2, (int64_t[]){3, 0}, NULL);
  call.inputs[0] = &empty;
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 2, (int64_t[]){3, 0}, NULL);
  value_clear(&zeros);
  value_clear(&empty);
  driver_finish(&driver);
}

/* Many pieces, with ends that are no multiple of anything. */
static void large_tensors(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  const int64_t dims[3] = {31, 41, 101};
  uint64_t random = 42;
  value x = driver_tensor(&driver, NORMA_INT32, 3, dims, NULL);
  int64_t count = norma_tensor_count(&x.tensor), total = 0;
  for (int64_t i = 0; i < count; i++) {
    int32_t element = driver_random(&random, 0, 1) < 0.3 ? -1 : 0;
    ((int32_t *)x.tensor.data)[i] = element;
    total += element != 0;
  }
  driver_call call = make_call(&x);
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 2, (int64_t[]){3, total}, NULL);
  const int64_t *indices = driver.outputs[0].tensor.data;
  int64_t column = 0;
  for (int64_t a = 0; a < dims[0]; a++) {
    for (int64_t b = 0; b < dims[1]; b++) {
      for (int64_t c = 0; c < dims[2]; c++) {
        if (!((int32_t *)x.tensor.data)[(a * dims[1] + b) * dims[2] + c]) continue;
        assert_int_equal(indices[column], a);
        assert_int_equal(indices[total + column], b);
        assert_int_equal(indices[2 * total + column], c);
        column++;
      }
    }
  }
  value_clear(&x);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gives_indices_by_dimension),
      cmocka_unit_test(every_element_type),
      cmocka_unit_test(odd_numbers),
      cmocka_unit_test(imaginary_numbers),
      cmocka_unit_test(strings_are_zero_when_empty),
      cmocka_unit_test(scalars_have_no_indices),
      cmocka_unit_test(nothing_found),
      cmocka_unit_test(large_tensors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
