/*
 * Inverse 1 (com.microsoft): the inverse of each matrix of X [.., n, n].
 *
 * By Gauss and Jordan with row pivots, in double for all types. A matrix that has no inverse gives infinities or NaN.
 */
#include "ops/operator.h"
#include "ops/work.h"

#include <math.h>

typedef struct inverse_state {
  int64_t count, n; /* the plan's: matrices, and their size */
  size_t matrix_at; /* in worker scratch: [n][2 * n], the matrix and what becomes its inverse */
} inverse_state;

static norma_status inverse_infer(infer_context *context) {
  const shape *x = infer_shape(context, 0);
  char text[100];
  bool fits = x->rank == RANK_UNKNOWN || x->rank >= 2;
  if (fits && x->rank >= 2) {
    int64_t rows = x->dims[x->rank - 2], columns = x->dims[x->rank - 1];
    fits = rows == DIM_UNKNOWN || columns == DIM_UNKNOWN || rows == columns;
  }
  if (!fits) return infer_fail(context, "X of shape %s holds no square matrices", shape_text(x, text, sizeof text));
  return infer_same(context);
}

static norma_status inverse_prepare(prepare_context *context) {
  inverse_state *state = context->state;
  const shape *x = prepare_shape(context, 0);
  size_t elements;
  state->n = x->dims[x->rank - 1];
  state->count = dims_product(x->dims, 0, x->rank - 2);
  if (!size_multiply((size_t)state->n, (size_t)state->n, &elements) ||
      !scratch_append(&context->worker_scratch_bytes, elements, 2 * sizeof(double), &state->matrix_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "a matrix is too large");
  context->kernel_name = "elimination";
  context->flops = 2.0 * (double)state->count * pow((double)state->n, 3);
  return NORMA_OK;
}

/* The row from `column` on whose element in that column is largest. */
static int64_t inverse_pivot(const double *matrix, int64_t n, int64_t column) {
  int64_t pivot = column;
  for (int64_t r = column + 1; r < n; r++) {
    if (fabs(matrix[r * 2 * n + column]) > fabs(matrix[pivot * 2 * n + column])) pivot = r;
  }
  return pivot;
}

/* Turns [A | I] into [I | inverse of A]. */
static void inverse_eliminate(const run_context *context, double *matrix, int64_t n) {
  int64_t width = 2 * n;
  for (int64_t c = 0; c < n && !run_cancelled(context); c++) {
    double *row = matrix + c * width, *other = matrix + inverse_pivot(matrix, n, c) * width;
    for (int64_t i = 0; i < width && row != other; i++) {
      double kept = row[i];
      row[i] = other[i];
      other[i] = kept;
    }
    double factor = 1 / row[c];
    for (int64_t i = 0; i < width; i++) row[i] *= factor;
    for (int64_t r = 0; r < n; r++) {
      double *target = matrix + r * width, part = target[c];
      if (r == c) continue;
      for (int64_t i = c; i < width; i++) target[i] -= part * row[i];
    }
  }
}

static void inverse_matrices(void *argument, int64_t begin, int64_t end, int worker) {
  run_context *context = argument;
  const inverse_state *state = context->state;
  const norma_tensor *x = run_input(context, 0);
  norma_tensor *y = run_output(context, 0);
  double *matrix = (double *)((char *)run_worker_scratch(context, worker) + state->matrix_at);
  int64_t n = state->n;
  for (int64_t m = begin; m < end; m++) {
    for (int64_t r = 0; r < n; r++) {
      double *row = matrix + r * 2 * n;
      elements_to_double(x->type, x->data, (m * n + r) * n, n, row);
      for (int64_t c = 0; c < n; c++) row[n + c] = c == r;
    }
    inverse_eliminate(context, matrix, n);
    for (int64_t r = 0; r < n; r++) elements_from_double(y->type, y->data, (m * n + r) * n, n, matrix + r * 2 * n + n);
  }
}

static norma_status inverse_compute(run_context *context) {
  const inverse_state *state = context->state;
  if (state->n == 0) return NORMA_OK;
  return run_parallel(context, state->count, work_grain(4 * pow((double)state->n, 3)), inverse_matrices, context);
}

const operator_descriptor operators_inverse[] = {
    {
        .domain = "com.microsoft",
        .name = "Inverse",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_DOUBLE) | TYPE_BIT(NORMA_FLOAT16), INPUT(0), OUTPUT(0)}},
        .in_place = INPUT(0),
        .state_size = sizeof(inverse_state),
        .infer = inverse_infer,
        .prepare = inverse_prepare,
        .facts = {.dimension = fact_dimension_same},
        .compute = inverse_compute,
    },
    {0},
};
