/*
 * LpNormalization 1, 22; MeanVarianceNormalization 9, 13 (ai.onnx)
 *
 *   LpNormalization            Y = X / (p-norm of X along axis), p = 1 or 2; 0 where the norm is 0
 *   MeanVarianceNormalization  Y = (X - mean) / (deviation + 1e-9), over all elements that differ in `axes` only
 *
 * 13 and 22 add bfloat16. Both are computed set by set in double precision: the elements of a set differ in the reduced
 * axes only.
 */
#include "ops/operator.h"
#include "ops/work.h"

#include <inttypes.h>
#include <math.h>

typedef struct set_normalization_state {
  bool is_lp;
  int64_t p;
  int axis_count;
  int64_t axes[NORMA_MAX_RANK];

  /* The plan's: kept and reduced axes of X with their strides. */
  norma_element_type type;
  int kept, reduced;
  int64_t kept_dims[NORMA_MAX_RANK], kept_strides[NORMA_MAX_RANK];
  int64_t reduced_dims[NORMA_MAX_RANK], reduced_strides[NORMA_MAX_RANK];
  int64_t sets, count;
  bool is_row; /* the elements of a set lie side by side */
} set_normalization_state;

static norma_status lp_normalization_read(const node *node, void *opaque, norma_error *error) {
  set_normalization_state *state = opaque;
  state->is_lp = true;
  state->p = attribute_int(node, "p", 2);
  state->axis_count = 1;
  state->axes[0] = attribute_int(node, "axis", -1);
  if (state->p != 1 && state->p != 2)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "p is %" PRId64 " but must be 1 or 2", state->p);
  return NORMA_OK;
}

static norma_status mean_variance_read(const node *node, void *opaque, norma_error *error) {
  static const int64_t usual[] = {0, 2, 3};
  set_normalization_state *state = opaque;
  size_t count;
  const int64_t *axes = attribute_ints(node, "axes", &count);
  if (!axes) {
    axes = usual;
    count = 3;
  }
  if (count > NORMA_MAX_RANK)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "axes has %zu entries", count);
  state->axis_count = (int)count;
  for (size_t i = 0; i < count; i++) state->axes[i] = axes[i];
  return NORMA_OK;
}

/* Which axes are reduced; no axes at all means all of them. */
static bool set_normalization_axes(const set_normalization_state *state, int rank, bool reduced[NORMA_MAX_RANK]) {
  for (int i = 0; i < NORMA_MAX_RANK; i++) reduced[i] = state->axis_count == 0;
  for (int i = 0; i < state->axis_count; i++) {
    int axis;
    if (!axis_normalize(state->axes[i], rank, &axis)) return false;
    reduced[axis] = true;
  }
  return true;
}

static norma_status set_normalization_infer(infer_context *context) {
  const set_normalization_state *state = context->state;
  const shape *x = infer_shape(context, 0);
  bool reduced[NORMA_MAX_RANK];
  TRY(infer_types_since(context, TYPES_BFLOAT16, state->is_lp ? 22 : 13));
  if (x->rank != RANK_UNKNOWN && !set_normalization_axes(state, x->rank, reduced))
    return infer_fail(context, "the input of rank %d does not have all the axes that are named", x->rank);
  return infer_same(context);
}

static norma_status set_normalization_prepare(prepare_context *context) {
  set_normalization_state *state = context->state;
  const shape *x = prepare_shape(context, 0);
  bool reduced[NORMA_MAX_RANK];
  if (!set_normalization_axes(state, x->rank, reduced))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "axis does not exist");
  state->type = prepare_type(context, 0);
  state->kept = state->reduced = 0;
  for (int i = 0; i < x->rank; i++) {
    int64_t stride = dims_product(x->dims, i + 1, x->rank);
    int *count = reduced[i] ? &state->reduced : &state->kept;
    (reduced[i] ? state->reduced_dims : state->kept_dims)[*count] = x->dims[i];
    (reduced[i] ? state->reduced_strides : state->kept_strides)[*count] = stride;
    (*count)++;
  }
  state->sets = dims_product(state->kept_dims, 0, state->kept);
  state->count = dims_product(state->reduced_dims, 0, state->reduced);
  state->is_row = state->count > 0;
  int64_t inner = 1;
  for (int d = state->reduced - 1; d >= 0; d--) {
    if (state->reduced_dims[d] != 1 && state->reduced_strides[d] != inner) state->is_row = false;
    inner *= state->reduced_dims[d];
  }
  context->kernel_name = state->is_row ? "rows" : "sets";
  context->flops = 4.0 * (double)state->sets * (double)state->count;
  return NORMA_OK;
}

/* The offset of element `index` in row-major order of these axes. */
static int64_t set_offset(int axes, const int64_t *dims, const int64_t *strides, int64_t index) {
  int64_t offset = 0;
  for (int d = axes - 1; d >= 0; d--) {
    offset += index % dims[d] * strides[d];
    index /= dims[d];
  }
  return offset;
}

static int64_t set_element(const set_normalization_state *state, int64_t base, int64_t index) {
  return base + set_offset(state->reduced, state->reduced_dims, state->reduced_strides, index);
}

/* Y = (X - *center) / *divisor for the set whose first element is `base`. */
static void set_measure(const run_context *context, const void *x, int64_t base, double *center, double *divisor) {
  const set_normalization_state *state = context->state;
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < state->count && !work_interrupted(context, i); i++) {
    double element = element_get_double(state->type, x, set_element(state, base, i));
    sum += state->is_lp ? fabs(element) : element;
  }
  *center = state->is_lp ? 0 : sum / (double)state->count;
  for (int64_t i = 0; i < state->count && !work_interrupted(context, i); i++) {
    double deviation = element_get_double(state->type, x, set_element(state, base, i)) - *center;
    squares += deviation * deviation;
  }
  if (state->is_lp)
    *divisor = state->p == 1 ? sum : sqrt(squares);
  else
    *divisor = sqrt(squares / (double)state->count) + 1e-9;
}

/* A set of floats that lie side by side. */
static void normalize_row(const run_context *context, const float *x, float *y) {
  const set_normalization_state *state = context->state;
  const struct kernel_table *kernels = context->kernels;
  const size_t count = (size_t)state->count;
  double center = 0, divisor;
  if (!state->is_lp) {
    center = kernels->sum_f32_to_f64(x, count) / (double)count;
    divisor = sqrt(kernels->sum_squared_deviations_f32(x, count, center) / (double)count) + 1e-9;
  } else if (state->p == 2) {
    divisor = sqrt(kernels->sum_squared_deviations_f32(x, count, 0));
  } else {
    double sums[4] = {0}; /* which do not wait for each other */
    for (size_t i = 0; i < count; i++) sums[i % 4] += (double)fabsf(x[i]);
    divisor = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }
  const double factor = divisor == 0 ? 0 : 1 / divisor;
  if (state->is_lp) {
    kernels->scale_f32(y, x, count, factor);
  } else {
    for (size_t i = 0; i < count; i++) y[i] = (float)(((double)x[i] - center) * factor);
  }
}

static void normalize_sets(void *argument, int64_t begin, int64_t end, int worker) {
  run_context *context = argument;
  const set_normalization_state *state = context->state;
  const void *x = run_input(context, 0)->data;
  void *y = run_output(context, 0)->data;
  (void)worker;
  for (int64_t set = begin; set < end; set++) {
    int64_t base = set_offset(state->kept, state->kept_dims, state->kept_strides, set);
    double center, divisor;
    if (state->is_row && state->type == NORMA_FLOAT) {
      normalize_row(context, (const float *)x + base, (float *)y + base);
      continue;
    }
    set_measure(context, x, base, &center, &divisor);
    for (int64_t i = 0; i < state->count && !work_interrupted(context, i); i++) {
      int64_t at = set_element(state, base, i);
      double element = element_get_double(state->type, x, at);
      element_set_double(state->type, y, at, divisor == 0 ? 0 : (element - center) / divisor);
    }
  }
}

static norma_status set_normalization_compute(run_context *context) {
  const set_normalization_state *state = context->state;
  if (state->count == 0) return NORMA_OK; /* however many sets there are */
  return run_parallel(context, state->sets, work_grain(32.0 * (double)state->count), normalize_sets, context);
}

static const operator_attribute lp_normalization_attributes[] = {
    {"axis", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"p", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

static const operator_attribute mean_variance_attributes[] = {
    {"axes", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_lp_normalization[] = {
    {
        .domain = "",
        .name = "LpNormalization",
        .versions = {1, 22},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0), OUTPUT(0)}},
        .attributes = lp_normalization_attributes,
        .in_place = INPUT(0),
        .state_size = sizeof(set_normalization_state),
        .read = lp_normalization_read,
        .infer = set_normalization_infer,
        .prepare = set_normalization_prepare,
        .facts = {.dimension = fact_dimension_same},
        .compute = set_normalization_compute,
    },
    {
        .domain = "",
        .name = "MeanVarianceNormalization",
        .versions = {9, 13},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FLOAT, INPUT(0), OUTPUT(0)}},
        .attributes = mean_variance_attributes,
        .in_place = INPUT(0),
        .state_size = sizeof(set_normalization_state),
        .read = mean_variance_read,
        .infer = set_normalization_infer,
        .prepare = set_normalization_prepare,
        .compute = set_normalization_compute,
    },
    {0},
};
