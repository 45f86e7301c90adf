/* LayerNormalization and RMSNormalization against their formulas in double precision. */
#include "tests/support/operator_driver.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define RANK 3

typedef struct layer_case {
  bool is_rms;
  norma_element_type x_type, scale_type;
  int64_t x[RANK], scale[RANK]; /* scale, and B, of rank scale_rank */
  int scale_rank;
  int64_t axis;
} layer_case;

/* The element of a tensor of `dims` that is broadcast to position `index` of x. */
static double broadcast(const layer_case *c, const double *elements, int64_t index) {
  int64_t at = 0, stride = 1;
  for (int i = 0; i < RANK; i++) {
    int64_t position = index % c->x[RANK - 1 - i];
    index /= c->x[RANK - 1 - i];
    if (i >= c->scale_rank) continue;
    int64_t size = c->scale[c->scale_rank - 1 - i];
    if (size != 1) at += position * stride;
    stride *= size;
  }
  return elements[at];
}

static void check_row(const layer_case *c, const driver *driver, double *const numbers[3], int64_t row, int64_t count) {
  double mean = 0, squares = 0;
  const double *x = numbers[0] + row * count;
  for (int64_t i = 0; i < count && !c->is_rms; i++) mean += x[i] / (double)count;
  for (int64_t i = 0; i < count; i++) squares += (x[i] - mean) * (x[i] - mean) / (double)count;
  double inverse = 1 / sqrt(squares + (double)1e-3f);
  norma_element_type y_type = driver->outputs[0].tensor.type;
  bool is_double = c->x_type == NORMA_DOUBLE || c->scale_type == NORMA_DOUBLE;
  double precision = rounding_error(is_double ? NORMA_DOUBLE : NORMA_FLOAT);
  for (int64_t i = 0; i < count; i++) {
    double scale = broadcast(c, numbers[1], row * count + i);
    double wanted = (x[i] - mean) * inverse * scale, magnitude = fabs(wanted) + fabs(mean * inverse * scale) + inverse;
    if (!c->is_rms) wanted += broadcast(c, numbers[2], row * count + i);
    double got = driver_element(&driver->outputs[0], row * count + i);
    double allowed = rounding_error(y_type) * fabs(wanted) + precision * 8 * (magnitude + 1);
    if (!(fabs(got - wanted) <= allowed))
      fail_msg("%s %s row %d element %d: expected %.9g, got %.9g", c->is_rms ? "rms" : "layer",
               norma_element_type_name(c->x_type), (int)row, (int)i, wanted, got);
  }
  if (c->is_rms) return;
  assert_float_equal(driver_element(&driver->outputs[1], row), mean, 1e-6);
  assert_float_equal(driver_element(&driver->outputs[2], row), inverse, 1e-5 * inverse);
}

static void check_case(const layer_case *c, const struct kernel_table *kernels, int workers, uint64_t *seed) {
  driver driver;
  driver_init(&driver);
  value inputs[3] = {random_tensor(seed, c->x_type, RANK, c->x),
                     random_tensor(seed, c->scale_type, c->scale_rank, c->scale),
                     random_tensor(seed, c->scale_type, c->scale_rank, c->scale)};
  double *numbers[3];
  for (int i = 0; i < 3; i++) numbers[i] = tensor_doubles(&inputs[i]);
  driver_call call = {.op_type = c->is_rms ? "RMSNormalization" : "LayerNormalization",
                      .opset = c->is_rms ? 23 : 17,
                      .attributes = {DRIVER_INT("axis", c->axis), DRIVER_FLOAT("epsilon", 1e-3f)},
                      .inputs = {&inputs[0], &inputs[1], &inputs[2]},
                      .input_count = c->is_rms ? 2 : 3,
                      .output_count = c->is_rms ? 1 : 3,
                      .kernels = kernels,
                      .workers = workers};
  if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s", driver.error.message);
  int64_t first = c->axis < 0 ? c->axis + RANK : c->axis;
  int64_t rows = dims_product(c->x, 0, (int)first), count = dims_product(c->x, (int)first, RANK);
  for (int64_t row = 0; row < rows; row++) check_row(c, &driver, numbers, row, count);
  for (int i = 0; i < 3; i++) {
    free(numbers[i]);
    random_tensor_free(&inputs[i]);
  }
  driver_finish(&driver);
}

static void every_type_and_axis_matches_the_formula(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  const struct kernel_table *kernels;
  (void)state;
  for (int t = 0; (kernels = driver_kernels(t)); t++) {
    uint64_t seed = 2;
    for (int i = 0; i < 200; i++) {
      layer_case c = {.is_rms = i % 2, .x_type = types[i % 5], .axis = random_int(&seed, -RANK, RANK - 1)};
      c.scale_type = c.is_rms ? types[random_int(&seed, 0, 4)] : c.x_type;
      c.scale_rank = (int)random_int(&seed, 0, RANK);
      for (int d = 0; d < RANK; d++) c.x[d] = random_int(&seed, 1, d == 2 ? 50 : 6);
      for (int d = 0; d < c.scale_rank; d++) c.scale[d] = random_int(&seed, 0, 3) ? c.x[RANK - c.scale_rank + d] : 1;
      check_case(&c, kernels, 1 + i % 3, &seed);
    }
  }
}

static void what_does_not_fit_is_refused(void **state) {
  static const int64_t dims[] = {2, 3}, vectors[][2] = {{3, 1}, {2, 1}, {3, 1}};
  static const int64_t axes[] = {2, -1, INT64_MAX}; /* the second has a scale that does not fit */
  (void)state;
  for (int i = 0; i < 3; i++) {
    driver driver;
    driver_init(&driver);
    value x = driver_floats(&driver, 2, dims, NULL), scale = driver_floats(&driver, 1, vectors[i], NULL);
    driver_call call = {
        .op_type = "LayerNormalization", .opset = 17, .inputs = {&x, &scale}, .input_count = 2, .output_count = 1};
    call.attributes[0] = (attribute)DRIVER_INT("axis", axes[i]);
    norma_status status = driver_run(&driver, &call);
    if (status != NORMA_ERROR_INPUT && status != NORMA_ERROR_INVALID_MODEL) fail_msg("case %d was accepted", i);
    value_clear(&x);
    value_clear(&scale);
    driver_finish(&driver);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_and_axis_matches_the_formula),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
