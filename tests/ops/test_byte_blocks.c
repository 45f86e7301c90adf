/* Channel blocks of bytes under windows: every tap of every output, with and without a flip, and windows that are not
 * for this. */
#include "ops/byte_blocks.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

#define OUTSIDE 77

static window random_window(uint64_t *seed) {
  window w = {.axes = 2};
  for (int d = 0; d < w.axes; d++) {
    do {
      w.input[d] = random_int(seed, 1, 20);
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

/* Channel c under tap (r, s) of output (p, q). */
static uint8_t reference(const struct window_2d *w, const uint8_t *x, uint8_t flip, size_t p, size_t q, size_t tap,
                         size_t c) {
  const size_t r = tap / w->kernel[1], s = tap % w->kernel[1];
  const int64_t row = (int64_t)(p * w->stride[0] + r * w->dilation[0]) - (int64_t)w->pad[0];
  const int64_t column = (int64_t)(q * w->stride[1] + s * w->dilation[1]) - (int64_t)w->pad[1];
  if (row < 0 || column < 0 || row >= (int64_t)w->input[0] || column >= (int64_t)w->input[1]) return OUTSIDE;
  return x[((size_t)row * w->input[1] + (size_t)column) * BYTE_BLOCK + c] ^ flip;
}

static void check_slice(const byte_blocks *blocks, const uint8_t *x, uint8_t flip, size_t first, size_t count) {
  const struct window_2d *w = &blocks->plane;
  const size_t taps = w->kernel[0] * w->kernel[1], size = byte_blocks_bytes(blocks, count);
  size_t offsets[25];
  uint8_t *copy = malloc(size); /* of exactly this size */
  assert_non_null(copy);
  byte_blocks_offsets(blocks, offsets);
  byte_blocks_copy(blocks, x, OUTSIDE, flip, first, count, copy);
  for (size_t row = 0; row < count; row++) {
    for (size_t i = 0; i < taps * w->output[1] * BYTE_BLOCK; i++) {
      const size_t c = i % BYTE_BLOCK, q = i / BYTE_BLOCK % w->output[1], tap = i / BYTE_BLOCK / w->output[1];
      const size_t at = row * w->stride[0] * blocks->row_bytes + offsets[tap] + q * BYTE_BLOCK + c;
      assert_true(at < size);
      assert_int_equal(copy[at], reference(w, x, flip, first + row, q, tap, c));
    }
  }
  free(copy);
}

static void taps_are_the_inputs_of_outputs(void **state) {
  uint64_t seed = 12;
  (void)state;
  for (int i = 0; i < 200; i++) {
    const window w = random_window(&seed);
    byte_blocks blocks;
    assert_true(byte_blocks_init(&blocks, &w));
    const size_t inputs = blocks.plane.input[0] * blocks.plane.input[1] * BYTE_BLOCK;
    uint8_t *x = malloc(inputs);
    assert_non_null(x);
    for (size_t k = 0; k < inputs; k++) x[k] = (uint8_t)(k * 31);
    const size_t first = (size_t)random_int(&seed, 0, (int64_t)blocks.plane.output[0] - 1);
    const size_t count = (size_t)random_int(&seed, 1, (int64_t)(blocks.plane.output[0] - first));
    check_slice(&blocks, x, i % 2 ? 128 : 0, first, count);
    free(x);
  }
}

static void planes_are_joined(void **state) {
  (void)state;
  for (size_t planes = 1; planes <= 4; planes++) {
    for (size_t count = 0; count < 50; count++) {
      const size_t plane = count + 3;
      uint8_t *x = malloc((planes - 1) * plane + count + 1), *y = malloc(4 * count + 1); /* of exactly this size */
      assert_true(x && y);
      for (size_t i = 0; i < (planes - 1) * plane + count; i++) x[i] = (uint8_t)(i * 29);
      byte_planes_join(y, x, plane, planes, 128, count);
      for (size_t i = 0; i < planes * count; i++)
        assert_int_equal(y[i / planes * 4 + i % planes], x[i % planes * plane + i / planes] ^ 128);
      free(x), free(y);
    }
  }
}

static void huge_rows_are_refused(void **state) {
  const window wide = {.axes = 2,
                       .input = {3, 10},
                       .output = {1, 2},
                       .kernel = {2, 2},
                       .stride = {1, 1},
                       .dilation = {1, (int64_t)1 << 40},
                       .pad_begin = {0, (int64_t)1 << 40}};
  byte_blocks blocks;
  (void)state;
  assert_false(byte_blocks_init(&blocks, &wide));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(taps_are_the_inputs_of_outputs),
      cmocka_unit_test(planes_are_joined),
      cmocka_unit_test(huge_rows_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
