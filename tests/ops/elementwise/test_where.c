/* Where: elements of X where the condition is true, else of Y, all three broadcast. */
#include "tests/support/builtin_operator.h"
#include "tests/support/workbench.h"

#define WHERE_TYPES (TYPES_FIXED_SIZE | TYPE_BIT(NORMA_STRING))

/* A shape that can be broadcast to `whole`. */
static shape part_of(uint64_t *seed, const shape *whole) {
  const int skipped = (int)driver_random(seed, 0, whole->rank + 0.99);
  shape part = shape_make(whole->rank - skipped, whole->dims + skipped);
  for (int i = 0; i < part.rank; i++) {
    if (driver_random(seed, 0, 1) < 0.4) part.dims[i] = 1;
  }
  return part;
}

static void check_random(workbench *bench, norma_element_type type) {
  const shape whole = random_shape(&bench->seed, 0, 4, 3000);
  const shape parts[3] = {part_of(&bench->seed, &whole), part_of(&bench->seed, &whole), part_of(&bench->seed, &whole)};
  shape result = parts[0];
  for (int i = 1; i < 3; i++) assert_true(shape_broadcast(&result, &parts[i], &result));
  const value *condition = bench_random(bench, NORMA_BOOL, parts[0], 0, 2);
  const value *x = bench_numbered(bench, type, parts[1]), *y = bench_numbered(bench, type, parts[2]);
  driver_call call = CALL("Where", 16, condition, x, y);
  const value *z = bench_run(bench, &call);
  check_tensor(z, type, result, NULL);
  for (int64_t i = 0; i < shape_count(&result); i++) {
    const bool chosen = driver_element(condition, broadcast_place(&parts[0], &result, i)) != 0;
    const value *source = chosen ? x : y;
    assert_true(same_element(z, i, source, broadcast_place(&parts[chosen ? 1 : 2], &result, i)));
  }
  bench_clear(bench);
}

static void every_type_on_random_shapes(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int round = 0; round < 15; round++) {
    FOR_TYPES(type, WHERE_TYPES) check_random(&bench, type);
  }
  bench_finish(&bench);
}

/* Bits are taken over as they are. */
static void every_bit_stays(void **state) {
  static const uint32_t xs[] = {0x7FC01234, 0x80000000, 1}, ys[] = {0xFF812345, 0, 0x00012345};
  workbench bench;
  (void)state;
  bench_init(&bench);
  value *x = bench_make(&bench, NORMA_FLOAT, SHAPE(3)), *y = bench_make(&bench, NORMA_FLOAT, SHAPE(3));
  memcpy(x->tensor.data, xs, sizeof xs);
  memcpy(y->tensor.data, ys, sizeof ys);
  value *condition = bench_make(&bench, NORMA_BOOL, SHAPE(3));
  ((unsigned char *)condition->tensor.data)[1] = 64; /* any byte but 0 is true */
  driver_call call = CALL("Where", 9, condition, x, y);
  const uint32_t *bits = bench_run(&bench, &call)->tensor.data;
  assert_true(bits[0] == ys[0] && bits[1] == xs[1] && bits[2] == ys[2]);
  bench_finish(&bench);
}

static void long_rows(void **state) {
  const operator_descriptor *op = builtin_operator("", "Where");
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int v = 0; op->versions[v]; v++) {
    const value *condition = bench_random(&bench, NORMA_BOOL, SHAPE(50000), 0, 2);
    const value *x = bench_numbered(&bench, NORMA_INT16, SHAPE(2, 50000)),
                *y = bench_numbered(&bench, NORMA_INT16, SHAPE(2, 1));
    driver_call call = CALL("Where", op->versions[v], condition, x, y);
    const value *z = bench_run(&bench, &call);
    for (int64_t i = 0; i < 100000; i++) {
      assert_true(driver_element(condition, i % 50000) != 0 ? same_element(z, i, x, i)
                                                            : same_element(z, i, y, i / 50000));
    }
  }
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *condition = bench_tensor(&bench, NORMA_BOOL, SHAPE(2), NULL),
              *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NULL);
  const value *three = bench_tensor(&bench, NORMA_FLOAT, SHAPE(3), NULL),
              *d = bench_tensor(&bench, NORMA_DOUBLE, SHAPE(2), NULL);
  const value *packed = bench_tensor(&bench, NORMA_INT4, SHAPE(2), NULL);
  driver_call call = CALL("Where", 16, condition, x, three);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "cannot be broadcast");
  call = CALL("Where", 16, condition, x, d);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "float and double differ");
  call = CALL("Where", 16, x, x, x);
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "element type float");
  call = CALL("Where", 16, condition, packed, packed);
  bench_refuse(&bench, &call, NORMA_ERROR_UNSUPPORTED, "element type int4");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_type_on_random_shapes),
      cmocka_unit_test(every_bit_stays),
      cmocka_unit_test(long_rows),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
