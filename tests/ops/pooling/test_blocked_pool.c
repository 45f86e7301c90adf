/* MaxPool, AveragePool and GlobalAveragePool (norma) on channel blocks against those of ai.onnx. */
#include "tests/support/blocked_tensor.h"
#include "tests/support/random_tensor.h"

static driver_call blocked_call(workbench *bench, const driver_call *plain) {
  driver_call call = *plain;
  call.domain = OPERATOR_INNER_DOMAIN;
  call.opset = 1;
  call.inputs[0] = blocked_of(bench, plain->inputs[0]);
  return call;
}

static void check_random(workbench *bench, bool is_average) {
  static const char *const paddings[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
  int64_t input[2], kernel[2], strides[2], dilations[2], pads[4];
  const char *padding = paddings[random_int(&bench->seed, 0, 5) ? 0 : random_int(&bench->seed, 1, 3)];
  for (int d = 0; d < 2; d++) {
    do {
      input[d] = random_int(&bench->seed, 1, 20);
      kernel[d] = random_of(&bench->seed, 1, 2, 3, 3, 5, 7);
      strides[d] = random_int(&bench->seed, 1, 3);
      dilations[d] = random_of(&bench->seed, 1, 1, 1, 2, 3);
      pads[d] = random_int(&bench->seed, 0, 3);
      pads[2 + d] = random_int(&bench->seed, 0, 3);
    } while (input[d] < (kernel[d] - 1) * dilations[d] + 1);
  }
  const int64_t channels = random_int(&bench->seed, 1, 40);
  driver_call plain = CALL(
      is_average ? "AveragePool" : "MaxPool", 22,
      bench_random(bench, NORMA_FLOAT, SHAPE(random_int(&bench->seed, 1, 3), channels, input[0], input[1]), -1, 1));
  int count = 0;
  plain.attributes[count++] = (attribute)DRIVER_INTS("kernel_shape", 2, kernel);
  plain.attributes[count++] = (attribute)DRIVER_INTS("strides", 2, strides);
  plain.attributes[count++] = (attribute)DRIVER_INTS("dilations", 2, dilations);
  if (strcmp(padding, "NOTSET") == 0)
    plain.attributes[count++] = (attribute)DRIVER_INTS("pads", 4, pads);
  else
    plain.attributes[count++] = (attribute)DRIVER_TEXT("auto_pad", padding);
  plain.attributes[count++] = (attribute)DRIVER_INT("ceil_mode", random_int(&bench->seed, 0, 1));
  if (is_average) plain.attributes[count] = (attribute)DRIVER_INT("count_include_pad", random_int(&bench->seed, 0, 1));
  const driver_call call = blocked_call(bench, &plain);
  check_blocked(bench, &call, &plain, is_average ? 1e-6 : 0);
  bench_clear(bench);
}

static void random_windows(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (int round = 0; round < 200; round++) check_random(&bench, round % 2);
  }
  bench_finish(&bench);
}

static void means_of_whole_planes(void **state) {
  static const shape shapes[] = {
      {4, {2, 5, 7, 9}}, {4, {1, 64, 33, 31}}, {4, {3, 17, 1, 1}}, {4, {0, 3, 4, 4}}, {4, {1, 9, 0, 4}}};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (size_t i = 0; i < COUNT(shapes); i++) {
      const driver_call plain = CALL("GlobalAveragePool", 22, bench_random(&bench, NORMA_FLOAT, shapes[i], -1, 1));
      const driver_call call = blocked_call(&bench, &plain);
      check_blocked(&bench, &call, &plain, 1e-5);
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

static void not_a_number_stays_in_its_channel(void **state) {
  static const char *const ops[] = {"MaxPool", "AveragePool", "GlobalAveragePool"};
  static const int64_t two[] = {2, 2};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int k = 0; (bench.kernels = driver_kernels(k)); k++) {
    for (size_t o = 0; o < COUNT(ops); o++) {
      const value *x = bench_random(&bench, NORMA_FLOAT, SHAPE(1, 20, 4, 4), -1, 1);
      float *numbers = x->tensor.data;
      numbers[3 * 16 + 5] = NAN;
      numbers[17 * 16] = -INFINITY;
      driver_call plain = CALL(ops[o], 22, x);
      if (o < 2) plain.attributes[0] = (attribute)DRIVER_INTS("kernel_shape", 2, two);
      const driver_call call = blocked_call(&bench, &plain);
      check_blocked(&bench, &call, &plain, o == 0 ? 0 : 1e-5);
    }
    bench_clear(&bench);
  }
  bench_finish(&bench);
}

static void what_the_pass_never_makes_is_refused(void **state) {
  static const int64_t nine[] = {9, 9};
  workbench bench;
  (void)state;
  bench_init(&bench);
  driver_call call = CALL("MaxPool", 1, bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 4, 4, 8), NULL));
  call.domain = OPERATOR_INNER_DOMAIN;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "attribute kernel_shape is missing");
  call.attributes[0] = (attribute)DRIVER_INTS("kernel_shape", 2, nine);
  bench_refuse(&bench, &call, NORMA_ERROR_INPUT, "the kernel spans 9");
  call.inputs[0] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 4, 4), NULL);
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank 4, expected 5");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_windows),
      cmocka_unit_test(means_of_whole_planes),
      cmocka_unit_test(not_a_number_stays_in_its_channel),
      cmocka_unit_test(what_the_pass_never_makes_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
