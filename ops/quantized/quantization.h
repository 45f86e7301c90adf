/*
 * Scales and zero points of quantised tensors: which of them belongs to which element.
 *
 *   per tensor   one for all
 *   per axis     a vector, one for each position along an axis
 *   blocked      a tensor like the quantised one, but for one axis, along which each stands for `block_size` positions
 *
 * A tensor is walked in runs of neighbouring elements that have one scale, or scales that are neighbours too.
 */
#ifndef OPS_QUANTIZED_QUANTIZATION_H
#define OPS_QUANTIZED_QUANTIZATION_H

#include "ops/operator.h"

#include <math.h>

#define TYPES_8BIT   (TYPE_BIT(NORMA_INT8) | TYPE_BIT(NORMA_UINT8))
#define TYPES_16BIT  (TYPE_BIT(NORMA_INT16) | TYPE_BIT(NORMA_UINT16))
#define TYPES_4BIT   (TYPE_BIT(NORMA_INT4) | TYPE_BIT(NORMA_UINT4))
#define TYPES_2BIT   (TYPE_BIT(NORMA_INT2) | TYPE_BIT(NORMA_UINT2))
#define TYPES_6BIT   (TYPE_BIT(NORMA_FLOAT6E2M3) | TYPE_BIT(NORMA_FLOAT6E3M2))
#define TYPES_E8M0   TYPE_BIT(NORMA_FLOAT8E8M0)
#define TYPES_SCALED (TYPES_FLOAT8 & ~TYPES_E8M0) /* the floats of 8 bits that can be quantised to */

/* --------------------------------------------------------------------------------------------------------- integers */

/* The range of an integer type of at most 16 bits. */
static inline int32_t quantized_lowest(norma_element_type type) {
  switch (type) {
  case NORMA_INT8:
    return INT8_MIN;
  case NORMA_INT16:
    return INT16_MIN;
  case NORMA_INT4:
    return -8;
  case NORMA_INT2:
    return -2;
  default:
    return 0;
  }
}

static inline int32_t quantized_highest(norma_element_type type) {
  return quantized_lowest(type) + (1 << element_type_bits(type)) - 1;
}

/* saturate(round(x) + zero), halves to even; NaN becomes the lowest number. */
static inline int32_t quantize_ratio(double x, int32_t zero, int32_t low, int32_t high) {
  const double rounded = rint(x) + zero;
  return rounded > low ? rounded < high ? (int32_t)rounded : high : low;
}

/* ------------------------------------------------------------------------------------------------------ granularity */

typedef struct quantization_attributes {
  int64_t axis;
  int64_t block_size; /* 0: not blocked */
  bool is_per_tensor; /* nothing else is allowed */
} quantization_attributes;

/* Elements are [outer][count][inner]; scales are [outer][ceil(count / block)][inner] where blocked, else [count]. */
typedef struct quantization {
  int64_t outer, count, inner;
  int64_t block; /* positions along the axis that share a scale; 0: not blocked */
} quantization;

#define QUANTIZATION_MESSAGE_SIZE 240

/* Which scale belongs to which element. Unknown ranks and dimensions are tolerated and left for later, when the result
 * is not to be used yet. false: the message says what is wrong. */
bool quantization_resolve(const quantization_attributes *attributes, const shape *x, const shape *scale,
                          quantization *result, char message[QUANTIZATION_MESSAGE_SIZE]);

/* Elements that lie together: their first scale, and whether the next elements have the next ones. */
typedef struct quantization_run {
  int64_t count;
  int64_t scale;
  bool steps;
} quantization_run;

/* The run that begins at element `first`, of at most `most` elements. */
quantization_run quantization_run_at(const quantization *of, int64_t first, int64_t most);

/* Whether a zero point and its scale, both known, have one shape; a single number has any shape of one element. */
bool quantization_fits_zero(const shape *scale, const shape *zero);

/* ------------------------------------------------------------------------------------------------ single parameters */

/* Fails unless input `index`, where it is there and its shape known, has one element. `name` is for the message. */
norma_status infer_single(infer_context *context, int index, const char *name);
/* Fails unless it has one element or `count` (DIM_UNKNOWN: any number) in one dimension. */
norma_status infer_vector(infer_context *context, int index, const char *name, int64_t count);
/* Input `index` has the element type of `other`, which may not be known yet. */
norma_status infer_same_type(infer_context *context, int index, int other, const char *name);

/* Fails unless each of these inputs (bits) that is there has one element: scales and zero points. */
norma_status infer_singles(infer_context *context, uint32_t inputs);

/* The number of a tensor of one element; `otherwise` where it is NULL. */
float quantization_scale(const norma_tensor *scale);
int32_t quantization_zero(const norma_tensor *zero);

/* A number q of 8 bits stands for (q - zero) * scale. */
typedef struct byte_scale {
  norma_element_type type;
  float scale;
  int32_t zero;
} byte_scale;

/* From the inputs `scale` and `zero`, the latter of which may be absent; `type` is that of the tensor. */
byte_scale byte_scale_of(const run_context *context, norma_element_type type, int scale, int zero);
static inline bool byte_scale_equal(byte_scale a, byte_scale b) {
  return a.type == b.type && a.scale == b.scale && a.zero == b.zero;
}

/* facts.block of QuantizeLinear and DequantizeLinear with one scale: both types have blocks of one size. */
bool quantization_block(const node *node, block_form *form);

/* The function of 8-bit integers that dequantises, applies an activation in float and quantises: table[(uint8_t)x]. */
void byte_table_fill(const struct kernel_table *kernels, byte_scale from, byte_scale to,
                     const struct activation *activation, uint8_t table[256]);

#endif
