/*
 * What convolutions of 8-bit integers do with their sums before they store 8 bits: scale, round, limit, and where a sum was
 * fused into the node (engine's epilogue) add a quantised residual.
 *
 * The residual of such a node is followed by the inputs that quantised sums have besides: the residual's scale and zero
 * point, and scale and zero point of the sum. The activation, a Clip, holds integers of the type that is stored.
 */
#ifndef OPS_QUANTIZED_QUANTIZED_STORE_H
#define OPS_QUANTIZED_QUANTIZED_STORE_H

#include "ops/operator.h"

enum quantized_residual_input { RESIDUAL, RESIDUAL_SCALE, RESIDUAL_ZERO, SUM_SCALE, SUM_ZERO, RESIDUAL_INPUTS };

typedef struct quantized_store {
  norma_element_type type; /* of the result */
  int32_t zero, low, high; /* of the result, or with a residual of what is added to it */
  int residual;            /* input; 0: none */
  struct binary_8bit sum;  /* with the residual as b */
} quantized_store;

/* How node `context->node` stores results of the scale and zero point that inputs `scale` and `zero` hold. */
quantized_store quantized_store_of(const run_context *context, int scale, int zero);

/* Whether a node with that epilogue has the inputs above, of fitting shapes and types; for infer. */
norma_status infer_quantized_residual(infer_context *context, norma_element_type type);

#endif
