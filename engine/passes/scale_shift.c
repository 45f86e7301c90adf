#include "engine/passes/scale_shift.h"

#include <math.h>

static norma_status scale_shift_allocate(pass_context *context, scale_shift *result, int64_t count) {
  memory *memory = context->model->memory;
  size_t bytes;
  if (!size_multiply((size_t)count, 2 * sizeof(double), &bytes)) bytes = SIZE_MAX / 2;
  double *block = memory_allocate(memory, bytes);
  if (!block) return memory_error(memory, bytes, context->error);
  result->memory = memory;
  result->count = count;
  result->scale = block;
  result->shift = block + count;
  return NORMA_OK;
}

void scale_shift_free(scale_shift *transform) {
  if (transform->memory) memory_free(transform->memory, transform->scale);
  *transform = (scale_shift){0};
}

static bool is_finite(const scale_shift *transform) {
  for (int64_t c = 0; c < transform->count; c++) {
    if (!isfinite(transform->scale[c]) || !isfinite(transform->shift[c])) return false;
  }
  return true;
}

bool scale_shift_is_sum(const scale_shift *transform) {
  for (int64_t c = 0; c < transform->count; c++) {
    if (transform->scale[c] != 1) return false;
  }
  return true;
}

bool scale_shift_is_product(const scale_shift *transform) {
  for (int64_t c = 0; c < transform->count; c++) {
    if (transform->shift[c] != 0) return false;
  }
  return true;
}

norma_status scale_shift_read(pass_context *context, const node *node, scale_shift *result, bool *found) {
  affine_form form;
  *found = false;
  *result = (scale_shift){0};
  if (!node_has_output(node, 0) || !value_is_of(node->outputs[0], TYPES_FLOAT) || !node_has_plain_store(node)) {
    return NORMA_OK;
  }
  if (!node_affine(node, &form)) return NORMA_OK;
  TRY(scale_shift_allocate(context, result, form.count));
  result->input = form.input;
  result->axis = form.axis;
  for (int64_t c = 0; c < form.count; c++) form.at(&form, c, &result->scale[c], &result->shift[c]);
  *found = is_finite(result);
  if (!*found) scale_shift_free(result);
  return NORMA_OK;
}

norma_status scale_shift_append(pass_context *context, scale_shift *first, const scale_shift *second, bool *found) {
  *found = false;
  bool same_axis = first->count == 1 || second->count == 1 || first->axis == second->axis;
  if (!same_axis) return NORMA_OK;
  const scale_shift *longer = first->count == 1 ? second : first;
  scale_shift joined = {0};
  TRY(scale_shift_allocate(context, &joined, longer->count));
  joined.input = first->input;
  joined.axis = longer->axis;
  for (int64_t c = 0; c < joined.count; c++) {
    joined.scale[c] = scale_shift_scale(first, c) * scale_shift_scale(second, c);
    joined.shift[c] = scale_shift_shift(first, c) * scale_shift_scale(second, c) + scale_shift_shift(second, c);
  }
  *found = is_finite(&joined);
  if (!*found) {
    scale_shift_free(&joined);
    return NORMA_OK;
  }
  scale_shift_free(first);
  *first = joined;
  return NORMA_OK;
}
