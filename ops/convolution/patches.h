/*
 * Convolution as a matrix product with an explicit patch matrix: any number of axes, single and double precision. The
 * way for what conv_f32 does not take, and for integers; a block of pixels at a time, so that the patches stay in cache.
 */
#ifndef OPS_CONVOLUTION_PATCHES_H
#define OPS_CONVOLUTION_PATCHES_H

#include "ops/window.h"

/* Pixels of one block for patches of `depth` elements of `element_bytes` bytes; depends on nothing else. */
int64_t patches_block(int64_t depth, size_t element_bytes);

/* patches[(c * taps + t) * count + i] = the input under tap t of output pixel first + i in channel c; outside the
 * image it is 0, or `outside` where elements have 1 byte. x: the first of `channels` planes. Elements have 1, 4 or 8
 * bytes. `offsets` is room for `count` numbers. */
void patches_gather(const window *window, int64_t channels, const void *x, size_t element_bytes, uint8_t outside,
                    int64_t first, int64_t count, int64_t *offsets, void *patches);

#endif
