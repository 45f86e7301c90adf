/*
 * Attention 1 (com.microsoft)
 *
 *   [Q | K | V] = input * weights + bias
 *   output = softmax(scale * Q K^T + mask + attention_bias) V
 *
 * input [B, S, W], weights [W, D + D + Dv] (or as qkv_hidden_sizes says), output [B, S, Dv] of N heads. past [2, B, N,
 * P, H] holds keys and values before the new ones, present [2, B, N, P + S, H] all; with past_present_share_buffer past
 * is a buffer of which past_sequence_length rows are filled, and present is as long as it.
 *
 * unidirectional: query i sees keys up to P + i, unless there is one query. Masks stand in attention_mask.h. The
 * rotation of do_rotary is not defined on its own and is refused. Half precision is computed in float.
 */
#include "ops/attention/attention_core.h"
#include "ops/attention/attention_sizes.h"
#include "ops/contrib/attention_mask.h"
#include "ops/matmul/matrix_product.h"
#include "ops/work.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>

enum { ATTEND_INPUT, ATTEND_WEIGHTS, ATTEND_BIAS, ATTEND_MASK, ATTEND_PAST, ATTEND_ADDEND, ATTEND_PAST_LENGTH };

typedef struct contrib_attention_state {
  int64_t heads;
  int64_t hidden[3]; /* of Q, K and V; 0: not given */
  float filter, scale;
  bool causal, shares;

  /* The plan's. */
  attention_plan plan;
  contrib_mask mask;
  matrix_product product;
  int64_t buffer;                      /* rows of past */
  size_t samples_at, mask_at, bias_at; /* in scratch */
} contrib_attention_state;

static norma_status contrib_attention_read(const node *node, void *opaque, norma_error *error) {
  contrib_attention_state *state = opaque;
  size_t count;
  const int64_t *hidden = attribute_ints(node, "qkv_hidden_sizes", &count);
  TRY(attention_read_heads(node, "num_heads", &state->heads, error));
  state->filter = attribute_float(node, "mask_filter_value", -10000);
  state->scale = attribute_float(node, "scale", 0);
  state->causal = attribute_int(node, "unidirectional", 0) != 0;
  state->shares = attribute_int(node, "past_present_share_buffer", 0) != 0;
  if (state->heads < 1)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "num_heads is %" PRId64 ", which is not positive",
                         state->heads);
  if (attribute_int(node, "do_rotary", 0) != 0)
    return error_at_node(error, NORMA_ERROR_UNSUPPORTED, node, "do_rotary is not supported");
  if (count == 0) return NORMA_OK;
  for (size_t i = 0; i < count && count == 3; i++) {
    state->hidden[i] = hidden[i];
    if (hidden[i] < 1 || hidden[i] > INT32_MAX || hidden[i] % state->heads != 0) count = 0;
  }
  if (count == 3 && hidden[0] == hidden[1]) return NORMA_OK;
  return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                       "qkv_hidden_sizes must be three multiples of num_heads, of which the first two are the same");
}

/* ------------------------------------------------------------------------------------------------------------ infer */

typedef struct contrib_attention_sizes {
  int64_t batch, queries, depth, values, buffer, past, keys;
} contrib_attention_sizes;

static norma_status contrib_attention_check_product(infer_context *context, contrib_attention_sizes *sizes) {
  const contrib_attention_state *state = context->state;
  const shape *x = infer_shape(context, ATTEND_INPUT), *w = infer_shape(context, ATTEND_WEIGHTS);
  const shape *bias = infer_shape(context, ATTEND_BIAS);
  char texts[3][100];
  shape_text(x, texts[0], sizeof texts[0]);
  shape_text(w, texts[1], sizeof texts[1]);
  shape_text(bias, texts[2], sizeof texts[2]);
  int64_t width = size_of(x, 2), columns = size_of(w, 1);
  bool ranks = (x->rank == RANK_UNKNOWN || x->rank == 3) && (w->rank == RANK_UNKNOWN || w->rank == 2) &&
               (bias->rank == RANK_UNKNOWN || bias->rank == 1);
  if (!ranks || !size_unite(&width, size_of(w, 0)) || !size_unite(&columns, size_of(bias, 0)))
    return infer_fail(context, "input of shape %s, weights of shape %s and bias of shape %s do not fit", texts[0],
                      texts[1], texts[2]);
  int64_t hidden = state->hidden[0] ? state->hidden[0] : columns == DIM_UNKNOWN ? DIM_UNKNOWN : columns / 3;
  int64_t of_values = state->hidden[2] ? state->hidden[2] : hidden;
  if (hidden != DIM_UNKNOWN && !size_unite(&columns, 2 * hidden + of_values))
    return infer_fail(context, "weights of shape %s do not have %" PRId64 " columns", texts[1], 2 * hidden + of_values);
  if (!size_divides(hidden, state->heads) || hidden == 0)
    return infer_fail(context, "%" PRId64 " elements cannot be cut into %" PRId64 " heads", hidden, state->heads);
  sizes->batch = size_of(x, 0);
  sizes->queries = size_of(x, 1);
  sizes->depth = size_share(hidden, state->heads);
  sizes->values = size_share(of_values, state->heads);
  return NORMA_OK;
}

static norma_status contrib_attention_check_past(infer_context *context, contrib_attention_sizes *sizes) {
  const contrib_attention_state *state = context->state;
  const shape *past = infer_shape(context, ATTEND_PAST);
  bool has_past = infer_has_input(context, ATTEND_PAST);
  int64_t two = 2, heads = state->heads;
  char text[100];
  if (has_past && past->rank != RANK_UNKNOWN &&
      (past->rank != 5 || !size_unite(&two, past->dims[0]) || !size_unite(&sizes->batch, past->dims[1]) ||
       !size_unite(&heads, past->dims[2]) || !size_unite(&sizes->depth, past->dims[4])))
    return infer_fail(context, "past of shape %s does not fit", shape_text(past, text, sizeof text));
  if (sizes->depth != DIM_UNKNOWN && sizes->values != DIM_UNKNOWN && sizes->depth != sizes->values &&
      (has_past || context->output_count > 1))
    return infer_fail(context, "a past or present needs keys and values of the same size");
  sizes->buffer = has_past ? size_of(past, 3) : 0;
  sizes->past = sizes->buffer;
  if (has_past && state->shares) {
    int count;
    norma_status status;
    if (!infer_has_input(context, ATTEND_PAST_LENGTH))
      return infer_fail(context, "past_present_share_buffer needs past_sequence_length");
    if (!infer_ints(context, ATTEND_PAST_LENGTH, &sizes->past, 1, &count, &status)) sizes->past = DIM_UNKNOWN;
    TRY(status);
  }
  sizes->keys = size_sum(sizes->past, sizes->queries);
  return NORMA_OK;
}

static norma_status contrib_attention_infer(infer_context *context) {
  const contrib_attention_state *state = context->state;
  contrib_attention_sizes sizes = {-1, -1, -1, -1, -1, -1, -1};
  char text[100];
  TRY(contrib_attention_check_product(context, &sizes));
  TRY(contrib_attention_check_past(context, &sizes));
  const int64_t scores[4] = {sizes.batch, state->heads, sizes.queries, sizes.keys};
  contrib_mask mask = {sizes.batch, sizes.queries, sizes.queries, sizes.keys, 0, CONTRIB_MASK_NONE};
  if (!contrib_mask_find(&mask, infer_shape(context, ATTEND_MASK)))
    return infer_fail(context, "a mask of shape %s does not fit",
                      shape_text(infer_shape(context, ATTEND_MASK), text, sizeof text));
  if (!attention_bias_fits(infer_shape(context, ATTEND_ADDEND), scores, false))
    return infer_fail(context, "attention_bias of shape %s does not fit",
                      shape_text(infer_shape(context, ATTEND_ADDEND), text, sizeof text));
  shape y = shape_of_rank(3), present = shape_of_rank(5);
  y.dims[0] = present.dims[1] = sizes.batch;
  y.dims[1] = sizes.queries;
  y.dims[2] = size_times(state->heads, sizes.values);
  present.dims[0] = 2;
  present.dims[2] = state->heads;
  present.dims[3] = state->shares && infer_has_input(context, ATTEND_PAST) ? sizes.buffer : sizes.keys;
  present.dims[4] = sizes.depth;
  infer_output(context, 0, infer_type(context, ATTEND_INPUT), &y);
  infer_output(context, 1, infer_type(context, ATTEND_INPUT), &present);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

static norma_status contrib_attention_prepare_product(prepare_context *context, contrib_attention_state *state) {
  const shape *x = prepare_shape(context, ATTEND_INPUT), *w = prepare_shape(context, ATTEND_WEIGHTS);
  matrix_product *product = &state->product;
  product->type = prepare_type(context, ATTEND_INPUT);
  product->m = x->dims[0] * x->dims[1];
  product->k = w->dims[0];
  product->n = w->dims[1];
  product->a = (product_operand){.input = ATTEND_INPUT, .row_stride = product->k, .column_stride = 1, .count = 1};
  product->b = (product_operand){.input = ATTEND_WEIGHTS, .row_stride = product->n, .column_stride = 1, .count = 1};
  product->in_scratch = true;
  return product_prepare(context, product);
}

static norma_status contrib_attention_prepare(prepare_context *context) {
  contrib_attention_state *state = context->state;
  attention_plan *plan = &state->plan;
  const shape *x = prepare_shape(context, ATTEND_INPUT), *w = prepare_shape(context, ATTEND_WEIGHTS);
  const shape *past = prepare_shape(context, ATTEND_PAST), *mask = prepare_shape(context, ATTEND_MASK);
  size_t *total = &context->scratch_bytes;
  int64_t hidden = state->hidden[0] ? state->hidden[0] : w->dims[1] / 3;
  state->buffer = past->rank == 5 ? past->dims[3] : 0;
  plan->batch = x->dims[0];
  plan->query_heads = plan->key_heads = state->heads;
  plan->queries = x->dims[1];
  plan->keys = state->buffer + plan->queries;
  plan->depth = hidden / state->heads;
  plan->values = (w->dims[1] - 2 * hidden) / state->heads;
  plan->scale = state->scale != 0 ? (double)state->scale : 1 / sqrt((double)plan->depth);
  plan->masked = -(double)FLT_MAX;
  plan->left = -1;
  plan->right = state->causal && plan->queries > 1 ? 0 : -1;
  TRY(contrib_attention_prepare_product(context, state));
  double flops = context->flops;
  size_t of_product = context->worker_scratch_bytes;
  state->mask = (contrib_mask){plan->batch, plan->queries, plan->queries, plan->keys, state->filter, CONTRIB_MASK_NONE};
  if (state->shares && mask->rank > 1) state->mask.keys = mask->dims[mask->rank - 1]; /* checked again in the run */
  if (!contrib_mask_find(&state->mask, mask))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "the mask does not fit");
  state->mask.keys = plan->keys;
  if (!scratch_append(total, (size_t)plan->batch, sizeof(attention_sample), &state->samples_at) ||
      !scratch_append(total, (size_t)w->dims[1], sizeof(float), &state->bias_at) ||
      !scratch_append(total, contrib_mask_memory(&state->mask), sizeof(float), &state->mask_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "the inputs are too large");
  context->worker_scratch_bytes = 0;
  TRY(attention_prepare(context, plan)); /* the two use the workers' scratch one after the other */
  if (of_product > context->worker_scratch_bytes) context->worker_scratch_bytes = of_product;
  context->flops += flops;
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

static norma_status contrib_attention_project(run_context *context) {
  const contrib_attention_state *state = context->state;
  const norma_tensor *bias = run_input(context, ATTEND_BIAS);
  product_epilogue epilogue = {0};
  if (bias) {
    float *row = (float *)((char *)context->scratch + state->bias_at);
    elements_to_float(bias->type, bias->data, 0, state->product.n, row);
    epilogue.column_bias = row;
  }
  return product_run(context, &state->product, &epilogue);
}

/* A half of past or present: keys or values. */
static attention_operand contrib_attention_half(attention_operand whole, const attention_plan *plan, int64_t rows,
                                                bool of_values) {
  int64_t count = plan->batch * plan->key_heads * rows * plan->depth;
  if (whole.data && of_values) whole.target = (char *)whole.target + count * (int64_t)element_type_bytes(whole.type);
  return whole;
}

static norma_status contrib_attention_compute(run_context *context) {
  const contrib_attention_state *state = context->state;
  const attention_plan *plan = &state->plan;
  int64_t heads = state->heads, hidden = heads * plan->depth, past = state->buffer;
  const norma_tensor *mask = run_input(context, ATTEND_MASK), *addend = run_input(context, ATTEND_ADDEND);
  bool is_buffer = state->shares && state->buffer > 0;
  if (plan->batch == 0) return NORMA_OK;
  if (is_buffer)
    TRY(contrib_past_length(context, run_input(context, ATTEND_PAST_LENGTH), state->buffer, plan->queries, addend,
                            &past));
  TRY(contrib_attention_project(context));
  int64_t keys = past + plan->queries, rows = is_buffer ? state->buffer : keys;
  attention_sample *samples = (attention_sample *)((char *)context->scratch + state->samples_at);
  for (int64_t b = 0; b < plan->batch; b++)
    samples[b] = (attention_sample){.past = past, .stored = keys, .keys = keys, .offset = past};
  const float *projected = product_result(context, &state->product);
  attention_operand part = {.type = NORMA_FLOAT,
                            .batch_stride = plan->queries * state->product.n,
                            .head_stride = plan->depth,
                            .row_stride = state->product.n};
  attention_call call = {.q = part,
                         .k = part,
                         .v = part,
                         .y = attention_output(context, 0, heads, plan->queries, plan->values, true),
                         .present_rows = rows,
                         .samples = samples};
  call.q.data = projected;
  call.k.data = projected + hidden;
  call.v.data = projected + 2 * hidden;
  call.v.head_stride = plan->values;
  attention_operand before = attention_input(context, ATTEND_PAST, heads, state->buffer, plan->depth, false);
  attention_operand after = attention_output(context, 1, heads, rows, plan->depth, false);
  call.past_k = contrib_attention_half(before, plan, state->buffer, false);
  call.past_v = contrib_attention_half(before, plan, state->buffer, true);
  call.present_k = contrib_attention_half(after, plan, rows, false);
  call.present_v = contrib_attention_half(after, plan, rows, true);
  if (mask)
    TRY(contrib_mask_run(context, &state->mask, mask, keys, past, (float *)((char *)context->scratch + state->mask_at),
                         &call.bias[0]));
  if (addend) call.bias[1] = attention_bias_of(addend, keys, false);
  return attention_run(context, plan, &call);
}

/* ------------------------------------------------------------------------------------------------------- descriptor */

static const operator_attribute contrib_attention_attributes[] = {
    {"do_rotary", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"mask_filter_value", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"num_heads", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"past_present_share_buffer", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"qkv_hidden_sizes", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"rotary_embedding_dim", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"scale", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"unidirectional", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_contrib_attention[] = {
    {
        .domain = "com.microsoft",
        .name = "Attention",
        .versions = {1},
        .min_inputs = 2,
        .max_inputs = 7,
        .min_outputs = 1,
        .max_outputs = 2,
        .types = {{TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_BFLOAT16),
                   INPUT(ATTEND_INPUT) | INPUT(ATTEND_WEIGHTS) | INPUT(ATTEND_BIAS) | INPUT(ATTEND_PAST) |
                       INPUT(ATTEND_ADDEND),
                   OUTPUT(0) | OUTPUT(1)},
                  {TYPE_BIT(NORMA_INT32), INPUT(ATTEND_MASK) | INPUT(ATTEND_PAST_LENGTH), 0}},
        .attributes = contrib_attention_attributes,
        .state_size = sizeof(contrib_attention_state),
        .read = contrib_attention_read,
        .infer = contrib_attention_infer,
        .prepare = contrib_attention_prepare,
        .facts = {.dimension = fact_dimension_batch,
                  .packs = INPUT(ATTEND_INPUT) | INPUT(ATTEND_WEIGHTS),
                  .weights = INPUT(ATTEND_WEIGHTS)},
        .compute = contrib_attention_compute,
    },
    {0},
};
