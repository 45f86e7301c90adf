/*
 * LinearClassifier 1, LinearRegressor 1 (ai.onnx.ml): scores = X * coefficients^T + intercepts.
 *
 * X is [N, F] or [F], of float, double, int64 or int32; coefficients are [E, F], one behind the other. double is
 * computed in double, all others in float; results are float.
 *
 * LinearRegressor   E is `targets`; Y [N, E] are the scores, transformed (ops/ml/post_transform.h).
 * LinearClassifier  E is the number of intercepts, or of labels where there are none. Y [N] is the label of the largest
 *                   score, of equal ones the first; Z [N, E] are the scores, transformed. With one score and two
 *                   labels, the second is chosen where the score is above 0, and Z has both: 1 - score and score. With
 *                   one score and one label or none, labels are 1 and 0.
 */
#include "ops/ml/class_labels.h"
#include "ops/ml/features.h"
#include "ops/ml/post_transform.h"
#include "ops/ml/row_products.h"
#include "ops/work.h"

#include <inttypes.h>

typedef struct linear_state {
  bool is_classifier;
  class_labels labels;
  post_transform transform;
  const float *coefficients, *intercepts; /* intercepts may be NULL */
  size_t coefficient_count, outputs;

  /* The plan's. */
  row_products products;
  const double *double_intercepts;
  size_t rows_at, exact_at, scores_at, classes_at; /* in scratch */
} linear_state;

/* ------------------------------------------------------------------------------------------------------------- read */

static norma_status linear_read(const node *node, void *opaque, norma_error *error) {
  linear_state *state = opaque;
  size_t intercepts;
  state->is_classifier = strcmp(node->op_type, "LinearClassifier") == 0;
  state->coefficients = attribute_floats(node, "coefficients", &state->coefficient_count);
  state->intercepts = attribute_floats(node, "intercepts", &intercepts);
  if (intercepts == 0) state->intercepts = NULL;
  TRY(post_transform_read(node, &state->transform, error));
  if (state->is_classifier) {
    TRY(class_labels_read(node, "classlabels_ints", "classlabels_strings", &state->labels, error));
    state->outputs = intercepts > 0 ? intercepts : state->labels.count;
    if (state->outputs > 1 && state->labels.count < state->outputs)
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %zu labels for %zu scores", state->labels.count,
                           state->outputs);
  } else {
    const int64_t targets = attribute_int(node, "targets", 1);
    if (targets < 1) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "targets is %" PRId64, targets);
    state->outputs = (size_t)targets;
    if (intercepts > 0 && intercepts != state->outputs)
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %zu intercepts for %" PRId64 " targets",
                           intercepts, targets);
  }
  if (state->outputs == 0 || state->coefficient_count % state->outputs != 0)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %zu coefficients for %zu scores",
                         state->coefficient_count, state->outputs);
  return NORMA_OK;
}

/* One score that stands for two classes. */
static bool linear_makes_pair(const linear_state *state) {
  return state->is_classifier && state->outputs == 1 && state->labels.count == 2;
}

static int64_t linear_features(const linear_state *state) {
  return (int64_t)(state->coefficient_count / state->outputs);
}

static norma_status linear_infer(infer_context *context) {
  const linear_state *state = context->state;
  int64_t rows, features;
  TRY(infer_feature_rows(context, linear_features(state), &rows, &features));
  const shape scores = shape_make(2, (int64_t[]){rows, linear_makes_pair(state) ? 2 : (int64_t)state->outputs});
  const shape labels = shape_make(1, &rows);
  if (state->is_classifier) infer_output(context, 0, class_labels_type(&state->labels), &labels);
  infer_output(context, state->is_classifier ? 1 : 0, NORMA_FLOAT, &scores);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

static void linear_weights(const void *argument, int64_t output, double *weights) {
  const linear_state *state = argument;
  const int64_t features = state->products.features;
  for (int64_t f = 0; f < features; f++) weights[f] = (double)state->coefficients[output * features + f];
}

static void linear_intercepts(void *destination, const void *argument) {
  const linear_state *state = argument;
  for (size_t i = 0; i < state->outputs; i++)
    ((double *)destination)[i] = state->intercepts ? (double)state->intercepts[i] : 0;
}

#define LINEAR_WEIGHTS    1
#define LINEAR_INTERCEPTS 100

static norma_status linear_prepare(prepare_context *context) {
  linear_state *state = context->state;
  const norma_element_type type = prepare_type(context, 0);
  int64_t rows, features;
  size_t *total = &context->scratch_bytes;
  feature_shape(prepare_shape(context, 0), &rows, &features);
  state->products = (row_products){
      .outputs = (int64_t)state->outputs, .features = linear_features(state), .in_double = type == NORMA_DOUBLE};
  const void *intercepts;
  TRY(prepare_packed(context, LINEAR_INTERCEPTS, state->outputs * sizeof(double), linear_intercepts, state,
                     &intercepts));
  state->double_intercepts = intercepts;
  TRY(row_products_prepare(context, &state->products, LINEAR_WEIGHTS, linear_weights, state));
  context->worker_scratch_bytes = row_products_scratch(context->kernels, &state->products, rows);
  const bool converts = type != NORMA_FLOAT && type != NORMA_DOUBLE;
  const size_t elements = (size_t)rows * (size_t)features, scores = (size_t)rows * state->outputs;
  if (!scratch_append(total, converts ? elements : 0, sizeof(float), &state->rows_at) ||
      !scratch_append(total, state->products.in_double ? scores : 0, sizeof(double), &state->exact_at) ||
      !scratch_append(total, scores, sizeof(float), &state->scores_at) ||
      !scratch_append(total, state->is_classifier ? (size_t)rows : 0, sizeof(int32_t), &state->classes_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "there are too many rows");
  context->flops = 2.0 * (double)rows * (double)features * (double)state->outputs;
  context->kernel_name = state->products.in_double ? "in double" : "packed";
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

typedef struct linear_work {
  run_context *context;
  const linear_state *state;
  float *rows;         /* converted, where X is of integers */
  const double *exact; /* scores in double; NULL: computed in float */
  float *scores;       /* in float; `result` itself where it can be */
  float *result;       /* transformed; NULL: not wanted */
  int32_t *classes;    /* NULL: not wanted */
} linear_work;

static void linear_model_convert(void *argument, int64_t begin, int64_t end, int worker) {
  const linear_work *work = argument;
  const norma_tensor *x = run_input(work->context, 0);
  (void)worker;
  features_to_float(x->type, x->data, begin, end - begin, work->rows + begin);
}

static int32_t linear_class(const linear_state *state, const float *scores) {
  int32_t best = 0;
  if (state->outputs == 1) {
    if (state->labels.count == 2) return scores[0] > 0;
    return scores[0] > 0 ? CLASS_POSITIVE : CLASS_NEGATIVE;
  }
  for (size_t i = 1; i < state->outputs; i++) best = scores[i] > scores[best] ? (int32_t)i : best;
  return best;
}

/* Classes and results of some rows, whose scores are there. */
static void linear_finish(void *argument, int64_t begin, int64_t end, int worker) {
  const linear_work *work = argument;
  const linear_state *state = work->state;
  const int64_t outputs = (int64_t)state->outputs;
  const bool pairs = linear_makes_pair(state);
  (void)worker;
  for (int64_t i = begin * outputs; work->exact && i < end * outputs; i++) work->scores[i] = (float)work->exact[i];
  for (int64_t row = begin; row < end; row++) {
    if (work->classes) work->classes[row] = linear_class(state, work->scores + row * outputs);
    if (work->result && pairs) post_transform_pair(state->transform, true, work->scores[row], work->result + 2 * row);
  }
  const int64_t width = pairs ? 2 : outputs;
  if (work->result)
    post_transform_scores(work->context->kernels, state->transform, work->result + begin * width, end - begin, width);
}

static norma_status linear_compute(run_context *context) {
  const linear_state *state = context->state;
  const norma_tensor *x = run_input(context, 0), *result = run_output(context, state->is_classifier ? 1 : 0);
  char *scratch = context->scratch;
  int64_t rows, features;
  TRY(run_feature_rows(context, state->products.features, &rows, &features));
  linear_work work = {.context = context, .state = state, .result = result ? result->data : NULL};
  work.scores = work.result && !linear_makes_pair(state) ? work.result : (float *)(void *)(scratch + state->scores_at);
  row_products_call call = {.x = x->data, .y = work.scores, .rows = rows, .column_bias = state->intercepts};
  if (state->products.in_double) {
    call.y = scratch + state->exact_at;
    call.column_bias = state->double_intercepts;
    work.exact = call.y;
  } else if (x->type != NORMA_FLOAT) {
    work.rows = (float *)(void *)(scratch + state->rows_at);
    TRY(run_parallel(context, rows * features, 16384, linear_model_convert, &work));
    call.x = work.rows;
  }
  if (state->is_classifier && context->outputs[0]) work.classes = (int32_t *)(void *)(scratch + state->classes_at);
  TRY(row_products_run_parallel(context, &state->products, &call));
  TRY(run_parallel(context, rows, work_grain(4 * WORK_ELEMENT * (double)state->outputs), linear_finish, &work));
  if (!state->is_classifier) return NORMA_OK;
  return class_labels_write(context, 0, &state->labels, rows, work.classes);
}

static const operator_attribute linear_classifier_attributes[] = {
    {"coefficients", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, true},
    {"intercepts", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {"classlabels_ints", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"classlabels_strings", ATTRIBUTE_STRINGS, 1, OPERATOR_LATEST, false},
    {"multi_class", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false}, /* says how the model was made; changes nothing here */
    {"post_transform", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {0},
};

static const operator_attribute linear_regressor_attributes[] = {
    {"coefficients", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {"intercepts", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {"targets", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"post_transform", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_linear_model[] = {
    {
        .domain = "ai.onnx.ml",
        .name = "LinearClassifier",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 2,
        .max_outputs = 2,
        .types = {{TYPES_FEATURES, INPUT(0), 0}},
        .attributes = linear_classifier_attributes,
        .state_size = sizeof(linear_state),
        .read = linear_read,
        .infer = linear_infer,
        .prepare = linear_prepare,
        .compute = linear_compute,
    },
    {
        .domain = "ai.onnx.ml",
        .name = "LinearRegressor",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FEATURES, INPUT(0), 0}},
        .attributes = linear_regressor_attributes,
        .state_size = sizeof(linear_state),
        .read = linear_read,
        .infer = linear_infer,
        .prepare = linear_prepare,
        .compute = linear_compute,
    },
    {0},
};
