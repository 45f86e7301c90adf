/* Convolutions of 8-bit integers whose groups have one input channel: a plane at a time, without a matrix product. */
#ifndef OPS_QUANTIZED_INTEGER_DEPTHWISE_H
#define OPS_QUANTIZED_INTEGER_DEPTHWISE_H

#include "ops/byte_rows.h"
#include "ops/quantized/quantized_store.h"

typedef struct integer_depthwise {
  byte_rows rows;
  norma_element_type x_type, w_type, y_type;
} integer_depthwise;

/* One output channel of one sample. */
typedef struct integer_depthwise_plane {
  const uint8_t *x;
  const void *w; /* its taps */
  char *y;
  int32_t x_zero, w_zero, bias;
  float scale;
} integer_depthwise_plane;

/* Slices of output rows that a plane is cut into. */
int64_t integer_depthwise_slices(const integer_depthwise *depthwise);
void integer_depthwise_compute(const struct kernel_table *kernels, const integer_depthwise *depthwise,
                               const integer_depthwise_plane *plane, const quantized_store *store, int64_t slice,
                               uint8_t *scratch);

#endif
