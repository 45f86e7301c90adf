/*
 * LayerNormalization 17, RMSNormalization 23, SimplifiedLayerNormalization 1 (ai.onnx and com.microsoft)
 *
 * Rows are all axes of X from `axis` on.
 *
 *   LayerNormalization  Y = (X - mean) * inverse * Scale + B, inverse = 1 / sqrt(variance + epsilon)
 *   RMSNormalization    Y = X * inverse * scale,              inverse = 1 / sqrt(mean of X^2 + epsilon)
 *
 * SimplifiedLayerNormalization, which no definition of ai.onnx has but old models do, is the latter with the inverse as
 * a second output. Scale and B are broadcast to X. Outputs Mean and InvStdDev have one element for each row and the
 * type of stash_type. The scale of RMSNormalization, and with it Y, may have another type than X. Statistics are
 * taken in double precision whatever stash_type says; rows are computed in float, or in double where a type is double.
 */
#include "ops/half.h"
#include "ops/operator.h"
#include "ops/work.h"

#include <inttypes.h>
#include <math.h>

/* Scale or B. */
typedef struct layer_vector {
  bool exists;
  bool differs;                    /* from row to row */
  bool in_place;                   /* float, and each row is all of it: read where it lies */
  int64_t strides[NORMA_MAX_RANK]; /* in elements, for each axis of X */
  size_t row_at;                   /* in worker scratch: one row of it */
} layer_vector;

typedef struct layer_normalization_state {
  bool is_rms;
  int inverse; /* the output that holds it */
  int64_t axis;
  double epsilon;
  norma_element_type stash_type;

  /* The plan's. */
  shape x;
  int first; /* axis, counted from the front */
  bool in_double;
  int64_t rows, count;
  layer_vector scale, bias;
  size_t x_at; /* in worker scratch: a row of X, then of Y */
} layer_normalization_state;

static norma_status layer_read(const node *node, void *opaque, norma_error *error) {
  layer_normalization_state *state = opaque;
  int64_t stash_type = attribute_int(node, "stash_type", NORMA_FLOAT);
  state->is_rms = strcmp(node->op_type, "LayerNormalization") != 0;
  state->inverse = state->is_rms ? 1 : 2;
  state->axis = attribute_int(node, "axis", -1);
  state->epsilon = (double)attribute_float(node, "epsilon", 1e-5f);
  state->stash_type = (norma_element_type)stash_type;
  if (stash_type < 1 || stash_type >= NORMA_ELEMENT_TYPE_COUNT || !(TYPE_BIT(stash_type) & TYPES_FLOAT))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "stash_type is %" PRId64 ", which is no type of float",
                         stash_type);
  if (!(state->epsilon >= 0) || isinf(state->epsilon))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "epsilon is %g, which is not a number of at least 0",
                         state->epsilon);
  return NORMA_OK;
}

static norma_status layer_infer(infer_context *context) {
  const layer_normalization_state *state = context->state;
  const shape *x = infer_shape(context, 0);
  shape statistics = *x, together;
  int first = 0;
  if (x->rank != RANK_UNKNOWN && !axis_normalize(state->axis, x->rank, &first))
    return infer_fail(context, "axis %" PRId64 " does not exist in an input of rank %d", state->axis, x->rank);
  for (int i = 1; i < context->input_count; i++) {
    const shape *vector = infer_shape(context, i);
    char text[200], x_text[200];
    bool fits = shape_broadcast(x, vector, &together);
    if (fits && shape_is_known(x) && shape_is_known(vector)) fits = shape_equal(&together, x);
    if (!fits)
      return infer_fail(context, "%s of shape %s cannot be broadcast to X of shape %s", i == 1 ? "scale" : "B",
                        shape_text(vector, text, sizeof text), shape_text(x, x_text, sizeof x_text));
  }
  for (int i = first; i < x->rank; i++) statistics.dims[i] = 1;
  infer_output(context, 0, infer_type(context, state->is_rms ? 1 : 0), x);
  for (int i = 1; i < 3; i++) infer_output(context, i, state->stash_type, &statistics);
  return NORMA_OK;
}

static void layer_set_vector(const layer_normalization_state *state, layer_vector *vector, const shape *given,
                             norma_element_type type) {
  int64_t stride = 1;
  vector->exists = given->rank != RANK_UNKNOWN;
  for (int i = 0; i < given->rank; i++) {
    int axis = given->rank - 1 - i, of_x = state->x.rank - 1 - i;
    vector->strides[of_x] = given->dims[axis] == 1 ? 0 : stride;
    vector->differs = vector->differs || (of_x < state->first && vector->strides[of_x] != 0);
    stride *= given->dims[axis];
  }
  vector->in_place = vector->exists && !vector->differs && !state->in_double && type == NORMA_FLOAT;
  int64_t expected = 1;
  for (int d = state->x.rank - 1; d >= state->first; d--) {
    if (state->x.dims[d] != 1 && vector->strides[d] != expected) vector->in_place = false;
    expected *= state->x.dims[d];
  }
}

static norma_status layer_prepare(prepare_context *context) {
  layer_normalization_state *state = context->state;
  size_t *total = &context->worker_scratch_bytes;
  state->x = *prepare_shape(context, 0);
  if (!axis_normalize(state->axis, state->x.rank, &state->first))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "axis does not exist");
  state->rows = dims_product(state->x.dims, 0, state->first);
  state->count = dims_product(state->x.dims, state->first, state->x.rank);
  state->in_double = prepare_type(context, 0) == NORMA_DOUBLE || prepare_type(context, 1) == NORMA_DOUBLE;
  layer_set_vector(state, &state->scale, prepare_shape(context, 1), prepare_type(context, 1));
  layer_set_vector(state, &state->bias, prepare_shape(context, 2), prepare_type(context, 2));
  size_t element = state->in_double ? sizeof(double) : sizeof(float), count = (size_t)state->count;
  if (!scratch_append(total, count, element, &state->x_at) ||
      !scratch_append(total, count, element, &state->scale.row_at) ||
      !scratch_append(total, count, element, &state->bias.row_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "one row is too large");
  context->kernel_name = state->in_double ? "rows in double" : "rows";
  context->flops = 6.0 * (double)state->rows * (double)state->count;
  return NORMA_OK;
}

/* Writes the part of Scale or B that belongs to row `row`. */
static void layer_expand(const layer_normalization_state *state, const layer_vector *vector, const norma_tensor *tensor,
                         int64_t row, void *expanded) {
  int64_t position[NORMA_MAX_RANK] = {0}, base = 0;
  for (int d = state->first - 1; d >= 0; d--) {
    base += row % state->x.dims[d] * vector->strides[d];
    row /= state->x.dims[d];
  }
  for (int64_t i = 0; i < state->count; i++) {
    int64_t at = base;
    for (int d = state->first; d < state->x.rank; d++) at += position[d] * vector->strides[d];
    double element = element_get_double(tensor->type, tensor->data, at);
    if (state->in_double)
      ((double *)expanded)[i] = element;
    else
      ((float *)expanded)[i] = (float)element;
    for (int d = state->x.rank - 1; d >= state->first && ++position[d] == state->x.dims[d]; d--) position[d] = 0;
  }
}

struct layer_row {
  const void *x;
  void *y; /* may be x */
  const void *scale, *bias;
  double mean, inverse;
};

static void layer_row_in_float(const run_context *context, struct layer_row *row) {
  const layer_normalization_state *state = context->state;
  const struct kernel_table *kernels = context->kernels;
  size_t n = (size_t)state->count;
  row->mean = row->inverse = NAN;
  if (n == 0) return;
  const struct row_moments moments = kernels->row_moments_f32(row->x, n, !state->is_rms);
  row->mean = moments.mean;
  row->inverse = 1 / sqrt(moments.variance + state->epsilon);
  if (row->y)
    kernels->normalize_row_f32(row->y, row->x, n, (float)row->mean, (float)row->inverse, row->scale, row->bias);
}

static void layer_row_in_double(const layer_normalization_state *state, struct layer_row *row) {
  double *x = row->y, sum = 0, squares = 0;
  const double *scale = row->scale, *bias = row->bias;
  for (int64_t i = 0; i < state->count; i++) sum += x[i];
  row->mean = state->is_rms ? 0 : sum / (double)state->count;
  for (int64_t i = 0; i < state->count; i++) squares += (x[i] - row->mean) * (x[i] - row->mean);
  row->inverse = 1 / sqrt(squares / (double)state->count + state->epsilon);
  for (int64_t i = 0; i < state->count; i++) {
    x[i] = (x[i] - row->mean) * row->inverse * scale[i];
    if (bias) x[i] += bias[i];
  }
}

/* Scale or B of row `i`, the first of a piece of work or not: where it lies, or written out. */
static const void *layer_vector_of_row(const layer_normalization_state *state, const layer_vector *vector,
                                       const norma_tensor *tensor, int64_t i, bool is_first, char *scratch) {
  if (!tensor) return NULL;
  if (vector->in_place) return tensor->data;
  if (is_first || vector->differs) layer_expand(state, vector, tensor, i, scratch + vector->row_at);
  return scratch + vector->row_at;
}

static void layer_rows(void *argument, int64_t begin, int64_t end, int worker) {
  run_context *context = argument;
  const layer_normalization_state *state = context->state;
  const norma_tensor *x = run_input(context, 0), *scale = run_input(context, 1), *bias = run_input(context, 2);
  norma_tensor *y = run_output(context, 0), *inverse = run_output(context, state->inverse);
  norma_tensor *mean = state->is_rms ? NULL : run_output(context, 1);
  char *scratch = run_worker_scratch(context, worker);
  for (int64_t i = begin; i < end; i++) {
    int64_t at = i * state->count;
    struct layer_row row = {.x = scratch + state->x_at, .y = scratch + state->x_at};
    row.scale = layer_vector_of_row(state, &state->scale, scale, i, i == begin, scratch);
    row.bias = layer_vector_of_row(state, &state->bias, bias, i, i == begin, scratch);
    if (state->in_double) {
      elements_to_double(x->type, x->data, at, state->count, row.y);
      layer_row_in_double(state, &row);
      if (y) elements_from_double(y->type, y->data, at, state->count, row.y);
    } else {
      bool reads = x->type == NORMA_FLOAT, writes = y && y->type == NORMA_FLOAT;
      if (reads) row.x = (const float *)x->data + at;
      if (writes) row.y = (float *)y->data + at;
      if (!reads)
        half_to_float(context->kernels, x->type, (float *)(scratch + state->x_at), (const uint16_t *)x->data + at,
                      state->count);
      layer_row_in_float(context, &row);
      if (y && is_half(y->type))
        half_from_float(context->kernels, y->type, (uint16_t *)y->data + at, row.y, state->count);
    }
    if (mean) element_set_double(mean->type, mean->data, i, row.mean);
    if (inverse) element_set_double(inverse->type, inverse->data, i, row.inverse);
  }
}

static norma_status layer_compute(run_context *context) {
  const layer_normalization_state *state = context->state;
  /* Expanding scale and bias once for each piece of work should not show. */
  int64_t grain = work_grain(2 * WORK_ELEMENT * (double)state->count);
  return run_parallel(context, state->rows, grain < 8 ? 8 : grain, layer_rows, context);
}

static const operator_attribute layer_attributes[] = {
    {"axis", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"epsilon", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"stash_type", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_layer_normalization[] = {
    {
        .domain = "",
        .name = "LayerNormalization",
        .versions = {17},
        .min_inputs = 2,
        .max_inputs = 3,
        .min_outputs = 1,
        .max_outputs = 3,
        .types = {{TYPES_FLOAT, INPUT(0) | INPUT(1) | INPUT(2), OUTPUT(0)}},
        .attributes = layer_attributes,
        .in_place = INPUT(0),
        .state_size = sizeof(layer_normalization_state),
        .read = layer_read,
        .infer = layer_infer,
        .prepare = layer_prepare,
        .facts = {.dimension = fact_dimension_same},
        .compute = layer_compute,
    },
    {
        .domain = "",
        .name = "RMSNormalization",
        .versions = {23},
        .min_inputs = 2,
        .max_inputs = 2,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0), 0}, {TYPES_FLOAT, INPUT(1), OUTPUT(0)}},
        .attributes = layer_attributes,
        .state_size = sizeof(layer_normalization_state),
        .read = layer_read,
        .infer = layer_infer,
        .prepare = layer_prepare,
        .facts = {.dimension = fact_dimension_same},
        .compute = layer_compute,
    },
    {
        .domain = "",
        .name = "SimplifiedLayerNormalization",
        .versions = {1},
        .min_inputs = 2,
        .max_inputs = 2,
        .min_outputs = 1,
        .max_outputs = 2,
        .types = {{TYPES_FLOAT, INPUT(0), 0}, {TYPES_FLOAT, INPUT(1), OUTPUT(0)}},
        .attributes = layer_attributes,
        .state_size = sizeof(layer_normalization_state),
        .read = layer_read,
        .infer = layer_infer,
        .prepare = layer_prepare,
        .facts = {.dimension = fact_dimension_same},
        .compute = layer_compute,
    },
    {
        .domain = "com.microsoft",
        .name = "SimplifiedLayerNormalization",
        .versions = {1},
        .min_inputs = 2,
        .max_inputs = 2,
        .min_outputs = 1,
        .max_outputs = 2,
        .types = {{TYPES_FLOAT, INPUT(0), 0}, {TYPES_FLOAT, INPUT(1), OUTPUT(0)}},
        .attributes = layer_attributes,
        .state_size = sizeof(layer_normalization_state),
        .read = layer_read,
        .infer = layer_infer,
        .prepare = layer_prepare,
        .facts = {.dimension = fact_dimension_same},
        .compute = layer_compute,
    },
    {0},
};
