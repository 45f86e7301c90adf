/* Shapes of convolutions, for all operators that have X [N, C, D1 .. Dn], W [M, C/group, k1 .. kn] and B [M]. */
#ifndef OPS_CONVOLUTION_CONV_SHAPE_H
#define OPS_CONVOLUTION_CONV_SHAPE_H

#include "ops/window.h"

/* Describes output 0, of element type `type`. x, w and b may be of unknown rank; b is that where there is none. Fails where
 * they do not fit together. */
norma_status infer_conv_output(infer_context *context, const window_attributes *attributes, int64_t group,
                               const shape *x, const shape *w, const shape *b, norma_element_type type);

#endif
