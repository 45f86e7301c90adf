/*
 * DotProductAttention (inner): what the pass recognize_attention makes of MatMul, Softmax and MatMul.
 *
 *   Y = softmax(scale * Q K^T + masks) V
 *
 * Q [B, H, S, D], K [B, H, L, D], V [B, H, L, Dv], Y [B, H, S, Dv]; of rank 3 without B. With q_by_row, k_by_row,
 * v_by_row and y_by_row heads and rows of that tensor change places: [B, S, H, D]. Of the two masks one of BOOL adds
 * `filter` where it is false, others are added. B, H, S and L are broadcast as those operators would do it, and a row
 * that sees no key is NaN, as behind their Softmax; the operator Attention gives zeros.
 */
#include "ops/attention/attention_core.h"
#include "ops/attention/attention_sizes.h"
#include "ops/work.h"

#include <math.h>

enum { DOT_Q, DOT_K, DOT_V, DOT_MASK, DOT_INPUTS = DOT_MASK + ATTENTION_BIASES };
enum { DOT_BATCH, DOT_HEADS, DOT_ROWS, DOT_ELEMENTS };

#define DOT_TYPES (TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_BFLOAT16))

typedef struct dot_state {
  float scale, filter;
  bool by_row[DOT_MASK], y_by_row;

  /* The plan's. */
  attention_plan plan;
  shape sizes[DOT_MASK]; /* of Q, K and V: batch, heads, rows, elements */
  size_t samples_at;     /* in scratch */
} dot_state;

static norma_status dot_read(const node *node, void *opaque, norma_error *error) {
  dot_state *state = opaque;
  (void)error;
  state->scale = attribute_float(node, "scale", 1);
  state->filter = attribute_float(node, "filter", -INFINITY);
  state->by_row[DOT_Q] = attribute_int(node, "q_by_row", 0) != 0;
  state->by_row[DOT_K] = attribute_int(node, "k_by_row", 0) != 0;
  state->by_row[DOT_V] = attribute_int(node, "v_by_row", 0) != 0;
  state->y_by_row = attribute_int(node, "y_by_row", 0) != 0;
  return NORMA_OK;
}

static void dot_swap(int64_t *a, int64_t *b) {
  int64_t kept = *a;
  *a = *b;
  *b = kept;
}

/* Batch, heads, rows and elements; false where the rank is none that the operator takes. */
static bool dot_sizes_of(const shape *given, bool by_row, shape *sizes) {
  *sizes = shape_of_rank(4);
  if (given->rank != 3 && given->rank != 4) return given->rank == RANK_UNKNOWN;
  int missing = 4 - given->rank;
  if (missing) sizes->dims[0] = 1;
  for (int i = 0; i < given->rank; i++) sizes->dims[missing + i] = given->dims[i];
  if (by_row) dot_swap(&sizes->dims[DOT_HEADS], &sizes->dims[DOT_ROWS]);
  return true;
}

/* The shape of the scores, to which everything is broadcast; false where something does not fit. */
static bool dot_scores(const shape sizes[DOT_MASK], const shape *const masks[ATTENTION_BIASES], shape *scores) {
  shape k = sizes[DOT_K], v = sizes[DOT_V], depth = sizes[DOT_Q], together;
  *scores = sizes[DOT_Q];
  scores->dims[DOT_ELEMENTS] = 1;
  k.dims[DOT_ELEMENTS] = k.dims[DOT_ROWS];
  k.dims[DOT_ROWS] = 1;
  v.dims[DOT_ROWS] = v.dims[DOT_ELEMENTS] = 1;
  if (!shape_broadcast(scores, &k, &together)) return false;
  *scores = together;
  for (int i = 0; i < ATTENTION_BIASES; i++) {
    if (masks[i]->rank == RANK_UNKNOWN) continue;
    if (masks[i]->rank > 4 || !shape_broadcast(scores, masks[i], &together)) return false;
    *scores = together;
  }
  if (!shape_broadcast(scores, &v, &together)) return false;
  *scores = together;
  return size_unite(&scores->dims[DOT_ELEMENTS], sizes[DOT_V].dims[DOT_ROWS]) &&
         size_unite(&depth.dims[DOT_ELEMENTS], sizes[DOT_K].dims[DOT_ELEMENTS]);
}

static norma_status dot_infer(infer_context *context) {
  const dot_state *state = context->state;
  const shape *masks[ATTENTION_BIASES];
  shape sizes[DOT_MASK], scores, y;
  bool fits = true;
  int rank = infer_shape(context, DOT_Q)->rank;
  for (int i = 0; i < DOT_MASK; i++) {
    const shape *given = infer_shape(context, i);
    fits = fits && dot_sizes_of(given, state->by_row[i], &sizes[i]) && given->rank == rank;
  }
  for (int i = 0; i < ATTENTION_BIASES; i++) masks[i] = infer_shape(context, DOT_MASK + i);
  if (!fits || !dot_scores(sizes, masks, &scores)) return infer_fail(context, "Q, K, V and the masks do not fit");
  y = scores;
  y.dims[DOT_ELEMENTS] = sizes[DOT_V].dims[DOT_ELEMENTS];
  if (state->y_by_row) dot_swap(&y.dims[DOT_HEADS], &y.dims[DOT_ROWS]);
  if (rank == RANK_UNKNOWN) y = shape_unknown();
  if (rank == 3) {
    y.rank = 3;
    for (int i = 0; i < 3; i++) y.dims[i] = y.dims[i + 1];
  }
  infer_output(context, 0, infer_type(context, DOT_Q), &y);
  return NORMA_OK;
}

static norma_status dot_prepare(prepare_context *context) {
  dot_state *state = context->state;
  attention_plan *plan = &state->plan;
  const shape *masks[ATTENTION_BIASES];
  shape scores;
  for (int i = 0; i < DOT_MASK; i++) dot_sizes_of(prepare_shape(context, i), state->by_row[i], &state->sizes[i]);
  for (int i = 0; i < ATTENTION_BIASES; i++) masks[i] = prepare_shape(context, DOT_MASK + i);
  if (!dot_scores(state->sizes, masks, &scores))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "inputs do not fit");
  plan->batch = scores.dims[DOT_BATCH];
  plan->query_heads = plan->key_heads = scores.dims[DOT_HEADS];
  plan->queries = scores.dims[DOT_ROWS];
  plan->keys = scores.dims[DOT_ELEMENTS];
  plan->depth = state->sizes[DOT_Q].dims[DOT_ELEMENTS];
  plan->values = state->sizes[DOT_V].dims[DOT_ELEMENTS];
  plan->scale = (double)state->scale;
  plan->masked = -INFINITY;
  plan->hidden = plan->keys ? (double)NAN : 0; /* without keys there is a sum of nothing */
  plan->left = plan->right = -1;
  if (!scratch_append(&context->scratch_bytes, (size_t)plan->batch, sizeof(attention_sample), &state->samples_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "the batch is too large");
  return attention_prepare(context, plan);
}

/* Input `index`, repeated along dimensions in which it has one element and there are more. */
static attention_operand dot_operand(const run_context *context, int index) {
  const dot_state *state = context->state;
  const int64_t *dims = state->sizes[index].dims;
  int64_t rows = index == DOT_Q ? state->plan.queries : state->plan.keys;
  attention_operand operand =
      attention_input(context, index, dims[DOT_HEADS], dims[DOT_ROWS], dims[DOT_ELEMENTS], state->by_row[index]);
  if (dims[DOT_BATCH] != state->plan.batch) operand.batch_stride = 0;
  if (dims[DOT_HEADS] != state->plan.query_heads) operand.head_stride = 0;
  if (dims[DOT_ROWS] != rows) operand.row_stride = 0;
  return operand;
}

static norma_status dot_compute(run_context *context) {
  const dot_state *state = context->state;
  const attention_plan *plan = &state->plan;
  attention_sample *samples = (attention_sample *)((char *)context->scratch + state->samples_at);
  for (int64_t b = 0; b < plan->batch; b++) samples[b] = (attention_sample){.stored = plan->keys, .keys = plan->keys};
  attention_call call = {
      .q = dot_operand(context, DOT_Q),
      .k = dot_operand(context, DOT_K),
      .v = dot_operand(context, DOT_V),
      .y = attention_output(context, 0, plan->query_heads, plan->queries, plan->values, state->y_by_row),
      .samples = samples};
  for (int i = 0, count = 0; i < ATTENTION_BIASES; i++) {
    const norma_tensor *mask = run_input(context, DOT_MASK + i);
    if (!mask) continue;
    call.bias[count] = attention_bias_of(mask, plan->keys, false);
    call.bias[count++].filter = state->filter;
  }
  return attention_run(context, plan, &call);
}

static const operator_attribute dot_attributes[] = {
    {"filter", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"k_by_row", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"q_by_row", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"scale", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"v_by_row", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"y_by_row", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_dot_product_attention[] = {
    {
        .domain = OPERATOR_INNER_DOMAIN,
        .name = "DotProductAttention",
        .versions = {1},
        .min_inputs = 3,
        .max_inputs = DOT_INPUTS,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{DOT_TYPES, INPUT(DOT_Q) | INPUT(DOT_K) | INPUT(DOT_V), OUTPUT(0)},
                  {DOT_TYPES | TYPE_BIT(NORMA_BOOL), INPUT(DOT_MASK), 0},
                  {DOT_TYPES | TYPE_BIT(NORMA_BOOL), INPUT(DOT_MASK + 1), 0}},
        .attributes = dot_attributes,
        .state_size = sizeof(dot_state),
        .read = dot_read,
        .infer = dot_infer,
        .prepare = dot_prepare,
        .compute = dot_compute,
    },
    {0},
};
