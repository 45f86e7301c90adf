/* BlockChannels and UnblockChannels (norma): between plain tensors and channel blocks, exactly, with zeros in
 * padding. */
#include "tests/support/blocked_tensor.h"

static driver_call reorder_call(const char *op, const workbench *bench, const value *x, int64_t channels) {
  driver_call call = CALL(op, 1, x);
  call.domain = OPERATOR_INNER_DOMAIN;
  call.attributes[0] = (attribute)DRIVER_INT("block", bench_block(bench));
  call.attributes[1] = (attribute)DRIVER_INT("channels", channels);
  return call;
}

static void check_reorder(workbench *bench, int64_t n, int64_t c, int64_t h, int64_t w) {
  const value *x = bench_random(bench, NORMA_FLOAT, SHAPE(n, c, h, w), -9, 9), *blocked = blocked_of(bench, x);
  driver_call call = reorder_call("BlockChannels", bench, x, c);
  const value *y = bench_run(bench, &call);
  check_tensor(y, NORMA_FLOAT, shape_of_tensor(&blocked->tensor), NULL);
  for (int64_t i = 0; i < norma_tensor_count(&y->tensor); i++) {
    const double element = driver_element(blocked, i);
    assert_true(driver_element(y, i) == (isnan(element) ? 0 : element)); /* NaN marks padding */
  }
  call = reorder_call("UnblockChannels", bench, blocked, c);
  assert_true(same_value(bench_run(bench, &call), x));
  bench_clear(bench);
}

static void every_number_of_channels(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int64_t c = 1; c <= 2 * bench_block(&bench) + 1; c++) check_reorder(&bench, 1 + c % 2, c, 3, 1 + c % 7);
    check_reorder(&bench, 1, 40, 31, 33);
    check_reorder(&bench, 0, 5, 3, 3);
    check_reorder(&bench, 2, 5, 0, 3);
    check_reorder(&bench, 3, 7, 1, 1);
  }
  bench_finish(&bench);
}

static void other_ranks_are_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  driver_call call = reorder_call("BlockChannels", &bench, bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 8, 2), NULL), 8);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank 3, expected 4");
  call = reorder_call("UnblockChannels", &bench, bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 8, 2, 2), NULL), 8);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank 4, expected 5");
  call.attributes[1] = (attribute){0};
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute channels is missing");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_number_of_channels),
      cmocka_unit_test(other_ranks_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
