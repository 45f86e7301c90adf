/* QLinearAveragePool, QLinearGlobalAveragePool and NhwcMaxPool, in both layouts. Windows of four taps and planes of 16
 * or 64 elements, whose means are exact. */
#include "tests/ops/quantized/quantized_reference.h"

/* Element [sample][channel][row][column] of a tensor of either layout. */
static int64_t place_of(const shape *x, bool last, int64_t sample, int64_t channel, int64_t row, int64_t column) {
  return last ? ((sample * x->dims[1] + row) * x->dims[2] + column) * x->dims[3] + channel
              : ((sample * x->dims[1] + channel) * x->dims[2] + row) * x->dims[3] + column;
}

/* Windows of 2 x 2 with a border of 1, stride 1: 2 samples of 3 channels of 5 x 6. */
static void check_average(workbench *bench, norma_element_type type, bool last, bool counts) {
  const shape in = last ? SHAPE(2, 5, 6, 3) : SHAPE(2, 3, 5, 6), out = last ? SHAPE(2, 6, 7, 3) : SHAPE(2, 3, 6, 7);
  const value *x = any_numbers(bench, type, in), *x_zero = any_numbers(bench, type, SCALAR),
              *y_zero = any_numbers(bench, type, SCALAR);
  driver_call call = CALL("QLinearAveragePool", 1, x, one_number(bench, NORMA_FLOAT, 0.5), x_zero,
                          one_number(bench, NORMA_FLOAT, 0.25), y_zero);
  call.domain = "com.microsoft";
  const int64_t twos[] = {2, 2}, ones[] = {1, 1, 1, 1};
  call.attributes[0] = (attribute)DRIVER_INTS("kernel_shape", 2, twos);
  call.attributes[1] = (attribute)DRIVER_INTS("pads", 4, ones);
  call.attributes[2] = (attribute)DRIVER_INT("channels_last", last);
  call.attributes[3] = (attribute)DRIVER_INT("count_include_pad", counts);
  double expected[252];
  for (int64_t i = 0; i < 252; i++) {
    const int64_t column = i % 7, row = i / 7 % 6, channel = i / 42 % 3, sample = i / 126;
    double sum = 0, taps = 0;
    for (int64_t t = 0; t < 4; t++) {
      const int64_t r = row + t / 2 - 1, c = column + t % 2 - 1;
      if (r < 0 || r >= 5 || c < 0 || c >= 6) continue;
      sum += driver_element(x, place_of(&in, last, sample, channel, r, c)) - driver_element(x_zero, 0);
      taps++;
    }
    expected[place_of(&out, last, sample, channel, row, column)] =
        quantized_reference(sum / (counts ? 4 : taps) * 2, driver_element(y_zero, 0), type);
  }
  check_tensor(bench_run(bench, &call), type, out, expected);
}

static void means_of_windows(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, BYTE_TYPES) {
    for (int code = 0; code < 4; code++) check_average(&bench, type, code & 1, code & 2);
  }
  bench_finish(&bench);
}

static void means_of_planes(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (int last = 0; last < 2; last++) {
    const shape in = last ? SHAPE(2, 4, 16, 5) : SHAPE(2, 5, 4, 16), out = last ? SHAPE(2, 1, 1, 5) : SHAPE(2, 5, 1, 1);
    const value *x = any_numbers(&bench, NORMA_INT8, in);
    driver_call call =
        CALL("QLinearGlobalAveragePool", 1, x, one_number(&bench, NORMA_FLOAT, 1), one_number(&bench, NORMA_INT8, -7),
             one_number(&bench, NORMA_FLOAT, 0.5), one_number(&bench, NORMA_INT8, 3));
    call.domain = "com.microsoft";
    call.attributes[0] = (attribute)DRIVER_INT("channels_last", last);
    double expected[10];
    for (int64_t i = 0; i < 10; i++) {
      double sum = 0;
      for (int64_t p = 0; p < 64; p++) sum += driver_element(x, place_of(&in, last, i / 5, i % 5, p / 16, p % 16)) + 7;
      expected[i] = quantized_reference(sum / 64 * 2, 3, NORMA_INT8);
    }
    check_tensor(bench_run(&bench, &call), NORMA_INT8, out, expected);
  }
  bench_finish(&bench);
}

static void maxima_with_channels_last(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  FOR_TYPES(type, BYTE_TYPES) {
    const shape in = SHAPE(2, 5, 6, 19), out = SHAPE(2, 3, 3, 19);
    const value *x = any_numbers(&bench, type, in);
    driver_call call = CALL("NhwcMaxPool", 1, x);
    const int64_t threes[] = {3, 3}, twos[] = {2, 2}, pads[] = {1, 1, 1, 1};
    call.domain = "com.microsoft";
    call.attributes[0] = (attribute)DRIVER_INTS("kernel_shape", 2, threes);
    call.attributes[1] = (attribute)DRIVER_INTS("strides", 2, twos);
    call.attributes[2] = (attribute)DRIVER_INTS("pads", 4, pads);
    double expected[342];
    for (int64_t i = 0; i < 342; i++) {
      const int64_t channel = i % 19, column = i / 19 % 3, row = i / 57 % 3, sample = i / 171;
      expected[i] = -1e9;
      for (int64_t t = 0; t < 9; t++) {
        const int64_t r = 2 * row + t / 3 - 1, c = 2 * column + t % 3 - 1;
        if (r >= 0 && r < 5 && c >= 0 && c < 6)
          expected[i] = fmax(expected[i], driver_element(x, place_of(&in, true, sample, channel, r, c)));
      }
    }
    check_tensor(bench_run(&bench, &call), type, out, expected);
  }
  bench_finish(&bench);
}

static void what_does_not_fit_is_refused(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  const value *scale = one_number(&bench, NORMA_FLOAT, 1), *zero = one_number(&bench, NORMA_INT8, 0);
  driver_call call = CALL("QLinearGlobalAveragePool", 1, bench_tensor(&bench, NORMA_INT8, SHAPE(2, 3), NULL), scale,
                          zero, scale, zero);
  call.domain = "com.microsoft";
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank 2");
  driver_call pool = CALL("NhwcMaxPool", 1, bench_tensor(&bench, NORMA_INT8, SHAPE(1, 4, 4, 3), NULL));
  pool.domain = "com.microsoft";
  bench_refuse(&bench, &pool, NORMA_ERROR_INVALID_MODEL, "kernel_shape");
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(means_of_windows),
      cmocka_unit_test(means_of_planes),
      cmocka_unit_test(maxima_with_channels_last),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
