/* Rows of bytes under windows: every tap of every output, and windows that are not for this. */
#include "ops/byte_rows.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

#define OUTSIDE 77

static window random_window(uint64_t *seed) {
  window w = {.axes = (int)random_int(seed, 1, 2)};
  for (int d = 0; d < w.axes; d++) {
    do {
      w.input[d] = random_int(seed, 1, 40);
      w.kernel[d] = random_int(seed, 1, 5);
      w.stride[d] = random_int(seed, 1, 4);
      w.dilation[d] = random_int(seed, 1, 3);
      w.pad_begin[d] = random_int(seed, 0, 5);
      w.pad_end[d] = random_int(seed, 0, 5);
      w.output[d] = w.input[d] + w.pad_begin[d] + w.pad_end[d] - (w.kernel[d] - 1) * w.dilation[d] - 1;
    } while (w.output[d] < 0);
    w.output[d] = w.output[d] / w.stride[d] + 1;
  }
  return w;
}

/* The input under tap (r, s) of output (p, q). */
static uint8_t reference(const struct window_2d *w, const uint8_t *x, size_t p, size_t q, size_t r, size_t s) {
  const int64_t row = (int64_t)(p * w->stride[0] + r * w->dilation[0]) - (int64_t)w->pad[0];
  const int64_t column = (int64_t)(q * w->stride[1] + s * w->dilation[1]) - (int64_t)w->pad[1];
  if (row < 0 || column < 0 || row >= (int64_t)w->input[0] || column >= (int64_t)w->input[1]) return OUTSIDE;
  return x[(size_t)row * w->input[1] + (size_t)column];
}

static void check_slice(const byte_rows *rows, const uint8_t *x, size_t first, size_t count, uint8_t *scratch) {
  const struct window_2d *w = &rows->plane;
  const uint8_t *taps[BYTE_ROWS_MOST_TAPS];
  byte_rows_copy(rows, x, OUTSIDE, first, count, scratch);
  for (size_t row = 0; row < count; row++) {
    byte_rows_taps(rows, scratch, row, taps);
    for (size_t t = 0; t < w->kernel[0] * w->kernel[1]; t++) {
      assert_true(taps[t] + w->output[1] + 64 <= scratch + rows->scratch);
      for (size_t q = 0; q < w->output[1]; q++)
        assert_int_equal(taps[t][q], reference(w, x, first + row, q, t / w->kernel[1], t % w->kernel[1]));
    }
  }
}

static void taps_are_the_inputs_of_outputs(void **state) {
  uint64_t seed = 11;
  (void)state;
  for (int i = 0; i < 400; i++) {
    const window w = random_window(&seed);
    byte_rows rows;
    if (!byte_rows_init(&rows, &w)) continue;
    const size_t inputs = rows.plane.input[0] * rows.plane.input[1];
    uint8_t *x = malloc(inputs), *scratch = malloc(rows.scratch);
    assert_true(x && scratch);
    for (size_t k = 0; k < inputs; k++) x[k] = (uint8_t)(k * 31);
    rows.slice = (size_t)random_int(&seed, 1, (int64_t)rows.slice);
    for (size_t first = 0; first < rows.plane.output[0]; first += rows.slice) {
      const size_t left = rows.plane.output[0] - first;
      check_slice(&rows, x, first, left < rows.slice ? left : rows.slice, scratch);
    }
    free(x);
    free(scratch);
  }
}

static void other_windows_are_refused(void **state) {
  const window good = {2, {9, 9}, {9, 9}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}};
  byte_rows rows;
  window w = good;
  (void)state;
  assert_true(byte_rows_init(&rows, &w) && rows.slice == 9);
  w.axes = 3;
  assert_false(byte_rows_init(&rows, &w));
  w = good;
  w.kernel[0] = w.kernel[1] = 9;
  assert_false(byte_rows_init(&rows, &w)); /* 81 taps */
  w = good;
  w.dilation[1] = INT64_MAX / 4;
  assert_false(byte_rows_init(&rows, &w));
  w = good;
  w.output[1] = 1000; /* mostly padding */
  assert_false(byte_rows_init(&rows, &w));
  w = good;
  w.output[0] = 0;
  assert_false(byte_rows_init(&rows, &w));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(taps_are_the_inputs_of_outputs),
      cmocka_unit_test(other_windows_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
