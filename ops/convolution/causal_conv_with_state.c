/*
 * CausalConvWithState 27: depthwise convolution along time that sees the present and the past alone.
 *
 *   padded = past_state or k - 1 zeros, then the input                  (B, C, k - 1 + L)
 *   output[b, c, t] = activation(bias[c] + sum over j < k of weight[c, 0, j] * padded[b, c, t + j])
 *   present_state   = the last k - 1 of padded
 *
 * activation is "none", or "silu", also called "swish". float16 and bfloat16 are computed in float.
 */
#include "ops/half.h"
#include "ops/operator.h"
#include "ops/work.h"

enum causal_input { CAUSAL_INPUT, CAUSAL_WEIGHT, CAUSAL_BIAS, CAUSAL_PAST };

typedef struct causal_conv_state {
  struct activation activation;

  /* The plan's. */
  norma_element_type type;
  int64_t batch, channels, length, taps;
  size_t padded_at, weight_at, output_at, window_at; /* in worker scratch: of one channel */
} causal_conv_state;

static norma_status causal_conv_read(const node *node, void *opaque, norma_error *error) {
  causal_conv_state *state = opaque;
  const char *name = attribute_string(node, "activation", "none");
  const bool is_silu = strcmp(name, "silu") == 0 || strcmp(name, "swish") == 0;
  if (!is_silu && strcmp(name, "none") != 0) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "there is no activation '%.40s'", name);
  }
  if (is_silu) state->activation = (struct activation){.kind = UNARY_SILU, .a = 1};
  return NORMA_OK;
}

/* A size that is `less` smaller than a dimension. */
static bool causal_merge(int64_t *size, int64_t dim, int64_t less) {
  if (dim == DIM_UNKNOWN) return true;
  if (*size == DIM_UNKNOWN) *size = dim - less;
  return *size == dim - less;
}

static norma_status causal_refuse(infer_context *context, const char *name, const shape *given) {
  char text[200];
  return infer_fail(context, "%s of shape %s does not fit the other inputs", name,
                    shape_text(given, text, sizeof text));
}

static norma_status causal_conv_infer(infer_context *context) {
  const shape *input = infer_shape(context, CAUSAL_INPUT), *weight = infer_shape(context, CAUSAL_WEIGHT);
  const shape *bias = infer_shape(context, CAUSAL_BIAS), *past = infer_shape(context, CAUSAL_PAST);
  int64_t batch = DIM_UNKNOWN, channels = DIM_UNKNOWN, length = DIM_UNKNOWN, before = DIM_UNKNOWN, one = 1;
  if (input->rank != RANK_UNKNOWN &&
      (input->rank != 3 || !causal_merge(&batch, input->dims[0], 0) || !causal_merge(&channels, input->dims[1], 0) ||
       !causal_merge(&length, input->dims[2], 0))) {
    return causal_refuse(context, "the input", input);
  }
  if (weight->rank != RANK_UNKNOWN &&
      (weight->rank != 3 || !causal_merge(&channels, weight->dims[0], 0) || !causal_merge(&one, weight->dims[1], 0) ||
       !causal_merge(&before, weight->dims[2], 1) || weight->dims[2] == 0)) {
    return causal_refuse(context, "the weight", weight);
  }
  if (bias->rank != RANK_UNKNOWN && (bias->rank != 1 || !causal_merge(&channels, bias->dims[0], 0))) {
    return causal_refuse(context, "the bias", bias);
  }
  if (past->rank != RANK_UNKNOWN &&
      (past->rank != 3 || !causal_merge(&batch, past->dims[0], 0) || !causal_merge(&channels, past->dims[1], 0) ||
       !causal_merge(&before, past->dims[2], 0))) {
    return causal_refuse(context, "past_state", past);
  }
  const norma_element_type type = infer_type(context, CAUSAL_INPUT);
  const shape output = shape_make(3, (int64_t[]){batch, channels, length});
  const shape present = shape_make(3, (int64_t[]){batch, channels, before});
  infer_output(context, 0, type, &output);
  infer_output(context, 1, type, &present);
  return NORMA_OK;
}

static struct window_2d causal_window(const causal_conv_state *state) {
  return (struct window_2d){.input = {1, (size_t)(state->taps - 1 + state->length)},
                            .output = {1, (size_t)state->length},
                            .kernel = {1, (size_t)state->taps},
                            .stride = {1, 1},
                            .dilation = {1, 1}};
}

static norma_status causal_conv_prepare(prepare_context *context) {
  causal_conv_state *state = context->state;
  const shape *input = prepare_shape(context, CAUSAL_INPUT), *weight = prepare_shape(context, CAUSAL_WEIGHT);
  size_t *total = &context->worker_scratch_bytes;
  state->type = prepare_type(context, CAUSAL_INPUT);
  state->batch = input->dims[0];
  state->channels = input->dims[1];
  state->length = input->dims[2];
  state->taps = weight->dims[2];
  const struct window_2d window = causal_window(state);
  const size_t window_bytes = state->length > 1 ? context->kernels->window_scratch_size(&window) : 0;
  if (!scratch_append(total, window.input[1], sizeof(float), &state->padded_at) ||
      !scratch_append(total, (size_t)state->taps, sizeof(float), &state->weight_at) ||
      !scratch_append(total, window.output[1], sizeof(float), &state->output_at) ||
      !scratch_append(total, window_bytes, 1, &state->window_at)) {
    return prepare_fail(context, NORMA_ERROR_BUDGET, "the input is too long");
  }
  context->flops = 2.0 * (double)state->batch * (double)state->channels * (double)state->length * (double)state->taps;
  context->kernel_name = "by channel";
  return NORMA_OK;
}

/* Elements of one channel of an input, as float; zeros where the input is absent. */
static void causal_load(const run_context *context, int index, int64_t first, int64_t count, float *elements) {
  const norma_tensor *tensor = run_input(context, index);
  if (count == 0) return;
  if (!tensor) {
    memset(elements, 0, (size_t)count * sizeof *elements);
    return;
  }
  const size_t element = element_type_bytes(tensor->type);
  float_from(context->kernels, tensor->type, elements, (const char *)tensor->data + (size_t)first * element, count);
}

static void causal_conv_rows(void *argument, int64_t begin, int64_t end, int worker) {
  run_context *context = argument;
  const causal_conv_state *state = context->state;
  const struct kernel_table *kernels = context->kernels;
  const struct window_2d window = causal_window(state);
  const int64_t before = state->taps - 1, length = state->length;
  const size_t element = element_type_bytes(state->type);
  norma_tensor *output = run_output(context, 0), *present = run_output(context, 1);
  char *scratch = run_worker_scratch(context, worker);
  float *padded = (float *)(void *)(scratch + state->padded_at),
        *weight = (float *)(void *)(scratch + state->weight_at);
  float *result = (float *)(void *)(scratch + state->output_at), bias;
  for (int64_t i = begin; i < end; i++) {
    const int64_t channel = i % state->channels;
    causal_load(context, CAUSAL_PAST, i * before, before, padded);
    causal_load(context, CAUSAL_INPUT, i * length, length, padded + before);
    causal_load(context, CAUSAL_WEIGHT, channel * state->taps, state->taps, weight);
    causal_load(context, CAUSAL_BIAS, channel, 1, &bias);
    if (length == 1) { /* one token: hardly worth a call of the kernel */
      result[0] = bias;
      for (int64_t j = 0; j < state->taps; j++) result[0] += weight[j] * padded[j];
      kernels->unary_f32[state->activation.kind](result, result, 1, state->activation.a, state->activation.b);
    } else if (length > 1) {
      kernels->depthwise_f32(&window, padded, weight, bias, NULL, state->activation, result,
                             scratch + state->window_at);
    }
    float_to(kernels, state->type, (char *)output->data + (size_t)(i * length) * element, result, length);
    float_to(kernels, state->type, (char *)present->data + (size_t)(i * before) * element, padded + length, before);
  }
}

static norma_status causal_conv_compute(run_context *context) {
  const causal_conv_state *state = context->state;
  const double cost = 2.0 * (double)state->length * (double)state->taps + WORK_ELEMENT * ((double)state->length + 16);
  return run_parallel(context, state->batch * state->channels, work_grain(cost), causal_conv_rows, context);
}

static const operator_attribute causal_conv_attributes[] = {
    {"activation", ATTRIBUTE_STRING, 27, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_causal_conv_with_state[] = {
    {
        .domain = "",
        .name = "CausalConvWithState",
        .versions = {27},
        .min_inputs = 2,
        .max_inputs = 4,
        .min_outputs = 2,
        .max_outputs = 2,
        .types = {{TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_BFLOAT16),
                   INPUT(CAUSAL_INPUT) | INPUT(CAUSAL_WEIGHT) | INPUT(CAUSAL_BIAS) | INPUT(CAUSAL_PAST),
                   OUTPUT(0) | OUTPUT(1)}},
        .attributes = causal_conv_attributes,
        .state_size = sizeof(causal_conv_state),
        .read = causal_conv_read,
        .infer = causal_conv_infer,
        .prepare = causal_conv_prepare,
        .compute = causal_conv_compute,
    },
    {0},
};
