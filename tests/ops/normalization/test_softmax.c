/* Softmax, LogSoftmax and Hardmax against their formulas, before and since version 13. */
#include "tests/support/operator_driver.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const ops[] = {"Softmax", "LogSoftmax", "Hardmax"};

/* One line of `count` elements `stride` apart. */
static void reference_line(int op, const double *x, double *y, int64_t count, int64_t stride) {
  double largest = -INFINITY, sum = 0;
  int64_t best = 0;
  for (int64_t i = 0; i < count; i++) {
    if (!(x[i * stride] > largest)) continue;
    largest = x[i * stride];
    best = i;
  }
  for (int64_t i = 0; i < count; i++) sum += exp(x[i * stride] - largest);
  for (int64_t i = 0; i < count; i++) {
    double shifted = x[i * stride] - largest;
    y[i * stride] = op == 0 ? exp(shifted) / sum : op == 1 ? shifted - log(sum) : i == best;
  }
}

static void check(int op, norma_element_type type, int64_t opset, int rank, const int64_t *dims, int64_t axis,
                  const struct kernel_table *kernels, uint64_t *seed, bool in_place) {
  driver driver;
  driver_init(&driver);
  value x = random_tensor(seed, type, rank, dims);
  double spread = (double)random_of(seed, 1, 10, 1000);
  for (int64_t i = 0; i < norma_tensor_count(&x.tensor); i++)
    element_set_double(type, x.tensor.data, i, spread * driver_element(&x, i));
  double *numbers = tensor_doubles(&x), *wanted = tensor_doubles(&x);
  int64_t from = axis < 0 ? axis + rank : axis;
  int64_t outer = dims_product(dims, 0, (int)from), end = opset < 13 ? rank : from + 1;
  int64_t count = dims_product(dims, (int)from, (int)end), inner = dims_product(dims, (int)end, rank);
  for (int64_t i = 0; i < outer * inner; i++) {
    int64_t first = i / inner * count * inner + i % inner;
    reference_line(op, numbers + first, wanted + first, count, inner);
  }
  driver_call call = {.op_type = ops[op],
                      .opset = opset,
                      .attributes = {DRIVER_INT("axis", axis)},
                      .inputs = {&x},
                      .input_count = 1,
                      .output_count = 1,
                      .in_place = in_place,
                      .kernels = kernels,
                      .workers = in_place ? 1 : 2};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  for (int64_t i = 0; i < outer * count * inner; i++) {
    double got = driver_element(&driver.outputs[0], i);
    double precision = rounding_error(type == NORMA_DOUBLE ? NORMA_DOUBLE : NORMA_FLOAT);
    /* exp of x is off by half an ulp of x, a sum by its length's root. */
    double allowed =
        op == 0 ? wanted[i] * (rounding_error(type) * 2 + precision * (16 + spread + 2 * sqrt((double)count))) +
                      0x1p-25 * (type == NORMA_FLOAT16)
        : op == 1 ? (rounding_error(type) + 2 * precision) * (fabs(wanted[i]) + 8 + sqrt((double)count))
                  : 0;
    if (type != NORMA_DOUBLE && op == 0) allowed += 1e-37;
    if (!(fabs(got - wanted[i]) <= allowed))
      fail_msg("%s %s %s opset %d axis %d count %d inner %d: element %d: expected %.9g, got %.9g", kernels->name,
               ops[op], norma_element_type_name(type), (int)opset, (int)axis, (int)count, (int)inner, (int)i, wanted[i],
               got);
  }
  free(numbers);
  free(wanted);
  random_tensor_free(&x);
  driver_finish(&driver);
}

static void every_axis_type_and_version(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  const struct kernel_table *kernels;
  (void)state;
  for (int t = 0; (kernels = driver_kernels(t)); t++) {
    uint64_t seed = 8;
    for (int i = 0; i < 600; i++) {
      norma_element_type type = types[random_of(&seed, 0, 0, 0, 1, 2, 3)];
      int64_t opset = type == NORMA_BFLOAT16 ? 13 : random_of(&seed, 1, 11, 13, 13);
      int rank = (int)random_int(&seed, 1, 4);
      int64_t dims[4] = {random_int(&seed, 1, 4), random_int(&seed, 1, 70), random_int(&seed, 0, 9),
                         random_int(&seed, 1, 40)};
      int64_t axis = random_int(&seed, opset == 1 ? 0 : -rank, rank - 1);
      if (i % 50 == 0) dims[3] = 600; /* more columns than one block has */
      check((int)random_int(&seed, 0, 2), type, opset, rank, dims, axis, kernels, &seed, i % 2);
    }
  }
}

/* Without the attribute: all axes from 1 on before 13, the last axis since. */
static void defaults_change_in_13(void **state) {
  static const int64_t dims[] = {1, 2, 2};
  static const float zeros[] = {0, 0, 0, 0};
  driver driver;
  (void)state;
  driver_init(&driver);
  value x = driver_floats(&driver, 3, dims, zeros);
  driver_call call = {.op_type = "Softmax", .opset = 12, .inputs = {&x}, .input_count = 1, .output_count = 1};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  assert_float_equal(driver_element(&driver.outputs[0], 3), 0.25, 1e-6);
  call.opset = 13;
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  assert_float_equal(driver_element(&driver.outputs[0], 3), 0.5, 1e-6);
  value_clear(&x);
  driver_finish(&driver);
}

static void axes_outside_are_refused(void **state) {
  static const struct {
    int64_t opset, axis;
    bool accepted;
  } cases[] = {{13, 2, false}, {13, -3, false}, {13, INT64_MAX, false}, {13, INT64_MIN, false}, {11, -3, false},
               {1, -3, false}, {1, 3, false},   {1, 2, true},           {13, -2, true}};
  static const int64_t dims[] = {2, 2};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    driver driver;
    driver_init(&driver);
    value x = driver_floats(&driver, 2, dims, NULL);
    driver_call call = {.op_type = "Softmax",
                        .opset = cases[i].opset,
                        .attributes = {DRIVER_INT("axis", cases[i].axis)},
                        .inputs = {&x},
                        .input_count = 1,
                        .output_count = 1};
    bool accepted = driver_run(&driver, &call) == NORMA_OK;
    if (accepted != cases[i].accepted) fail_msg("case %d", (int)i);
    value_clear(&x);
    driver_finish(&driver);
  }
}

static void hardmax_takes_the_first_of_equals(void **state) {
  static const int64_t dims[] = {2, 3};
  static const double x_data[] = {1, 4, 4, NAN, 2, NAN}, y_data[] = {0, 1, 0, 1, 0, 0};
  driver driver;
  (void)state;
  driver_init(&driver);
  value x = driver_tensor(&driver, NORMA_FLOAT, 2, dims, x_data);
  driver_call call = {.op_type = "Hardmax", .opset = 13, .inputs = {&x}, .input_count = 1, .output_count = 1};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 2, dims, y_data);
  value_clear(&x);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_axis_type_and_version),
      cmocka_unit_test(defaults_change_in_13),
      cmocka_unit_test(axes_outside_are_refused),
      cmocka_unit_test(hardmax_takes_the_first_of_equals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
