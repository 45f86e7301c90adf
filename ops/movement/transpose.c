/*
 * Operators that permute elements.
 *
 * Transpose     1; 13, 21, 23, 24, 25: more types. Attribute perm, by default the dimensions in reverse order.
 * DepthToSpace  1; 11: mode (DCR, CRD); 13: bfloat16; 28
 * SpaceToDepth  1; 13: bfloat16; 28: mode
 *
 * All are one strided copy; the last two see their input as [N, b, b, C, H, W] or similar.
 */
#include "engine/graph/query.h"
#include "ops/axes.h"
#include "ops/movement/movement.h"

/* A copy whose target is contiguous in the order of walk->dims, and whose source strides are set. */
static norma_status permute(run_context *context, strided *walk) {
  const void *source;
  norma_tensor target;
  if (!context->outputs[0]) return NORMA_OK;
  TRY(movement_source(context, run_input(context, 0), &source));
  TRY(movement_target(context, 0, &target));
  movement_strides(walk->rank, walk->dims, walk->strides[0]);
  TRY(movement_strided(context, walk, &target, 0, source, 0));
  return movement_finish(context, 0, &target);
}

/* -------------------------------------------------------------------------------------------------------- Transpose */

typedef struct transpose_state {
  bool has_permutation;
  integers permutation;
} transpose_state;

static norma_status transpose_read(const node *node, void *state, norma_error *error) {
  transpose_state *transpose = state;
  transpose->has_permutation = node_attribute(node, "perm") != NULL;
  bool valid = integers_from_attribute(node, "perm", &transpose->permutation);
  for (int i = 0; valid && i < transpose->permutation.count; i++) valid = transpose->permutation.values[i] >= 0;
  if (!valid || !axes_normalize(&transpose->permutation, transpose->permutation.count)) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "perm is no permutation");
  }
  return NORMA_OK;
}

/* Dimension of the input that becomes dimension `i`. */
static int transpose_source(const transpose_state *state, int rank, int i) {
  return state->has_permutation ? (int)state->permutation.values[i] : rank - 1 - i;
}

static norma_status transpose_infer(infer_context *context) {
  const transpose_state *state = context->state;
  const shape *input = infer_shape(context, 0);
  shape result = shape_unknown();
  if (input->rank != RANK_UNKNOWN) {
    if (state->has_permutation && state->permutation.count != input->rank) {
      return infer_fail(context, "perm has %d entries for a tensor of rank %d", state->permutation.count, input->rank);
    }
    result.rank = input->rank;
    for (int i = 0; i < result.rank; i++) result.dims[i] = input->dims[transpose_source(state, result.rank, i)];
  } else if (state->has_permutation) {
    result = shape_of_rank(state->permutation.count);
  }
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

static norma_status transpose_compute(run_context *context) {
  const transpose_state *state = context->state;
  const norma_tensor *input = run_input(context, 0);
  int64_t strides[NORMA_MAX_RANK];
  strided walk = {.rank = input->rank};
  movement_strides(input->rank, input->dims, strides);
  for (int i = 0; i < input->rank; i++) {
    walk.dims[i] = input->dims[transpose_source(state, input->rank, i)];
    walk.strides[1][i] = strides[transpose_source(state, input->rank, i)];
  }
  return permute(context, &walk);
}

static const operator_attribute transpose_attributes[] = {
    {"perm", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {0},
};

/* ----------------------------------------------------------------------------------------------------------- blocks */

typedef struct blocks_state {
  int64_t size;
  bool to_space;
  bool column_first; /* mode CRD */
} blocks_state;

static norma_status blocks_read(const node *node, void *state, norma_error *error) {
  blocks_state *blocks = state;
  const char *mode = attribute_string(node, "mode", "DCR");
  blocks->size = attribute_int(node, "blocksize", 0);
  blocks->to_space = strcmp(node->op->name, "DepthToSpace") == 0;
  blocks->column_first = strcmp(mode, "CRD") == 0;
  if (blocks->size < 1 || blocks->size > INT32_MAX) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "blocksize is %lld", (long long)blocks->size);
  }
  if (!blocks->column_first && strcmp(mode, "DCR") != 0) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "mode is \"%s\", neither DCR nor CRD", mode);
  }
  return NORMA_OK;
}

/* `size` times `factor`, or divided by -factor; unknown stays so. */
static bool scale(int64_t *size, int64_t factor) {
  if (*size == DIM_UNKNOWN) return true;
  if (factor > 0) return !__builtin_mul_overflow(*size, factor, size);
  if (*size % -factor != 0) return false;
  *size /= -factor;
  return true;
}

static norma_status blocks_infer(infer_context *context) {
  const blocks_state *state = context->state;
  const shape *input = infer_shape(context, 0);
  shape result = shape_of_rank(4);
  if (input->rank != RANK_UNKNOWN) {
    if (input->rank != 4) return infer_fail(context, "the input has rank %d, not 4", input->rank);
    const int64_t side = state->to_space ? state->size : -state->size, area = state->size * state->size;
    result = *input;
    if (!scale(&result.dims[1], state->to_space ? -area : area) || !scale(&result.dims[2], side) ||
        !scale(&result.dims[3], side)) {
      char text[200];
      return infer_fail(context, "blocks of %lld do not fit the shape %s", (long long)state->size,
                        shape_text(input, text, sizeof text));
    }
  }
  infer_output(context, 0, infer_type(context, 0), &result);
  return NORMA_OK;
}

/* Splits the input in six dimensions and orders these as the output has them. */
static norma_status blocks_compute(run_context *context) {
  /* Input dimensions in the order of the output's. */
  static const int to_space_dcr[6] = {0, 3, 4, 1, 5, 2}; /* N, b, b', C, H, W -> N, C, H, b, W, b' */
  static const int to_space_crd[6] = {0, 1, 4, 2, 5, 3}; /* N, C, b, b', H, W -> N, C, H, b, W, b' */
  static const int to_depth_dcr[6] = {0, 3, 5, 1, 2, 4}; /* N, C, H, b, W, b' -> N, b, b', C, H, W */
  static const int to_depth_crd[6] = {0, 1, 3, 5, 2, 4}; /* N, C, H, b, W, b' -> N, C, b, b', H, W */
  const blocks_state *state = context->state;
  const norma_tensor *input = run_input(context, 0);
  const int64_t b = state->size, n = input->dims[0], c = input->dims[1], h = input->dims[2], w = input->dims[3];
  const int64_t area = b * b;
  const int64_t dcr[6] = {n, b, b, c / area, h, w}, crd[6] = {n, c / area, b, b, h, w};
  const int64_t space[6] = {n, c, h / b, b, w / b, b};
  const int64_t *split = !state->to_space ? space : state->column_first ? crd : dcr;
  const int *order = state->to_space ? (state->column_first ? to_space_crd : to_space_dcr)
                                     : (state->column_first ? to_depth_crd : to_depth_dcr);
  int64_t strides[6];
  strided walk = {.rank = 6};
  movement_strides(6, split, strides);
  for (int i = 0; i < 6; i++) {
    walk.dims[i] = split[order[i]];
    walk.strides[1][i] = strides[order[i]];
  }
  return permute(context, &walk);
}

static const operator_attribute depth_to_space_attributes[] = {
    {"blocksize", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"mode", ATTRIBUTE_STRING, 11, OPERATOR_LATEST, false},
    {0},
};
static const operator_attribute space_to_depth_attributes[] = {
    {"blocksize", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"mode", ATTRIBUTE_STRING, 28, OPERATOR_LATEST, false},
    {0},
};

/* ------------------------------------------------------------------------------------------------------------ facts */

static bool transpose_keeps_order(const node *node) {
  const transpose_state *state = node->state;
  const int rank = node_input_shape(node, 0)->rank;
  if (!state->has_permutation) return rank == 0 || rank == 1;
  for (int i = 0; i < state->permutation.count; i++) {
    if (state->permutation.values[i] != i) return false;
  }
  return true;
}

static bool transpose_dimension(const node *node, int output, int axis, dimension_source *source) {
  const transpose_state *state = node->state;
  const int rank = node_input_shape(node, 0)->rank;
  (void)output;
  if (rank == RANK_UNKNOWN || axis >= rank) return false;
  *source = (dimension_source){.axis = transpose_source(state, rank, axis), .stride = 1};
  return true;
}

const operator_descriptor operators_transpose[] = {
    {.name = "Transpose",
     .domain = "",
     .versions = {1, 13, 21, 23, 24, 25},
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_ALL, INPUT(0), OUTPUT(0)}},
     .attributes = transpose_attributes,
     .state_size = sizeof(transpose_state),
     .read = transpose_read,
     .infer = transpose_infer,
     .facts = {.is_identity = transpose_keeps_order, .dimension = transpose_dimension},
     .compute = transpose_compute},
    {.name = "DepthToSpace",
     .domain = "",
     .versions = {1, 11, 13, 28},
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_ALL, INPUT(0), OUTPUT(0)}},
     .attributes = depth_to_space_attributes,
     .state_size = sizeof(blocks_state),
     .read = blocks_read,
     .infer = blocks_infer,
     .compute = blocks_compute},
    {.name = "SpaceToDepth",
     .domain = "",
     .versions = {1, 13, 28},
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_ALL, INPUT(0), OUTPUT(0)}},
     .attributes = space_to_depth_attributes,
     .state_size = sizeof(blocks_state),
     .read = blocks_read,
     .infer = blocks_infer,
     .compute = blocks_compute},
    {0},
};
