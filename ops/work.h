/* Small things that operators with heavy kernels share: how finely work is cut, and how scratch is laid out. */
#ifndef OPS_WORK_H
#define OPS_WORK_H

#include "ops/operator.h"

#include <stdint.h>

/* A piece of work below this many operations (some 2 us) is not worth waking a thread for. */
#define WORK_LEAST 2e5
/* A piece above this many (some milliseconds) would keep a cancelled run waiting. */
#define WORK_MOST 2e8

/* What it costs to read and write one float element, in operations: caches move some 40 GB/s to a core. */
#define WORK_ELEMENT 16.0

/* The grain for run_parallel over items of `cost` operations each. */
static inline int64_t work_grain(double cost) {
  double items = cost > 0 ? WORK_LEAST / cost : WORK_LEAST;
  return items < 1 ? 1 : (int64_t)items;
}

/* For long loops over single elements, in the body of a range: whether to leave it, asked every 65,536 iterations. */
static inline bool work_interrupted(const run_context *context, int64_t iteration) {
  return (iteration & 0xFFFF) == 0xFFFF && run_cancelled(context);
}

/* The same for loops in compute itself, as the status to leave them with. */
static inline norma_status work_poll(const run_context *context, int64_t iteration) {
  return (iteration & 0xFFFF) == 0xFFFF ? run_poll(context) : NORMA_OK;
}

static inline int64_t divide_up(int64_t a, int64_t b) { /* a >= 0, b > 0, no overflow */
  return a / b + (a % b != 0);
}

/* Appends an array of `count` elements, aligned to 64 bytes, to the scratch of `*total` bytes; its offset goes to
 * *offset. false when the size overflows. */
static inline bool scratch_append(size_t *total, size_t count, size_t element_bytes, size_t *offset) {
  size_t bytes, end;
  *offset = *total;
  if (!size_multiply(count, element_bytes, &bytes) || bytes > SIZE_MAX - 2 * MEMORY_ALIGNMENT ||
      !size_add(*total, size_align(bytes, MEMORY_ALIGNMENT), &end))
    return false;
  *total = end;
  return true;
}

/* Refuses more than `inputs` inputs in versions before `version`, which had attributes in their place or nothing: they
 * would be passed over in silence. */
static inline norma_status read_inputs_since(const node *node, int inputs, int version, norma_error *error) {
  int given = node->input_count;
  while (given > inputs && !node->inputs[given - 1]) given--;
  if (node->version >= version || given <= inputs) return NORMA_OK;
  return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %d inputs, expected at most %d before version %d",
                       given, inputs, version);
}

/* Refuses an input 0 of one of `types` in versions before `version`, which added them. */
static inline norma_status infer_types_since(infer_context *context, type_mask types, int version) {
  norma_element_type type = infer_type(context, 0);
  if (context->node->version >= version || type == NORMA_UNDEFINED || !(TYPE_BIT(type) & types)) return NORMA_OK;
  return infer_fail(context, "%s needs opset %d", norma_element_type_name(type), version);
}

#define TYPES_BFLOAT16 TYPE_BIT(NORMA_BFLOAT16)

#endif
