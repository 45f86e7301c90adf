/*
 * RotaryEmbedding 23 (ai.onnx), 1 (com.microsoft)
 *
 * X [B, H, S, D] or [B, S, H * D]: in each row of D elements the first `rotary_embedding_dim` (0: all) are rotated in
 * pairs, real = x1 * cos - x2 * sin, imaginary = x1 * sin + x2 * cos; x1 and x2 are the two halves or, interleaved,
 * neighbours.
 *
 * ai.onnx: inputs X, cos_cache, sin_cache, position_ids. cos_cache and sin_cache are [P, rotary / 2], of which
 * position_ids [B, S] choose rows, or without position_ids [B, S, rotary / 2].
 *
 * com.microsoft: inputs X, position_ids, cos_cache, sin_cache. position_ids [B, S] choose rows of [P, rotary / 2]; of
 * one element, they are the row of the first position. Without rotary_embedding_dim the caches tell the size of a head
 * of an X of rank 3. `scale` is not used by the definition's formula.
 */
#include "ops/attention/attention_sizes.h"
#include "ops/attention/rotary.h"
#include "ops/work.h"

#include <inttypes.h>

typedef struct rotary_state {
  bool contrib;          /* com.microsoft */
  int cos, sin, ids;     /* inputs */
  int64_t heads, rotary; /* 0: not given */
  bool interleaved;

  /* The plan's. */
  rotary_plan plan;
  bool by_row;         /* rank 3 */
  int64_t positions;   /* rows of the caches */
  bool first_only;     /* position_ids give the first position */
  size_t positions_at; /* in scratch */
} rotary_state;

static norma_status rotary_read(const node *node, void *opaque, norma_error *error) {
  rotary_state *state = opaque;
  state->contrib = node->domain[0] != 0;
  state->ids = state->contrib ? 1 : 3;
  state->cos = state->contrib ? 2 : 1;
  state->sin = state->cos + 1;
  TRY(attention_read_heads(node, "num_heads", &state->heads, error));
  state->rotary = attribute_int(node, "rotary_embedding_dim", 0);
  state->interleaved = attribute_int(node, "interleaved", 0) != 0;
  if (state->heads < 0 || state->rotary < 0 || state->rotary % 2 != 0)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                         "num_heads is %" PRId64 " and rotary_embedding_dim %" PRId64
                         ", which must not be negative or, the latter, odd",
                         state->heads, state->rotary);
  if (state->contrib && state->rotary > 0 && state->heads == 0)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "rotary_embedding_dim needs num_heads");
  if (attribute_int(node, "is_packed_batching", 0) != 0)
    return error_at_node(error, NORMA_ERROR_UNSUPPORTED, node, "is_packed_batching is not supported");
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------ infer */

/* Elements of a head; DIM_UNKNOWN. */
static int64_t rotary_head_size(const rotary_state *state, const shape *x, const shape *cos) {
  if (x->rank == 4) return x->dims[3];
  if (state->heads > 0) return x->dims[2] == DIM_UNKNOWN ? DIM_UNKNOWN : x->dims[2] / state->heads;
  int64_t half = cos->rank > 0 ? cos->dims[cos->rank - 1] : DIM_UNKNOWN;
  return half == DIM_UNKNOWN || half > INT64_MAX / 2 ? DIM_UNKNOWN : 2 * half;
}

static norma_status rotary_check_caches(infer_context *context, int64_t batch, int64_t rows, int64_t half) {
  const rotary_state *state = context->state;
  bool by_position = infer_has_input(context, state->ids);
  shape expected = shape_of_rank(by_position ? 2 : 3);
  if (!by_position) {
    expected.dims[0] = batch;
    expected.dims[1] = rows;
  }
  expected.dims[expected.rank - 1] = half;
  for (int i = state->cos; i <= state->sin; i++) {
    char text[2][100];
    shape_text(&expected, text[1], sizeof text[1]);
    if (!shape_merge(&expected, infer_shape(context, i)))
      return infer_fail(context, "%s has shape %s, expected %s", i == state->cos ? "cos_cache" : "sin_cache",
                        shape_text(infer_shape(context, i), text[0], sizeof text[0]), text[1]);
  }
  return NORMA_OK;
}

static norma_status rotary_infer(infer_context *context) {
  const rotary_state *state = context->state;
  const shape *x = infer_shape(context, 0), *ids = infer_shape(context, state->ids);
  char text[100];
  TRY(infer_same(context));
  if (x->rank == RANK_UNKNOWN) return NORMA_OK;
  if (x->rank != 3 && x->rank != 4) return infer_fail(context, "X has rank %d, expected 3 or 4", x->rank);
  if (x->rank == 3 && state->heads == 0 && !state->contrib)
    return infer_fail(context, "an X of rank 3 needs the attribute num_heads");
  int64_t size = rotary_head_size(state, x, infer_shape(context, state->cos)), hidden = x->dims[2];
  if (x->rank == 3 && hidden != DIM_UNKNOWN &&
      ((state->heads > 0 && hidden % state->heads != 0) || (size > 0 && hidden % size != 0) || (size == 0 && hidden)))
    return infer_fail(context, "X of shape %s cannot be cut into heads", shape_text(x, text, sizeof text));
  int64_t rotary = state->rotary ? state->rotary : size;
  if (size != DIM_UNKNOWN && (rotary > size || rotary % 2 != 0))
    return infer_fail(context, "%" PRId64 " elements of %" PRId64 " cannot be rotated in pairs", rotary, size);
  shape expected = shape_of_rank(2);
  expected.dims[0] = x->dims[0];
  expected.dims[1] = x->dims[x->rank - 2];
  if (x->rank == 3) expected.dims[1] = x->dims[1];
  TRY(rotary_check_caches(context, expected.dims[0], expected.dims[1],
                          rotary == DIM_UNKNOWN ? DIM_UNKNOWN : rotary / 2));
  if (state->contrib && (ids->rank == 1 || ids->rank == 0)) {
    if (ids->rank == 0 || ids->dims[0] == 1 || ids->dims[0] == DIM_UNKNOWN) return NORMA_OK;
  }
  if (!shape_merge(&expected, ids))
    return infer_fail(context, "position_ids have shape %s, but X %s", shape_text(ids, text, sizeof text),
                      x->rank == 3 ? "is [batch, position, ..]" : "is [batch, head, position, ..]");
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

static norma_status rotary_prepare_operator(prepare_context *context) {
  rotary_state *state = context->state;
  const shape *x = prepare_shape(context, 0), *cos = prepare_shape(context, state->cos);
  const shape *ids = prepare_shape(context, state->ids);
  rotary_plan *plan = &state->plan;
  state->by_row = x->rank == 3;
  state->positions = cos->dims[0];
  state->first_only = state->contrib && ids->rank < 2;
  plan->batch = x->dims[0];
  plan->rows = x->dims[state->by_row ? 1 : 2];
  plan->elements = rotary_head_size(state, x, cos);
  plan->heads = !state->by_row ? x->dims[1] : plan->elements ? x->dims[2] / plan->elements : 0;
  plan->half = (state->rotary ? state->rotary : plan->elements) / 2;
  plan->neighbours = state->interleaved;
  context->kernel_name = "rows";
  context->flops = 3.0 * (double)plan->batch * (double)plan->rows * (double)plan->heads * (double)plan->elements;
  if (state->first_only && !scratch_append(&context->scratch_bytes, (size_t)(plan->batch * plan->rows), sizeof(int64_t),
                                           &state->positions_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "X is too large");
  return rotary_prepare(context, plan);
}

/* ---------------------------------------------------------------------------------------------------------- compute */

static norma_status rotary_find_positions(run_context *context, const int64_t **positions) {
  const rotary_state *state = context->state;
  const norma_tensor *ids = run_input(context, state->ids);
  int64_t count = state->plan.batch * state->plan.rows;
  *positions = ids ? ids->data : NULL;
  if (ids && state->first_only) {
    int64_t *made = (int64_t *)((char *)context->scratch + state->positions_at), first = (*positions)[0];
    for (int64_t i = 0; i < count; i++)
      if (__builtin_add_overflow(first, i % state->plan.rows, &made[i])) made[i] = -1;
    *positions = made;
  }
  for (int64_t i = 0; i < count && ids; i++) {
    if ((*positions)[i] < 0 || (*positions)[i] >= state->positions)
      return run_fail(context, NORMA_ERROR_RUN, "position %" PRId64 " is outside 0 to %" PRId64, (*positions)[i],
                      state->positions - 1);
  }
  return NORMA_OK;
}

static norma_status rotary_compute(run_context *context) {
  const rotary_state *state = context->state;
  const rotary_plan *plan = &state->plan;
  const norma_tensor *x = run_input(context, 0);
  int64_t whole = plan->heads * plan->rows * plan->elements;
  if (plan->batch == 0 || whole == 0) return NORMA_OK;
  rotary_call call = {.type = x->type,
                      .y_type = x->type,
                      .angle_type = x->type,
                      .x = x->data,
                      .y = run_output(context, 0)->data,
                      .cos = run_input(context, state->cos)->data,
                      .sin = run_input(context, state->sin)->data};
  call.x_strides[0] = call.y_strides[0] = whole;
  call.x_strides[1] = call.y_strides[1] = state->by_row ? plan->elements : plan->rows * plan->elements;
  call.x_strides[2] = call.y_strides[2] = state->by_row ? plan->heads * plan->elements : plan->elements;
  TRY(rotary_find_positions(context, &call.positions));
  return rotary_run(context, plan, &call);
}

/* ------------------------------------------------------------------------------------------------------ descriptors */

static const operator_attribute rotary_attributes[] = {
    {"interleaved", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"num_heads", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"rotary_embedding_dim", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

static const operator_attribute rotary_contrib_attributes[] = {
    {"interleaved", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"is_packed_batching", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"num_heads", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"rotary_embedding_dim", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"scale", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {0},
};

#define TYPES_ROTARY (TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_BFLOAT16))

const operator_descriptor operators_rotary_embedding[] = {
    {
        .domain = "",
        .name = "RotaryEmbedding",
        .versions = {23},
        .min_inputs = 3,
        .max_inputs = 4,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_ROTARY, INPUT(0) | INPUT(1) | INPUT(2), OUTPUT(0)}, {TYPE_BIT(NORMA_INT64), INPUT(3), 0}},
        .attributes = rotary_attributes,
        .in_place = INPUT(0),
        .state_size = sizeof(rotary_state),
        .read = rotary_read,
        .infer = rotary_infer,
        .prepare = rotary_prepare_operator,
        .facts = {.dimension = fact_dimension_same},
        .compute = rotary_compute,
    },
    {
        .domain = "com.microsoft",
        .name = "RotaryEmbedding",
        .versions = {1},
        .min_inputs = 4,
        .max_inputs = 4,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_ROTARY, INPUT(0) | INPUT(2) | INPUT(3), OUTPUT(0)}, {TYPE_BIT(NORMA_INT64), INPUT(1), 0}},
        .attributes = rotary_contrib_attributes,
        .in_place = INPUT(0),
        .state_size = sizeof(rotary_state),
        .read = rotary_read,
        .infer = rotary_infer,
        .prepare = rotary_prepare_operator,
        .facts = {.dimension = fact_dimension_same},
        .compute = rotary_compute,
    },
    {0},
};
