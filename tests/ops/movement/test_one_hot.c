/* OneHot: vectors of "off" but for one "on", of every type. */
#include "tests/support/builtin_operator.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

static void check_random(workbench *bench, norma_element_type type, norma_element_type index_type, int opset) {
  const shape from = random_shape(&bench->seed, 0, 3, 200);
  const int axis = (int)random_int(&bench->seed, 0, from.rank);
  const int64_t depth = random_int(&bench->seed, 0, 6);
  const bool is_unsigned = (TYPE_BIT(index_type) & TYPES_UNSIGNED) != 0;
  shape to = shape_of_rank(from.rank + 1);
  for (int i = 0; i < to.rank; i++) to.dims[i] = i == axis ? depth : from.dims[i < axis ? i : i - 1];
  const value *indices = bench_random(bench, index_type, from, is_unsigned ? 0 : -9, 9);
  const value *values = bench_numbered(bench, type, SHAPE(2));
  driver_call call =
      CALL("OneHot", opset, indices, bench_tensor(bench, NORMA_FLOAT, SCALAR, NUMBERS((double)depth)), values);
  call.attributes[0] = (attribute)DRIVER_INT("axis", random_int(&bench->seed, 0, 1) ? axis : axis - to.rank);
  const value *y = bench_run(bench, &call);
  check_tensor(y, type, to, NULL);
  for (int64_t i = 0; i < shape_count(&to); i++) {
    int64_t at[NORMA_MAX_RANK], place = 0;
    shape_coordinates(&to, i, at);
    for (int k = 0; k < to.rank; k++) place = k == axis ? place : place * to.dims[k] + at[k];
    const int64_t index = (int64_t)driver_element(indices, place); /* truncated */
    const bool is_on = at[axis] == index || (opset >= 11 && index < 0 && at[axis] == index + depth);
    assert_true(same_element(y, i, values, is_on));
  }
  bench_clear(bench);
}

/* Negative indices count from the end since version 11; before, they lie outside, as others do, and give off. */
static void every_type(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 4; round++) {
    FOR_TYPES(type, TYPES_ALL) {
      FOR_TYPES(index_type, TYPES_NUMERIC) check_random(&bench, type, index_type, round % 2 ? 9 : round ? 11 : 28);
    }
  }
  bench_finish(&bench);
}

static void limits_of_indices(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *depth = bench_int(&bench, 2), *values = bench_tensor(&bench, NORMA_INT8, SHAPE(2), NUMBERS(5, 9));
  driver_call call = CALL("OneHot", 11, bench_list(&bench, INT64_MIN, INT64_MAX, -2, -3, 2), depth, values);
  check_tensor(bench_run(&bench, &call), NORMA_INT8, SHAPE(5, 2), NUMBERS(5, 5, 5, 5, 9, 5, 5, 5, 5, 5));
  value *u = bench_make(&bench, NORMA_UINT64, SHAPE(1));
  *(uint64_t *)u->tensor.data = UINT64_MAX; /* no -1 */
  call.inputs[0] = u;
  check_tensor(bench_run(&bench, &call), NORMA_INT8, SHAPE(1, 2), NUMBERS(5, 5));
  FOR_TYPES(type, TYPES_FLOAT) { /* truncated; what is no number lies outside, or is 0 */
    call.inputs[0] = bench_tensor(&bench, type, SHAPE(4), NUMBERS(1.75, -1.5, INFINITY, -INFINITY));
    check_tensor(bench_run(&bench, &call), NORMA_INT8, SHAPE(4, 2), NUMBERS(5, 9, 5, 9, 5, 5, 5, 5));
  }
  bench_finish(&bench);
}

static void what_makes_no_sense_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *indices = bench_list(&bench, 0, 1), *values = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NULL);
  static const struct {
    int64_t depth;
    norma_status status;
    const char *words;
  } depths[] = {{-1, NORMA_ERROR_INPUT, "depth is -1"},
                {INT64_MIN, NORMA_ERROR_INPUT, "depth is"},
                {INT64_MAX, NORMA_ERROR_BUDGET, "too large"}};
  for (size_t i = 0; i < COUNT(depths); i++) {
    driver_call call = CALL("OneHot", 11, indices, bench_int(&bench, depths[i].depth), values);
    bench_refuse(&bench, &call, depths[i].status, depths[i].words);
  }
  driver_call call = CALL("OneHot", 11, indices, bench_list(&bench, 2, 2), values);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "depth must be one number");
  call = CALL("OneHot", 11, indices, bench_int(&bench, 2), bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NULL));
  bench_refuse(&bench, &call, NORMA_ERROR_RUN, "values must hold off and on");
  static const int64_t outside[] = {2, -3, INT64_MAX};
  for (size_t i = 0; i < COUNT(outside); i++) {
    call = CALL("OneHot", 11, indices, bench_int(&bench, 2), values);
    call.attributes[0] = (attribute)DRIVER_INT("axis", outside[i]);
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "does not fit indices of rank 1");
  }
  call = CALL("OneHot", 11, bench_tensor(&bench, NORMA_BOOL, SHAPE(2), NULL), bench_int(&bench, 2), values);
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "element type bool");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type),
      cmocka_unit_test(limits_of_indices),
      cmocka_unit_test(what_makes_no_sense_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
