/*
 * SVMRegressor 1 (ai.onnx.ml): Y [N, 1] = sum over support vectors of coefficients * kernel(x, vector) + rho[0],
 * transformed (ops/ml/post_transform.h).
 *
 * X is [N, F] or [F], of float, double, int64 or int32. n_supports 0: coefficients are the weights of a linear model.
 * With one_class, Y is 1 where the sum is above 0, else -1, and nothing is transformed.
 */
#include "ops/ml/features.h"
#include "ops/ml/post_transform.h"
#include "ops/ml/svm.h"

#include <inttypes.h>

typedef struct svm_regressor_state {
  svm svm;
  const float *coefficients;
  float rho;
  bool one_class;
  post_transform transform;
} svm_regressor_state;

static norma_status svm_regressor_read(const node *node, void *opaque, norma_error *error) {
  svm_regressor_state *state = opaque;
  const int64_t vectors = attribute_int(node, "n_supports", 0);
  size_t coefficients, rhos;
  state->coefficients = attribute_floats(node, "coefficients", &coefficients);
  const float *rho = attribute_floats(node, "rho", &rhos);
  state->rho = rhos > 0 ? rho[0] : 0;
  state->one_class = attribute_int(node, "one_class", 0) != 0;
  if (vectors < 0) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "n_supports is %" PRId64, vectors);
  if (coefficients == 0 || (vectors > 0 && coefficients != (size_t)vectors))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %zu coefficients for %" PRId64 " support vectors",
                         coefficients, vectors);
  TRY(post_transform_read(node, &state->transform, error));
  TRY(svm_read(node, &state->svm, vectors, error));
  if (vectors == 0) state->svm.features = (int64_t)coefficients;
  return NORMA_OK;
}

static norma_status svm_regressor_infer(infer_context *context) {
  const svm_regressor_state *state = context->state;
  int64_t rows, features;
  TRY(infer_feature_rows(context, state->svm.features, &rows, &features));
  const shape result = shape_make(2, (int64_t[]){rows, 1});
  infer_output(context, 0, NORMA_FLOAT, &result);
  return NORMA_OK;
}

/* Of a linear machine: the support vectors are one. */
static void svm_regressor_weights(const void *argument, int64_t output, double *weights) {
  const svm_regressor_state *state = argument;
  const svm *svm = &state->svm;
  (void)output;
  for (int64_t f = 0; f < svm->features; f++) weights[f] = svm->vectors == 0 ? (double)state->coefficients[f] : 0;
  for (int64_t v = 0; v < svm->vectors; v++) svm_add_vector(svm, v, (double)state->coefficients[v], weights);
}

static norma_status svm_regressor_prepare(prepare_context *context) {
  svm_regressor_state *state = context->state;
  int64_t rows, features;
  feature_shape(prepare_shape(context, 0), &rows, &features);
  return svm_prepare(context, &state->svm, rows, 1, svm_regressor_weights, state, 0);
}

static void svm_regressor_rows(void *argument, const float *values, int64_t first, int64_t rows, void *more) {
  const run_context *context = argument;
  const svm_regressor_state *state = context->state;
  const int64_t width = state->svm.products.outputs;
  float *y = (float *)run_output(context, 0)->data + first;
  (void)more;
  for (int64_t i = 0; i < rows; i++) {
    float sum = values[i];
    if (state->svm.kind != SVM_LINEAR)
      sum = context->kernels->dot_f32(values + i * width, state->coefficients, (size_t)width);
    y[i] = sum + state->rho;
    if (state->one_class) y[i] = y[i] > 0 ? 1 : -1;
  }
  if (!state->one_class) post_transform_scores(context->kernels, state->transform, y, rows, 1);
}

static norma_status svm_regressor_compute(run_context *context) {
  const svm_regressor_state *state = context->state;
  int64_t rows, features;
  if (!context->outputs[0]) return NORMA_OK;
  TRY(run_feature_rows(context, state->svm.features, &rows, &features));
  return svm_run(context, &state->svm, rows, svm_regressor_rows, context);
}

static const operator_attribute svm_regressor_attributes[] = {
    {"coefficients", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {"kernel_params", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {"kernel_type", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"n_supports", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"one_class", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"post_transform", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"rho", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {"support_vectors", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_svm_regressor[] = {
    {
        .domain = "ai.onnx.ml",
        .name = "SVMRegressor",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FEATURES, INPUT(0), 0}},
        .attributes = svm_regressor_attributes,
        .state_size = sizeof(svm_regressor_state),
        .read = svm_regressor_read,
        .infer = svm_regressor_infer,
        .prepare = svm_regressor_prepare,
        .compute = svm_regressor_compute,
    },
    {0},
};
