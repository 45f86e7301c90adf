/*
 * DFT 17, 20 (ai.onnx)
 *
 *   y[k] = sum over j < n of x[j] * exp(-2 pi i j k / n); inverse: exp(+2 pi i ..) and a division by n
 *
 * along one axis of a tensor [.., 1] of real or [.., 2] of complex elements. dft_length (input 1) cuts the signal or
 * adds zeros. onesided: of real signals only the first n / 2 + 1 numbers are given; in the inverse (irfft) these are
 * all that the input has, and the result is real, [.., 1]. Version 17 has the axis as an attribute (default 1), 20 as
 * input 2 (default -2). See ops/signal/fourier.h for how.
 */
#include "engine/graph/query.h"
#include "ops/signal/fourier.h"
#include "ops/work.h"

#include <inttypes.h>

typedef struct dft_state {
  bool inverse, onesided, axis_input;
  int64_t axis;

  /* The plan's. */
  size_t scratch, worker_scratch; /* reserved */
  bool planned;                   /* the transform is known: */
  fourier fourier;
} dft_state;

static norma_status dft_read(const node *node, void *opaque, norma_error *error) {
  dft_state *state = opaque;
  TRY(read_inputs_since(node, 2, 20, error));
  state->inverse = attribute_int(node, "inverse", 0) != 0;
  state->onesided = attribute_int(node, "onesided", 0) != 0;
  state->axis_input = node->version >= 20;
  state->axis = state->axis_input ? -2 : attribute_int(node, "axis", 1);
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- shapes */

/* One number of a tensor that holds one; false otherwise. */
static bool dft_number(const norma_tensor *tensor, int64_t *number) {
  if (norma_tensor_count(tensor) != 1) return false;
  *number = tensor_get_int64(tensor, 0);
  return true;
}

/* The axis as an index into the shape; the last dimension is none. */
static bool dft_axis(int64_t axis, int rank, int *place) {
  return axis_normalize(axis, rank, place) && *place < rank - 1;
}

/* The length of the transform, from the size of the axis. */
static int64_t dft_length(const dft_state *state, int64_t size) {
  return state->inverse && state->onesided ? 2 * (size - 1) : size;
}

static norma_status dft_infer(infer_context *context) {
  const dft_state *state = context->state;
  const shape *x = infer_shape(context, 0);
  const bool has_length = infer_has_input(context, 1), has_axis = state->axis_input && infer_has_input(context, 2);
  const norma_tensor *lengths = has_length ? infer_value(context, 1) : NULL,
                     *axes = has_axis ? infer_value(context, 2) : NULL;
  int64_t axis = state->axis, length = DIM_UNKNOWN;
  if (axes && !dft_number(axes, &axis)) return infer_fail(context, "axis must be one number");
  if (lengths && !dft_number(lengths, &length)) return infer_fail(context, "dft_length must be one number");
  if (lengths && length < 1) return infer_fail(context, "dft_length is %" PRId64, length);
  if (x->rank == RANK_UNKNOWN) {
    infer_output(context, 0, infer_type(context, 0), x);
    return NORMA_OK;
  }
  if (x->rank < 2) return infer_fail(context, "the input has rank %d: it needs an axis and one for the parts", x->rank);
  shape y = *x;
  const int64_t parts = x->dims[x->rank - 1];
  const bool to_real = state->inverse && state->onesided;
  if (parts != DIM_UNKNOWN && parts != 1 && parts != 2)
    return infer_fail(context, "the last dimension is %" PRId64 " but must be 1 (real) or 2 (complex)", parts);
  if (state->onesided && parts == (state->inverse ? 1 : 2))
    return infer_fail(context, "a onesided %s takes %s elements", state->inverse ? "inverse" : "transform",
                      state->inverse ? "complex" : "real");
  y.dims[x->rank - 1] = to_real ? 1 : 2;
  if (has_axis && !axes) {
    for (int i = 0; i < x->rank - 1; i++) y.dims[i] = DIM_UNKNOWN;
  } else {
    int place;
    if (!dft_axis(axis, x->rank, &place))
      return infer_fail(context, "axis %" PRId64 " is none of a tensor of rank %d with the parts last", axis, x->rank);
    const int64_t size = x->dims[place];
    if (!has_length && size != DIM_UNKNOWN) length = dft_length(state, size);
    if (length < DIM_UNKNOWN || (!has_length && size == 0 && to_real))
      return infer_fail(context, "there is no number to transform");
    if (length > (int64_t)1 << 40) return infer_fail(context, "dft_length %" PRId64 " is too large", length);
    y.dims[place] = length == DIM_UNKNOWN ? DIM_UNKNOWN : state->onesided && !to_real ? length / 2 + 1 : length;
    if (length == 0) y.dims[place] = 0;
  }
  infer_output(context, 0, infer_type(context, 0), &y);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

static enum fourier_domain dft_domain(const dft_state *state, int64_t parts) {
  if (state->inverse && state->onesided) return FOURIER_TO_REAL;
  return parts == 1 && !state->inverse ? FOURIER_FROM_REAL : FOURIER_COMPLEX;
}

/* The lengths that the transform along an axis may have, by what is known before the run. */
static int dft_lengths(const prepare_context *context, const dft_state *state, int place, int64_t lengths[2]) {
  const shape *x = prepare_shape(context, 0), *y = &context->outputs[0]->shape;
  const norma_tensor *given = prepare_constant(context, 1);
  const int64_t size = y->dims[place];
  if (given && dft_number(given, &lengths[0])) return 1;
  lengths[0] = prepare_shape(context, 1)->rank == RANK_UNKNOWN ? dft_length(state, x->dims[place]) : size;
  if (!state->onesided || state->inverse || prepare_shape(context, 1)->rank == RANK_UNKNOWN) return 1;
  lengths[0] = 2 * (size - 1);
  lengths[1] = 2 * size - 1;
  return 2;
}

/* Reserves for every transform that the run may ask for, which is one unless the length or the axis come from data. */
static norma_status dft_prepare(prepare_context *context) {
  dft_state *state = context->state;
  const shape *x = prepare_shape(context, 0), *known = node_output_shape(context->node, 0);
  const norma_element_type type = prepare_type(context, 0);
  int64_t axis = state->axis, lengths[2];
  int first = 0, last = x->rank - 2, candidates = 0;
  if (!context->outputs[0] || !shape_is_known(&context->outputs[0]->shape))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "the output's shape is not known");
  const bool has_axis = state->axis_input && prepare_shape(context, 2)->rank != RANK_UNKNOWN;
  const norma_tensor *axes = has_axis ? prepare_constant(context, 2) : NULL;
  if (axes) dft_number(axes, &axis);
  if ((!has_axis || axes) && dft_axis(axis, x->rank, &first)) last = first;
  for (int place = first; place <= last; place++) {
    const int count = dft_lengths(context, state, place, lengths);
    for (int i = 0; i < count; i++) {
      if (lengths[i] < 1) continue;
      candidates++;
      if (!fourier_make(&state->fourier, context->kernels, type, dft_domain(state, x->dims[x->rank - 1]),
                        state->inverse, lengths[i]) ||
          !fourier_lay_out(&state->fourier, type, false, &state->scratch, &state->worker_scratch))
        return prepare_fail(context, NORMA_ERROR_BUDGET, "signals of this length are too long");
    }
  }
  context->kernel_name = "empty";
  state->planned = candidates == 1;
  if (state->planned) {
    const bool fixed = known->rank == x->rank && known->dims[first] != DIM_UNKNOWN;
    return fourier_prepare(context, &state->fourier, type, fixed);
  }
  context->scratch_bytes = state->scratch;
  context->worker_scratch_bytes = state->worker_scratch;
  if (candidates > 0) context->kernel_name = "any length";
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

static norma_status dft_compute(run_context *context) {
  const dft_state *state = context->state;
  const norma_tensor *x = run_input(context, 0), *y = run_output(context, 0);
  const norma_tensor *given = run_input(context, 1), *axes = state->axis_input ? run_input(context, 2) : NULL;
  int64_t axis = state->axis, length;
  int place;
  if (!y || norma_tensor_count(y) == 0) return NORMA_OK;
  if ((axes && !dft_number(axes, &axis)) || !dft_axis(axis, x->rank, &place))
    return run_fail(context, NORMA_ERROR_RUN, "axis does not fit rank %d", x->rank);
  length = dft_length(state, x->dims[place]);
  if (given && !dft_number(given, &length)) return run_fail(context, NORMA_ERROR_RUN, "dft_length must be one number");
  const int64_t parts = x->dims[x->rank - 1], inner = dims_product(x->dims, place + 1, x->rank - 1);
  const enum fourier_domain domain = dft_domain(state, parts);
  const bool halves = state->onesided && !state->inverse;
  if (length < 1 || y->dims[place] != (halves ? length / 2 + 1 : length))
    return run_fail(context, NORMA_ERROR_RUN, "dft_length %" PRId64 " does not fit the output", length);
  fourier made = state->fourier;
  if (!state->planned || made.length != length) {
    size_t scratch = 0, worker_scratch = 0;
    if (!fourier_make(&made, context->kernels, x->type, domain, state->inverse, length) ||
        !fourier_lay_out(&made, x->type, false, &scratch, &worker_scratch) || scratch > state->scratch ||
        worker_scratch > state->worker_scratch)
      return run_fail(context, NORMA_ERROR_INTERNAL, "dft_length %" PRId64 " was not foreseen", length);
  }
  const int64_t parts_out = domain == FOURIER_TO_REAL ? 1 : 2;
  const fourier_job job = {.type = x->type,
                           .input = x->data,
                           .output = y->data,
                           .components_in = (int)parts,
                           .components_out = (int)parts_out,
                           .step_in = inner * parts,
                           .step_out = inner * parts_out,
                           .available = x->dims[place],
                           .outputs = y->dims[place],
                           .scale =
                               !state->inverse ? 1 : 1 / (double)(domain == FOURIER_TO_REAL ? made.points : length),
                           .signals = dims_product(x->dims, 0, place) * inner,
                           .group = inner,
                           .major_in = x->dims[place] * inner * parts,
                           .minor_in = parts,
                           .major_out = y->dims[place] * inner * parts_out,
                           .minor_out = parts_out};
  return fourier_run(context, &made, &job);
}

static const operator_attribute dft_attributes[] = {
    {"axis", ATTRIBUTE_INT, 17, 19, false},
    {"inverse", ATTRIBUTE_INT, 17, OPERATOR_LATEST, false},
    {"onesided", ATTRIBUTE_INT, 17, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_dft[] = {
    {
        .domain = "",
        .name = "DFT",
        .versions = {17, 20},
        .min_inputs = 1,
        .max_inputs = 3,
        .absent_inputs = INPUT(1),
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0), OUTPUT(0)},
                  {TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64), INPUT(1), 0},
                  {TYPE_BIT(NORMA_INT64), INPUT(2), 0}},
        .attributes = dft_attributes,
        .state_size = sizeof(dft_state),
        .read = dft_read,
        .infer = dft_infer,
        .prepare = dft_prepare,
        .compute = dft_compute,
    },
    {0},
};
