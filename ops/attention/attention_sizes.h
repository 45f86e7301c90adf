/* Sizes of attention's inputs as far as they are known, DIM_UNKNOWN where they are not; and inputs and outputs as
 * operands of the core. */
#ifndef OPS_ATTENTION_ATTENTION_SIZES_H
#define OPS_ATTENTION_ATTENTION_SIZES_H

#include "ops/attention/attention_core.h"

/* An attribute that counts heads, which may be absent: not negative, and small enough for sums and small multiples. */
static inline norma_status attention_read_heads(const node *node, const char *name, int64_t *heads,
                                                norma_error *error) {
  *heads = attribute_int(node, name, 0);
  if (*heads >= 0 && *heads <= INT32_MAX) return NORMA_OK;
  return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s is %lld, which is not in 0 .. %d", name,
                       (long long)*heads, INT32_MAX);
}

/* Two sizes that must be the same, of which either may be unknown; false where they differ. */
static inline bool size_unite(int64_t *size, int64_t other) {
  if (*size == DIM_UNKNOWN) *size = other;
  return other == DIM_UNKNOWN || *size == other;
}

/* The part of one head. */
static inline int64_t size_share(int64_t hidden, int64_t heads) {
  return hidden == DIM_UNKNOWN || heads == DIM_UNKNOWN || heads == 0 ? DIM_UNKNOWN : hidden / heads;
}

static inline bool size_divides(int64_t size, int64_t heads) {
  return size == DIM_UNKNOWN || heads == DIM_UNKNOWN || (heads > 0 && size % heads == 0);
}

static inline int64_t size_sum(int64_t a, int64_t b) {
  int64_t sum;
  if (a == DIM_UNKNOWN || b == DIM_UNKNOWN || __builtin_add_overflow(a, b, &sum)) return DIM_UNKNOWN;
  return sum;
}

static inline int64_t size_times(int64_t a, int64_t b) {
  int64_t product;
  if (a == DIM_UNKNOWN || b == DIM_UNKNOWN || __builtin_mul_overflow(a, b, &product)) return DIM_UNKNOWN;
  return product;
}

/* Dimension `axis` of a shape, DIM_UNKNOWN where it or the shape is. */
static inline int64_t size_of(const shape *shape, int axis) {
  return axis < shape->rank ? shape->dims[axis] : DIM_UNKNOWN;
}

/* Without data where the tensor is absent or not wanted. */
static inline attention_operand attention_input(const run_context *context, int index, int64_t heads, int64_t rows,
                                                int64_t elements, bool by_row) {
  const norma_tensor *tensor = run_input(context, index);
  if (!tensor) return (attention_operand){.data = NULL};
  attention_operand operand = attention_operand_of(tensor->type, heads, rows, elements, by_row);
  operand.data = tensor->data;
  return operand;
}

static inline attention_operand attention_output(const run_context *context, int index, int64_t heads, int64_t rows,
                                                 int64_t elements, bool by_row) {
  norma_tensor *tensor = run_output(context, index);
  if (!tensor) return (attention_operand){.data = NULL};
  attention_operand operand = attention_operand_of(tensor->type, heads, rows, elements, by_row);
  operand.target = tensor->data;
  return operand;
}

#endif
