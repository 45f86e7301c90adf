/* MaxPool, AveragePool and LpPool against their definitions in double precision. */
#include "tests/support/operator_driver.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define AXES 4

typedef struct pool_case {
  const char *op;
  norma_element_type type;
  int axes;
  int64_t planes[2];
  int64_t input[AXES], output[AXES], kernel[AXES], stride[AXES], dilation[AXES], pads[2 * AXES];
  int64_t ceil_mode, count_pad, column_major, p;
  bool indices;
} pool_case;

static int64_t product(const int64_t *sizes, int count) {
  int64_t result = 1;
  for (int i = 0; i < count; i++) result *= sizes[i];
  return result;
}

static void position_of(int64_t index, const int64_t *sizes, int axes, int64_t *position) {
  for (int d = axes - 1; d >= 0; d--) {
    position[d] = index % sizes[d];
    index /= sizes[d];
  }
}

/* Where a tap of an output position lies. */
enum place { INSIDE, IN_PADDING, BEYOND };

static enum place locate(const pool_case *c, const int64_t *p, const int64_t *k, int64_t *at) {
  enum place place = INSIDE;
  for (int d = 0; d < c->axes; d++) {
    at[d] = p[d] * c->stride[d] + k[d] * c->dilation[d] - c->pads[d];
    if (at[d] >= c->input[d] + c->pads[c->axes + d]) return BEYOND;
    if (at[d] < 0 || at[d] >= c->input[d]) place = IN_PADDING;
  }
  return place;
}

/* Output element `index`; *best becomes its index in X, or -1. */
static double reference(const pool_case *c, const double *x, int64_t index, int64_t *best) {
  int64_t inputs = product(c->input, c->axes), outputs = product(c->output, c->axes), plane = index / outputs;
  int64_t p[AXES], k[AXES], at[AXES];
  double sum = 0, largest = c->type == NORMA_INT8 ? -128 : c->type == NORMA_UINT8 ? 0 : -INFINITY, counted = 0;
  *best = -1;
  position_of(index % outputs, c->output, c->axes, p);
  for (int64_t i = 0; i < product(c->kernel, c->axes); i++) {
    position_of(i, c->kernel, c->axes, k);
    enum place place = locate(c, p, k, at);
    if (place == INSIDE || (place == IN_PADDING && c->count_pad)) counted++;
    if (place != INSIDE) continue;
    int64_t row_major = 0, column_major = 0;
    for (int d = 0; d < c->axes; d++) row_major = row_major * c->input[d] + at[d];
    for (int d = c->axes - 1; d >= 0; d--) column_major = column_major * c->input[d] + at[d];
    double value = x[plane * inputs + row_major];
    if (*best < 0 || value > largest) {
      largest = value;
      *best = plane * inputs + (c->column_major ? column_major : row_major);
    }
    sum += strcmp(c->op, "LpPool") == 0 ? pow(fabs(value), (double)c->p) : value;
  }
  if (strcmp(c->op, "MaxPool") == 0) return largest;
  if (strcmp(c->op, "LpPool") == 0) return pow(sum, 1 / (double)c->p);
  return counted > 0 ? sum / counted : 0;
}

static void describe(const pool_case *c, const char *kernels, char *text, size_t size) {
  int used = snprintf(text, size, "%s %s %s", c->op, kernels, norma_element_type_name(c->type));
  for (int d = 0; d < c->axes; d++)
    used += snprintf(text + used, size - (size_t)used, " [in %d out %d k%d s%d d%d p%d,%d]", (int)c->input[d],
                     (int)c->output[d], (int)c->kernel[d], (int)c->stride[d], (int)c->dilation[d], (int)c->pads[d],
                     (int)c->pads[c->axes + d]);
  snprintf(text + used, size - (size_t)used, " ceil %d count_pad %d column_major %d", (int)c->ceil_mode,
           (int)c->count_pad, (int)c->column_major);
}

static driver_call call_of(const pool_case *c, const value *x) {
  driver_call call = {.op_type = c->op,
                      .opset = 22,
                      .attributes = {DRIVER_INTS("kernel_shape", (size_t)c->axes, c->kernel),
                                     DRIVER_INTS("strides", (size_t)c->axes, c->stride),
                                     DRIVER_INTS("dilations", (size_t)c->axes, c->dilation),
                                     DRIVER_INTS("pads", (size_t)(2 * c->axes), c->pads),
                                     DRIVER_INT("ceil_mode", c->ceil_mode)},
                      .inputs = {x},
                      .input_count = 1,
                      .output_count = c->indices ? 2 : 1};
  if (strcmp(c->op, "MaxPool") == 0) call.attributes[5] = (attribute)DRIVER_INT("storage_order", c->column_major);
  if (strcmp(c->op, "AveragePool") == 0) call.attributes[5] = (attribute)DRIVER_INT("count_include_pad", c->count_pad);
  if (strcmp(c->op, "LpPool") == 0) call.attributes[5] = (attribute)DRIVER_INT("p", c->p);
  return call;
}

static void check_outputs(const pool_case *c, const driver *driver, const value *x, const char *text) {
  double *numbers = tensor_doubles(x);
  const norma_tensor *y = &driver->outputs[0].tensor;
  double terms = (double)product(c->kernel, c->axes), scale = strcmp(c->op, "LpPool") == 0 ? terms : 1;
  norma_element_type inner = c->type == NORMA_DOUBLE ? NORMA_DOUBLE : NORMA_FLOAT;
  if (memcmp(y->dims + 2, c->output, (size_t)c->axes * sizeof *y->dims) != 0) fail_msg("%s: wrong shape", text);
  for (int64_t i = 0; i < norma_tensor_count(y); i++) {
    int64_t best;
    double wanted = reference(c, numbers, i, &best), got = driver_element(&driver->outputs[0], i);
    double allowed = strcmp(c->op, "MaxPool") == 0 ? 0
                                                   : 4 * rounding_error(inner) * scale * (1 + sqrt(terms)) +
                                                         rounding_error(c->type) * fabs(wanted);
    bool same = wanted != wanted ? got != got : got == wanted || fabs(got - wanted) <= allowed;
    if (!same) fail_msg("%s: element %d: expected %.9g, got %.9g", text, (int)i, wanted, got);
    if (!c->indices) continue;
    int64_t index = tensor_get_int64(&driver->outputs[1].tensor, i);
    if (index != best) fail_msg("%s: index %d: expected %d, got %d", text, (int)i, (int)best, (int)index);
  }
  free(numbers);
}

static void check_case(const pool_case *c, const struct kernel_table *kernels, uint64_t *seed) {
  int64_t dims[2 + AXES] = {c->planes[0], c->planes[1]};
  char text[400];
  driver driver;
  memcpy(dims + 2, c->input, sizeof c->input);
  driver_init(&driver);
  value x = random_tensor(seed, c->type, 2 + c->axes, dims);
  driver_call call = call_of(c, &x);
  call.kernels = kernels;
  describe(c, kernels->name, text, sizeof text);
  if (driver_run(&driver, &call) != NORMA_OK) fail_msg("%s: %s", text, driver.error.message);
  check_outputs(c, &driver, &x, text);

  value alone;
  memset(&alone, 0, sizeof alone);
  assert_int_equal(value_copy(&driver.memory, &alone, &driver.outputs[0], NULL), NORMA_OK);
  call.workers = 3;
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  if (!same_tensor(&alone.tensor, &driver.outputs[0].tensor)) fail_msg("%s: workers change the result", text);
  value_clear(&alone);
  random_tensor_free(&x);
  driver_finish(&driver);
}

static void random_axis(uint64_t *seed, pool_case *c, int d, int64_t largest) {
  int64_t room;
  do {
    c->input[d] = random_int(seed, 1, largest);
    c->kernel[d] = random_of(seed, 1, 2, 2, 3, 3, 3, 4, 5, 7);
    c->stride[d] = random_of(seed, 1, 1, 2, 2, 3, 5);
    c->dilation[d] = random_of(seed, 1, 1, 1, 2, 3);
    c->pads[d] = random_of(seed, 0, 0, 1, 1, 2, 8);
    c->pads[c->axes + d] = random_of(seed, 0, 0, 1, 1, 2, 9);
    room = c->input[d] + c->pads[d] + c->pads[c->axes + d] - (c->kernel[d] - 1) * c->dilation[d] - 1;
  } while (room < 0);
  c->output[d] = room / c->stride[d] + 1;
  /* A window more, unless it begins in the padding at the end. */
  if (c->ceil_mode && room % c->stride[d] != 0 && c->output[d] * c->stride[d] < c->input[d] + c->pads[d])
    c->output[d]++;
}

static pool_case random_case(uint64_t *seed, const char *op, norma_element_type type) {
  pool_case c = {.op = op, .type = type, .axes = (int)random_of(seed, 1, 2, 2, 2, 3, 4)};
  int64_t largest[] = {70, 22, 8, 5};
  c.planes[0] = random_of(seed, 1, 1, 2);
  c.planes[1] = random_of(seed, 1, 3, 5);
  c.ceil_mode = random_int(seed, 0, 1);
  c.count_pad = random_int(seed, 0, 1);
  c.p = random_of(seed, 1, 2, 3);
  if (strcmp(op, "MaxPool") == 0) {
    c.count_pad = 0;
    c.indices = random_int(seed, 0, 1);
    c.column_major = random_int(seed, 0, 1);
  }
  for (int d = 0; d < c.axes; d++) random_axis(seed, &c, d, largest[c.axes - 1]);
  return c;
}

static void check_random(const char *op, type_mask types, int cases) {
  const struct kernel_table *kernels;
  for (int t = 0; (kernels = driver_kernels(t)); t++) {
    for (norma_element_type type = 1; type < NORMA_ELEMENT_TYPE_COUNT; type++) {
      if (!(types & TYPE_BIT(type))) continue;
      uint64_t seed = 4711 + (uint64_t)type;
      for (int i = 0; i < cases * (type == NORMA_FLOAT ? 4 : 1); i++) {
        pool_case c = random_case(&seed, op, type);
        check_case(&c, kernels, &seed);
      }
    }
  }
}

static void max_pool_matches_its_definition(void **state) {
  (void)state;
  check_random("MaxPool", TYPES_FLOAT | TYPE_BIT(NORMA_INT8) | TYPE_BIT(NORMA_UINT8), 40);
}

static void average_pool_matches_its_definition(void **state) {
  (void)state;
  check_random("AveragePool", TYPES_FLOAT, 40);
}

static void lp_pool_matches_its_definition(void **state) {
  (void)state;
  check_random("LpPool", TYPES_FLOAT, 20);
}

/* Of equal elements the first counts, and NaN counts as the largest. */
static void equal_elements_and_nan(void **state) {
  static const int64_t dims[] = {1, 1, 4}, out_dims[] = {1, 1, 3}, kernel[] = {2};
  static const double same[] = {5, 5, 5, 5}, first[] = {0, 1, 2};
  static const double with_nan[] = {1, NAN, 3, 2}, maxima[] = {NAN, NAN, 3}, places[] = {1, 1, 2};
  driver driver;
  (void)state;
  for (int i = 0; i < 2; i++) {
    driver_init(&driver);
    value x = driver_tensor(&driver, NORMA_FLOAT, 3, dims, i ? with_nan : same);
    driver_call call = {.op_type = "MaxPool",
                        .opset = 12,
                        .attributes = {DRIVER_INTS("kernel_shape", 1, kernel)},
                        .inputs = {&x},
                        .input_count = 1,
                        .output_count = 2};
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 3, out_dims, i ? maxima : same);
    driver_assert_tensor(&driver.outputs[1], NORMA_INT64, 3, out_dims, i ? places : first);
    call.output_count = 1; /* another algorithm */
    assert_int_equal(driver_run(&driver, &call), NORMA_OK);
    driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 3, out_dims, i ? maxima : same);
    value_clear(&x);
    driver_finish(&driver);
  }
}

/* Windows of which nearly nothing lies inside cost no more than what does. */
static void huge_windows_are_clipped(void **state) {
  static const int64_t dims[] = {1, 1, 2, 2}, out_dims[] = {1, 1, 1, 1};
  static const int64_t kernel[] = {INT64_C(1) << 40, INT64_C(1) << 40};
  static const int64_t pads[] = {(INT64_C(1) << 40) - 2, INT64_C(1) << 39, 0, (INT64_C(1) << 39) - 2};
  static const double elements[] = {1, 2, 3, 4}, largest[] = {4};
  driver driver;
  (void)state;
  driver_init(&driver);
  value x = driver_tensor(&driver, NORMA_FLOAT, 4, dims, elements);
  driver_call call = {.op_type = "MaxPool",
                      .opset = 22,
                      .attributes = {DRIVER_INTS("kernel_shape", 2, kernel), DRIVER_INTS("pads", 4, pads)},
                      .inputs = {&x},
                      .input_count = 1,
                      .output_count = 1};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 4, out_dims, largest);
  value_clear(&x);
  driver_finish(&driver);
}

static void impossible_attributes_are_refused(void **state) {
  static const int64_t dims[] = {1, 1, 5, 5}, zeros[] = {0, 0, 0, 0}, negative[] = {-1, -1, -1, -1};
  static const int64_t ones[] = {1, 1, 1, 1}, huge[] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX}, twos[] = {2, 2};
  const attribute kernel = DRIVER_INTS("kernel_shape", 2, twos);
  const struct {
    const char *op;
    attribute kernel, wrong;
  } cases[] = {
      {"MaxPool", DRIVER_INTS("kernel_shape", 2, zeros), {0}},
      {"MaxPool", DRIVER_INTS("kernel_shape", 2, huge), {0}},
      {"MaxPool", DRIVER_INTS("kernel_shape", 3, ones), {0}},
      {"MaxPool", DRIVER_INTS("strides", 2, ones), {0}}, /* no kernel */
      {"MaxPool", kernel, DRIVER_INTS("strides", 2, zeros)},
      {"MaxPool", kernel, DRIVER_INTS("dilations", 2, negative)},
      {"MaxPool", kernel, DRIVER_INTS("dilations", 2, huge)},
      {"MaxPool", kernel, DRIVER_INTS("pads", 4, negative)},
      {"MaxPool", kernel, DRIVER_INTS("pads", 4, huge)},
      {"MaxPool", kernel, DRIVER_INTS("pads", 2, ones)},
      {"MaxPool", kernel, DRIVER_INT("storage_order", 2)},
      {"AveragePool", kernel, DRIVER_STRING("auto_pad", "same_upper")},
      {"LpPool", kernel, DRIVER_INT("p", 0)},
      {"LpPool", kernel, DRIVER_INT("p", -1)},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    driver driver;
    driver_init(&driver);
    value x = driver_floats(&driver, 4, dims, NULL);
    driver_call call = {.op_type = cases[i].op,
                        .opset = 22,
                        .attributes = {cases[i].kernel, cases[i].wrong},
                        .inputs = {&x},
                        .input_count = 1,
                        .output_count = 1};
    norma_status status = driver_run(&driver, &call);
    if (status != NORMA_ERROR_INVALID_MODEL && status != NORMA_ERROR_INPUT) fail_msg("case %d was accepted", (int)i);
    value_clear(&x);
    driver_finish(&driver);
  }
}

/* Attributes and types that later versions added. */
static void versions_know_their_attributes(void **state) {
  static const int64_t dims[] = {1, 1, 5}, twos[] = {2};
  static const struct {
    const char *op, *attribute;
    norma_element_type type;
    int64_t before, since;
  } cases[] = {
      {"MaxPool", "storage_order", NORMA_FLOAT, 7, 8},
      {"MaxPool", "ceil_mode", NORMA_FLOAT, 9, 10},
      {"MaxPool", NULL, NORMA_INT8, 11, 12},
      {"MaxPool", NULL, NORMA_BFLOAT16, 21, 22},
      {"AveragePool", "ceil_mode", NORMA_FLOAT, 9, 10},
      {"AveragePool", "count_include_pad", NORMA_FLOAT, 6, 7},
      {"AveragePool", NULL, NORMA_BFLOAT16, 21, 22},
      {"LpPool", "ceil_mode", NORMA_FLOAT, 17, 18},
      {"LpPool", "p", NORMA_FLOAT, 1, 2},
      {"LpPool", NULL, NORMA_BFLOAT16, 21, 22},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    driver driver;
    driver_init(&driver);
    value x = driver_tensor(&driver, cases[i].type, 3, dims, NULL);
    driver_call call = {.op_type = cases[i].op,
                        .attributes = {DRIVER_INTS("kernel_shape", 1, twos)},
                        .inputs = {&x},
                        .input_count = 1,
                        .output_count = 1};
    if (cases[i].attribute) call.attributes[1] = (attribute){.name = cases[i].attribute, .kind = ATTRIBUTE_INT, .i = 1};
    call.opset = cases[i].before;
    if (driver_run(&driver, &call) == NORMA_OK) fail_msg("case %d is too early", (int)i);
    call.opset = cases[i].since;
    if (driver_run(&driver, &call) != NORMA_OK) fail_msg("case %d: %s", (int)i, driver.error.message);
    value_clear(&x);
    driver_finish(&driver);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(max_pool_matches_its_definition), cmocka_unit_test(average_pool_matches_its_definition),
      cmocka_unit_test(lp_pool_matches_its_definition),  cmocka_unit_test(equal_elements_and_nan),
      cmocka_unit_test(huge_windows_are_clipped),        cmocka_unit_test(impossible_attributes_are_refused),
      cmocka_unit_test(versions_know_their_attributes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
