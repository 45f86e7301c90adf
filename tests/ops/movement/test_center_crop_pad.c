/* CenterCropPad of every type: which element lies where, axis by axis. */
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

static void check_random(workbench *bench, norma_element_type type) {
  const shape from = random_shape(&bench->seed, 1, 4, 300);
  const bool named = random_int(&bench->seed, 0, 1);
  int64_t axes[NORMA_MAX_RANK], given[NORMA_MAX_RANK], sizes[NORMA_MAX_RANK];
  int count = 0;
  shape to = from;
  for (int i = 0; i < from.rank; i++) {
    if (named && random_int(&bench->seed, 0, 1)) continue;
    axes[count] = i;
    given[count] = random_int(&bench->seed, 0, 1) ? i : i - from.rank;
    sizes[count++] = to.dims[i] = random_int(&bench->seed, 0, 8);
  }
  if (count == 0) return;
  const value *x = bench_numbered(bench, type, from);
  driver_call call = CALL("CenterCropPad", 18, x, bench_ints(bench, SHAPE(count), sizes));
  if (named) call.attributes[0] = (attribute)DRIVER_INTS("axes", (size_t)count, given);
  int64_t *sources = malloc((size_t)(shape_count(&to) + 1) * sizeof *sources);
  for (int64_t i = 0; i < shape_count(&to); i++) {
    int64_t at[NORMA_MAX_RANK];
    bool inside = true;
    shape_coordinates(&to, i, at);
    for (int k = 0; k < count; k++) {
      const int64_t axis = axes[k], less = from.dims[axis] - to.dims[axis];
      at[axis] += less >= 0 ? less / 2 : -(-less / 2);
      inside = inside && at[axis] >= 0 && at[axis] < from.dims[axis];
    }
    sources[i] = inside ? shape_place(&from, at) : -1;
  }
  const value *filler = type == NORMA_STRING ? bench_strings(bench, SCALAR, (const char *const[]){""})
                                             : bench_tensor(bench, type, SCALAR, NULL);
  check_moved(bench_run(bench, &call), to, x, sources, filler);
  free(sources);
  bench_clear(bench);
}

static void every_type(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 40; round++) {
    FOR_TYPES(type, TYPES_NUMERIC | TYPES_COMPLEX | TYPE_BIT(NORMA_BOOL) | TYPE_BIT(NORMA_STRING))
    check_random(&bench, type);
  }
  bench_finish(&bench);
}

/* Of an odd number the end loses, or gets, one more. */
static void odd_numbers(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(4), NUMBERS(1, 2, 3, 4));
  driver_call call = CALL("CenterCropPad", 18, x, bench_list(&bench, 1));
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(1), NUMBERS(2));
  call.inputs[1] = bench_list(&bench, 7);
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(7), NUMBERS(0, 1, 2, 3, 4, 0, 0));
  bench_finish(&bench);
}

static void mistakes_are_refused(void **state) {
  static const int64_t outside[] = {2}, twice[] = {0, -2};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 3), NULL);
  driver_call call = CALL("CenterCropPad", 18, x, bench_list(&bench, 1));
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "1 sizes for 2 axes");
  call.inputs[1] = bench_list(&bench, 1, -1);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "shape holds -1");
  call.inputs[1] = bench_list(&bench, INT64_MAX, INT64_MAX);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "too large");
  call.inputs[1] = bench_int(&bench, 1);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "list of sizes");
  call.inputs[1] = bench_list(&bench, 1);
  call.attributes[0] = (attribute)DRIVER_INTS("axes", 1, outside);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "axes do not fit rank 2");
  call.attributes[0] = (attribute)DRIVER_INTS("axes", 2, twice);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "axes do not fit rank 2");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type),
      cmocka_unit_test(odd_numbers),
      cmocka_unit_test(mistakes_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
