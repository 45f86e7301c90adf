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

static void patches_copy_row(const patches_source *source, size_t at, const int64_t *offsets, int64_t count,
                             void *row) {
  const void *x = (const char *)source->x + at;
  if (source->element_bytes == 1) {
    const uint8_t *from = x;
    for (int64_t i = 0; i < count; i++) ((uint8_t *)row)[i] = offsets[i] < 0 ? source->outside : from[offsets[i]];
  } else if (source->element_bytes == sizeof(uint32_t)) {
    const uint32_t *from = x;
    for (int64_t i = 0; i < count; i++) ((uint32_t *)row)[i] = offsets[i] < 0 ? 0 : from[offsets[i]];
  } else {
    const uint64_t *from = x;
    for (int64_t i = 0; i < count; i++) ((uint64_t *)row)[i] = offsets[i] < 0 ? 0 : from[offsets[i]];
  }
}

void patches_gather(const window *window, int64_t channels, const patches_source *source, int64_t first, int64_t count,
                    int64_t *offsets, void *patches) {
  int64_t start[WINDOW_MAX_AXES] = {0}, tap[WINDOW_MAX_AXES] = {0};
  const size_t plane = (size_t)source->channel_stride * source->element_bytes;
  const size_t row = (size_t)count * source->element_bytes;
  int64_t taps = window_taps(window), rest = first;
  for (int d = window->axes - 1; d >= 0; d--) {
    start[d] = rest % window->output[d];
    rest /= window->output[d];
  }
  for (int64_t t = 0; t < taps; t++) {
    patches_find(window, tap, start, count, offsets);
    if (source->pixel_stride != 1) {
      for (int64_t i = 0; i < count; i++) offsets[i] *= source->pixel_stride; /* what is negative stays so */
    }
    for (int64_t c = 0; c < channels; c++)
      patches_copy_row(source, (size_t)c * plane, offsets, count, (char *)patches + (size_t)(c * taps + t) * row);
    window_advance(window->axes, window->kernel, tap);
  }
}
