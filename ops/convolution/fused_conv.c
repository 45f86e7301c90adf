#include "ops/convolution/fused_conv.h"

#include "ops/work.h"

#include <math.h>

/* Names, and what activation_params give as a and b where they are there. */
static const struct fused_conv_activation {
  const char *name;
  struct activation activation;
  size_t parameters;
} fused_conv_activations[] = {
    {"", {UNARY_IDENTITY, 0, 0}, 0},
    {"Relu", {UNARY_RELU, 0, 0}, 0},
    {"Tanh", {UNARY_TANH, 0, 0}, 0},
    {"Sigmoid", {UNARY_SIGMOID, 0, 0}, 0},
    {"LeakyRelu", {UNARY_LEAKY_RELU, 0.01f, 0}, 1},
    {"Clip", {UNARY_CLIP, -INFINITY, INFINITY}, 2},
    {"HardSigmoid", {UNARY_HARD_SIGMOID, 0.2f, 0.5f}, 2},
};

norma_status fused_conv_read(const node *node, struct activation *activation, norma_error *error) {
  const char *name = attribute_string(node, "activation", "");
  size_t count;
  const float *parameters = attribute_floats(node, "activation_params", &count);
  for (size_t i = 0; i < sizeof fused_conv_activations / sizeof *fused_conv_activations; i++) {
    const struct fused_conv_activation *known = &fused_conv_activations[i];
    if (strcmp(known->name, name) != 0) continue;
    *activation = known->activation;
    if (count != 0 && count != known->parameters)
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s has %zu activation_params, expected %zu", name,
                           count, known->parameters);
    if (count > 0) activation->a = parameters[0];
    if (count > 1) activation->b = parameters[1];
    return NORMA_OK;
  }
  return error_at_node(error, NORMA_ERROR_UNSUPPORTED, node, "activation '%.40s' is not supported", name);
}

norma_status fused_conv_check(infer_context *context) {
  const shape *z = infer_shape(context, FUSED_CONV_Z);
  shape merged = context->outputs[0].shape;
  char texts[2][100];
  if (!infer_has_input(context, FUSED_CONV_Z) || merged.rank == RANK_UNKNOWN || shape_merge(&merged, z))
    return NORMA_OK;
  return infer_fail(context, "Z of shape %s does not fit an output of shape %s",
                    shape_text(z, texts[0], sizeof texts[0]),
                    shape_text(&context->outputs[0].shape, texts[1], sizeof texts[1]));
}

/* NaN stays NaN. */
static double fused_conv_activate(const struct activation *activation, double x) {
  double a = (double)activation->a, b = (double)activation->b;
  switch (activation->kind) {
  case UNARY_RELU:
    return x < 0 ? 0 : x;
  case UNARY_TANH:
    return tanh(x);
  case UNARY_SIGMOID:
    return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
  case UNARY_LEAKY_RELU:
    return x < 0 ? a * x : x;
  case UNARY_CLIP:
    return x < a ? a : x > b ? b : x;
  case UNARY_HARD_SIGMOID:
    x = a * x + b;
    return x < 0 ? 0 : x > 1 ? 1 : x;
  default:
    return x;
  }
}

struct fused_conv_job {
  const struct activation *activation;
  double *y;
  const double *z;
};

static void fused_conv_elements(void *argument, int64_t begin, int64_t end, int worker) {
  const struct fused_conv_job *job = argument;
  (void)worker;
  for (int64_t i = begin; i < end; i++) {
    double x = job->y[i] + (job->z ? job->z[i] : 0);
    job->y[i] = fused_conv_activate(job->activation, x);
  }
}

norma_status fused_conv_finish_double(run_context *context, const struct activation *activation) {
  const norma_tensor *z = run_input(context, FUSED_CONV_Z);
  norma_tensor *y = run_output(context, 0);
  struct fused_conv_job job = {activation, y->data, z ? z->data : NULL};
  if (!z && activation->kind == UNARY_IDENTITY) return NORMA_OK;
  return run_parallel(context, norma_tensor_count(y), work_grain(2 * WORK_ELEMENT), fused_conv_elements, &job);
}
