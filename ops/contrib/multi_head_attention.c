/*
 * MultiHeadAttention 1, DecoderMaskedMultiHeadAttention 1 (com.microsoft)
 *
 *   output = softmax(scale * (Q + bias_q) (K + bias_k)^T + mask + attention_bias) (V + bias_v)
 *
 * of N heads. Q, K and V come as
 *
 *   query [B, S, N * H], key [B, L, N * H], value [B, L, N * Hv]    separately
 *   query [B, S, N * H], key and value [B, N, L, H]                 by heads (cross attention)
 *   query [B, S, N * H], key [B, L, N, 2, H]                        packed keys and values
 *   query [B, S, N, 3, H]                                           packed
 *   query [B, S, 2 * N * H + N * Hv], for the decoder's             packed by rows
 *
 * Keys are those of past_key [B, N, P, H], then the new ones; present_key holds both. With past_sequence_length the
 * past is a buffer of which so many rows are filled, and the present is as long as it. With cache_indirection [B /
 * beams, beams, M], row j of the past of beam i is that of beam cache_indirection[.., i, j] of its sample.
 *
 * unidirectional: query i sees keys up to P + i, unless there is one query. qk: the scores before softmax. Masks stand
 * in attention_mask.h. Half precision is computed in float.
 */
#include "ops/contrib/multi_head_attention.h"

#include "ops/attention/attention_sizes.h"
#include "ops/half.h"
#include "ops/work.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>

static norma_status mha_read(const node *node, void *opaque, norma_error *error) {
  static const mha_inputs of_encoder = {1, 2, 3, 4, 5, 6, 7, 8, -1, 9};
  static const mha_inputs of_decoder = {1, 2, 10, 3, 4, 5, 6, 7, 8, 9};
  mha_state *state = opaque;
  bool is_decoder = strcmp(node->op_type, "DecoderMaskedMultiHeadAttention") == 0;
  state->inputs = is_decoder ? of_decoder : of_encoder;
  TRY(attention_read_heads(node, "num_heads", &state->heads, error));
  state->filter = attribute_float(node, "mask_filter_value", -10000);
  state->scale = attribute_float(node, "scale", 0);
  state->causal = attribute_int(node, "unidirectional", 0) != 0;
  state->shares = attribute_int(node, "past_present_share_buffer", 0) != 0;
  if (state->heads < 1)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "num_heads is %" PRId64 ", which is not positive",
                         state->heads);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

static const shape *mha_prepare_shape(const prepare_context *context, int index) {
  return prepare_shape(context, index < 0 ? context->input_count : index);
}

/* Sizes were checked by infer: here they are all known, but for past_sequence_length. */
static void mha_plan_sizes(prepare_context *context, mha_state *state) {
  attention_plan *plan = &state->plan;
  const shape *q = prepare_shape(context, 0), *k = mha_prepare_shape(context, state->inputs.key);
  const shape *v = mha_prepare_shape(context, state->inputs.value);
  const shape *past = mha_prepare_shape(context, state->inputs.past_key);
  bool has_key = k->rank != RANK_UNKNOWN;
  mha_sizes sizes = {.format = !has_key       ? (state->inputs.beams >= 0 ? MHA_PACKED_ROWS : MHA_PACKED)
                               : k->rank == 5 ? MHA_PACKED_KV
                               : k->rank == 4 ? MHA_BY_HEAD
                                              : MHA_SEPARATE};
  mha_sizes_of_inputs(state, q, k, v, &sizes);
  state->format = sizes.format;
  state->fresh = sizes.fresh;
  state->buffer = past->rank == 4 ? past->dims[2] : 0;
  plan->batch = sizes.batch;
  plan->query_heads = plan->key_heads = state->heads;
  plan->queries = sizes.queries;
  plan->keys = state->buffer + state->fresh;
  plan->depth = sizes.depth;
  plan->values = sizes.values;
}

static norma_status mha_prepare(prepare_context *context) {
  mha_state *state = context->state;
  attention_plan *plan = &state->plan;
  size_t *total = &context->scratch_bytes;
  mha_plan_sizes(context, state);
  bool has_bias = mha_prepare_shape(context, state->inputs.bias)->rank != RANK_UNKNOWN;
  bool has_length = mha_prepare_shape(context, state->inputs.past_length)->rank != RANK_UNKNOWN;
  plan->scale = state->scale != 0 ? (double)state->scale : 1 / sqrt((double)plan->depth);
  plan->masked = -(double)FLT_MAX;
  plan->left = -1;
  plan->right = state->causal && plan->queries > 1 ? 0 : -1;
  if (context->output_count > MHA_SCORES && context->outputs[MHA_SCORES]) {
    plan->scores = ATTENTION_BIASED;
    const shape *scores = &context->outputs[MHA_SCORES]->shape;
    if (has_length && scores->rank == 4 && scores->dims[3] != DIM_UNKNOWN) plan->keys = scores->dims[3];
  }
  state->mask = (contrib_mask){plan->batch, plan->queries, state->fresh, plan->keys, state->filter, CONTRIB_MASK_NONE};
  const shape *mask = mha_prepare_shape(context, state->inputs.mask);
  if (has_length && mask->rank > 1) state->mask.keys = mask->dims[mask->rank - 1]; /* checked again in the run */
  if (!contrib_mask_find(&state->mask, mask))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "the mask does not fit");
  state->mask.keys = plan->keys;
  const int64_t rows[MHA_PARTS] = {plan->queries, state->fresh, state->fresh};
  const int64_t elements[MHA_PARTS] = {plan->depth, plan->depth, plan->values};
  bool fits = scratch_append(total, (size_t)plan->batch, sizeof(attention_sample), &state->samples_at) &&
              scratch_append(total, contrib_mask_memory(&state->mask), sizeof(float), &state->mask_at);
  for (int i = 0; i < MHA_PARTS && has_bias && fits; i++) {
    size_t count;
    fits = size_multiply((size_t)(plan->batch * rows[i]), (size_t)(state->heads * elements[i]), &count) &&
           scratch_append(total, count, sizeof(float), &state->biased_at[i]);
  }
  if (!fits) return prepare_fail(context, NORMA_ERROR_BUDGET, "the inputs are too large");
  return attention_prepare(context, plan);
}

/* ---------------------------------------------------------------------------------------------------------- compute */

static const norma_tensor *mha_input(const run_context *context, int index) {
  return index < 0 ? NULL : run_input(context, index);
}

/* An operand whose rows have `parts` times `heads` heads side by side, the first one at `at`. */
static attention_operand mha_strided(const norma_tensor *tensor, int64_t rows, int64_t row_stride, int64_t head_stride,
                                     int64_t at) {
  return (attention_operand){.data = (const char *)tensor->data + at * (int64_t)element_type_bytes(tensor->type),
                             .type = tensor->type,
                             .batch_stride = rows * row_stride,
                             .head_stride = head_stride,
                             .row_stride = row_stride};
}

/* Q, K and V where they lie. */
static void mha_find_parts(run_context *context, attention_operand parts[MHA_PARTS]) {
  const mha_state *state = context->state;
  const attention_plan *plan = &state->plan;
  const mha_inputs *in = &state->inputs;
  const norma_tensor *q = run_input(context, 0), *k = run_input(context, in->key);
  int64_t heads = state->heads, rows = plan->queries, depth = plan->depth, hidden = heads * depth;
  switch (state->format) {
  case MHA_PACKED:
    for (int i = 0; i < MHA_PARTS; i++) parts[i] = mha_strided(q, rows, 3 * hidden, 3 * depth, i * depth);
    return;
  case MHA_PACKED_ROWS:
    for (int i = 0; i < MHA_PARTS; i++) parts[i] = mha_strided(q, rows, 3 * hidden, depth, i * hidden);
    return;
  case MHA_PACKED_KV:
    parts[MHA_Q] = mha_strided(q, rows, hidden, depth, 0);
    for (int i = 0; i < 2; i++) parts[MHA_K + i] = mha_strided(k, state->fresh, 2 * hidden, 2 * depth, i * depth);
    return;
  case MHA_SEPARATE:
  case MHA_BY_HEAD:
    break;
  }
  bool by_row = state->format == MHA_SEPARATE;
  parts[MHA_Q] = mha_strided(q, rows, hidden, depth, 0);
  parts[MHA_K] = attention_input(context, in->key, heads, state->fresh, depth, by_row);
  parts[MHA_V] = attention_input(context, in->value, heads, state->fresh, plan->values, by_row);
}

/* Adding the bias of a part, [heads][elements], to its rows. */
struct mha_biasing {
  run_context *context;
  const attention_operand *from;
  float *to; /* [batch][rows][heads][elements] */
  const norma_tensor *bias;
  int64_t first; /* element of bias */
  int64_t rows, heads, elements;
};

static void mha_add_bias_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const struct mha_biasing *job = argument;
  const struct kernel_table *kernels = job->context->kernels;
  (void)worker;
  for (int64_t i = begin; i < end; i++) { /* counts batch, rows and heads */
    int64_t head = i % job->heads, row = i / job->heads % job->rows, sample = i / job->heads / job->rows;
    const char *bias = (const char *)job->bias->data +
                       (job->first + head * job->elements) * (int64_t)element_type_bytes(job->bias->type);
    const char *from = (const char *)job->from->data + (sample * job->from->batch_stride +
                                                        head * job->from->head_stride + row * job->from->row_stride) *
                                                           (int64_t)element_type_bytes(job->from->type);
    for (int64_t e = 0; e < job->elements; e += HALF_PIECE) {
      float addend[HALF_PIECE], *to = job->to + i * job->elements + e;
      int64_t count = job->elements - e < HALF_PIECE ? job->elements - e : HALF_PIECE;
      size_t bytes = element_type_bytes(job->bias->type);
      float_from(kernels, job->from->type, to, from + (size_t)e * bytes, count);
      float_from(kernels, job->bias->type, addend, bias + (size_t)e * bytes, count);
      kernels->binary_f32[BINARY_ADD](to, to, addend, (size_t)count);
    }
  }
}

static norma_status mha_add_bias(run_context *context, attention_operand parts[MHA_PARTS]) {
  const mha_state *state = context->state;
  const attention_plan *plan = &state->plan;
  const norma_tensor *bias = mha_input(context, state->inputs.bias);
  const int64_t rows[MHA_PARTS] = {plan->queries, state->fresh, state->fresh};
  const int64_t elements[MHA_PARTS] = {plan->depth, plan->depth, plan->values};
  if (!bias) return NORMA_OK;
  for (int i = 0; i < MHA_PARTS; i++) {
    float *to = (float *)((char *)context->scratch + state->biased_at[i]);
    struct mha_biasing job = {.context = context,
                              .from = &parts[i],
                              .to = to,
                              .bias = bias,
                              .first = i * state->heads * plan->depth,
                              .rows = rows[i],
                              .heads = state->heads,
                              .elements = elements[i]};
    TRY(run_parallel(context, plan->batch * rows[i] * state->heads, work_grain(WORK_ELEMENT * (double)elements[i]),
                     mha_add_bias_rows, &job));
    parts[i] = attention_operand_of(NORMA_FLOAT, state->heads, rows[i], elements[i], true);
    parts[i].data = to;
  }
  return NORMA_OK;
}

/* Rows of a past whose beams are mixed: row j of beam i is that of the beam which cache_indirection names. */
static norma_status mha_gather_beams(run_context *context, int64_t past, attention_operand *operand, int64_t elements) {
  const mha_state *state = context->state;
  const norma_tensor *indirection = mha_input(context, state->inputs.indirection);
  int64_t beams = indirection->dims[1], length = indirection->dims[2], heads = state->heads;
  const int32_t *sources = indirection->data;
  size_t bytes = (size_t)elements * element_type_bytes(operand->type), rows;
  void *block;
  if (!size_multiply((size_t)(state->plan.batch * heads * past), bytes, &rows))
    return run_fail(context, NORMA_ERROR_BUDGET, "the past is too large");
  TRY(run_allocate_temporary(context, rows ? rows : 1, &block));
  char *to = block;
  for (int64_t b = 0; b < state->plan.batch; b++) {
    for (int64_t j = 0; j < past; j++) {
      int32_t beam = sources[b * length + j];
      if (beam < 0 || beam >= beams)
        return run_fail(context, NORMA_ERROR_RUN, "cache_indirection names beam %d of %d", (int)beam, (int)beams);
    }
    for (int64_t h = 0; h < heads; h++) {
      for (int64_t j = 0; j < past; j++, to += bytes) {
        int64_t source = b / beams * beams + sources[b * length + j];
        int64_t at = source * operand->batch_stride + h * operand->head_stride + j * operand->row_stride;
        memcpy(to, (const char *)operand->data + at * (int64_t)element_type_bytes(operand->type), bytes);
      }
    }
  }
  *operand = attention_operand_of(operand->type, heads, past, elements, false);
  operand->data = block;
  return NORMA_OK;
}

static norma_status mha_attend(run_context *context, attention_call *call, int64_t past) {
  const mha_state *state = context->state;
  const attention_plan *plan = &state->plan;
  if (!mha_input(context, state->inputs.indirection)) return attention_run(context, plan, call);
  TRY(attention_append(context, plan, call));
  call->present_k = call->present_v = (attention_operand){.data = NULL};
  TRY(mha_gather_beams(context, past, &call->past_k, plan->depth));
  TRY(mha_gather_beams(context, past, &call->past_v, plan->values));
  return attention_run(context, plan, call);
}

static norma_status mha_compute(run_context *context) {
  const mha_state *state = context->state;
  const attention_plan *plan = &state->plan;
  const mha_inputs *in = &state->inputs;
  attention_sample *samples = (attention_sample *)((char *)context->scratch + state->samples_at);
  attention_operand parts[MHA_PARTS];
  const norma_tensor *length = mha_input(context, in->past_length), *mask = mha_input(context, in->mask);
  const norma_tensor *addend = mha_input(context, in->addend);
  bool is_buffer = length && state->buffer > 0;
  int64_t heads = state->heads, past = state->buffer;
  if (plan->batch == 0) return NORMA_OK;
  if (is_buffer) TRY(contrib_past_length(context, length, state->buffer, state->fresh, addend, &past));
  int64_t keys = past + state->fresh, present = is_buffer ? state->buffer : keys;
  for (int64_t b = 0; b < plan->batch; b++)
    samples[b] = (attention_sample){.past = past, .stored = keys, .keys = keys, .offset = past};
  mha_find_parts(context, parts);
  TRY(mha_add_bias(context, parts));
  attention_call call = {.q = parts[MHA_Q],
                         .k = parts[MHA_K],
                         .v = parts[MHA_V],
                         .y = attention_output(context, MHA_Y, heads, plan->queries, plan->values, true),
                         .present_k = attention_output(context, MHA_PRESENT_KEY, heads, present, plan->depth, false),
                         .present_v = attention_output(context, MHA_PRESENT_VALUE, heads, present, plan->values, false),
                         .present_rows = present,
                         .scores = attention_output(context, MHA_SCORES, heads, plan->queries, keys, false),
                         .samples = samples};
  if (in->past_key >= 0) {
    call.past_k = attention_input(context, in->past_key, heads, state->buffer, plan->depth, false);
    call.past_v = attention_input(context, in->past_value, heads, state->buffer, plan->values, false);
  }
  if (mask)
    TRY(contrib_mask_run(context, &state->mask, mask, keys, past, (float *)((char *)context->scratch + state->mask_at),
                         &call.bias[0]));
  if (addend) call.bias[1] = attention_bias_of(addend, keys, false);
  return mha_attend(context, &call, past);
}

/* ------------------------------------------------------------------------------------------------------ descriptors */

static const operator_attribute mha_attributes[] = {
    {"mask_filter_value", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"num_heads", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"scale", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"unidirectional", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

static const operator_attribute mha_decoder_attributes[] = {
    {"mask_filter_value", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"num_heads", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"output_qk", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"past_present_share_buffer", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"scale", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {0},
};

#define TYPES_MHA (TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_BFLOAT16))

const operator_descriptor operators_multi_head_attention[] = {
    {
        .domain = "com.microsoft",
        .name = "MultiHeadAttention",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 10,
        .min_outputs = 1,
        .max_outputs = 4,
        .types = {{TYPES_MHA, INPUT(0) | INPUT(1) | INPUT(2) | INPUT(3) | INPUT(5) | INPUT(6) | INPUT(7),
                   OUTPUT(MHA_Y) | OUTPUT(MHA_PRESENT_KEY) | OUTPUT(MHA_PRESENT_VALUE)},
                  {TYPE_BIT(NORMA_INT32), INPUT(4), 0},
                  {TYPE_BIT(NORMA_INT32), INPUT(8) | INPUT(9), 0}},
        .attributes = mha_attributes,
        .state_size = sizeof(mha_state),
        .read = mha_read,
        .infer = mha_infer,
        .prepare = mha_prepare,
        .facts = {.dimension = fact_dimension_batch},
        .compute = mha_compute,
    },
    {
        .domain = "com.microsoft",
        .name = "DecoderMaskedMultiHeadAttention",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 11,
        .min_outputs = 1,
        .max_outputs = 4,
        .types = {{TYPES_MHA, INPUT(0) | INPUT(1) | INPUT(2) | INPUT(4) | INPUT(5) | INPUT(6) | INPUT(10),
                   OUTPUT(MHA_Y) | OUTPUT(MHA_PRESENT_KEY) | OUTPUT(MHA_PRESENT_VALUE)},
                  {TYPE_BIT(NORMA_INT32), INPUT(3), 0},
                  {TYPE_BIT(NORMA_INT32), INPUT(7) | INPUT(8) | INPUT(9), 0}},
        .attributes = mha_decoder_attributes,
        .state_size = sizeof(mha_state),
        .read = mha_read,
        .infer = mha_infer,
        .prepare = mha_prepare,
        .facts = {.dimension = fact_dimension_batch},
        .compute = mha_compute,
    },
    {0},
};
