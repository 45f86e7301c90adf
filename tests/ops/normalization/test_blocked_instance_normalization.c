/* InstanceNormalization (norma) on channel blocks against that of ai.onnx. */
#include "tests/support/blocked_tensor.h"
#include "tests/support/random_tensor.h"

static driver_call blocked_call(workbench *bench, const driver_call *plain) {
  driver_call call = *plain;
  call.domain = OPERATOR_INNER_DOMAIN;
  call.opset = 1;
  call.inputs[0] = blocked_of(bench, plain->inputs[0]);
  call.attributes[1] = (attribute)DRIVER_INT("block", bench_block(bench));
  call.attributes[2] = (attribute)DRIVER_INT("channels", plain->inputs[0]->tensor.dims[1]);
  return call;
}

static void check_instance(workbench *bench, shape shape, double center, float epsilon, struct activation activation) {
  driver_call plain = CALL("InstanceNormalization", 22, bench_random(bench, NORMA_FLOAT, shape, center - 1, center + 1),
                           bench_random(bench, NORMA_FLOAT, SHAPE(shape.dims[1]), -2, 2),
                           bench_random(bench, NORMA_FLOAT, SHAPE(shape.dims[1]), -1, 1));
  plain.attributes[0] = (attribute)DRIVER_FLOAT("epsilon", epsilon);
  plain.activation = activation;
  const driver_call call = blocked_call(bench, &plain);
  check_blocked(bench, &call, &plain, 3e-6);
  bench_clear(bench);
}

static void random_shapes(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int round = 0; round < 80; round++) {
      const struct activation activation = {round % 3 ? UNARY_IDENTITY : UNARY_RELU, 0, 0};
      const shape shape = SHAPE(random_int(&bench.seed, 0, 3), random_int(&bench.seed, 1, 40),
                                random_int(&bench.seed, 1, 15), random_int(&bench.seed, 1, 15));
      check_instance(&bench, shape, 0, round % 2 ? 1e-5f : 0.5f, activation);
    }
    check_instance(&bench, SHAPE(1, 20, 70, 71), 0, 1e-5f,
                   (struct activation){UNARY_RELU, 0, 0}); /* several chunks of a plane */
    check_instance(&bench, SHAPE(2, 3, 64, 32), 0, 1e-5f, (struct activation){0});
  }
  bench_finish(&bench);
}

/* Means that are far larger than deviations do not cancel digits. */
static void far_from_zero(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    check_instance(&bench, SHAPE(1, 9, 50, 60), 1000, 1e-5f, (struct activation){0});
    check_instance(&bench, SHAPE(2, 17, 5, 5), -3e4, 1e-5f, (struct activation){0});
  }
  bench_finish(&bench);
}

/* Equal pixels give the bias. */
static void planes_without_deviation(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    double elements[11 * 9];
    for (int i = 0; i < 99; i++) elements[i] = 0.1 * (i / 9);
    driver_call plain =
        CALL("InstanceNormalization", 22, bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 11, 3, 3), elements),
             bench_random(&bench, NORMA_FLOAT, SHAPE(11), 1, 2), bench_random(&bench, NORMA_FLOAT, SHAPE(11), -1, 1));
    plain.attributes[0] = (attribute)DRIVER_FLOAT("epsilon", 1e-5f);
    const driver_call call = blocked_call(&bench, &plain);
    const value *y = plain_of(&bench, bench_run(&bench, &call), 11);
    for (int i = 0; i < 99; i++)
      assert_true(fabs(driver_element(y, i) - driver_element(plain.inputs[2], i / 9)) < 1e-4);
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *x = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 9, 2, 2), NULL),
              *v = bench_tensor(&bench, NORMA_FLOAT, SHAPE(9), NULL),
              *wrong = bench_tensor(&bench, NORMA_FLOAT, SHAPE(8), NULL);
  const driver_call plain = CALL("InstanceNormalization", 22, x, v, wrong);
  driver_call call = blocked_call(&bench, &plain);
  call.attributes[0] = (attribute)DRIVER_FLOAT("epsilon", 1e-5f);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "input 2 does not have one element for each channel");
  call.inputs[2] = v;
  call.attributes[0].f = -1;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "epsilon is -1");
  call.attributes[0].f = 1e-5f;
  call.attributes[1].i = 17;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "blocks have 17 channels");
  call.attributes[1].i = 0;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "blocks have 0 channels");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_shapes),
      cmocka_unit_test(far_from_zero),
      cmocka_unit_test(planes_without_deviation),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
