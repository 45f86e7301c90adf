#include "ops/matmul/square_matrix.h"

#include <inttypes.h>
#include <math.h>

norma_status square_infer_input(infer_context *context) {
  const shape *x = infer_shape(context, 0);
  if (x->rank == RANK_UNKNOWN) return NORMA_OK;
  if (x->rank < 2) return infer_fail(context, "the input has rank %d and holds no matrices", x->rank);
  const int64_t rows = x->dims[x->rank - 2], columns = x->dims[x->rank - 1];
  if (rows != DIM_UNKNOWN && columns != DIM_UNKNOWN && rows != columns)
    return infer_fail(context, "matrices of %" PRId64 " x %" PRId64 " are not square", rows, columns);
  return NORMA_OK;
}

/* The row from k on with the largest element of column k. */
static int64_t square_pivot(const double *matrix, int64_t n, int64_t k) {
  int64_t best = k;
  for (int64_t i = k + 1; i < n; i++) {
    if (fabs(matrix[i * n + k]) > fabs(matrix[best * n + k])) best = i;
  }
  return best;
}

static void square_exchange(double *matrix, int64_t n, int64_t a, int64_t b) {
  for (int64_t j = 0; j < n && a != b; j++) {
    const double x = matrix[a * n + j];
    matrix[a * n + j] = matrix[b * n + j];
    matrix[b * n + j] = x;
  }
}

/* row -= factor * from, elements first .. n - 1. */
static void square_subtract(double *row, const double *from, double factor, int64_t first, int64_t n) {
  for (int64_t j = first; j < n; j++) row[j] -= factor * from[j];
}

double square_determinant(const run_context *context, double *matrix, int64_t n) {
  double determinant = 1;
  for (int64_t k = 0; k < n; k++) {
    if (k % 16 == 15 && run_cancelled(context)) return 0;
    const int64_t pivot = square_pivot(matrix, n, k);
    square_exchange(matrix, n, k, pivot);
    const double *row = matrix + k * n;
    determinant *= pivot == k ? row[k] : -row[k];
    if (row[k] == 0) return determinant;
    for (int64_t i = k + 1; i < n; i++) square_subtract(matrix + i * n, row, matrix[i * n + k] / row[k], k + 1, n);
  }
  return determinant;
}

bool square_invert(const run_context *context, double *matrix, int64_t n, int64_t *pivots) {
  for (int64_t k = 0; k < n; k++) {
    if (k % 16 == 15 && run_cancelled(context)) return true;
    pivots[k] = square_pivot(matrix, n, k);
    square_exchange(matrix, n, k, pivots[k]);
    double *row = matrix + k * n;
    if (row[k] == 0) return false;
    const double inverse = 1 / row[k];
    row[k] = 1;
    for (int64_t j = 0; j < n; j++) row[j] *= inverse;
    for (int64_t i = 0; i < n; i++) {
      double *other = matrix + i * n;
      const double factor = other[k];
      if (i == k) continue;
      other[k] = 0;
      square_subtract(other, row, factor, 0, n);
    }
  }
  for (int64_t k = n - 1; k >= 0; k--) { /* rows that changed places are columns of the inverse */
    for (int64_t i = 0; i < n && pivots[k] != k; i++) {
      const double x = matrix[i * n + k];
      matrix[i * n + k] = matrix[i * n + pivots[k]];
      matrix[i * n + pivots[k]] = x;
    }
  }
  return true;
}
