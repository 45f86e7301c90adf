/* GroupNormalization against its formula in double precision: parameters per group (18) and per channel (21). */
#include "tests/support/operator_driver.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void check(norma_element_type type, int64_t opset, int64_t groups, const int64_t dims[3], int variant,
                  const struct kernel_table *kernels, uint64_t *seed) {
  int64_t vector[] = {opset < 21 ? groups : dims[1]}, count = dims[1] / groups * dims[2];
  driver driver;
  driver_init(&driver);
  value x = random_tensor(seed, type, 3, dims), scale = random_tensor(seed, type, 1, vector);
  value bias = random_tensor(seed, type, 1, vector);
  double *numbers = tensor_doubles(&x);
  driver_call call = {.op_type = "GroupNormalization",
                      .opset = opset,
                      .attributes = {DRIVER_INT("num_groups", groups), DRIVER_FLOAT("epsilon", 1e-3f)},
                      .inputs = {&x, &scale, &bias},
                      .input_count = 3,
                      .output_count = 1,
                      .in_place = variant % 2,
                      .kernels = kernels,
                      .workers = 1 + variant % 3};
  if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s", driver.error.message);
  for (int64_t set = 0; set < dims[0] * groups; set++) {
    const double *of_set = numbers + set * count;
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < count; i++) mean += of_set[i] / (double)count;
    for (int64_t i = 0; i < count; i++) variance += pow(of_set[i] - mean, 2) / (double)count;
    for (int64_t i = 0; i < count; i++) {
      int64_t channel = set % groups * (dims[1] / groups) + i / dims[2], at = opset < 21 ? set % groups : channel;
      double gain = driver_element(&scale, at) / sqrt(variance + (double)1e-3f), shift = driver_element(&bias, at);
      double wanted = (of_set[i] - mean) * gain + shift, got = driver_element(&driver.outputs[0], set * count + i);
      double precision = rounding_error(type == NORMA_DOUBLE ? type : NORMA_FLOAT);
      double allowed = rounding_error(type) * fabs(wanted) + precision * 8 * (fabs(gain) + fabs(shift));
      if (!(fabs(got - wanted) <= allowed))
        fail_msg("%s opset %d groups %d: element %d: expected %.9g, got %.9g", norma_element_type_name(type),
                 (int)opset, (int)groups, (int)(set * count + i), wanted, got);
    }
  }
  free(numbers);
  random_tensor_free(&x);
  random_tensor_free(&scale);
  random_tensor_free(&bias);
  driver_finish(&driver);
}

static void every_type_and_version_matches_the_formula(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  const struct kernel_table *kernels;
  (void)state;
  for (int t = 0; (kernels = driver_kernels(t)); t++) {
    uint64_t seed = 14;
    for (int i = 0; i < 120; i++) {
      int64_t groups = random_int(&seed, 1, 4);
      int64_t dims[] = {random_int(&seed, 0, 3), groups * random_int(&seed, 1, 4), random_int(&seed, 1, 40)};
      check(types[i % 4], i % 3 ? 21 : 18, groups, dims, i, kernels, &seed);
    }
  }
}

static void what_does_not_fit_is_refused(void **state) {
  static const struct {
    int64_t opset, groups, vector;
  } cases[] = {{21, 0, 4}, {21, -1, 4}, {21, 3, 4}, {21, 2, 2}, {18, 2, 4}, {21, INT64_MAX, 4}};
  static const int64_t dims[] = {1, 4, 5};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    driver driver;
    driver_init(&driver);
    value x = driver_floats(&driver, 3, dims, NULL), vector = driver_floats(&driver, 1, &cases[i].vector, NULL);
    driver_call call = {.op_type = "GroupNormalization", .opset = cases[i].opset, .input_count = 3, .output_count = 1};
    call.attributes[0] = (attribute)DRIVER_INT("num_groups", cases[i].groups);
    call.inputs[0] = &x;
    call.inputs[1] = call.inputs[2] = &vector;
    norma_status status = driver_run(&driver, &call);
    if (status != NORMA_ERROR_INPUT && status != NORMA_ERROR_INVALID_MODEL) fail_msg("case %d was accepted", (int)i);
    value_clear(&x);
    value_clear(&vector);
    driver_finish(&driver);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_and_version_matches_the_formula),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
