/* Softmax and LogSoftmax (norma) over all channels of channel blocks: to the bit those of ai.onnx. */
#include "tests/support/blocked_tensor.h"
#include "tests/support/random_tensor.h"

static const char *const ops[] = {"Softmax", "LogSoftmax"};

static void check_softmax(workbench *bench, const char *op, const value *x) {
  driver_call plain = CALL(op, 13, x), call;
  plain.attributes[0] = (attribute)DRIVER_INT("axis", 1);
  call = plain;
  call.domain = OPERATOR_INNER_DOMAIN;
  call.opset = 1;
  call.inputs[0] = blocked_of(bench, x);
  call.attributes[1] = (attribute)DRIVER_INT("block", bench_block(bench));
  call.attributes[2] = (attribute)DRIVER_INT("channels", x->tensor.dims[1]);
  check_blocked(bench, &call, &plain, 0);
}

static void random_shapes(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int round = 0; round < 120; round++) {
      const double spread = (double)random_of(&bench.seed, 1, 10, 1000);
      const shape shape = SHAPE(random_int(&bench.seed, 0, 3), random_int(&bench.seed, 1, 50),
                                random_int(&bench.seed, 1, 12), random_int(&bench.seed, 1, 12));
      check_softmax(&bench, ops[round % 2], bench_random(&bench, NORMA_FLOAT, shape, -spread, spread));
      bench_clear(&bench);
    }
  }
  bench_finish(&bench);
}

/* One pixel, of which all channels lie together; many pixels, in several pieces; more channels than a piece holds. */
static void shapes_of_networks(void **state) {
  static const shape shapes[] = {{4, {3, 1000, 1, 1}}, {4, {1, 21, 65, 64}}, {4, {1, 2500, 5, 7}}, {4, {2, 1, 9, 9}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (size_t i = 0; i < COUNT(shapes); i++) {
      for (int o = 0; o < 2; o++) check_softmax(&bench, ops[o], bench_random(&bench, NORMA_FLOAT, shapes[i], -9, 9));
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

static void not_a_number_stays_in_its_pixel(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    const value *x = bench_random(&bench, NORMA_FLOAT, SHAPE(1, 19, 3, 3), -1, 1);
    ((float *)x->tensor.data)[4 * 9 + 5] = NAN;
    ((float *)x->tensor.data)[18 * 9 + 2] = -INFINITY;
    for (int o = 0; o < 2; o++) check_softmax(&bench, ops[o], x);
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int o = 0; o < 2; o++) {
    driver_call call = CALL(ops[o], 1, bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 2, 3, 3, 8), NULL));
    call.domain = OPERATOR_INNER_DOMAIN;
    call.attributes[0] = (attribute)DRIVER_INT("block", 8);
    call.attributes[1] = (attribute)DRIVER_INT("channels", 25); /* of which 16 are there */
    bench_refuse(&bench, &call, NORMA_ERROR_INTERNAL, "the input is not in blocks of 8 channels");
    call.attributes[1].i = 0;
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "all together 0");
    call.attributes[1].i = 16;
    call.inputs[0] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 16, 3, 3), NULL);
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank 4, expected 5");
  }
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_shapes),
      cmocka_unit_test(shapes_of_networks),
      cmocka_unit_test(not_a_number_stays_in_its_pixel),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
