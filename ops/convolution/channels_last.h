/* Tensors whose channels lie last, on their way to and from the order of planes in which convolutions are computed. */
#ifndef OPS_CONVOLUTION_CHANNELS_LAST_H
#define OPS_CONVOLUTION_CHANNELS_LAST_H

#include "engine/base/tensor.h"
#include "ops/kernels/kernel_table.h"

/* [N, D1 .. Dn, C] as [N, C, D1 .. Dn], and back. Ranks below 3, or unknown, stay. */
shape channels_last_to_first(const shape *last);
shape channels_last_from_first(const shape *first);

/* planes[c][p] = pixels[p][c]: pixels of `type`, planes of double where that is double, else of float. */
void channels_last_load(const struct kernel_table *kernels, norma_element_type type, void *planes, const void *pixels,
                        int64_t channels, int64_t count);
/* pixels[p][c] = planes[c][p] */
void channels_last_store(const struct kernel_table *kernels, norma_element_type type, void *pixels, const void *planes,
                         int64_t channels, int64_t count);

#endif
