/* Concat (norma) of channel blocks whose parts end within blocks, against Concat of ai.onnx. */
#include "tests/support/blocked_tensor.h"
#include "tests/support/random_tensor.h"

static void check_concat(workbench *bench, int count, const int64_t *channels, int64_t n, int64_t h, int64_t w) {
  driver_call call = {
      .domain = OPERATOR_INNER_DOMAIN, .op_type = "Concat", .opset = 1, .input_count = count, .output_count = 1};
  driver_call plain = {.op_type = "Concat", .opset = 13, .input_count = count, .output_count = 1};
  call.attributes[0] = (attribute)DRIVER_INT("block", bench_block(bench));
  call.attributes[1] = (attribute)DRIVER_INTS("channels", (size_t)count, channels);
  plain.attributes[0] = (attribute)DRIVER_INT("axis", 1);
  for (int i = 0; i < count; i++) {
    plain.inputs[i] = bench_random(bench, NORMA_FLOAT, SHAPE(n, channels[i], h, w), -1, 1);
    call.inputs[i] = blocked_of(bench, plain.inputs[i]);
  }
  bench_run_once(bench, &plain);
  const value *expected = bench_keep(bench, 0);
  for (call.workers = 1; call.workers < 4; call.workers += 2) { /* padding lanes may hold anything */
    const value *y = plain_of(bench, bench_run_once(bench, &call), expected->tensor.dims[1]);
    assert_true(same_value(y, expected));
  }
  bench_clear(bench);
}

static void parts_of_any_channels(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int round = 0; round < 150; round++) {
      int64_t channels[6];
      const int count = (int)random_int(&bench.seed, 1, 6);
      for (int i = 0; i < count; i++)
        channels[i] = random_of(&bench.seed, 1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17, 24, 31, 32, 40);
      check_concat(&bench, count, channels, random_int(&bench.seed, 0, 2), random_int(&bench.seed, 1, 7),
                   random_int(&bench.seed, 0, 9));
    }
  }
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  static const int64_t channels[] = {3, 5};
  workbench bench;
  (void)state;
  bench_init(&bench);
  const int64_t b = bench_block(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 2, 2, b), NULL),
              *wide = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 2, 3, b), NULL);
  driver_call call = CALL("Concat", 1, x, wide);
  call.domain = OPERATOR_INNER_DOMAIN;
  call.attributes[0] = (attribute)DRIVER_INT("block", b);
  call.attributes[1] = (attribute)DRIVER_INTS("channels", 2, channels);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "input 1 does not fit those before");
  call.inputs[1] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 4, 2, 2), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "input 1 does not fit those before");
  call.attributes[1].count = 1;
  bench_refuse(&bench, &call, NORMA_ERROR_INTERNAL, "channels does not list all inputs");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parts_of_any_channels),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
