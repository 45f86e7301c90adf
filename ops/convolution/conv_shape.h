/* Shapes of convolutions, for all operators that have X [N, C, D1 .. Dn], W [M, C/group, k1 .. kn] and B [M]. */
#ifndef OPS_CONVOLUTION_CONV_SHAPE_H
#define OPS_CONVOLUTION_CONV_SHAPE_H

#include "ops/window.h"

/* The shape of the output. x, w and b may be of unknown rank; b is that where there is none. Fails where they do not
 * fit together. */
norma_status infer_conv_shape(infer_context *context, const window_attributes *attributes, int64_t group,
                              const shape *x, const shape *w, const shape *b, shape *y);

#endif
