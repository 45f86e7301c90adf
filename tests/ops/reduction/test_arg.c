/* ArgMax and ArgMin: where the largest or smallest element lies along an axis, the first one or the last. */
#include "tests/support/builtin_operator.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

typedef struct arg_case {
  bool smallest, last, keeps;
  int axis;
} arg_case;

/* Whether the next element takes the place of the best so far; NaN counts as the extreme, as in NumPy. */
static bool is_better(const arg_case *c, double next, double best) {
  if (isnan(best)) return isnan(next) && c->last;
  if (isnan(next)) return true;
  return next == best ? c->last : c->smallest ? next < best : next > best;
}

static void check_arg(workbench *bench, const arg_case *c, const value *x, int64_t opset, int64_t given_axis) {
  const shape from = shape_of_tensor(&x->tensor);
  shape kept = from, to = {0};
  kept.dims[c->axis] = 1;
  for (int i = 0; i < from.rank; i++) {
    if (i != c->axis || c->keeps) to.dims[to.rank++] = kept.dims[i];
  }
  int64_t *expected = malloc(sizeof *expected * (size_t)(shape_count(&kept) + 1));
  for (int64_t i = 0; i < shape_count(&kept); i++) {
    int64_t at[NORMA_MAX_RANK], found = 0;
    double best = 0;
    shape_coordinates(&kept, i, at);
    for (int64_t k = 0; k < from.dims[c->axis]; k++) {
      at[c->axis] = k;
      const double element = driver_element(x, shape_place(&from, at));
      if (k > 0 && !is_better(c, element, best)) continue;
      best = element;
      found = k;
    }
    expected[i] = found;
  }
  driver_call call = CALL(c->smallest ? "ArgMin" : "ArgMax", opset, x);
  int attributes = 0;
  if (given_axis) call.attributes[attributes++] = (attribute)DRIVER_INT("axis", given_axis);
  if (!c->keeps) call.attributes[attributes++] = (attribute)DRIVER_INT("keepdims", 0);
  if (c->last) call.attributes[attributes] = (attribute)DRIVER_INT("select_last_index", 1);
  check_ints(bench_run(bench, &call), to, expected);
  free(expected);
}

static arg_case random_case(uint64_t *seed, int rank) {
  return (arg_case){random_int(seed, 0, 1), random_int(seed, 0, 1), random_int(seed, 0, 1),
                    (int)random_int(seed, 0, rank - 1)};
}

static void every_type_and_axis(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int round = 0; round < 10; round++) {
      FOR_TYPES(type, TYPES_NUMERIC) {
        shape from = random_shape(&bench.seed, 1, 4, 4000);
        const arg_case c = random_case(&bench.seed, from.rank);
        if (from.dims[c.axis] == 0) from.dims[c.axis] = 2;
        const bool is_unsigned = (TYPE_BIT(type) & TYPES_UNSIGNED) != 0;
        const value *x = bench_random(&bench, type, from, is_unsigned ? 0 : -3, 3); /* many are equal */
        for (int64_t i = 0; i < norma_tensor_count(&x->tensor); i++) {
          element_set_double(type, x->tensor.data, i, floor(driver_element(x, i)));
        }
        check_arg(&bench, &c, x, 13, round % 2 ? c.axis : c.axis - from.rank);
        bench_clear(&bench);
      }
    }
  }
  bench_finish(&bench);
}

/* Lines and columns of floats that are searched in pieces, with equal extremes and NaN. */
static void long_lines(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int round = 0; round < 64; round++) {
      const shape from = SHAPE(random_int(&bench.seed, 1, 300), random_int(&bench.seed, 1, 600));
      const arg_case c = {round & 1, round & 2, true, round >> 2 & 1};
      const value *x = bench_random(&bench, NORMA_FLOAT, from, -3, 3);
      float *numbers = x->tensor.data;
      for (int64_t i = 0; i < shape_count(&from); i++) {
        numbers[i] = floorf(numbers[i]);
        if ((round & 8) && random_int(&bench.seed, 0, 200) == 0) numbers[i] = NAN;
      }
      check_arg(&bench, &c, x, 13, c.axis);
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

static void limits(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    FOR_TYPES(type, TYPES_FLOAT) {
      for (int way = 0; way < 4; way++) {
        for (int columns = 1; columns < 3; columns++) {
          const arg_case c = {way & 1, way & 2, true, 0};
          const shape from = columns == 1 ? SHAPE(6) : SHAPE(6, 2);
          double elements[3][12];
          for (int i = 0; i < 12; i++) {
            const int row = i / columns % 6;
            elements[0][i] = (const double[]){-INFINITY, INFINITY, 1, -INFINITY, INFINITY, 0}[row];
            elements[1][i] = (const double[]){0, -0.0, 0, -0.0, 0, -0.0}[row]; /* equal */
            elements[2][i] = (const double[]){1, NAN, 2, NAN, INFINITY, -INFINITY}[row];
          }
          for (int e = 0; e < 3; e++) check_arg(&bench, &c, bench_tensor(&bench, type, from, elements[e]), 13, 0);
        }
      }
      bench_clear(&bench);
    }
  }
  /* Neighbours that double cannot tell apart. */
  value *u = bench_make(&bench, NORMA_UINT64, SHAPE(3));
  const uint64_t us[] = {UINT64_MAX - 1, UINT64_MAX, 1};
  memcpy(u->tensor.data, us, sizeof us);
  driver_call call = CALL("ArgMax", 13, u);
  check_ints(bench_run(&bench, &call), SHAPE(1), (const int64_t[]){1});
  call.inputs[0] = bench_list(&bench, INT64_MIN + 1, INT64_MAX, INT64_MIN);
  check_ints(bench_run(&bench, &call), SHAPE(1), (const int64_t[]){1});
  call.op_type = "ArgMin";
  check_ints(bench_run(&bench, &call), SHAPE(1), (const int64_t[]){2});
  bench_finish(&bench);
}

static void every_version(void **state) {
  const operator_descriptor *op = builtin_operator("", "ArgMax");
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int v = 0; op->versions[v]; v++) {
    const arg_case c = {.keeps = true}, last = {.keeps = true, .last = true};
    const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(3, 2), NUMBERS(1, 5, 4, 5, 4, 0));
    check_arg(&bench, &c, x, op->versions[v], 0); /* the axis is 0 by default */
    if (op->versions[v] >= 12) {
      check_arg(&bench, &last, x, op->versions[v], 0);
    } else {
      driver_call call = CALL("ArgMax", op->versions[v], x);
      call.attributes[0] = (attribute)DRIVER_INT("select_last_index", 1);
      bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute select_last_index");
    }
  }
  bench_finish(&bench);
}

static void nothing_has_no_extreme(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  driver_call call = CALL("ArgMax", 13, bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 0), NULL));
  check_ints(bench_run(&bench, &call), SHAPE(1, 0), NULL); /* of each of no columns */
  call.attributes[0] = (attribute)DRIVER_INT("axis", 1);
  bench_refuse(&bench, &call, NORMA_ERROR_RUN, "there is no extreme of no elements");
  static const int64_t outside[] = {2, -3, INT64_MAX, INT64_MIN};
  for (size_t i = 0; i < COUNT(outside); i++) {
    call.attributes[0].i = outside[i];
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "is outside a tensor of rank 2");
  }
  call = CALL("ArgMax", 13, bench_tensor(&bench, NORMA_FLOAT, SCALAR, NULL));
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "is outside a tensor of rank 0");
  call = CALL("ArgMax", 13, bench_tensor(&bench, NORMA_BOOL, SHAPE(2), NULL));
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "element type bool");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_and_axis),
      cmocka_unit_test(long_lines),
      cmocka_unit_test(limits),
      cmocka_unit_test(every_version),
      cmocka_unit_test(nothing_has_no_extreme),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
