/* Expand and Tile: repeated elements, of every type; sizes that no machine has. */
#include "tests/support/builtin_operator.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#define MOST 100000

static int64_t sources[MOST];

/* The shape that `from` is broadcast to by `wanted`, and which element of it each one is. */
static shape broadcast_sources(const shape *from, const shape *wanted) {
  shape to;
  assert_true(shape_broadcast(from, wanted, &to));
  for (int64_t i = 0; i < shape_count(&to); i++) sources[i] = broadcast_place(from, &to, i);
  return to;
}

static void expand_broadcasts(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 10; round++) {
    FOR_TYPES(type, TYPES_ALL) {
      shape from, wanted, whole;
      random_broadcast(&bench.seed, 1500, &from, &wanted, &whole); /* either may be larger, or of higher rank */
      const shape to = broadcast_sources(&from, &wanted);
      const value *x = bench_numbered(&bench, type, from);
      driver_call call = CALL("Expand", round % 2 ? 8 : 13, x, bench_ints(&bench, SHAPE(wanted.rank), wanted.dims));
      check_moved(bench_run(&bench, &call), to, x, sources, NULL);
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

static void large_results(void **state) {
  static const struct {
    shape from, wanted;
  } cases[] = {{{0, {0}}, {2, {3, 20001}}},
               {{2, {1, 20001}}, {2, {3, 1}}},
               {{2, {20001, 1}}, {2, {1, 3}}},
               {{3, {33, 1, 44}}, {3, {1, 55, 1}}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t c = 0; c < COUNT(cases); c++) {
    FOR_TYPES(type, TYPE_BIT(NORMA_BOOL) | TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_INT64)) {
      const shape to = broadcast_sources(&cases[c].from, &cases[c].wanted);
      const value *x = bench_numbered(&bench, type, cases[c].from);
      driver_call call = CALL("Expand", 13, x, bench_ints(&bench, SHAPE(cases[c].wanted.rank), cases[c].wanted.dims));
      check_moved(bench_run(&bench, &call), to, x, sources, NULL);
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

static void tile_repeats(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 10; round++) {
    FOR_TYPES(type, TYPES_ALL) {
      const shape from = random_shape(&bench.seed, 0, 4, 300);
      shape to = from;
      int64_t repeats[NORMA_MAX_RANK], at[NORMA_MAX_RANK];
      for (int i = 0; i < from.rank; i++) {
        repeats[i] = random_int(&bench.seed, 0, 3);
        to.dims[i] *= repeats[i];
      }
      for (int64_t i = 0; i < shape_count(&to); i++) {
        shape_coordinates(&to, i, at);
        for (int k = 0; k < from.rank; k++) at[k] %= from.dims[k];
        sources[i] = shape_place(&from, at);
      }
      const value *x = bench_numbered(&bench, type, from);
      driver_call call = CALL("Tile", round % 2 ? 6 : 13, x, bench_ints(&bench, SHAPE(from.rank), repeats));
      check_moved(bench_run(&bench, &call), to, x, sources, NULL);
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

/* Version 1: one number of tiles, along one axis, both of the type of the input. */
static void tile_of_version_1(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 2), NUMBERS(1, 2, 3, 4));
  const value *tiles = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1), NUMBERS(2)),
              *axis = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1), NUMBERS(1));
  driver_call call = CALL("Tile", 1, x, tiles, axis);
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(2, 4), NUMBERS(1, 2, 1, 2, 3, 4, 3, 4));
  call.inputs[2] = bench_tensor(&bench, NORMA_FLOAT, SCALAR, NUMBERS(2));
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "tiles and axis must be scalars");
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NUMBERS(2, 2));
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "tiles and axis must be scalars");
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SCALAR, NUMBERS(-1));
  call.inputs[2] = axis;
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "repeats has the entry -1");
  bench_finish(&bench);
}

/* Refused before anything is allocated. */
static void sizes_that_do_not_fit_are_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 1), NULL);
  static const struct {
    const char *op;
    int count;
    int64_t list[3];
    norma_status status;
    const char *words;
  } cases[] = {{"Expand", 2, {3, 1}, NORMA_ERROR_INPUT, "shape 2x1 cannot be broadcast with 3x1"},
               {"Expand", 1, {-1}, NORMA_ERROR_INPUT, "shape has the entry -1"},
               {"Tile", 1, {2}, NORMA_ERROR_INPUT, "1 repeats for a tensor of rank 2"},
               {"Tile", 3, {1, 2, 3}, NORMA_ERROR_INPUT, "3 repeats for a tensor of rank 2"},
               {"Tile", 2, {1, -2}, NORMA_ERROR_INPUT, "repeats has the entry -2"},
               {"Tile", 2, {INT64_MAX, 1}, NORMA_ERROR_INPUT, "dimension 0 of the output is too large"}};
  for (size_t c = 0; c < COUNT(cases); c++) {
    driver_call call = CALL(cases[c].op, 13, x, bench_ints(&bench, SHAPE(cases[c].count), cases[c].list));
    bench_refuse(&bench, &call, cases[c].status, cases[c].words);
  }
  driver_call call = CALL("Expand", 13, x, bench_tensor(&bench, NORMA_INT32, SHAPE(2), NULL));
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "int32");
  bench_finish(&bench);
}

static void bombs_are_refused(void **state) {
  static const char *const ops[] = {"Expand", "Tile"};
  const int64_t huge = INT64_C(1) << 40;
  workbench bench;
  (void)state;
  bench_init(&bench);
  bench.driver.memory.limit = 1 << 20;
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1), NULL);
  const value *lists[] = {bench_list(&bench, huge, huge), bench_list(&bench, huge, 1), bench_list(&bench, 1 << 19, 1)};
  for (int o = 0; o < 2; o++) {
    for (size_t i = 0; i < COUNT(lists); i++) {
      driver_call call = CALL(ops[o], 13, x, lists[i]);
      bench_refuse(&bench, &call, NORMA_ERROR_BUDGET, "");
    }
  }
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(expand_broadcasts),
      cmocka_unit_test(large_results),
      cmocka_unit_test(tile_repeats),
      cmocka_unit_test(tile_of_version_1),
      cmocka_unit_test(sizes_that_do_not_fit_are_refused),
      cmocka_unit_test(bombs_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
