/* A transposed convolution from one plane to one, in float. The outputs of each phase of the stride are a depthwise
 * convolution with the taps that meet them. */
#ifndef OPS_CONVOLUTION_DEPTHWISE_TRANSPOSE_H
#define OPS_CONVOLUTION_DEPTHWISE_TRANSPOSE_H

#include "ops/window.h"

#define DEPTHWISE_TRANSPOSE_MOST_PHASES 16

struct depthwise_transpose {
  size_t stride[2], y[2];
  size_t kernel[2];
  struct depthwise_phase {
    struct window_2d plane; /* from X to the phase's outputs */
    size_t last[2];         /* the tap that comes first in its convolution; the others are strides before it */
    size_t weights_at;      /* in the packed weights of a plane */
  } phases[DEPTHWISE_TRANSPOSE_MOST_PHASES];
  size_t outputs_at, outputs_size; /* in scratch, in floats: the outputs of the phases of one row */
  size_t scratch_bytes;
};

/* `window` slides over Y. false: other ways suit it better. */
bool depthwise_transpose_describe(const window *window, const struct kernel_table *kernels,
                                  struct depthwise_transpose *transpose);

/* The weights of one plane, sorted by phase. */
void depthwise_transpose_pack(const struct depthwise_transpose *transpose, float *packed, const float *weights);

/* One plane; residual may be NULL. */
void depthwise_transpose_run(const struct depthwise_transpose *transpose, const struct kernel_table *kernels,
                             const float *x, const float *packed, float bias, const float *residual,
                             struct activation activation, float *y, void *scratch);

#endif
