/* What FusedConv of com.microsoft adds to Conv: a tensor Z of Y's shape, then an activation. */
#ifndef OPS_CONVOLUTION_FUSED_CONV_H
#define OPS_CONVOLUTION_FUSED_CONV_H

#include "ops/operator.h"

#define FUSED_CONV_Z 3 /* the input; may be absent */

/* Decodes the attributes activation and activation_params. */
norma_status fused_conv_read(const node *node, struct activation *activation, norma_error *error);

/* Refuses a Z of another shape than output 0 was inferred to have. */
norma_status fused_conv_check(infer_context *context);

/* Adds Z and applies the activation to an output of double, which kernels store without them. */
norma_status fused_conv_finish_double(run_context *context, const struct activation *activation);

#endif
