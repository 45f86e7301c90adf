/* patches_gather: the matrix whose columns are the inputs under a window, one for each output. */
#include "ops/convolution/patches.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

static window random_window(uint64_t *seed) {
  window w = {.axes = (int)random_int(seed, 1, 3)};
  for (int d = 0; d < w.axes; d++) {
    do {
      w.input[d] = random_int(seed, 1, 7);
      w.kernel[d] = random_int(seed, 1, 4);
      w.stride[d] = random_int(seed, 1, 3);
      w.dilation[d] = random_int(seed, 1, 3);
      w.pad_begin[d] = random_int(seed, 0, 4);
      w.pad_end[d] = random_int(seed, 0, 4);
      w.output[d] = w.input[d] + w.pad_begin[d] + w.pad_end[d] - (w.kernel[d] - 1) * w.dilation[d] - 1;
    } while (w.output[d] < 0);
    w.output[d] = w.output[d] / w.stride[d] + 1;
  }
  return w;
}

#define PADDING 77 /* of bytes; 0 for others */

/* Row c * taps + t, column i: the input of channel c under tap t of output first + i, 0 in the padding. */
static double reference(const window *w, const float *x, int64_t row, int64_t output) {
  int64_t taps = window_taps(w), tap = row % taps, offset = 0, position[WINDOW_MAX_AXES], at[WINDOW_MAX_AXES];
  for (int d = w->axes - 1; d >= 0; d--) {
    position[d] = output % w->output[d] * w->stride[d] + tap % w->kernel[d] * w->dilation[d] - w->pad_begin[d];
    output /= w->output[d];
    tap /= w->kernel[d];
  }
  for (int d = 0; d < w->axes; d++) {
    at[d] = position[d];
    if (at[d] < 0 || at[d] >= w->input[d]) return 0;
    offset = offset * w->input[d] + at[d];
  }
  return (double)x[row / taps * window_inputs(w) + offset];
}

static void columns_are_the_inputs_of_outputs(void **state) {
  uint64_t seed = 3;
  (void)state;
  for (int round = 0; round < 500; round++) {
    const window w = random_window(&seed);
    const int64_t channels = random_int(&seed, 1, 3), rows = channels * window_taps(&w), outputs = window_outputs(&w);
    const int64_t first = random_int(&seed, 0, outputs - 1), count = random_int(&seed, 1, outputs - first);
    const int64_t elements = channels * window_inputs(&w);
    float *x = malloc((size_t)elements * sizeof *x), *patches = malloc((size_t)(rows * count) * sizeof *patches);
    uint8_t *bytes = malloc((size_t)elements), *byte_patches = malloc((size_t)(rows * count));
    uint8_t *last = malloc((size_t)elements), *last_patches = malloc((size_t)(rows * count));
    double *wide = malloc((size_t)elements * sizeof *wide),
           *wide_patches = malloc((size_t)(rows * count) * sizeof *wide_patches);
    int64_t *offsets = malloc((size_t)count * sizeof *offsets);
    for (int64_t i = 0; i < elements; i++) {
      wide[i] = (double)(x[i] = (float)(i + 1));
      bytes[i] = last[i % window_inputs(&w) * channels + i / window_inputs(&w)] = (uint8_t)(i + 1);
    }
    const int64_t plane = window_inputs(&w);
    const patches_source floats = {x, sizeof *x, PADDING, 1, plane}, doubles = {wide, sizeof *wide, PADDING, 1, plane};
    const patches_source first_channels = {bytes, 1, PADDING, 1, plane},
                         last_channels = {last, 1, PADDING, channels, 1};
    patches_gather(&w, channels, &floats, first, count, offsets, patches);
    patches_gather(&w, channels, &doubles, first, count, offsets, wide_patches);
    patches_gather(&w, channels, &first_channels, first, count, offsets, byte_patches);
    patches_gather(&w, channels, &last_channels, first, count, offsets, last_patches);
    for (int64_t i = 0; i < rows * count; i++) {
      const double expected = reference(&w, x, i / count, first + i % count);
      assert_true((double)patches[i] == expected && wide_patches[i] == expected);
      assert_int_equal(byte_patches[i], last_patches[i]);
      assert_int_equal(byte_patches[i], expected == 0 ? PADDING : (uint8_t)(int64_t)expected);
    }
    free(x);
    free(wide);
    free(patches);
    free(wide_patches);
    free(bytes);
    free(byte_patches);
    free(last);
    free(last_patches);
    free(offsets);
  }
}

/* Columns of a block: whole tens of them that the cache holds, within limits. */
static void blocks_fit_the_cache(void **state) {
  (void)state;
  for (int64_t depth = 0; depth < 100000; depth = depth * 2 + 1) {
    for (size_t bytes = 4; bytes <= 8; bytes += 4) {
      const int64_t columns = patches_block(depth, bytes);
      assert_true(columns >= 32 && columns <= 256 && columns % 32 == 0);
      assert_true(columns == 32 || columns * depth * (int64_t)bytes <= 128 * 1024);
    }
  }
  assert_int_equal(patches_block(9, 4), 256);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(columns_are_the_inputs_of_outputs),
      cmocka_unit_test(blocks_fit_the_cache),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
