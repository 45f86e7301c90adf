/* Activation functions of recurrent operators: by name, and on arrays of float or double. */
#include "ops/recurrent/recurrent.h"

#include <math.h>
#include <strings.h>

/* Names are compared as onnxruntime does, whatever their case; exporters differ. */
static const struct recurrent_function {
  const char *name;
  enum unary_kind kind;
  bool takes_alpha, takes_beta;
  float alpha, beta; /* where the lists give none */
} recurrent_functions[] = {
    {"Relu", UNARY_RELU, false, false, 0, 0},
    {"Tanh", UNARY_TANH, false, false, 0, 0},
    {"Sigmoid", UNARY_SIGMOID, false, false, 0, 0},
    {"Affine", UNARY_AFFINE, true, true, 1, 0},
    {"LeakyRelu", UNARY_LEAKY_RELU, true, false, 0.01f, 0},
    {"ThresholdedRelu", UNARY_THRESHOLDED_RELU, true, false, 1, 0},
    {"ScaledTanh", UNARY_SCALED_TANH, true, true, 1, 1},
    {"HardSigmoid", UNARY_HARD_SIGMOID, true, true, 0.2f, 0.5f},
    {"Elu", UNARY_ELU, true, false, 1, 0},
    {"Softsign", UNARY_SOFTSIGN, false, false, 0, 0},
    {"Softplus", UNARY_SOFTPLUS, false, false, 0, 0},
};

/* Numbers that the functions take in their order, each only if it has a use for one. */
typedef struct recurrent_numbers {
  const float *numbers;
  size_t count, taken;
} recurrent_numbers;

static float take_number(recurrent_numbers *numbers, bool takes, float otherwise) {
  return takes && numbers->taken < numbers->count ? numbers->numbers[numbers->taken++] : otherwise;
}

static norma_status recurrent_read_function(const node *node, const char *name, recurrent_numbers *alphas,
                                            recurrent_numbers *betas, struct activation *result, norma_error *error) {
  for (size_t i = 0; i < sizeof recurrent_functions / sizeof *recurrent_functions; i++) {
    const struct recurrent_function *function = &recurrent_functions[i];
    if (strcasecmp(function->name, name) != 0) continue;
    *result = (struct activation){.kind = function->kind};
    result->a = take_number(alphas, function->takes_alpha, function->alpha);
    result->b = take_number(betas, function->takes_beta, function->beta);
    /* x if x >= alpha, where the kernel has x > a */
    if (function->kind == UNARY_THRESHOLDED_RELU) result->a = nextafterf(result->a, -INFINITY);
    return NORMA_OK;
  }
  return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "there is no activation function '%.40s'", name);
}

norma_status recurrent_read_functions(const node *node, const recurrent_form *form, recurrent_state *state,
                                      norma_error *error) {
  const attribute *names = node_attribute(node, "activations");
  recurrent_numbers alphas = {0}, betas = {0};
  alphas.numbers = attribute_floats(node, "activation_alpha", &alphas.count);
  betas.numbers = attribute_floats(node, "activation_beta", &betas.count);
  const size_t expected = (size_t)(state->directions * form->functions);
  const bool are_given = names && names->count > 0;
  /* The definition of RNN declares a default of two for either number of directions. */
  if (are_given && names->count != expected && !(form->functions == 1 && names->count == 2)) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %zu activations, expected %zu", names->count,
                         expected);
  }
  for (int d = 0; d < state->directions; d++) {
    for (int i = 0; i < form->functions; i++) {
      struct activation *function = &state->functions[d][i];
      if (are_given) {
        const norma_string *name = &names->strings[d * form->functions + i];
        TRY(recurrent_read_function(node, name->data, &alphas, &betas, function, error));
      } else {
        *function = (struct activation){.kind = form->defaults[i]};
      }
    }
  }
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------- arrays of double */

static double activation_in_double(const struct activation *function, double x) {
  const double a = (double)function->a, b = (double)function->b;
  switch (function->kind) {
  case UNARY_RELU:
    return x < 0 ? 0 : x;
  case UNARY_TANH:
    return tanh(x);
  case UNARY_SIGMOID:
    return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
  case UNARY_AFFINE:
    return a * x + b;
  case UNARY_LEAKY_RELU:
    return x < 0 ? a * x : x;
  case UNARY_THRESHOLDED_RELU:
    return x <= a ? 0 : x;
  case UNARY_SCALED_TANH:
    return a * tanh(b * x);
  case UNARY_HARD_SIGMOID:
    x = a * x + b;
    return x < 0 ? 0 : x > 1 ? 1 : x;
  case UNARY_ELU:
    return x < 0 ? a * expm1(x) : x;
  case UNARY_SOFTSIGN:
    return x / (1 + fabs(x));
  case UNARY_SOFTPLUS:
    return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
  default:
    return x;
  }
}

static void activate_in_double(const recurrent_state *state, const struct activation *function, double *y,
                               const double *x, int64_t n) {
  const double clip = (double)state->clip;
  for (int64_t i = 0; i < n; i++) {
    double v = x[i];
    if (state->has_clip) v = v < -clip ? -clip : v > clip ? clip : v; /* NaN stays */
    y[i] = activation_in_double(function, v);
  }
}

/* ----------------------------------------------------------------------------------------------------------- arrays */

void recurrent_activate(const recurrent_row *row, int index, void *y, const void *x, int64_t n) {
  const recurrent_state *state = row->cells->state;
  const struct kernel_table *kernels = row->cells->kernels;
  const struct activation *function = &state->functions[row->direction][index];
  if (state->in_double) {
    activate_in_double(state, function, y, x, n);
    return;
  }
  if (state->has_clip) {
    kernels->unary_f32[UNARY_CLIP](y, x, (size_t)n, -state->clip, state->clip);
    x = y;
  }
  kernels->unary_f32[function->kind](y, x, (size_t)n, function->a, function->b);
}

void recurrent_multiply(const recurrent_row *row, void *y, const void *x, const void *z, int64_t n) {
  if (!row->cells->state->in_double) {
    row->cells->kernels->binary_f32[BINARY_MUL](y, x, z, (size_t)n);
    return;
  }
  const double *a = x, *b = z;
  double *product = y;
  for (int64_t i = 0; i < n; i++) product[i] = a[i] * b[i];
}

void recurrent_add(const recurrent_row *row, void *y, const void *x, const void *z, int64_t n) {
  if (!row->cells->state->in_double) {
    row->cells->kernels->binary_f32[BINARY_ADD](y, x, z, (size_t)n);
    return;
  }
  const double *a = x, *b = z;
  double *sum = y;
  for (int64_t i = 0; i < n; i++) sum[i] = a[i] + b[i];
}

void recurrent_one_minus(const recurrent_row *row, void *y, const void *x, int64_t n) {
  if (!row->cells->state->in_double) {
    row->cells->kernels->binary_left_scalar_f32[BINARY_SUB](y, x, 1, (size_t)n);
    return;
  }
  const double *a = x;
  double *rest = y;
  for (int64_t i = 0; i < n; i++) rest[i] = 1 - a[i];
}
