/*
 * Convolution as a matrix product with an explicit patch matrix: any number of axes, single and double precision. The
 * way for what conv_f32 does not take, and for integers; a block of pixels at a time, so that the patches stay in
 * cache.
 */
#ifndef OPS_CONVOLUTION_PATCHES_H
#define OPS_CONVOLUTION_PATCHES_H

#include "ops/window.h"

/* Pixels of one block for patches of `depth` elements of `element_bytes` bytes; depends on nothing else. */
int64_t patches_block(int64_t depth, size_t element_bytes);

/* Where inputs come from. Strides are in elements: channels first, 1 and the elements of a plane; channels last, the
 * number of channels and 1. */
typedef struct patches_source {
  const void *x;        /* pixel 0 of the first channel */
  size_t element_bytes; /* 1, 4 or 8 */
  uint8_t outside;      /* what lies outside the image where elements have 1 byte; else that is 0 */
  int64_t pixel_stride, channel_stride;
} patches_source;

/* patches[(c * taps + t) * count + i] = the input under tap t of output pixel first + i in channel c. `offsets` is room
 * for `count` numbers. */
void patches_gather(const window *window, int64_t channels, const patches_source *source, int64_t first, int64_t count,
                    int64_t *offsets, void *patches);

#endif
