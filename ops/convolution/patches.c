#include "ops/convolution/patches.h"

#define PATCHES_CACHED_BYTES (128 * 1024)

int64_t patches_block(int64_t depth, size_t element_bytes) {
  int64_t pixels = depth > 0 ? (int64_t)(PATCHES_CACHED_BYTES / element_bytes) / depth : 256;
  return pixels < 32 ? 32 : pixels > 256 ? 256 : pixels / 32 * 32;
}

/* offsets[i]: where in its plane pixel first + i finds the input of a tap; -1 outside. */
static void patches_find(const window *w, const int64_t *tap, const int64_t *start, int64_t count, int64_t *offsets) {
  int64_t position[WINDOW_MAX_AXES];
  memcpy(position, start, sizeof position);
  for (int64_t i = 0; i < count; i++) {
    int64_t offset = 0;
    for (int d = 0; d < w->axes && offset >= 0; d++) {
      int64_t at = position[d] * w->stride[d] + tap[d] * w->dilation[d] - w->pad_begin[d];
      offset = at < 0 || at >= w->input[d] ? -1 : offset * w->input[d] + at;
    }
    offsets[i] = offset;
    window_advance(w->axes, w->output, position);
  }
}

static void patches_copy_row(const void *x, size_t element_bytes, uint8_t outside, const int64_t *offsets,
                             int64_t count, void *row) {
  if (element_bytes == 1) {
    const uint8_t *from = x;
    for (int64_t i = 0; i < count; i++) ((uint8_t *)row)[i] = offsets[i] < 0 ? outside : from[offsets[i]];
  } else if (element_bytes == sizeof(uint32_t)) {
    const uint32_t *from = x;
    for (int64_t i = 0; i < count; i++) ((uint32_t *)row)[i] = offsets[i] < 0 ? 0 : from[offsets[i]];
  } else {
    const uint64_t *from = x;
    for (int64_t i = 0; i < count; i++) ((uint64_t *)row)[i] = offsets[i] < 0 ? 0 : from[offsets[i]];
  }
}

void patches_gather(const window *window, int64_t channels, const void *x, size_t element_bytes, uint8_t outside,
                    int64_t first, int64_t count, int64_t *offsets, void *patches) {
  int64_t start[WINDOW_MAX_AXES] = {0}, tap[WINDOW_MAX_AXES] = {0};
  size_t plane = (size_t)window_inputs(window) * element_bytes, row = (size_t)count * element_bytes;
  int64_t taps = window_taps(window), rest = first;
  for (int d = window->axes - 1; d >= 0; d--) {
    start[d] = rest % window->output[d];
    rest /= window->output[d];
  }
  for (int64_t t = 0; t < taps; t++) {
    patches_find(window, tap, start, count, offsets);
    for (int64_t c = 0; c < channels; c++)
      patches_copy_row((const char *)x + (size_t)c * plane, element_bytes, outside, offsets, count,
                       (char *)patches + (size_t)(c * taps + t) * row);
    window_advance(window->axes, window->kernel, tap);
  }
}
