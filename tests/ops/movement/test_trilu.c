/* Trilu and EyeLike: triangles and diagonals, from every diagonal on, of every type. */
#include "tests/support/builtin_operator.h"
#include "tests/support/workbench.h"

static const int64_t diagonals[] = {0, 1, -1, 2, -2, 3, -3, 4, 5, -5, INT64_MAX, INT64_MIN};

static void check_trilu(workbench *bench, norma_element_type type, shape shape) {
  const int64_t columns = shape.dims[shape.rank - 1], rows = shape.dims[shape.rank - 2];
  const value *x = bench_numbered(bench, type, shape), *zero = bench_make(bench, type, SCALAR);
  if (type == NORMA_FLOAT8E8M0) memset(zero->tensor.data, 0, 1); /* that has no zero: its code is 0 */
  int64_t sources[200];
  for (size_t d = 0; d < COUNT(diagonals); d++) {
    const int64_t k = diagonals[d];
    for (int upper = 0; upper < 2; upper++) {
      for (int64_t i = 0; i < shape_count(&shape); i++) {
        const int64_t offset = i % columns - i / columns % rows;
        sources[i] = (upper ? offset >= k : offset <= k) ? i : -1;
      }
      driver_call call = CALL("Trilu", 14, x, bench_int(bench, k));
      call.attributes[0] = (attribute)DRIVER_INT("upper", upper);
      check_moved(bench_run(bench, &call), shape, x, sources, zero);
      if (k != 0) continue;
      call.input_count = 1;
      check_moved(bench_run(bench, &call), shape, x, sources, zero);
      if (!upper) continue;
      call.attributes[0] = (attribute){0};
      check_moved(bench_run(bench, &call), shape, x, sources, zero);
    }
  }
  bench_clear(bench);
}

static void triangles(void **state) {
  static const shape shapes[] = {{2, {3, 4}}, {2, {4, 3}}, {3, {2, 3, 3}}, {4, {2, 1, 1, 5}},
                                 {2, {5, 1}}, {2, {0, 3}}, {2, {3, 0}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t i = 0; i < COUNT(shapes); i++) {
    FOR_TYPES(type, TYPES_ALL) check_trilu(&bench, type, shapes[i]);
  }
  bench_finish(&bench);
}

static void eyes(void **state) {
  static const shape shapes[] = {{2, {3, 4}}, {2, {4, 3}}, {2, {1, 1}}, {2, {0, 3}}, {2, {3, 0}}};
  const type_mask types = TYPES_NUMERIC | TYPE_BIT(NORMA_BOOL);
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t i = 0; i < COUNT(shapes); i++) {
    double expected[12];
    for (size_t d = 0; d < COUNT(diagonals); d++) {
      for (int64_t e = 0; e < shape_count(&shapes[i]); e++) {
        expected[e] = e % shapes[i].dims[1] - e / shapes[i].dims[1] == diagonals[d];
      }
      FOR_TYPES(type, types) {
        driver_call call = CALL("EyeLike", d % 2 ? 9 : 22, bench_numbered(&bench, type, shapes[i]));
        call.attributes[0] = (attribute)DRIVER_INT("k", diagonals[d]);
        check_tensor(bench_run(&bench, &call), type, shapes[i], expected);
        FOR_TYPES(made, types) {
          call.attributes[1] = (attribute)DRIVER_INT("dtype", made);
          check_tensor(bench_run_once(&bench, &call), made, shapes[i], expected);
        }
      }
      bench_clear(&bench);
    }
  }
  driver_call call = CALL("EyeLike", 9, bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 2), NULL)); /* k is 0 */
  check_tensor(bench_run(&bench, &call), NORMA_FLOAT, SHAPE(2, 2), NUMBERS(1, 0, 0, 1));
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  static const int64_t none[] = {-1, 1000, INT64_MAX};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *row = bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NULL),
              *square = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2, 2), NULL);
  driver_call call = CALL("Trilu", 14, row);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank 1 is below 2");
  call = CALL("Trilu", 14, square, bench_list(&bench, 1, 2));
  bench_refuse(&bench, &call, NORMA_ERROR_RUN, "k must be one number");
  call = CALL("Trilu", 14, square, bench_tensor(&bench, NORMA_INT32, SCALAR, NULL));
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "element type int32");
  call = CALL("EyeLike", 9, row);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank 1 is not 2");
  for (size_t i = 0; i < COUNT(none); i++) {
    call = CALL("EyeLike", 9, square);
    call.attributes[0] = (attribute)DRIVER_INT("dtype", none[i]);
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "dtype is no element type");
  }
  call.attributes[0].i = NORMA_STRING;
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "element type string");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(triangles),
      cmocka_unit_test(eyes),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
