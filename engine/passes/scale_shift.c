#include "engine/passes/scale_shift.h"

#include "ops/elementwise/binary.h"

#include <math.h>

static norma_status allocate(pass_context *context, scale_shift *result, int64_t count) {
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

static bool is_float(const graph_value *value) {
  return value->info.kind == NORMA_VALUE_TENSOR && (TYPES_FLOAT & TYPE_BIT(value->info.type));
}

/* ----------------------------------------------------------------------------------------------- BatchNormalization */

bool is_inference_batch_normalization(const node *node) {
  if (!node_is(node, "BatchNormalization")) return false;
  for (int i = 1; i < node->output_count; i++) {
    if (node->outputs[i]) return false;
  }
  if (node->version < 7) return attribute_int(node, "is_test", 0) != 0;
  return node->version < 14 || attribute_int(node, "training_mode", 0) == 0;
}

static norma_status read_batch_normalization(pass_context *context, const node *node, scale_shift *result,
                                             bool *found) {
  const norma_tensor *vectors[4];
  const shape *x = &node->inputs[0]->info.shape;
  if (!is_inference_batch_normalization(node) || x->rank < 2 || x->dims[1] < 1) return NORMA_OK;
  /* With spatial = 0 each feature has parameters of its own, except up to version 6, where all are per channel. */
  if (node->version >= 7 && attribute_int(node, "spatial", 1) == 0 && x->rank > 2) return NORMA_OK;
  for (int i = 0; i < 4; i++) {
    vectors[i] = node_constant_input(node, 1 + i);
    if (!vectors[i] || vectors[i]->rank != 1 || vectors[i]->dims[0] != x->dims[1]) return NORMA_OK;
  }
  TRY(allocate(context, result, x->dims[1]));
  result->input = 0;
  result->axis = result->count == 1 ? -1 : 1;
  double epsilon = (double)attribute_float(node, "epsilon", 1e-5f);
  for (int64_t c = 0; c < result->count; c++) {
    double of[4]; /* scale, bias, mean, variance */
    for (int i = 0; i < 4; i++) of[i] = element_get_double(vectors[i]->type, vectors[i]->data, c);
    result->scale[c] = of[0] / sqrt(of[3] + epsilon);
    result->shift[c] = of[1] - of[2] * result->scale[c];
  }
  *found = true;
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------- Mul, Div, Add, Sub */

/* How the elements of a constant lie along x: one for all, or one for each index of one axis. */
static bool find_axis(const shape *x, const shape *constant, int *axis) {
  *axis = -1;
  if (constant->rank > x->rank || shape_count(constant) < 1) return false;
  for (int i = 0; i < constant->rank; i++) {
    int of_x = i + x->rank - constant->rank;
    if (constant->dims[i] == 1) continue;
    if (*axis >= 0 || x->dims[of_x] != constant->dims[i]) return false;
    *axis = of_x;
  }
  return true;
}

typedef enum arithmetic { MULTIPLY, DIVIDE, ADD, SUBTRACT, SUBTRACT_FROM } arithmetic;

static void fill(scale_shift *result, arithmetic kind, const norma_tensor *constant) {
  for (int64_t c = 0; c < result->count; c++) {
    double element = element_get_double(constant->type, constant->data, c);
    double scale = 1, shift = 0;
    switch (kind) {
    case MULTIPLY:
      scale = element;
      break;
    case DIVIDE:
      scale = 1 / element;
      break;
    case ADD:
      shift = element;
      break;
    case SUBTRACT:
      shift = -element;
      break;
    case SUBTRACT_FROM:
      scale = -1;
      shift = element;
      break;
    }
    result->scale[c] = scale;
    result->shift[c] = shift;
  }
}

static bool find_kind(const node *node, int constant, arithmetic *kind) {
  if (node_is(node, "Mul"))
    *kind = MULTIPLY;
  else if (node_is(node, "Div") && constant == 1)
    *kind = DIVIDE;
  else if (node_is(node, "Add"))
    *kind = ADD;
  else if (node_is(node, "Sub"))
    *kind = constant == 1 ? SUBTRACT : SUBTRACT_FROM;
  else
    return false;
  return true;
}

static norma_status read_arithmetic(pass_context *context, const node *node, scale_shift *result, bool *found) {
  arithmetic kind;
  int constant_index = node_constant_input(node, 1) ? 1 : 0;
  const norma_tensor *constant = node_constant_input(node, constant_index);
  if (!constant || node_constant_input(node, !constant_index) || !find_kind(node, constant_index, &kind)) {
    return NORMA_OK;
  }
  if (node->version < 7 && constant_index == 0) return NORMA_OK; /* there only B is broadcast */
  const shape *x = &node->inputs[!constant_index]->info.shape;
  shape given = shape_of_tensor(constant), aligned;
  binary_broadcast broadcast;
  binary_broadcast_read(node, &broadcast);
  int axis;
  if (x->rank == RANK_UNKNOWN || !binary_align(&broadcast, x, &given, &aligned) || !find_axis(x, &aligned, &axis)) {
    return NORMA_OK;
  }
  TRY(allocate(context, result, norma_tensor_count(constant)));
  result->input = !constant_index;
  result->axis = axis;
  fill(result, kind, constant);
  *found = true;
  return NORMA_OK;
}

/* -------------------------------------------------------------------------------------------------------------- all */

norma_status scale_shift_read(pass_context *context, const node *node, scale_shift *result, bool *found) {
  *found = false;
  *result = (scale_shift){0};
  if (node->input_count < 2 || !node->outputs[0] || !node->inputs[0] || !node->inputs[1]) return NORMA_OK;
  if (!is_float(node->outputs[0]) || node->epilogue.activation.kind != UNARY_IDENTITY) return NORMA_OK;
  if (node_is(node, "BatchNormalization"))
    TRY(read_batch_normalization(context, node, result, found));
  else
    TRY(read_arithmetic(context, node, result, found));
  if (*found && !is_finite(result)) {
    scale_shift_free(result);
    *found = false;
  }
  return NORMA_OK;
}

norma_status scale_shift_append(pass_context *context, scale_shift *first, const scale_shift *second, bool *found) {
  *found = false;
  bool same_axis = first->count == 1 || second->count == 1 || first->axis == second->axis;
  if (!same_axis) return NORMA_OK;
  const scale_shift *longer = first->count == 1 ? second : first;
  scale_shift joined = {0};
  TRY(allocate(context, &joined, longer->count));
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
