/* Reductions along any axes, against sums in double precision and exact integers. */
#include "tests/support/builtin_operator.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

#define REDUCE_TYPES                                                                                                   \
  (TYPES_FLOAT | TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64) | TYPE_BIT(NORMA_UINT32) | TYPE_BIT(NORMA_UINT64))
#define EXTREME_TYPES (REDUCE_TYPES | TYPE_BIT(NORMA_INT8) | TYPE_BIT(NORMA_UINT8) | TYPE_BIT(NORMA_BOOL))

enum reduction { SUM, MEAN, PRODUCT, MAXIMUM, MINIMUM, L1, L2, LOG_SUM, LOG_SUM_EXP, SUM_SQUARE, REDUCTION_COUNT };

static const char *const names[REDUCTION_COUNT] = {"ReduceSum",       "ReduceMean",     "ReduceProd", "ReduceMax",
                                                   "ReduceMin",       "ReduceL1",       "ReduceL2",   "ReduceLogSum",
                                                   "ReduceLogSumExp", "ReduceSumSquare"};

static type_mask types_of(enum reduction reduction) {
  return reduction == MAXIMUM || reduction == MINIMUM ? EXTREME_TYPES : REDUCE_TYPES;
}

static double join(enum reduction reduction, double sum, double x) {
  switch (reduction) {
  case PRODUCT:
    return sum * x;
  case MAXIMUM:
    return fmax(sum, x);
  case MINIMUM:
    return fmin(sum, x);
  case L1:
    return sum + fabs(x);
  case L2:
  case SUM_SQUARE:
    return sum + x * x;
  case LOG_SUM_EXP:
    return sum + exp(x);
  default:
    return sum + x;
  }
}

static double begin_with(enum reduction reduction) {
  return reduction == PRODUCT ? 1 : reduction == MAXIMUM ? -INFINITY : reduction == MINIMUM ? INFINITY : 0;
}

static double finish(enum reduction reduction, double sum, double count) {
  switch (reduction) {
  case MEAN:
    return sum / count;
  case L2:
    return sqrt(sum);
  case LOG_SUM:
  case LOG_SUM_EXP:
    return log(sum);
  default:
    return sum;
  }
}

/* Which dimensions are reduced, and what is left of the shape. */
typedef struct reduced_axes {
  int64_t axes[NORMA_MAX_RANK];
  int count;
  bool reduced[NORMA_MAX_RANK];
  shape kept;
} reduced_axes;

static reduced_axes random_axes(uint64_t *seed, const shape *from) {
  reduced_axes made = {.kept = *from};
  for (int i = from->rank - 1; i >= 0; i--) { /* in any order */
    if (random_int(seed, 0, 1) == 0) continue;
    made.axes[made.count++] = random_int(seed, 0, 1) ? i : i - from->rank;
    made.reduced[i] = true;
  }
  for (int i = 0; i < from->rank; i++) {
    if (made.count == 0) made.reduced[i] = true; /* without axes all are */
    if (made.reduced[i]) made.kept.dims[i] = 1;
  }
  return made;
}

/* What comes out for an output of shape axes->kept; integers must not wrap around. */
static double *reference(enum reduction reduction, const value *x, const reduced_axes *axes) {
  const shape from = shape_of_tensor(&x->tensor);
  const int64_t outputs = shape_count(&axes->kept);
  double *sums = malloc(sizeof *sums * (size_t)(outputs + 1));
  for (int64_t i = 0; i < outputs; i++) sums[i] = begin_with(reduction);
  for (int64_t i = 0; i < shape_count(&from); i++) {
    int64_t at[NORMA_MAX_RANK];
    shape_coordinates(&from, i, at);
    for (int k = 0; k < from.rank; k++) at[k] = axes->reduced[k] ? 0 : at[k];
    double *sum = &sums[shape_place(&axes->kept, at)];
    *sum = join(reduction, *sum, driver_element(x, i));
  }
  for (int64_t i = 0; i < outputs; i++) {
    sums[i] = finish(reduction, sums[i], (double)shape_count(&from) / (double)outputs);
    if (TYPE_BIT(x->tensor.type) & TYPES_INTEGER) sums[i] = trunc(sums[i]);
  }
  return sums;
}

static driver_call reduce_call(workbench *bench, enum reduction reduction, int64_t opset, const value *x,
                               const reduced_axes *axes) {
  driver_call call = CALL(names[reduction], opset, x);
  const bool by_input = opset >= (reduction == SUM ? 13 : 18);
  if (axes->count > 0 && by_input) call.inputs[call.input_count++] = bench_ints(bench, SHAPE(axes->count), axes->axes);
  if (axes->count > 0 && !by_input)
    call.attributes[0] = (attribute)DRIVER_INTS("axes", (size_t)axes->count, axes->axes);
  return call;
}

static double tolerance_of(norma_element_type type) {
  return type == NORMA_FLOAT ? 1e-5 : type == NORMA_DOUBLE ? 1e-12 : 2 * rounding_error(type);
}

static void check_reduction(workbench *bench, enum reduction reduction, norma_element_type type, shape from,
                            const reduced_axes *axes, int64_t opset) {
  const bool whole = (TYPE_BIT(type) & TYPES_INTEGER) != 0, is_product = reduction == PRODUCT;
  const double low = type == NORMA_BOOL ? 0
                     : is_product       ? 0.95
                     : whole            ? 1
                                        : 0.25,
               high = type == NORMA_BOOL ? 2
                      : is_product       ? 1.05
                      : whole            ? 9
                                         : 2;
  const value *x = bench_random(bench, type, from, low, high);
  for (int64_t i = 0; i < norma_tensor_count(&x->tensor) && whole && is_product; i++) { /* products of some twos */
    element_set_double(type, x->tensor.data, i, i % 7 == 0 && i < 100 ? 2 : 1);
  }
  double *expected = reference(reduction, x, axes);
  driver_call call = reduce_call(bench, reduction, opset, x, axes);
  check_near(names[reduction], bench_run(bench, &call), type, axes->kept, expected,
             whole || type == NORMA_BOOL ? 0 : tolerance_of(type));
  call.attributes[1] = (attribute)DRIVER_INT("keepdims", 0);
  if (!call.attributes[0].name) call.attributes[0] = call.attributes[1];
  if (call.attributes[0].kind == ATTRIBUTE_INT) call.attributes[1] = (attribute){0};
  shape left = {0};
  for (int i = 0; i < from.rank; i++) {
    if (!axes->reduced[i]) left.dims[left.rank++] = from.dims[i];
  }
  check_near(names[reduction], bench_run(bench, &call), type, left, expected,
             whole || type == NORMA_BOOL ? 0 : tolerance_of(type));
  free(expected);
  bench_clear(bench);
}

static void every_reduction_type_and_axis(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int r = 0; r < REDUCTION_COUNT; r++) {
      for (int round = 0; round < 8; round++) {
        FOR_TYPES(type, types_of((enum reduction)r)) {
          shape from;
          do {
            from = random_shape(&bench.seed, 0, 5, 3000);
          } while (shape_count(&from) == 0);
          const reduced_axes axes = random_axes(&bench.seed, &from);
          check_reduction(&bench, (enum reduction)r, type, from, &axes, round % 2 ? 20 : 12);
        }
      }
    }
  }
  bench_finish(&bench);
}

/* Rows and columns that are cut in pieces, dimensions in between, and everything. */
static void large_tensors(void **state) {
  static const struct {
    shape from;
    bool reduced[4];
  } cases[] = {{{2, {3, 20000}}, {false, true}},
               {{2, {130, 600}}, {true, false}},
               {{3, {20, 40, 30}}, {false, true, false}},
               {{3, {20, 40, 30}}, {true, false, true}},
               {{4, {2, 20, 30, 30}}, {false, false, true, true}},
               {{4, {5, 33, 7, 17}}, {true, false, true, true}},
               {{1, {40000}}, {true}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int r = 0; r < REDUCTION_COUNT; r++) {
      for (size_t c = 0; c < COUNT(cases); c++) {
        reduced_axes axes = {.kept = cases[c].from};
        for (int i = 0; i < cases[c].from.rank; i++) {
          axes.reduced[i] = cases[c].reduced[i];
          if (axes.reduced[i]) axes.axes[axes.count++] = i;
          if (axes.reduced[i]) axes.kept.dims[i] = 1;
        }
        const norma_element_type type = r == PRODUCT ? NORMA_DOUBLE : NORMA_FLOAT; /* products grow too far */
        check_reduction(&bench, (enum reduction)r, type, cases[c].from, &axes, 20);
      }
    }
  }
  bench_finish(&bench);
}

static void every_version(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int r = 0; r < REDUCTION_COUNT; r++) {
    const operator_descriptor *op = builtin_operator("", names[r]);
    for (int v = 0; op->versions[v]; v++) {
      const reduced_axes axes = {{0, -1}, 2, {true, false, true}, SHAPE(1, 3, 1)};
      check_reduction(&bench, (enum reduction)r, NORMA_FLOAT, SHAPE(2, 3, 4), &axes, op->versions[v]);
    }
  }
  bench_finish(&bench);
}

/* ----------------------------------------------------------------------------------------------------------- limits */

static void nothing_is_the_neutral_element(void **state) {
  static const struct {
    enum reduction reduction;
    double of_floats;
    int64_t of_int32;
  } cases[] = {{SUM, 0, 0},
               {PRODUCT, 1, 1},
               {MAXIMUM, -INFINITY, INT32_MIN},
               {MINIMUM, INFINITY, INT32_MAX},
               {L1, 0, 0},
               {L2, 0, 0},
               {SUM_SQUARE, 0, 0},
               {LOG_SUM, -INFINITY, INT32_MIN},
               {LOG_SUM_EXP, -INFINITY, INT32_MIN},
               {MEAN, NAN, 0}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const reduced_axes axes = {.axes = {1}, .count = 1};
  for (size_t c = 0; c < COUNT(cases); c++) {
    FOR_TYPES(type, TYPES_FLOAT) {
      driver_call call =
          reduce_call(&bench, cases[c].reduction, 20, bench_tensor(&bench, type, SHAPE(2, 0), NULL), &axes);
      check_tensor(bench_run(&bench, &call), type, SHAPE(2, 1), NUMBERS(cases[c].of_floats, cases[c].of_floats));
      call.inputs[0] = bench_tensor(&bench, type, SHAPE(0, 3), NULL); /* of which there are none */
      check_tensor(bench_run(&bench, &call), type, SHAPE(0, 1), NULL);
    }
    driver_call call =
        reduce_call(&bench, cases[c].reduction, 20, bench_tensor(&bench, NORMA_INT32, SHAPE(1, 0), NULL), &axes);
    check_tensor(bench_run(&bench, &call), NORMA_INT32, SHAPE(1, 1), NUMBERS((double)cases[c].of_int32));
  }
  FOR_TYPES(type, EXTREME_TYPES & ~TYPES_FLOAT) { /* the ends of each type */
    const bool has_sign = (TYPE_BIT(type) & TYPES_SIGNED) != 0;
    const int bits = type == NORMA_BOOL ? 1 : element_type_bits(type);
    const int64_t most = (int64_t)(UINT64_MAX >> (64 - bits + has_sign)), least = has_sign ? -most - 1 : 0;
    driver_call call = reduce_call(&bench, MAXIMUM, 20, bench_tensor(&bench, type, SHAPE(1, 0), NULL), &axes);
    assert_true(tensor_get_int64(&bench_run(&bench, &call)->tensor, 0) == least);
    call.op_type = names[MINIMUM];
    assert_true(tensor_get_int64(&bench_run(&bench, &call)->tensor, 0) == most);
  }
  bench_finish(&bench);
}

static void integers_wrap_around(void **state) {
  static const struct {
    enum reduction reduction;
    int64_t elements[3], expected;
  } cases[] = {{SUM, {INT32_MAX, 1, 1}, (int64_t)INT32_MIN + 1},
               {PRODUCT, {65536, 65536, 3}, 0},
               {SUM_SQUARE, {65536, 2, 1}, 5},
               {L1, {INT32_MIN, 0, 0}, INT32_MIN},
               {MEAN, {-5, -5, 3}, -2},
               {MEAN, {INT32_MAX, INT32_MAX, INT32_MAX}, INT32_MAX}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t c = 0; c < COUNT(cases); c++) {
    value *x = bench_make(&bench, NORMA_INT32, SHAPE(3));
    for (int i = 0; i < 3; i++) ((int32_t *)x->tensor.data)[i] = (int32_t)cases[c].elements[i];
    driver_call call = CALL(names[cases[c].reduction], 18, x);
    check_tensor(bench_run(&bench, &call), NORMA_INT32, SHAPE(1), NUMBERS((double)cases[c].expected));
  }
  driver_call call = CALL("ReduceSum", 13, bench_list(&bench, INT64_MAX, 1));
  check_ints(bench_run(&bench, &call), SHAPE(1), (const int64_t[]){INT64_MIN});
  call = CALL("ReduceMax", 13, bench_list(&bench, INT64_MAX - 1, INT64_MAX));
  check_ints(bench_run(&bench, &call), SHAPE(1), (const int64_t[]){INT64_MAX});
  value *u = bench_make(&bench, NORMA_UINT64, SHAPE(2));
  ((uint64_t *)u->tensor.data)[0] = UINT64_MAX;
  ((uint64_t *)u->tensor.data)[1] = UINT64_MAX;
  static const struct {
    enum reduction reduction;
    uint64_t expected;
  } of_unsigned[] = {{MAXIMUM, UINT64_MAX},
                     {MINIMUM, UINT64_MAX},
                     {SUM, UINT64_MAX - 1},
                     {MEAN, (UINT64_MAX - 1) / 2},
                     {L1, UINT64_MAX - 1}};
  for (size_t c = 0; c < COUNT(of_unsigned); c++) {
    call = CALL(names[of_unsigned[c].reduction], 18, u);
    assert_true(*(const uint64_t *)bench_run(&bench, &call)->tensor.data == of_unsigned[c].expected);
  }
  bench_finish(&bench);
}

static void not_a_number_stays(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int r = 0; r < REDUCTION_COUNT; r++) {
      FOR_TYPES(type, TYPES_FLOAT) {
        for (int place = 0; place < 40; place += 13) {
          double elements[40];
          for (int i = 0; i < 40; i++) elements[i] = i == place ? (double)NAN : 1;
          driver_call call = CALL(names[r], 20, bench_tensor(&bench, type, SHAPE(40), elements));
          check_tensor(bench_run(&bench, &call), type, SHAPE(1), NUMBERS(NAN));
          const reduced_axes columns = {.axes = {0}, .count = 1};
          call =
              reduce_call(&bench, (enum reduction)r, 20, bench_tensor(&bench, type, SHAPE(20, 2), elements), &columns);
          const value *y = bench_run(&bench, &call);
          assert_true(isnan(driver_element(y, place % 2)) && !isnan(driver_element(y, 1 - place % 2)));
        }
      }
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

static void infinities_and_large_numbers(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, TYPES_FLOAT) {
    const double cases[][4] = {{LOG_SUM_EXP, 1000, 1000, 1000 + 0.69314718055994531},
                               {LOG_SUM_EXP, -1000, -1000, -1000 + 0.69314718055994531},
                               {LOG_SUM_EXP, -INFINITY, -INFINITY, -INFINITY},
                               {LOG_SUM_EXP, INFINITY, 1, INFINITY},
                               {SUM, INFINITY, -INFINITY, NAN},
                               {MAXIMUM, -INFINITY, -INFINITY, -INFINITY},
                               {MINIMUM, INFINITY, INFINITY, INFINITY},
                               {L1, -INFINITY, 1, INFINITY},
                               {LOG_SUM, -1, 0, NAN},
                               {LOG_SUM, 0, 0, -INFINITY}};
    for (size_t c = 0; c < COUNT(cases); c++) {
      driver_call call = CALL(names[(int)cases[c][0]], 20, bench_tensor(&bench, type, SHAPE(2), cases[c] + 1));
      check_near(call.op_type, bench_run(&bench, &call), type, SHAPE(1), cases[c] + 3, type_tolerance(type));
    }
  }
  bench_finish(&bench);
}

/* With noop_with_empty_axes nothing is summed up, but single elements still are squared, and so on. */
static void no_axes_may_mean_none(void **state) {
  static const double alone[REDUCTION_COUNT][2] = {
      [SUM] = {3, 4},         [MEAN] = {3, 4},
      [PRODUCT] = {3, 4},     [MAXIMUM] = {3, 4},
      [MINIMUM] = {3, 4},     [L1] = {3, 4},
      [L2] = {3, 4},          [LOG_SUM] = {1.0986122886681098, 1.3862943611198906},
      [LOG_SUM_EXP] = {3, 4}, [SUM_SQUARE] = {9, 16}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *none = bench_ints(&bench, SHAPE(0), NULL);
  for (int r = 0; r < REDUCTION_COUNT; r++) {
    FOR_TYPES(type, TYPES_FLOAT) {
      driver_call call = CALL(names[r], 18, bench_tensor(&bench, type, SHAPE(2), NUMBERS(3, 4)), none);
      call.attributes[0] = (attribute)DRIVER_INT("noop_with_empty_axes", 1);
      check_near(names[r], bench_run(&bench, &call), type, SHAPE(2), alone[r], type_tolerance(type));
      call.input_count = 1; /* absent axes are as empty ones */
      check_near(names[r], bench_run(&bench, &call), type, SHAPE(2), alone[r], type_tolerance(type));
      call.attributes[0].i = 0;
      check_tensor(bench_run(&bench, &call), type, SHAPE(1), NULL);
    }
  }
  bench_finish(&bench);
}

static void axes_that_do_not_fit_are_refused(void **state) {
  static const struct {
    int count;
    int64_t axes[2];
  } cases[] = {{1, {2}}, {1, {-3}}, {2, {0, -2}}, {1, {INT64_MAX}}, {1, {INT64_MIN}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 3), NULL);
  for (int r = 0; r < REDUCTION_COUNT; r++) {
    for (size_t c = 0; c < COUNT(cases); c++) {
      driver_call call = CALL(names[r], 18, x, bench_ints(&bench, SHAPE(cases[c].count), cases[c].axes));
      bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "axes do not fit rank 2");
      call = CALL(names[r], 11, x);
      call.attributes[0] = (attribute)DRIVER_INTS("axes", (size_t)cases[c].count, cases[c].axes);
      bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "axes do not fit rank 2");
    }
    driver_call call = CALL(names[r], 18, x);
    call.attributes[0] = (attribute)DRIVER_INTS("axes", 1, cases[0].axes);
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute axes");
    call = CALL(names[r], 18, bench_tensor(&bench, NORMA_INT16, SHAPE(2), NULL));
    bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "element type int16");
    call = CALL(names[r], 18, x, bench_tensor(&bench, NORMA_INT32, SHAPE(1), NULL));
    bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "element type int32");
    call = CALL(names[r], 18, x, bench_ints(&bench, SHAPE(1, 1), NULL));
    bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "must be a list");
    bench_clear(&bench);
    x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 3), NULL);
  }
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_reduction_type_and_axis),
      cmocka_unit_test(large_tensors),
      cmocka_unit_test(every_version),
      cmocka_unit_test(nothing_is_the_neutral_element),
      cmocka_unit_test(integers_wrap_around),
      cmocka_unit_test(not_a_number_stays),
      cmocka_unit_test(infinities_and_large_numbers),
      cmocka_unit_test(no_axes_may_mean_none),
      cmocka_unit_test(axes_that_do_not_fit_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
