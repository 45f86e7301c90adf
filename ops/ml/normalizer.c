/*
 * Normalizer 1 (ai.onnx.ml): each row of X, [N, C] or [C], divided by its norm, in float.
 *
 *   MAX  Y = X / max(X)
 *   L1   Y = X / sum(|X|)
 *   L2   Y = X / sqrt(sum(X^2))
 *
 * The definition writes sum(X) for L1 and a square for L2; with their signs they are the norms of these names. Where
 * the norm is 0, Y is X. NaN takes no part in the maximum. Sums are taken in double; X is float, double, int32 or
 * int64.
 */
#include "ops/ml/features.h"
#include "ops/work.h"

#include <math.h>

typedef enum normalizer_norm { NORMALIZER_MAX, NORMALIZER_L1, NORMALIZER_L2 } normalizer_norm;

typedef struct normalizer_state {
  normalizer_norm norm;
} normalizer_state;

static norma_status normalizer_read(const node *node, void *opaque, norma_error *error) {
  static const char *const names[] = {"MAX", "L1", "L2"};
  normalizer_state *state = opaque;
  const char *norm = attribute_string(node, "norm", "MAX");
  for (int i = 0; i < 3; i++) {
    if (strcmp(norm, names[i]) != 0) continue;
    state->norm = (normalizer_norm)i;
    return NORMA_OK;
  }
  return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "norm '%.40s' is not MAX, L1 or L2", norm);
}

static norma_status normalizer_infer(infer_context *context) {
  int64_t rows, features;
  TRY(infer_feature_rows(context, DIM_UNKNOWN, &rows, &features));
  return infer_same_in_float(context);
}

typedef struct normalizer_work {
  const run_context *context;
  const norma_tensor *x;
  float *y;
  int64_t features;
} normalizer_work;

static double row_maximum(const struct kernel_table *kernels, const float *row, int64_t count) {
  float largest = kernels->reduce_f32[REDUCE_MAX](row, (size_t)count);
  if (!isnan(largest)) return (double)largest;
  largest = -INFINITY;
  for (int64_t i = 0; i < count; i++) largest = row[i] > largest ? row[i] : largest;
  return (double)largest;
}

static double row_norm(const struct kernel_table *kernels, normalizer_norm norm, const float *row, int64_t count) {
  if (norm == NORMALIZER_MAX) return row_maximum(kernels, row, count);
  if (norm == NORMALIZER_L2) return sqrt(kernels->sum_squared_deviations_f32(row, (size_t)count, 0));
  return (double)kernels->reduce_f32[REDUCE_SUM_ABS](row, (size_t)count);
}

/* Rows of all types but float. */
static void normalize_in_double(const normalizer_work *work, normalizer_norm norm, int64_t first) {
  double total = norm == NORMALIZER_MAX ? -INFINITY : 0, x;
  for (int64_t i = 0; i < work->features; i++) {
    features_to_double(work->x->type, work->x->data, first + i, 1, &x);
    if (norm == NORMALIZER_MAX)
      total = x > total ? x : total;
    else
      total += norm == NORMALIZER_L1 ? fabs(x) : x * x;
  }
  if (norm == NORMALIZER_L2) total = sqrt(total);
  if (total == 0 || (norm == NORMALIZER_MAX && total == -INFINITY)) total = 1;
  for (int64_t i = 0; i < work->features; i++) {
    features_to_double(work->x->type, work->x->data, first + i, 1, &x);
    work->y[first + i] = (float)(x / total);
  }
}

static void normalizer_rows(void *argument, int64_t begin, int64_t end, int worker) {
  const normalizer_work *work = argument;
  const normalizer_state *state = work->context->state;
  const struct kernel_table *kernels = work->context->kernels;
  const size_t count = (size_t)work->features;
  (void)worker;
  for (int64_t row = begin; row < end; row++) {
    const int64_t first = row * work->features;
    if (work->x->type != NORMA_FLOAT) {
      normalize_in_double(work, state->norm, first);
      continue;
    }
    const float *x = (const float *)work->x->data + first;
    const double norm = row_norm(kernels, state->norm, x, work->features);
    const bool stays = norm == 0 || norm == -INFINITY; /* of a row of NaN */
    kernels->scale_f32(work->y + first, x, count, stays ? 1 : 1 / norm);
  }
}

static norma_status normalizer_compute(run_context *context) {
  if (!context->outputs[0]) return NORMA_OK;
  normalizer_work work = {.context = context, .x = run_input(context, 0), .y = run_output(context, 0)->data};
  int64_t rows;
  TRY(run_feature_rows(context, DIM_UNKNOWN, &rows, &work.features));
  if (work.features == 0) return NORMA_OK;
  return run_parallel(context, rows, work_grain(2 * WORK_ELEMENT * (double)work.features), normalizer_rows, &work);
}

static const operator_attribute normalizer_attributes[] = {
    {"norm", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_normalizer[] = {
    {
        .domain = "ai.onnx.ml",
        .name = "Normalizer",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FEATURES, INPUT(0), 0}},
        .attributes = normalizer_attributes,
        .state_size = sizeof(normalizer_state),
        .read = normalizer_read,
        .infer = normalizer_infer,
        .facts = {.dimension = fact_dimension_same},
        .compute = normalizer_compute,
    },
    {0},
};
