/* What a store of 8 bits keeps to: the type's range, or less where a Clip was fused into the node (engine's epilogue).
 * The Clip holds integers of the type that is stored. */
#ifndef OPS_QUANTIZED_QUANTIZED_STORE_H
#define OPS_QUANTIZED_QUANTIZED_STORE_H

#include "ops/operator.h"

typedef struct quantized_store {
  int32_t zero, low, high;
} quantized_store;

/* How node `context->node` stores output 0, whose zero point is input `zero` or, where there is none, 0. */
quantized_store quantized_store_of(const run_context *context, int zero);

#endif
