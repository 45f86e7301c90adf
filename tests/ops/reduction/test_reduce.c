/* Reductions, extremes, running sums, scatters and what else works along an axis, against plain loops. */
#include "tests/support/operator_driver.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define MOST         200000

static int whole(uint64_t *seed, int low, int high) {
  return low + (int)driver_random(seed, 0, high - low + 0.999);
}

static shape random_shape(uint64_t *seed, int least, int most) {
  static const int64_t sizes[] = {1, 2, 3, 5, 8, 33, 300};
  shape result = {.rank = whole(seed, least, most)};
  for (int i = 0; i < result.rank; i++) result.dims[i] = sizes[whole(seed, 0, result.rank > 2 ? 4 : 6)];
  return result;
}

static value random_tensor(driver *driver, norma_element_type type, const shape *shape, uint64_t *seed, double low,
                           double high, bool integral) {
  const int64_t count = shape_count(shape);
  assert_true(count >= 0 && count <= MOST);
  double *elements = malloc(sizeof(double) * (size_t)(count + 1));
  for (int64_t i = 0; i < count; i++) {
    elements[i] = driver_random(seed, low, high);
    if (integral) elements[i] = floor(elements[i]);
  }
  value result = driver_tensor(driver, type, shape->rank, shape->dims, elements);
  free(elements);
  return result;
}

static value list(driver *driver, int count, const int64_t *elements) {
  return driver_ints(driver, 1, (int64_t[]){count}, elements);
}

static void run_well(driver *driver, driver_call *call) {
  call->workers = 2;
  if (driver_run(driver, call) != NORMA_OK) fail_msg("%s: %s", call->op_type, driver->error.message);
}

static void coordinates(const shape *shape, int64_t index, int64_t *at) {
  for (int i = shape->rank - 1; i >= 0; i--) {
    at[i] = index % shape->dims[i];
    index /= shape->dims[i];
  }
}

static int64_t place(const shape *shape, const int64_t *at) {
  int64_t index = 0;
  for (int i = 0; i < shape->rank; i++) index = index * shape->dims[i] + at[i];
  return index;
}

/* ------------------------------------------------------------------------------------------------------- reductions */

static double first_of(const char *op) {
  if (strcmp(op, "ReduceProd") == 0) return 1;
  return strcmp(op, "ReduceMax") == 0 ? -(double)INFINITY : strcmp(op, "ReduceMin") == 0 ? (double)INFINITY : 0;
}

static double join(const char *op, double sum, double x) {
  if (strcmp(op, "ReduceProd") == 0) return sum * x;
  if (strcmp(op, "ReduceMax") == 0) return fmax(sum, x);
  if (strcmp(op, "ReduceMin") == 0) return fmin(sum, x);
  if (strcmp(op, "ReduceL1") == 0) return sum + fabs(x);
  if (strcmp(op, "ReduceL2") == 0 || strcmp(op, "ReduceSumSquare") == 0) return sum + x * x;
  if (strcmp(op, "ReduceLogSumExp") == 0) return sum + exp(x);
  return sum + x;
}

static double finish(const char *op, double sum, double count) {
  if (strcmp(op, "ReduceMean") == 0) return sum / count;
  if (strcmp(op, "ReduceL2") == 0) return sqrt(sum);
  if (strcmp(op, "ReduceLogSum") == 0 || strcmp(op, "ReduceLogSumExp") == 0) return log(sum);
  return sum;
}

static const char *const reductions[] = {"ReduceSum",       "ReduceMean",     "ReduceProd", "ReduceMax",
                                         "ReduceMin",       "ReduceL1",       "ReduceL2",   "ReduceLogSum",
                                         "ReduceLogSumExp", "ReduceSumSquare"};

static void check_reduction(driver *driver, const char *op, norma_element_type type, uint64_t *seed,
                            const struct kernel_table *kernels) {
  static double sums[MOST];
  const bool integral = (TYPE_BIT(type) & TYPES_INTEGER) != 0, from_input = whole(seed, 0, 1);
  const shape from = random_shape(seed, 0, 5);
  shape kept = from, to = {0};
  bool reduced[NORMA_MAX_RANK];
  int64_t axes[NORMA_MAX_RANK], count = 1;
  int axis_count = 0;
  const bool keep = whole(seed, 0, 1), all = whole(seed, 0, 3) == 0, narrow = strcmp(op, "ReduceProd") == 0;
  for (int i = 0; i < from.rank; i++) {
    reduced[i] = all || whole(seed, 0, 1);
    if (reduced[i] && !all) axes[axis_count++] = whole(seed, 0, 1) ? i : i - from.rank;
  }
  if (axis_count == 0) {
    for (int i = 0; i < from.rank; i++) reduced[i] = true;
  }
  for (int i = 0; i < from.rank; i++) {
    if (reduced[i]) {
      count *= from.dims[i];
      kept.dims[i] = 1;
    }
    if (!reduced[i] || keep) to.dims[to.rank++] = kept.dims[i];
  }
  value x = random_tensor(driver, type, &from, seed,
                          narrow     ? 0.9
                          : integral ? 1
                                     : 0.5,
                          narrow     ? 1.1
                          : integral ? 9
                                     : 2,
                          integral);
  value axes_value = list(driver, axis_count, axes);
  driver_call call = {.op_type = op,
                      .opset = from_input ? 20 : 12,
                      .inputs = {&x, &axes_value},
                      .input_count = from_input && axis_count ? 2 : 1,
                      .output_count = 1,
                      .kernels = kernels,
                      .attributes = {DRIVER_INT("keepdims", keep)}};
  if (!from_input && axis_count) call.attributes[1] = (attribute)DRIVER_INTS("axes", (size_t)axis_count, axes);
  run_well(driver, &call);
  const value *y = &driver->outputs[0];
  const shape actual = shape_of_tensor(&y->tensor);
  assert_true(shape_equal(&actual, &to));
  const int64_t outputs = shape_count(&kept);
  for (int64_t i = 0; i < outputs; i++) sums[i] = first_of(op);
  for (int64_t i = 0; i < shape_count(&from); i++) {
    int64_t at[NORMA_MAX_RANK];
    coordinates(&from, i, at);
    for (int k = 0; k < from.rank; k++) at[k] = reduced[k] ? 0 : at[k];
    double *sum = &sums[place(&kept, at)];
    *sum = join(op, *sum, driver_element(&x, i));
  }
  const double tolerance = type == NORMA_DOUBLE    ? 1e-12
                           : type == NORMA_FLOAT   ? 2e-5
                           : type == NORMA_FLOAT16 ? 2e-3
                                                   : 2e-2;
  for (int64_t i = 0; i < outputs; i++) {
    double expected = finish(op, sums[i], (double)count);
    if (integral) expected = trunc(expected);
    const double found = driver_element(y, i);
    if (expected != found && !(fabs(expected - found) <= tolerance * (fabs(expected) + 0.1)) &&
        !(type == NORMA_FLOAT16 && expected > 65000 && isinf(found))) {
      fail_msg("%s of %s: %.17g, not %.17g", op, norma_element_type_name(type), found, expected);
    }
  }
  value_clear(&x);
  value_clear(&axes_value);
}

static void reductions_of_random_axes(void **state) {
  (void)state;
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_INT32,
                                             NORMA_INT64, NORMA_UINT32, NORMA_UINT64,  NORMA_FLOAT};
  driver driver;
  driver_init(&driver);
  uint64_t seed = 41;
  const struct kernel_table *kernels;
  for (int k = 0; (kernels = driver_kernels(k)); k++) {
    for (size_t r = 0; r < COUNT(reductions); r++) {
      for (int round = 0; round < 40; round++) {
        check_reduction(&driver, reductions[r], types[(size_t)round % COUNT(types)], &seed, kernels);
      }
    }
  }
  driver_finish(&driver);
}

static void reductions_of_nothing(void **state) {
  (void)state;
  static const struct {
    const char *op;
    double of_floats, of_integers;
  } cases[] = {{"ReduceSum", 0, 0},
               {"ReduceProd", 1, 1},
               {"ReduceMax", -INFINITY, INT32_MIN},
               {"ReduceMin", INFINITY, INT32_MAX},
               {"ReduceL1", 0, 0},
               {"ReduceL2", 0, 0},
               {"ReduceSumSquare", 0, 0},
               {"ReduceLogSum", -INFINITY, INT32_MIN}};
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 2, (int64_t[]){2, 0}, NULL), axes = list(&driver, 1, (int64_t[]){1});
  value n = driver_tensor(&driver, NORMA_INT32, 2, (int64_t[]){2, 0}, NULL);
  for (size_t c = 0; c < COUNT(cases); c++) {
    driver_call call = {
        .op_type = cases[c].op, .opset = 20, .inputs = {&x, &axes}, .input_count = 2, .output_count = 1};
    run_well(&driver, &call);
    driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 2, (int64_t[]){2, 1},
                         (double[]){cases[c].of_floats, cases[c].of_floats});
    call.inputs[0] = &n;
    run_well(&driver, &call);
    driver_assert_tensor(&driver.outputs[0], NORMA_INT32, 2, (int64_t[]){2, 1},
                         (double[]){cases[c].of_integers, cases[c].of_integers});
  }
  value_clear(&x);
  value_clear(&n);
  value_clear(&axes);
  driver_finish(&driver);
}

static void reductions_over_no_axes(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_floats(&driver, 1, (int64_t[]){2}, (float[]){-3, 4}), none = list(&driver, 0, NULL);
  driver_call call = {.op_type = "ReduceSumSquare",
                      .opset = 18,
                      .inputs = {&x, &none},
                      .input_count = 2,
                      .output_count = 1,
                      .attributes = {DRIVER_INT("noop_with_empty_axes", 1)}};
  run_well(&driver, &call);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 1, (int64_t[]){2}, (double[]){9, 16});
  call.op_type = "ReduceSum";
  run_well(&driver, &call);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 1, (int64_t[]){2}, (double[]){-3, 4});
  call.attributes[0].i = 0;
  run_well(&driver, &call);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 1, (int64_t[]){1}, (double[]){1});
  value wrong = list(&driver, 1, (int64_t[]){1}), twice = list(&driver, 2, (int64_t[]){0, -1});
  call.inputs[1] = &wrong;
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  call.inputs[1] = &twice;
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  value_clear(&x);
  value_clear(&none);
  value_clear(&wrong);
  value_clear(&twice);
  driver_finish(&driver);
}

static void extremes_keep_not_a_number(void **state) {
  (void)state;
  static const char *const ops[] = {"ReduceMax", "ReduceMin", "ReduceLogSumExp", "ReduceSum"};
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16};
  driver driver;
  driver_init(&driver);
  for (size_t t = 0; t < COUNT(types); t++) {
    value x = driver_tensor(&driver, types[t], 1, (int64_t[]){3}, (double[]){1, NAN, 2});
    for (size_t o = 0; o < COUNT(ops); o++) {
      driver_call call = {.op_type = ops[o], .opset = 20, .inputs = {&x}, .input_count = 1, .output_count = 1};
      run_well(&driver, &call);
      assert_true(isnan(driver_element(&driver.outputs[0], 0)));
    }
    value_clear(&x);
  }
  driver_finish(&driver);
}

/* ----------------------------------------------------------------------------------------------- places of extremes */

static void arg_finds_the_first_or_last(void **state) {
  (void)state;
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_INT8, NORMA_UINT64};
  driver driver;
  driver_init(&driver);
  uint64_t seed = 43;
  for (int round = 0; round < 100; round++) {
    const norma_element_type type = types[(size_t)round % COUNT(types)];
    const shape from = random_shape(&seed, 1, 4);
    const int axis = whole(&seed, 0, from.rank - 1);
    const bool last = whole(&seed, 0, 1), smallest = whole(&seed, 0, 1);
    shape to = from;
    to.dims[axis] = 1;
    value x = random_tensor(&driver, type, &from, &seed, 0, 5, true);
    driver_call call = {.op_type = smallest ? "ArgMin" : "ArgMax",
                        .opset = 13,
                        .inputs = {&x},
                        .input_count = 1,
                        .output_count = 1,
                        .attributes = {DRIVER_INT("axis", axis - from.rank), DRIVER_INT("select_last_index", last)}};
    run_well(&driver, &call);
    for (int64_t i = 0; i < shape_count(&to); i++) {
      int64_t at[NORMA_MAX_RANK], best = 0;
      coordinates(&to, i, at);
      double extreme = 0;
      for (int64_t k = 0; k < from.dims[axis]; k++) {
        at[axis] = k;
        const double element = driver_element(&x, place(&from, at)) * (smallest ? -1 : 1);
        if (k == 0 || element > extreme || (element == extreme && last)) {
          extreme = element;
          best = k;
        }
      }
      assert_int_equal(tensor_get_int64(&driver.outputs[0].tensor, i), best);
    }
    value_clear(&x);
  }
  value empty = driver_floats(&driver, 2, (int64_t[]){2, 0}, NULL);
  driver_call call = {.op_type = "ArgMax",
                      .opset = 13,
                      .inputs = {&empty},
                      .input_count = 1,
                      .output_count = 1,
                      .attributes = {DRIVER_INT("axis", 1)}};
  assert_int_equal(driver_run(&driver, &call), NORMA_ERROR_RUN);
  value_clear(&empty);
  driver_finish(&driver);
}

/* Lines that are searched in pieces, with equal extremes and NaN. */
static void arg_of_long_lines(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  uint64_t seed = 53;
  for (int round = 0; round < 64; round++) {
    const int axis = round & 1;
    const bool last = round & 2, smallest = round & 4, has_nan = round & 8;
    const int64_t rows = whole(&seed, 1, 300), columns = whole(&seed, 1, 300);
    const shape from = {.rank = 2, .dims = {rows, columns}};
    value x = random_tensor(&driver, NORMA_FLOAT, &from, &seed, -3, 3, true);
    float *numbers = x.tensor.data;
    for (int64_t i = 0; has_nan && i < rows * columns; i++) {
      if (whole(&seed, 0, 200) == 0) numbers[i] = NAN;
    }
    driver_call call = {.op_type = smallest ? "ArgMin" : "ArgMax",
                        .opset = 13,
                        .inputs = {&x},
                        .input_count = 1,
                        .output_count = 1,
                        .attributes = {DRIVER_INT("axis", axis), DRIVER_INT("select_last_index", last)}};
    run_well(&driver, &call);
    const int64_t size = from.dims[axis], step = axis ? 1 : columns;
    for (int64_t i = 0; i < from.dims[!axis]; i++) {
      const float *line = numbers + i * (axis ? columns : 1);
      int64_t best = 0;
      for (int64_t k = 1; k < size; k++) {
        const float next = line[k * step], found = line[best * step];
        const bool is_better = isnan(found)    ? isnan(next) && last
                               : isnan(next)   ? true
                               : next == found ? last
                                               : smallest == (next < found);
        if (is_better) best = k;
      }
      assert_int_equal(tensor_get_int64(&driver.outputs[0].tensor, i), best);
    }
    value_clear(&x);
  }
  driver_finish(&driver);
}

static void top_k_sorts(void **state) {
  (void)state;
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_INT16, NORMA_UINT64};
  driver driver;
  driver_init(&driver);
  uint64_t seed = 47;
  for (int round = 0; round < 100; round++) {
    const norma_element_type type = types[(size_t)round % COUNT(types)];
    const shape from = random_shape(&seed, 1, 3);
    const int axis = whole(&seed, 0, from.rank - 1);
    const int64_t k = whole(&seed, 0, (int)from.dims[axis]);
    const bool smallest = whole(&seed, 0, 1);
    shape to = from;
    to.dims[axis] = k;
    value x = random_tensor(&driver, type, &from, &seed, 0, 20, true), count = list(&driver, 1, &k);
    driver_call call = {.op_type = "TopK",
                        .opset = 11,
                        .inputs = {&x, &count},
                        .input_count = 2,
                        .output_count = 2,
                        .attributes = {DRIVER_INT("axis", axis), DRIVER_INT("largest", !smallest)}};
    run_well(&driver, &call);
    const value *values = &driver.outputs[0], *indices = &driver.outputs[1];
    const shape actual = shape_of_tensor(&values->tensor);
    assert_true(shape_equal(&actual, &to));
    for (int64_t i = 0; i < shape_count(&to); i++) {
      int64_t at[NORMA_MAX_RANK], before = 0;
      coordinates(&to, i, at);
      const int64_t rank = at[axis], index = tensor_get_int64(&indices->tensor, i);
      at[axis] = index;
      const double element = driver_element(&x, place(&from, at));
      assert_true(element == driver_element(values, i));
      for (int64_t other = 0; other < from.dims[axis]; other++) { /* how many come before it */
        at[axis] = other;
        const double rival = driver_element(&x, place(&from, at));
        if (rival == element ? other < index : (rival < element) == smallest) before++;
      }
      assert_int_equal(before, rank);
    }
    value_clear(&x);
    value_clear(&count);
  }
  value x = driver_floats(&driver, 1, (int64_t[]){3}, (float[]){1, NAN, -0.0f}), two = list(&driver, 1, (int64_t[]){2});
  value four = list(&driver, 1, (int64_t[]){4}), negative = list(&driver, 1, (int64_t[]){-1});
  driver_call call = {.op_type = "TopK", .opset = 11, .inputs = {&x, &two}, .input_count = 2, .output_count = 2};
  run_well(&driver, &call);
  driver_assert_tensor(&driver.outputs[1], NORMA_INT64, 1, (int64_t[]){2}, (double[]){1, 0});
  call.inputs[1] = &four;
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  call.inputs[1] = &negative;
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  value_clear(&x);
  value_clear(&two);
  value_clear(&four);
  value_clear(&negative);
  driver_finish(&driver);
}

static void running_sums(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value axis = driver_tensor(&driver, NORMA_INT32, 0, NULL, (double[]){-2});
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_BFLOAT16, NORMA_INT32, NORMA_UINT64};
  for (size_t t = 0; t < COUNT(types); t++) {
    value x = driver_tensor(&driver, types[t], 2, (int64_t[]){3, 2}, (double[]){1, 2, 3, 4, 5, 6});
    driver_call call = {.op_type = "CumSum", .opset = 14, .inputs = {&x, &axis}, .input_count = 2, .output_count = 1};
    run_well(&driver, &call);
    driver_assert_tensor(&driver.outputs[0], types[t], 2, (int64_t[]){3, 2}, (double[]){1, 2, 4, 6, 9, 12});
    call.in_place = true;
    call.attributes[0] = (attribute)DRIVER_INT("exclusive", 1);
    call.attributes[1] = (attribute)DRIVER_INT("reverse", 1);
    run_well(&driver, &call);
    driver_assert_tensor(&driver.outputs[0], types[t], 2, (int64_t[]){3, 2}, (double[]){8, 10, 5, 6, 0, 0});
    call.op_type = "CumProd";
    call.opset = 26;
    call.attributes[0].i = 0;
    run_well(&driver, &call);
    driver_assert_tensor(&driver.outputs[0], types[t], 2, (int64_t[]){3, 2}, (double[]){15, 48, 15, 24, 5, 6});
    value_clear(&x);
  }
  value wrong = driver_tensor(&driver, NORMA_INT64, 0, NULL, (double[]){2});
  value x = driver_floats(&driver, 1, (int64_t[]){2}, NULL);
  driver_call call = {.op_type = "CumSum", .opset = 14, .inputs = {&x, &wrong}, .input_count = 2, .output_count = 1};
  assert_int_equal(driver_run(&driver, &call), NORMA_ERROR_RUN);
  value_clear(&axis);
  value_clear(&wrong);
  value_clear(&x);
  driver_finish(&driver);
}

/* ---------------------------------------------------------------------------------------------------------- scatter */

static void scatter_elements_joins(void **state) {
  (void)state;
  static const struct {
    const char *reduction;
    double expected[6];
  } cases[] = {{"none", {30, 2, 3, 4, 20, 6}},
               {"add", {41, 2, 3, 4, 25, 6}},
               {"mul", {300, 2, 3, 4, 100, 6}},
               {"min", {1, 2, 3, 4, 5, 6}},
               {"max", {30, 2, 3, 4, 20, 6}}};
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_FLOAT16, NORMA_INT32, NORMA_UINT64, NORMA_DOUBLE};
  driver driver;
  driver_init(&driver);
  value indices = driver_ints(&driver, 2, (int64_t[]){2, 2}, (int64_t[]){0, -2, -3, 0});
  for (size_t t = 0; t < COUNT(types); t++) {
    value x = driver_tensor(&driver, types[t], 2, (int64_t[]){2, 3}, (double[]){1, 2, 3, 4, 5, 6});
    value index = driver_ints(&driver, 2, (int64_t[]){1, 3}, (int64_t[]){0, 1, 0});
    value first = driver_tensor(&driver, types[t], 2, (int64_t[]){2, 2}, (double[]){10, 20, 10, 20});
    for (size_t c = 0; c < COUNT(cases); c++) { /* on axis 1: (0, 0), (0, 0 again), (1, 1) */
      value twice = driver_ints(&driver, 2, (int64_t[]){2, 2}, (int64_t[]){0, -3, 1, 1});
      value updates = driver_tensor(&driver, types[t], 2, (int64_t[]){2, 2}, (double[]){10, 30, 20, 20});
      driver_call call = {
          .op_type = "ScatterElements",
          .opset = 18,
          .inputs = {&x, &twice, &updates},
          .input_count = 3,
          .output_count = 1,
          .in_place = c % 2 == 0,
          .attributes = {
              DRIVER_INT("axis", 1),
              {.name = "reduction", .kind = ATTRIBUTE_STRING, .s = {cases[c].reduction, strlen(cases[c].reduction)}}}};
      double expected[6];
      memcpy(expected, cases[c].expected, sizeof expected);
      if (c == 1) expected[4] = 45; /* 5 + 20 + 20 */
      if (c == 2) expected[4] = 2000;
      run_well(&driver, &call);
      driver_assert_tensor(&driver.outputs[0], types[t], 2, (int64_t[]){2, 3}, expected);
      value_clear(&twice);
      value_clear(&updates);
    }
    value_clear(&x);
    value_clear(&index);
    value_clear(&first);
  }
  value_clear(&indices);
  driver_finish(&driver);
}

static void scatter_nd_replaces_slices(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value x = driver_tensor(&driver, NORMA_INT4, 2, (int64_t[]){3, 2}, (double[]){1, 2, 3, 4, 5, 6});
  value s = driver_strings(&driver, 1, (int64_t[]){2}, (const char *[]){"a", "b"});
  value rows = driver_ints(&driver, 2, (int64_t[]){2, 1}, (int64_t[]){-1, 0});
  value one = driver_ints(&driver, 2, (int64_t[]){1, 1}, (int64_t[]){1});
  value updates = driver_tensor(&driver, NORMA_INT4, 2, (int64_t[]){2, 2}, (double[]){7, 0, -1, -2});
  value text = driver_strings(&driver, 1, (int64_t[]){1}, (const char *[]){"new"});
  driver_call call = {
      .op_type = "ScatterND", .opset = 18, .inputs = {&x, &rows, &updates}, .input_count = 3, .output_count = 1};
  run_well(&driver, &call);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT4, 2, (int64_t[]){3, 2}, (double[]){-1, -2, 3, 4, 7, 0});
  call.inputs[0] = &s;
  call.inputs[1] = &one;
  call.inputs[2] = &text;
  run_well(&driver, &call);
  const norma_string *strings = driver.outputs[0].tensor.data;
  assert_true(strings[0].size == 1 && strings[1].size == 3 && memcmp(strings[1].data, "new", 3) == 0);
  value wrong = driver_ints(&driver, 2, (int64_t[]){1, 1}, (int64_t[]){2});
  call.inputs[1] = &wrong;
  assert_int_equal(driver_run(&driver, &call), NORMA_ERROR_RUN);
  value_clear(&x);
  value_clear(&s);
  value_clear(&rows);
  value_clear(&one);
  value_clear(&updates);
  value_clear(&text);
  value_clear(&wrong);
  driver_finish(&driver);
}

/* ------------------------------------------------------------------------------------------------------------ other */

static void one_hot(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value indices = driver_ints(&driver, 1, (int64_t[]){3}, (int64_t[]){1, -1, 7}),
        values = list(&driver, 2, (int64_t[]){5, 9});
  value depth = driver_floats(&driver, 0, NULL, (float[]){2});
  driver_call call = {
      .op_type = "OneHot", .opset = 11, .inputs = {&indices, &depth, &values}, .input_count = 3, .output_count = 1};
  run_well(&driver, &call);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 2, (int64_t[]){3, 2}, (double[]){5, 9, 5, 9, 5, 5});
  call.attributes[0] = (attribute)DRIVER_INT("axis", 0);
  run_well(&driver, &call);
  driver_assert_tensor(&driver.outputs[0], NORMA_INT64, 2, (int64_t[]){2, 3}, (double[]){5, 5, 5, 9, 9, 5});
  value huge = driver_ints(&driver, 0, NULL, (int64_t[]){INT64_MAX}),
        negative = driver_ints(&driver, 0, NULL, (int64_t[]){-1});
  call.inputs[1] = &huge;
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  call.inputs[1] = &negative;
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  value_clear(&indices);
  value_clear(&values);
  value_clear(&depth);
  value_clear(&huge);
  value_clear(&negative);
  driver_finish(&driver);
}

static void range(void **state) {
  (void)state;
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16,
                                             NORMA_INT16, NORMA_INT32,  NORMA_INT64};
  driver driver;
  driver_init(&driver);
  for (size_t t = 0; t < COUNT(types); t++) {
    value start = driver_tensor(&driver, types[t], 0, NULL, (double[]){10});
    value limit = driver_tensor(&driver, types[t], 0, NULL, (double[]){3});
    value delta = driver_tensor(&driver, types[t], 0, NULL, (double[]){-3});
    value zero = driver_tensor(&driver, types[t], 0, NULL, (double[]){0});
    driver_call call = {
        .op_type = "Range", .opset = 27, .inputs = {&start, &limit, &delta}, .input_count = 3, .output_count = 1};
    run_well(&driver, &call);
    driver_assert_tensor(&driver.outputs[0], types[t], 1, (int64_t[]){3}, (double[]){10, 7, 4});
    call.inputs[0] = &zero; /* the wrong way */
    run_well(&driver, &call);
    driver_assert_tensor(&driver.outputs[0], types[t], 1, (int64_t[]){0}, NULL);
    call.inputs[2] = &zero;
    assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
    value_clear(&start);
    value_clear(&limit);
    value_clear(&delta);
    value_clear(&zero);
  }
  value low = driver_ints(&driver, 0, NULL, (int64_t[]){INT64_MIN}),
        high = driver_ints(&driver, 0, NULL, (int64_t[]){INT64_MAX});
  value step = driver_ints(&driver, 0, NULL, (int64_t[]){INT64_MAX}),
        one = driver_ints(&driver, 0, NULL, (int64_t[]){1});
  driver_call call = {
      .op_type = "Range", .opset = 11, .inputs = {&low, &high, &step}, .input_count = 3, .output_count = 1};
  run_well(&driver, &call);
  assert_int_equal(driver.outputs[0].tensor.dims[0], 3);
  call.inputs[2] = &one;
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  value nan_value = driver_floats(&driver, 0, NULL, (float[]){NAN}),
        unit = driver_floats(&driver, 0, NULL, (float[]){1});
  call.inputs[0] = call.inputs[2] = &unit;
  call.inputs[1] = &nan_value;
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  value_clear(&low);
  value_clear(&high);
  value_clear(&step);
  value_clear(&one);
  value_clear(&nan_value);
  value_clear(&unit);
  driver_finish(&driver);
}

static void triangles_and_diagonals(void **state) {
  (void)state;
  static const int64_t diagonals[] = {0, 1, -1, 5, -5, INT64_MAX, INT64_MIN};
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_UINT8, NORMA_DOUBLE, NORMA_BOOL, NORMA_INT4};
  driver driver;
  driver_init(&driver);
  for (size_t t = 0; t < COUNT(types); t++) {
    double ones[24];
    for (int i = 0; i < 24; i++) ones[i] = 1;
    value x = driver_tensor(&driver, types[t], 3, (int64_t[]){2, 3, 4}, ones);
    value flat = driver_tensor(&driver, types[t], 2, (int64_t[]){3, 4}, ones);
    for (size_t d = 0; d < COUNT(diagonals); d++) {
      const int64_t k = diagonals[d];
      value diagonal = driver_ints(&driver, 0, NULL, &k);
      for (int upper = 0; upper < 2; upper++) {
        driver_call call = {.op_type = "Trilu",
                            .opset = 14,
                            .inputs = {&x, &diagonal},
                            .input_count = 2,
                            .output_count = 1,
                            .attributes = {DRIVER_INT("upper", upper)}};
        run_well(&driver, &call);
        for (int64_t i = 0; i < 24; i++) {
          const int64_t offset = i % 4 - i / 4 % 3;
          assert_true(driver_element(&driver.outputs[0], i) == (upper ? offset >= k : offset <= k));
        }
      }
      if (types[t] != NORMA_INT4) {
        driver_call call = {.op_type = "EyeLike",
                            .opset = 22,
                            .inputs = {&flat},
                            .input_count = 1,
                            .output_count = 1,
                            .attributes = {DRIVER_INT("k", k), DRIVER_INT("dtype", NORMA_INT32)}};
        run_well(&driver, &call);
        assert_int_equal(driver.outputs[0].tensor.type, NORMA_INT32);
        for (int64_t i = 0; i < 12; i++) assert_true(driver_element(&driver.outputs[0], i) == (i % 4 - i / 4 == k));
      }
      value_clear(&diagonal);
    }
    value_clear(&x);
    value_clear(&flat);
  }
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reductions_of_random_axes),
      cmocka_unit_test(reductions_of_nothing),
      cmocka_unit_test(reductions_over_no_axes),
      cmocka_unit_test(extremes_keep_not_a_number),
      cmocka_unit_test(arg_finds_the_first_or_last),
      cmocka_unit_test(arg_of_long_lines),
      cmocka_unit_test(top_k_sorts),
      cmocka_unit_test(running_sums),
      cmocka_unit_test(scatter_elements_joins),
      cmocka_unit_test(scatter_nd_replaces_slices),
      cmocka_unit_test(one_hot),
      cmocka_unit_test(range),
      cmocka_unit_test(triangles_and_diagonals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
