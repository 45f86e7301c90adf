/* BatchNormalization (norma) on channel blocks against that of ai.onnx. */
#include "tests/support/blocked_tensor.h"
#include "tests/support/random_tensor.h"

static void check_normalization(workbench *bench, shape shape, type_mask vectors, float epsilon,
                                struct activation activation) {
  const int64_t channels = shape.dims[1];
  const value *x = bench_random(bench, NORMA_FLOAT, shape, -3, 3);
  const norma_element_type type = next_type(NORMA_UNDEFINED, vectors);
  const value *scale = bench_random(bench, type, SHAPE(channels), -2, 2),
              *bias = bench_random(bench, type, SHAPE(channels), -1, 1);
  const value *mean = bench_random(bench, type, SHAPE(channels), -1, 1),
              *variance = bench_random(bench, type, SHAPE(channels), 0, 2);
  driver_call plain = CALL("BatchNormalization", 15, x, scale, bias, mean, variance);
  plain.constants = INPUT(1) | INPUT(2) | INPUT(3) | INPUT(4);
  plain.activation = activation;
  if (epsilon > 0) plain.attributes[0] = (attribute)DRIVER_FLOAT("epsilon", epsilon);
  driver_call call = plain;
  call.domain = OPERATOR_INNER_DOMAIN;
  call.opset = 1;
  call.inputs[0] = blocked_of(bench, x);
  check_blocked(bench, &call, &plain, 2e-6);
  bench_clear(bench);
}

static void random_shapes(void **state) {
  static const enum unary_kind kinds[] = {UNARY_IDENTITY, UNARY_RELU, UNARY_CLIP, UNARY_SIGMOID};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int round = 0; round < 100; round++) {
      const struct activation activation = {kinds[random_int(&bench.seed, 0, 3)], -0.5f, 0.5f};
      const shape shape = SHAPE(random_int(&bench.seed, 0, 3), random_int(&bench.seed, 1, 40),
                                random_int(&bench.seed, 1, 12), random_int(&bench.seed, 0, 12));
      check_normalization(&bench, shape,
                          round % 3   ? TYPE_BIT(NORMA_FLOAT)
                          : round % 2 ? TYPE_BIT(NORMA_DOUBLE)
                                      : TYPE_BIT(NORMA_FLOAT16),
                          round % 2 ? 0 : 0.125f, activation);
    }
    check_normalization(&bench, SHAPE(2, 64, 40, 41), TYPE_BIT(NORMA_FLOAT), 0, (struct activation){UNARY_RELU, 0, 0});
  }
  bench_finish(&bench);
}

static void a_bad_channel_stays_alone(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    double ones[20], zeros[20] = {0}, variances[20];
    for (int i = 0; i < 20; i++) ones[i] = variances[i] = 1;
    variances[3] = -1;
    variances[18] = NAN;
    driver_call call = CALL(
        "BatchNormalization", 1, blocked_of(&bench, bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 20, 2, 2), NULL)),
        bench_tensor(&bench, NORMA_FLOAT, SHAPE(20), ones), bench_tensor(&bench, NORMA_FLOAT, SHAPE(20), ones),
        bench_tensor(&bench, NORMA_FLOAT, SHAPE(20), zeros), bench_tensor(&bench, NORMA_FLOAT, SHAPE(20), variances));
    call.domain = OPERATOR_INNER_DOMAIN;
    call.constants = INPUT(1) | INPUT(2) | INPUT(3) | INPUT(4);
    const value *y = plain_of(&bench, bench_run(&bench, &call), 20);
    for (int i = 0; i < 80; i++) assert_true(isnan(driver_element(y, i)) == (i / 4 == 3 || i / 4 == 18));
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

static void vectors_that_may_change_are_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *v = bench_tensor(&bench, NORMA_FLOAT, SHAPE(8), NULL);
  driver_call call =
      CALL("BatchNormalization", 1, bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 2, 2, 8), NULL), v, v, v, v);
  call.domain = OPERATOR_INNER_DOMAIN;
  bench_refuse(&bench, &call, NORMA_ERROR_INTERNAL, "its vectors must be constants");
  call.inputs[0] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 8, 2, 2), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank 4, expected 5");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_shapes),
      cmocka_unit_test(a_bad_channel_stays_alone),
      cmocka_unit_test(vectors_that_may_change_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
