/* InstanceNormalization against its formula in double precision. */
#include "tests/support/operator_driver.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void check(norma_element_type type, int64_t opset, const int64_t dims[4], double offset, int variant,
                  const struct kernel_table *kernels, uint64_t *seed) {
  driver driver;
  driver_init(&driver);
  value x = random_tensor(seed, type, 4, dims), scale = random_tensor(seed, type, 1, dims + 1);
  value bias = random_tensor(seed, type, 1, dims + 1);
  int64_t pixels = dims[2] * dims[3];
  for (int64_t i = 0; i < norma_tensor_count(&x.tensor); i++)
    element_set_double(type, x.tensor.data, i, driver_element(&x, i) + offset);
  double *numbers = tensor_doubles(&x);
  driver_call call = {.op_type = "InstanceNormalization",
                      .opset = opset,
                      .attributes = {DRIVER_FLOAT("epsilon", 1e-3f)},
                      .inputs = {&x, &scale, &bias},
                      .input_count = 3,
                      .output_count = 1,
                      .in_place = variant % 2,
                      .kernels = kernels,
                      .workers = 1 + variant % 3};
  if (type == NORMA_FLOAT && variant % 5 == 0) call.activation.kind = UNARY_RELU;
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  for (int64_t plane = 0; plane < dims[0] * dims[1]; plane++) {
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < pixels; i++) mean += numbers[plane * pixels + i] / (double)pixels;
    for (int64_t i = 0; i < pixels; i++) variance += pow(numbers[plane * pixels + i] - mean, 2) / (double)pixels;
    double gain = driver_element(&scale, plane % dims[1]) / sqrt(variance + (double)1e-3f);
    double shift = driver_element(&bias, plane % dims[1]);
    for (int64_t i = 0; i < pixels; i++) {
      double centred = numbers[plane * pixels + i] - mean, wanted = centred * gain + shift;
      if (call.activation.kind == UNARY_RELU) wanted = fmax(wanted, 0);
      double got = driver_element(&driver.outputs[0], plane * pixels + i);
      double precision = rounding_error(type == NORMA_DOUBLE ? type : NORMA_FLOAT);
      double allowed = rounding_error(type) * fabs(wanted) +
                       precision * (fabs(centred * gain) * 4 + (fabs(shift) + fabs(gain)) * 4) +
                       (type == NORMA_DOUBLE ? 1e-13 * fabs(offset) : 0);
      if (!(fabs(got - wanted) <= allowed))
        fail_msg("%s %s offset %g: element %d: expected %.9g, got %.9g", kernels->name, norma_element_type_name(type),
                 offset, (int)i, wanted, got);
    }
  }
  free(numbers);
  random_tensor_free(&x);
  random_tensor_free(&scale);
  random_tensor_free(&bias);
  driver_finish(&driver);
}

static void every_type_matches_the_formula(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  const struct kernel_table *kernels;
  (void)state;
  for (int t = 0; (kernels = driver_kernels(t)); t++) {
    uint64_t seed = 3;
    for (int i = 0; i < 120; i++) {
      int64_t dims[] = {random_int(&seed, 0, 3), random_int(&seed, 1, 6), random_int(&seed, 1, 30),
                        random_int(&seed, 1, 9)};
      norma_element_type type = types[i % 4];
      /* A mean far larger than the deviation must not swallow it. */
      double offset = type == NORMA_FLOAT && i % 8 == 0 ? 10000 : 0;
      check(type, type == NORMA_BFLOAT16 ? 22 : random_of(&seed, 6, 21, 22), dims, offset, i, kernels, &seed);
    }
  }
}

static void what_does_not_fit_is_refused(void **state) {
  static const struct {
    int rank;
    int64_t x[3], vector[1];
  } cases[] = {{3, {1, 2, 3}, {3}}, {2, {1, 2}, {2}}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    driver driver;
    driver_init(&driver);
    value x = driver_floats(&driver, cases[i].rank, cases[i].x, NULL);
    value vector = driver_floats(&driver, 1, cases[i].vector, NULL);
    driver_call call = {.op_type = "InstanceNormalization", .opset = 6, .input_count = 3, .output_count = 1};
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
      cmocka_unit_test(every_type_matches_the_formula),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
