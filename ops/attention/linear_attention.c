/*
 * LinearAttention 27: attention whose past is a state of fixed size, for each head a matrix S of d_k x d_v.
 *
 *   linear       S_t = S_t-1 + k_t (x) v_t
 *   gated        S_t = exp(g_t) S_t-1 + k_t (x) v_t
 *   delta        S_t = S_t-1 + b_t k_t (x) (v_t - S_t-1^T k_t)
 *   gated_delta  S_t = exp(g_t) S_t-1 + b_t k_t (x) (v_t - exp(g_t) S_t-1^T k_t)
 *   o_t = scale * S_t^T q_t
 *
 * Inputs are query (B, T, H_q * d_k), key (B, T, H_kv * d_k), value (B, T, H_kv * d_v), past_state (B, H_kv, d_k, d_v),
 * decay g (B, T, H_kv * d_k or H_kv) and beta b (B, T, H_kv or 1). Each key head serves H_q / H_kv query heads. float16
 * and bfloat16 are computed in float, and so is the state, which may have a type of its own. Tokens come one after the
 * other; heads and columns of their states are apart, and are what workers share. chunk_size is a hint for other ways
 * to compute.
 */
#include "ops/attention/attention_sizes.h"
#include "ops/half.h"
#include "ops/operator.h"
#include "ops/work.h"

#include <math.h>

enum linear_input { LINEAR_QUERY, LINEAR_KEY, LINEAR_VALUE, LINEAR_PAST, LINEAR_DECAY, LINEAR_BETA, LINEAR_INPUTS };

typedef struct linear_attention_state {
  bool is_gated, is_delta;
  int64_t query_heads, heads;
  float scale; /* 0: from d_k */

  /* The plan's. */
  norma_element_type type, state_type;
  int64_t batch, tokens, key_size, value_size;
  int64_t decays, betas;          /* for each token */
  int64_t chunk, chunks;          /* columns of a state that a worker takes */
  size_t input_at[LINEAR_INPUTS]; /* in scratch: inputs in float, where they are not */
  size_t factor_at;               /* in scratch: exp(decay) */
  size_t output_at, state_at;     /* in scratch, where outputs are not float */
} linear_attention_state;

/* ------------------------------------------------------------------------------------------------------------- read */

static bool linear_has_input(const node *node, int index) {
  return index < node->input_count && node->inputs[index];
}

static norma_status linear_attention_read(const node *node, void *opaque, norma_error *error) {
  linear_attention_state *state = opaque;
  const char *rule = attribute_string(node, "update_rule", "gated_delta");
  static const char *const rules[] = {"linear", "gated", "delta", "gated_delta"};
  int found = -1;
  for (int i = 0; i < 4; i++) {
    if (strcmp(rules[i], rule) == 0) found = i;
  }
  if (found < 0) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "there is no update_rule '%.40s'", rule);
  }
  state->is_gated = found & 1;
  state->is_delta = found & 2;
  if (state->is_gated && !linear_has_input(node, LINEAR_DECAY)) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "update_rule %s needs the input decay", rule);
  }
  if (state->is_delta && !linear_has_input(node, LINEAR_BETA)) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "update_rule %s needs the input beta", rule);
  }
  TRY(attention_read_heads(node, "q_num_heads", &state->query_heads, error));
  TRY(attention_read_heads(node, "kv_num_heads", &state->heads, error));
  state->scale = attribute_float(node, "scale", 0);
  if (state->heads < 1 || state->query_heads < 1 || state->query_heads % state->heads != 0) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                         "q_num_heads is %lld and kv_num_heads %lld: not a multiple", (long long)state->query_heads,
                         (long long)state->heads);
  }
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------ infer */

typedef struct linear_sizes {
  int64_t batch, tokens, key_size, value_size;
} linear_sizes;

/* A dimension that is `heads` times a size. */
static bool linear_merge(int64_t *size, int64_t dim, int64_t heads) {
  if (dim == DIM_UNKNOWN) return true;
  if (dim % heads != 0) return false;
  if (*size == DIM_UNKNOWN) *size = dim / heads;
  return *size == dim / heads;
}

static norma_status linear_merge_packed(infer_context *context, int index, const char *name, linear_sizes *sizes,
                                        int64_t *size, int64_t heads) {
  const shape *given = infer_shape(context, index);
  char text[200];
  if (given->rank == RANK_UNKNOWN) return NORMA_OK;
  bool fits = given->rank == 3 && linear_merge(&sizes->batch, given->dims[0], 1) &&
              linear_merge(&sizes->tokens, given->dims[1], 1) && (!size || linear_merge(size, given->dims[2], heads));
  if (fits) return NORMA_OK;
  return infer_fail(context, "%s of shape %s does not fit the heads or the other inputs", name,
                    shape_text(given, text, sizeof text));
}

static norma_status linear_merge_past(infer_context *context, linear_sizes *sizes) {
  const linear_attention_state *state = context->state;
  const shape *past = infer_shape(context, LINEAR_PAST);
  char text[200];
  if (past->rank == RANK_UNKNOWN) return NORMA_OK;
  int64_t heads = state->heads;
  if (past->rank == 4 && linear_merge(&sizes->batch, past->dims[0], 1) && linear_merge(&heads, past->dims[1], 1) &&
      linear_merge(&sizes->key_size, past->dims[2], 1) && linear_merge(&sizes->value_size, past->dims[3], 1)) {
    return NORMA_OK;
  }
  return infer_fail(context, "past_state of shape %s does not fit the heads or the other inputs",
                    shape_text(past, text, sizeof text));
}

/* The last dimension of decay or beta is one of two numbers. */
static norma_status linear_check_last(infer_context *context, int index, const char *name, int64_t one, int64_t other) {
  const shape *given = infer_shape(context, index);
  const int64_t last = given->rank == 3 ? given->dims[2] : DIM_UNKNOWN;
  if (last == DIM_UNKNOWN || last == one || last == other || other == DIM_UNKNOWN) return NORMA_OK;
  return infer_fail(context, "the last dimension of %s is %lld, expected %lld or %lld", name, (long long)last,
                    (long long)one, (long long)other);
}

static norma_status linear_attention_infer(infer_context *context) {
  const linear_attention_state *state = context->state;
  linear_sizes sizes = {DIM_UNKNOWN, DIM_UNKNOWN, DIM_UNKNOWN, DIM_UNKNOWN};
  TRY(linear_merge_packed(context, LINEAR_QUERY, "query", &sizes, &sizes.key_size, state->query_heads));
  TRY(linear_merge_packed(context, LINEAR_KEY, "key", &sizes, &sizes.key_size, state->heads));
  TRY(linear_merge_packed(context, LINEAR_VALUE, "value", &sizes, &sizes.value_size, state->heads));
  TRY(linear_merge_past(context, &sizes));
  if (state->is_gated) {
    const int64_t all = sizes.key_size == DIM_UNKNOWN ? DIM_UNKNOWN : state->heads * sizes.key_size;
    TRY(linear_merge_packed(context, LINEAR_DECAY, "decay", &sizes, NULL, 1));
    TRY(linear_check_last(context, LINEAR_DECAY, "decay", state->heads, all));
  }
  if (state->is_delta) {
    TRY(linear_merge_packed(context, LINEAR_BETA, "beta", &sizes, NULL, 1));
    TRY(linear_check_last(context, LINEAR_BETA, "beta", state->heads, 1));
  }
  const norma_element_type type = infer_type(context, LINEAR_QUERY);
  const int64_t values = sizes.value_size == DIM_UNKNOWN ? DIM_UNKNOWN : state->query_heads * sizes.value_size;
  const shape output = shape_make(3, (int64_t[]){sizes.batch, sizes.tokens, values});
  const shape present = shape_make(4, (int64_t[]){sizes.batch, state->heads, sizes.key_size, sizes.value_size});
  infer_output(context, 0, type, &output);
  infer_output(context, 1, infer_has_input(context, LINEAR_PAST) ? infer_type(context, LINEAR_PAST) : type, &present);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

static norma_status linear_attention_prepare(prepare_context *context) {
  linear_attention_state *state = context->state;
  const shape *query = prepare_shape(context, LINEAR_QUERY), *value = prepare_shape(context, LINEAR_VALUE);
  size_t *total = &context->scratch_bytes;
  state->type = prepare_type(context, LINEAR_QUERY);
  state->state_type = prepare_type(context, LINEAR_PAST);
  if (state->state_type == NORMA_UNDEFINED) state->state_type = state->type;
  state->batch = query->dims[0];
  state->tokens = query->dims[1];
  state->key_size = query->dims[2] / state->query_heads;
  state->value_size = value->dims[2] / state->heads;
  state->decays = state->is_gated ? prepare_shape(context, LINEAR_DECAY)->dims[2] : 0;
  state->betas = state->is_delta ? prepare_shape(context, LINEAR_BETA)->dims[2] : 0;

  const size_t tokens = (size_t)(state->batch * state->tokens), heads = (size_t)state->heads;
  const size_t keys = heads * (size_t)state->key_size, values = heads * (size_t)state->value_size;
  const size_t queries = (size_t)query->dims[2], outputs = (size_t)(state->query_heads * state->value_size);
  const bool converts = is_half(state->type), converts_state = is_half(state->state_type);
  const size_t counts[LINEAR_INPUTS] = {queries, keys, values, 0, (size_t)state->decays, (size_t)state->betas};
  bool fits = true;
  for (int i = 0; i < LINEAR_INPUTS; i++) {
    fits = fits && scratch_append(total, converts ? tokens * counts[i] : 0, sizeof(float), &state->input_at[i]);
  }
  fits = fits && scratch_append(total, tokens * (size_t)state->decays, sizeof(float), &state->factor_at) &&
         scratch_append(total, converts ? tokens * outputs : 0, sizeof(float), &state->output_at) &&
         scratch_append(total, converts_state ? (size_t)state->batch * keys * (size_t)state->value_size : 0,
                        sizeof(float), &state->state_at);
  if (!fits) return prepare_fail(context, NORMA_ERROR_BUDGET, "the inputs are too large");

  /* Columns in units that the kernel computes side by side; where heads are enough for the workers, all of them. */
  const int64_t unit = 4 * (int64_t)(context->kernels->vector_bytes / sizeof(float));
  const int64_t all = state->batch * state->heads, units = divide_up(state->value_size, unit);
  const int64_t wanted = context->workers > 1 && all > 0 ? divide_up(4 * (int64_t)context->workers, all) : 1;
  state->chunk = units > 0 ? divide_up(units, wanted < units ? wanted : units) * unit : unit;
  state->chunks = divide_up(state->value_size, state->chunk);
  const double group = (double)state->query_heads / (double)state->heads, passes = state->is_delta ? 2 : 1;
  context->flops =
      2 * (double)tokens * (double)heads * (double)state->key_size * (double)state->value_size * (passes + group);
  context->kernel_name = "token by token";
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

typedef struct linear_attention_work {
  run_context *context;
  const linear_attention_state *state;
  const float *query, *key, *value, *factor, *beta;
  float *output, *states;
  float scale;
} linear_attention_work;

/* One conversion of many elements, in parallel. */
typedef struct linear_conversion {
  const struct kernel_table *kernels;
  norma_element_type type;
  const char *from;
  char *to;
  bool to_float;
} linear_conversion;

static void linear_convert_elements(void *argument, int64_t begin, int64_t end, int worker) {
  const linear_conversion *c = argument;
  (void)worker;
  if (c->to_float) {
    half_to_float(c->kernels, c->type, (float *)(void *)c->to + begin, c->from + 2 * begin, end - begin);
  } else {
    half_from_float(c->kernels, c->type, c->to + 2 * begin, (const float *)(const void *)c->from + begin, end - begin);
  }
}

static norma_status linear_convert(run_context *context, norma_element_type type, const void *from, void *to,
                                   int64_t count, bool to_float) {
  linear_conversion c = {context->kernels, type, from, to, to_float};
  return run_parallel(context, count, work_grain(WORK_ELEMENT), linear_convert_elements, &c);
}

/* An input in float. */
static norma_status linear_open(linear_attention_work *work, int index, const float **elements) {
  const norma_tensor *tensor = run_input(work->context, index);
  *elements = tensor->data;
  if (!is_half(tensor->type)) return NORMA_OK;
  float *converted = (float *)(void *)((char *)work->context->scratch + work->state->input_at[index]);
  *elements = converted;
  return linear_convert(work->context, tensor->type, tensor->data, converted, norma_tensor_count(tensor), true);
}

/* exp(decay) */
static norma_status linear_open_decay(linear_attention_work *work) {
  const linear_attention_state *state = work->state;
  const float *decay;
  float *factor = (float *)(void *)((char *)work->context->scratch + state->factor_at);
  TRY(linear_open(work, LINEAR_DECAY, &decay));
  work->context->kernels->unary_f32[UNARY_EXP](factor, decay, (size_t)(state->batch * state->tokens * state->decays), 0,
                                               0);
  work->factor = factor;
  return NORMA_OK;
}

static norma_status linear_open_states(linear_attention_work *work) {
  const linear_attention_state *state = work->state;
  run_context *context = work->context;
  const norma_tensor *past = run_input(context, LINEAR_PAST);
  const int64_t count = state->batch * state->heads * state->key_size * state->value_size;
  const bool converts = is_half(state->state_type);
  work->states =
      converts ? (float *)(void *)((char *)context->scratch + state->state_at) : run_output(context, 1)->data;
  if (count == 0) return NORMA_OK;
  if (!past) {
    memset(work->states, 0, (size_t)count * sizeof(float));
    return NORMA_OK;
  }
  if (converts) return linear_convert(context, state->state_type, past->data, work->states, count, true);
  memcpy(work->states, past->data, (size_t)count * sizeof(float));
  return NORMA_OK;
}

/* Some columns of one head's state, through all tokens. */
static void linear_walk(const linear_attention_work *work, int64_t sample, int64_t head, int64_t column) {
  const linear_attention_state *state = work->state;
  const int64_t group = state->query_heads / state->heads, left = state->value_size - column;
  const bool by_row = state->decays != state->heads;
  struct linear_attention_f32 token = {
      .rows = (size_t)state->key_size,
      .columns = (size_t)(left < state->chunk ? left : state->chunk),
      .state = work->states + (sample * state->heads + head) * state->key_size * state->value_size + column,
      .state_stride = (size_t)state->value_size,
      .decays_by_row = by_row,
      .corrects = state->is_delta,
      .query_count = (size_t)group,
      .query_stride = (size_t)state->key_size,
      .scale = work->scale,
      .output_stride = (size_t)state->value_size};
  for (int64_t t = 0; t < state->tokens; t++) {
    const int64_t at = sample * state->tokens + t;
    if (t % 64 == 63 && run_cancelled(work->context)) return;
    token.key = work->key + (at * state->heads + head) * state->key_size;
    token.value = work->value + (at * state->heads + head) * state->value_size + column;
    token.queries = work->query + (at * state->query_heads + head * group) * state->key_size;
    token.output = work->output + (at * state->query_heads + head * group) * state->value_size + column;
    if (state->is_gated) token.decay = work->factor + at * state->decays + (by_row ? head * state->key_size : head);
    if (state->is_delta) token.rate = work->beta[at * state->betas + (state->betas == 1 ? 0 : head)];
    work->context->kernels->linear_attention_f32(&token);
  }
}

static void linear_walk_heads(void *argument, int64_t begin, int64_t end, int worker) {
  const linear_attention_work *work = argument;
  const linear_attention_state *state = work->state;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    const int64_t head = i / state->chunks;
    linear_walk(work, head / state->heads, head % state->heads, i % state->chunks * state->chunk);
  }
}

static norma_status linear_attention_compute(run_context *context) {
  const linear_attention_state *state = context->state;
  linear_attention_work work = {.context = context, .state = state, .scale = state->scale};
  norma_tensor *output = run_output(context, 0), *present = run_output(context, 1);
  if (work.scale == 0) work.scale = 1 / sqrtf((float)state->key_size);
  work.output = output->data;
  if (is_half(state->type)) work.output = (float *)(void *)((char *)context->scratch + state->output_at);
  if (state->key_size == 0) { /* nothing is attended to */
    if (output->size_bytes) memset(output->data, 0, output->size_bytes);
    return NORMA_OK;
  }
  TRY(linear_open(&work, LINEAR_QUERY, &work.query));
  TRY(linear_open(&work, LINEAR_KEY, &work.key));
  TRY(linear_open(&work, LINEAR_VALUE, &work.value));
  if (state->is_gated) TRY(linear_open_decay(&work));
  if (state->is_delta) TRY(linear_open(&work, LINEAR_BETA, &work.beta));
  TRY(linear_open_states(&work));
  const int64_t units = state->batch * state->heads * state->chunks;
  const double cost = 8.0 * (double)state->tokens * (double)state->key_size * (double)state->chunk;
  TRY(run_parallel(context, units, work_grain(cost), linear_walk_heads, &work));
  if (is_half(state->type)) {
    TRY(linear_convert(context, state->type, work.output, output->data, norma_tensor_count(output), false));
  }
  if (!is_half(state->state_type)) return NORMA_OK;
  return linear_convert(context, state->state_type, work.states, present->data, norma_tensor_count(present), false);
}

static const operator_attribute linear_attention_attributes[] = {
    {"chunk_size", ATTRIBUTE_INT, 27, OPERATOR_LATEST, false},
    {"kv_num_heads", ATTRIBUTE_INT, 27, OPERATOR_LATEST, true},
    {"q_num_heads", ATTRIBUTE_INT, 27, OPERATOR_LATEST, true},
    {"scale", ATTRIBUTE_FLOAT, 27, OPERATOR_LATEST, false},
    {"update_rule", ATTRIBUTE_STRING, 27, OPERATOR_LATEST, false},
    {0},
};

#define LINEAR_TYPES (TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_BFLOAT16))

const operator_descriptor operators_linear_attention[] = {
    {
        .domain = "",
        .name = "LinearAttention",
        .versions = {27},
        .min_inputs = 3,
        .max_inputs = LINEAR_INPUTS,
        .min_outputs = 2,
        .max_outputs = 2,
        .types = {{LINEAR_TYPES,
                   INPUT(LINEAR_QUERY) | INPUT(LINEAR_KEY) | INPUT(LINEAR_VALUE) | INPUT(LINEAR_DECAY) |
                       INPUT(LINEAR_BETA),
                   OUTPUT(0)},
                  {LINEAR_TYPES, INPUT(LINEAR_PAST), OUTPUT(1)}},
        .attributes = linear_attention_attributes,
        .state_size = sizeof(linear_attention_state),
        .read = linear_attention_read,
        .infer = linear_attention_infer,
        .prepare = linear_attention_prepare,
        .compute = linear_attention_compute,
    },
    {0},
};
