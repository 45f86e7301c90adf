/*
 * BatchNormalization: y = scale * (x - mean) / sqrt(variance + epsilon) + bias, per channel.
 *
 * Version 1: spatial, is_test, consumed_inputs. 6: no consumed_inputs. 7: no is_test, training when outputs beyond Y
 * are asked for; spatial = 0 gives each feature of C x D1 x ... x Dn parameters of its own. 9: no spatial. 14:
 * training_mode; mean and variance have their own type; bfloat16. 15: so have scale and bias.
 *
 * Inference takes mean and variance from inputs 3 and 4. Training takes them from the batch (the population variance:
 * sums are divided by N) and gives, as outputs 1 and 2, running = input * momentum + batch * (1 - momentum); before
 * version 14 outputs 3 and 4 are the batch's own mean and variance. An empty batch has no statistics: the running ones
 * stay as they are, its own are NaN.
 *
 * X is N x C x D1 x ... x Dn; of rank 1 it has one channel. Everything per channel is computed in double. In float, x
 * is multiplied and shifted once; float16 and bfloat16 go through float, double stays double. float16, bfloat16, float,
 * double.
 */
#include "ops/blocked.h"
#include "ops/half.h"
#include "ops/operator.h"

#include <float.h>
#include <math.h>

#define NORMALIZE_GRAIN  16384      /* elements worth one piece of parallel work */
#define STATISTICS_BLOCK HALF_PIECE /* elements that are converted at a time */

/* y = (x - mean) * gain + bias in double. In float (x - center) * scale + shift; where these leave float's range (a
 * variance of 0 and no epsilon; a scale so small that it loses digits), the formula in double is used. In inference the
 * center is 0, and nothing is subtracted. In training it is the mean, since this may be far larger than the deviation
 * and would leave only its rounding error. */
typedef struct channel_parameters {
  bool *fit_float; /* scale and shift of all channels */
  double *mean, *gain, *bias;
  float *center, *scale, *shift;
} channel_parameters;

typedef struct batch_normalization_state {
  double epsilon, momentum;
  bool training;
  bool spatial;                   /* a channel's elements share its parameters */
  int64_t batch, channels, inner; /* X as batch x channels x inner */
  bool is_folded;                 /* all four vectors are constant: parameters are the model's */
  channel_parameters folded;
} batch_normalization_state;

/* ------------------------------------------------------------------------------------------------------------- read */

static norma_status batch_normalization_read(const node *node, void *opaque, norma_error *error) {
  batch_normalization_state *state = opaque;
  state->epsilon = attribute_float(node, "epsilon", 1e-5f);
  state->momentum = attribute_float(node, "momentum", 0.9f);
  state->spatial = attribute_int(node, "spatial", 1) != 0;
  int statistics = 0; /* outputs beyond Y */
  for (int i = 1; i < node->output_count; i++) statistics += node->outputs[i] != NULL;

  if (!(state->epsilon >= 0) || isinf(state->epsilon)) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "epsilon is %g, which is not a number of at least 0",
                         state->epsilon);
  }
  if (!isfinite(state->momentum)) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "momentum is %g", state->momentum);
  }
  if (node->version < 7) {
    state->training = attribute_int(node, "is_test", 0) == 0;
  } else if (node->version < 14) {
    state->training = statistics > 0;
  } else {
    int64_t mode = attribute_int(node, "training_mode", 0);
    if (mode != 0 && mode != 1) {
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "training_mode is %lld, which is neither 0 nor 1",
                           (long long)mode);
    }
    state->training = mode == 1;
    if (node->output_count > 3) {
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%d outputs, but since version 14 there are 3",
                           node->output_count);
    }
    if (state->training && statistics < 2) {
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                           "training_mode is 1, but the running mean and variance are not among the outputs");
    }
  }
  if (!state->training && statistics > 0) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                         "the model asks for running statistics, which there are in training mode only");
  }
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------ infer */

/* Up to version 6 all vectors have C elements, also where spatial is 0. Without statistics of a batch spatial then
 * changes nothing. */
static bool is_spatial(const node *node, const batch_normalization_state *state, const shape *x, const shape *vector) {
  bool per_channel = x->rank > 1 && vector->rank == 1 && vector->dims[0] == x->dims[1];
  return state->spatial || (node->version < 7 && !state->training && per_channel);
}

/* What X says of the shape of scale, bias, mean and variance. */
static shape expected_vector(infer_context *context, const shape *x, const shape *vector) {
  shape expected = shape_of_rank(1);
  if (x->rank == RANK_UNKNOWN) {
    expected = shape_unknown();
  } else if (x->rank == 1) {
    expected.dims[0] = 1;
  } else if (is_spatial(context->node, context->state, x, vector)) {
    expected.dims[0] = x->dims[1];
  } else if (vector->rank == 1) { /* flattened, as version 9 suggests */
    shape features = shape_make(x->rank - 1, x->dims + 1);
    expected.dims[0] = shape_count(&features);
  } else {
    expected = shape_make(x->rank - 1, x->dims + 1);
  }
  return expected;
}

static norma_status infer_types(infer_context *context) {
  int version = context->node->version;
  norma_element_type x = infer_type(context, 0);
  if (version < 14 && x == NORMA_BFLOAT16) return infer_fail(context, "bfloat16 needs opset 14");
  for (int i = 1; i < 5; i++) {
    norma_element_type type = infer_type(context, i);
    bool same = version < 14 || (version < 15 && i < 3);
    if (same && x != NORMA_UNDEFINED && type != NORMA_UNDEFINED && type != x) {
      return infer_fail(context, "input %d is %s and X %s; before opset %d they are the same", i,
                        norma_element_type_name(type), norma_element_type_name(x), i < 3 ? 15 : 14);
    }
  }
  return NORMA_OK;
}

static norma_status batch_normalization_infer(infer_context *context) {
  static const char *const names[] = {"X", "scale", "bias", "mean", "variance"};
  const shape *x = infer_shape(context, 0);
  char wanted[200], found[200];
  TRY(infer_types(context));
  if (x->rank == 0) return infer_fail(context, "X is a scalar and has no channels");
  shape vector = shape_unknown();
  for (int i = 1; i < 5; i++) {
    if (shape_merge(&vector, infer_shape(context, i))) continue;
    return infer_fail(context, "%s has shape %s, other parameters have %s", names[i],
                      shape_text(infer_shape(context, i), found, sizeof found),
                      shape_text(&vector, wanted, sizeof wanted));
  }
  shape expected = expected_vector(context, x, &vector);
  if (!shape_merge(&vector, &expected)) {
    return infer_fail(context, "scale, bias, mean and variance have shape %s, but X needs %s",
                      shape_text(&vector, found, sizeof found), shape_text(&expected, wanted, sizeof wanted));
  }
  infer_output(context, 0, infer_type(context, 0), x);
  for (int i = 1; i < context->output_count; i++) {
    infer_output(context, i, i < 3 ? infer_type(context, 3) : infer_type(context, 0), &vector);
  }
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

/* A block of parameters holds no pointers: what is packed may be kept elsewhere. */
static size_t parameters_bytes(int64_t channels) {
  return MEMORY_ALIGNMENT + size_align((size_t)channels * (3 * sizeof(double) + 3 * sizeof(float)), MEMORY_ALIGNMENT);
}

/* Where they are in a block of parameters_bytes. */
static channel_parameters parameters_place(void *block, int64_t channels) {
  channel_parameters parameters = {.fit_float = block, .mean = (double *)((char *)block + MEMORY_ALIGNMENT)};
  parameters.gain = parameters.mean + channels;
  parameters.bias = parameters.gain + channels;
  parameters.center = (float *)(parameters.bias + channels);
  parameters.scale = parameters.center + channels;
  parameters.shift = parameters.scale + channels;
  return parameters;
}

/* Whether float holds them with all their digits; those that a small shift loses are beyond the last digit of 0. */
static bool affine_fits_float(double scale, double shift) {
  return isfinite((float)scale) && isfinite((float)shift) && (scale == 0 || fabs(scale) >= (double)FLT_MIN);
}

static void parameters_set(const channel_parameters *parameters, const batch_normalization_state *state,
                           int64_t channel, double scale, double bias, double mean, double variance) {
  double gain = scale / sqrt(variance + state->epsilon);
  float center = state->training ? (float)mean : 0;
  parameters->mean[channel] = mean;
  parameters->gain[channel] = gain;
  parameters->bias[channel] = bias;
  parameters->center[channel] = center;
  parameters->scale[channel] = (float)gain;
  parameters->shift[channel] = (float)(bias - (mean - center) * gain);
  if (!affine_fits_float(gain, (double)parameters->shift[channel])) *parameters->fit_float = false;
}

/* Arguments of fold, which runs while the model's packed constants are locked. */
typedef struct fold_arguments {
  const batch_normalization_state *state;
  const norma_tensor *vectors[4]; /* scale, bias, mean, variance */
} fold_arguments;

static void fold(void *destination, const void *argument) {
  const fold_arguments *arguments = argument;
  const batch_normalization_state *state = arguments->state;
  const channel_parameters parameters = parameters_place(destination, state->channels);
  *parameters.fit_float = true;
  for (int64_t c = 0; c < state->channels; c++) {
    double of[4];
    for (int i = 0; i < 4; i++) of[i] = element_get_double(arguments->vectors[i]->type, arguments->vectors[i]->data, c);
    parameters_set(&parameters, state, c, of[0], of[1], of[2], of[3]);
  }
}

static norma_status batch_normalization_prepare(prepare_context *context) {
  batch_normalization_state *state = context->state;
  const shape *x = prepare_shape(context, 0);
  bool spatial = is_spatial(context->node, state, x, prepare_shape(context, 1));
  state->batch = x->dims[0];
  state->channels = x->rank == 1 ? 1 : spatial ? x->dims[1] : dims_product(x->dims, 1, x->rank);
  state->inner = x->rank > 2 && spatial ? dims_product(x->dims, 2, x->rank) : 1;
  if (state->channels == 1) { /* all elements lie together */
    state->inner *= state->batch;
    state->batch = 1;
  }

  fold_arguments arguments = {.state = state};
  bool constant = !state->training;
  for (int i = 0; i < 4; i++) {
    arguments.vectors[i] = prepare_constant(context, 1 + i);
    constant = constant && arguments.vectors[i];
  }
  size_t bytes = parameters_bytes(state->channels);
  if (constant) {
    const void *folded;
    TRY(prepare_packed(context, 0, bytes, fold, &arguments, &folded));
    state->is_folded = true;
    state->folded = parameters_place(tensor_read_only(folded), state->channels);
  } else { /* behind the parameters: mean and variance of the batch */
    context->scratch_bytes = bytes + (state->training ? 2 * (size_t)state->channels * sizeof(double) : 0);
  }
  context->kernel_name = state->training ? "training" : constant ? "folded" : "affine";
  context->flops =
      (state->training ? 5.0 : 2.0) * (double)state->batch * (double)state->channels * (double)state->inner;
  return NORMA_OK;
}

/* -------------------------------------------------------------------------------------------- statistics of a batch */

typedef struct batch_statistics {
  const batch_normalization_state *state;
  const norma_tensor *x;
  const struct kernel_table *kernels;
  double *mean, *variance; /* per channel */
} batch_statistics;

/* Sum of x, or of (x - mean)^2, over `count` adjacent elements. */
static double plane_sum(const batch_statistics *work, int64_t first, int64_t count, const double *mean) {
  const struct kernel_table *kernels = work->kernels;
  norma_element_type type = work->x->type;
  double sum = 0;
  if (type == NORMA_FLOAT) {
    const float *x = (const float *)work->x->data + first;
    return mean ? kernels->sum_squared_deviations_f32(x, (size_t)count, *mean)
                : kernels->sum_f32_to_f64(x, (size_t)count);
  }
  for (int64_t done = 0; done < count; done += STATISTICS_BLOCK) {
    int64_t length = count - done < STATISTICS_BLOCK ? count - done : STATISTICS_BLOCK;
    if (type == NORMA_DOUBLE) {
      const double *x = (const double *)work->x->data + first + done;
      double part = 0; /* by blocks, so that rounding errors do not pile up */
      for (int64_t i = 0; i < length; i++) part += mean ? (x[i] - *mean) * (x[i] - *mean) : x[i];
      sum += part;
    } else {
      float x[STATISTICS_BLOCK];
      half_to_float(kernels, type, x, (const uint16_t *)work->x->data + first + done, length);
      sum += mean ? kernels->sum_squared_deviations_f32(x, (size_t)length, *mean)
                  : kernels->sum_f32_to_f64(x, (size_t)length);
    }
  }
  return sum;
}

static void statistics_of_planes(const batch_statistics *work, int64_t begin, int64_t end) {
  const batch_normalization_state *state = work->state;
  double count = (double)state->batch * (double)state->inner;
  for (int64_t c = begin; c < end; c++) {
    double sum = 0, squares = 0;
    for (int64_t n = 0; n < state->batch; n++) {
      sum += plane_sum(work, (n * state->channels + c) * state->inner, state->inner, NULL);
    }
    double mean = sum / count;
    for (int64_t n = 0; n < state->batch; n++) {
      squares += plane_sum(work, (n * state->channels + c) * state->inner, state->inner, &mean);
    }
    work->mean[c] = mean;
    work->variance[c] = squares / count;
  }
}

/* The same where a channel's elements do not lie together: whole rows are added. At most STATISTICS_BLOCK channels. */
static void statistics_of_rows(const batch_statistics *work, int64_t begin, int64_t end) {
  const batch_normalization_state *state = work->state;
  double x[STATISTICS_BLOCK], count = (double)state->batch, *mean = work->mean + begin,
                              *variance = work->variance + begin;
  int64_t channels = end - begin;
  for (int64_t c = 0; c < channels; c++) mean[c] = variance[c] = 0;
  for (int64_t n = 0; n < state->batch; n++) {
    elements_to_double(work->x->type, work->x->data, n * state->channels + begin, channels, x);
    for (int64_t c = 0; c < channels; c++) mean[c] += x[c];
  }
  for (int64_t c = 0; c < channels; c++) mean[c] /= count;
  for (int64_t n = 0; n < state->batch; n++) {
    elements_to_double(work->x->type, work->x->data, n * state->channels + begin, channels, x);
    for (int64_t c = 0; c < channels; c++) variance[c] += (x[c] - mean[c]) * (x[c] - mean[c]);
  }
  for (int64_t c = 0; c < channels; c++) variance[c] /= count;
}

static void statistics_body(void *argument, int64_t begin, int64_t end, int worker) {
  const batch_statistics *work = argument;
  (void)worker;
  if (work->state->inner == 1)
    statistics_of_rows(work, begin, end);
  else
    statistics_of_planes(work, begin, end);
}

/* Mean and variance of each channel; NaN for an empty batch. */
static norma_status compute_statistics(run_context *context, double *mean, double *variance) {
  const batch_normalization_state *state = context->state;
  batch_statistics work = {state, run_input(context, 0), context->kernels, mean, variance};
  int64_t grain = STATISTICS_BLOCK;
  if (state->inner > 1) {
    int64_t elements = state->batch * state->inner;
    grain = elements > 0 && elements < NORMALIZE_GRAIN ? NORMALIZE_GRAIN / elements : 1;
  }
  return run_parallel(context, state->channels, grain, statistics_body, &work);
}

/* -------------------------------------------------------------------------------------------------------- normalize */

typedef struct normalize_work {
  const batch_normalization_state *state;
  const channel_parameters *parameters;
  const norma_tensor *x;
  norma_tensor *y;
  const struct kernel_table *kernels;
  struct activation activation;
} normalize_work;

/* Elements that lie together belong to one channel (inner > 1), or to one channel each (inner == 1). */
static bool is_row(const normalize_work *work) {
  return work->state->inner == 1;
}

/* In float: y = activation((x - center) * scale + shift), `channel` being the first element's. y may be x. */
static void normalize_floats(const normalize_work *work, int64_t channel, float *y, const float *x, int64_t count) {
  const struct kernel_table *kernels = work->kernels;
  const float *center = work->parameters->center + channel;
  const float *scale = work->parameters->scale + channel, *shift = work->parameters->shift + channel;
  size_t n = (size_t)count;
  if (is_row(work)) {
    if (work->state->training) kernels->binary_f32[BINARY_SUB](y, x, center, n);
    kernels->affine_row_f32(y, work->state->training ? y : x, NULL, n, scale, shift, work->activation);
  } else {
    if (work->state->training) kernels->binary_right_scalar_f32[BINARY_SUB](y, x, *center, n);
    kernels->affine_f32(y, work->state->training ? y : x, NULL, n, *scale, *shift, work->activation);
  }
}

/* The formula itself, for at most STATISTICS_BLOCK elements of any type. */
static void normalize_exactly(const normalize_work *work, int64_t channel, int64_t first, int64_t count) {
  const channel_parameters *parameters = work->parameters;
  double values[STATISTICS_BLOCK];
  elements_to_double(work->x->type, work->x->data, first, count, values);
  for (int64_t i = 0; i < count; i++) {
    int64_t c = is_row(work) ? channel + i : channel;
    values[i] = (values[i] - parameters->mean[c]) * parameters->gain[c] + parameters->bias[c];
  }
  elements_from_double(work->y->type, work->y->data, first, count, values);
  if (work->y->type == NORMA_FLOAT && work->activation.kind != UNARY_IDENTITY) {
    float *y = (float *)work->y->data + first;
    work->kernels->unary_f32[work->activation.kind](y, y, (size_t)count, work->activation.a, work->activation.b);
  }
}

static bool fits_float(const normalize_work *work, int64_t channel) {
  const channel_parameters *parameters = work->parameters;
  if (is_row(work)) return *parameters->fit_float;
  return affine_fits_float(parameters->gain[channel], (double)parameters->shift[channel]);
}

/* `count` elements that lie together, the first of `channel`. */
static void normalize_run(const normalize_work *work, int64_t channel, int64_t first, int64_t count) {
  norma_element_type type = work->x->type;
  bool in_float = type != NORMA_DOUBLE && fits_float(work, channel);
  int64_t step = in_float && type == NORMA_FLOAT && !work->state->training
                     ? count
                     : STATISTICS_BLOCK; /* one pass, or cached ones */
  for (int64_t done = 0; done < count; done += step) {
    int64_t length = count - done < step ? count - done : step, at = first + done;
    int64_t c = is_row(work) ? channel + done : channel;
    if (!in_float) {
      normalize_exactly(work, c, at, length);
    } else if (type == NORMA_FLOAT) {
      normalize_floats(work, c, (float *)work->y->data + at, (const float *)work->x->data + at, length);
    } else {
      float values[STATISTICS_BLOCK];
      half_to_float(work->kernels, type, values, (const uint16_t *)work->x->data + at, length);
      normalize_floats(work, c, values, values, length);
      half_from_float(work->kernels, type, (uint16_t *)work->y->data + at, values, length);
    }
  }
}

/* Elements begin .. end - 1 of X. */
static void normalize_body(void *argument, int64_t begin, int64_t end, int worker) {
  const normalize_work *work = argument;
  const batch_normalization_state *state = work->state;
  (void)worker;
  while (begin < end) {
    int64_t run = is_row(work) ? state->channels : state->inner;
    int64_t count = run - begin % run;
    if (count > end - begin) count = end - begin;
    normalize_run(work, is_row(work) ? begin % run : begin / run % state->channels, begin, count);
    begin += count;
  }
}

/* ---------------------------------------------------------------------------------------------------------- compute */

/* Parameters from the inputs of this run. `mean` and `variance` are the batch's in training, else NULL. */
static channel_parameters run_parameters(const run_context *context, const double *mean, const double *variance) {
  const batch_normalization_state *state = context->state;
  const channel_parameters parameters = parameters_place(context->scratch, state->channels);
  *parameters.fit_float = true;
  for (int64_t c = 0; c < state->channels; c++) {
    double of[4];
    for (int i = 0; i < 4; i++) {
      const norma_tensor *vector = run_input(context, 1 + i);
      of[i] = element_get_double(vector->type, vector->data, c);
    }
    parameters_set(&parameters, state, c, of[0], of[1], mean ? mean[c] : of[2], variance ? variance[c] : of[3]);
  }
  return parameters;
}

/* Output `index`: the running statistic from input `input`, or the batch's own where `input` is 0. */
static void store_statistic(const run_context *context, int index, int input, const double *batch) {
  const batch_normalization_state *state = context->state;
  const norma_tensor *old = run_input(context, input);
  norma_tensor *stored = run_output(context, index);
  if (!stored) return;
  bool empty = state->batch == 0 || state->inner == 0;
  for (int64_t c = 0; c < state->channels; c++) {
    double statistic = batch[c];
    if (input > 0) {
      double running = element_get_double(old->type, old->data, c);
      statistic = empty ? running : running * state->momentum + statistic * (1 - state->momentum);
    }
    element_set_double(stored->type, stored->data, c, statistic);
  }
}

static norma_status batch_normalization_compute(run_context *context) {
  const batch_normalization_state *state = context->state;
  channel_parameters parameters = state->folded;
  if (state->training) {
    double *mean = (double *)((char *)context->scratch + parameters_bytes(state->channels));
    double *variance = mean + state->channels;
    TRY(compute_statistics(context, mean, variance));
    parameters = run_parameters(context, mean, variance);
    store_statistic(context, 1, 3, mean);
    store_statistic(context, 2, 4, variance);
    store_statistic(context, 3, 0, mean);
    store_statistic(context, 4, 0, variance);
  } else if (!state->is_folded) {
    parameters = run_parameters(context, NULL, NULL);
  }
  norma_tensor *y = run_output(context, 0);
  if (!y) return NORMA_OK;
  normalize_work work = {state, &parameters,      run_input(context, 0),
                         y,     context->kernels, context->node->epilogue.activation};
  return run_parallel(context, state->batch * state->channels * state->inner, NORMALIZE_GRAIN, normalize_body, &work);
}

/* ------------------------------------------------------------------------------------------------------- descriptor */

static const operator_attribute batch_normalization_attributes[] = {
    {"epsilon", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"momentum", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"is_test", ATTRIBUTE_INT, 1, 6, false},
    {"spatial", ATTRIBUTE_INT, 1, 8, false},
    {"consumed_inputs", ATTRIBUTE_INTS, 1, 5, true},
    {"training_mode", ATTRIBUTE_INT, 14, OPERATOR_LATEST, false},
    {0},
};

/* ------------------------------------------------------------------------------------------------------------ facts */

static bool batch_normalization_statistics(const node *node, statistics_form *form) {
  const batch_normalization_state *state = node->state;
  *form = (statistics_form){.scale = 1,
                            .bias = 2,
                            .mean = 3,
                            .variance = 4,
                            .epsilon = state->epsilon,
                            .momentum = state->momentum,
                            .trains = state->training};
  return true;
}

/* Up to version 6 is_test says it, up to 13 the outputs, from 14 on training_mode. */
static bool batch_normalization_training(const node *node, training_form *form) {
  *form = (training_form){.is_known = true, .outputs = node->opset < 7 ? 1 : 3};
  if (node->opset < 7) {
    form->attribute = "is_test";
    form->inference = 1;
    form->trains = attribute_int(node, "is_test", 0) == 0;
  } else if (node->opset >= 14) {
    form->attribute = "training_mode";
    form->is_default = true;
    form->trains = attribute_int(node, "training_mode", 0) != 0;
  } else {
    form->trains = !node_has_one_output(node);
  }
  return true;
}

/* scale / sqrt(variance + epsilon), and what is left of mean and bias. */
static void batch_normalization_affine_at(const affine_form *form, int64_t c, double *scale, double *shift) {
  double of[4]; /* scale, bias, mean, variance */
  for (int i = 0; i < 4; i++) of[i] = element_get_double(form->vectors[i]->type, form->vectors[i]->data, c);
  *scale = of[0] / sqrt(of[3] + form->number);
  *shift = of[1] - of[2] * *scale;
}

/* With spatial = 0 each feature has parameters of its own, except up to version 6, where all are per channel. */
static bool batch_normalization_affine(const node *node, affine_form *form) {
  const batch_normalization_state *state = node->state;
  const shape *x = node_input_shape(node, 0);
  if (state->training || !node_has_one_output(node) || x->rank < 2 || x->dims[1] < 1) return false;
  if (node->version >= 7 && !state->spatial && x->rank > 2) return false;
  for (int i = 0; i < 4; i++) {
    form->vectors[i] = node_constant_input(node, 1 + i);
    if (!form->vectors[i] || form->vectors[i]->rank != 1 || form->vectors[i]->dims[0] != x->dims[1]) return false;
  }
  form->number = state->epsilon;
  form->input = 0;
  form->count = x->dims[1];
  form->axis = form->count == 1 ? -1 : 1;
  form->at = batch_normalization_affine_at;
  return true;
}

/* In blocks: inference, whose vectors stay as they are, where float is enough. */
static bool batch_normalization_block(const node *node, block_form *form) {
  affine_form affine;
  form->inner = "BatchNormalization";
  form->uses[0] = BLOCK_FOLLOW;
  if (!node_follows_block(node) || !batch_normalization_affine(node, &affine)) return false;
  for (int64_t c = 0; c < affine.count; c++) {
    double scale, shift;
    affine.at(&affine, c, &scale, &shift);
    if (!affine_fits_float(scale, shift)) return false;
  }
  return true;
}

const operator_descriptor operators_batch_normalization[] = {
    {
        .domain = "",
        .name = "BatchNormalization",
        .versions = {1, 6, 7, 9, 14, 15},
        .min_inputs = 5,
        .max_inputs = 5,
        .min_outputs = 1,
        .max_outputs = 5,
        .types = {{TYPES_FLOAT, INPUT(0), OUTPUT(0) | OUTPUT(3) | OUTPUT(4)},
                  {TYPES_FLOAT, INPUT(1) | INPUT(2), 0},
                  {TYPES_FLOAT, INPUT(3) | INPUT(4), OUTPUT(1) | OUTPUT(2)}},
        .attributes = batch_normalization_attributes,
        .in_place = INPUT(0),
        .state_size = sizeof(batch_normalization_state),
        .read = batch_normalization_read,
        .infer = batch_normalization_infer,
        .prepare = batch_normalization_prepare,
        .facts = {.dimension = fact_dimension_same,
                  .affine = batch_normalization_affine,
                  .statistics = batch_normalization_statistics,
                  .training = batch_normalization_training,
                  .packs = INPUT(1) | INPUT(2) | INPUT(3) | INPUT(4),
                  .store = {.activation = TYPE_BIT(NORMA_FLOAT)},
                  .block = batch_normalization_block,
                  .block_types = TYPES_BLOCKED},
        .compute = batch_normalization_compute,
    },
    {0},
};
