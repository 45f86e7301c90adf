/* What quantised weights add to recurrent operators: packing them, and rounding what they are multiplied with. */
#include "ops/recurrent/recurrent_plan.h"

#include <math.h>

/* ---------------------------------------------------------------------------------------------------------- packing */

/* Columns first .. first + count - 1 of `depth` rows, as floats in rows of `count`. */
static void recurrent_dequantize(const recurrent_state *state, int direction, const norma_tensor *weights,
                                 const norma_tensor *scales, const norma_tensor *zeros, int64_t at, int64_t depth,
                                 int64_t first, int64_t count, float *y) {
  const int64_t parameters = norma_tensor_count(scales) / state->directions; /* 1, or one for each column */
  for (int64_t j = 0; j < count; j++) {
    const int64_t of = direction * parameters + (parameters == 1 ? 0 : first + j);
    const float scale = ((const float *)scales->data)[of];
    const int zero = zeros->type == NORMA_INT8 ? ((const int8_t *)zeros->data)[of] : ((const uint8_t *)zeros->data)[of];
    for (int64_t p = 0; p < depth; p++) {
      const int64_t i = at + p * state->width + first + j;
      const int weight =
          weights->type == NORMA_INT8 ? ((const int8_t *)weights->data)[i] : ((const uint8_t *)weights->data)[i];
      y[p * count + j] = (float)(weight - zero) * scale;
    }
  }
}

void recurrent_pack_quantized(const struct kernel_table *kernels, const recurrent_state *state, int input,
                              const norma_tensor *weights, const norma_tensor *scales, const norma_tensor *zeros,
                              float *packed) {
  float converted[8192];
  recurrent_matrix matrices[RECURRENT_MOST_MATRICES];
  const int count = recurrent_list_matrices(state, input, matrices);
  const int64_t panel = (int64_t)kernels->gemm_f32_tile_columns, most = 8192 / panel;
  for (int m = 0; m < count; m++) {
    const recurrent_matrix *matrix = &matrices[m];
    for (int64_t column = 0; column < matrix->rows; column += panel) {
      const int64_t columns = matrix->rows - column < panel ? matrix->rows - column : panel;
      for (int64_t p = 0; p < matrix->depth; p += most) {
        const int64_t depth = matrix->depth - p < most ? matrix->depth - p : most;
        recurrent_dequantize(state, m, weights, scales, zeros, matrix->first + p * state->width, depth, column, columns,
                             converted);
        const struct gemm_part part = {.k = (size_t)matrix->depth,
                                       .n = (size_t)matrix->rows,
                                       .row = (size_t)p,
                                       .rows = (size_t)depth,
                                       .column = (size_t)column,
                                       .columns = (size_t)columns};
        kernels->gemm_f32_pack_b_part(packed + matrix->at, converted, &part, (size_t)columns, 1);
      }
    }
  }
}

/* --------------------------------------------------------------------------------------------------------- rounding */

dynamic_quantization recurrent_range(const struct kernel_table *kernels, const float *x, int64_t count, int64_t stride,
                                     int64_t n) {
  float least = 0, largest = 0;
  for (int64_t i = 0; i < count; i++) {
    const float low = kernels->reduce_f32[REDUCE_MIN](x + i * stride, (size_t)n);
    const float high = kernels->reduce_f32[REDUCE_MAX](x + i * stride, (size_t)n);
    if (isnan(low) || isnan(high)) return dynamic_quantization_of(NAN, NAN);
    if (low < least) least = low;
    if (high > largest) largest = high;
  }
  return dynamic_quantization_of(least, largest);
}

void recurrent_round_to(const struct kernel_table *kernels, float *y, const float *x, int64_t n,
                        dynamic_quantization range) {
  uint8_t rounded[1024];
  for (int64_t i = 0; i < n; i += (int64_t)sizeof rounded) {
    const size_t count = (size_t)(n - i) < sizeof rounded ? (size_t)(n - i) : sizeof rounded;
    kernels->quantize_f32(rounded, x + i, count, range.scale, range.zero, NORMA_UINT8);
    kernels->dequantize_f32(y + i, rounded, count, range.scale, range.zero, NORMA_UINT8);
  }
}

void recurrent_round(const recurrent_row *row, void *y, const void *x, int64_t n) {
  const struct kernel_table *kernels = row->cells->kernels;
  recurrent_round_to(kernels, y, x, n, recurrent_range(kernels, x, 1, n, n));
}
