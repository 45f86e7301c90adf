/* ChannelShuffle (norma), plain and on channel blocks, against Reshape, Transpose and Reshape of ai.onnx. */
#include "tests/support/blocked_tensor.h"

/* x seen as [N, group, C / group, H, W] with the two in the middle exchanged. */
static const value *shuffled(workbench *bench, const value *x, int64_t group) {
  static const int64_t order[] = {0, 2, 1, 3, 4};
  const int64_t *dims = x->tensor.dims;
  driver_call split = CALL("Reshape", 13, x, bench_list(bench, dims[0], group, dims[1] / group, dims[2], dims[3]));
  split.opset = 14;
  split.attributes[0] = (attribute)DRIVER_INT("allowzero", 1);
  bench_run_once(bench, &split);
  driver_call exchange = CALL("Transpose", 13, bench_keep(bench, 0));
  exchange.attributes[0] = (attribute)DRIVER_INTS("perm", 5, order);
  bench_run_once(bench, &exchange);
  driver_call join = CALL("Reshape", 13, bench_keep(bench, 0), bench_list(bench, dims[0], dims[1], dims[2], dims[3]));
  join.opset = 14;
  join.attributes[0] = split.attributes[0];
  bench_run_once(bench, &join);
  return bench_keep(bench, 0);
}

static void check_shuffle(workbench *bench, shape shape, int64_t group) {
  const value *x = bench_random(bench, NORMA_FLOAT, shape, -1, 1), *expected = shuffled(bench, x, group);
  driver_call call = CALL("ChannelShuffle", 1, x);
  call.domain = OPERATOR_INNER_DOMAIN;
  call.attributes[0] = (attribute)DRIVER_INT("channels", shape.dims[1]);
  call.attributes[1] = (attribute)DRIVER_INT("group", group);
  assert_true(same_value(bench_run(bench, &call), expected));
  call.inputs[0] = blocked_of(bench, x);
  call.attributes[2] = (attribute)DRIVER_INT("block", bench_block(bench));
  call.workers = 3; /* padding lanes may hold anything, so bits are compared without them */
  const value *y = plain_of(bench, bench_run_once(bench, &call), shape.dims[1]);
  assert_true(same_value(y, expected));
  bench_clear(bench);
}

static void channels_change_places(void **state) {
  static const struct {
    shape x;
    int64_t group;
  } cases[] = {{{4, {1, 6, 2, 3}}, 2},  {{4, {2, 12, 5, 5}}, 3},   {{4, {1, 116, 7, 7}}, 2},
               {{4, {3, 15, 1, 1}}, 5}, {{4, {1, 24, 33, 31}}, 4}, {{4, {1, 8, 3, 3}}, 1},
               {{4, {1, 8, 3, 3}}, 8},  {{4, {0, 8, 3, 3}}, 2},    {{4, {2, 32, 4, 0}}, 2}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (size_t c = 0; c < COUNT(cases); c++) check_shuffle(&bench, cases[c].x, cases[c].group);
  }
  bench_finish(&bench);
}

static void groups_that_do_not_divide_are_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  driver_call call = CALL("ChannelShuffle", 1, bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 6, 2, 2), NULL));
  call.domain = OPERATOR_INNER_DOMAIN;
  call.attributes[0] = (attribute)DRIVER_INT("channels", 6);
  call.attributes[1] = (attribute)DRIVER_INT("group", 4);
  bench_refuse(&bench, &call, NORMA_ERROR_INTERNAL, "6 channels have no 4 groups");
  call.attributes[1].i = 0;
  bench_refuse(&bench, &call, NORMA_ERROR_INTERNAL, "6 channels have no 0 groups");
  call.attributes[0].i = 8;
  call.attributes[1].i = 2;
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "has not 8 channels");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(channels_change_places),
      cmocka_unit_test(groups_that_do_not_divide_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
