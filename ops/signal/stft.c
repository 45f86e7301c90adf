/*
 * STFT 17 (ai.onnx)
 *
 *   Y[b][f][k] = sum over j < n of X[b][f * frame_step + j] * window[j] * exp(-2 pi i j k / n)
 *
 * for the frames f that lie inside the signal, floor((length - n) / frame_step) + 1 of them, and k < n, or with
 * onesided (the default; real signals only) k <= n / 2. X [batch, length, 1] or [batch, length] of real or [batch,
 * length, 2] of complex elements, Y [batch, frames, bins, 2]. n is frame_length, else the window's length, else the
 * signal's; a window must have n elements. See ops/signal/fourier.h for how.
 */
#include "engine/graph/query.h"
#include "ops/half.h"
#include "ops/signal/fourier.h"
#include "ops/work.h"

#include <inttypes.h>

typedef struct stft_state {
  bool onesided;

  /* The plan's. */
  bool planned; /* the length of frames is known: */
  fourier fourier;
  size_t window_at; /* in scratch: a window of half precision as float */
  size_t scratch, worker_scratch;
} stft_state;

static norma_status stft_read(const node *node, void *opaque, norma_error *error) {
  (void)error;
  ((stft_state *)opaque)->onesided = attribute_int(node, "onesided", 1) != 0;
  return NORMA_OK;
}

static bool stft_number(const norma_tensor *tensor, int64_t *number) {
  if (norma_tensor_count(tensor) != 1) return false;
  *number = tensor_get_int64(tensor, 0);
  return true;
}

/* ----------------------------------------------------------------------------------------------------------- shapes */

/* Frames and bins; sizes that are not known are DIM_UNKNOWN. NULL, or what is wrong. */
static const char *stft_sizes(const stft_state *state, int64_t length, int64_t step, int64_t frame, int64_t *frames,
                              int64_t *bins) {
  *frames = *bins = DIM_UNKNOWN;
  if (step != DIM_UNKNOWN && step < 1) return "frame_step must be at least 1";
  if (frame != DIM_UNKNOWN && frame < 1) return "frame_length must be at least 1";
  if (frame > (int64_t)1 << 40) return "frame_length is too large";
  if (frame != DIM_UNKNOWN) *bins = state->onesided ? frame / 2 + 1 : frame;
  if (frame == DIM_UNKNOWN || length == DIM_UNKNOWN) return NULL;
  if (length < frame)
    *frames = 0;
  else if (step != DIM_UNKNOWN)
    *frames = (length - frame) / step + 1;
  return NULL;
}

static norma_status stft_infer(infer_context *context) {
  const stft_state *state = context->state;
  const shape *x = infer_shape(context, 0), *window = infer_shape(context, 2);
  const norma_tensor *step_value = infer_value(context, 1), *frame_value = infer_value(context, 3);
  int64_t step = DIM_UNKNOWN, frame = DIM_UNKNOWN, length = DIM_UNKNOWN;
  shape y = shape_of_rank(4);
  if (step_value && !stft_number(step_value, &step)) return infer_fail(context, "frame_step must be one number");
  if (frame_value && !stft_number(frame_value, &frame)) return infer_fail(context, "frame_length must be one number");
  if ((step_value && step < 1) || (frame_value && frame < 1))
    return infer_fail(context, "frame_step and frame_length must be at least 1");
  if (window->rank != RANK_UNKNOWN && window->rank != 1)
    return infer_fail(context, "the window has rank %d, not 1", window->rank);
  const int64_t window_size = window->rank == 1 ? window->dims[0] : DIM_UNKNOWN;
  if (frame_value && window_size != DIM_UNKNOWN && window_size != frame)
    return infer_fail(context, "a window of %" PRId64 " elements does not fit frames of %" PRId64, window_size, frame);
  if (x->rank != RANK_UNKNOWN) {
    if (x->rank < 2 || x->rank > 3) return infer_fail(context, "the signal has rank %d, not 3", x->rank);
    const int64_t parts = x->rank == 2 ? 1 : x->dims[2];
    if (parts != DIM_UNKNOWN && parts != 1 && parts != 2)
      return infer_fail(context, "the last dimension is %" PRId64 " but must be 1 (real) or 2 (complex)", parts);
    if (parts == 2 && state->onesided) return infer_fail(context, "complex signals have no onesided transform");
    y.dims[0] = x->dims[0];
    length = x->dims[1];
  }
  if (!infer_has_input(context, 3)) frame = infer_has_input(context, 2) ? window_size : length;
  const char *problem = stft_sizes(state, length, step, frame, &y.dims[1], &y.dims[2]);
  if (problem) return infer_fail(context, "%s", problem);
  y.dims[3] = 2;
  infer_output(context, 0, infer_type(context, 0), &y);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

static bool stft_make(fourier *fourier, const struct kernel_table *kernels, norma_element_type type, int64_t parts,
                      int64_t frame) {
  return fourier_make(fourier, kernels, type, parts == 1 ? FOURIER_FROM_REAL : FOURIER_COMPLEX, false, frame);
}

/* The lengths that frames may have by what is known: one, or two where bins of a onesided transform are all. */
static int stft_lengths(const prepare_context *context, const stft_state *state, int64_t lengths[2]) {
  const shape *window = prepare_shape(context, 2), *given = prepare_shape(context, 3);
  const norma_tensor *constant = prepare_constant(context, 3);
  const int64_t bins = context->outputs[0]->shape.dims[2];
  if (constant && stft_number(constant, &lengths[0])) return 1;
  if (window->rank == 1) {
    lengths[0] = window->dims[0];
    return 1;
  }
  lengths[0] = given->rank == RANK_UNKNOWN ? prepare_shape(context, 0)->dims[1] : bins;
  if (given->rank == RANK_UNKNOWN || !state->onesided) return 1;
  lengths[0] = 2 * (bins - 1);
  lengths[1] = 2 * bins - 1;
  return 2;
}

static norma_status stft_prepare(prepare_context *context) {
  stft_state *state = context->state;
  const shape *x = prepare_shape(context, 0), *known = node_output_shape(context->node, 0);
  const norma_element_type type = prepare_type(context, 0);
  const int64_t parts = x->rank == 2 ? 1 : x->dims[2];
  int64_t lengths[2];
  if (!context->outputs[0] || !shape_is_known(&context->outputs[0]->shape))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "the output's shape is not known");
  context->kernel_name = "empty";
  if (shape_count(&context->outputs[0]->shape) == 0) return NORMA_OK;
  const int count = stft_lengths(context, state, lengths);
  for (int i = 0; i < count; i++) {
    if (lengths[i] < 1) continue;
    if (!stft_make(&state->fourier, context->kernels, type, parts, lengths[i]) ||
        !fourier_lay_out(&state->fourier, type, false, &state->scratch, &state->worker_scratch))
      return prepare_fail(context, NORMA_ERROR_BUDGET, "frames of this length are too long");
  }
  state->planned = count == 1;
  if (state->planned) {
    const bool fixed = known->rank == 4 && known->dims[2] != DIM_UNKNOWN;
    TRY(fourier_prepare(context, &state->fourier, type, fixed));
  } else {
    context->scratch_bytes = state->scratch;
    context->worker_scratch_bytes = state->worker_scratch;
    context->kernel_name = "any length";
  }
  const int64_t longest = lengths[count - 1];
  context->scratch_bytes = size_align(context->scratch_bytes, MEMORY_ALIGNMENT);
  if (is_half(type) && prepare_shape(context, 2)->rank == 1 &&
      !scratch_append(&context->scratch_bytes, (size_t)longest, sizeof(float), &state->window_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "frames of this length are too long");
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

/* The window as fourier_job wants it; NULL where there is none. */
static const void *stft_window(run_context *context, int64_t frame) {
  const stft_state *state = context->state;
  const norma_tensor *window = run_input(context, 2);
  if (!window) return NULL;
  if (!is_half(window->type)) return window->data;
  float *converted = (float *)((char *)context->scratch + state->window_at);
  half_to_float(context->kernels, window->type, converted, window->data, frame);
  return converted;
}

static norma_status stft_compute(run_context *context) {
  const stft_state *state = context->state;
  const norma_tensor *x = run_input(context, 0), *y = run_output(context, 0), *window = run_input(context, 2);
  const norma_tensor *given = run_input(context, 3);
  int64_t step, frame, frames, bins;
  if (!y) return NORMA_OK;
  frame = window ? window->dims[0] : x->dims[1];
  if (!stft_number(run_input(context, 1), &step) || (given && !stft_number(given, &frame)))
    return run_fail(context, NORMA_ERROR_RUN, "frame_step and frame_length must be one number each");
  const char *problem = stft_sizes(state, x->dims[1], step, frame, &frames, &bins);
  if (problem) return run_fail(context, NORMA_ERROR_RUN, "%s", problem);
  if (window && window->dims[0] != frame)
    return run_fail(context, NORMA_ERROR_RUN, "a window of %" PRId64 " elements does not fit frames of %" PRId64,
                    window->dims[0], frame);
  if (y->dims[1] != frames || y->dims[2] != bins)
    return run_fail(context, NORMA_ERROR_RUN, "frame_step and frame_length do not fit the output");
  if (norma_tensor_count(y) == 0) return NORMA_OK;
  const int64_t parts = x->rank == 2 ? 1 : x->dims[2];
  fourier made = state->fourier;
  if (!state->planned || made.length != frame) {
    size_t scratch = 0, worker_scratch = 0;
    if (!stft_make(&made, context->kernels, x->type, parts, frame) ||
        !fourier_lay_out(&made, x->type, false, &scratch, &worker_scratch) || scratch > state->scratch ||
        worker_scratch > state->worker_scratch)
      return run_fail(context, NORMA_ERROR_INTERNAL, "frames of %" PRId64 " were not foreseen", frame);
  }
  const fourier_job job = {.type = x->type,
                           .input = x->data,
                           .output = y->data,
                           .components_in = (int)parts,
                           .components_out = 2,
                           .step_in = parts,
                           .step_out = 2,
                           .available = frame,
                           .outputs = bins,
                           .scale = 1,
                           .window = stft_window(context, frame),
                           .signals = x->dims[0] * frames,
                           .group = frames,
                           .major_in = x->dims[1] * parts,
                           .minor_in = step * parts,
                           .major_out = frames * bins * 2,
                           .minor_out = bins * 2};
  return fourier_run(context, &made, &job);
}

static const operator_attribute stft_attributes[] = {
    {"onesided", ATTRIBUTE_INT, 17, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_stft[] = {
    {
        .domain = "",
        .name = "STFT",
        .versions = {17},
        .min_inputs = 2,
        .max_inputs = 4,
        .absent_inputs = INPUT(2),
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0) | INPUT(2), OUTPUT(0)},
                  {TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64), INPUT(1) | INPUT(3), 0}},
        .attributes = stft_attributes,
        .state_size = sizeof(stft_state),
        .read = stft_read,
        .infer = stft_infer,
        .prepare = stft_prepare,
        .compute = stft_compute,
    },
    {0},
};
