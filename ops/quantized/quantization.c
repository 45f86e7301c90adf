#include "ops/quantized/quantization.h"

#include "ops/blocked.h"

#include <inttypes.h>
#include <stdio.h>

#define RESOLVE_FAIL(...)                                                                                              \
  do {                                                                                                                 \
    snprintf(message, QUANTIZATION_MESSAGE_SIZE, __VA_ARGS__);                                                         \
    return false;                                                                                                      \
  } while (0)

/* Dimensions [begin, end) as one; DIM_UNKNOWN where one is, or where the product is too large. */
static int64_t joined(const shape *x, int begin, int end) {
  int64_t product = 1;
  for (int i = begin; i < end; i++) {
    if (x->dims[i] == DIM_UNKNOWN || __builtin_mul_overflow(product, x->dims[i], &product)) return DIM_UNKNOWN;
  }
  return product;
}

static bool resolve_blocks(const quantization_attributes *attributes, const shape *x, const shape *scale, int axis,
                           char message[QUANTIZATION_MESSAGE_SIZE]) {
  const int64_t block = attributes->block_size;
  if (scale->rank != x->rank)
    RESOLVE_FAIL("the scale has rank %d, blocks of an input of rank %d", scale->rank, x->rank);
  for (int i = 0; i < x->rank; i++) {
    const int64_t have = scale->dims[i], size = x->dims[i];
    const int64_t needed = size == DIM_UNKNOWN || i != axis ? size : size / block + (size % block != 0);
    if (have == DIM_UNKNOWN || needed == DIM_UNKNOWN || have == needed) continue;
    RESOLVE_FAIL("dimension %d of the scale is %" PRId64 " where blocks of %" PRId64 " make %" PRId64, i, have, block,
                 needed);
  }
  return true;
}

bool quantization_resolve(const quantization_attributes *attributes, const shape *x, const shape *scale,
                          quantization *result, char message[QUANTIZATION_MESSAGE_SIZE]) {
  *result = (quantization){.outer = 1, .count = 1, .inner = 1};
  if (x->rank == RANK_UNKNOWN || scale->rank == RANK_UNKNOWN) return true;
  const int64_t scales = joined(scale, 0, scale->rank);
  int axis;
  result->inner = joined(x, 0, x->rank);
  if (!attributes->block_size && scales == 1 && scale->rank <= 1) return true;
  if (!attributes->block_size && scale->rank != 1) RESOLVE_FAIL("the scale has rank %d", scale->rank);
  if (!attributes->block_size && scales == DIM_UNKNOWN) return true;
  if (attributes->is_per_tensor) RESOLVE_FAIL("there are %" PRId64 " scales, but must be one", scales);
  if (!axis_normalize(x->rank == 1 ? 0 : attributes->axis, x->rank, &axis))
    RESOLVE_FAIL("axis %" PRId64 " does not exist in an input of rank %d", attributes->axis, x->rank);
  result->outer = joined(x, 0, axis);
  result->count = x->dims[axis];
  result->inner = joined(x, axis + 1, x->rank);
  result->block = attributes->block_size;
  if (result->block) return resolve_blocks(attributes, x, scale, axis, message);
  if (scales != DIM_UNKNOWN && result->count != DIM_UNKNOWN && scales != result->count)
    RESOLVE_FAIL("there are %" PRId64 " scales for %" PRId64 " positions along axis %d", scales, result->count, axis);
  return true;
}

quantization_run quantization_run_at(const quantization *of, int64_t first, int64_t most) {
  const int64_t inner = first % of->inner, rest = first / of->inner;
  const int64_t position = rest % of->count, outer = rest / of->count;
  quantization_run run = {.count = of->inner - inner, .scale = position};
  if (of->block) {
    const int64_t blocks = of->count / of->block + (of->count % of->block != 0);
    const int64_t left = of->count - position, of_block = of->block - position % of->block;
    run.scale = (outer * blocks + position / of->block) * of->inner + inner;
    run.steps = of->inner > 1;
    if (!run.steps) run.count = left < of_block ? left : of_block;
  } else if (of->inner == 1) {
    run.steps = true;
    run.count = of->count - position;
  }
  if (run.count > most) run.count = most;
  return run;
}

bool quantization_fits_zero(const shape *scale, const shape *zero) {
  if (scale->rank == RANK_UNKNOWN || zero->rank == RANK_UNKNOWN) return true;
  const int64_t scales = joined(scale, 0, scale->rank), zeros = joined(zero, 0, zero->rank);
  if (scales == 1 && zeros == 1) return true;
  if (scale->rank != zero->rank) return scales == DIM_UNKNOWN || zeros == DIM_UNKNOWN;
  for (int i = 0; i < scale->rank; i++) {
    const bool known = scale->dims[i] != DIM_UNKNOWN && zero->dims[i] != DIM_UNKNOWN;
    if (known && scale->dims[i] != zero->dims[i]) return false;
  }
  return true;
}

/* ------------------------------------------------------------------------------------------------ single parameters */

norma_status infer_vector(infer_context *context, int index, const char *name, int64_t count) {
  const shape *given = infer_shape(context, index);
  if (!infer_has_input(context, index) || given->rank == RANK_UNKNOWN) return NORMA_OK;
  const int64_t elements = joined(given, 0, given->rank);
  if (elements == 1 || elements == DIM_UNKNOWN) return NORMA_OK;
  if (given->rank == 1 && (count == DIM_UNKNOWN || elements == count)) return NORMA_OK;
  char text[200];
  if (count == 1) {
    return infer_fail(context, "%s has shape %s, but must be one number", name, shape_text(given, text, sizeof text));
  }
  return infer_fail(context, "%s has shape %s where there are %" PRId64 " positions", name,
                    shape_text(given, text, sizeof text), count);
}

norma_status infer_single(infer_context *context, int index, const char *name) {
  return infer_vector(context, index, name, 1);
}

norma_status infer_singles(infer_context *context, uint32_t inputs) {
  for (int i = 0; i < context->input_count && i < 32; i++) {
    char name[32];
    snprintf(name, sizeof name, "input %d", i);
    if (inputs >> i & 1) TRY(infer_single(context, i, name));
  }
  return NORMA_OK;
}

norma_status infer_same_type(infer_context *context, int index, int other, const char *name) {
  const norma_element_type type = infer_type(context, index), expected = infer_type(context, other);
  if (type == NORMA_UNDEFINED || expected == NORMA_UNDEFINED || type == expected) return NORMA_OK;
  return infer_fail(context, "%s is of type %s, its tensor of %s", name, norma_element_type_name(type),
                    norma_element_type_name(expected));
}

float quantization_scale(const norma_tensor *scale) {
  return (float)element_get_double(scale->type, scale->data, 0);
}

int32_t quantization_zero(const norma_tensor *zero) {
  return zero ? (int32_t)element_get_int64(zero->type, zero->data, 0) : 0;
}

/* ------------------------------------------------------------------------------------------------------------ bytes */

byte_scale byte_scale_of(const run_context *context, norma_element_type type, int scale, int zero) {
  return (byte_scale){type, quantization_scale(run_input(context, scale)), quantization_zero(run_input(context, zero))};
}

void byte_table_fill(const struct kernel_table *kernels, byte_scale from, byte_scale to,
                     const struct activation *activation, uint8_t table[256]) {
  float numbers[256];
  for (int i = 0; i < 256; i++) table[i] = (uint8_t)i;
  kernels->dequantize_f32(numbers, table, 256, from.scale, from.zero, from.type);
  if (activation->kind != UNARY_IDENTITY)
    kernels->unary_f32[activation->kind](numbers, numbers, 256, activation->a, activation->b);
  kernels->quantize_f32(table, numbers, 256, to.scale, to.zero, to.type);
}

bool quantization_block(const node *node, block_form *form) {
  const norma_tensor *scale = node_constant_input(node, 1);
  if (!node_follows_block(node) || !scale || norma_tensor_count(scale) != 1) return false;
  if (form->blocks_of[node->outputs[0]->info.type] != (size_t)form->block) return false;
  /* Floats that nobody wants in blocks are larger to reorder than bytes. */
  if (!value_is_of(node->outputs[0], TYPES_8BIT) && !value_is_wanted_in_blocks(node->outputs[0])) return false;
  form->uses[0] = BLOCK_FOLLOW;
  return attribute_int(node, "block_size", 0) == 0;
}
