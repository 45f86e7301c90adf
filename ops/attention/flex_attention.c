/*
 * FlexAttention 1 (ai.onnx.preview)
 *
 *   Y = prob_mod(softmax(score_mod(scale * Q K^T))) V
 *
 * Q [B, Hq, L, D], K [B, Hkv, S, D], V [B, Hkv, S, Dv], Y [B, Hq, L, Dv]; query heads share key heads in groups.
 * score_mod and prob_mod are graphs from a tensor [B, Hq, L, S] to one of the same shape and type. Without them it is
 * attention in blocks; with one all scores exist at a time, as the graphs want them.
 *
 * The type of scores is softmax_precision, by default float, or double for inputs of double. Half precision is computed
 * in float and rounded where a graph sees it.
 */
#include "ops/attention/attention_core.h"
#include "ops/half.h"
#include "ops/normalization/softmax.h"
#include "ops/work.h"

#include <inttypes.h>
#include <math.h>

typedef struct flex_state {
  const graph *score_mod, *prob_mod; /* NULL: none */
  int64_t precision;                 /* softmax_precision; 0: not given */
  bool has_scale;
  float scale;

  /* The plan's. */
  attention_plan plan;
  norma_element_type score_type;
} flex_state;

static norma_status flex_read_graph(const node *node, const char *name, const graph **mod, norma_error *error) {
  *mod = attribute_graph(node, name);
  if (!*mod || ((*mod)->input_count == 1 && (*mod)->output_count == 1)) return NORMA_OK;
  return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s has %d inputs and %d outputs, but needs one of each",
                       name, (*mod)->input_count, (*mod)->output_count);
}

static norma_status flex_read(const node *node, void *opaque, norma_error *error) {
  flex_state *state = opaque;
  state->precision = attribute_int(node, "softmax_precision", 0);
  state->has_scale = node_attribute(node, "scale") != NULL;
  state->scale = attribute_float(node, "scale", 0);
  if (state->precision && (state->precision < 0 || state->precision >= NORMA_ELEMENT_TYPE_COUNT ||
                           !(TYPE_BIT(state->precision) & TYPES_FLOAT)))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "softmax_precision is %" PRId64 ", no type of float",
                         state->precision);
  TRY(flex_read_graph(node, "score_mod", &state->score_mod, error));
  return flex_read_graph(node, "prob_mod", &state->prob_mod, error);
}

/* ------------------------------------------------------------------------------------------------------------ infer */

static norma_element_type flex_score_type(const flex_state *state, norma_element_type type) {
  if (state->precision) return (norma_element_type)state->precision;
  return type == NORMA_UNDEFINED ? NORMA_UNDEFINED : type == NORMA_DOUBLE ? NORMA_DOUBLE : NORMA_FLOAT;
}

/* Merges what Q, K and V say of shapes of rank 4: Y and the scores; false where they contradict each other. */
static bool flex_find_shapes(const shape *q, const shape *k, const shape *v, shape *y, shape *scores) {
  shape query = shape_of_rank(4), key = shape_of_rank(4), value = shape_of_rank(4);
  if (!shape_merge(&query, q) || !shape_merge(&key, k) || !shape_merge(&value, v)) return false;
  shape expected = query; /* of K */
  expected.dims[1] = value.dims[1];
  expected.dims[2] = value.dims[2];
  if (expected.dims[0] == DIM_UNKNOWN) expected.dims[0] = value.dims[0];
  if (!shape_merge(&key, &expected)) return false;
  if (key.dims[0] != DIM_UNKNOWN && value.dims[0] != DIM_UNKNOWN && key.dims[0] != value.dims[0]) return false;
  int64_t heads = query.dims[1], shared = key.dims[1];
  if (heads != DIM_UNKNOWN && shared != DIM_UNKNOWN && heads > 0 && (shared == 0 || heads % shared != 0)) return false;
  query.dims[0] = key.dims[0];
  *y = *scores = query;
  y->dims[3] = value.dims[3];
  scores->dims[3] = key.dims[2];
  return true;
}

static norma_status flex_infer_mod(infer_context *context, const graph *mod, const char *name,
                                   const value_info *scores) {
  value_info result = {.shape = shape_unknown()};
  shape merged = scores->shape;
  if (!mod) return NORMA_OK;
  TRY(infer_subgraph(context, mod, scores, 1, &result));
  bool is_tensor = result.kind == NORMA_VALUE_TENSOR || result.kind == NORMA_VALUE_NONE;
  bool type_fits = result.type == NORMA_UNDEFINED || scores->type == NORMA_UNDEFINED || result.type == scores->type;
  if (is_tensor && type_fits && (result.kind == NORMA_VALUE_NONE || shape_merge(&merged, &result.shape)))
    return NORMA_OK;
  return infer_fail(context, "%s does not give a tensor of the type and shape of its input", name);
}

static norma_status flex_infer(infer_context *context) {
  const flex_state *state = context->state;
  shape y, scores;
  char texts[3][100];
  for (int i = 0; i < 3; i++) shape_text(infer_shape(context, i), texts[i], sizeof texts[i]);
  if (!flex_find_shapes(infer_shape(context, 0), infer_shape(context, 1), infer_shape(context, 2), &y, &scores))
    return infer_fail(context, "Q of shape %s, K of shape %s and V of shape %s do not fit", texts[0], texts[1],
                      texts[2]);
  norma_element_type type = flex_score_type(state, infer_type(context, 0));
  value_info info = value_info_tensor(type, &scores);
  TRY(flex_infer_mod(context, state->score_mod, "score_mod", &info));
  TRY(flex_infer_mod(context, state->prob_mod, "prob_mod", &info));
  infer_output(context, 0, infer_type(context, 0), &y);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

/* Shapes are checked here, since a step that runs graphs is not inferred in the run. */
static norma_status flex_prepare(prepare_context *context) {
  flex_state *state = context->state;
  attention_plan *plan = &state->plan;
  const shape *q = prepare_shape(context, 0), *k = prepare_shape(context, 1), *v = prepare_shape(context, 2);
  shape y, scores;
  if (!flex_find_shapes(q, k, v, &y, &scores))
    return prepare_fail(context, NORMA_ERROR_RUN, "the shapes of Q, K and V do not fit");
  state->score_type = flex_score_type(state, prepare_type(context, 0));
  plan->batch = q->dims[0];
  plan->query_heads = q->dims[1];
  plan->key_heads = k->dims[1];
  plan->queries = q->dims[2];
  plan->keys = k->dims[2];
  plan->depth = q->dims[3];
  plan->values = v->dims[3];
  plan->masked = -INFINITY;
  plan->scale = state->has_scale ? (double)state->scale : 1 / sqrt((double)plan->depth);
  plan->in_double = state->score_type == NORMA_DOUBLE || prepare_type(context, 0) == NORMA_DOUBLE;
  plan->left = plan->right = -1;
  plan->scores = state->score_mod || state->prob_mod ? ATTENTION_RAW : ATTENTION_NO_SCORES;
  return attention_prepare(context, plan);
}

/* ---------------------------------------------------------------------------------------------------------- compute */

struct flex_softmax {
  run_context *context;
  norma_tensor *y;
  const norma_tensor *x;
  int64_t count;
};

static void flex_softmax_double(norma_element_type type, void *y, const void *x, int64_t first, int64_t count) {
  double most = -INFINITY, sum = 0;
  for (int64_t j = 0; j < count; j++) most = fmax(most, element_get_double(type, x, first + j));
  for (int64_t j = 0; j < count; j++) sum += exp(element_get_double(type, x, first + j) - most);
  for (int64_t j = 0; j < count; j++)
    element_set_double(type, y, first + j, exp(element_get_double(type, x, first + j) - most) / sum);
}

static void flex_softmax_lines(void *argument, int64_t begin, int64_t end, int worker) {
  const struct flex_softmax *job = argument;
  int64_t first = begin * job->count;
  (void)worker;
  if (job->x->type == NORMA_FLOAT) {
    softmax_float_lines(job->context->kernels, SOFTMAX, (float *)job->y->data + first,
                        (const float *)job->x->data + first, end - begin, job->count);
    return;
  }
  for (int64_t i = begin; i < end; i++)
    flex_softmax_double(job->x->type, job->y->data, job->x->data, i * job->count, job->count);
}

static norma_status flex_softmax(run_context *context, norma_tensor *y, const norma_tensor *x, int64_t count) {
  struct flex_softmax job = {context, y, x, count};
  int64_t lines = count ? norma_tensor_count(x) / count : 0;
  double cost = (x->type == NORMA_FLOAT ? 1 : 8) * WORK_ELEMENT * (double)count;
  return run_parallel(context, lines, work_grain(cost), flex_softmax_lines, &job);
}

/* Runs a graph on `scores`; *result, to be cleared, is a tensor like them. */
static norma_status flex_run_mod(run_context *context, const graph *mod, const norma_tensor *scores, value *result) {
  const value given = {.kind = NORMA_VALUE_TENSOR, .tensor = *scores}, *inputs = &given;
  TRY(run_subgraph(context, mod, &inputs, 1, result, 1));
  bool fits = result->kind == NORMA_VALUE_TENSOR && result->tensor.type == scores->type &&
              result->tensor.rank == scores->rank &&
              memcmp(result->tensor.dims, scores->dims, (size_t)scores->rank * sizeof *scores->dims) == 0;
  if (fits) return NORMA_OK;
  value_clear(result);
  return run_fail(context, NORMA_ERROR_RUN, "a graph does not give a tensor of the type and shape of its input");
}

/* Scores and weights in one tensor of their own, the graphs between. */
static norma_status flex_run_mods(run_context *context, attention_call *call) {
  const flex_state *state = context->state;
  const attention_plan *plan = &state->plan;
  const int64_t dims[4] = {plan->batch, plan->query_heads, plan->queries, plan->keys};
  norma_tensor scores;
  void *block;
  size_t bytes;
  value result = {.kind = NORMA_VALUE_NONE};
  if (norma_tensor_size(state->score_type, 4, dims, &bytes) != NORMA_OK)
    return run_fail(context, NORMA_ERROR_BUDGET, "the scores are too large");
  TRY(run_allocate_temporary(context, bytes ? bytes : 1, &block));
  norma_tensor_init(&scores, state->score_type, 4, dims, block);
  call->scores = attention_operand_of(state->score_type, plan->query_heads, plan->queries, plan->keys, false);
  call->scores.target = block;
  call->stage = ATTENTION_TO_SCORES;
  TRY(attention_run(context, plan, call));
  if (state->score_mod) TRY(flex_run_mod(context, state->score_mod, &scores, &result));
  norma_status status = flex_softmax(context, &scores, state->score_mod ? &result.tensor : &scores, plan->keys);
  value_clear(&result);
  if (status == NORMA_OK && state->prob_mod) {
    status = flex_run_mod(context, state->prob_mod, &scores, &result);
    call->scores.data = result.tensor.data;
  }
  call->stage = ATTENTION_FROM_SCORES;
  if (status == NORMA_OK) status = attention_run(context, plan, call);
  value_clear(&result);
  return status;
}

static norma_status flex_compute(run_context *context) {
  const flex_state *state = context->state;
  const attention_plan *plan = &state->plan;
  const norma_tensor *q = run_input(context, 0), *k = run_input(context, 1), *v = run_input(context, 2);
  const int64_t dims[4] = {plan->batch, plan->query_heads, plan->queries, plan->values};
  shape shape = shape_make(4, dims);
  norma_tensor *y;
  void *samples;
  TRY(run_allocate_output(context, 0, q->type, &shape, &y));
  TRY(run_allocate_temporary(context, ((size_t)plan->batch + 1) * sizeof(attention_sample), &samples));
  for (int64_t b = 0; b < plan->batch; b++)
    ((attention_sample *)samples)[b] = (attention_sample){.stored = plan->keys, .keys = plan->keys};
  attention_call call = {.q = attention_operand_of(q->type, plan->query_heads, plan->queries, plan->depth, false),
                         .k = attention_operand_of(k->type, plan->key_heads, plan->keys, plan->depth, false),
                         .v = attention_operand_of(v->type, plan->key_heads, plan->keys, plan->values, false),
                         .y = attention_operand_of(y->type, plan->query_heads, plan->queries, plan->values, false),
                         .samples = samples};
  call.q.data = q->data;
  call.k.data = k->data;
  call.v.data = v->data;
  call.y.target = y->data;
  if (plan->scores == ATTENTION_NO_SCORES) return attention_run(context, plan, &call);
  return flex_run_mods(context, &call);
}

static const operator_attribute flex_attributes[] = {
    {"prob_mod", ATTRIBUTE_GRAPH, 1, OPERATOR_LATEST, false},
    {"scale", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"score_mod", ATTRIBUTE_GRAPH, 1, OPERATOR_LATEST, false},
    {"softmax_precision", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_flex_attention[] = {
    {
        .domain = "ai.onnx.preview",
        .name = "FlexAttention",
        .versions = {1},
        .min_inputs = 3,
        .max_inputs = 3,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0) | INPUT(1) | INPUT(2), OUTPUT(0)}},
        .attributes = flex_attributes,
        .flags = OPERATOR_SUBGRAPHS,
        .state_size = sizeof(flex_state),
        .read = flex_read,
        .infer = flex_infer,
        .prepare = flex_prepare,
        .compute = flex_compute,
    },
    {0},
};
